//! A bucket, which is a stream of its changes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_nats::jetstream::response::Response;
use serde::{Deserialize, Serialize};

use super::{
    history::{Epoch, History},
    place::Keys,
    session::Session,
    told,
};
use crate::error::StoreError;

/// A bucket as it was when it was asked for.
pub(super) struct Bucket {
    pub(super) session: Arc<Session>,
    pub(super) name: String,
    /// What the subjects of its keys begin with.
    pub(super) subjects: String,
    pub(super) epoch: Epoch,
    /// How far it had counted.
    pub(super) last: u64,
    found: HashMap<String, u64>,
    has_more: bool,
}

#[derive(Serialize)]
struct Request<'r> {
    subjects_filter: Option<&'r str>,
}

/// What matters of a stream; the client has more of it, and asks twice for what `total` tells.
#[derive(Deserialize)]
struct Info {
    created: String,
    config: Config,
    state: State,
    #[serde(default)]
    total: usize,
}

#[derive(Deserialize)]
struct Config {
    mirror: Option<Mirror>,
}

#[derive(Deserialize)]
struct Mirror {
    name: String,
}

#[derive(Deserialize)]
struct State {
    last_seq: u64,
    subjects: Option<HashMap<String, u64>>,
}

impl Bucket {
    pub(super) async fn open(
        session: &Arc<Session>,
        name: &str,
        history: &History,
    ) -> Result<Self, StoreError> {
        Self::ask(session, name, history, None).await
    }

    /// Opens it, and asks which keys there are of those whose subjects `filter` lets through.
    pub(super) async fn open_with_keys(
        session: &Arc<Session>,
        name: &str,
        history: &History,
        filter: &str,
    ) -> Result<Self, StoreError> {
        Self::ask(session, name, history, Some(filter)).await
    }

    async fn ask(
        session: &Arc<Session>,
        name: &str,
        history: &History,
        filter: Option<&str>,
    ) -> Result<Self, StoreError> {
        let before = history.highest();
        let subject = format!("STREAM.INFO.KV_{name}");
        let request = Request { subjects_filter: filter };
        let ask = || async {
            let answer = session.jetstream.request(subject.clone(), &request);
            session.asks(&[&subject], answer).await?.map_err(told::answer)
        };
        let answer: Response<Info> = session.persists(ask).await?;
        let info = match answer {
            Response::Ok(info) => info,
            Response::Err { error } => return Err(told::refusal(&error, name)),
        };
        // A mirror has the subjects of the bucket that it mirrors.
        let origin = info.config.mirror.map(|mirror| mirror.name);
        let origin = origin.as_deref().map_or(name, |of| of.strip_prefix("KV_").unwrap_or(of));
        let found = info.state.subjects.unwrap_or_default();
        Ok(Self {
            session: Arc::clone(session),
            name: name.to_owned(),
            subjects: format!("$KV.{origin}."),
            epoch: history.meets(info.created, info.state.last_seq, before),
            last: info.state.last_seq,
            has_more: info.total > found.len(),
            found,
        })
    }

    /// What the subjects of `keys`, and maybe of others, have in common.
    pub(super) fn filter(&self, keys: &Keys) -> String {
        format!("{}{}", self.subjects, keys.filter())
    }

    /// Which keys there are, those that were deleted included; `None` if they are too many to be told
    /// at once.
    pub(super) fn keys(&self) -> Option<HashSet<&str>> {
        let keys = self.found.keys();
        let keys = || keys.filter_map(|subject| subject.strip_prefix(&*self.subjects)).collect();
        (!self.has_more).then(keys)
    }
}
