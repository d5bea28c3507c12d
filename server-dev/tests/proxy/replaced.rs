//! What goes on at the proxy while a process is replaced by the next.

use std::{
    io::{BufRead, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    common::{
        Folder, get,
        http::{head, send},
        page_is_told, pid,
        process::kill,
        tiny,
    },
    web,
};

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
fn a_page_takes_its_style_sheets_anew_though_no_rule_says_so() {
    let folder = Folder::with(&[("value.txt", "one"), ("static/site.css", "a {}")]);
    let mut dev = folder.dev(&["-s", "http::0", "-e", "txt", "--proxy", "--", &tiny()]);
    let address = dev.address();
    let ready = dev.wait("ready");
    folder.write("static/site.css", "b {}");
    dev.wait("changed");
    page_is_told(&address, |told| told["styles"] == 1);
    folder.write("value.txt", "two");
    let next = dev.wait("ready");
    assert_eq!(next["generation"].as_u64(), ready["generation"].as_u64().map(|it| it + 1));
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
    dev.wait_for("output", |output| output["line"] == "slow begins");
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
    kill(pid(&first));
    dev.wait("exited");
    dev.wait("ready");
    let told = page_is_told(&address, |told| told["ready"] == true);
    assert_eq!(told["problem"]["kind"], "build", "{told}");
    folder.write("code", "exit 0");
    dev.wait("ready");
    page_is_told(&address, |told| told["problem"].is_null());
}
