//! A start without the configuration, from what an earlier run has kept.

mod common;

use std::fs;

use common::{Daemon, File, run, text};
use rustix::process::Signal;

#[test]
fn a_start_without_the_configuration_goes_by_the_last_good_one() {
    let file = File::new(&text("one"));
    let kept = file.path.with_extension("last-good");
    let args = ["--last-good", kept.to_str().unwrap()];
    let daemon = Daemon::start(&file.path, &args);
    file.write(&text("two"));
    daemon.expect("two");
    daemon.end_by(Signal::TERM);

    for bad in [None, Some("broken")] {
        match bad {
            None => fs::remove_file(&file.path).unwrap(),
            Some(text) => file.write(text),
        }
        let mut daemon = Daemon::start(&file.path, &args);
        assert_eq!(daemon.name(), "two");
        daemon.until("the last good value of an earlier run serves");
        let from = format!("the last good configuration of an earlier run file={}", kept.display());
        assert!(daemon.log.contains(&from), "{}", daemon.log);
        file.write(&text("three"));
        daemon.expect("three");
        file.write(&text("two"));
        daemon.expect("two");
        daemon.end_by(Signal::TERM);
    }
}

#[test]
fn without_either_it_says_what_is_wrong() {
    let file = File::new("broken");
    let kept = file.path.with_extension("last-good");
    let output = run(&["-c", file.name(), "--last-good", kept.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains(&format!("{}:1:", file.name())), "{said}");
}
