//! Saves as editors and command-line tools make them.
//!
//! Each tool is run where it is installed; what it asks of the system is done by hand as well.
#![cfg(all(feature = "toml", unix))]

mod common;

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
    process::Command,
};

use common::{Lab, config, has_tool, text};

fn run(tool: &str, args: &[&str], dir: &Path) {
    let done = Command::new(tool).args(args).current_dir(dir).env("HOME", dir).output().unwrap();
    assert!(done.status.success(), "{tool}: {done:?}");
}

/// Writes a file and has it on the disk before it is closed, as every editor does.
fn write_synced(path: &Path, text: &str) {
    let mut file = File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.sync_all().unwrap();
}

const SAVES: [(&str, &str); 3] = [("one", "two"), ("two", "six"), ("six", "ten")];

in_every_strategy! {
    async fn vim(strategy) {
        if !has_tool("vim") {
            return;
        }
        // With `backupcopy=yes` vim writes in place, with `no` it renames, with `auto` it decides.
        for copy in ["yes", "no", "auto"] {
            let mut lab = Lab::with_one(strategy).await;
            for (from, to) in SAVES {
                let before = lab.generation();
                let (set, edit) = (format!("set backup backupcopy={copy}"), format!("%s/{from}/{to}/"));
                run("vim", &["-es", "-u", "NONE", "-c", &set, "-c", &edit, "-c", "wq", "config.toml"], &lab.root);
                lab.expect_next(before, config(to)).await;
            }
        }
    }

    async fn vim_by_hand(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (_, to) in SAVES {
            let before = lab.generation();
            // It tries with 4913 whether the directory may be written to.
            write_synced(&lab.root.join("4913"), "");
            fs::remove_file(lab.root.join("4913")).unwrap();
            let backup = lab.root.join("config.toml~");
            fs::rename(&lab.path, &backup).unwrap();
            write_synced(&lab.path, &text(to));
            fs::remove_file(backup).unwrap();
            lab.expect_next(before, config(to)).await;
        }
    }

    async fn emacs(strategy) {
        if !has_tool("emacs") {
            return;
        }
        let mut lab = Lab::with_one(strategy).await;
        for (from, to) in SAVES {
            let before = lab.generation();
            let edit = format!("(progn (find-file \"config.toml\") (replace-string \"{from}\" \"{to}\") (save-buffer))");
            run("emacs", &["-Q", "--batch", "--eval", &edit], &lab.root);
            lab.expect_next(before, config(to)).await;
        }
    }

    async fn emacs_by_hand(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (n, (_, to)) in SAVES.into_iter().enumerate() {
            let before = lab.generation();
            // Its lock is a link that leads nowhere; only the first save makes a backup.
            let lock = lab.root.join(".#config.toml");
            std::os::unix::fs::symlink("me@host.1:2", &lock).unwrap();
            if n == 0 {
                fs::rename(&lab.path, lab.root.join("config.toml~")).unwrap();
            }
            write_synced(&lab.path, &text(to));
            fs::remove_file(lock).unwrap();
            lab.expect_next(before, config(to)).await;
        }
    }

    async fn nano_by_hand(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (_, to) in SAVES {
            let before = lab.generation();
            fs::copy(&lab.path, lab.root.join("config.toml~")).unwrap();
            write_synced(&lab.path, &text(to));
            lab.expect_next(before, config(to)).await;
        }
    }

    /// VS Code opens without truncating, then truncates, then writes.
    async fn vs_code_by_hand(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (_, to) in SAVES {
            let before = lab.generation();
            let mut file = File::options().write(true).open(&lab.path).unwrap();
            file.set_len(0).unwrap();
            file.write_all(text(to).as_bytes()).unwrap();
            drop(file);
            lab.expect_next(before, config(to)).await;
        }
    }

    /// `JetBrains`' safe write: beside the file, the old one away, the new one there, the old one gone.
    async fn safe_write_by_hand(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (_, to) in SAVES {
            let before = lab.generation();
            let (next, old) = (lab.root.join("config.toml~~"), lab.root.join("config.toml~"));
            write_synced(&next, &text(to));
            fs::rename(&lab.path, &old).unwrap();
            fs::rename(next, &lab.path).unwrap();
            fs::remove_file(old).unwrap();
            lab.expect_next(before, config(to)).await;
        }
    }

    async fn sed_in_place(strategy) {
        if !has_tool("sed") {
            return;
        }
        let mut lab = Lab::with_one(strategy).await;
        for (from, to) in SAVES {
            let before = lab.generation();
            run("sed", &["-i", &format!("s/{from}/{to}/"), "config.toml"], &lab.root);
            lab.expect_next(before, config(to)).await;
        }
        let before = lab.generation();
        run("sed", &["-i.orig", "s/ten/one/", "config.toml"], &lab.root);
        lab.expect_next(before, config("one")).await;
    }

    async fn shell_redirection_and_copies(strategy) {
        let mut lab = Lab::with_one(strategy).await;
        for (_, to) in SAVES {
            fs::write(lab.root.join("source"), text(to)).unwrap();
            for command in ["cat source > config.toml", "cp source config.toml", "install -m 644 source config.toml", "tee config.toml < source", "dd if=source of=config.toml"] {
                let before = lab.generation();
                lab.replace(text("other"));
                lab.expect_next(before, config("other")).await;
                run("sh", &["-c", command], &lab.root);
                lab.expect_next(before + 1, config(to)).await;
            }
        }
    }
}
