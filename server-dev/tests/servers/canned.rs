//! A server that answers with the bytes of the file `answer`, or never if there are none, and keeps in
//! `asked.log` what it was asked last:
//! `server-dev -s http::3000 --proxy -- cargo run -p server-dev --example canned`

mod own_address;

use std::{
    fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
};

use own_address::own_address;

fn main() -> io::Result<()> {
    let answer = fs::read("answer")?;
    let listener = TcpListener::bind(own_address())?;
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head)? > 0 {}
        // Somebody may only have looked whether it is there.
        if !head.is_empty() {
            fs::write("asked.log", head)?;
            stream.get_mut().write_all(&answer)?;
        }
        // To close the connection would be an answer.
        if answer.is_empty() {
            // However whoever asks ends it.
            let _end = io::copy(&mut stream, &mut io::sink());
        }
    }
    Ok(())
}
