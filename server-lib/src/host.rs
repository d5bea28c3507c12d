//! Which host a request is for.

use axum::{
    extract::Request,
    http::{Version, header::HOST, uri::Authority},
};

/// A request doesn't say which host it is for, or not once: RFC 9112, section 3.2, has it answered 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoHost;

/// Returns the host, with a port or without, that a request is for; `None` where it may leave that open.
///
/// That is the one of an absolute target, or `:authority` in HTTP/2, whatever the header says beside it
/// (RFC 9112, section 3.2.2).
pub(crate) fn of(request: &Request) -> Result<Option<&str>, NoHost> {
    let mut named = request.headers().get_all(HOST).iter();
    let header = match (named.next(), named.next()) {
        (None, _) if request.version() == Version::HTTP_11 => return Err(NoHost),
        (None, _) => None,
        (Some(host), None) => Some(host.to_str().ok().filter(|host| is_host(host)).ok_or(NoHost)?),
        (Some(_), Some(_)) => return Err(NoHost),
    };
    Ok(request.uri().authority().map(Authority::as_str).or(header))
}

/// Whether it is a host, with a port or without; it is empty where the target has none.
fn is_host(text: &str) -> bool {
    // RFC 9110, section 7.2, leaves no place for a user.
    text.is_empty() || !text.contains('@') && text.parse::<Authority>().is_ok()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn the_host_is_that_of_the_target_or_else_the_only_one_that_is_named() {
        let (old, one, two) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (version, target, named, want) in [
            (one, "/", &["a.example:1"][..], Ok(Some("a.example:1"))),
            (one, "/", &["[::1]"], Ok(Some("[::1]"))),
            (one, "/", &[""], Ok(Some(""))),
            (one, "/", &[], Err(NoHost)),
            (one, "/", &["a", "b"], Err(NoHost)),
            (one, "/", &["a", "a"], Err(NoHost)),
            (one, "/", &["a b"], Err(NoHost)),
            (one, "/", &["a/b"], Err(NoHost)),
            (one, "/", &["me@a"], Err(NoHost)),
            (one, "http://a/", &["b"], Ok(Some("a"))),
            (one, "http://a/", &[], Err(NoHost)),
            (old, "/", &[], Ok(None)),
            (old, "/", &["a"], Ok(Some("a"))),
            (old, "/", &["a", "b"], Err(NoHost)),
            (two, "http://a/", &[], Ok(Some("a"))),
            (two, "/", &["a"], Ok(Some("a"))),
            (two, "/", &[], Ok(None)),
        ] {
            let request = Request::builder().version(version).uri(target);
            let request = named.iter().fold(request, |request, host| request.header(HOST, *host));
            let request = request.body(Body::empty()).unwrap();
            assert_eq!(of(&request), want, "{version:?} {target} {named:?}");
        }
    }
}
