//! Why nobody answers, and how whoever asks is told.

use std::time::Duration;

use hyper::{
    HeaderMap, Response, StatusCode,
    header::{self, HeaderValue},
};
use serde::Serialize;

use super::{
    Doing, Problem, Proxy,
    answer::plain,
    body::{self, Body},
    page::{self, is_for_a_page},
    policy::Needs,
};

/// Why nobody answers.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("{} requests wait for the server already", super::MAX_WAITING)]
    Crowd,
    #[error("the server was not ready within {0:?}: {1}")]
    Late(Duration, Doing),
    #[error("the server does not run: {0}")]
    Down(Doing, Option<Box<Problem>>),
    #[error("the server has not answered: {0}")]
    Lost(String),
    #[error("the request breaks off")]
    Torn,
    #[error("server-dev is about to end")]
    Over,
}

impl Unanswered {
    fn status(&self) -> StatusCode {
        match self {
            Self::Lost(_) => StatusCode::BAD_GATEWAY,
            Self::Torn => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn problem(&self) -> Option<&Problem> {
        match self {
            Self::Down(_, problem) => problem.as_deref(),
            _ => None,
        }
    }

    /// All of it, in lines.
    fn text(&self) -> String {
        self.to_string() + &self.problem().map(|problem| format!("\n{problem}")).unwrap_or_default()
    }
}

/// How somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AnswerForm {
    Page,
    Json,
    Text,
}

impl AnswerForm {
    /// As the headers of a request ask for it.
    pub(super) fn asked_for(headers: &HeaderMap) -> Self {
        let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
        if is_for_a_page(headers) {
            Self::Page
        } else if accepts.is_some_and(|accepts| accepts.to_ascii_lowercase().contains("json")) {
            Self::Json
        } else {
            Self::Text
        }
    }
}

/// The same for a program.
#[derive(Serialize)]
struct Said<'a> {
    service: &'a str,
    error: String,
    problem: Option<&'a Problem>,
}

impl Proxy {
    /// Says why there is no answer; a page that says so follows what becomes of it as any other.
    pub(super) fn unanswered(&self, why: &Unanswered, form: AnswerForm) -> Response<Body> {
        let mut response = match form {
            AnswerForm::Page => {
                let version = self.site.get().unwrap_or_default().version;
                let tag = self.tag(version, &Needs::Nothing);
                page::unanswered(&self.name, &why.to_string(), why.problem(), &tag)
            }
            AnswerForm::Json => self.json(why),
            AnswerForm::Text => plain(why.status(), &why.text()),
        };
        *response.status_mut() = why.status();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        response
    }

    fn json(&self, why: &Unanswered) -> Response<Body> {
        let said = Said { service: &self.name, error: why.to_string(), problem: why.problem() };
        // It is made of texts and numbers.
        let mut text = serde_json::to_string(&said).unwrap_or_default();
        text.push('\n');
        let mut response = Response::new(body::full(text));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_in_the_form_that_is_asked_for() {
        for (name, value, want) in [
            ("accept", "*/*", AnswerForm::Text),
            ("accept", "application/json, text/plain, */*", AnswerForm::Json),
            ("accept", "application/problem+json", AnswerForm::Json),
            ("accept", "text/html,application/xhtml+xml,*/*;q=0.8", AnswerForm::Page),
            ("sec-fetch-dest", "document", AnswerForm::Page),
            ("sec-fetch-dest", "empty", AnswerForm::Text),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(AnswerForm::asked_for(&headers), want, "{name}: {value}");
        }
    }
}
