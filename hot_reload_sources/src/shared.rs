//! One connection for all who need it.

use std::sync::{Arc, Weak};

use tokio::sync::Mutex;

use crate::error::StoreError;

/// A connection that is opened when somebody needs it, shared by all who do, and closed when the last of
/// them lets go.
#[derive(Debug)]
pub struct Shared<C> {
    open: Arc<Mutex<Weak<C>>>,
}

impl<C> Shared<C> {
    /// Returns the connection there is, or the one that `connect` makes.
    ///
    /// # Errors
    ///
    /// Those of `connect`. Whoever waited meanwhile tries for themselves.
    ///
    /// # Cancel safety
    ///
    /// A connection that is not made yet is given up; the next who needs one begins anew.
    pub async fn get<F>(
        &self,
        is_alive: impl Fn(&C) -> bool,
        connect: impl FnOnce() -> F,
    ) -> Result<Arc<C>, StoreError>
    where
        F: Future<Output = Result<C, StoreError>>,
    {
        // Held while connecting, so that all who come meanwhile get this one.
        let mut open = self.open.lock().await;
        if let Some(connection) = open.upgrade().filter(|connection| is_alive(connection)) {
            return Ok(connection);
        }
        let connection = Arc::new(connect().await?);
        *open = Arc::downgrade(&connection);
        Ok(connection)
    }
}

impl<C> Clone for Shared<C> {
    fn clone(&self) -> Self {
        Self { open: Arc::clone(&self.open) }
    }
}

impl<C> Default for Shared<C> {
    fn default() -> Self {
        Self { open: Arc::new(Mutex::new(Weak::new())) }
    }
}
