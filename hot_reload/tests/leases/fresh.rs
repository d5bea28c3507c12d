//! Files in the place of a link, and such as were written before they had a name: who is told of their writers.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    os::{
        fd::AsRawFd,
        unix::fs::{OpenOptionsExt, chown, fchown, symlink},
    },
    path::Path,
    thread,
    time::Duration,
};

use hot_reload::{ReloaderOptions, WatchStrategy};
use rustix::fs::{AtFlags, CWD, linkat};
use tokio::time::{sleep, timeout};

use crate::{
    BY_EVENTS, SOMEBODY, WITHOUT_LEASES,
    common::{Lab, PATIENCE, alone_under, block_on, book::Book, config, options, text},
    names::follow_book,
    with_one_by, write_by_half,
};

/// Makes a file that is somebody else's before it holds anything.
fn make(path: &Path, text: &str) {
    let mut made = File::create(path).unwrap();
    chown(path, Some(SOMEBODY), None).unwrap();
    made.write_all(text.as_bytes()).unwrap();
}

/// Makes one in the place of another that had no name while it was written.
fn make_nameless(path: &Path, text: &str, gap: Duration) {
    let dir = path.parent().unwrap();
    let mut nameless =
        OpenOptions::new().write(true).custom_flags(libc::O_TMPFILE).open(dir).unwrap();
    fchown(&nameless, Some(SOMEBODY), None).unwrap();
    nameless.write_all(text.as_bytes()).unwrap();
    fs::remove_file(path).unwrap();
    thread::sleep(gap);
    let by_number = format!("/proc/self/fd/{}", nameless.as_raw_fd());
    linkat(CWD, by_number, CWD, path, AtFlags::SYMLINK_FOLLOW).unwrap();
}

/// Follows a link to somebody else's file, and waits for no writer in vain for less than a test has patience.
async fn behind_a_link(strategy: WatchStrategy) -> Lab {
    behind_a_link_by(options(strategy).settle_ceiling(2 * PATIENCE)).await
}

async fn behind_a_link_by(options: ReloaderOptions) -> Lab {
    let mut lab = Lab::following(options, "config.toml", |dir| {
        make(&dir.join("real.toml"), &text("one"));
        symlink("real.toml", dir.join("config.toml")).unwrap();
    })
    .await;
    lab.expect(config("one")).await;
    lab
}

/// Puts a link to the file that `behind_a_link` began with back in its place.
async fn link_again(lab: &mut Lab) {
    let next = lab.root.join(".next");
    symlink("real.toml", &next).unwrap();
    fs::rename(next, &lab.path).unwrap();
    lab.expect(config("one")).await;
}

/// The close of such a file was once told of by nothing, and waited for up to the ceiling.
#[test]
fn who_made_a_file_in_the_place_of_a_link_is_heard_to_be_done() {
    if !alone_under(
        "fresh::who_made_a_file_in_the_place_of_a_link_is_heard_to_be_done",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let mut lab = behind_a_link(strategy).await;
            // Before it is looked at without the link, and right after.
            for gap in [0, 2, 20, 55] {
                fs::remove_file(&lab.path).unwrap();
                thread::sleep(Duration::from_millis(gap));
                make(&lab.path, &text(&gap.to_string()));
                lab.expect(config(&gap.to_string())).await;
                link_again(&mut lab).await;
            }
        });
    }
}

/// What its next writer does is heard before the new file is watched itself.
#[test]
fn half_of_a_file_that_was_just_made_in_the_place_of_a_link_is_never_published() {
    if !alone_under(
        "fresh::half_of_a_file_that_was_just_made_in_the_place_of_a_link_is_never_published",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let mut lab = behind_a_link(strategy).await;
            for n in 0..20 {
                fs::remove_file(&lab.path).unwrap();
                make(&lab.path, &text(&format!("whole {n}")));
                // Within the time that it takes to notice.
                thread::sleep(Duration::from_micros(n * 50));
                write_by_half(&mut lab, &n.to_string()).await;
                link_again(&mut lab).await;
            }
        });
    }
}

/// Its writer began before anything watched what the link had come to lead to, and was once taken to be done, as
/// whoever turned the link was.
#[test]
fn half_of_a_file_that_a_link_was_just_turned_to_is_never_published() {
    if !alone_under(
        "fresh::half_of_a_file_that_a_link_was_just_turned_to_is_never_published",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let mut lab = behind_a_link(strategy).await;
            for n in 0..10 {
                let next = lab.root.join(".next");
                let name = format!("{n}.toml");
                make(&lab.root.join(&name), &text(&format!("whole {n}")));
                sleep(Duration::from_millis(60)).await;
                symlink(name, &next).unwrap();
                fs::rename(next, &lab.path).unwrap();
                let mut writer =
                    File::options().write(true).truncate(true).open(&lab.path).unwrap();
                writer.write_all(format!("name = \"{n}\"\n").as_bytes()).unwrap();
                // Within the time that it has to be quiet.
                sleep(Duration::from_millis(25)).await;
                assert_eq!(lab.rx.get().unwrap().rest, "whole", "{n}");
                writer.write_all(b"rest = \"whole\"\n").unwrap();
                drop(writer);
                lab.expect(config(&n.to_string())).await;
            }
        });
    }
}

/// Of an older one all is known that can be; that is what a `ConfigMap` is, and it is not waited for.
#[test]
fn what_is_older_than_the_link_that_was_turned_to_it_is_read_at_once() {
    if !alone_under(
        "fresh::what_is_older_than_the_link_that_was_turned_to_it_is_read_at_once",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            // Longer than a test has patience.
            let mut lab = behind_a_link_by(options(strategy).settle_window(2 * PATIENCE)).await;
            make(&lab.root.join("other.toml"), &text("other"));
            // Longer than the clock of the file's times can fail to show.
            sleep(Duration::from_millis(50)).await;
            let next = lab.root.join(".next");
            symlink("other.toml", &next).unwrap();
            fs::rename(next, &lab.path).unwrap();
            lab.expect(config("other")).await;
        });
    }
}

/// A file that had no name while it was written, which no event tells of either; its writer was once waited for up
/// to the ceiling, though it had one name.
#[test]
fn what_was_written_before_it_had_a_name_waits_for_quiet_alone() {
    if !alone_under(
        "fresh::what_was_written_before_it_had_a_name_waits_for_quiet_alone",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let mut lab = with_one_by(options(strategy).settle_ceiling(2 * PATIENCE)).await;
            for gap in [0, 2, 20, 55] {
                let name = gap.to_string();
                make_nameless(&lab.path, &text(&name), Duration::from_millis(gap));
                lab.expect(config(&name)).await;
            }
        });
    }
}

/// It was once waited for where another of the set was not there.
#[test]
fn what_was_written_before_it_had_a_name_waits_for_no_other_of_its_set() {
    if !alone_under(
        "fresh::what_was_written_before_it_had_a_name_waits_for_no_other_of_its_set",
        WITHOUT_LEASES,
    ) {
        return;
    }
    for strategy in BY_EVENTS {
        block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("main");
            make(&path, "include a?\none\n");
            let mut values = follow_book(strategy, &dir).await;
            for gap in [0, 2, 20, 55] {
                let name = gap.to_string();
                let text = format!("include a?\n{name}\n");
                make_nameless(&path, &text, Duration::from_millis(gap));
                let is_it = |book: &Book| book.lines == [name.as_str()];
                timeout(PATIENCE, values.wait_for(is_it)).await.unwrap().unwrap();
            }
        });
    }
}
