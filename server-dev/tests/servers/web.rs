//! A server with pages, to be reached through the proxy of `server-dev`; where `page.html` is:
//! `server-dev -s http::3000 --proxy -- cargo run -p server-dev --example web`
//!
//! It listens at `HOST` and `PORT`, or at the socket that it is passed, and answers with the files of its
//! folder as they were when it started; what tests want of it besides is at the paths below.

mod own_address;

use std::{convert::Infallible, env, fs, io, net::TcpListener, process, time::Duration};

use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, Collected, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::sleep,
};

use own_address::own_address;

type Body = UnsyncBoxBody<Bytes, hyper::Error>;

#[tokio::main]
async fn main() -> io::Result<()> {
    let page = fs::read("page.html")?;
    if let Some(words) = page.strip_prefix(b"crash ") {
        eprint!("{}", String::from_utf8_lossy(words));
        process::exit(3);
    }
    let page: &'static [u8] = page.leak();
    let mut over = signal(SignalKind::terminate())?;
    sleep(milliseconds("SLOW_START")).await;
    let passed = listenfd::ListenFd::from_env().take_tcp_listener(0)?;
    let listener = passed.map_or_else(|| TcpListener::bind(own_address()), Ok)?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted?.0,
            _ = over.recv() => break,
        };
        let service = service_fn(move |request| answer(request, page));
        connections.spawn(
            http1::Builder::new()
                .preserve_header_case(true)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades(),
        );
    }
    // As servers do that know nothing of draining: what goes on is cut off.
    if env::var_os("DRAINS").is_some() {
        drop(listener);
        connections.join_all().await;
    }
    Ok(())
}

async fn answer(
    mut request: Request<Incoming>,
    page: &'static [u8],
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    let response = Response::builder();
    let answer = match path.as_str() {
        "/" => response.header("content-type", "text/html").body(full(page)),
        // Each head as it came, and the body.
        "/echo" => {
            let head = format!("{} {}\n{:?}\n", request.method(), request.uri(), request.headers());
            let head = head.replace('\n', " ");
            let kind = request.headers().get("content-type").cloned();
            let response = response.header("X-Head", head);
            let response = match kind {
                Some(kind) => response.header("content-type", kind),
                None => response,
            };
            response.body(request.into_body().boxed_unsync())
        }
        "/upload" => {
            println!("upload begins");
            let body = request.into_body().collect().await.map(Collected::to_bytes);
            match &body {
                Ok(body) => println!("upload of {}", body.len()),
                Err(_gone) => println!("upload breaks off"),
            }
            response.body(full(body.unwrap_or_default()))
        }
        "/pid" => response.body(full(process::id().to_string())),
        "/slow" => {
            println!("slow begins");
            sleep(Duration::from_millis(500)).await;
            response.body(full(page))
        }
        // Half of it, then the other half.
        "/halves" => {
            let halves = stream::iter([&b"one"[..], b"two"]).then(|half| async move {
                sleep(Duration::from_millis(if half == b"two" { 700 } else { 0 })).await;
                Ok(Frame::data(Bytes::from_static(half)))
            });
            response.body(StreamBody::new(halves).boxed_unsync())
        }
        "/events" | "/endless" => {
            let ticks = stream::unfold(0, |n| async move {
                sleep(Duration::from_millis(if n == 0 { 0 } else { 100 })).await;
                Some((Ok(Frame::data(Bytes::from(format!("data: {n}\n\n")))), n + 1))
            });
            let body = StreamBody::new(ticks).boxed_unsync();
            let kind = if path == "/events" { "text/event-stream" } else { "text/plain" };
            response.header("content-type", kind).body(body)
        }
        // Whatever protocol is asked for: what is said is said again.
        "/upgrade" => {
            let protocol = request.headers()["upgrade"].clone();
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let Ok(upgraded) = upgrade.await else { return };
                let mut upgraded = TokioIo::new(upgraded);
                let mut bytes = [0; 1024];
                while let Ok(length @ 1..) = upgraded.read(&mut bytes).await {
                    if upgraded.write_all(&bytes[..length]).await.is_err() {
                        return;
                    }
                }
            });
            response
                .status(StatusCode::SWITCHING_PROTOCOLS)
                .header("upgrade", protocol)
                .header("connection", "upgrade")
                .body(full(""))
        }
        "/unhealthy" => {
            println!("unhealthy");
            response.status(StatusCode::INTERNAL_SERVER_ERROR).body(full("not yet"))
        }
        "/exit" => process::exit(4),
        _ => match fs::read(path.trim_start_matches('/')) {
            Ok(file) => response.header("content-type", kind_of(&path)).body(full(file)),
            Err(_missing) => response.status(StatusCode::NOT_FOUND).body(full("not found")),
        },
    };
    Ok(answer.expect("headers of this file's own"))
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn kind_of(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "css")) => "text/css",
        Some((_, "html")) => "text/html",
        _ => "application/octet-stream",
    }
}

fn milliseconds(name: &str) -> Duration {
    let text = env::var(name).unwrap_or_default();
    Duration::from_millis(text.parse().unwrap_or(0))
}
