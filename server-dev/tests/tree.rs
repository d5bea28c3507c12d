//! Which changes of files count.

mod common;

use std::{
    fs,
    io::Write,
    path::PathBuf,
    thread,
    time::{Duration, Instant, SystemTime},
};

use common::{
    Dev, Folder,
    tree::{IDLE, counts, files, idle, nothing_else_counts, stop, wait_until, watches},
};
use rustix::process::Signal;

/// Waits until the last build has been followed by a process, and by nothing else.
fn nothing_else_is_built(dev: &mut Dev) {
    dev.wait("ready");
    while !dev.tells_within(Duration::from_secs(1)).is_empty() {}
    let last = dev.told.iter().rev().find(|event| event["event"] != "drained");
    assert_eq!(last.unwrap()["event"], "ready");
}

#[test]
fn a_touch_and_the_same_contents_do_nothing() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let folder = Folder::with(&[("a.rs", "one"), ("b.rs", "two")]);
        let mut dev = idle(&folder, flags);
        let touched = fs::File::options().append(true).open(folder.path().join("a.rs")).unwrap();
        touched.set_modified(SystemTime::now()).unwrap();
        drop(touched);
        folder.write("b.rs", "two");
        folder.write("c.tmp", "two");
        fs::rename(folder.path().join("c.tmp"), folder.path().join("b.rs")).unwrap();
        nothing_else_counts(&folder, &mut dev);
    }
}

#[test]
fn files_of_a_new_folder_count_and_what_is_edited_in_it_later() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let folder = Folder::with(&[("a.rs", "one")]);
        let mut dev = idle(&folder, flags);
        counts(&mut dev, "new/deep/b.rs", || folder.write("new/deep/b.rs", "two"));
        counts(&mut dev, "new/deep/b.rs", || folder.write("new/deep/b.rs", "three"));
    }
}

#[test]
fn a_folder_that_is_renamed_away_and_back_is_followed() {
    let folder = Folder::with(&[("sub/deep/a.rs", "one"), ("sub/b.rs", "one")]);
    let mut dev = idle(&folder, &[]);
    let (here, there) = (folder.path().join("sub"), folder.path().join("other"));
    counts(&mut dev, "other/deep/a.rs", || fs::rename(&here, &there).unwrap());
    counts(&mut dev, "other/deep/a.rs", || folder.write("other/deep/a.rs", "two"));
    counts(&mut dev, "sub/b.rs", || fs::rename(&there, &here).unwrap());
    counts(&mut dev, "sub/deep/a.rs", || folder.write("sub/deep/a.rs", "three"));
    // Out of the tree, edited there, and back.
    let outside = Folder::with(&[]);
    let away = outside.path().join("sub");
    counts(&mut dev, "sub/b.rs", || fs::rename(&here, &away).unwrap());
    fs::write(away.join("b.rs"), "four").unwrap();
    nothing_else_counts(&folder, &mut dev);
    counts(&mut dev, "sub/b.rs", || fs::rename(&away, &here).unwrap());
    counts(&mut dev, "sub/deep/a.rs", || folder.write("sub/deep/a.rs", "five"));
}

#[test]
fn folders_that_swap_their_names_are_both_followed() {
    let folder = Folder::with(&[("a/x.rs", "one"), ("b/x.rs", "two")]);
    let mut dev = idle(&folder, &[]);
    let at = |name| folder.path().join(name);
    counts(&mut dev, "a/x.rs", || {
        fs::rename(at("a"), at("c")).unwrap();
        fs::rename(at("b"), at("a")).unwrap();
        fs::rename(at("c"), at("b")).unwrap();
    });
    counts(&mut dev, "a/x.rs", || folder.write("a/x.rs", "three"));
    counts(&mut dev, "b/x.rs", || folder.write("b/x.rs", "four"));
}

#[test]
fn a_folder_that_is_replaced_is_followed() {
    let folder = Folder::with(&[("sub/deep/a.rs", "one")]);
    let mut dev = idle(&folder, &[]);
    for n in 0..5 {
        counts(&mut dev, "sub/deep/a.rs", || {
            fs::remove_dir_all(folder.path().join("sub")).unwrap();
            folder.write("sub/deep/a.rs", &format!("replaced {n}"));
        });
        counts(&mut dev, "sub/deep/a.rs", || folder.write("sub/deep/a.rs", &format!("edit {n}")));
    }
}

#[test]
fn a_folder_that_another_has_taken_the_name_of_is_not_watched_any_more() {
    let folder = Folder::with(&[("sub/a.rs", "one")]);
    let outside = Folder::with(&[]);
    let mut dev = idle(&folder, &[]);
    let before = watches(dev.pid());
    // So that it finds the second one only.
    stop(&dev);
    fs::rename(folder.path().join("sub"), outside.path().join("sub")).unwrap();
    folder.write("sub/a.rs", "two");
    dev.signal(Signal::CONT);
    assert_eq!(files(&mut dev), ["sub/a.rs"]);
    assert_eq!(watches(dev.pid()), before);
}

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
fn a_file_that_is_deleted_counts() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let folder = Folder::with(&[("a.rs", "one")]);
        let mut dev = idle(&folder, flags);
        counts(&mut dev, "a.rs", || fs::remove_file(folder.path().join("a.rs")).unwrap());
        counts(&mut dev, "a.rs", || folder.write("a.rs", "one"));
    }
}

#[test]
fn what_an_editor_saves_is_one_change_of_that_file_alone() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut dev = idle(&folder, &[]);
    let at = |name| folder.path().join(name);
    // As vim does it, with its probe and its backup.
    folder.write("4913", "");
    fs::remove_file(at("4913")).unwrap();
    fs::rename(at("a.rs"), at("a.rs~")).unwrap();
    folder.write("a.rs", "two");
    fs::remove_file(at("a.rs~")).unwrap();
    assert_eq!(files(&mut dev), ["a.rs"]);
    // As others do it: a new file in its place.
    folder.write(".#a.rs.tmp", "three");
    fs::rename(at(".#a.rs.tmp"), at("a.rs")).unwrap();
    assert_eq!(files(&mut dev), ["a.rs"]);
    nothing_else_counts(&folder, &mut dev);
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
    wait_until("a watch stays", || watches(dev.pid()) == want);
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
fn the_rule_of_one_file_among_hundreds_is_kept() {
    let folder = Folder::with(&[
        ("0.rs", "0"),
        (
            "server-dev.toml",
            r#"
            [services.web]
            command = "sleep 600"
            build = "true"
            ready = { delay = "1ms" }
            settle = "500ms"
            rules = [{ files = "*.css", do = "css" }]
            "#,
        ),
    ]);
    let mut dev = folder.dev(&[]);
    dev.wait("ready");
    folder.write("0.rs", "1");
    for n in 0..600 {
        folder.write(&format!("{n}.css"), "");
    }
    dev.wait("building");
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

#[test]
fn a_storm_of_writes_ends_with_the_last_one_built() {
    let folder = Folder::with(&[("src/value", "0")]);
    let mut dev =
        folder.dev(&[&["-w", "src", "--build", "cp src/value built"], &IDLE[..]].concat());
    dev.wait("ready");
    for n in 1..=10_000 {
        let file = folder.path().join(format!("src/{}.rs", n % 500));
        // To truncate is what takes its time on a disk.
        let mut file = fs::File::options().append(true).create(true).open(file).unwrap();
        writeln!(file, "{n}").unwrap();
    }
    folder.write("src/value", "last");
    let built = folder.path().join("built");
    wait_until("the last one is built", || {
        fs::read_to_string(&built).is_ok_and(|built| built == "last")
    });
    nothing_else_is_built(&mut dev);
}

#[test]
fn an_edit_during_a_build_is_not_lost() {
    let folder = Folder::with(&[("src/value", "one"), ("src/slow", "")]);
    let build = "sh -c 'cp src/value copy; [ ! -s src/slow ] || sleep 0.4; cp copy built'";
    let mut dev = folder.dev(&[&["-w", "src", "--build", build], &IDLE[..]].concat());
    dev.wait("ready");
    folder.write("src/slow", "yes");
    dev.wait("building");
    for n in 0..10 {
        thread::sleep(Duration::from_millis(70));
        folder.write("src/value", &n.to_string());
    }
    dev.wait("ready");
    wait_until("the last one is built", || {
        fs::read_to_string(folder.path().join("built")).is_ok_and(|built| built == "9")
    });
}

#[test]
fn a_log_that_is_written_all_the_time_delays_nothing() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut dev = idle(&folder, &["-e", "rs", "--settle", "300ms"]);
    let log: PathBuf = folder.path().join("access.log");
    let until = Instant::now() + Duration::from_secs(2);
    let writes = thread::spawn(move || {
        while Instant::now() < until {
            fs::write(&log, format!("{:?}", Instant::now())).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
    });
    let start = Instant::now();
    counts(&mut dev, "a.rs", || folder.write("a.rs", "two"));
    let took = start.elapsed();
    writes.join().unwrap();
    assert!(took < Duration::from_secs(2), "{took:?}");
}
