//! Which edits count that are made outside of the tree: through links, hard links and mounts.

mod common;

use std::fs;

use common::{
    Folder,
    tree::{counts, dev_after, idle, nothing_else_counts, watches},
};

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
