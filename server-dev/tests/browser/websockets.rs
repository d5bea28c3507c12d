//! What a page says by a web socket, through the proxy.

use serde_json::json;

use crate::{
    Browser,
    common::{pid, process::kill},
    start_of,
};

/// Connects, and again whenever that has ended; `log` has what was said, and how each one ended.
const PAGE: &str = "<!doctype html><link rel=icon href=data:,><script>
    const log = [];
    let socket;
    function connect() {
        socket = new WebSocket(`ws://${location.host}/socket`);
        socket.binaryType = 'arraybuffer';
        socket.onmessage = ({ data }) => log.push(data);
        socket.onclose = ({ code, reason, wasClean }) => {
            log.push(`closed ${code} ${reason} ${wasClean}`);
            setTimeout(connect, 20);
        };
    }
    connect();
    // A text that no part of is like another.
    const much = Array.from({ length: 1 << 17 }, (_, n) => n.toString(36).padStart(8, '.')).join('');
</script>";

#[test]
fn a_page_converses_by_a_web_socket() {
    let Some(browser) = Browser::start() else { return };
    let (_folder, mut dev, url) = start_of("websocket", &[("page.html", PAGE), ("code", "exit 0")]);
    dev.wait("ready");
    browser.open(&url);
    // What the server says first.
    browser.until("log.length === 1");

    browser.value("(socket.send('grüße'), socket.send(much), 1)");
    browser.until("log.length === 3");
    assert_eq!(browser.value("log[1]"), "grüße");
    assert_eq!(browser.value("[log[2].length, log[2] === much]"), json!([1 << 20, true]));

    browser.value("(socket.send(new TextEncoder().encode(much).map(byte => byte ^ 0xff)), 1)");
    browser.until("log.length === 4 && log[3].byteLength === 1 << 20");
    let same = "new TextDecoder().decode(new Uint8Array(log[3]).map(byte => byte ^ 0xff)) === much";
    assert_eq!(browser.value(same), true);

    browser.value("(socket.send('ping'), 1)");
    browser.until("log[4] === 'pong there?'");

    // By the server, and by the page.
    browser.value("(socket.send('end'), 1)");
    browser.until("log[5] === 'closed 4001 as asked true' && log.length === 7");
    browser.value("(socket.close(4002, 'enough'), 1)");
    browser.until("log[7] === 'closed 4002 enough true' && log.length === 9");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn a_web_socket_ends_when_its_server_is_replaced_and_the_next_one_is_of_the_new_server() {
    let Some(browser) = Browser::start() else { return };
    let page = |name: &str| format!("{PAGE}<!-- {name} -->");
    let (folder, mut dev, url) =
        start_of("websocket", &[("page.html", &page("one")), ("code", "exit 0")]);
    dev.wait("ready");
    browser.open(&url);
    browser.until("log[0]?.includes('<!-- one -->')");
    // One says goodbye, one just ends, and one is killed.
    let [away, gone] = ["closed 1001 replaced true", "closed 1006  false"];
    for (before, after, ends) in [("one", "rude", away), ("rude", "three", gone)] {
        browser.value("(socket.send('before'), 1)");
        browser.until("log.at(-1) === 'before'");
        browser.value("(log.length = 0, 1)");
        folder.write("page.html", &page(after));
        dev.wait("drained");
        browser.until(&format!("log.length === 2 && log[1].includes('<!-- {after} -->')"));
        assert_eq!(browser.value("log[0]"), ends, "{before}");
    }
    browser.value("(log.length = 0, 1)");
    kill(pid(dev.told.iter().rfind(|event| event["event"] == "ready").unwrap()));
    browser.until("log.length === 2 && log[1].includes('<!-- three -->')");
    assert_eq!(browser.value("log[0]"), gone);
}
