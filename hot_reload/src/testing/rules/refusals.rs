//! What is told of a server that won't have the source, or that the source won't have.

use tokio::time::sleep;

use super::{
    case::{COUNTED, Case, FEW},
    live::Live,
};
use crate::{
    config::WatchStrategy,
    testing::{Proxy, Rig},
};

/// What tells of wrong credentials, and not of an authority that is not trusted; and what tells of a
/// certificate for another name. Not so much as any source has in its own name.
const CREDENTIALS: [&str; 9] = [
    "authenticat",
    "authoriz",
    "credential",
    "password",
    "denied",
    "permission",
    "not allowed",
    "401",
    "403",
];
const NAME: [&str; 6] =
    ["another name", "its name", "for name", "hostname", "host name", "name does not match"];

/// With wrong credentials the status says so, and the server is tried ever more seldom.
pub async fn wrong_credentials_are_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("wrong credentials are told", strategy).await;
    case.put(1).await;
    let Some(source) = case.rig.with_wrong_credentials(case.proxy.address()) else { return };
    let live = case.follow_as(source, case.usual_options());
    is_told(&case, &case.proxy, live, &CREDENTIALS).await;
}

/// A server whose certificate is for another name is not listened to, and the status says so, in other
/// words than of one that has expired.
pub async fn a_certificate_for_another_name_is_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("a certificate for another name is told", strategy).await;
    let Some((source, proxy)) = case.rig.with_wrong_name().await else { return };
    let of_expired = words_of_expired(&case).await;
    let live = case.follow_as(source, case.usual_options());
    live.says_trouble("that it is refused").await;
    let told = words_of(&live);
    live.check(
        Some(&told) != of_expired.as_ref(),
        &format!("other words than of an expired one, not `{told}`"),
    );
    is_told(&case, &proxy, live, &NAME).await;
}

/// A server whose certificate has expired is not listened to, and the status says so.
pub async fn an_expired_certificate_is_told<R: Rig>(strategy: WatchStrategy) {
    let case = Case::<R>::begin("an expired certificate is told", strategy).await;
    let Some((source, proxy)) = case.rig.with_expired_certificate().await else { return };
    let live = case.follow_as(source, case.usual_options());
    is_told(&case, &proxy, live, &["expired"]).await;
}

async fn words_of_expired<R: Rig>(case: &Case<R>) -> Option<String> {
    let (source, _proxy) = case.rig.with_expired_certificate().await?;
    let live = case.follow_as(source, case.usual_options());
    live.says_trouble("that it is refused").await;
    Some(words_of(&live))
}

/// What the status says is wrong, without the name of the source, which may be any word.
fn words_of(live: &Live) -> String {
    let status = live.status();
    let told = status.last_error.unwrap_or_default().to_lowercase();
    let name = status.source.as_deref().unwrap_or_default().to_lowercase();
    if name.is_empty() { told } else { told.replace(&name, "") }
}

/// Checks that one of `words` is in the status, and that the server, which is reached by `proxy`, has its
/// peace.
async fn is_told<R: Rig>(case: &Case<R>, proxy: &Proxy, live: Live, words: &[&str]) {
    live.says_trouble("that it is refused").await;
    let told = words_of(&live);
    let is_clear = words.iter().any(|word| told.contains(word));
    live.check(is_clear, &format!("an error that has one of {words:?} in it, not `{told}`"));

    let connected = proxy.accepted() as u64;
    live.check(connected > 0, "the server to be reached by the proxy that is before it");
    let (then, failures) = (case.counts().await, live.status().failures);
    sleep(COUNTED).await;
    let failed = live.status().failures.saturating_sub(failures);
    let asked = case.counts().await.since(then).asked.max(failed.into());
    let most = asked.max(proxy.accepted() as u64 - connected);
    live.check(most <= FEW, &format!("at most {FEW} attempts in {COUNTED:?}, not {most}"));
    live.says_trouble("that it is refused, still").await;
    live.has_published(&[], "nothing of a server that is not to be trusted");
}
