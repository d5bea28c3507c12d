//! When a service is to end, and why.

use serde::Serialize;
use tokio_util::sync::CancellationToken;

/// Why a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Why {
    /// All of them do.
    Told,
    /// It starts again, by what the file says of it now.
    Edited,
    /// The file has it no more.
    Removed,
}

/// The end of one service.
#[derive(Debug, Clone)]
pub(crate) struct Over {
    all: CancellationToken,
    own: CancellationToken,
    /// Cancelled before `own`, where another takes its place.
    is_edited: CancellationToken,
}

impl Over {
    /// Comes with `all` at the latest.
    pub(crate) fn with(all: &CancellationToken) -> Self {
        let own = all.child_token();
        Self { all: all.clone(), own, is_edited: CancellationToken::new() }
    }

    /// Ends it because another takes its place.
    pub(crate) fn edited(&self) {
        self.is_edited.cancel();
        self.own.cancel();
    }

    /// Ends it because the file has it no more.
    pub(crate) fn removed(&self) {
        self.own.cancel();
    }

    /// Waits until it is to end.
    ///
    /// Cancel safe.
    pub(crate) async fn come(&self) {
        self.own.cancelled().await;
    }

    /// Why it ends, as far as that is known by now: it may be told to in between.
    pub(crate) fn why(&self) -> Why {
        if self.all.is_cancelled() {
            Why::Told
        } else if self.is_edited.is_cancelled() {
            Why::Edited
        } else {
            Why::Removed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_all_is_why_whatever_was_before() {
        let all = CancellationToken::new();
        let [edited, removed, other] = [(); 3].map(|()| Over::with(&all));
        edited.edited();
        removed.removed();
        assert_eq!((edited.why(), removed.why()), (Why::Edited, Why::Removed));
        all.cancel();
        for over in [edited, removed, other] {
            assert!(over.own.is_cancelled());
            assert_eq!(over.why(), Why::Told);
        }
    }
}
