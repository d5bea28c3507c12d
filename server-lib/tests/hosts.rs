//! Which host a request is for has to be said, and once.

mod common;

use common::{Client, Lab, admin, with_admin};
use hot_reload::WatchStrategy::Realtime;

/// RFC 9112, section 3.2.
#[tokio::test]
async fn a_request_that_does_not_say_its_host_once_is_answered_400() {
    let lab = Lab::new(Realtime, &with_admin("one")).await;
    for address in [lab.address(), admin(&lab)] {
        for (head, want) in [
            ("GET / HTTP/1.1\r\n", 400),
            ("GET http://localhost/ HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: localhost\r\nhost: other.example\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n", 400),
            ("GET / HTTP/1.0\r\nhost: localhost\r\nhost: other.example\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: local host\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: http://localhost/\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: me@localhost\r\n", 400),
            ("GET / HTTP/1.1\r\nhost: localhost\r\n", 200),
            ("GET / HTTP/1.1\r\nhost: [::1]:8080\r\n", 200),
            ("GET http://localhost/ HTTP/1.1\r\nhost: localhost\r\n", 200),
            ("GET / HTTP/1.0\r\n", 200),
        ] {
            let mut client = Client::connect(address).await;
            client.send(&format!("{head}\r\n")).await;
            assert_eq!(client.response().await.status, want, "{address}: {head}");
        }
    }
    // What a client of a target without a host says.
    let mut client = lab.client().await;
    client.send("GET / HTTP/1.1\r\nhost:\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    lab.end().await;
}
