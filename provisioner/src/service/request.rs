//! A request's parts, read: query, preconditions, body. Unknown query parameters are passed over, since Entra appends its own
//! flags to the base URL.

use axum::body::{Body, HttpBody as _};
use http::{HeaderMap, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde_json::{Map, Value};

use super::{failure::Failure, uri};
use crate::scim::{Profile, ScimError, json};

/// The largest body of one operation.
pub(super) const BODY_LIMIT: usize = 1024 * 1024;

/// A body of the largest size may have a value for so many of its bytes. The shortest member of a group takes twice as many.
const BYTES_PER_VALUE: usize = 10;

/// The schema of a search by POST.
const SEARCH_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";

/// Where a resource says its entity tag.
const VERSION: &str = "meta.version";

/// The query parameters of RFC 7644 that we know.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) filter: Option<String>,
    pub(super) sort_by: Option<String>,
    pub(super) sort_order: Option<String>,
    pub(super) start_index: Option<String>,
    pub(super) count: Option<String>,
    pub(super) cursor: Option<String>,
    pub(super) attributes: Option<String>,
    pub(super) excluded_attributes: Option<String>,
    /// Whether the answer may be of any media type: nobody waits for a SCIM document then.
    pub(super) takes_anything: bool,
}

impl Query {
    /// Reads a query string; of a parameter that is repeated the first counts.
    pub(super) fn parse(query: &str) -> Self {
        let mut read = Self::default();
        for (name, value) in uri::parameters(query) {
            if let Some(slot) = read.slot(&name) {
                slot.get_or_insert(value);
            }
        }
        read
    }

    /// The same of a request whose headers say what it wants to be answered in (RFC 9110, section 12.5.1).
    pub(super) fn answered_in(self, headers: &HeaderMap) -> Self {
        let mut wanted = headers.get_all(header::ACCEPT).iter();
        Self { takes_anything: wanted.all(|types| types.to_str().is_ok_and(|types| types.trim() == "*/*")), ..self }
    }

    /// The same for a workspace that has no entity tags.
    pub(super) fn without_version(self) -> Self {
        let excluded = self.excluded_attributes.map_or_else(|| VERSION.to_owned(), |names| format!("{names},{VERSION}"));
        Self { excluded_attributes: Some(excluded), ..self }
    }

    /// Reads a search request (RFC 7644, section 3.4.3), which says in its body what a GET says in its query.
    pub(super) fn from_search(body: &Value, profile: Profile) -> Result<Self, ScimError> {
        let Value::Object(members) = body else {
            return Err(ScimError::InvalidSyntax("a search request is a JSON object".into()));
        };
        if profile.is_lenient() {
            return Self::from_members(members);
        }
        let schemas = members.iter().find(|(name, _)| name.eq_ignore_ascii_case("schemas")).map(|(_, schemas)| schemas);
        let mut listed = schemas.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        if !listed.any(|urn| urn.eq_ignore_ascii_case(SEARCH_REQUEST_SCHEMA)) {
            return Err(ScimError::InvalidSyntax(format!("schemas must list {SEARCH_REQUEST_SCHEMA}")));
        }
        Self::from_members(members).map(Self::without_version)
    }

    fn from_members(members: &Map<String, Value>) -> Result<Self, ScimError> {
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
        // RFC 7643, section 2.1, has names without regard to case; a `Filter=` that is passed over would list everybody.
        Some(match name.to_ascii_lowercase().as_str() {
            "filter" => &mut self.filter,
            "sortby" => &mut self.sort_by,
            "sortorder" => &mut self.sort_order,
            "startindex" => &mut self.start_index,
            "count" => &mut self.count,
            "cursor" => &mut self.cursor,
            "attributes" => &mut self.attributes,
            "excludedattributes" => &mut self.excluded_attributes,
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

    /// An operation of a Bulk request names at most the version that it is about.
    pub(super) fn of_version(version: Option<String>) -> Self {
        Self { if_match: version, if_none_match: None }
    }

    /// Whether the resource, at this version, may be changed.
    pub(super) fn permit(&self, version: i64) -> Result<(), ScimError> {
        let is_another = self.if_match.as_ref().is_some_and(|tags| !names(tags, version));
        // RFC 9110, section 13.1.2: "only if it is not there", or not in this version.
        if is_another || self.has(version) { Err(ScimError::PreconditionFailed) } else { Ok(()) }
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
pub(super) async fn body(headers: &HeaderMap, body: &mut Body, limit: usize) -> Result<Value, Failure> {
    check_type(headers)?;
    let too_large = || ScimError::TooLarge(format!("the body is larger than {} MB", limit / (1024 * 1024)));
    // Nobody waits for a body that announces that it is too large.
    if !usize::try_from(body.size_hint().lower()).is_ok_and(|announced| announced <= limit) {
        return Err(too_large().into());
    }
    let arrived = Limited::new(body, limit).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            too_large()
        } else {
            ScimError::InvalidSyntax("the body did not arrive whole".into())
        }
    })?;
    Ok(json::parse_within(&arrived.to_bytes(), limit / BYTES_PER_VALUE)?)
}

fn check_type(headers: &HeaderMap) -> Result<(), ScimError> {
    let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
    let is_identity = |value: &http::HeaderValue| value.is_empty() || value.as_bytes().eq_ignore_ascii_case(b"identity");
    if !encodings.all(is_identity) {
        return Err(ScimError::Compressed);
    }
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
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_parameters_are_passed_over_and_the_first_of_two_counts() {
        let query = Query::parse("aadOptscim062020&filter=userName%20eq%20%22a%2Bb%22&count=1&count=2&x=y");

        assert_eq!(query.filter.as_deref(), Some("userName eq \"a+b\""));
        assert_eq!(query.count.as_deref(), Some("1"));
    }

    #[test]
    fn a_parameter_is_known_however_it_is_spelled() {
        let query = Query::parse("Filter=active%20eq%20true&StartIndex=3&COUNT=7&excludedattributes=members");
        let search = Query::from_search(&json!({ "Filter": "active eq true", "sortby": "userName" }), Profile::Lenient);
        let search = search.unwrap();

        assert_eq!(query.filter.as_deref(), Some("active eq true"));
        assert_eq!((query.start_index.as_deref(), query.count.as_deref()), (Some("3"), Some("7")));
        assert_eq!(query.excluded_attributes.as_deref(), Some("members"));
        assert_eq!((search.filter.as_deref(), search.sort_by.as_deref()), (Some("active eq true"), Some("userName")));
    }

    #[test]
    fn the_strict_profile_wants_a_search_to_say_what_it_is_and_answers_no_version() {
        let search = |body: &Value, profile| Query::from_search(body, profile);
        let listed = json!({ "Schemas": [SEARCH_REQUEST_SCHEMA], "excludedAttributes": ["title"] });

        for unlisted in [json!({}), json!({ "schemas": ["x"] }), json!({ "schemas": SEARCH_REQUEST_SCHEMA })] {
            assert!(matches!(search(&unlisted, Profile::Strict), Err(ScimError::InvalidSyntax(_))), "{unlisted}");
            assert!(search(&unlisted, Profile::Lenient).is_ok(), "{unlisted}");
        }
        let excluded = |profile| search(&listed, profile).unwrap().excluded_attributes;
        assert_eq!(excluded(Profile::Strict).as_deref(), Some("title,meta.version"));
        assert_eq!(excluded(Profile::Lenient).as_deref(), Some("title"));
        assert_eq!(Query::default().without_version().excluded_attributes.as_deref(), Some("meta.version"));
    }

    #[test]
    fn whoever_names_a_media_type_waits_for_a_document() {
        let asking = |types: &'static str| {
            let headers = [(header::ACCEPT, http::HeaderValue::from_static(types))].into_iter().collect();
            Query::default().answered_in(&headers).takes_anything
        };
        assert!(asking("*/*"));
        assert!(Query::default().answered_in(&HeaderMap::new()).takes_anything);
        for named in ["application/scim+json", "application/json, */*", "*/*;q=0.1, application/scim+json"] {
            assert!(!asking(named), "{named}");
        }
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
        assert_eq!(with("if-none-match", "*").permit(3), Err(ScimError::PreconditionFailed));
        assert_eq!(with("if-none-match", "W/\"2\"").permit(3), Ok(()));
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

    #[test]
    fn a_compressed_body_is_told_so() {
        let encoded = |value: &'static str| {
            check_type(&[(header::CONTENT_ENCODING, http::HeaderValue::from_static(value))].into_iter().collect())
        };
        for bad in ["gzip", "br", "deflate, gzip", "identity, gzip"] {
            assert_eq!(encoded(bad), Err(ScimError::Compressed), "{bad}");
        }
        assert_eq!((encoded("identity"), encoded("")), (Ok(()), Ok(())));
    }
}
