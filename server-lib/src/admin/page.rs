//! The page that shows how the server is doing.

use std::hash::{BuildHasher, RandomState};

use axum::{
    http::header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
    response::{IntoResponse, Response},
};

/// All of it: nothing is fetched for it but what this server says.
const PAGE: &str = include_str!("page.html");

/// What the page has in the place of a nonce.
const NONCE: &str = "{nonce}";

/// `GET /`: the page, of which only its own script and style run
/// (<https://www.w3.org/TR/CSP3/#framework-directive-source-list>).
pub(super) async fn page() -> Response {
    let nonce = nonce();
    let policy = format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; \
         img-src data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, policy.as_str()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (headers, PAGE.replace(NONCE, &nonce)).into_response()
}

/// Returns 128 bits that nobody can guess: the keys of the hash are from the system.
fn nonce() -> String {
    let half = || RandomState::new().hash_one(());
    format!("{:016x}{:016x}", half(), half())
}
