//! Validation, and parts of a program that prepare.

use std::{
    fs::{self, File},
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
        mpsc,
    },
    time::Duration,
};

use hot_reload::{Candidate, Health, ReloaderService, TomlFile, Triggered, WatchStrategy};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};

use crate::{
    Idle, Lab,
    common::{Config, PATIENCE, config, options, within},
    in_every_strategy, never_by_itself,
};

in_every_strategy! {
    async fn what_is_refused_is_not_published_and_what_is_mended_is(strategy) {
        let mut lab = Lab::new(strategy, |service| {
            service.validate(|new, current| {
                assert!(current.is_none_or(|current| current != new));
                if new.name == "bad" { Err("a bad name") } else { Ok(()) }
            })
        })
        .await;
        lab.write("bad");
        let status = lab.refused_by("validation").await;
        assert_eq!(status.health, Health::Retrying);
        assert_eq!(status.last_error.as_deref(), Some("refused by validation: a bad name"));
        assert!(status.unapplied_since.is_some() && status.is_ready());
        assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 1));
        lab.write("two");
        lab.expect("two").await;
        let status = lab.rx.status();
        assert_eq!((status.refused_by, status.last_error), (None, None));
        assert_eq!(lab.generation(), 2);
    }

    /// The file is the same all the time.
    async fn what_was_refused_is_tried_again(strategy) {
        let is_full = Arc::new(AtomicBool::new(false));
        let full = Arc::clone(&is_full);
        let mut lab = Lab::new(strategy, |service| {
            service.validate(move |new, _| {
                let is_in_the_way = full.load(Ordering::SeqCst) && new.name == "two";
                if is_in_the_way { Err("the disk is full") } else { Ok(()) }
            })
        })
        .await;
        is_full.store(true, Ordering::SeqCst);
        lab.write("two");
        lab.refused_by("validation").await;
        // With backoff, not in a busy loop.
        let tried = lab.status(|status| status.failures > 2).await.failures;
        sleep(Duration::from_millis(200)).await;
        assert!(lab.rx.status().failures < tried + 30, "{:?}", lab.rx.status());
        is_full.store(false, Ordering::SeqCst);
        lab.expect("two").await;
        lab.status(|status| status.health == Health::Fresh).await;
    }
}

#[tokio::test]
async fn a_validation_that_panics_or_hangs_has_refused() {
    let (let_go, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.validate(move |new, _| match new.name.as_str() {
            "panic" => panic!("on purpose"),
            "hang" => {
                let _let_go = held.lock().unwrap().recv_timeout(2 * PATIENCE);
                Ok(())
            }
            _ => Ok::<_, String>(()),
        })
    })
    .await;
    let says = async |lab: &Lab, words: &str| {
        lab.status(|status| status.last_error.as_deref().is_some_and(|why| why.contains(words)))
            .await
    };
    lab.write("panic");
    says(&lab, "panicked: on purpose").await;
    lab.write("hang");
    says(&lab, "did not answer within 1s").await;
    // It is not asked again before it has answered, so that it holds no second thread.
    lab.write("two");
    says(&lab, "still hangs on an earlier value").await;
    assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 1));
    drop(let_go);
    lab.expect("two").await;
    assert_eq!(lab.generation(), 2);
}

/// It accepts and refuses in turns, whatever it is asked about.
#[tokio::test(start_paused = true)]
async fn a_validation_that_disagrees_with_itself_loses_no_value() {
    let moody = || {
        let asked = AtomicU32::new(0);
        move |_: &u32, _: Option<&u32>| {
            if asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                Ok(())
            } else {
                Err("not now")
            }
        }
    };
    let refused = Triggered::Failed("refused by validation: not now".into());
    let idle = Idle::new(never_by_itself(), |service| service.history(9).validate(moody())).await;
    assert_eq!(idle.load(2).await, refused);
    assert_eq!((idle.rx.get(), idle.rx.status().health), (Some(1), Health::Retrying));
    assert_eq!(idle.load(2).await, Triggered::Published(2));
    // It is asked about what is new alone.
    assert_eq!(idle.load(2).await, Triggered::Unchanged);
    assert_eq!(within(idle.handle.rollback(1)).await, refused);
    assert_eq!((idle.rx.get(), idle.rx.status().pinned), (Some(2), None));
    assert_eq!(within(idle.handle.rollback(1)).await, Triggered::Published(3));
    assert_eq!(idle.rx.get(), Some(1));

    // Of a value that serves already, a refusal takes nothing away.
    let forced = never_by_itself().force_reload(true);
    let idle = Idle::new(forced, |service| service.validate(moody())).await;
    for generation in 2..9 {
        assert_eq!(idle.load(1).await, refused);
        assert_eq!((idle.rx.get(), idle.rx.status().failures), (Some(1), 1));
        assert_eq!(idle.load(1).await, Triggered::Published(generation));
        assert_eq!(idle.rx.status().health, Health::Fresh);
    }
}

/// Counts what is prepared and not undone.
#[derive(Default)]
struct Part {
    prepared: AtomicU32,
    committed: Mutex<Vec<String>>,
}

struct Prepared(Arc<Part>);

impl Drop for Prepared {
    fn drop(&mut self) {
        self.0.prepared.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Part {
    fn prepare(self: &Arc<Self>, candidate: &Candidate<Config>) -> impl FnOnce() + Send + use<> {
        self.prepared.fetch_add(1, Ordering::SeqCst);
        let (prepared, name) = (Prepared(Arc::clone(self)), candidate.new.name.clone());
        move || prepared.0.committed.lock().unwrap().push(name)
    }

    fn committed(&self) -> Vec<String> {
        self.committed.lock().unwrap().clone()
    }
}

#[tokio::test]
async fn all_parts_take_a_value_or_none_does() {
    let (first, last) = (Arc::new(Part::default()), Arc::new(Part::default()));
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let parts = (Arc::clone(&first), Arc::clone(&last));
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        let (first, last) = parts;
        service
            .prepare("cache", move |candidate| {
                let commit = first.prepare(&candidate);
                async { Ok::<_, String>(commit) }
            })
            .prepare("listener", move |candidate| async move {
                if candidate.new.name == "two" {
                    TcpListener::bind(address).await?;
                }
                Ok::<_, std::io::Error>(|| {})
            })
            .prepare("routes", move |candidate| {
                let commit = last.prepare(&candidate);
                async move {
                    match candidate.new.name.as_str() {
                        "panic" => panic!("on purpose"),
                        "hang" => std::future::pending().await,
                        _ => Ok::<_, String>(commit),
                    }
                }
            })
    })
    .await;
    for (name, by) in [("two", "listener"), ("panic", "routes"), ("hang", "routes")] {
        lab.write(name);
        let status = lab.refused_by(by).await;
        assert!(status.last_error.unwrap().starts_with(&format!("refused by {by}: ")));
        // Whatever was prepared is undone.
        let undone = timeout(PATIENCE, async {
            while first.prepared.load(Ordering::SeqCst) + last.prepared.load(Ordering::SeqCst) > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        });
        assert!(undone.await.is_ok(), "{name}");
        assert_eq!((lab.rx.get(), lab.generation()), (Some(config("one")), 1), "{name}");
        assert_eq!((first.committed(), last.committed()).0, ["one"], "{name}");
    }
    // The port is free again, and nobody has touched the file.
    lab.write("two");
    lab.refused_by("listener").await;
    drop(taken);
    lab.expect("two").await;
    assert_eq!((first.committed(), last.committed().len()), (vec!["one".into(), "two".into()], 2));
}

/// Parts have taken a value by the time that anybody reads it.
#[tokio::test]
async fn commits_come_before_the_publication_and_survive_one_that_panics() {
    let committed = Arc::new(Mutex::new(String::new()));
    let part = Arc::clone(&committed);
    let mut lab = Lab::new(WatchStrategy::Realtime, |service| {
        service.prepare("fragile", |_| async { Ok::<_, String>(|| panic!("on purpose")) }).prepare(
            "sound",
            move |candidate| {
                let part = Arc::clone(&part);
                let commit = move || part.lock().unwrap().clone_from(&candidate.new.name);
                async { Ok::<_, String>(commit) }
            },
        )
    })
    .await;
    for n in 0..50 {
        let name = n.to_string();
        lab.write(&name);
        lab.expect(&name).await;
        assert_eq!(*committed.lock().unwrap(), name);
    }
}

/// Says of itself whether it can be compared, and whether it can be dropped.
#[derive(Debug, Clone, serde::Deserialize)]
struct Fragile {
    name: String,
}

impl PartialEq for Fragile {
    fn eq(&self, other: &Self) -> bool {
        assert_ne!(other.name, "incomparable", "on purpose");
        assert_ne!(self.name, "incomparable", "on purpose");
        self.name == other.name
    }
}

impl Eq for Fragile {}

impl Drop for Fragile {
    fn drop(&mut self) {
        assert!(self.name != "immortal" || std::thread::panicking(), "on purpose");
    }
}

#[tokio::test]
async fn a_value_whose_comparison_or_drop_panics_ends_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    let write = |name: &str| fs::write(&path, format!("name = '{name}'")).unwrap();
    write("one");
    let file = TomlFile::<Fragile>::from_path(&path).unwrap();
    let (service, mut rx) = ReloaderService::from_reloader(file, options(WatchStrategy::Realtime));
    let service = service.history(1);
    let task = tokio::spawn(async move { service.start_with_realtime().await.unwrap() });
    timeout(PATIENCE, rx.changed()).await.unwrap().unwrap();
    let mut status = rx.watch_status();
    write("incomparable");
    let refused = status.wait_for(|status| status.refused_by.as_deref() == Some("comparison"));
    let refused = timeout(PATIENCE, refused).await.unwrap().unwrap();
    assert!(refused.last_error.unwrap().contains("on purpose"));
    for name in ["immortal", "two"] {
        write(name);
        timeout(PATIENCE, rx.wait_for(|value| value.name == name)).await.unwrap().unwrap();
    }
    assert!(!task.is_finished());
    task.abort();
}

/// Writes a first half, and keeps the file open for the other.
fn begin(lab: &Lab) -> File {
    let mut writer = File::create(&lab.path).unwrap();
    writer.write_all(b"name = ").unwrap();
    writer
}

#[tokio::test]
async fn a_trigger_while_a_writer_is_at_work_is_answered_once_it_is_done() {
    for is_paused in [false, true] {
        let lab = Lab::new(WatchStrategy::Realtime, |service| service).await;
        let mut writer = begin(&lab);
        if is_paused {
            lab.handle.pause();
        }
        sleep(Duration::from_millis(20)).await;
        let mut triggered = std::pin::pin!(lab.handle.trigger());
        // Nothing to tell yet; and this task runs, on the thread that the service runs on.
        assert!(timeout(Duration::from_millis(200), &mut triggered).await.is_err());
        writer.write_all(b"'two'\nrest = 'whole'\n").unwrap();
        drop(writer);
        let answer = timeout(PATIENCE, triggered).await.unwrap();
        assert_eq!((answer, lab.rx.status().is_paused), (Triggered::Published(2), is_paused));
    }
}
