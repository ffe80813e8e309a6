//! Reads columns into our types; whatever does not parse is a corrupt record, never a default.

use std::{error::Error, str::FromStr};

use sqlx::{Row as _, any::AnyRow};

use super::error::StoreError;
use crate::clock::Timestamp;

/// Reads the columns of one row of a `what`.
#[derive(Clone, Copy)]
pub(super) struct Columns<'r> {
    row: &'r AnyRow,
    what: &'static str,
}

impl<'r> Columns<'r> {
    pub(super) fn of(row: &'r AnyRow, what: &'static str) -> Self {
        Self { row, what }
    }

    pub(super) fn corrupt(&self, source: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Corrupt { what: self.what, source: source.into() }
    }

    pub(super) fn text(&self, column: &str) -> Result<String, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(error))
    }

    pub(super) fn optional_text(&self, column: &str) -> Result<Option<String>, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(error))
    }

    pub(super) fn number(&self, column: &str) -> Result<i64, StoreError> {
        self.row.try_get(column).map_err(|error| self.corrupt(error))
    }

    pub(super) fn time(&self, column: &str) -> Result<Timestamp, StoreError> {
        self.number(column).map(Timestamp)
    }

    pub(super) fn optional_time(&self, column: &str) -> Result<Option<Timestamp>, StoreError> {
        let read: Option<i64> = self.row.try_get(column).map_err(|error| self.corrupt(error))?;
        Ok(read.map(Timestamp))
    }

    pub(super) fn flag(&self, column: &str) -> Result<bool, StoreError> {
        self.number(column).map(|number| number != 0)
    }

    pub(super) fn parsed<T: FromStr<Err: Error + Send + Sync + 'static>>(&self, column: &str) -> Result<T, StoreError> {
        self.text(column)?.parse().map_err(|error: T::Err| self.corrupt(error))
    }

    pub(super) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        serde_json::from_str(&self.text(column)?).map_err(|error| self.corrupt(error))
    }
}

/// JSON of our own records, which always serialise.
pub(super) fn to_json(what: &'static str, value: &impl serde::Serialize) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Corrupt { what, source: source.into() })
}
