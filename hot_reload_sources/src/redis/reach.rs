//! The way to a server.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    select,
    time::sleep,
};
use tokio_rustls::TlsConnector;

use crate::{
    access::Access,
    error::StoreError,
    tls::{self, client_config},
};

/// How long one address of a name has before the next is tried beside it
/// ([RFC 8305](https://www.rfc-editor.org/rfc/rfc8305#section-5)).
const HEAD_START: Duration = Duration::from_millis(250);

/// What a connection is made over.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Sync + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Sync + Unpin> Duplex for T {}

/// Connects to `host`, by TLS where there is `tls` to do so with.
pub(super) async fn reach(
    host: &str,
    port: u16,
    tls: Option<&Access>,
) -> Result<Box<dyn Duplex>, StoreError> {
    let Some(access) = tls else { return Ok(Box::new(tcp(host, port).await?)) };
    let config = client_config(access).await?;
    let name = ServerName::try_from(host.to_owned()).map_err(|error| {
        StoreError::refused("a host that no certificate can be for").because(error)
    })?;
    let stream = tcp(host, port).await?;
    let connect = TlsConnector::from(Arc::new(config)).connect(name, stream);
    Ok(Box::new(connect.await.map_err(unreachable)?))
}

pub(super) fn unreachable(error: io::Error) -> StoreError {
    tls::refusal(&error).unwrap_or_else(|| {
        StoreError::unreachable("can't be reached; start it, or correct the address").because(error)
    })
}

async fn tcp(host: &str, port: u16) -> Result<TcpStream, StoreError> {
    let addresses: Vec<_> = lookup_host((host, port)).await.map_err(unreachable)?.collect();
    let stream = first(addresses).await.map_err(unreachable)?;
    // What is asked is small, and never waits for more.
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

/// Connects to whichever of `addresses` answers first, so that one which is silent hides none of the others.
async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = addresses.into_iter();
    let mut attempts: FuturesUnordered<_> =
        left.next().map(TcpStream::connect).into_iter().collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    while !attempts.is_empty() {
        select! {
            Some(attempt) = attempts.next() => match attempt {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            },
            () = sleep(HEAD_START), if left.len() > 0 => {}
        }
        attempts.extend(left.next().map(TcpStream::connect));
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use tokio::{net::TcpListener, time::timeout};

    use super::*;

    #[tokio::test]
    async fn an_address_that_is_silent_hides_none_of_the_others() {
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        // Of these the system answers as many as there is room for, and no more.
        let full = silent.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) =
            timeout(Duration::from_millis(100), TcpStream::connect(full)).await
        {
            held.push(stream);
        }
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let there = listener.local_addr().unwrap();
        let reached = timeout(Duration::from_secs(5), first(vec![full, gone, there]));
        assert_eq!(reached.await.unwrap().unwrap().peer_addr().unwrap(), there);
        assert!(first(vec![gone, gone]).await.is_err() && first(vec![]).await.is_err());
        drop(held);
    }
}
