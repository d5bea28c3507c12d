//! What an answer that holds no value says, and what it is when there is none.

use std::{
    error::Error,
    time::{Duration, SystemTime},
};

use reqwest::{
    StatusCode,
    header::{DATE, HeaderMap, RETRY_AFTER},
};

use crate::{error::StoreError, tls};

/// What a status says that is neither a value nor the lack of one.
pub(super) fn by_status(status: StatusCode, headers: &HeaderMap) -> StoreError {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    // By the clock of the server, which also says when it is to come back.
    let date = header(&DATE).and_then(|date| httpdate::parse_http_date(date).ok());
    let now = date.unwrap_or_else(SystemTime::now);
    let after = header(&RETRY_AFTER).and_then(|after| retry_after(after, now));
    let code = status.as_u16();
    match code {
        429 => StoreError::throttled("429, too many requests", after),
        503 => StoreError::throttled("503, come back later", after),
        401 => {
            StoreError::refused("401, the credentials are not accepted; mend the token or password")
        }
        403 => StoreError::refused("403, the credentials don't give this right; grant it"),
        407 => StoreError::refused("407, the proxy wants credentials; put them into its URL"),
        // Of a server that fails, or of a proxy before one: who had that answer is still connected.
        500.. => StoreError::throttled(
            format!("answered by {code}; the server fails, see its log"),
            after,
        ),
        408 | 421 | 425 => StoreError::unreachable(format!("answered by {code}")),
        300..400 => StoreError::refused(format!("{code}, a redirect that leads nowhere")),
        400..500 => StoreError::refused(format!("answered by {code}; check the URL")),
        _ => StoreError::invalid(format!("answered by {code}, where a value is expected with 200")),
    }
}

/// Seconds, or a date ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What doesn't fit is for ever.
        return Some(Duration::from_secs(text.parse().unwrap_or(u32::MAX.into())));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// What it is when a request got no answer.
pub(super) fn lost(error: reqwest::Error) -> StoreError {
    // It quotes the URL otherwise.
    let error = error.without_url();
    tls::refusal(&error).unwrap_or_else(|| {
        let told = if error.is_connect() { "can't be reached" } else { "the connection is lost" };
        StoreError::unreachable(told).because(innermost(&error))
    })
}

/// What it is when an answer ends before its end.
pub(super) fn cut(error: reqwest::Error) -> StoreError {
    let error = error.without_url();
    StoreError::unreachable("the answer was cut off").because(innermost(&error))
}

/// The cause of causes, in its own words.
fn innermost(error: &(dyn Error + 'static)) -> String {
    tls::causes(error).last().unwrap_or(error).to_string()
}

#[cfg(test)]
mod tests {
    use reqwest::header::DATE;

    use super::*;
    use crate::error::Kind;

    #[test]
    fn when_to_come_back_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777 - 90);
        for (text, want) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u32::MAX.into())),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(90)),
            ("Sun, 06 Nov 1983 08:49:37 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after(text, now), want.map(Duration::from_secs), "{text:?}");
        }
    }

    #[test]
    fn a_date_is_by_the_clock_of_the_server() {
        let skewed = HeaderMap::from_iter([
            (DATE, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap()),
            (RETRY_AFTER, "Sun, 06 Nov 1994 08:49:39 GMT".parse().unwrap()),
        ]);
        let error = by_status(StatusCode::SERVICE_UNAVAILABLE, &skewed);
        assert_eq!(error.kind(), Kind::Throttled(Some(Duration::from_secs(2))));
    }

    #[test]
    fn a_status_decides_how_it_is_tried_again() {
        let later = HeaderMap::from_iter([(RETRY_AFTER, "7".parse().unwrap())]);
        let told = |code, headers: &HeaderMap| {
            let error = by_status(StatusCode::from_u16(code).unwrap(), headers);
            match (error.is_unreachable(), error.is_refused(), error.is_throttled()) {
                (true, ..) => "unreachable",
                (_, true, _) => "refused",
                (.., true) => "throttled",
                _ => "invalid",
            }
        };
        for (code, want, want_later) in [
            (429, "throttled", "throttled"),
            (503, "throttled", "throttled"),
            (500, "throttled", "throttled"),
            (408, "unreachable", "unreachable"),
            (401, "refused", "refused"),
            (405, "refused", "refused"),
            (304, "refused", "refused"),
            (206, "invalid", "invalid"),
        ] {
            assert_eq!(told(code, &HeaderMap::new()), want, "{code}");
            assert_eq!(told(code, &later), want_later, "{code}");
        }
    }
}
