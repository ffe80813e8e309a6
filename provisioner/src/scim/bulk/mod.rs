//! Bulk (RFC 7644, section 3.7): the request, read; what of it refers to what; and the answer. Whatever is wrong with one operation
//! is that operation's error and no other's.

mod order;
mod reference;

pub use order::steps;

use std::collections::HashMap;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::text::for_log;
use super::{Profile, ScimError};

/// The schema of a Bulk request.
pub const BULK_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";

/// The schema of a Bulk answer.
pub const BULK_RESPONSE_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// The most operations of one request.
pub const MAX_OPERATIONS: usize = 1_000;

/// The longest `bulkId`, in bytes: it is repeated in the answer.
const MAX_BULK_ID: usize = 256;

/// A Bulk request, read.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkRequest {
    /// After how many errors the rest is left undone.
    pub fail_on_errors: Option<usize>,
    /// The operations, in the request's order.
    pub operations: Vec<BulkOperation>,
}

/// One operation of a Bulk request.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkOperation {
    /// The method as it was sent, for the answer to repeat.
    pub method: String,
    /// The client's name of what is made, for other operations to refer to.
    pub bulk_id: Option<String>,
    /// Where it was sent, as it was sent.
    pub path: Option<String>,
    /// The `userName` of the body, by which the log finds what was not even begun.
    pub user_name: Option<String>,
    /// What is to be done, or why it is not.
    pub call: Result<Call, ScimError>,
}

/// What an operation asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// Below the base URL.
    pub path: String,
    /// The version that the resource must have.
    pub version: Option<String>,
    /// The body.
    pub data: Value,
}

impl BulkRequest {
    /// Reads the body of a Bulk request. Two operations of one `bulkId` make the whole of it ambiguous, and nothing is done.
    pub fn parse(body: Value, profile: Profile) -> Result<Self, ScimError> {
        let Value::Object(mut body) = body else {
            return Err(ScimError::InvalidSyntax("the body must be a JSON object".into()));
        };
        let schemas = take(&mut body, "schemas");
        let listed = schemas.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str);
        if !listed.into_iter().any(|urn| urn.eq_ignore_ascii_case(BULK_REQUEST_SCHEMA)) && !profile.is_lenient() {
            return Err(ScimError::InvalidSyntax(format!("schemas must list {BULK_REQUEST_SCHEMA}")));
        }
        let fail_on_errors = match take(&mut body, "failOnErrors") {
            None | Some(Value::Null) => None,
            Some(count) => Some(errors(&count)?),
        };
        let Some(Value::Array(operations)) = take(&mut body, "Operations") else {
            return Err(ScimError::InvalidSyntax("Operations must be a list".into()));
        };
        if operations.len() > MAX_OPERATIONS {
            return Err(ScimError::TooLarge(format!("a Bulk request has at most {MAX_OPERATIONS} operations")));
        }
        let request = Self { fail_on_errors, operations: operations.into_iter().map(operation).collect() };
        request.check_names()?;
        Ok(request)
    }

    fn check_names(&self) -> Result<(), ScimError> {
        let mut seen = HashMap::new();
        for (at, operation) in self.operations.iter().enumerate() {
            let Some(name) = operation.bulk_id.as_deref().filter(|_| operation.makes()) else { continue };
            if seen.insert(name, at).is_some() {
                return Err(ScimError::InvalidSyntax(format!("two operations have the bulkId {:?}", for_log(name))));
            }
        }
        Ok(())
    }

    /// The operations that each operation refers to, itself aside.
    #[must_use]
    pub fn dependencies(&self) -> Vec<Vec<usize>> {
        let named: HashMap<&str, usize> = self
            .operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| operation.makes())
            .filter_map(|(at, operation)| Some((operation.bulk_id.as_deref()?, at)))
            .collect();
        let of = |(at, operation): (usize, &BulkOperation)| {
            let referred = operation.call.as_ref().map(Call::names).unwrap_or_default();
            let mut found: Vec<usize> = referred.iter().filter_map(|name| named.get(name.as_str()).copied()).collect();
            found.retain(|other| *other != at);
            found.sort_unstable();
            found.dedup();
            found
        };
        self.operations.iter().enumerate().map(of).collect()
    }
}

impl BulkOperation {
    /// Whether other operations may refer to what it makes.
    #[must_use]
    pub fn makes(&self) -> bool {
        self.method == Method::POST.as_str()
    }
}

impl Call {
    /// The `bulkId`s that path and body refer to.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut copy = self.data.clone();
        let mut note = |name: &str| {
            names.push(name.to_owned());
            None
        };
        let _ = reference::resolve(&self.path, &mut note);
        self.refer(&mut copy, &mut note);
        names
    }

    /// The same with identifiers in place of what it refers to.
    ///
    /// `id_of` says what was made under a `bulkId`, or why there is nothing.
    pub fn resolved(mut self, id_of: &impl Fn(&str) -> Result<String, ScimError>) -> Result<Self, ScimError> {
        let mut fault = None;
        let mut look_up = |name: &str| match id_of(name) {
            Ok(id) => Some(id),
            Err(error) => {
                fault.get_or_insert(error);
                None
            }
        };
        if let Some(path) = reference::resolve(&self.path, &mut look_up) {
            self.path = path;
        }
        let mut data = std::mem::take(&mut self.data);
        self.refer(&mut data, &mut look_up);
        self.data = data;
        fault.map_or(Ok(self), Err)
    }

    fn refer(&self, data: &mut Value, id_of: &mut impl FnMut(&str) -> Option<String>) {
        if self.method == Method::PATCH {
            reference::resolve_patch(data, id_of);
        } else {
            reference::resolve_resource(data, id_of);
        }
    }
}

fn operation(item: Value) -> BulkOperation {
    let Value::Object(mut item) = item else {
        let call = Err(ScimError::InvalidSyntax("an operation must be an object".into()));
        return BulkOperation { method: String::new(), bulk_id: None, path: None, user_name: None, call };
    };
    let method = match take(&mut item, "method") {
        Some(Value::String(method)) => for_log(&method.to_ascii_uppercase()),
        Some(_) | None => String::new(),
    };
    let path = match take(&mut item, "path") {
        Some(Value::String(path)) => Some(path),
        Some(_) | None => None,
    };
    let user_name = item.iter().find(|(name, _)| name.eq_ignore_ascii_case("data")).and_then(|(_, data)| user_name(data));
    let bulk_id = take(&mut item, "bulkId").filter(|id| !id.is_null());
    let named = bulk_id.as_ref().and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= MAX_BULK_ID);
    let call = match (&bulk_id, named) {
        (Some(_), None) => Err(ScimError::InvalidValue(format!("a bulkId is text of 1 to {MAX_BULK_ID} bytes"))),
        (None, None) if method == Method::POST.as_str() => Err(ScimError::InvalidSyntax("a POST needs a bulkId".into())),
        (_, _) => call(&method, path.as_deref(), &mut item),
    };
    BulkOperation { bulk_id: named.map(str::to_owned), method, path, user_name, call }
}

/// The name that a body has for a user, in whatever case the attribute is written.
#[must_use]
pub fn user_name(body: &Value) -> Option<String> {
    let (_, name) = body.as_object()?.iter().find(|(name, _)| name.eq_ignore_ascii_case("userName"))?;
    name.as_str().map(ToOwned::to_owned)
}

fn call(method: &str, path: Option<&str>, item: &mut Map<String, Value>) -> Result<Call, ScimError> {
    let known = [Method::POST, Method::PUT, Method::PATCH, Method::DELETE].into_iter().find(|known| known.as_str() == method);
    let method = known.ok_or_else(|| ScimError::InvalidSyntax("method is POST, PUT, PATCH or DELETE".into()))?;
    let path = path.ok_or_else(|| ScimError::InvalidSyntax("an operation needs a path".into()))?.to_owned();
    let version = match take(item, "version") {
        None | Some(Value::Null) => None,
        Some(Value::String(version)) => Some(version),
        Some(_) => return Err(ScimError::InvalidValue("version is an entity tag".into())),
    };
    let data = take(item, "data").unwrap_or_default();
    if data.is_null() && method != Method::DELETE {
        return Err(ScimError::InvalidSyntax(format!("a {method} needs data")));
    }
    Ok(Call { method, path, version, data })
}

/// To stop at the first error is the least that can be asked for.
fn errors(count: &Value) -> Result<usize, ScimError> {
    let count = count.as_u64().or_else(|| count.as_str()?.trim().parse().ok());
    let count = count.ok_or_else(|| ScimError::InvalidValue("failOnErrors is a whole number".into()))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX).max(1))
}

/// A member by its name in any case (RFC 7643, section 2.1).
fn take(members: &mut Map<String, Value>, name: &str) -> Option<Value> {
    let key = members.keys().find(|key| key.eq_ignore_ascii_case(name))?.clone();
    members.shift_remove(&key)
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Done {
        /// As the operation by itself would have been answered.
        status: StatusCode,
        /// The version that the resource has now.
        version: Option<String>,
        /// Where the resource lives, or lived.
        location: Option<String>,
    },
    /// It was not, or nothing can be promised of it.
    Failed {
        /// Why.
        error: ScimError,
        /// Where it was sent, if that is known.
        location: Option<String>,
    },
}

impl Outcome {
    /// A failure of an operation that was sent nowhere yet.
    #[must_use]
    pub fn failed(error: ScimError) -> Self {
        Self::Failed { error, location: None }
    }

    /// This failure in its place.
    #[must_use]
    pub fn into_failure(self, error: ScimError) -> Self {
        let (Self::Done { location, .. } | Self::Failed { location, .. }) = self;
        Self::Failed { error, location }
    }
}

/// The answer: those operations that were looked at, in the order of the request.
#[must_use]
pub fn response(operations: &[BulkOperation], outcomes: &[Option<Outcome>]) -> Value {
    let shown = operations.iter().zip(outcomes).filter_map(|(operation, outcome)| Some(entry(operation, outcome.as_ref()?)));
    json!({ "schemas": [BULK_RESPONSE_SCHEMA], "Operations": shown.collect::<Vec<_>>() })
}

fn entry(operation: &BulkOperation, outcome: &Outcome) -> Value {
    let mut entry = Map::new();
    entry.insert("method".to_owned(), operation.method.as_str().into());
    entry.extend(operation.bulk_id.as_ref().map(|id| ("bulkId".to_owned(), id.as_str().into())));
    match outcome {
        Outcome::Done { status, version, location } => {
            entry.extend(version.as_ref().map(|version| ("version".to_owned(), version.as_str().into())));
            entry.extend(location.as_ref().map(|location| ("location".to_owned(), location.as_str().into())));
            entry.insert("status".to_owned(), status.as_str().into());
        }
        Outcome::Failed { error, location } => {
            // RFC 7644, section 3.7: it is required, but of a POST that failed, which made nothing to be found anywhere.
            let location = location.as_ref().filter(|_| !operation.makes());
            entry.extend(location.map(|location| ("location".to_owned(), location.as_str().into())));
            entry.insert("status".to_owned(), error.parts().0.as_str().into());
            entry.insert("response".to_owned(), error.body());
        }
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(body: Value) -> Result<BulkRequest, ScimError> {
        BulkRequest::parse(body, Profile::Lenient)
    }

    fn one(operation: &Value) -> Result<Call, ScimError> {
        parsed(json!({ "Operations": [operation] })).unwrap().operations.remove(0).call
    }

    #[test]
    fn what_is_wrong_with_one_operation_is_its_own_error() {
        let table = [
            json!("x"),
            json!({ "method": "GET", "path": "/Users/7" }),
            json!({ "path": "/Users", "bulkId": "a", "data": {} }),
            json!({ "method": "POST", "path": "/Users", "data": {} }),
            json!({ "method": "POST", "path": "/Users", "bulkId": "", "data": {} }),
            json!({ "method": "POST", "path": "/Users", "bulkId": 7, "data": {} }),
            json!({ "method": "POST", "path": "/Users", "bulkId": "a" }),
            json!({ "method": "PUT", "data": {} }),
            json!({ "method": "PATCH", "path": "/Users/7", "version": 3, "data": {} }),
        ];
        for operation in table {
            assert!(one(&operation).is_err(), "{operation}");
        }
        let good = one(&json!({ "METHOD": "delete", "Path": "/Users/7", "version": "W/\"3\"" })).unwrap();
        assert_eq!((good.method, good.version.as_deref()), (Method::DELETE, Some("W/\"3\"")));
    }

    #[test]
    fn s31_a_request_that_is_ambiguous_or_too_large_is_none() {
        let post = |id: &str| json!({ "method": "POST", "path": "/Users", "bulkId": id, "data": {} });
        let many = |count: usize| json!({ "Operations": (0..count).map(|id| post(&id.to_string())).collect::<Vec<_>>() });

        assert!(matches!(parsed(json!({ "Operations": [post("a"), post("a")] })), Err(ScimError::InvalidSyntax(_))));
        assert!(matches!(parsed(many(1_001)), Err(ScimError::TooLarge(_))));
        assert!(parsed(many(1_000)).is_ok());
        for body in [json!([]), json!({}), json!({ "Operations": {} }), json!({ "Operations": [], "failOnErrors": "many" })] {
            assert!(parsed(body.clone()).is_err(), "{body}");
        }
        assert!(BulkRequest::parse(json!({ "Operations": [] }), Profile::Strict).is_err(), "schemas are missing");
    }

    #[test]
    fn only_what_a_post_makes_can_be_referred_to() {
        let request = parsed(json!({ "Operations": [
            { "method": "PATCH", "path": "/Groups/bulkId:g", "bulkId": "p", "data": { "Operations": [
                { "op": "remove", "path": "members[value eq \"bulkId:u\"]" }] } },
            { "method": "POST", "path": "/Groups", "bulkId": "g", "data": { "members": [
                { "value": "bulkId:u" }, { "value": "bulkId:g" }, { "value": "bulkId:p" }, { "$ref": "../Users/bulkId:u" }] } },
            { "method": "POST", "path": "/Users", "bulkId": "u", "data": { "userName": "u" } },
        ] }))
        .unwrap();

        assert_eq!(request.dependencies(), [vec![1, 2], vec![2], vec![]]);
    }

    #[test]
    fn a_reference_becomes_an_identifier_or_the_reason_why_not() {
        let call = Call {
            method: Method::PUT,
            path: "/Users/bulkId:u".into(),
            version: None,
            data: json!({ "manager": { "value": "bulkId:m" } }),
        };

        let resolved = call.clone().resolved(&|name| Ok(format!("id-of-{name}"))).unwrap();
        assert_eq!((resolved.path.as_str(), resolved.data), ("/Users/id-of-u", json!({ "manager": { "value": "id-of-m" } })));
        let refused = call.resolved(&|name| if name == "u" { Ok("1".into()) } else { Err(ScimError::NotFound) });
        assert_eq!(refused, Err(ScimError::NotFound));
    }

    #[test]
    fn the_answer_repeats_names_and_says_statuses_as_text() {
        let request = parsed(json!({ "Operations": [
            { "method": "post", "path": "/Users", "bulkId": "a", "data": {} },
            { "method": "DELETE", "path": "/Users/7" },
            { "method": "DELETE", "path": "/Users/8" },
            { "method": "POST", "path": "/Users", "bulkId": "b", "data": {} },
        ] }))
        .unwrap();
        let made = Outcome::Done {
            status: StatusCode::CREATED,
            version: Some("W/\"1\"".into()),
            location: Some("https://s.example/Users/1".into()),
        };

        let failed = |location: &str| Some(Outcome::Failed { error: ScimError::NotFound, location: Some(location.into()) });

        let gone = failed("https://s.example/Users/7");
        let answer = response(&request.operations, &[Some(made), gone, None, failed("https://s.example/Users")]);

        assert_eq!(
            answer,
            json!({ "schemas": [BULK_RESPONSE_SCHEMA], "Operations": [
                { "method": "POST", "bulkId": "a", "version": "W/\"1\"", "location": "https://s.example/Users/1", "status": "201" },
                { "method": "DELETE", "location": "https://s.example/Users/7", "status": "404", "response": ScimError::NotFound.body() },
                { "method": "POST", "bulkId": "b", "status": "404", "response": ScimError::NotFound.body() },
            ] })
        );
    }
}
