//! What is told of a server that won't have the source, or that the source won't have.

use std::time::Duration;

use tokio::time::sleep;

use super::{case::Case, live::Live};
use crate::{config::WatchStrategy, testing::Rig};

/// How long attempts are counted, and how many may come in that time: a backoff makes a dozen, a loop
/// thousands.
const COUNTED: Duration = Duration::from_secs(5);
const FEW: u64 = 50;

/// With wrong credentials the status says so, and the server is tried ever more seldom.
pub async fn wrong_credentials_are_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("wrong credentials are told", strategy).await;
    if !case.rig.has_credentials() {
        return;
    }
    case.put(1).await;
    let source = case.rig.with_wrong_credentials(case.proxy.address());
    let words = [
        "auth",
        "credential",
        "password",
        "token",
        "denied",
        "permission",
        "access",
        "user",
        "401",
        "403",
    ];
    is_told(&case, case.follow_as(source, case.usual_options()), &words).await;
}

/// A server whose certificate is for another name is not listened to, and the status says so.
pub async fn a_certificate_for_another_name_is_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("a certificate for another name is told", strategy).await;
    if case.rig.has_tls() {
        let source = case.rig.with_wrong_name().await;
        is_told(&case, case.follow_as(source, case.usual_options()), &["name", "host"]).await;
    }
}

/// A server whose certificate has expired is not listened to, and the status says so.
pub async fn an_expired_certificate_is_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("an expired certificate is told", strategy).await;
    if case.rig.has_tls() {
        let source = case.rig.with_expired_certificate().await;
        is_told(&case, case.follow_as(source, case.usual_options()), &["expired"]).await;
    }
}

/// Checks that one of `words` is in the status, and that the server has its peace.
async fn is_told<R: Rig>(case: &Case<R>, live: Live, words: &[&str]) {
    live.says_trouble("that it is refused").await;
    let told = live.status().last_error.unwrap_or_default().to_lowercase();
    let is_clear = words.iter().any(|word| told.contains(word));
    live.check(is_clear, &format!("an error that has one of {words:?} in it, not `{told}`"));

    let count = async || {
        let asked = case.rig.requests().await.unwrap_or_default();
        [asked, case.proxy.accepted() as u64, live.status().failures.into()]
    };
    let then = count().await;
    sleep(COUNTED).await;
    let now = count().await;
    let most = now.iter().zip(then).map(|(now, then)| now.saturating_sub(then)).max();
    let want = format!("at most {FEW} attempts in {COUNTED:?}, not {most:?}");
    live.check(most <= Some(FEW), &want);
    live.says_trouble("that it is refused, still").await;
    live.has_published(&[], "nothing of a server that is not to be trusted");
}
