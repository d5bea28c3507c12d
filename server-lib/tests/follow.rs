//! The server follows its configuration, and only one that works.

mod common;

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::channel,
    },
    time::Duration,
};

use common::{
    Client, Lab, PATIENCE, options, text,
    tls::{Authority, Files, https, replace},
};
use hot_reload::{
    ReloaderService, TomlFile,
    WatchStrategy::{self, Hybrid, Polling, Realtime},
};
use server_lib::{Address, Server, ServerConfig, ServerContextBuilder, ServerError, ServerStatus};
use tokio::{net::TcpStream, time::timeout};

const LOOPBACK: &str = "127.0.0.1:0";
const SECOND: &str = "127.0.0.2:0";

async fn answers_from_the_newest(strategy: WatchStrategy) {
    let mut lab = Lab::new(strategy, &text("one", &[LOOPBACK])).await;
    assert_eq!(lab.name().await, "one");
    lab.apply(&text("two", &[LOOPBACK])).await;
    assert_eq!(lab.name().await, "two");
    lab.end().await;
}

#[tokio::test]
async fn answers_from_the_newest_when_polling() {
    answers_from_the_newest(Polling).await;
}

#[tokio::test]
async fn answers_from_the_newest_in_realtime() {
    answers_from_the_newest(Realtime).await;
}

#[tokio::test]
async fn answers_from_the_newest_in_hybrid() {
    answers_from_the_newest(Hybrid).await;
}

#[tokio::test]
async fn opens_and_closes_addresses() {
    let mut lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    let first = lab.address();

    let both = lab.apply(&text("two", &[LOOPBACK, SECOND])).await;
    let tcp: Vec<_> = both.local_addresses.iter().filter_map(Address::socket_addr).collect();
    let [kept, second] = tcp[..] else { panic!("{both:?}") };
    assert_eq!(kept, first, "an address that stays keeps its port");
    assert_eq!(Client::connect(second).await.name().await, "two");

    let mut idle = Client::connect(first).await;
    assert_eq!(idle.name().await, "two");
    let after = lab.apply(&text("three", &[SECOND])).await;
    assert_eq!(after.local_addresses, [second.into()]);
    let refused = timeout(PATIENCE, TcpStream::connect(first)).await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    idle.closed().await;
    assert_eq!(lab.name().await, "three");
    lab.end().await;
}

#[tokio::test]
async fn refuses_as_a_whole_what_cannot_be_bound() {
    let mut lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    let first = lab.address();
    // No machine has this one: RFC 5737.
    lab.replace(&text("two", &[SECOND, "192.0.2.1:80"]));
    let status = lab.until("it is refused", |status| status.refusal.is_some()).await;
    assert_eq!((status.generation, &status.local_addresses[..]), (1, &[first.into()][..]));
    let refusal = status.refusal.unwrap();
    assert_eq!(refusal.generation, 2);
    assert!(refusal.reason.starts_with("192.0.2.1:80 can't be bound: "), "{refusal:?}");
    assert_eq!(lab.name().await, "one");

    lab.apply(&text("three", &[LOOPBACK])).await;
    assert_eq!(lab.name().await, "three");
    lab.end().await;
}

#[tokio::test]
async fn says_more_of_a_refusal_where_there_is_more_to_say() {
    type Explain = fn(&ServerError) -> Option<String>;
    let explained: [(Explain, _); 3] = [
        (|refused| Some(format!("line 2: {refused}")), "line 2: 192.0.2.1:80 can't be bound"),
        (|_| None, "192.0.2.1:80 can't be bound: "),
        (|_| panic!("nothing to say"), "192.0.2.1:80 can't be bound: "),
    ];
    for (explain, want) in explained {
        let text_of_one = text("one", &[LOOPBACK]);
        let mut lab = Lab::within(Realtime, &text_of_one, |builder| builder.explain(explain)).await;
        lab.replace(&text("two", &["192.0.2.1:80"]));
        let status = lab.until("it is refused", |status| status.refusal.is_some()).await;
        let reason = status.refusal.unwrap().reason;
        assert!(reason.starts_with(want), "{reason}");
        lab.end().await;
    }
}

/// Each retry once left another thread behind.
#[tokio::test]
async fn what_hangs_is_asked_once_what_to_say_of_a_refusal() {
    let (hang, hanging) = channel::<()>();
    let (asked, hanging) = (Arc::new(AtomicUsize::new(0)), Mutex::new(hanging));
    let count = Arc::clone(&asked);
    let explain = move |_: &ServerError| {
        count.fetch_add(1, Relaxed);
        hanging.lock().unwrap().recv().ok().map(|()| String::new())
    };
    let text_of_one = text("one", &[LOOPBACK]);
    let mut lab = Lab::within(Realtime, &text_of_one, |builder| builder.explain(explain)).await;
    for address in ["192.0.2.1:80", "192.0.2.1:81"] {
        lab.replace(&text("two", &[address]));
        let is_told = |status: &ServerStatus| {
            let refusal = status.refusal.as_ref();
            refusal.is_some_and(|refusal| refusal.reason.starts_with(address))
        };
        lab.until("it is refused all the same", is_told).await;
    }
    assert_eq!(asked.load(Relaxed), 1);
    drop(hang);
    lab.end().await;
}

/// Once told as refused for what an earlier one was.
#[tokio::test]
async fn one_that_takes_too_long_is_refused_for_that() {
    let dir = tempfile::tempdir().unwrap();
    let (files, path) = (Files::at(dir.path(), "one"), dir.path().join("config.toml"));
    let authority = Authority::new();
    files.write(&authority.issue(&["one.test"]));
    // Neither is the other's, which is waited out.
    replace(&files.key, &authority.issue(&["one.test"]).key);
    replace(&path, &text("one", &[LOOPBACK]));
    let reloader = TomlFile::<ServerConfig>::from_path(&path).unwrap();
    let options = options(Realtime).load_timeout(Duration::from_millis(300));
    let (service, receiver) = ReloaderService::<_, _, String>::from_reloader(reloader, options);
    let context = ServerContextBuilder::default().context_rx(receiver).build().unwrap();
    let (mut status, shutdown) = (context.status(), context.shutdown());
    let server = Server::new(context);
    let running = tokio::spawn(async move { server.entrypoint_with_realtime(service).await });
    let mut until = async |is_so: fn(&ServerStatus) -> bool| {
        let waited = timeout(PATIENCE, status.wait_for(is_so)).await;
        waited.expect("not so").unwrap().clone()
    };
    until(|status| status.generation == 1).await;
    replace(&path, &text("two", &["192.0.2.1:80"]));
    until(|status| status.refusal.is_some()).await;
    replace(&path, &text("three", &[LOOPBACK]));
    until(|status| status.generation == 2).await;

    replace(&path, &https("four", &[&files]));
    let refusal = until(|status| status.refusal.is_some()).await.refusal.unwrap();
    assert_eq!((refusal.generation, &*refusal.reason), (3, "it did not answer within 300ms"));
    shutdown.cancel();
    timeout(PATIENCE, running).await.expect("it doesn't end").unwrap().unwrap();
}

#[tokio::test]
async fn tries_again_by_itself_until_the_address_is_free() {
    let mut lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    lab.replace(&text("two", &[&taken.to_string()]));
    lab.until("it is refused", |status| status.refusal.is_some()).await;
    assert_eq!(lab.name().await, "one");

    drop(other);
    let status = lab.until("it is in use", |status| status.refusal.is_none()).await;
    assert_eq!((status.generation, &status.local_addresses[..]), (2, &[taken.into()][..]));
    assert_eq!(lab.name().await, "two");
    lab.end().await;
}

/// Once refused for ever, because the address that was about to be closed was still in the way.
#[tokio::test]
async fn moves_between_addresses_that_overlap() {
    let mut lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    let port = lab.address().port();
    for (name, addresses) in [
        ("the port it has", &[format!("127.0.0.1:{port}")][..]),
        ("wider", &[format!("0.0.0.0:{port}")]),
        ("narrower", &[format!("127.0.0.1:{port}"), format!("127.0.0.2:{port}")]),
        ("wider again", &[format!("0.0.0.0:{port}")]),
        ("as it began", &[LOOPBACK.to_owned()]),
    ] {
        let addresses: Vec<_> = addresses.iter().map(String::as_str).collect();
        lab.apply(&text(name, &addresses)).await;
        assert_eq!(lab.name().await, name);
    }
    lab.end().await;
}

/// Once reset, when they came in just before the end.
#[tokio::test]
async fn answers_those_who_had_connected_before_it_ended() {
    let lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    // Blocking, so that the server has no chance to accept it before it is told to end.
    let address = lab.address();
    let mut clients: Vec<_> =
        (0..8).map(|_| std::net::TcpStream::connect(address).unwrap()).collect();
    lab.shutdown.cancel();
    for client in &mut clients {
        client.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n").unwrap();
    }
    lab.end().await;
    for mut client in clients {
        let mut response = String::new();
        client.read_to_string(&mut response).unwrap();
        assert!(response.ends_with("ok\n"), "{response}");
    }
}

#[tokio::test]
async fn forgets_a_refusal_when_the_edit_is_undone() {
    let mut lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    lab.replace(&text("two", &["192.0.2.1:80"]));
    lab.until("it is refused", |status| status.refusal.is_some()).await;
    lab.replace(&text("one", &[LOOPBACK]));
    let status = lab.until("it is over", |status| status.refusal.is_none()).await;
    assert_eq!(status.generation, 1, "what is in use was never replaced");
    assert_eq!(lab.name().await, "one");
    lab.end().await;
}

#[tokio::test]
async fn goes_on_while_the_file_is_broken() {
    let mut lab = Lab::new(Realtime, &text("one", &[LOOPBACK])).await;
    for broken in ["name = ", "name = 'two'\nlisten_addresses = []", "naem = 'two'"] {
        lab.break_by(broken).await;
        assert_eq!(lab.name().await, "one", "{broken}");
    }
    lab.apply(&text("two", &[LOOPBACK])).await;
    assert_eq!(lab.name().await, "two");
    lab.end().await;
}

#[tokio::test]
async fn a_first_configuration_that_cannot_work_is_an_error() {
    let lab = Lab::start(Hybrid, &text("one", &[LOOPBACK, "192.0.2.1:80"]));
    let error = timeout(PATIENCE, lab.running).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, ServerError::Bind(_)), "{error:?}");
}

#[tokio::test]
async fn waits_for_a_first_configuration() {
    let mut lab = Lab::start(Hybrid, "broken");
    lab.apply(&text("one", &[LOOPBACK])).await;
    assert_eq!(lab.name().await, "one");
    lab.end().await;
}

#[tokio::test]
async fn ends_before_there_is_a_configuration() {
    Lab::start(Hybrid, "broken").end().await;
}
