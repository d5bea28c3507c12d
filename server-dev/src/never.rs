//! What may never come about.

/// Waits for what there may be, forever where there is none.
///
/// Cancel safe, if that is.
pub(crate) async fn or_never<F: Future>(maybe: Option<F>) -> F::Output {
    match maybe {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}
