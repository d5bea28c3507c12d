//! What becomes of pages on their way through the proxy, and what stays as it is.

use crate::common::{Dev, Folder, example, http::ask};

/// A server that answers every request with the same bytes.
pub(crate) fn start(answer: &[u8]) -> (Folder, Dev, String) {
    let folder = Folder::with(&[]);
    std::fs::write(folder.path().join("answer"), answer).unwrap();
    let mut dev = folder.dev(&["-s", "http::0", "-e", "none", "--proxy", "--", &example("canned")]);
    let address = dev.address();
    (folder, dev, address)
}

const BROWSER: &str = "Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip\r\n";

pub(crate) fn page(headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{headers}\r\n{body}").into_bytes()
}

#[test]
fn a_page_gets_a_script_with_the_nonce_of_its_policy() {
    let policy = "Content-Type: text/html\r\nContent-Security-Policy: script-src 'nonce-abc'\r\n";
    let (_folder, _dev, address) = start(&page(policy, "<html><head><title>x</title>"));
    let (head, body) = ask(&address, "/", BROWSER);
    let body = String::from_utf8(body).unwrap();
    assert!(head.contains("script-src 'nonce-abc'") && !head.contains("content-length"), "{head}");
    let begin =
        "<html><head><script async src=\"/__server-dev/client.js\" nonce=\"abc\" data-page=\"";
    assert!(body.contains(begin) && body.contains("</script><title>x</title>"), "{body}");
}

#[test]
fn whatever_is_no_page_in_plain_form_stays_as_it_is() {
    let html = "Content-Type: text/html\r\n";
    for (answer, asked) in [
        (page("Content-Type: application/json\r\n", "{\"a\":\"<head>\"}"), BROWSER),
        (page(&format!("{html}Content-Encoding: gzip\r\n"), "\u{1f}<head>"), BROWSER),
        (page(&format!("{html}Content-Disposition: attachment\r\n"), "<head>"), BROWSER),
        (page(&format!("{html}Content-Security-Policy: script-src 'none'\r\n"), "<head>"), BROWSER),
        (page("Content-Type: text/html;  Charset=\"UTF-16LE\"\r\n", "<head>"), BROWSER),
        (page("Content-Type: text/html; a=b; charset=utf-16be\r\n", "<head>"), BROWSER),
        (page(&format!("{html}Content-Encoding: br\r\n"), "<head>"), BROWSER),
        (page(&format!("{html}Content-Encoding: zstd\r\n"), "<head>"), BROWSER),
        (page(html, "<p>a part of a page"), "Sec-Fetch-Dest: empty\r\n"),
        (page(html, "<p>for a program"), ""),
        (page(html, ""), BROWSER),
    ] {
        let (_folder, _dev, address) = start(&answer);
        let (head, body) = ask(&address, "/", asked);
        let wanted = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        assert_eq!(String::from_utf8_lossy(&body), String::from_utf8_lossy(&answer[wanted..]));
        let length = format!("content-length: {}", body.len());
        assert!(head.to_lowercase().contains(&length), "{head}");
    }
}

/// Whether it is UTF-16 a page says in its first two bytes as well.
#[test]
fn a_page_that_begins_as_utf_16_stays_as_it_is() {
    for mark in [b"\xfe\xff", b"\xff\xfe"] {
        let text = [&mark[..], b"<\0h\0e\0a\0d\0>\0"].concat();
        let head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        let (_folder, _dev, address) = start(&[head, &text[..]].concat());
        let (_, body) = ask(&address, "/", BROWSER);
        let has_all = body.windows(text.len()).any(|part| part == text);
        assert!(has_all && !body.windows(7).any(|part| part == b"<script"), "{body:?}");
    }
}

#[test]
fn a_page_that_has_a_script_is_not_called_what_its_server_called_it() {
    let called = "Content-Type: text/html\r\nETag: \"1\"\r\nAccept-Ranges: bytes\r\nContent-MD5: aa\r\n\
                  Repr-Digest: sha-256=:aa:\r\nLast-Modified: Thu, 26 Nov 2026 12:00:00 GMT\r\n";
    let (_folder, _dev, address) = start(&page(called, "<head>"));
    let (head, body) = ask(&address, "/", BROWSER);
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains("<head><script") && head.contains("Last-Modified"), "{head}");
    for name in ["ETag", "Accept-Ranges", "Content-MD5", "Repr-Digest", "content-length"] {
        assert!(!head.contains(name), "{head}");
    }
    let (as_it_is, _) = ask(&address, "/", "");
    assert!(as_it_is.contains("ETag: \"1\"") && as_it_is.contains("Repr-Digest"), "{as_it_is}");
}

#[test]
fn names_of_headers_are_written_as_they_came() {
    let (folder, _dev, address) = start(&page("X-CamelCase: 1\r\n", "text"));
    let (head, _) = ask(&address, "/", "X-OddName: 2\r\n");
    assert!(head.contains("X-CamelCase: 1") && !head.contains("date:"), "{head}");
    let asked = std::fs::read_to_string(folder.path().join("asked.log")).unwrap();
    assert!(asked.contains("X-OddName: 2"), "{asked}");
}

#[test]
fn a_page_is_asked_for_plainly_and_whole_and_nothing_else_is() {
    let (folder, _dev, address) = start(&page("Content-Type: text/plain\r\n", "text"));
    let asked = || std::fs::read_to_string(folder.path().join("asked.log")).unwrap();
    ask(&address, "/", "Accept-Encoding: br\r\nIf-None-Match: \"1\"\r\n");
    let as_it_came = asked();
    assert!(as_it_came.contains(": br\r\n") && as_it_came.contains("If-None-Match: \"1\""));
    ask(&address, "/", &format!("{BROWSER}If-None-Match: \"1\"\r\n"));
    let asked = asked();
    assert!(asked.contains("identity") && !asked.contains("If-None-Match"), "{asked}");
}
