//! Who waits at the proxy, and for how long.

use std::{
    io::Read,
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
        http::{ask_text, head, send},
        tiny,
    },
    web,
};

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
        let (head, _) = ask_text(&address, "/exit", "");
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
    dev.wait_for("output", |output| output["line"] == "slow begins");
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
    let (head, body) = ask_text(&address, "/", "");
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("text/plain"), "{head}");
    assert!(body.contains("not ready within 300ms: it starts"), "{body}");
    let (head, body) = ask_text(&address, "/", "Sec-Fetch-Dest: document\r\n");
    assert!(head.starts_with("HTTP/1.1 503") && head.contains("text/html"), "{head}");
    assert!(body.contains("it starts"), "{body}");
}

#[test]
fn what_only_a_change_can_mend_is_not_waited_for() {
    let folder = Folder::with(&[("value.txt", "exit 3")]);
    folder.write("build", "echo 'a.c:7: no <such> word' >&2; exit 7");
    // Whoever waits after all does so for longer than this test.
    let proxy = ["-s", "http::0", "--proxy", "--proxy-wait", "600s"];
    let builds = [&proxy[..], &["-b", "sh ./build", "--", "true"]].concat();
    let starts = [&proxy[..], &["--", "sh", "-c", "echo '<bad> start' >&2; exit 3"]].concat();
    let serves = [&proxy[..], &["--", "true"]].concat();
    for (arguments, event, words) in [
        (
            &builds,
            "build-failed",
            ["the build has failed: sh", "exit status: 7", "a.c:7: no <such> word"],
        ),
        (&starts, "not-ready", ["is not ready: it has ended", "exit status: 3", "<bad> start"]),
        (&serves, "not-ready", ["is not ready: it has ended", "exit status: 0", ""]),
    ] {
        let mut dev = folder.dev(arguments);
        let address = dev.address();
        dev.wait(event);
        for (accept, kind) in [
            ("Accept: */*\r\n", "text/plain"),
            ("Accept: application/json\r\n", "application/json"),
            ("Sec-Fetch-Dest: document\r\n", "text/html"),
        ] {
            let (head, body) = ask_text(&address, "/", accept);
            assert!(head.starts_with("HTTP/1.1 503") && head.contains(kind), "{head}");
            assert!(body.contains("only a change starts it"), "{body}");
            let plain = body.replace("&lt;", "<").replace("&gt;", ">");
            // Of JSON they are in fields.
            let words = if kind.ends_with("json") { &words[1..] } else { &words };
            assert!(words.iter().all(|word| plain.contains(word)), "{words:?}: {body}");
            if kind.ends_with("json") {
                let said: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert_eq!(said["service"], "server");
                assert!(said["problem"]["reason"].is_string(), "{said}");
            }
        }
    }
}

#[test]
fn a_program_that_asks_right_after_an_edit_waits_for_what_comes_of_it() {
    let folder = Folder::with(&[("value.txt", "exit 3")]);
    let mut dev = folder.dev(&["-s", "http::0", "--settle", "1s", "--proxy", "--", &tiny()]);
    let address = dev.address();
    dev.wait("not-ready");
    folder.write("value.txt", "mended");
    assert_eq!(get(&address).unwrap(), "mended");
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
                let (head, _) = ask_text(&address, "/", "Sec-Fetch-Dest: document\r\n");
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
fn who_does_not_go_on_with_a_request_holds_up_no_end() {
    let folder = Folder::with(&[("page.html", "one")]);
    let mut dev = folder.dev(&["-s", "http::0", "--proxy", "--grace", "300ms", "--", &web()]);
    let address = dev.address();
    dev.wait("ready");
    let _head = send(&address, "GET / HTTP/1.1\r\nHost: loc");
    let _body =
        send(&address, "POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nhalf");
    dev.wait_for("output", |output| output["line"] == "upload begins");
    let begun = Instant::now();
    assert!(dev.end().success());
    assert!(begun.elapsed() < Duration::from_secs(30));
}
