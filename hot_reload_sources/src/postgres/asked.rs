//! What is asked of a server.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::try_join;
use tokio_postgres::Row;

use super::{CHANNEL, link::Link, value};
use crate::{content::Entry, error::StoreError};

const KEY: &str = "SELECT state.epoch::text, state.revision, pg_catalog.pg_is_in_recovery(), \
    held.key, held.value \
    FROM hot_reload_state AS state LEFT JOIN hot_reload AS held ON held.key = $1";
const PREFIX: &str = "SELECT state.epoch::text, state.revision, pg_catalog.pg_is_in_recovery(), \
    held.key, held.value \
    FROM hot_reload_state AS state LEFT JOIN hot_reload AS held ON starts_with(held.key, $1)";

#[derive(Debug, Clone)]
pub(super) enum Asked {
    Keys(Keys),
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
            Self::Keys(_) => Some(CHANNEL),
            Self::Query(query) => query.channel.as_deref(),
        }
    }

    /// Whether a notification is a reason to read. Anybody may send one, so it is no more than that.
    pub(super) fn is_told_by(&self, payload: &str) -> bool {
        match self {
            Self::Keys(Keys::One(key)) => payload.is_empty() || *payload == **key,
            Self::Keys(Keys::Prefix(prefix)) => {
                payload.is_empty() || payload.starts_with(&**prefix)
            }
            Self::Query(_) => true,
        }
    }

    pub(super) async fn read(&self, link: &Link) -> Result<Entry, StoreError> {
        match self {
            Self::Keys(keys) => keys.read(link).await,
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

    async fn read(&self, link: &Link) -> Result<Entry, StoreError> {
        let sql = match self {
            Self::One(_) => KEY,
            Self::Prefix(_) => PREFIX,
        };
        let before = link.history.before();
        let (cluster, rows) = try_join(link.cluster(), link.rows(sql, Some(self.start()))).await?;
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
        Ok(self.entry(&rows)?.at(epoch.at(number)))
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
        let key = Asked::Keys(Keys::One("l/a".into()));
        let prefix = Asked::Keys(Keys::Prefix("l/".into()));
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
