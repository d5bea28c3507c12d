//! What ends this program before its time, and how that is said.

use std::error::Error;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// An error and what it comes from, in a line.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
