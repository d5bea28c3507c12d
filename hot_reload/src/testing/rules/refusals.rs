//! What is told of a server that won't have the source, or that the source won't have.

use tokio::time::sleep;

use super::{
    case::{COUNTED, Case, FEW},
    live::Live,
};
use crate::{config::WatchStrategy, testing::Rig};

/// What tells of wrong credentials, and of a certificate for another name; not so much as any source has
/// in its own name.
const CREDENTIALS: [&str; 8] =
    ["auth", "credential", "password", "denied", "permission", "not allowed", "401", "403"];
const NAME: [&str; 6] =
    ["another name", "its name", "for name", "hostname", "host name", "name does not match"];

/// With wrong credentials the status says so, and the server is tried ever more seldom.
pub async fn wrong_credentials_are_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("wrong credentials are told", strategy).await;
    if !case.rig.has_credentials() {
        return;
    }
    case.put(1).await;
    let source = case.rig.with_wrong_credentials(case.proxy.address());
    is_told(&case, case.follow_as(source, case.usual_options()), &CREDENTIALS).await;
}

/// A server whose certificate is for another name is not listened to, and the status says so, in other
/// words than of one that has expired.
pub async fn a_certificate_for_another_name_is_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("a certificate for another name is told", strategy).await;
    if !case.rig.has_tls() {
        return;
    }
    let expired = case.rig.with_expired_certificate().await;
    let expired = case.follow_as(expired, case.usual_options());
    expired.says_trouble("that it is refused").await;
    let of_expired = words_of(&expired);
    drop(expired);

    let source = case.rig.with_wrong_name().await;
    let live = case.follow_as(source, case.usual_options());
    live.says_trouble("that it is refused").await;
    let told = words_of(&live);
    live.check(told != of_expired, &format!("other words than of an expired one, not `{told}`"));
    is_told(&case, live, &NAME).await;
}

/// A server whose certificate has expired is not listened to, and the status says so.
pub async fn an_expired_certificate_is_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("an expired certificate is told", strategy).await;
    if case.rig.has_tls() {
        let source = case.rig.with_expired_certificate().await;
        is_told(&case, case.follow_as(source, case.usual_options()), &["expired"]).await;
    }
}

/// What the status says is wrong, without the name of the source, which may be any word.
fn words_of(live: &Live) -> String {
    let status = live.status();
    let told = status.last_error.unwrap_or_default().to_lowercase();
    let name = status.source.as_deref().unwrap_or_default().to_lowercase();
    if name.is_empty() { told } else { told.replace(&name, "") }
}

/// Checks that one of `words` is in the status, and that the server has its peace.
async fn is_told<R: Rig>(case: &Case<R>, live: Live, words: &[&str]) {
    live.says_trouble("that it is refused").await;
    let told = words_of(&live);
    let is_clear = words.iter().any(|word| told.contains(word));
    live.check(is_clear, &format!("an error that has one of {words:?} in it, not `{told}`"));

    let count = async || {
        let asked = case.rig.requests().await.unwrap_or_default();
        let distrusted = case.rig.distrusted().await.unwrap_or_default();
        [asked, distrusted, case.proxy.accepted() as u64, live.status().failures.into()]
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
