//! Rows as entries.

use std::{collections::BTreeMap, error::Error};

use bytes::Bytes;
use tokio_postgres::{
    Row,
    types::{FromSql, Kind, Type},
};

use super::link::Link;
use crate::{content::Entry, error::StoreError};

/// Runs `sql`: one column is a value, two are the keys and values of a set.
pub(super) async fn query(link: &Link, sql: &str) -> Result<Entry, StoreError> {
    let rows = link.rows(sql, &[]).await?;
    let columns = match rows.first() {
        Some(row) => row.len(),
        // Rows have columns; where there is none, only the statement has.
        None => link.columns(sql).await?,
    };
    match (columns, rows.as_slice()) {
        (1, []) => Ok(Entry::gone()),
        (1, [row]) => Ok(column(row, 0)?.map_or_else(Entry::gone, Entry::one)),
        (1, rows) => Err(StoreError::invalid(format!(
            "{} rows, where one is expected; select a key and a value to have a set",
            rows.len()
        ))),
        (2, rows) => set(rows).map(Entry::set),
        (columns, _) => Err(StoreError::refused(format!(
            "{columns} columns; select one value, or a key and a value"
        ))),
    }
}

fn set(rows: &[Row]) -> Result<BTreeMap<String, Bytes>, StoreError> {
    let mut set = BTreeMap::new();
    for row in rows {
        let key = column(row, 0)?.ok_or_else(|| StoreError::invalid("a key is null"))?;
        let key = String::from_utf8(key.to_vec())
            .map_err(|_| StoreError::invalid("a key is not UTF-8"))?;
        let Some(value) = column(row, 1)? else { continue };
        if set.insert(key, value).is_some() {
            return Err(StoreError::invalid("a key is there twice; select each of them once"));
        }
    }
    Ok(set)
}

fn column(row: &Row, index: usize) -> Result<Option<Bytes>, StoreError> {
    let Raw(bytes) = match row.try_get(index) {
        Ok(Some(raw)) => raw,
        Ok(None) => return Ok(None),
        Err(_) => {
            let column = &row.columns()[index];
            return Err(StoreError::refused(format!(
                "column {} is of type {}; cast it to text",
                column.name(),
                column.type_()
            )));
        }
    };
    Ok(Some(bytes))
}

/// What a column holds, as it is.
struct Raw(Bytes);

impl<'a> FromSql<'a> for Raw {
    fn from_sql(of: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        // Its text comes after the version of the format, which is 1.
        let raw = match (of, raw) {
            (&Type::JSONB, [1, text @ ..]) => text,
            (&Type::JSONB, _) => return Err("an unknown version of jsonb".into()),
            (_, raw) => raw,
        };
        Ok(Self(Bytes::copy_from_slice(raw)))
    }

    fn accepts(of: &Type) -> bool {
        let is_plain = matches!(
            *of,
            Type::TEXT
                | Type::VARCHAR
                | Type::BPCHAR
                | Type::NAME
                | Type::UNKNOWN
                | Type::XML
                | Type::JSON
                | Type::JSONB
                | Type::BYTEA
        );
        is_plain || of.name() == "citext" || matches!(of.kind(), Kind::Enum(_))
    }
}
