//! What is asked of a server.

use std::{collections::BTreeMap, sync::Arc};

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
    Key(Arc<str>),
    Prefix(Arc<str>),
    Query { sql: Arc<str>, channel: Option<Arc<str>> },
}

impl Asked {
    /// Where changes are told; `None` where nobody does.
    pub(super) fn channel(&self) -> Option<&str> {
        match self {
            Self::Key(_) | Self::Prefix(_) => Some(CHANNEL),
            Self::Query { channel, .. } => channel.as_deref(),
        }
    }

    /// Whether a notification is a reason to read. Anybody may send one, so it is no more than that.
    pub(super) fn is_told_by(&self, payload: &str) -> bool {
        match self {
            Self::Key(key) => payload.is_empty() || *payload == **key,
            Self::Prefix(prefix) => payload.is_empty() || payload.starts_with(&**prefix),
            Self::Query { .. } => true,
        }
    }

    pub(super) async fn read(&self, link: &Link) -> Result<Entry, StoreError> {
        match self {
            Self::Key(key) => {
                read_table(link, KEY, key, |rows| match rows {
                    [row, ..] if column::<Option<&str>>(row, 3)?.is_some() => {
                        Ok(Entry::one(column::<String>(row, 4)?))
                    }
                    _ => Ok(Entry::gone()),
                })
                .await
            }
            Self::Prefix(prefix) => {
                read_table(link, PREFIX, prefix, |rows| {
                    let mut set = BTreeMap::new();
                    for row in rows {
                        let Some(key) = column::<Option<&str>>(row, 3)? else { continue };
                        let name = key.strip_prefix(&**prefix).unwrap_or(key);
                        set.insert(name.to_owned(), Bytes::from(column::<String>(row, 4)?));
                    }
                    Ok(Entry::set(set))
                })
                .await
            }
            Self::Query { sql, .. } => value::query(link, sql).await,
        }
    }
}

async fn read_table(
    link: &Link,
    sql: &str,
    key: &str,
    make: impl FnOnce(&[Row]) -> Result<Entry, StoreError>,
) -> Result<Entry, StoreError> {
    let before = link.history.before();
    let (cluster, rows) = try_join(link.cluster(), link.rows(sql, Some(key))).await?;
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
    Ok(make(&rows)?.at(epoch.at(number)))
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
        let key = Asked::Key("l/a".into());
        let prefix = Asked::Prefix("l/".into());
        let query = Asked::Query { sql: "".into(), channel: None };
        for (payload, of_key, of_prefix) in
            [("l/a", true, true), ("l/ab", false, true), ("", true, true), ("m", false, false)]
        {
            assert_eq!(key.is_told_by(payload), of_key, "{payload}");
            assert_eq!(prefix.is_told_by(payload), of_prefix, "{payload}");
            assert!(query.is_told_by(payload), "{payload}");
        }
    }
}
