//! A URL, by server-sent events that carry the value.

use std::{convert::Infallible, net::SocketAddr, sync::mpsc::channel, thread};

use async_trait::async_trait;
use axum::{
    Router,
    extract::State,
    response::{Sse, sse::Event},
    routing::get,
};
use futures_util::{Stream, StreamExt, stream};
use hot_reload_sources::{Access, FromStore, Store, http::Http as Server};
use tokio::{net::TcpListener, runtime::Builder, sync::watch, task::JoinHandle, time::Instant};

use crate::subject::{Seen, Subject, Value};

pub(crate) struct Http {
    at: SocketAddr,
    putting: reqwest::Client,
}

type Held = State<watch::Sender<String>>;

async fn read(State(value): Held) -> String {
    value.borrow().clone()
}

async fn write(State(value): Held, text: String) {
    value.send_replace(text);
}

async fn events(State(value): Held) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut values = value.subscribe();
    values.mark_changed();
    Sse::new(stream::unfold(values, |mut values| async {
        values.changed().await.ok()?;
        let text = values.borrow_and_update().clone();
        Some((Ok(Event::default().data(text)), values))
    }))
}

/// Serves one value from a thread with a runtime of its own, as the servers of the other stores are
/// processes of their own; it ends with this one.
fn serve() -> SocketAddr {
    let (bound, is_bound) = channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let app = Router::new()
                .route("/events", get(events))
                .route("/value", get(read).put(write))
                .with_state(watch::Sender::new(String::new()));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            bound.send(listener.local_addr().expect("an address")).expect("somebody who waits");
            axum::serve(listener, app).await.expect("a server");
        });
    });
    is_bound.recv().expect("an address")
}

#[async_trait]
impl Subject for Http {
    async fn start() -> Self {
        // Its client without settings asks for one; a second of the same kind is no matter.
        let _again = rustls::crypto::ring::default_provider().install_default();
        Self { at: serve(), putting: reqwest::Client::new() }
    }

    async fn put(&self, text: String) {
        let put = self.putting.put(format!("http://{}/value", self.at)).body(text);
        put.send().await.and_then(reqwest::Response::error_for_status).expect("a put");
    }

    fn source(&self) -> FromStore<Value> {
        let server =
            Server::from_url(&format!("http://{}", self.at), Access::new()).expect("a URL");
        let place = server.get("/value").expect("a path").events("/events").expect("a path");
        place.toml()
    }

    async fn bare(&self, seen: Seen) -> JoinHandle<()> {
        let answer = reqwest::get(format!("http://{}/events", self.at)).await.expect("an answer");
        tokio::spawn(async move {
            let mut stream = answer.bytes_stream();
            let mut text = String::new();
            while let Some(Ok(bytes)) = stream.next().await {
                text.push_str(std::str::from_utf8(&bytes).expect("text"));
                while let Some((event, rest)) = text.split_once("\n\n") {
                    let lines = event.lines().filter_map(|line| line.strip_prefix("data: "));
                    let value = Value::parse(lines.collect::<Vec<_>>().join("\n").as_bytes());
                    text = rest.to_owned();
                    if seen.send((value.n, Instant::now())).is_err() {
                        return;
                    }
                }
            }
        })
    }
}
