//! What a group is made of, and how one of it is followed.

use std::{borrow::Cow, fmt::Display};

use async_trait::async_trait;

use crate::{
    channel::{ReloaderReceiver, Snapshot},
    status::{Status, StatusReceiver},
};

/// What a [`Group`](crate::Group) can be made of: a tuple of two to six receivers.
pub trait Members: Sealed {
    /// A snapshot of each.
    type Values: Eq + Clone + Send + Sync + 'static;

    #[doc(hidden)]
    fn snapshots(&self) -> Option<Self::Values>;

    /// Whether each still holds its part of `values`.
    #[doc(hidden)]
    fn hold(&self, values: &Self::Values) -> bool;

    #[doc(hidden)]
    fn followers(&self) -> Vec<Box<dyn Follower>>;
}

/// Keeps [`Members`] to those in here.
pub trait Sealed {}

/// A member without its type.
#[async_trait]
pub trait Follower: Send + Sync {
    /// Waits for the next thing that happens; a wait that is given up loses nothing.
    async fn next(&mut self) -> Event;

    fn status(&self) -> Status;
}

/// What happens to a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    Changed,
    Status,
    Ended,
}

struct Following<V, S> {
    value: ReloaderReceiver<V, S>,
    status: StatusReceiver,
    /// Whether its status may still change: a service that has ended says so at every time it is asked.
    may_change: bool,
}

#[async_trait]
impl<V, S> Follower for Following<V, S>
where
    V: Eq + Send + Sync,
    S: Into<Cow<'static, str>> + Display + Send + Sync,
{
    async fn next(&mut self) -> Event {
        tokio::select! {
            biased;
            changed = self.value.changed() => match changed {
                Ok(()) => Event::Changed,
                Err(_) => Event::Ended,
            },
            told = self.status.changed(), if self.may_change => {
                self.may_change = told.is_ok();
                Event::Status
            }
        }
    }

    fn status(&self) -> Status {
        self.status.get()
    }
}

macro_rules! members {
    ($($V:ident $S:ident $n:tt),*) => {
        impl<$($V, $S),*> Sealed for ($(ReloaderReceiver<$V, $S>,)*) {}

        impl<$($V, $S),*> Members for ($(ReloaderReceiver<$V, $S>,)*)
        where
            $(
                $V: Eq + Send + Sync + 'static,
                $S: Into<Cow<'static, str>> + Display + Send + Sync + 'static,
            )*
        {
            type Values = ($(Snapshot<$V>,)*);

            fn snapshots(&self) -> Option<Self::Values> {
                Some(($(self.$n.snapshot()?,)*))
            }

            fn hold(&self, values: &Self::Values) -> bool {
                $(self.$n.is_told_of(&values.$n))&&*
            }

            fn followers(&self) -> Vec<Box<dyn Follower>> {
                vec![$(Box::new(Following {
                    value: self.$n.clone(),
                    status: self.$n.watch_status(),
                    may_change: true,
                })),*]
            }
        }
    };
}

members!(A Q 0, B R 1);
members!(A Q 0, B R 1, C S 2);
members!(A Q 0, B R 1, C S 2, D T 3);
members!(A Q 0, B R 1, C S 2, D T 3, E U 4);
members!(A Q 0, B R 1, C S 2, D T 3, E U 4, F W 5);
