//! Whether a page's own policy lets a script of this server run, see
//! <https://www.w3.org/TR/CSP3/#directive-script-src>.

use hyper::{HeaderMap, header};

/// What a script needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// This, which is new for each answer.
    Nonce(String),
}

/// The directives that say it, the first that there is.
const DIRECTIVES: [&str; 3] = ["script-src-elem", "script-src", "default-src"];

/// Returns what a script of this server needs in a page with these headers; `None` where it can't run.
pub(super) fn needs(headers: &HeaderMap) -> Option<Needs> {
    let policies = headers.get_all(header::CONTENT_SECURITY_POLICY).iter();
    let policies = policies.filter_map(|policy| policy.to_str().ok()).flat_map(|it| it.split(','));
    let mut needs = Needs::Nothing;
    // Each of them has to let it run.
    for sources in policies.filter_map(sources) {
        match sources.iter().find_map(|source| nonce(source)) {
            Some(nonce) => needs = Needs::Nonce(nonce.to_owned()),
            None if sources.iter().any(is_dynamic) || !sources.iter().any(is_place) => return None,
            None => {}
        }
    }
    Some(needs)
}

/// The sources of scripts that a policy names, if it names any.
fn sources(policy: &str) -> Option<Vec<&str>> {
    let directives: Vec<(&str, Vec<&str>)> = policy
        .split(';')
        .filter_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            Some((words.next()?, words.collect()))
        })
        .collect();
    DIRECTIVES.iter().find_map(|name| {
        let mut found = directives.iter().filter(|(said, _)| said.eq_ignore_ascii_case(name));
        found.next().map(|(_, sources)| sources.clone())
    })
}

/// Words are the same in capitals, and what they name isn't.
fn nonce(source: &str) -> Option<&str> {
    let (word, nonce) = source.split_once('-')?;
    let nonce = nonce.strip_suffix('\'').filter(|_| word.eq_ignore_ascii_case("'nonce"))?;
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte);
    nonce.bytes().all(is_base64).then_some(nonce)
}

/// Whether only scripts that have a nonce may run, and those that they load.
fn is_dynamic(source: &&str) -> bool {
    source.eq_ignore_ascii_case("'strict-dynamic'")
}

/// Whether a source is a place, as this server may be; other words are about scripts in the page.
fn is_place(source: &&str) -> bool {
    !source.starts_with('\'') || source.eq_ignore_ascii_case("'self'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_a_policy_asks_for() {
        let nonce = |nonce: &str| Some(Needs::Nonce(nonce.to_owned()));
        for (policies, wanted) in [
            (&[][..], Some(Needs::Nothing)),
            (&["img-src 'none'"], Some(Needs::Nothing)),
            (&["default-src 'self'"], Some(Needs::Nothing)),
            (&["default-src 'none'"], None),
            (&["default-src 'none'; script-src 'self'"], Some(Needs::Nothing)),
            (&["default-src 'self'; Script-Src 'nonce-aB1+/=' 'strict-dynamic'"], nonce("aB1+/=")),
            (&["script-src 'self'; script-src-elem 'nonce-x'"], nonce("x")),
            (&["script-src 'strict-dynamic' 'self'"], None),
            (&["script-src 'Strict-Dynamic' 'Self'"], None),
            (&["script-src 'Nonce-a-B_'"], nonce("a-B_")),
            (&["default-src 'self'; require-trusted-types-for 'script'"], Some(Needs::Nothing)),
            (&["script-src 'sha256-abc' 'unsafe-inline'"], None),
            (&["script-src 'nonce-\"><p>'"], None),
            (&["script-src 'self'", "script-src 'nonce-x'"], nonce("x")),
            (&["script-src 'nonce-x', script-src 'none'"], None),
        ] {
            let mut headers = HeaderMap::new();
            for policy in policies {
                headers.append(header::CONTENT_SECURITY_POLICY, policy.parse().unwrap());
            }
            assert_eq!(needs(&headers), wanted, "{policies:?}");
        }
    }
}
