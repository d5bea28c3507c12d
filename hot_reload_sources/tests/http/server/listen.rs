//! Connections: accepted, counted, and by TLS where there is a certificate.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::Ordering},
};

use axum::serve::Listener;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::Held;

pub(super) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// Connections whose handshakes are over; a client that is slow keeps nobody else waiting.
pub(super) struct Arrived {
    pub(super) arrived: mpsc::Receiver<(Box<dyn Io>, SocketAddr)>,
    pub(super) address: SocketAddr,
}

impl Listener for Arrived {
    type Io = Box<dyn Io>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        match self.arrived.recv().await {
            Some(arrived) => arrived,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        Ok(self.address)
    }
}

pub(super) async fn accept(
    listener: TcpListener,
    acceptor: Arc<Mutex<Option<TlsAcceptor>>>,
    state: Arc<Held>,
    streams: mpsc::Sender<(Box<dyn Io>, SocketAddr)>,
) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        state.connections.fetch_add(1, Ordering::SeqCst);
        let acceptor = acceptor.lock().unwrap().clone();
        let streams = streams.clone();
        tokio::spawn(async move {
            let stream: Box<dyn Io> = match acceptor {
                Some(acceptor) => match acceptor.accept(stream).await {
                    Ok(stream) => Box::new(stream),
                    Err(_) => return,
                },
                None => Box::new(stream),
            };
            let _ = streams.send((stream, peer)).await;
        });
    }
}
