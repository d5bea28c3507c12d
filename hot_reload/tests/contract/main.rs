//! Every item of the interface of 0.3.6, used as its clients in production use it.

#[cfg(feature = "file-reloader")]
mod files;
#[path = "../common/patience.rs"]
mod patience;
mod values;

use std::{
    borrow::Cow,
    fmt::{Debug, Display},
};

use hot_reload::ReloaderReceiver;
use patience::PATIENCE;
use tokio::time::timeout;

async fn expect<V, S>(rx: &mut ReloaderReceiver<V, S>, want: &V)
where
    V: Eq + Clone + Debug,
    S: Into<Cow<'static, str>> + Display,
{
    let arrived = timeout(PATIENCE, async {
        while rx.get().as_ref() != Some(want) {
            rx.changed().await.expect("the service has ended");
        }
    });
    arrived.await.unwrap_or_else(|_| panic!("{want:?} did not arrive, but {:?}", rx.get()));
}
