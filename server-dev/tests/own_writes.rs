//! Files that the server itself writes while it starts, and those that somebody saves meanwhile.

mod common;

use std::{thread, time::Duration};

use common::{Dev, Folder, get, tiny};
use serde_json::{Value, json};

/// Starts a server that writes these files at each start.
fn writes(folder: &Folder, files: &[&str]) -> Dev {
    let writes: Vec<_> = files.iter().map(|file| format!("echo started >> {file}; ")).collect();
    let script = format!("{}sleep 0.2; exec {}", writes.concat(), tiny());
    folder.write(
        "server-dev.toml",
        &format!(
            r#"
            [services.web]
            command = ["sh", "-c", "{script}"]
            sockets = ["http::0"]
            settle = "100ms"
            rules = [{{ files = "*.html", do = "reload" }}]
            "#
        ),
    );
    folder.dev(&[])
}

fn asks_for(event: &Value, what: &[&str]) -> bool {
    event["asks_for"] == json!(what)
}

/// The reload was left to the start that there was none of.
#[test]
fn a_page_that_is_edited_beside_them_is_loaded_anew() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = writes(&folder, &["app.log", "page.html"]);
    dev.wait_for("changed", |event| asks_for(event, &["reload"]));
    dev.wait("own-writes");
}

/// It was heeded no more, for good.
#[test]
fn one_of_them_that_somebody_edits_later_is_heeded() {
    let folder = Folder::with(&[("value.txt", "one")]);
    let mut dev = writes(&folder, &["app.log"]);
    dev.wait("own-writes");
    dev.tells_within(Duration::from_secs(1));
    folder.write("app.log", "");
    dev.wait("changed");
    dev.wait("ready");
    // Which writes it once more.
    dev.wait("own-writes");
    let told = dev.tells_within(Duration::from_secs(2));
    assert!(told.iter().all(|event| event["event"] != "starting"), "{told:#?}");
}

/// From the sixth on, none was served.
#[test]
fn what_an_editor_saves_on_a_clock_while_the_server_starts_is_served() {
    let folder = Folder::with(&[("value.txt", "0")]);
    let env = [("SLOW_START", "1500")];
    let mut dev = folder.dev_with(&["-s", "http::0", "--", &tiny()], &env);
    let address = dev.address();
    dev.wait("ready");
    for n in 1..=12 {
        folder.write("value.txt", &n.to_string());
        thread::sleep(Duration::from_millis(600));
    }
    while !dev.tells_within(Duration::from_secs(4)).is_empty() {}
    assert!(dev.told.iter().all(|event| event["event"] != "own-writes"), "{:#?}", dev.told);
    assert_eq!(get(&address).unwrap(), "12");
}
