//! What comes in at the proxy, and what goes through it.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use common::{Folder, PATIENCE, example, get, page_is_told, tiny};

/// A connection that has sent `request`; where it lacks a host, it says localhost.
fn send(address: &str, request: &str) -> BufReader<TcpStream> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    BufReader::new(stream)
}

fn head(from: &mut impl BufRead) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(from.read_line(&mut head).unwrap(), 0, "{head}");
    }
    head
}

/// The whole answer to a request on a connection of its own.
fn ask(address: &str, path: &str, headers: &str) -> (String, String) {
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n");
    let mut stream = send(address, &request);
    let (head, mut body) = (head(&mut stream), Vec::new());
    stream.read_to_end(&mut body).unwrap();
    (head, String::from_utf8_lossy(&body).into_owned())
}

fn web() -> String {
    example("web")
}

#[test]
fn passes_on_to_a_port_of_the_process_and_switches_once_the_next_is_ready() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &tiny()]);
    let address = dev.address();
    let ready = dev.wait("ready");
    assert_eq!((ready["by"].as_str(), get(&address).unwrap()), (Some("connects"), "one".into()));
    folder.write("value.txt", "two");
    dev.wait("ready");
    let drained = dev.wait("drained");
    assert_eq!(drained["status"], "exit status: 0");
    assert_eq!(get(&address).unwrap(), "two");
    assert!(dev.end().success());
}

#[test]
fn passes_on_to_a_socket_of_the_process() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy=socket", "--", &tiny()]);
    let address = dev.address();
    let ready = dev.wait("ready");
    assert_eq!((ready["by"].as_str(), get(&address).unwrap()), (Some("accepts"), "one".into()));
    folder.write("value.txt", "two");
    dev.wait("drained");
    assert_eq!(get(&address).unwrap(), "two");
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
fn requests_wait_for_the_first_process() {
    let folder = Folder::with(&[("value.txt", "late")]);
    let mut dev =
        folder.dev_with(&["-s", "http::0", "--proxy", "--", &tiny()], &[("SLOW_START", "700")]);
    let address = dev.address();
    assert_eq!(get(&address).unwrap(), "late");
}

#[test]
fn requests_wait_while_a_process_that_has_ended_is_started_again() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    dev.wait("ready");
    // By a connection that was kept, and by a new one.
    for _ in 0..2 {
        let (head, _) = ask(&address, "/exit", "");
        assert!(head.starts_with("HTTP/1.1 502"), "{head}");
        dev.wait("exited");
        assert_eq!(get(&address).unwrap(), "one");
    }
    // It has ended nothing but the process that it was for.
    let told = dev.tells_within(Duration::from_millis(300));
    assert!(told.iter().all(|event| event["event"] != "exited"), "{told:?}");
}

#[test]
fn the_end_waits_for_what_has_begun_and_for_nobody_who_waits() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    dev.wait("ready");
    let slow = "GET /slow HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let mut slow = send(&address, slow);
    thread::sleep(Duration::from_millis(100));
    assert!(dev.end().success());
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\none"), "{answer}");

    let arguments = ["-s", "http::0", "--proxy", "--grace", "100ms", "--", &tiny()];
    folder.write("value.txt", "never");
    let mut dev = folder.dev_with(&arguments, &[("SLOW_START", "600000")]);
    let address = dev.address();
    dev.wait("starting");
    let mut waits = send(&address, "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    thread::sleep(Duration::from_millis(100));
    assert!(dev.end().success());
    let head = head(&mut waits);
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
}

#[test]
fn who_has_waited_for_long_enough_is_told_why() {
    let folder = Folder::with(&[("value.txt", "never")]);
    let arguments =
        ["-s", "http::0", "--proxy", "--proxy-wait", "300ms", "--grace", "100ms", "--", &tiny()];
    let mut dev = folder.dev_with(&arguments, &[("SLOW_START", "600000")]);
    let address = dev.address();
    dev.wait("starting");
    let (head, body) = ask(&address, "/", "");
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("text/plain"), "{head}");
    assert!(body.contains("not ready within 300ms: it starts"), "{body}");
    let (head, body) = ask(&address, "/", "Sec-Fetch-Dest: document\r\n");
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("text/html"), "{head}");
    assert!(body.contains("it starts"), "{body}");
}

#[test]
fn a_page_that_only_a_change_can_mend_is_not_waited_for() {
    let folder = Folder::with(&[("value.txt", "exit 3")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &tiny()]);
    let address = dev.address();
    dev.wait("not-ready");
    let begun = Instant::now();
    let (head, body) = ask(&address, "/", "Sec-Fetch-Dest: document\r\n");
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert!(body.contains("only a change starts it"), "{body}");
    assert!(begun.elapsed() < Duration::from_secs(20));
    // A request of a program waits for the change.
    let waits = {
        let address = address.clone();
        thread::spawn(move || get(&address).unwrap())
    };
    folder.write("value.txt", "mended");
    assert_eq!(waits.join().unwrap(), "mended");
}

#[test]
fn no_request_is_lost_over_twenty_replacements() {
    let folder = Folder::with(&[("page.html", "0")]);
    let mut dev = folder.dev(&["-s", "http::0", "--settle", "5ms", "--proxy", "--", &web()]);
    let address = dev.address();
    dev.wait("ready");
    let over = Arc::new(AtomicBool::new(false));
    let mut clients: Vec<_> = (0..4)
        .map(|n| {
            let (over, address) = (Arc::clone(&over), address.clone());
            thread::spawn(move || {
                let (mut answered, mut last) = (0, 0);
                // Two keep their connection, and two do not.
                let mut kept = send(&address, "");
                while !over.load(Ordering::Relaxed) {
                    let body = if n % 2 == 0 {
                        kept.get_mut()
                            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
                            .unwrap();
                        let head = head(&mut kept);
                        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
                        let length = head.split("content-length: ").nth(1).unwrap();
                        let length = length.lines().next().unwrap().parse().unwrap();
                        let mut body = vec![0; length];
                        kept.read_exact(&mut body).unwrap();
                        String::from_utf8(body).unwrap()
                    } else {
                        get(&address).expect("an answer")
                    };
                    let now = body.parse::<u32>().unwrap();
                    assert!(now >= last, "{now} after {last}");
                    last = now;
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    clients.push({
        let (over, address) = (Arc::clone(&over), address.clone());
        thread::spawn(move || {
            let mut answered = 0;
            while !over.load(Ordering::Relaxed) {
                let said = "x".repeat(100_000);
                let request = format!(
                    "POST /echo HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{said}",
                    said.len()
                );
                let mut answer = String::new();
                send(&address, &request).read_to_string(&mut answer).unwrap();
                assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(&said), "{answer}");
                answered += 1;
            }
            answered
        })
    });
    for n in 1..=20 {
        folder.write("page.html", &n.to_string());
        dev.wait_for("ready", |event| event["generation"] == n + 1);
    }
    dev.wait("drained");
    over.store(true, Ordering::Relaxed);
    let answered: u32 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    assert!(answered > 100, "{answered}");
}

#[test]
fn what_a_process_has_begun_is_answered_though_it_knows_no_draining() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    dev.wait("ready");
    let mut slow =
        send(&address, "GET /slow HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    thread::sleep(Duration::from_millis(50));
    folder.write("page.html", "two");
    dev.wait("ready");
    // While the old one still answers.
    assert_eq!(get(&address).unwrap(), "two");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).unwrap();
    assert!(answer.ends_with("\r\n\r\none"), "{answer}");
    dev.wait("drained");
}

#[test]
fn an_event_stream_flows_and_holds_up_no_replacement() {
    let folder = Folder::with(&[("page.html", "one")]);
    let arguments = ["-s", "http::0", "--grace", "60s", "--proxy", "--", &web()];
    let mut dev = folder.dev_with(&arguments, &[("DRAINS", "1")]);
    let address = dev.address();
    dev.wait("ready");
    let mut stream = send(&address, "GET /events HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head(&mut stream).starts_with("HTTP/1.1 200"));
    let mut lines = stream.lines().map_while(Result::ok);
    assert!(lines.any(|line| line == "data: 3"));
    folder.write("page.html", "two");
    dev.wait("ready");
    let begun = Instant::now();
    dev.wait("drained");
    assert!(begun.elapsed() < Duration::from_secs(30));
    assert!(lines.any(|line| line == "0"), "its last chunk");
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
fn a_connection_that_is_upgraded_is_passed_on_both_ways() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--", &web()]);
    let address = dev.address();
    let request = "GET /upgrade HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nOrigin: http://localhost\r\n\r\n";
    let mut stream = send(&address, request);
    let head = head(&mut stream);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(head.to_lowercase().contains("upgrade: websocket"), "{head}");
    for said in [&b"\x81\x05hello"[..], b"\0\xff\r\n", &[7; 1000]] {
        stream.get_mut().write_all(said).unwrap();
        let mut echoed = vec![0; said.len()];
        stream.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, said);
    }
    // The process that answers it is replaced, and it ends.
    folder.write("page.html", "two");
    dev.wait("drained");
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
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
fn where_two_can_not_run_at_once_requests_wait_in_between() {
    let folder = Folder::with(&[("page.html", "0")]);
    let arguments = ["-s", "http::0", "--settle", "5ms", "--proxy=socket", "--no-overlap"];
    let arguments: Vec<&str> = arguments.into_iter().chain(["--", web().leak() as &str]).collect();
    let mut dev = folder.dev_with(&arguments, &[("SLOW_START", "100")]);
    let address = dev.address();
    dev.wait("ready");
    let over = Arc::new(AtomicBool::new(false));
    let asking = {
        let (over, address) = (Arc::clone(&over), address.clone());
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                get(&address).expect("an answer");
                // As a page does that is to be shown.
                let (head, _) = ask(&address, "/", "Sec-Fetch-Dest: document\r\n");
                assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            }
        })
    };
    for n in 1..=5 {
        folder.write("page.html", &n.to_string());
        dev.wait_for("ready", |event| event["generation"] == n + 1);
        assert_eq!(get(&address).unwrap(), n.to_string());
    }
    over.store(true, Ordering::Relaxed);
    asking.join().unwrap();
}

#[test]
fn an_answer_without_an_end_holds_up_nobody_for_long() {
    let folder = Folder::with(&[("page.html", "one")]);
    let arguments = ["-s", "http::0", "--grace", "60s", "--no-overlap", "--proxy", "--", &web()];
    let mut dev = folder.dev(&arguments);
    let address = dev.address();
    dev.wait("ready");
    let mut stream = send(&address, "GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n");
    assert!(head(&mut stream).starts_with("HTTP/1.1 200"));
    folder.write("page.html", "two");
    let begun = Instant::now();
    dev.wait("drained");
    assert_eq!(get(&address).unwrap(), "two");
    assert!(begun.elapsed() < Duration::from_secs(30));
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

/// The old one, started again, is not what the sources say.
#[test]
fn a_server_that_is_started_again_leaves_the_build_that_failed_to_be_seen() {
    let folder = Folder::with(&[("value.txt", "one"), ("code", "exit 0")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--build", "sh ./code", "--", &tiny()]);
    let address = dev.address();
    let first = dev.wait("ready");
    folder.write("code", "echo 'code:1: no such word' >&2; exit 7");
    dev.wait("build-failed");
    page_is_told(&address, |told| told["problem"]["kind"] == "build");
    let pid = first["pid"].as_u64().and_then(|pid| i32::try_from(pid).ok());
    let pid = pid.and_then(rustix::process::Pid::from_raw).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
    dev.wait("exited");
    dev.wait("ready");
    let told = page_is_told(&address, |told| told["ready"] == true);
    assert_eq!(told["problem"]["kind"], "build", "{told}");
    folder.write("code", "exit 0");
    dev.wait("ready");
    page_is_told(&address, |told| told["problem"].is_null());
}
