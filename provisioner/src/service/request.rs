//! A request's parts, read: query, preconditions, body. Unknown query parameters are passed over, since Entra appends its own
//! flags to the base URL.

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::Value;

use super::failure::Failure;
use crate::scim::{ScimError, json};

/// The largest body.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;

/// The query parameters of RFC 7644 that we know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: Option<String>,
    pub(super) sort_by: Option<String>,
    pub(super) sort_order: Option<String>,
    pub(super) start_index: Option<String>,
    pub(super) count: Option<String>,
    pub(super) attributes: Option<String>,
    pub(super) excluded_attributes: Option<String>,
}

impl Query {
    /// Reads a query string; of a parameter that is repeated the first counts.
    pub(super) fn parse(query: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if let Some(slot) = read.slot(&name) {
                slot.get_or_insert_with(|| value.into_owned());
            }
        }
        read
    }

    /// Reads a search request (RFC 7644, section 3.4.3), which says in its body what a GET says in its query.
    pub(super) fn from_search(body: &Value) -> Result<Self, ScimError> {
        let Value::Object(members) = body else {
            return Err(ScimError::InvalidSyntax("a search request is a JSON object".into()));
        };
        let mut read = Self::default();
        for (name, value) in members {
            let Some(slot) = read.slot(name) else { continue };
            *slot = match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(names) => Some(names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")),
                Value::Bool(_) | Value::Object(_) => return Err(ScimError::InvalidValue(format!("{name} has the wrong type"))),
            };
        }
        Ok(read)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        Some(match name {
            "filter" => &mut self.filter,
            "sortBy" => &mut self.sort_by,
            "sortOrder" => &mut self.sort_order,
            "startIndex" => &mut self.start_index,
            "count" => &mut self.count,
            "attributes" => &mut self.attributes,
            "excludedAttributes" => &mut self.excluded_attributes,
            _ => return None,
        })
    }
}

/// Which versions a request is about (RFC 7232). Never demanded, honoured when sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Preconditions {
    if_match: Option<String>,
    if_none_match: Option<String>,
}

impl Preconditions {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok()).map(str::to_owned);
        Self { if_match: text(header::IF_MATCH), if_none_match: text(header::IF_NONE_MATCH) }
    }

    /// Whether the resource, at this version, may be changed.
    pub(super) fn permit(&self, version: i64) -> Result<(), ScimError> {
        match &self.if_match {
            Some(tags) if !names(tags, version) => Err(ScimError::PreconditionFailed),
            Some(_) | None => Ok(()),
        }
    }

    /// Whether the caller has this version already.
    pub(super) fn has(&self, version: i64) -> bool {
        self.if_none_match.as_ref().is_some_and(|tags| names(tags, version))
    }
}

fn names(tags: &str, version: i64) -> bool {
    let version = version.to_string();
    tags.split(',').map(str::trim).any(|tag| {
        let opaque = tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"');
        tag == "*" || opaque == version
    })
}

/// Reads a body. It is called after the caller is known: nobody's body is parsed.
pub(super) async fn body(headers: &HeaderMap, body: &mut Body) -> Result<Value, Failure> {
    check_type(headers)?;
    let arrived = Limited::new(body, BODY_LIMIT).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            ScimError::TooLarge(format!("the body is larger than {} MB", BODY_LIMIT / (1024 * 1024)))
        } else {
            ScimError::InvalidSyntax("the body did not arrive whole".into())
        }
    })?;
    Ok(json::parse_limited(&arrived.to_bytes())?)
}

fn check_type(headers: &HeaderMap) -> Result<(), ScimError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.is_empty()
        || essence.eq_ignore_ascii_case("application/scim+json")
        || essence.eq_ignore_ascii_case("application/json")
    {
        Ok(())
    } else {
        Err(ScimError::UnsupportedMediaType)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_parameters_are_passed_over_and_the_first_of_two_counts() {
        let query = Query::parse("aadOptscim062020&filter=userName%20eq%20%22a%2Bb%22&count=1&count=2&x=y");

        assert_eq!(query.filter.as_deref(), Some("userName eq \"a+b\""));
        assert_eq!(query.count.as_deref(), Some("1"));
    }

    #[test]
    fn a_version_is_named_weakly_strongly_or_by_a_star() {
        let with = |name: &'static str, value: &'static str| {
            Preconditions::of(
                &[(http::HeaderName::from_static(name), http::HeaderValue::from_static(value))].into_iter().collect(),
            )
        };
        for tag in ["W/\"3\"", "\"3\"", "*", "\"1\", W/\"3\""] {
            assert_eq!(with("if-match", tag).permit(3), Ok(()), "{tag}");
        }
        assert_eq!(with("if-match", "W/\"2\"").permit(3), Err(ScimError::PreconditionFailed));
        assert!(with("if-none-match", "W/\"3\"").has(3));
        assert!(!Preconditions::default().has(3));
    }

    #[test]
    fn s27_json_by_its_two_names_or_none_is_read() {
        let typed = |value: &'static str| {
            check_type(&[(header::CONTENT_TYPE, http::HeaderValue::from_static(value))].into_iter().collect())
        };
        for good in ["application/json", "application/scim+json; charset=utf-8", "Application/JSON", ""] {
            assert_eq!(typed(good), Ok(()), "{good}");
        }
        for bad in ["text/json", "application/xml", "application/jsonp"] {
            assert_eq!(typed(bad), Err(ScimError::UnsupportedMediaType), "{bad}");
        }
        assert_eq!(check_type(&HeaderMap::new()), Ok(()));
    }
}
