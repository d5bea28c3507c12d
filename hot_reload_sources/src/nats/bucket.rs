//! A bucket, which is a stream of its changes.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_nats::{Message, jetstream::response::Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    fault,
    history::{Epoch, History},
    link::Link,
    place::Keys,
};
use crate::error::StoreError;

pub(super) const API: &str = "$JS.API";
/// The header of the number of a message that was asked for.
const SEQUENCE: &str = "Nats-Sequence";

/// A bucket as it was when it was asked for.
pub(super) struct Bucket {
    pub(super) link: Arc<Link>,
    pub(super) name: String,
    /// What the subjects of its keys begin with.
    pub(super) subjects: String,
    pub(super) epoch: Epoch,
    /// How far it had counted.
    pub(super) last: u64,
    /// Whether the last message of a key can be asked for without a consumer.
    allows_direct: bool,
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
    #[serde(default)]
    allow_direct: bool,
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
        link: &Arc<Link>,
        name: &str,
        history: &History,
    ) -> Result<Self, StoreError> {
        Self::ask(link, name, history, None).await
    }

    /// Opens it, and asks which keys there are of those whose subjects `filter` lets through.
    pub(super) async fn open_with_keys(
        link: &Arc<Link>,
        name: &str,
        history: &History,
        filter: &str,
    ) -> Result<Self, StoreError> {
        Self::ask(link, name, history, Some(filter)).await
    }

    async fn ask(
        link: &Arc<Link>,
        name: &str,
        history: &History,
        filter: Option<&str>,
    ) -> Result<Self, StoreError> {
        let before = history.before();
        let subject = format!("STREAM.INFO.KV_{name}");
        let request = Request { subjects_filter: filter };
        let ask = || async {
            let answer = link.jetstream.request(subject.clone(), &request);
            link.asks(&[&format!("{API}.{subject}")], answer).await?.map_err(fault::answer)
        };
        let answer: Response<Info> = link.persists(ask).await?;
        let info = match answer {
            Response::Ok(info) => info,
            Response::Err { error } => return Err(fault::refusal(&error, name)),
        };
        // A mirror has the subjects of the bucket that it mirrors.
        let origin = info.config.mirror.map(|mirror| mirror.name);
        let origin = origin.as_deref().map_or(name, |of| of.strip_prefix("KV_").unwrap_or(of));
        let found = info.state.subjects.unwrap_or_default();
        Ok(Self {
            link: Arc::clone(link),
            name: name.to_owned(),
            subjects: format!("$KV.{origin}."),
            epoch: history.read(&before, info.created, info.state.last_seq),
            last: info.state.last_seq,
            allows_direct: info.config.allow_direct,
            has_more: info.total > found.len(),
            found,
        })
    }

    /// Reads the last message of `key` with its number; `None` where there is none, or where that can't be
    /// read without a consumer.
    pub(super) async fn last(&self, key: &str) -> Result<Option<(u64, Message)>, StoreError> {
        if !self.allows_direct {
            return Ok(None);
        }
        let subject = format!("{API}.DIRECT.GET.KV_{}.{}{key}", self.name, self.subjects);
        let ask = || async {
            let answer = self.link.client.request(subject.clone(), Bytes::new());
            self.link.asks(&[&subject], answer).await?.map_err(fault::answer)
        };
        let message = self.link.persists(ask).await?;
        let sequence = message.headers.as_ref().and_then(|headers| headers.get(SEQUENCE));
        let sequence = sequence.and_then(|sequence| sequence.as_str().parse().ok());
        Ok(sequence.map(|sequence| (sequence, message)))
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
