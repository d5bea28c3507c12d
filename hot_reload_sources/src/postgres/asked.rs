//! What is asked of a server.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use tokio_postgres::{Row, types::Type};

use super::{
    CHANNEL,
    link::{Link, Parameters},
    value,
};
use crate::{content::Entry, error::StoreError};

/// What the state says, and then a key, its value, and how large all is that was asked for: where that is more
/// than is taken, it is not sent, nor read from the disk.
const KEY: &str = "SELECT state.epoch::text, state.revision, pg_catalog.pg_is_in_recovery(), \
    held.key, CASE WHEN octet_length(held.value::text) <= $2 THEN held.value END, \
    octet_length(held.value::text)::bigint \
    FROM hot_reload_state AS state LEFT JOIN hot_reload AS held ON held.key = $1";
const PREFIX: &str = "SELECT epoch, revision, pg_catalog.pg_is_in_recovery(), \
    key, CASE WHEN size <= $2 THEN value END, size \
    FROM (SELECT state.epoch::text, state.revision, held.key, held.value, \
    sum(octet_length(held.key) - octet_length($1) + octet_length(held.value::text)) OVER () AS size \
    FROM hot_reload_state AS state LEFT JOIN hot_reload AS held ON starts_with(held.key, $1)) AS held";

#[derive(Debug, Clone)]
pub(super) enum Asked {
    Keys { keys: Keys, max_size: usize },
    Query(Query),
}

/// Keys of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Keys {
    One(Arc<str>),
    Prefix(Arc<str>),
}

#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) sql: Arc<str>,
    /// Where it is told that it has more to say; `None` where nobody does.
    pub(super) channel: Option<Arc<str>>,
}

impl Asked {
    /// Where changes are told; `None` where nobody does.
    pub(super) fn channel(&self) -> Option<&str> {
        match self {
            Self::Keys { .. } => Some(CHANNEL),
            Self::Query(query) => query.channel.as_deref(),
        }
    }

    /// Whether a notification is a reason to read. Anybody may send one, so it is no more than that.
    pub(super) fn is_told_by(&self, payload: &str) -> bool {
        match self {
            Self::Keys { keys: Keys::One(key), .. } => payload.is_empty() || *payload == **key,
            Self::Keys { keys: Keys::Prefix(prefix), .. } => {
                payload.is_empty() || payload.starts_with(&**prefix)
            }
            Self::Query(_) => true,
        }
    }

    pub(super) async fn read(&self, link: &Link) -> Result<Entry, StoreError> {
        match self {
            Self::Keys { keys, max_size } => keys.read(link, *max_size).await,
            Self::Query(query) => value::query(link, &query.sql).await,
        }
    }
}

impl Keys {
    /// What their names are, or begin with.
    pub(super) fn start(&self) -> &str {
        let (Self::One(start) | Self::Prefix(start)) = self;
        start
    }

    async fn read(&self, link: &Link, max_size: usize) -> Result<Entry, StoreError> {
        let sql = match self {
            Self::One(_) => KEY,
            Self::Prefix(_) => PREFIX,
        };
        let (start, limit) = (self.start(), i64::try_from(max_size).unwrap_or(i64::MAX));
        let parameters: Parameters<'_> = &[(&start, Type::TEXT), (&limit, Type::INT8)];
        let before = link.history.before();
        let (cluster, rows) = try_join(link.cluster(), link.rows(sql, parameters)).await?;
        let Some(row) = rows.first() else {
            return Err(StoreError::missing("hot_reload_state is empty; run hot_reload.sql again"));
        };
        let epoch: &str = column(row, 0)?;
        let number = u64::try_from(column::<i64>(row, 1)?).unwrap_or_default();
        let is_standby: bool = column(row, 2)?;
        let is_promoted = !is_standby && !cluster.is_primary;
        // Between the two.
        let cluster = if is_promoted { link.cluster().await? } else { cluster };
        let table = format!("{}/{epoch}", cluster.name);
        // A standby may lag behind.
        let epoch = link.history.read(&before, table, number, cluster.is_primary);
        let size = column::<Option<i64>>(row, 5)?.unwrap_or_default();
        let entry = if size > limit { too_large(size, limit) } else { self.entry(&rows)? };
        Ok(entry.at(epoch.at(number)))
    }

    /// Returns what was read.
    fn entry(&self, rows: &[Row]) -> Result<Entry, StoreError> {
        let mut pairs = rows.iter().filter_map(|row| pair(row).transpose());
        match self {
            Self::One(_) => Ok(pairs
                .next()
                .transpose()?
                .map_or_else(Entry::gone, |(_, value)| Entry::one(value))),
            Self::Prefix(prefix) => pairs
                .map(|pair| {
                    let (key, value) = pair?;
                    let name = key.strip_prefix(&**prefix).unwrap_or(key);
                    Ok((name.to_owned(), Bytes::from(value)))
                })
                .collect::<Result<_, _>>()
                .map(Entry::set),
        }
    }
}

fn too_large(size: i64, limit: i64) -> Entry {
    Entry::invalid(StoreError::invalid(format!(
        "{size} bytes, of which at most {limit} are read; raise max_size of the place if it is meant to \
         be so large"
    )))
}

/// A key and its value; `None` where there is no key, and a row only for what the table says of itself.
fn pair(row: &Row) -> Result<Option<(&str, String)>, StoreError> {
    let Some(key) = column::<Option<&str>>(row, 3)? else { return Ok(None) };
    Ok(Some((key, column(row, 4)?)))
}

fn column<'r, T: tokio_postgres::types::FromSql<'r>>(
    row: &'r Row,
    index: usize,
) -> Result<T, StoreError> {
    row.try_get(index).map_err(|_| {
        StoreError::refused("the table hot_reload is not that of hot_reload.sql; rename it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_of_it_is_a_reason_to_read() {
        let asked = |keys| Asked::Keys { keys, max_size: 0 };
        let key = asked(Keys::One("l/a".into()));
        let prefix = asked(Keys::Prefix("l/".into()));
        let query = Asked::Query(Query { sql: "".into(), channel: None });
        for (payload, of_key, of_prefix) in
            [("l/a", true, true), ("l/ab", false, true), ("", true, true), ("m", false, false)]
        {
            assert_eq!(key.is_told_by(payload), of_key, "{payload}");
            assert_eq!(prefix.is_told_by(payload), of_prefix, "{payload}");
            assert!(query.is_told_by(payload), "{payload}");
        }
    }
}
