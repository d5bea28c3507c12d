//! Clients that mean no good and speak HTTP/2, frame by frame (RFC 9113).

mod common;

use std::time::Duration;

use common::{Client, Lab, text};
use hot_reload::WatchStrategy::Realtime;
use tokio::time::{Instant, sleep};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What asks for `GET /healthz` of `test`, by the static table and a literal (RFC 7541).
const REQUEST: &[u8] = b"\x82\x86\x04\x08/healthz\x01\x04test";

/// `:status: 431`: a literal whose name the static table has at 8, in Huffman's code.
const STATUS_431: &[u8] = b"\x48\x83\x69\x90\xff";

fn with(limits: &str) -> String {
    let text = text("one", &["127.0.0.1:0"]);
    format!("{text}admin_address = '127.0.0.1:0'\n[limits]\n{limits}\n")
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn client(lab: &Lab) -> Client {
    let mut client = lab.client().await;
    client.send_anyway(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    client
}

/// Reads the next frame.
async fn frame_of(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.exactly(9).await;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    (head[3], client.exactly(usize::try_from(length).unwrap()).await)
}

/// The kinds of the frames in `bytes`, and the error code of each that has one.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Option<u32>)> {
    let mut found = Vec::new();
    while let [a, b, c, kind, _flags, _s1, _s2, _s3, _s4, rest @ ..] = bytes {
        let length = usize::try_from(u32::from_be_bytes([0, *a, *b, *c])).unwrap();
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        let at = match *kind {
            GOAWAY => Some(4),
            RST_STREAM => Some(0),
            _ => None,
        };
        let code = at.map(|at| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap()));
        found.push((*kind, code));
        bytes = rest;
    }
    found
}

/// Error codes, RFC 9113, section 7.
const ENHANCE_YOUR_CALM: u32 = 11;

/// Sends `bytes` time and again until the connection is ended, and returns what the server said.
async fn flood(
    client: &mut Client,
    mut bytes: impl FnMut(u32) -> Vec<u8>,
) -> Vec<(u8, Option<u32>)> {
    for n in 0..200_000 {
        if client.send_anyway(&bytes(n)).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
    }
    frames(&client.rest().await)
}

/// CVE-2023-44487.
#[tokio::test]
async fn requests_that_are_reset_at_once_end_the_connection() {
    let lab = Lab::new(Realtime, &with("")).await;
    let mut client = client(&lab).await;
    let burst = |n: u32| {
        let mut all = Vec::new();
        for m in 0..50 {
            let stream = 2 * (50 * n + m) + 1;
            all.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST));
            all.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
        }
        all
    };
    let said = flood(&mut client, burst).await;
    assert!(said.contains(&(GOAWAY, Some(ENHANCE_YOUR_CALM))), "{said:?}");
    assert_eq!(lab.name().await, "one");
    lab.until_connections(0).await;
    lab.end().await;
}

/// CVE-2024-27316 and others.
#[tokio::test]
async fn a_head_without_an_end_ends_the_connection() {
    let lab = Lab::new(Realtime, &with("")).await;
    let mut client = client(&lab).await;
    client.send_anyway(&frame(HEADERS, END_STREAM, 1, REQUEST)).await.unwrap();
    // A literal that is not kept, so that only the size of the list counts.
    let field = [b"\x00\x01x\x7f\x81\x07", &[b'a'; 256][..]].concat();
    let said = flood(&mut client, |_| frame(CONTINUATION, 0, 1, &field)).await;
    assert!(said.iter().any(|(kind, _)| *kind == GOAWAY), "{said:?}");
    assert_eq!(lab.name().await, "one");
    lab.until_connections(0).await;
    lab.end().await;
}

/// CVE-2019-9512 and CVE-2019-9515.
#[tokio::test]
async fn who_asks_for_answers_and_takes_none_is_cut_off() {
    let lab = Lab::new(Realtime, &with("write_timeout_ms = 300")).await;
    for asked in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 0, 0, &[])] {
        let mut client = client(&lab).await;
        let many = asked.repeat(2000);
        while client.send_anyway(&many).await.is_ok() {}
        assert_eq!(lab.name().await, "one");
        lab.until_connections(0).await;
    }
    lab.end().await;
}

/// Once for ever: nothing is written that could stall.
#[tokio::test]
async fn who_leaves_no_room_for_an_answer_is_cut_off() {
    let lab = Lab::new(Realtime, &with("write_timeout_ms = 300")).await;
    let mut client = client(&lab).await;
    // SETTINGS_INITIAL_WINDOW_SIZE of 0.
    client.send_anyway(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await.unwrap();
    client.send_anyway(&frame(HEADERS, END_HEADERS | END_STREAM, 1, REQUEST)).await.unwrap();
    client.rest().await;
    lab.until_connections(0).await;
    lab.end().await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_answered_431() {
    let lab = Lab::new(Realtime, &with("max_header_bytes = 8192")).await;
    let mut client = client(&lab).await;
    // 20 fields of 600 bytes.
    let field = [b"\x00\x01x\x7f\xd9\x03", &[b'a'; 600][..]].concat();
    let head = [REQUEST, &field.repeat(20)].concat();
    client.send_anyway(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &head)).await.unwrap();
    let answer = loop {
        let (kind, payload) = frame_of(&mut client).await;
        if kind == HEADERS {
            break payload;
        }
    };
    assert!(answer.starts_with(STATUS_431), "{answer:x?}");
    assert_eq!(lab.name().await, "one");
    let begun = Instant::now();
    lab.end().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "it is no request that is under way");
}

#[tokio::test]
async fn a_client_that_only_connects_or_only_pings_is_idle() {
    let limits = "header_timeout_ms = 300\nkeep_alive_timeout_ms = 500";
    let lab = Lab::new(Realtime, &with(limits)).await;
    let _silent = client(&lab).await;
    let mut pinging = client(&lab).await;
    pinging.send_anyway(&frame(HEADERS, END_HEADERS | END_STREAM, 1, REQUEST)).await.unwrap();
    while pinging.send_anyway(&frame(PING, 0, 0, &[0; 8])).await.is_ok() {
        sleep(Duration::from_millis(50)).await;
    }
    lab.until_connections(0).await;
    lab.end().await;
}
