//! What no store can be faster than: as many bytes to another task and back, by TCP.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};

use crate::subject::{PAUSE, Scale, Value};

pub(crate) async fn round_trips(scale: Scale) -> Vec<Duration> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("an address");
    let address = listener.local_addr().expect("an address");
    let echo = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let (mut read, mut write) = stream.split();
        // It ends with the connection.
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.set_nodelay(true).expect("a connection");
    let mut times = Vec::new();
    for n in 0..scale.puts_in_all() {
        sleep(PAUSE).await;
        let text = Value::text(n);
        let mut back = vec![0; text.len()];
        let begun = Instant::now();
        stream.write_all(text.as_bytes()).await.expect("a connection");
        stream.read_exact(&mut back).await.expect("a connection");
        times.push(begun.elapsed());
    }
    echo.abort();
    times
}
