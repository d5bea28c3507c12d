//! A terminal of a test's own.

use std::{
    fs,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    process::Signal,
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcsetwinsize},
};

use crate::common::{Folder, process, wait_until};

/// A terminal, and a `server-dev` in it.
pub(crate) struct Terminal {
    pub(crate) ours: fs::File,
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of it was waited for.
    seen: usize,
}

impl Terminal {
    pub(crate) fn with(folder: &Folder, arguments: &[&str]) -> Self {
        Self::of(folder, &folder.command(arguments))
    }

    pub(crate) fn of(folder: &Folder, command: &Command) -> Self {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let theirs = ioctl_tiocgptpeer(ours.as_fd(), flags).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&ours, size).unwrap();
        let same = || Stdio::from(OwnedFd::from(fs::File::from(theirs.try_clone().unwrap())));
        // In a session of its own, of which this is the terminal.
        let child = Command::new("setsid")
            .arg("--ctty")
            .arg(command.get_program())
            .args(command.get_args())
            .env("TERM", "xterm")
            .current_dir(folder.path())
            .stdin(same())
            .stdout(same())
            .stderr(same())
            .spawn()
            .unwrap();
        let shown = Arc::<Mutex<Vec<u8>>>::default();
        let ours = fs::File::from(ours);
        let (mut from, to) = (ours.try_clone().unwrap(), Arc::clone(&shown));
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // It ends by an error once nobody has the other side (pty(7)).
            while let Ok(length) = from.read(&mut piece) {
                to.lock().unwrap().extend_from_slice(&piece[..length]);
            }
        });
        Self { ours, child, shown, seen: 0 }
    }

    pub(crate) fn shows(&self) -> String {
        text(&self.shown)
    }

    /// Waits for a text that comes after those that were waited for.
    pub(crate) fn wait(&mut self, text: &str) {
        let find = || self.shows()[self.seen..].find(text);
        wait_until(
            || find().is_some(),
            || format!("no {text:?} after {:?}", &self.shows()[self.seen..]),
        );
        self.seen += find().expect("nothing is taken back") + text.len();
    }

    /// Waits until all that it shows is as it should be.
    pub(crate) fn until(&self, is_so: impl Fn(&str) -> bool) {
        wait_until(|| is_so(&self.shows()), || format!("{:?}", self.shows()));
    }

    pub(crate) fn types(&mut self, keys: &str) {
        self.ours.write_all(keys.as_bytes()).unwrap();
    }

    /// Whether it is as a shell's command finds it.
    pub(crate) fn is_as_before(&self) -> bool {
        let now = tcgetattr(&self.ours).unwrap();
        now.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
            && now.output_modes.contains(OutputModes::OPOST)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        process::signal(self.child.id(), signal);
    }

    pub(crate) fn wait_for_end(&mut self) -> ExitStatus {
        let mut status = None;
        let shown = Arc::clone(&self.shown);
        let has_ended = || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        };
        wait_until(has_ended, || format!("it doesn't end: {}", text(&shown)));
        status.expect("it has ended")
    }
}

fn text(shown: &Mutex<Vec<u8>>) -> String {
    String::from_utf8_lossy(&shown.lock().unwrap()).into_owned()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A test that fails may leave it at any point.
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
            self.child.wait().expect("a child");
        }
    }
}
