//! From a source to its live value.

use hot_reload::{RealtimeWatch, ReloadResult, ReloaderOptions, ReloaderReceiver, ReloaderService};

/// Follows `source` once it is sure that it holds a good value, for which a service would wait.
pub(crate) async fn watched<T, V>(source: T) -> ReloadResult<ReloaderReceiver<V, String>, V, String>
where
    T: RealtimeWatch<V, String> + Clone + Send + Sync + 'static,
    V: Eq + Clone + Send + Sync + 'static,
{
    source.reload().await?;
    let (service, receiver) =
        ReloaderService::from_reloader(source.clone(), ReloaderOptions::hybrid());
    tokio::spawn(async move { service.start_with_realtime().await });
    let (mut first, mut status) = (receiver.clone(), receiver.watch_status());
    let mut failures = 0;
    loop {
        tokio::select! {
            biased;
            changed = first.changed() => {
                changed?;
                return Ok(receiver);
            }
            Ok(failing) = status.wait_for(|status| status.failures > failures) => {
                failures = failing.failures;
            }
        }
        // It may be the channel alone that fails; a value that has gone since is an error here as well.
        source.reload().await?;
    }
}
