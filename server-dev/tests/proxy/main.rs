//! What comes in at the proxy, and what goes through it.

#[path = "../common/mod.rs"]
mod common;
mod heads;
mod http2;
mod pages;
mod replaced;
mod waiting;

use std::{
    io::{Read, Write},
    time::{Duration, Instant},
};

use common::{
    Folder, example, get,
    http::{head, send},
};

fn web() -> String {
    example("web")
}

#[test]
fn a_process_is_ready_once_it_answers_where_it_is_asked() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--ready", "/healthy", "--", &web()]);
    let address = dev.address();
    dev.wait("starting");
    assert!(dev.tells_within(Duration::from_millis(500)).is_empty());
    folder.write("healthy", "yes");
    dev.wait_for("ready", |ready| ready["by"] == "answers");
    assert_eq!(get(&address).unwrap(), "one");
}

#[test]
fn a_process_that_is_not_ready_is_asked_now_and_then_and_quoted() {
    let folder = Folder::with(&[("page.html", "one")]);
    let text = format!(
        "[services.web]\ncommand = [{:?}]\nsockets = ['http::0']\nproxy = 'port'\n\
         ready = {{ http = '/unhealthy' }}\nready_timeout = '2s'\n",
        web()
    );
    folder.write("server-dev.toml", &text);
    let mut dev = folder.dev(&[]);
    let reason = dev.wait("not-ready")["reason"].as_str().unwrap().to_owned();
    let last = "within 2s; the last look at /unhealthy: it answered 500 Internal Server Error; see `ready`";
    assert!(reason.contains(last), "{reason}");
    let asked = dev.told.iter().filter(|event| event["line"] == "unhealthy").count();
    assert!((5..100).contains(&asked), "{asked}");
}

#[test]
fn an_answer_is_passed_on_as_it_comes() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    let mut stream = send(&address, "GET /halves HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head(&mut stream).contains("transfer-encoding: chunked"));
    let mut half = [0; 8];
    let begun = Instant::now();
    stream.read_exact(&mut half).unwrap();
    assert_eq!((&half, begun.elapsed() < Duration::from_millis(600)), (b"3\r\none\r\n", true));
    stream.read_exact(&mut half).unwrap();
    assert_eq!(&half, b"3\r\ntwo\r\n");
}

#[test]
fn bodies_and_headers_go_through_as_they_are() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    let multipart = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n\0\u{1}\r\n--b--\r\n";
    let length = multipart.len();
    let request = format!(
        "POST /echo?a=%20b&c HTTP/1.1\r\nHost: localhost\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n\
         Accept-Encoding: br\r\nContent-Type: multipart/form-data; boundary=b\r\n\
         Content-Length: {length}\r\n\r\n{multipart}"
    );
    let mut stream = send(&address, &request);
    let head_of_it = head(&mut stream);
    for part in ["x-head: POST /echo?a=%20b&c ", "\"br\"", "\"localhost\"", "boundary=b\r\n"] {
        assert!(head_of_it.contains(part), "{part}: {head_of_it}");
    }
    assert!(!head_of_it.contains("x-hop"), "{head_of_it}");
    assert!(
        head_of_it.contains(&format!("content-length: {length}")) || head_of_it.contains("chunked")
    );
    let mut body = String::new();
    stream.read_to_string(&mut body).unwrap();
    assert!(body.contains(multipart), "{body:?}");

    // A piece comes back before the next is sent.
    let request =
        "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    let mut stream = send(&address, request);
    assert!(head(&mut stream).contains("transfer-encoding: chunked"));
    let mut piece = [0; 8];
    stream.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"3\r\nabc\r\n");
    stream.get_mut().write_all(b"3\r\ndef\r\n0\r\n\r\n").unwrap();
    let mut rest = [0; 13];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(&rest, b"3\r\ndef\r\n0\r\n\r\n");
}

#[test]
fn a_head_alone_is_passed_on_as_it_is() {
    let folder = Folder::with(&[("page.html", "<head>")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    let request = "HEAD / HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Dest: document\r\nConnection: close\r\n\r\n";
    let mut answer = String::new();
    send(&address, request).read_to_string(&mut answer).unwrap();
    assert!(answer.contains("content-length: 6\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[test]
fn pages_of_other_sites_are_refused() {
    let folder = Folder::with(&[("page.html", "one")]);
    let arguments = ["-s", "http::0", "--proxy", "--allow-host", "app.test", "--", &web()];
    let mut dev = folder.dev(&arguments);
    let address = dev.address();
    for (host, origin, status) in [
        (address.as_str(), "", "200"),
        ("app.test", "", "200"),
        ("rebound.example", "", "403"),
        ("localhost", "Origin: http://localhost:5173\r\n", "200"),
        ("localhost", "Origin: https://other.example\r\n", "403"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{origin}\r\n");
        let head = head(&mut send(&address, &request));
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{host} {origin}: {head}");
    }
}

#[test]
fn what_can_not_work_is_refused_at_the_start() {
    let folder = Folder::with(&[]);
    for arguments in
        [&["--proxy", "--", "true"][..], &["-s", "http::0", "--ready", "/up", "--", "true"]]
    {
        assert_eq!(folder.dev(arguments).wait_for_end().code(), Some(1), "{arguments:?}");
    }
}

#[test]
fn a_server_that_listens_elsewhere_is_told_where_it_was_looked_for() {
    let folder = Folder::with(&[]);
    let text = "[services.web]\ncommand = 'sleep 600'\nsockets = ['http::0']\n\
                proxy = 'port'\nready_timeout = '200ms'\n";
    folder.write("server-dev.toml", text);
    let mut dev = folder.dev(&[]);
    let failed = dev.wait("not-ready");
    let reason = failed["reason"].as_str().unwrap();
    assert!(reason.contains("HOST and PORT within 200ms"), "{reason}");
}

#[test]
fn a_server_that_binds_the_port_that_is_held_is_told_to_be_put_behind_a_proxy() {
    let folder = Folder::with(&[("page.html", "one")]);
    let server = ["--", "env", "-u", "LISTEN_FDS", &web()];
    for (before, is_hinted) in [(&["-s", "http::0"][..], true), (&[], false)] {
        let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = holder.local_addr().unwrap().port().to_string();
        // Where nothing is held, it is somebody else's.
        let env = [("PORT", port.as_str()), ("HOST", "127.0.0.1")];
        let mut dev = folder.dev_with(&[before, &server].concat(), &env);
        let reason = dev.wait("not-ready")["reason"].as_str().unwrap().to_owned();
        assert!(reason.starts_with("it has ended: exit status: 1"), "{reason}");
        assert_eq!(reason.contains("add --proxy"), is_hinted, "{reason}");
    }
}
