//! A connection to a place: what its reads and its channel have in common.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use async_trait::async_trait;
use reqwest::header::HeaderMap;
use tokio::time::timeout;
use url::Url;

use super::{
    Http,
    channel::Channel,
    client::Pool,
    events, long_poll,
    memory::Memory,
    place::HttpPlace,
    request::{Answer, Request},
    standing::Standing,
};
use crate::{
    content::Entry,
    error::StoreError,
    in_time::no_answer,
    lock::lock,
    store::{Changes, Connection},
};

/// A follower's connection to a place.
pub(super) struct Connected(pub(super) Arc<Session>);

/// What one follower of a place has in common with its channel.
pub(super) struct Session {
    pub(super) place: HttpPlace,
    /// Held, so that connections are kept until the follower lets go.
    pool: Mutex<Arc<Pool>>,
    standing: Mutex<Standing>,
}

impl Session {
    pub(super) async fn open(place: HttpPlace) -> Result<Arc<Self>, StoreError> {
        let pool = Mutex::new(place.http.clients.get(&place.http.access).await?);
        Ok(Arc::new(Self { place, pool, standing: Mutex::default() }))
    }

    pub(super) async fn ask(
        &self,
        url: &Url,
        headers: impl Fn(&Url) -> HeaderMap + Send,
    ) -> Result<Answer, StoreError> {
        let request = Request::new(self.pool().await?);
        self.place.http.ask(request, url, headers).await
    }

    /// Asks what is answered when the server wants to.
    pub(super) async fn wait_for(&self, url: &Url) -> Result<Answer, StoreError> {
        let request = Request::patient(self.pool().await?);
        self.place.http.ask(request, url, |_| HeaderMap::new()).await
    }

    async fn pool(&self) -> Result<Arc<Pool>, StoreError> {
        let Http { clients, access, .. } = &self.place.http;
        let pool = clients.get(access).await?;
        *lock(&self.pool) = Arc::clone(&pool);
        Ok(pool)
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        lock(&self.place.memory)
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        lock(&self.standing)
    }

    /// Cuts `work` off at a deadline; whatever it has waited for may be dead.
    pub(super) async fn in_time<T>(
        &self,
        deadline: Duration,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        timeout(deadline, work).await.unwrap_or_else(|_| {
            lock(&self.pool).doubt();
            Err(no_answer(deadline))
        })
    }
}

#[async_trait]
impl Connection for Connected {
    async fn read(&mut self) -> Result<Entry, StoreError> {
        Ok(self.0.look().await?.entry)
    }

    async fn watch(&mut self) -> Result<Option<Changes>, StoreError> {
        let Self(session) = self;
        match &session.place.channel {
            Channel::None => Ok(None),
            Channel::Events(events) => {
                events::listen(Arc::clone(session), events.clone()).await.map(Some)
            }
            Channel::LongPoll(names) => {
                long_poll::poll(Arc::clone(session), names.clone()).await.map(Some)
            }
        }
    }
}
