//! Which files count, and what a change of each does.

mod common;

use std::fs;

use common::{
    Folder,
    tree::{IDLE, counts, files, idle, nothing_else_counts, watches},
    wait_until,
};
use serde_json::{Value, json};

#[test]
fn a_root_that_is_replaced_is_followed_and_so_is_what_it_is_in() {
    let folder = Folder::with(&[("web/src/a.rs", "one"), ("first.rs", "")]);
    let mut dev = idle(&folder, &["-w", "web/src", "-w", "first.rs"]);
    let web = folder.path().join("web");
    counts(&mut dev, "web/src/a.rs", || {
        fs::remove_dir_all(web.join("src")).unwrap();
        folder.write("web/src/a.rs", "two");
    });
    counts(&mut dev, "web/src/a.rs", || {
        fs::rename(&web, folder.path().join("old")).unwrap();
        folder.write("web/src/a.rs", "three");
    });
    counts(&mut dev, "web/src/a.rs", || folder.write("web/src/a.rs", "four"));
}

#[test]
fn an_edit_of_gitignore_changes_what_counts_at_once() {
    let folder = Folder::with(&[(".gitignore", "out/\n"), ("out/a.rs", "one"), ("b.rs", "one")]);
    let mut dev = idle(&folder, &["-e", "rs"]);
    folder.write("out/a.rs", "two");
    nothing_else_counts(&folder, &mut dev);
    counts(&mut dev, "out/a.rs", || folder.write(".gitignore", "b.rs\n"));
    counts(&mut dev, "out/a.rs", || folder.write("out/a.rs", "three"));
    // That it counts no longer is no edit of it.
    folder.write("b.rs", "two");
    nothing_else_counts(&folder, &mut dev);
    assert!(dev.told.iter().all(|event| !event["files"].to_string().contains("b.rs")));
}

#[test]
fn folders_that_do_not_count_are_never_watched() {
    let folder = Folder::with(&[(".gitignore", "target/\n"), ("src/a.rs", "one")]);
    for n in 0..50 {
        folder.write(&format!("target/{n}/a.rs"), "");
        folder.write(&format!("node_modules/{n}/a.rs"), "");
        folder.write(&format!("mine/{n}/a.rs"), "");
    }
    let mut dev = idle(&folder, &["-i", "mine/"]);
    // Two of its own, and those that it is in, by which its end would be told.
    let want = 2 + folder.path().ancestors().skip(1).count();
    assert_eq!(watches(dev.pid()), want);
    folder.write("target/new/b.rs", "");
    folder.write("mine/new/b.rs", "");
    nothing_else_counts(&folder, &mut dev);
    assert_eq!(watches(dev.pid()), want);
    counts(&mut dev, "src/deep/b.rs", || folder.write("src/deep/b.rs", ""));
    assert_eq!(watches(dev.pid()), want + 1);
    fs::remove_dir_all(folder.path().join("src/deep")).unwrap();
    wait_until(|| watches(dev.pid()) == want, || "a watch stays");
}

#[test]
fn only_the_extensions_that_are_listed_count() {
    let folder = Folder::with(&[("a.rs", "one"), ("README.md", "one")]);
    let mut dev = idle(&folder, &["-e", "rs,toml"]);
    folder.write("README.md", "two");
    folder.write("Makefile", "two");
    nothing_else_counts(&folder, &mut dev);
    counts(&mut dev, "Cargo.toml", || folder.write("Cargo.toml", "two"));
}

/// Only one that was there at the start was followed.
#[test]
fn a_file_of_variables_that_comes_later_restarts_the_server() {
    for flags in [&["-e", "rs"][..], &["-e", "rs", "--poll=20ms"]] {
        let folder = Folder::with(&[(".gitignore", ".env\n"), ("a.rs", "one")]);
        let mut dev = idle(&folder, flags);
        let root = |event: &Value| event["event"] == "watching" && event["roots"] == json!(["."]);
        assert!(dev.told.iter().any(root), "{:?}", dev.told);
        for text in ["A=1", "A=2"] {
            folder.write(".env", text);
            assert_eq!(files(&mut dev), [".env"]);
            dev.wait("ready");
        }
        fs::remove_file(folder.path().join(".env")).unwrap();
        assert_eq!(files(&mut dev), [".env"]);
        dev.wait("ready");
        nothing_else_counts(&folder, &mut dev);
        assert!(dev.told.iter().all(|event| event["event"] != "building"));
    }
}

/// Both were taken, and nothing ever happened.
#[test]
fn an_extension_may_have_a_dot_and_a_glob_is_none() {
    let folder = Folder::with(&[("a.rs", "one"), ("README.md", "one")]);
    let mut dev = idle(&folder, &["-e", ".toml, rs"]);
    folder.write("README.md", "two");
    counts(&mut dev, "Cargo.toml", || folder.write("Cargo.toml", "two"));
    nothing_else_counts(&folder, &mut dev);
    let refused = folder.command(&["-e", "*.py", "--", "sleep", "600"]).output().unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && text.contains("\"*.py\" is no extension"),
        "{text}"
    );
}

#[test]
fn it_is_told_where_no_file_counts() {
    let folder = Folder::with(&[("a.py", "one"), (".env", "A=1")]);
    for (flags, extensions) in [
        (&["-e", "rs,toml"][..], json!(["rs", "toml"])),
        (&["-i", "*.py", "-i", ".env"], json!([])),
    ] {
        let mut dev = folder.dev(&[flags, &IDLE].concat());
        assert_eq!(dev.wait("nothing-counts")["extensions"], extensions);
        dev.wait("ready");
        counts(&mut dev, "new.rs", || folder.write("new.rs", "1"));
        fs::remove_file(folder.path().join("new.rs")).unwrap();
    }
    let mut dev = folder.dev(&[&["-e", "py"][..], &IDLE].concat());
    dev.wait("ready");
    assert!(dev.told.iter().all(|event| event["event"] != "nothing-counts"));
}

#[test]
fn each_glob_does_what_its_rule_says() {
    let folder = Folder::with(&[
        ("built", "0"),
        ("server", "trap 'echo hup' HUP; echo up; while :; do sleep 0.01; done"),
        (
            "server-dev.toml",
            r#"
            [services.web]
            command = "sh ./server"
            build = "true"
            ready = { delay = "200ms" }
            rules = [
                { files = "*.html", do = "restart" },
                { files = "*.conf", do = "signal" },
                { files = "docs/", do = "nothing" },
            ]
            "#,
        ),
    ]);
    let mut dev = folder.dev(&[]);
    dev.wait("built");
    let first = dev.wait("ready");
    let so_far = dev.told.len();
    folder.write("a.conf", "1");
    dev.wait_for("output", |output| output["line"] == "hup");
    folder.write("docs/a.rs", "1");
    folder.write("a.html", "1");
    let changed = dev.wait("changed");
    assert_eq!(changed["files"].as_array().unwrap().len(), 1, "{changed}");
    dev.wait_for("ready", |ready| ready["pid"] != first["pid"]);
    assert!(dev.told[so_far..].iter().all(|event| event["event"] != "building"));
    folder.write("a.rs", "1");
    dev.wait("built");
    dev.wait("ready");
}

#[test]
fn several_roots_count_and_one_may_be_a_file() {
    let folder = Folder::with(&[
        ("first.rs", ""),
        ("one/a.rs", ""),
        ("two/b.rs", ""),
        ("three/c.rs", ""),
        ("three/d.rs", ""),
    ]);
    let roots = ["-w", "one", "-w", "two", "-w", "three/c.rs", "-w", "first.rs"];
    let mut dev = idle(&folder, &roots);
    folder.write("three/d.rs", "1");
    folder.write("e.rs", "1");
    folder.write("first.rs", "again");
    assert_eq!(files(&mut dev), ["first.rs"]);
    for file in ["one/a.rs", "two/b.rs", "three/c.rs", "two/new.rs"] {
        counts(&mut dev, file, || folder.write(file, "1"));
    }
    counts(&mut dev, "three/c.rs", || fs::remove_file(folder.path().join("three/c.rs")).unwrap());
    counts(&mut dev, "three/c.rs", || folder.write("three/c.rs", "2"));
}
