//! Requests of HTTP/1.1 as they are written, and what comes back.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
};

use super::PATIENCE;

/// A connection that has sent `request`.
pub fn send(address: &str, request: &str) -> BufReader<TcpStream> {
    try_send(address, request).expect("a connection that takes a request")
}

/// The same, where there may be nobody who takes it.
pub fn try_send(address: &str, request: &str) -> io::Result<BufReader<TcpStream>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    Ok(BufReader::new(stream))
}

/// The next head that comes.
pub fn head(from: &mut impl BufRead) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let length = from.read_until(b'\n', &mut head).expect("an answer");
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&head));
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The whole answer to a request on a connection of its own.
pub fn ask(address: &str, path: &str, headers: &str) -> (String, Vec<u8>) {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    let mut stream = send(address, &request);
    let (head, mut body) = (head(&mut stream), Vec::new());
    stream.read_to_end(&mut body).expect("a whole answer");
    (head, body)
}

/// The same, where the body is a text.
pub fn ask_text(address: &str, path: &str, headers: &str) -> (String, String) {
    let (head, body) = ask(address, path, headers);
    (head, String::from_utf8_lossy(&body).into_owned())
}
