//! A server that answers with the bytes of the file `answer`, and keeps in `asked.log` what it was asked
//! last: `server-dev -s http::3000 --proxy -- cargo run -p server-dev --example canned`

use std::{
    env, fs,
    io::{self, BufRead, BufReader, Write},
    net::TcpListener,
};

fn main() -> io::Result<()> {
    let answer = fs::read("answer")?;
    let variable = |name, or: &str| env::var(name).unwrap_or_else(|_| or.to_owned());
    let address = (variable("HOST", "127.0.0.1"), variable("PORT", "3000"));
    let listener = TcpListener::bind(format!("{}:{}", address.0, address.1))?;
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream?);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head)? > 0 {}
        // Somebody may only have looked whether it is there.
        if !head.is_empty() {
            fs::write("asked.log", head)?;
            stream.get_mut().write_all(&answer)?;
        }
    }
    Ok(())
}
