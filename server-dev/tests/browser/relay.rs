//! Stands between a browser and a server, and knows what goes through.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

/// What a browser asks for to be told.
const STREAM: &[u8] = b"GET /__server-dev/events ";

/// A relay that ends with the test.
pub(crate) struct Relay {
    pub(crate) url: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    connections: Vec<TcpStream>,
    /// How often a stream of events was asked for.
    streams: usize,
}

impl Relay {
    /// One to the server at `address`.
    pub(crate) fn to(address: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Seen::default()));
        let counted = Arc::clone(&seen);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(&address) else { continue };
                counted.lock().unwrap().connections.push(client.try_clone().unwrap());
                let answers = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let counted = Arc::clone(&counted);
                thread::spawn(move || {
                    pass_on(client, server, |bytes| {
                        let begins = bytes.windows(STREAM.len()).filter(|it| *it == STREAM);
                        counted.lock().unwrap().streams += begins.count();
                    });
                });
                thread::spawn(move || pass_on(answers.0, answers.1, |_| {}));
            }
        });
        Self { url, seen }
    }

    /// Breaks whatever is connected.
    pub(crate) fn cut(&self) {
        for connection in self.seen.lock().unwrap().connections.drain(..) {
            // It may have ended already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn streams(&self) -> usize {
        self.seen.lock().unwrap().streams
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, mut see: impl FnMut(&[u8])) {
    let mut bytes = [0; 16 * 1024];
    while let Ok(length @ 1..) = from.read(&mut bytes) {
        see(&bytes[..length]);
        if to.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
    // Either may be gone.
    let _ = to.shutdown(Shutdown::Write);
}
