//! What the system has only so much of: instances, watches, room for events, descriptors.
#![cfg(all(feature = "toml", target_os = "linux"))]

mod common;

use std::{
    env, fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{Config, Lab, PATIENCE, alone_under, block_on, config, options, text};
use hot_reload::{Mechanism, ReloaderReceiver, WatchStrategy};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    runtime::Builder,
    time::{sleep, timeout},
};

/// Limits of a user namespace of its own, which no other test is under (`namespaces(7)`).
const OWN_LIMITS: &[&str] = &["unshare", "--user", "--map-root-user"];

fn limit(what: &str, most: u32) {
    fs::write(Path::new("/proc/sys/user").join(what), most.to_string()).unwrap();
}

async fn expect_mechanism(
    rx: &ReloaderReceiver<Config, String>,
    want: impl Fn(&Mechanism) -> bool,
) -> Mechanism {
    let said = timeout(PATIENCE, async {
        loop {
            if let Some(mechanism) = rx.status().mechanism.filter(&want) {
                return mechanism;
            }
            sleep(Duration::from_millis(5)).await;
        }
    });
    said.await.unwrap_or_else(|_| panic!("{:?}", rx.status()))
}

fn is_degraded(mechanism: &Mechanism) -> bool {
    matches!(mechanism, Mechanism::Degraded(_))
}

#[test]
fn without_inotify_instances_files_are_polled_until_there_are_some() {
    let name = "without_inotify_instances_files_are_polled_until_there_are_some";
    if alone_under(name, OWN_LIMITS) {
        exhausted_then_freed("max_inotify_instances");
    }
}

#[test]
fn without_inotify_watches_files_are_polled_until_there_are_some() {
    let name = "without_inotify_watches_files_are_polled_until_there_are_some";
    if alone_under(name, OWN_LIMITS) {
        exhausted_then_freed("max_inotify_watches");
    }
}

fn exhausted_then_freed(what: &str) {
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid] {
        limit(what, 0);
        block_on(async {
            let mut lab = Lab::with_one(strategy).await;
            let Mechanism::Degraded(why) = expect_mechanism(&lab.rx, is_degraded).await else {
                unreachable!()
            };
            assert!(why.contains("max_user_"), "{why}");
            for name in ["two", "six"] {
                lab.write(text(name));
                lab.expect(config(name)).await;
            }
            fs::remove_file(&lab.path).unwrap();
            lab.expect_failure().await;
            lab.write(text("ten"));
            lab.expect(config("ten")).await;

            limit(what, 1_000);
            expect_mechanism(&lab.rx, |mechanism| !is_degraded(mechanism)).await;
            for name in ["two", "six"] {
                lab.write(text(name));
                lab.expect(config(name)).await;
                lab.replace(text("between"));
                lab.expect(config("between")).await;
            }
        });
    }
}

/// Freed while the file is broken or missing, when looks fail.
#[test]
fn instances_that_are_freed_while_the_file_is_missing_are_found() {
    let name = "instances_that_are_freed_while_the_file_is_missing_are_found";
    if !alone_under(name, OWN_LIMITS) {
        return;
    }
    limit("max_inotify_instances", 0);
    block_on(async {
        let mut lab = Lab::new(WatchStrategy::Realtime, |_dir| {}).await;
        lab.expect_failure().await;
        limit("max_inotify_instances", 10);
        expect_mechanism(&lab.rx, |mechanism| !is_degraded(mechanism)).await;
        lab.write(text("one"));
        lab.expect(config("one")).await;
    });
}

/// A file that is missing takes a second one, where there is any.
#[test]
fn one_inotify_instance_is_enough() {
    if !alone_under("one_inotify_instance_is_enough", OWN_LIMITS) {
        return;
    }
    limit("max_inotify_instances", 1);
    block_on(async {
        let mut lab = Lab::new(WatchStrategy::Realtime, |_dir| {}).await;
        lab.expect_failure().await;
        for name in ["one", "two"] {
            lab.write(text(name));
            lab.expect(config(name)).await;
            assert_eq!(lab.rx.status().mechanism, Some(Mechanism::Events));
            fs::remove_file(&lab.path).unwrap();
            lab.expect_failure().await;
        }
    });
}

/// The watches of this process (`proc_pid_fdinfo(5)`).
fn watches() -> u32 {
    let infos = fs::read_dir("/proc/self/fdinfo").unwrap();
    let infos = infos.filter_map(|info| fs::read_to_string(info.unwrap().path()).ok());
    let lines = |info: String| info.lines().filter(|line| line.starts_with("inotify wd")).count();
    infos.map(lines).sum::<usize>().try_into().unwrap()
}

/// One that is told of more, or of less, takes another watch, where there is any.
#[test]
fn a_directory_goes_on_to_be_watched_where_there_is_no_other_watch() {
    let name = "a_directory_goes_on_to_be_watched_where_there_is_no_other_watch";
    if !alone_under(name, OWN_LIMITS) {
        return;
    }
    block_on(async {
        // For more, while it is missing.
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        let all = watches();
        limit("max_inotify_watches", all - 1);
        fs::remove_file(&lab.path).unwrap();
        lab.expect_failure().await;
        assert_eq!(lab.rx.status().mechanism, Some(Mechanism::Events));
        limit("max_inotify_watches", all);
        lab.write(text("two"));
        lab.expect(config("two")).await;
        assert_eq!(lab.rx.status().mechanism, Some(Mechanism::Events));
    });
    block_on(async {
        // For less, once it is there.
        limit("max_inotify_watches", 1_000);
        let mut lab = Lab::new(WatchStrategy::Realtime, |_dir| {}).await;
        lab.expect_failure().await;
        limit("max_inotify_watches", watches() + 1);
        lab.write(text("one"));
        lab.expect(config("one")).await;
        sleep(Duration::from_millis(600)).await;
        assert_eq!(lab.rx.status().mechanism, Some(Mechanism::Events));
        lab.write(text("two"));
        lab.expect(config("two")).await;
    });
}

#[test]
fn without_descriptors_the_last_value_serves_until_there_are_some() {
    let name = "without_descriptors_the_last_value_serves_until_there_are_some";
    if !alone_under(name, &["prlimit", "--nofile=64"]) {
        return;
    }
    for strategy in [WatchStrategy::Realtime, WatchStrategy::Hybrid, WatchStrategy::Polling] {
        block_on(async {
            let mut lab = Lab::with_one(strategy).await;
            let next = lab.root.join(".next");
            fs::write(&next, text("two")).unwrap();
            let mut all = Vec::new();
            while let Ok(file) = fs::File::open("/dev/null") {
                all.push(file);
            }
            fs::rename(&next, &lab.path).unwrap();
            lab.expect_failure().await;
            assert_eq!(lab.rx.get(), Some(config("one")));
            drop(all);
            lab.expect(config("two")).await;
            lab.write(text("six"));
            lab.expect(config("six")).await;
        });
    }
}

/// How many descriptors a process of its own has left.
const FREE: &str = "HOT_RELOAD_TEST_FREE";

/// The descriptors that this process has, besides the one by which they are counted.
fn descriptors() -> u64 {
    fs::read_dir("/proc/self/fd").unwrap().count() as u64 - 1
}

/// The thread that reads events where the runtime has no I/O ended, and nobody asked for another.
#[test]
fn events_that_no_descriptor_is_left_to_read_by_are_read_once_there_is_one() {
    let name = "events_that_no_descriptor_is_left_to_read_by_are_read_once_there_is_one";
    // A process each, since it keeps some of those that its first runtime with I/O takes.
    if !(3..=7).any(|free| alone_under(name, &["env", &format!("{FREE}={free}")])) {
        return;
    }
    let free: u64 = env::var(FREE).unwrap().parse().unwrap();
    Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let limit = getrlimit(Resource::Nofile);
        let lack = Rlimit { current: Some(descriptors() + free), ..limit };
        setrlimit(Resource::Nofile, lack).unwrap();
        let mut lab = Lab::new(WatchStrategy::Realtime, |dir| {
            fs::write(dir.join("config.toml"), text("one")).unwrap();
            fs::write(dir.join("next"), text("two")).unwrap();
        })
        .await;
        sleep(Duration::from_millis(200)).await;
        // Which takes none, as this process has none left either.
        fs::rename(lab.root.join("next"), &lab.path).unwrap();
        sleep(Duration::from_millis(100)).await;
        setrlimit(Resource::Nofile, limit).unwrap();
        // What was told meanwhile is not lost either.
        lab.expect(config("two")).await;
        lab.write(text("six"));
        lab.expect(config("six")).await;
    });
}

/// Fills the queue of a runtime that is not driven meanwhile.
fn overflow(dir: &Path) {
    let most: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let name = dir.join("noise");
    for _ in 0..=most / 2 + 1 {
        fs::write(&name, "").unwrap();
        fs::remove_file(&name).unwrap();
    }
}

/// Runs `test` where nobody reads events while it does not await.
fn undriven<F: Future>(test: F) {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

#[test]
fn an_edit_that_overflowed_is_found() {
    undriven(async {
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        overflow(&lab.root);
        lab.write(text("two"));
        lab.expect(config("two")).await;
        overflow(&lab.root);
        lab.replace(text("six"));
        lab.expect(config("six")).await;
        lab.write(text("ten"));
        lab.expect(config("ten")).await;
    });
}

/// The kernel gives a freed inode number to the next file: what looks like the watched place is
/// another, and the event that said so was lost.
#[test]
fn what_was_replaced_while_events_overflowed_is_watched_anew() {
    undriven(async {
        let name = "a/config.toml";
        let put = |dir: &Path| {
            fs::create_dir(dir.join("a")).unwrap();
            fs::write(dir.join(name), text("one")).unwrap();
        };
        let mut lab = Lab::following(options(WatchStrategy::Realtime), name, put).await;
        lab.expect(config("one")).await;
        let number = |path: PathBuf| fs::metadata(path).unwrap().ino();
        let (dir, file) = (lab.root.join("a"), lab.path.clone());
        let before = (number(dir.clone()), number(file.clone()));
        for _ in 0..100 {
            overflow(&lab.root);
            fs::remove_dir_all(&dir).unwrap();
            put(&lab.root);
            if (number(dir.clone()), number(file.clone())) == before {
                break;
            }
        }
        for name in ["two", "six"] {
            lab.write(text(name));
            lab.expect(config(name)).await;
            lab.replace(text("between"));
            lab.expect(config("between")).await;
        }
    });
}

#[test]
fn a_file_that_was_replaced_while_events_overflowed_is_watched_anew() {
    undriven(async {
        let mut lab = Lab::with_one(WatchStrategy::Realtime).await;
        overflow(&lab.root);
        fs::remove_file(&lab.path).unwrap();
        lab.write(text("two"));
        lab.expect(config("two")).await;
        for name in ["six", "ten"] {
            lab.write(text(name));
            lab.expect(config(name)).await;
        }
    });
}
