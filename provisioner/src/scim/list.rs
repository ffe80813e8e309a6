//! List answers and their paging by index (RFC 7644, section 3.4.2.4).

use serde_json::{Map, Value, json};

use super::{Document, ScimError};

/// The schema of a list answer.
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";

/// The schema of a search request.
pub const SEARCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// How many resources a page has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSizes {
    /// Where the request does not say.
    pub default: u32,
    /// Whatever the request says.
    pub max: u32,
}

/// The page that a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paging {
    /// The 1-based index of the first resource.
    pub start_index: u64,
    /// The most resources; 0 asks for the total alone.
    pub count: u32,
}

impl Paging {
    /// Reads the two parameters. What is below their range is its lower end (RFC 7644, table 6), what is above is the maximum.
    pub fn parse(start_index: Option<&str>, count: Option<&str>, sizes: PageSizes) -> Result<Self, ScimError> {
        let start_index = whole("startIndex", start_index)?.unwrap_or(1).max(1);
        let count = whole("count", count)?.map_or(sizes.default, |count| u32::try_from(count.max(0)).unwrap_or(u32::MAX));
        Ok(Self { start_index: start_index.unsigned_abs(), count: count.min(sizes.max) })
    }

    /// What is left of the page for the resources of a next type, after `total` of the type before, of which `shown` are on it.
    #[must_use]
    pub fn behind(&self, total: u64, shown: usize) -> Self {
        let shown = u32::try_from(shown).unwrap_or(u32::MAX);
        Self { start_index: self.offset().saturating_sub(total) + 1, count: self.count.saturating_sub(shown) }
    }

    /// How many resources come before the page.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.start_index - 1
    }
}

fn whole(name: &str, text: Option<&str>) -> Result<Option<i64>, ScimError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| ScimError::InvalidValue(format!("{name} must be a whole number")))
}

/// A page of resources, which are whole values or as they are to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct ListResponse<R = Value> {
    /// How many there are in all; a page by cursor may not know.
    pub total_results: Option<u64>,
    /// The index of the first; a page by cursor has none.
    pub start_index: Option<u64>,
    /// The cursor of the next page (RFC 9865).
    pub next_cursor: Option<String>,
    /// The cursor of the page before (RFC 9865).
    pub previous_cursor: Option<String>,
    /// The resources.
    pub resources: Vec<R>,
}

impl<R> Default for ListResponse<R> {
    fn default() -> Self {
        Self { total_results: None, start_index: None, next_cursor: None, previous_cursor: None, resources: Vec::new() }
    }
}

impl<R> ListResponse<R> {
    /// A page by index.
    #[must_use]
    pub fn page(total_results: u64, paging: Paging, resources: Vec<R>) -> Self {
        Self { total_results: Some(total_results), start_index: Some(paging.start_index), resources, ..Self::default() }
    }

    /// Everything at once, as discovery answers.
    #[must_use]
    pub fn all(resources: Vec<R>) -> Self {
        let total = u64::try_from(resources.len()).unwrap_or(u64::MAX);
        Self { total_results: Some(total), start_index: Some(1), resources, ..Self::default() }
    }

    /// The body but for `Resources`.
    #[must_use]
    pub fn head(&self) -> Document {
        let mut head = Map::from_iter([("schemas".to_owned(), json!([LIST_SCHEMA]))]);
        head.extend(self.total_results.map(|total| ("totalResults".to_owned(), total.into())));
        head.extend(self.start_index.map(|index| ("startIndex".to_owned(), index.into())));
        head.insert("itemsPerPage".to_owned(), self.resources.len().into());
        let cursors = [("nextCursor", &self.next_cursor), ("previousCursor", &self.previous_cursor)];
        head.extend(cursors.into_iter().filter_map(|(name, cursor)| Some((name.to_owned(), cursor.as_deref()?.into()))));
        head
    }
}

impl ListResponse {
    /// The body. `Resources` is there even if it is empty: Entra's connection test asks for it.
    #[must_use]
    pub fn into_value(self) -> Value {
        let mut body = self.head();
        body.insert("Resources".to_owned(), Value::Array(self.resources));
        Value::Object(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: PageSizes = PageSizes { default: 100, max: 1_000 };

    #[test]
    fn s28_every_page_parameter_has_a_meaning_or_is_refused() {
        let table = [
            (None, None, Some((1, 100))),
            (Some("0"), Some("0"), Some((1, 0))),
            (Some("-5"), Some("-1"), Some((1, 0))),
            (Some("7"), Some("2"), Some((7, 2))),
            (Some("9000000000"), Some("99999999999"), Some((9_000_000_000, 1_000))),
            (Some(""), Some(" "), Some((1, 100))),
            (Some("one"), None, None),
            (None, Some("1.5"), None),
            (Some("99999999999999999999"), None, None),
        ];
        for (start, count, expected) in table {
            let paging = Paging::parse(start, count, SIZES).ok().map(|paging| (paging.start_index, paging.count));

            assert_eq!(paging, expected, "{start:?} {count:?}");
        }
    }

    #[test]
    fn the_resources_of_a_second_type_continue_the_page() {
        let page = |start_index, count| Paging { start_index, count };
        for (asked, total, shown, left) in [
            (page(1, 10), 3, 3, page(1, 7)),
            (page(3, 2), 3, 1, page(1, 1)),
            (page(6, 2), 3, 0, page(3, 2)),
            (page(1, 2), 3, 2, page(1, 0)),
            (page(1, 0), 3, 0, page(1, 0)),
        ] {
            assert_eq!(asked.behind(total, shown), left, "{asked:?}");
        }
    }

    #[test]
    fn an_empty_answer_is_what_entra_tests_a_connection_with() {
        let paging = Paging::parse(None, Some("20"), SIZES).unwrap();

        assert_eq!(
            ListResponse::page(0, paging, Vec::new()).into_value().to_string(),
            r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:ListResponse"],"totalResults":0,"startIndex":1,"itemsPerPage":0,"Resources":[]}"#
        );
    }

    #[test]
    fn a_page_by_cursor_has_a_next_one_and_no_index() {
        let page = ListResponse { next_cursor: Some("c2".into()), resources: vec![json!({})], ..ListResponse::default() };

        assert_eq!(
            page.into_value(),
            json!({"schemas": [LIST_SCHEMA], "itemsPerPage": 1, "nextCursor": "c2", "Resources": [{}]})
        );
    }
}
