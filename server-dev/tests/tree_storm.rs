//! Many changes at once, of which none is lost and none has others wait.

mod common;

use std::{
    fs,
    io::Write,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use common::{
    Dev, Folder,
    tree::{IDLE, counts, idle},
    wait_until,
};

/// Waits until the last build has been followed by a process, and by nothing else.
fn nothing_else_is_built(dev: &mut Dev) {
    dev.wait("ready");
    while !dev.tells_within(Duration::from_secs(1)).is_empty() {}
    let last = dev.told.iter().rev().find(|event| event["event"] != "drained");
    assert_eq!(last.unwrap()["event"], "ready");
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
    wait_until(
        || fs::read_to_string(&built).is_ok_and(|built| built == "last"),
        || "the last one isn't built",
    );
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
    let copied = folder.path().join("built");
    wait_until(
        || fs::read_to_string(&copied).is_ok_and(|value| value == "9"),
        || "the last one isn't built",
    );
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
