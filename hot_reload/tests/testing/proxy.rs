//! The network that misbehaves does so as it is told.

use std::{io::ErrorKind, time::Duration};

use hot_reload::testing::Proxy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Longer than loopback takes, to see that nothing comes.
const A_WHILE: Duration = Duration::from_millis(100);

/// A server that gives back what it gets.
async fn echo() -> Proxy {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap()).await;
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                drop(tokio::io::copy(&mut read, &mut write).await);
                drop(write.shutdown().await);
            });
        }
    });
    proxy
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.unwrap()
}

/// Sends it, and waits until it is back.
async fn say(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(bytes).await?;
    hear(stream, bytes).await
}

async fn hear(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let mut heard = vec![0; bytes.len()];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await??;
    assert_eq!(heard, bytes);
    Ok(())
}

async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

#[tokio::test]
async fn passes_everything_and_counts() {
    let proxy = echo().await;
    let mut one = connect(&proxy).await;
    let two = connect(&proxy).await;
    say(&mut one, &vec![7; 1_000_000]).await.unwrap();
    until(|| proxy.connections() == 2).await;
    drop(two);
    until(|| proxy.connections() == 1).await;
    assert_eq!(proxy.accepted(), 2);
    // What one side has to say may go on when the other's is over.
    one.shutdown().await.unwrap();
    assert_eq!(one.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn delays_each_way() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"at once").await.unwrap();
    proxy.delay(Duration::from_millis(50));
    let begun = Instant::now();
    say(&mut stream, b"there and back").await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(100));
}

#[tokio::test]
async fn throttles() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    proxy.throttle(10_000);
    let begun = Instant::now();
    say(&mut stream, &[7; 5000]).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_black_hole_holds_what_it_swallows() {
    let proxy = echo().await;
    let mut old = connect(&proxy).await;
    say(&mut old, b"before").await.unwrap();
    proxy.black_hole();
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"meanwhile").await.unwrap();
        assert!(timeout(A_WHILE, stream.read(&mut [0])).await.is_err());
    }
    proxy.pass();
    for stream in [&mut old, &mut new] {
        hear(stream, b"meanwhile").await.unwrap();
    }
}

#[tokio::test]
async fn cuts_what_is_open_and_takes_the_next() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"before").await.unwrap();
    proxy.cut();
    let error = timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    say(&mut connect(&proxy).await, b"after").await.unwrap();
}

#[tokio::test]
async fn refuses_until_it_is_told_to_pass() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"before").await.unwrap();
    for _ in 0..3 {
        proxy.refuse();
        assert!(stream.read(&mut [0]).await.is_err());
        until(|| proxy.connections() == 0).await;
        sleep(A_WHILE).await;
        let error = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        proxy.pass();
        stream = timeout(PATIENCE, async {
            loop {
                match TcpStream::connect(proxy.address()).await {
                    Ok(stream) => return stream,
                    Err(_) => sleep(Duration::from_millis(1)).await,
                }
            }
        })
        .await
        .unwrap();
        say(&mut stream, b"after").await.unwrap();
    }
}

#[tokio::test]
async fn half_closed_the_client_hears_the_end_and_may_speak() {
    let proxy = echo().await;
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"before").await.unwrap();
    proxy.half_close();
    assert_eq!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().unwrap(), 0);
    stream.write_all(b"into the void").await.unwrap();
    assert_eq!(proxy.connections(), 1);
    say(&mut connect(&proxy).await, b"another").await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_by_a_reset() {
    let nobody = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap();
    let proxy = Proxy::start(nobody).await;
    let mut stream = connect(&proxy).await;
    assert!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap().is_err());
    until(|| proxy.connections() == 0).await;
}

#[tokio::test]
async fn ends_with_everything_when_dropped() {
    let proxy = echo().await;
    let address = proxy.address();
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"before").await.unwrap();
    drop(proxy);
    assert!(matches!(timeout(PATIENCE, stream.read(&mut [0])).await.unwrap(), Ok(0) | Err(_)));
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, refused).await.unwrap();
}
