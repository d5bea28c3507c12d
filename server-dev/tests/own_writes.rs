//! Files that the server itself writes while it starts, and those that somebody saves meanwhile.

mod common;

use common::{Dev, Folder, tiny};
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
