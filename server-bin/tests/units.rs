//! The unit files, as systemd's own tool has it.

#![cfg(target_os = "linux")]

use std::{fs, path::Path, process::Command};

/// In tenths: systemd-analyze(1) has it from 0.0 (safe) to 10.0 (exposed).
const EXPOSURE: &str = "15";

/// Runs the tool on the units, in which the program is the one that was built.
fn analyze(args: &[&str], units: &[&str]) -> Option<String> {
    let dir = tempfile::tempdir().unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    for unit in ["server-bin.service", "server-bin.socket"] {
        let text = fs::read_to_string(here.join(unit)).unwrap();
        let text = text.replace("/usr/bin/server-bin", env!("CARGO_BIN_EXE_server-bin"));
        fs::write(dir.path().join(unit), text).unwrap();
    }
    let units = units.iter().map(|unit| dir.path().join(unit));
    let Ok(out) = Command::new("systemd-analyze").args(args).args(units).output() else {
        eprintln!("skipped: systemd-analyze is not to be had here");
        return None;
    };
    let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
    assert!(out.status.success(), "{said}");
    Some(said)
}

#[test]
fn the_units_are_understood() {
    let Some(said) = analyze(&["verify"], &["server-bin.service", "server-bin.socket"]) else {
        return;
    };
    let is_ours = |line: &&str| {
        // Older than 253, systemd doesn't know it yet.
        line.contains("server-bin.") && !line.ends_with("ignoring: notify-reload")
    };
    assert_eq!(said.lines().find(is_ours), None, "{said}");
}

#[test]
fn the_service_is_exposed_to_little() {
    let threshold = format!("--threshold={EXPOSURE}");
    analyze(&["security", "--offline=true", &threshold], &["server-bin.service"]);
}
