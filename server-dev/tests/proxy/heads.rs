//! Heads that were written to be read in two ways, or by somebody older.

use std::{fs, io::Read};

use crate::{
    common::http::{ask, head, send},
    pages::{page, start},
};

fn plain() -> Vec<u8> {
    page("Content-Type: text/plain\r\n", "text")
}

#[test]
fn what_two_may_read_differently_reaches_no_server() {
    let (folder, _dev, address) = start(&plain());
    let host = "Host: localhost\r\n";
    for (request, status) in [
        (format!("GET / HTTP/1.1\r\n{host}{host}\r\n"), "400"),
        ("GET / HTTP/1.1\r\nX-No: host\r\n\r\n".to_owned(), "400"),
        (format!("GET / HTTP/1.1\r\n{host}X-Folded: a\r\n b\r\n\r\n"), "400"),
        (format!("GET / HTTP/1.1\r\n{host}X-Space : a\r\n\r\n"), "400"),
        (
            format!("POST / HTTP/1.1\r\n{host}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
            "400",
        ),
        (format!("POST / HTTP/1.1\r\n{host}Content-Length: +1\r\n\r\na"), "400"),
        (
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
            "400",
        ),
        (
            format!("POST / HTTP/1.1\r\n{host}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
            "501",
        ),
        (format!("POST / HTTP/1.0\r\n{host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), "400"),
    ] {
        let head = head(&mut send(&address, &request));
        assert_eq!(head.split(' ').nth(1), Some(status), "{request}{head}");
    }
    assert!(!folder.path().join("asked.log").exists());
}

#[test]
fn of_two_lengths_the_chunks_are_right() {
    let both = "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let answer = format!("HTTP/1.1 200 OK\r\n{both}\r\n5\r\nhello\r\n0\r\n\r\n");
    let (folder, _dev, address) = start(answer.as_bytes());
    let request =
        format!("POST / HTTP/1.1\r\nHost: localhost\r\n{both}\r\n5\r\nhello\r\n0\r\n\r\n");
    let mut answer = String::new();
    send(&address, &request).read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), "{answer}");
    let asked = fs::read_to_string(folder.path().join("asked.log")).unwrap();
    for head in [answer, asked] {
        assert!(!head.to_lowercase().contains("content-length"), "{head}");
    }
}

#[test]
fn no_request_takes_the_host_away() {
    let (folder, _dev, address) = start(&plain());
    let asked = || fs::read_to_string(folder.path().join("asked.log")).unwrap();
    head(&mut send(&address, "GET / HTTP/1.1\r\nHost: localhost:1\r\nConnection: Host\r\n\r\n"));
    assert!(asked().contains("Host: localhost:1\r\n"), "{}", asked());
}

#[test]
fn a_client_of_http1_0_is_answered_by_a_server_of_http1_1() {
    let (folder, _dev, address) =
        start(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n");
    let mut answer = String::new();
    send(&address, "GET / HTTP/1.0\r\n\r\n").read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "HTTP/1.0 200 OK\r\n\r\none");
    let asked = fs::read_to_string(folder.path().join("asked.log")).unwrap();
    assert!(asked.to_lowercase().contains("\r\nhost: localhost\r\n"), "{asked}");
}

#[test]
fn an_absolute_target_is_that_of_the_server_alone() {
    let (folder, _dev, address) = start(&plain());
    let request = "GET http://app.localhost:1/a?b HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert!(head(&mut send(&address, request)).starts_with("HTTP/1.1 200"));
    let asked = fs::read_to_string(folder.path().join("asked.log")).unwrap();
    assert!(asked.starts_with("GET /a?b HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("ost: app.localhost:1\r\n"), "{asked}");
    for other in ["http://other.example/", "http://a:b@localhost/"] {
        let request = format!("GET {other} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(head(&mut send(&address, &request)).starts_with("HTTP/1.1 403"), "{other}");
    }
}

#[test]
fn answers_that_are_none_are_told() {
    for (answer, why) in [
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: odd\r\n\r\n",
            "nobody has asked",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "transfer coding"),
    ] {
        let (_folder, _dev, address) = start(answer.as_bytes());
        let (head, body) = ask(&address, "/", "");
        let body = String::from_utf8_lossy(&body);
        assert!(head.starts_with("HTTP/1.1 502") && body.contains(why), "{head}{body}");
    }
}

#[test]
fn a_request_that_breaks_off_is_its_own_fault() {
    let (_folder, _dev, address) = start(b"");
    let request =
        "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcde";
    let head = head(&mut send(&address, request));
    assert!(head.starts_with("HTTP/1.1 400"), "{head}");
}

#[test]
fn as_many_headers_go_through_as_anybody_writes() {
    let many: Vec<String> = (0..500).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = many.concat();
    let (folder, _dev, address) = start(&page(&many, "text"));
    let long = "a".repeat(100_000);
    let (head, _) = ask(&address, "/", &format!("{many}X-Long: {long}\r\n"));
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("X-499: 1\r\n"), "{head}");
    let asked = fs::read_to_string(folder.path().join("asked.log")).unwrap();
    assert!(asked.contains("X-499: 1\r\n") && asked.contains(&long), "{}", asked.len());
}
