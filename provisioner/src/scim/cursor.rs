//! Cursors (RFC 9865): where a walk through a list goes on. What a cursor says is sealed for the very query that it was made for, so
//! one that was altered, or taken to another workspace, path, filter, order or projection, does not open.

use serde::{Deserialize, Serialize};

use super::sort::SortKey;
use super::{ResourceKind, ScimError};

/// How long a cursor is good, in seconds; it is announced.
pub const TIMEOUT_SECONDS: u32 = 3_600;

/// The version of the sealed form.
const VERSION: u8 = 1;

/// Where a walk goes on: behind this resource, whether it is still there or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// In which resource type; those of the first come before those of the second.
    pub kind: ResourceKind,
    /// Behind which identifier; `None` at the beginning of the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// The key of that resource, where there is an order and it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<SortKey>,
}

/// A cursor before it is sealed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cursor {
    #[serde(rename = "v")]
    version: u8,
    /// When it was made, in milliseconds since 1970.
    at: i64,
    /// The page size that the walk was begun with.
    count: u32,
    place: Place,
}

impl Cursor {
    /// A cursor that is made now.
    #[must_use]
    pub fn new(now: i64, count: u32, place: Place) -> Self {
        Self { version: VERSION, at: now, count, place }
    }

    /// What is sealed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Reads what was sealed: the page size and the place, unless it is too late or another page size is asked for.
    pub fn read(opened: &[u8], now: i64, count: Option<u32>) -> Result<(u32, Place), ScimError> {
        let cursor: Self = serde_json::from_slice(opened).map_err(|_| ScimError::InvalidCursor)?;
        if cursor.version != VERSION {
            return Err(ScimError::InvalidCursor);
        }
        if now.saturating_sub(cursor.at) > i64::from(TIMEOUT_SECONDS) * 1_000 {
            return Err(ScimError::ExpiredCursor);
        }
        if count.is_some_and(|count| count != cursor.count) {
            return Err(ScimError::InvalidCount);
        }
        Ok((cursor.count, cursor.place))
    }
}

/// Reads the page size of a walk, at most `max`; `None` where the request does not say.
pub fn count(text: Option<&str>, max: u32) -> Result<Option<u32>, ScimError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let count: u64 = text.parse().map_err(|_| ScimError::InvalidCount)?;
    Ok(Some(u32::try_from(count).unwrap_or(u32::MAX).min(max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Place {
        Place { kind: ResourceKind::User, after: Some("u1".into()), key: Some(SortKey::Text("babs".into())) }
    }

    #[test]
    fn a_cursor_goes_on_where_it_was_made() {
        let bytes = Cursor::new(1_000, 50, place()).to_bytes();

        assert_eq!(Cursor::read(&bytes, 2_000, Some(50)), Ok((50, place())));
        assert_eq!(Cursor::read(&bytes, 2_000, None), Ok((50, place())));
        assert_eq!(Cursor::read(&bytes, 2_000, Some(51)), Err(ScimError::InvalidCount));
    }

    #[test]
    fn s28_a_cursor_has_an_end() {
        let bytes = Cursor::new(1_000, 50, place()).to_bytes();

        assert!(Cursor::read(&bytes, 3_601_000, None).is_ok());
        assert_eq!(Cursor::read(&bytes, 3_601_001, None), Err(ScimError::ExpiredCursor));
    }

    #[test]
    fn another_version_is_none_of_ours() {
        let old = br#"{"v":1,"at":0,"count":1,"place":{"kind":"Group"}}"#;
        let newer = br#"{"v":2,"at":0,"count":1,"place":{"kind":"Group"}}"#;

        assert_eq!(Cursor::read(old, 0, None), Ok((1, Place { kind: ResourceKind::Group, after: None, key: None })));
        assert_eq!(Cursor::read(newer, 0, None), Err(ScimError::InvalidCursor));
        assert_eq!(Cursor::read(b"{}", 0, None), Err(ScimError::InvalidCursor));
    }

    #[test]
    fn a_page_size_is_a_whole_number_or_none() {
        for (text, expected) in [
            (None, Ok(None)),
            (Some(" "), Ok(None)),
            (Some("0"), Ok(Some(0))),
            (Some("99999999999"), Ok(Some(1_000))),
            (Some("-1"), Err(ScimError::InvalidCount)),
            (Some("ten"), Err(ScimError::InvalidCount)),
        ] {
            assert_eq!(count(text, 1_000), expected, "{text:?}");
        }
    }
}
