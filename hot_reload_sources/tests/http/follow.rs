//! A text, followed.

use hot_reload::{ReloaderOptions, ReloaderReceiver, ReloaderService, Status};
use hot_reload_sources::{FromStore, http::Http};

use crate::{
    common::within,
    server::{Server, TOKEN},
};

pub(crate) type Text = ReloaderReceiver<String, String>;

pub(crate) fn http(server: &Server) -> Http {
    Http::from_url(&server.url(server.address), server.access(TOKEN)).unwrap()
}

pub(crate) fn follow(source: FromStore<String>, options: ReloaderOptions) -> Text {
    let (service, receiver) = ReloaderService::from_reloader(source, options);
    tokio::spawn(async move { service.start_with_realtime().await });
    receiver
}

pub(crate) async fn becomes(receiver: &mut Text, want: &str) {
    let mut values = receiver.clone();
    within(async {
        while values.get().as_deref() != Some(want) {
            values.changed().await.unwrap();
        }
    })
    .await;
}

pub(crate) async fn until(text: &Text, what: impl FnMut(&Status) -> bool) -> Status {
    within(text.watch_status().wait_for(what)).await.unwrap()
}
