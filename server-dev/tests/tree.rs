//! Which changes of files and folders count.

mod common;

use std::{fs, time::SystemTime};

use common::{
    Folder,
    tree::{counts, files, idle, nothing_else_counts, stop, watches},
};
use rustix::process::Signal;

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
    // Written at six starts in a row, it might be taken for a file of the server's own.
    for n in 0..2 {
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
