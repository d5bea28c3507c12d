//! Which edits count that are made outside of the tree: through links, hard links and mounts.

mod common;

use std::{fs, os::unix::fs::symlink, path::Path};

use common::{
    Folder,
    tree::{IDLE, counts, dev_after, files, idle, nothing_else_counts, watches},
    wait_until,
};

/// Makes a link, or turns one elsewhere in one step.
fn link(folder: &Folder, name: &str, target: &Path) {
    let (new, link) = (folder.path().join("new.tmp"), folder.path().join(name));
    fs::create_dir_all(link.parent().unwrap()).unwrap();
    symlink(target, &new).unwrap();
    fs::rename(&new, &link).unwrap();
}

/// Writes a new file in the place of another.
fn replace(folder: &Folder, name: &str, text: &str) {
    folder.write("new.tmp", text);
    fs::rename(folder.path().join("new.tmp"), folder.path().join(name)).unwrap();
}

#[test]
fn an_edit_of_the_file_that_a_link_leads_to_counts() {
    for flags in [&["-e", "rs"][..], &["-e", "rs", "--poll=20ms"]] {
        let (folder, outside) = (Folder::with(&[]), Folder::with(&[("base.html", "one")]));
        let target = outside.path().join("base.html");
        link(&folder, "deep/base.rs", &target);
        let mut dev = idle(&folder, flags);
        let want = "deep/base.rs";
        for n in 0..2 {
            let text = |what: &str| format!("{what} {n}");
            counts(&mut dev, want, || outside.write("base.html", &text("in place")));
            counts(&mut dev, want, || replace(&outside, "base.html", &text("replaced")));
            counts(&mut dev, want, || fs::remove_file(&target).unwrap());
            counts(&mut dev, want, || outside.write("base.html", &text("again")));
        }
        outside.write("other.rs", "");
        nothing_else_counts(&folder, &mut dev);
    }
}

#[test]
fn a_link_that_is_turned_to_another_file_counts_and_so_does_an_edit_of_that() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let (folder, outside) = (Folder::with(&[]), Folder::with(&[("a", "a"), ("b", "b")]));
        link(&folder, "link.rs", &outside.path().join("a"));
        let mut dev = idle(&folder, flags);
        counts(&mut dev, "link.rs", || link(&folder, "link.rs", &outside.path().join("b")));
        counts(&mut dev, "link.rs", || outside.write("b", "two"));
        outside.write("a", "two");
        nothing_else_counts(&folder, &mut dev);
        counts(&mut dev, "link.rs", || replace(&folder, "link.rs", "a file"));
        outside.write("b", "three");
        nothing_else_counts(&folder, &mut dev);
        counts(&mut dev, "link.rs", || fs::remove_file(folder.path().join("link.rs")).unwrap());
    }
}

#[test]
fn what_a_link_leads_through_may_be_turned_and_may_come_later() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let outside = Folder::with(&[("v1/a.rs", "one"), ("v2/a.rs", "two")]);
        let folder = Folder::with(&[]);
        link(&outside, "current", Path::new("v1"));
        link(&folder, "a.rs", &outside.path().join("current/a.rs"));
        link(&folder, "later.rs", &outside.path().join("current/later/b.rs"));
        let mut dev = idle(&folder, flags);
        counts(&mut dev, "a.rs", || link(&outside, "current", Path::new("v2")));
        counts(&mut dev, "a.rs", || outside.write("v2/a.rs", "three"));
        counts(&mut dev, "later.rs", || outside.write("v2/later/b.rs", "one"));
        counts(&mut dev, "later.rs", || outside.write("v2/later/b.rs", "two"));
    }
}

#[test]
fn a_root_may_be_a_link_to_a_link() {
    for flags in [&["-w", "root"][..], &["-w", "root", "--poll=20ms"]] {
        let outside = Folder::with(&[("v1/a.rs", "one"), ("v2/a.rs", "two")]);
        let folder = Folder::with(&[]);
        link(&outside, "current", Path::new("v1"));
        link(&folder, "root", &outside.path().join("current"));
        let mut dev = folder.dev(&[flags, &IDLE].concat());
        dev.wait("ready");
        counts(&mut dev, "root/a.rs", || link(&outside, "current", Path::new("v2")));
        counts(&mut dev, "root/a.rs", || outside.write("v2/a.rs", "three"));
    }
}

#[test]
fn a_root_may_be_a_link_to_a_file_and_its_folder_be_followed_all_the_same() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let outside = Folder::with(&[("settings", "A=1"), ("a.rs", "one")]);
        let folder = Folder::with(&[]);
        link(&folder, ".env", &outside.path().join("settings"));
        link(&folder, "src/lib", outside.path());
        let mut dev = folder.dev(&[flags, &["-e", "rs"], &IDLE].concat());
        dev.wait("ready");
        counts(&mut dev, ".env", || outside.write("settings", "A=2"));
        counts(&mut dev, ".env", || replace(&outside, "settings", "A=3"));
        counts(&mut dev, "src/lib/a.rs", || outside.write("a.rs", "two"));
    }
}

#[test]
fn a_file_counts_by_each_name_that_it_has_in_the_tree() {
    let folder = Folder::with(&[("a.rs", "one")]);
    link(&folder, "static/a.rs", Path::new("../a.rs"));
    let mut dev = idle(&folder, &[]);
    folder.write("a.rs", "two");
    assert_eq!(files(&mut dev), ["a.rs", "static/a.rs"]);
    nothing_else_counts(&folder, &mut dev);
}

#[test]
fn a_link_to_a_device_is_not_watched() {
    let folder = Folder::with(&[("a.rs", "one")]);
    link(&folder, "null.rs", Path::new("/dev/null"));
    let dev = idle(&folder, &[]);
    // The tree's one folder, and those that it is in.
    assert_eq!(watches(dev.pid()), folder.path().ancestors().count());
}

#[test]
fn a_link_to_a_folder_outside_is_followed() {
    for flags in [&["-e", "rs"][..], &["-e", "rs", "--poll=20ms"]] {
        let (folder, outside) = (Folder::with(&[]), Folder::with(&[("lib/sub/a.rs", "one")]));
        folder.write("src/b.rs", "");
        let mut dev = idle(&folder, flags);
        let lib = outside.path().join("lib");
        counts(&mut dev, "src/lib/sub/a.rs", || link(&folder, "src/lib", &lib));
        counts(&mut dev, "src/lib/sub/a.rs", || outside.write("lib/sub/a.rs", "two"));
        counts(&mut dev, "src/lib/new/b.rs", || outside.write("lib/new/b.rs", "one"));
        // What it leads to is replaced, then it is turned elsewhere, then it goes.
        counts(&mut dev, "src/lib/new/b.rs", || fs::remove_dir_all(&lib).unwrap());
        counts(&mut dev, "src/lib/c.rs", || outside.write("lib/c.rs", "one"));
        outside.write("other/c.rs", "two");
        let other = outside.path().join("other");
        counts(&mut dev, "src/lib/c.rs", || link(&folder, "src/lib", &other));
        counts(&mut dev, "src/lib/c.rs", || outside.write("other/c.rs", "three"));
        outside.write("lib/c.rs", "four");
        nothing_else_counts(&folder, &mut dev);
        counts(&mut dev, "src/lib/c.rs", || {
            fs::remove_file(folder.path().join("src/lib")).unwrap();
        });
        outside.write("other/c.rs", "five");
        nothing_else_counts(&folder, &mut dev);
    }
}

#[test]
fn a_link_may_be_turned_from_a_file_to_a_folder_and_back() {
    let outside = Folder::with(&[("a.rs", "one"), ("lib/b.rs", "one")]);
    let folder = Folder::with(&[]);
    let (file, lib) = (outside.path().join("a.rs"), outside.path().join("lib"));
    link(&folder, "link.rs", &file);
    let mut dev = idle(&folder, &[]);
    for n in 0..2 {
        counts(&mut dev, "link.rs/b.rs", || link(&folder, "link.rs", &lib));
        counts(&mut dev, "link.rs/b.rs", || outside.write("lib/b.rs", &format!("edit {n}")));
        counts(&mut dev, "link.rs", || link(&folder, "link.rs", &file));
        counts(&mut dev, "link.rs", || outside.write("a.rs", &format!("edit {n}")));
    }
}

#[test]
fn links_in_a_circle_end_and_no_folder_is_entered_twice() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let folder = Folder::with(&[("src/a.rs", "one")]);
        let outside = Folder::with(&[("one/a.rs", "one"), ("two/b.rs", "one")]);
        for (name, target) in [
            ("up", Path::new("..")),
            ("root", Path::new("/")),
            ("itself", Path::new("itself")),
            ("here", &folder.path().join("src")),
            ("out", &outside.path().join("one")),
        ] {
            link(&folder, &format!("src/{name}"), target);
        }
        link(&outside, "one/two", &outside.path().join("two"));
        link(&outside, "one/one", &outside.path().join("one"));
        let mut dev = folder.dev(&[flags, &IDLE].concat());
        let watching = dev.wait("watching");
        // The two of the tree, and the one that is outside of it.
        assert_eq!((&watching["files"], &watching["folders"]), (&2.into(), &3.into()));
        dev.wait("ready");
        folder.write("src/a.rs", "two");
        assert_eq!(files(&mut dev), ["src/a.rs"], "by its own name alone");
        counts(&mut dev, "src/out/a.rs", || outside.write("one/a.rs", "two"));
    }
}

#[test]
fn a_link_to_a_folder_that_does_not_count_is_not_followed() {
    let outside = Folder::with(&[("modules/a.rs", ""), ("mine/b.rs", ""), ("made/c.rs", "")]);
    outside.write("made/CACHEDIR.TAG", "");
    let folder = Folder::with(&[(".gitignore", "git\n")]);
    for (name, target) in
        [("node_modules", "modules"), ("mine", "mine"), ("target", "made"), ("git", "mine")]
    {
        link(&folder, name, &outside.path().join(target));
    }
    let mut dev = folder.dev(&[&["-i", "mine/"], &IDLE[..]].concat());
    assert_eq!(dev.wait("watching")["folders"], 1);
}

/// How many watches `server-dev doctor` says are needed.
fn needed(folder: &Folder) -> usize {
    folder.write("server-dev.toml", "[services.web]\ncommand = 'true'\n");
    let output = folder.command(&["doctor"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (before, _) = text.split_once(" needed, ").unwrap();
    before.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn nothing_is_watched_for_a_link_that_has_gone() {
    let outside = Folder::with(&[("deep/a/a.rs", ""), ("deep/b/b.rs", "")]);
    let folder = Folder::with(&[("sub/c.rs", "")]);
    let mut dev = idle(&folder, &[]);
    let before = watches(dev.pid());
    counts(&mut dev, "sub/a.rs", || link(&folder, "sub/a.rs", &outside.path().join("deep/a/a.rs")));
    counts(&mut dev, "b/b.rs", || link(&folder, "b", &outside.path().join("deep/b")));
    let here = folder.path();
    // Those above both are watched anyway.
    assert_eq!(watches(dev.pid()), before + 4, "outside, deep, a and b");
    assert_eq!(needed(&folder), before + 4, "and doctor knows");
    counts(&mut dev, "sub/a.rs", || fs::remove_dir_all(here.join("sub")).unwrap());
    counts(&mut dev, "b/b.rs", || fs::remove_file(here.join("b")).unwrap());
    wait_until(|| watches(dev.pid()) == before - 1, || "a watch stays");
}

#[test]
fn an_edit_by_another_name_of_a_file_counts() {
    for flags in [&[][..], &["--poll=20ms"]] {
        let (folder, outside) = (Folder::with(&[]), Folder::with(&[("a.rs", "one")]));
        fs::hard_link(outside.path().join("a.rs"), folder.path().join("a.rs")).unwrap();
        let mut dev = idle(&folder, flags);
        counts(&mut dev, "a.rs", || outside.write("a.rs", "two"));
        // One that gets its second name later.
        folder.write("b.rs", "one");
        counts(&mut dev, "b.rs", || {
            fs::hard_link(folder.path().join("b.rs"), outside.path().join("b.rs")).unwrap();
            outside.write("b.rs", "two");
        });
        counts(&mut dev, "b.rs", || outside.write("b.rs", "three"));
    }
}

#[test]
fn a_file_that_has_no_other_name_any_more_is_not_watched_by_itself() {
    let (folder, outside) = (Folder::with(&[]), Folder::with(&[("a.rs", "one")]));
    fs::hard_link(outside.path().join("a.rs"), folder.path().join("a.rs")).unwrap();
    let mut dev = idle(&folder, &[]);
    let before = watches(dev.pid());
    counts(&mut dev, "a.rs", || {
        folder.write("new.tmp", "two");
        fs::rename(folder.path().join("new.tmp"), folder.path().join("a.rs")).unwrap();
    });
    outside.write("a.rs", "three");
    nothing_else_counts(&folder, &mut dev);
    assert_eq!(watches(dev.pid()), before - 1);
}

#[test]
fn an_edit_of_what_is_mounted_over_a_file_counts() {
    let (folder, outside) =
        (Folder::with(&[("a.rs", ""), ("sub/b.rs", "")]), Folder::with(&[("a.rs", "one")]));
    let source = outside.path().join("a.rs");
    let mount = format!("mount --bind '{}' a.rs", source.display());
    let Some(mut dev) = dev_after(&folder, &mount, &[]) else {
        return eprintln!("skipped: namespaces are not to be had here");
    };
    dev.wait("ready");
    for n in 0..3 {
        counts(&mut dev, "a.rs", || outside.write("a.rs", &format!("edit {n}")));
    }
    nothing_else_counts(&folder, &mut dev);
}
