//! What a process writes, line by line.

use std::{os::fd::AsFd, sync::Arc};

use rustix::io::ioctl_fionread;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// Lines that are longer are cut in pieces: nothing of what a program writes is kept for ever.
pub(crate) const LONGEST_LINE: usize = 64 * 1024;

/// Takes what a process writes.
pub(crate) trait Output: Send + Sync + 'static {
    /// The process was started, and nothing was read of it yet.
    fn started(&self, _pid: u32) {}

    /// Takes a line; as long as it doesn't return, the process is held up.
    fn line(&self, line: Line) -> impl Future<Output = ()> + Send;

    /// These have not ended, even after SIGKILL, and are left.
    fn left(&self, pids: Vec<u32>);

    /// How many bytes of a line are taken as one.
    fn longest_line(&self, _is_error: bool) -> usize {
        LONGEST_LINE
    }
}

/// A line that a process has written.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) is_error: bool,
    /// Without its end.
    pub(crate) text: Vec<u8>,
}

impl Line {
    /// Cuts one that is longer than most.
    pub(crate) fn pieces(self) -> impl Iterator<Item = Self> {
        let Self { is_error, mut text } = self;
        let first = text.len().min(LONGEST_LINE);
        let rest = text.split_off(first);
        let rest: Vec<_> = rest.chunks(LONGEST_LINE).map(<[u8]>::to_vec).collect();
        std::iter::once(text).chain(rest).map(move |text| Self { is_error, text })
    }
}

/// What those who read and those who wait for them tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Everybody has ended whose lines count.
    pub(super) ended: CancellationToken,
    /// A line was passed on.
    pub(super) passed_on: Notify,
}

/// Passes on what is written to a pipe until nobody holds its other end. Once all have ended, until what was
/// written before is passed on: whoever holds it still is none of those who are waited for.
pub(super) async fn pass_on(
    from: impl AsyncRead + AsFd + Unpin,
    is_error: bool,
    to: Arc<impl Output>,
    progress: Arc<Progress>,
) {
    let longest = to.longest_line(is_error);
    let mut lines = Lines { from: BufReader::new(from), ended: &progress.ended, left: None };
    while let Some(text) = lines.next(longest).await {
        to.line(Line { is_error, text }).await;
        progress.passed_on.notify_one();
    }
}

struct Lines<'a, R> {
    from: BufReader<R>,
    ended: &'a CancellationToken,
    /// How much was written before they had ended, once they have.
    left: Option<usize>,
}

impl<R: AsyncRead + AsFd + Unpin> Lines<'_, R> {
    /// Returns a line, or so many bytes of it; the last one may have no end.
    async fn next(&mut self, longest: usize) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < longest && self.left != Some(0) {
            let piece = tokio::select! {
                biased;
                () = self.ended.cancelled(), if self.left.is_none() => None,
                piece = self.from.fill_buf() => Some(piece),
            };
            let Some(piece) = piece else {
                self.left = Some(self.written());
                continue;
            };
            // Whoever wrote is gone, or is no longer to be understood.
            let Some(piece) = piece.ok().filter(|piece| !piece.is_empty()) else { break };
            let room = piece.len().min(longest - text.len()).min(self.left.unwrap_or(usize::MAX));
            let end = piece[..room].iter().position(|&byte| byte == b'\n');
            text.extend_from_slice(&piece[..end.unwrap_or(room)]);
            let taken = end.map_or(room, |end| end + 1);
            self.from.consume(taken);
            self.left = self.left.map(|left| left - taken);
            if end.is_some() {
                return Some(text);
            }
        }
        (!text.is_empty()).then_some(text)
    }

    /// How much waits to be read: see FIONREAD in `pipe(7)`.
    fn written(&self) -> usize {
        let within = ioctl_fionread(self.from.get_ref()).unwrap_or_default();
        self.from.buffer().len() + usize::try_from(within).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use tokio::{io::AsyncWriteExt, net::unix::pipe, sync::Semaphore, time::timeout};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// Takes as many lines as it may, of eight bytes.
    struct Slow(Mutex<Vec<String>>, Semaphore);

    impl Output for Slow {
        async fn line(&self, line: Line) {
            self.1.acquire().await.unwrap().forget();
            self.0.lock().unwrap().push(String::from_utf8(line.text).unwrap());
        }

        fn left(&self, _pids: Vec<u32>) {}

        fn longest_line(&self, _is_error: bool) -> usize {
            8
        }
    }

    #[tokio::test]
    async fn takes_what_was_written_before_and_nothing_that_comes_later() {
        let (mut to, from) = pipe::pipe().unwrap();
        let (slow, progress) = (Arc::<Slow>::default(), Arc::<Progress>::default());
        let reading = tokio::spawn(pass_on(from, false, Arc::clone(&slow), Arc::clone(&progress)));
        to.write_all(b"one\n\n123456789\nlast").await.unwrap();
        // The first line is held up, whatever the time that takes.
        tokio::task::yield_now().await;
        progress.ended.cancel();
        slow.1.add_permits(100);
        timeout(PATIENCE, reading).await.unwrap().unwrap();
        assert_eq!(*slow.0.lock().unwrap(), ["one", "", "12345678", "9", "last"]);
        // Somebody else holds it still.
        assert!(to.write_all(b"more\n").await.is_err());
    }

    #[tokio::test]
    async fn somebody_who_writes_on_is_not_waited_for() {
        let (mut to, from) = pipe::pipe().unwrap();
        let (slow, progress) = (Arc::<Slow>::default(), Arc::<Progress>::default());
        slow.1.add_permits(Semaphore::MAX_PERMITS);
        let reading = tokio::spawn(pass_on(from, false, Arc::clone(&slow), Arc::clone(&progress)));
        let writing = tokio::spawn(async move { while to.write_all(b"y\n").await.is_ok() {} });
        progress.ended.cancel();
        timeout(PATIENCE, reading).await.unwrap().unwrap();
        timeout(PATIENCE, writing).await.unwrap().unwrap();
    }

    impl Default for Slow {
        fn default() -> Self {
            Self(Mutex::default(), Semaphore::new(0))
        }
    }
}
