//! By what changes of files are noticed, and that it is said.

mod common;

use std::{fs, process::Stdio};

use common::{
    Folder, SERVER_DEV,
    process::unshare,
    tree::{IDLE, counts, dev_after, idle, stop, watches},
};
use rustix::process::Signal;

#[test]
fn what_is_told_too_fast_is_looked_for() {
    let folder = Folder::with(&[("a.rs", "one"), ("deep/b.rs", "one")]);
    let mut dev = idle(&folder, &[]);
    stop(&dev);
    folder.write("deep/b.rs", "two");
    // More than fs.inotify.max_queued_events of a usual machine.
    let queue: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events")
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    // Two names in turn, since the kernel leaves out what it has just said.
    for n in 0..queue + 10 {
        folder.write(&format!("{}.swp", n % 2), "");
    }
    folder.write("new/c.rs", "lost");
    dev.signal(Signal::CONT);
    let changed = dev.wait("changed").to_string();
    assert!(changed.contains("deep/b.rs") && changed.contains("new/c.rs"), "{changed}");
    counts(&mut dev, "new/c.rs", || folder.write("new/c.rs", "told"));
}

#[test]
fn a_tree_that_is_polled_says_so() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let mut dev = folder.dev(&[&["--poll"], &IDLE[..]].concat());
    let watching = dev.wait("watching");
    assert_eq!(watching["mechanism"], "polling");
    assert_eq!(watching["poll_milliseconds"], 500);
    dev.wait("ready");
    assert_eq!(watches(dev.pid()), 0);
    counts(&mut dev, "a.rs", || folder.write("a.rs", "two"));
}

#[test]
fn where_watches_run_out_it_polls_and_says_which_limit_to_raise() {
    let folder = Folder::with(&[("a/a.rs", "one"), ("b/b.rs", "one"), ("c/d/e/f/g/h.rs", "one")]);
    let limit = "echo 6 > /proc/sys/user/max_inotify_watches";
    let Some(mut dev) = dev_after(&folder, limit, &[]) else {
        return eprintln!("skipped: namespaces are not to be had here");
    };
    let watching = dev.wait("watching");
    assert_eq!(watching["mechanism"], "polling", "{watching}");
    assert!(watching["reason"].as_str().unwrap().contains("max_user_watches"), "{watching}");
    dev.wait("ready");
    // Others may need those that were had.
    assert_eq!(watches(dev.pid()), 0);
    counts(&mut dev, "c/d/e/f/g/h.rs", || folder.write("c/d/e/f/g/h.rs", "two"));
}

#[test]
fn without_an_instance_of_inotify_it_polls() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let limit = "echo 0 > /proc/sys/user/max_inotify_instances";
    let Some(mut dev) = dev_after(&folder, limit, &[]) else {
        return eprintln!("skipped: namespaces are not to be had here");
    };
    let watching = dev.wait("watching");
    assert_eq!(watching["mechanism"], "polling", "{watching}");
    assert!(watching["reason"].as_str().unwrap().contains("max_user_instances"), "{watching}");
    dev.wait("ready");
    counts(&mut dev, "a.rs", || folder.write("a.rs", "two"));
}

#[test]
fn where_watches_run_out_later_it_polls_from_then_on() {
    let folder = Folder::with(&[("a.rs", "one")]);
    let enough = 1 + folder.path().ancestors().skip(1).count();
    let limit = format!("echo {enough} > /proc/sys/user/max_inotify_watches");
    let Some(mut dev) = dev_after(&folder, &limit, &[]) else {
        return eprintln!("skipped: namespaces are not to be had here");
    };
    assert_eq!(dev.wait("watching")["mechanism"], "events");
    dev.wait("ready");
    folder.write("new/deep/b.rs", "one");
    let watching = dev.wait_for("watching", |watching| watching["mechanism"] == "polling");
    assert!(watching["reason"].as_str().unwrap().contains("max_user_watches"), "{watching}");
    counts(&mut dev, "new/deep/b.rs", || folder.write("new/deep/b.rs", "two"));
}

#[test]
fn a_change_of_a_lower_layer_is_found_by_looking() {
    let folder = Folder::with(&[("lower/a.rs", "one"), ("merged/none", "")]);
    let outside = Folder::with(&[]);
    let mount = "mkdir upper work; mount -t overlay overlay \
                 -o lowerdir=lower,upperdir=upper,workdir=work merged; cd merged";
    let Some(mut dev) = dev_after(&folder, mount, &[]) else {
        return eprintln!("skipped: namespaces are not to be had here");
    };
    let watching = dev.wait("watching");
    assert_eq!(watching["mechanism"], "events-and-polling", "{watching}");
    assert!(watching["reason"].as_str().unwrap().contains("overlayfs"), "{watching}");
    dev.wait("ready");
    counts(&mut dev, "a.rs", || {
        // In one step, as a change below a mounted layer is seen as it comes.
        fs::write(outside.path().join("a.rs"), "two, and longer").unwrap();
        fs::copy(outside.path().join("a.rs"), folder.path().join("lower/a.rs")).unwrap();
    });
}

#[test]
fn doctor_says_that_such_a_tree_is_polled_as_well() {
    let folder = Folder::with(&[("lower/a.rs", "one"), ("merged/none", "")]);
    folder.write("lower/server-dev.toml", "[services.web]\ncommand = 'true'\n");
    let Some(mut command) = unshare(&["--mount"]) else {
        return eprintln!("skipped: namespaces are not to be had here");
    };
    let script = "set -e; mkdir upper work; mount -t overlay overlay \
                  -o lowerdir=lower,upperdir=upper,workdir=work merged; cd merged; \"$@\"";
    command.args(["sh", "-c", script, "sh", SERVER_DEV, "doctor"]);
    let output = command.current_dir(folder.path()).stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    let told = "is on overlayfs, which does not tell of every change, and is polled as well";
    assert!(text.contains(told), "{text}");
}
