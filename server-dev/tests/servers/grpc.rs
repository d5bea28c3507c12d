//! A server that speaks HTTP/2 alone, as those of gRPC do, to be reached through the proxy of `server-dev`:
//! `server-dev -s http::3000 --proxy -- cargo run -p server-dev --example grpc`
//!
//! It listens at `HOST` and `PORT`, sends back what it is sent, and says in trailers how that went.

mod own_address;

use std::{convert::Infallible, io, process};

use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Request, Response, body::Incoming, header::HeaderValue, server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use own_address::own_address;

#[tokio::main]
async fn main() -> io::Result<()> {
    let listener = TcpListener::bind(own_address()).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let connection = http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(connection);
    }
}

async fn answer(
    request: Request<Incoming>,
) -> Result<
    Response<impl hyper::body::Body<Data = hyper::body::Bytes, Error = hyper::Error>>,
    Infallible,
> {
    let head = format!("{} {:?}", request.uri(), request.headers().get("te"));
    let trailers = [("grpc-status", "0"), ("grpc-message", "well done")].map(|(name, value)| {
        (hyper::header::HeaderName::from_static(name), HeaderValue::from_static(value))
    });
    let trailers = HeaderMap::from_iter(trailers);
    let body = request.into_body().with_trailers(async { Some(Ok(trailers)) });
    let answer = Response::builder()
        .header("content-type", "application/grpc")
        .header("x-pid", process::id())
        .header("x-head", head)
        .body(body);
    Ok(answer.expect("headers of this file's own"))
}
