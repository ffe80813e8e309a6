//! A `$ref` that stands alone. RFC 7643, section 4.3 recommends it for a manager as it does the `value`: whoever followed links
//! knows somebody by the URI, and the identifier is in it.

use serde_json::{Map, Value};

use crate::scim::schema::{Attribute, AttributeType};
use crate::scim::text::for_log;
use crate::scim::{ResourceKind, ScimError};

/// Gives what has a `$ref` and no `value` the value that is meant, or says that nobody can be.
pub(in crate::scim) fn resolve(name: &str, definition: &Attribute, parts: &mut Map<String, Value>) -> Result<(), ScimError> {
    let Some(kinds) = kinds(definition).filter(|_| !parts.contains_key("value")) else { return Ok(()) };
    let Some(uri) = parts.get("$ref").and_then(Value::as_str) else { return Ok(()) };
    let Some(id) = identifier(uri, &kinds).map(Value::from) else {
        let (name, like) = (for_log(name), kinds.first().map_or("", |kind| kind.endpoint()));
        return Err(ScimError::InvalidValue(format!("{name}.$ref must be the URI of a resource here, such as ..{like}/ID")));
    };
    parts.insert("value".to_owned(), id);
    Ok(())
}

/// Takes away the one of `value` and `$ref` that is not true any more where the other one, `part`, was set.
pub(in crate::scim) fn only_one_is_true(definition: &Attribute, part: &str, parts: &mut Map<String, Value>) {
    let Some(kinds) = kinds(definition) else { return };
    let uri = parts.get("$ref").and_then(Value::as_str);
    let named = uri.and_then(|uri| identifier(uri, &kinds));
    if named.is_some() && parts.get("value").and_then(Value::as_str) == named {
        return;
    }
    match part {
        "value" => drop(parts.shift_remove("$ref")),
        "$ref" if uri.is_some() => drop(parts.shift_remove("value")),
        _ => {}
    }
}

/// The identifier in the URI of a resource of these types, absolute or relative.
fn identifier<'u>(uri: &'u str, kinds: &[ResourceKind]) -> Option<&'u str> {
    let path = uri.trim().split(['?', '#']).next()?;
    let mut segments = path.strip_suffix('/').unwrap_or(path).rsplit('/');
    let (id, endpoint) = (segments.next()?, segments.next()?);
    let is_known = kinds.iter().filter_map(|kind| kind.endpoint().strip_prefix('/')).any(|known| known == endpoint);
    (is_known && !id.trim().is_empty()).then_some(id)
}

/// The types of resources here that it refers to, where it has a `value` and a `$ref` for them.
fn kinds(definition: &Attribute) -> Option<Vec<ResourceKind>> {
    let part = |name: &str, kind| definition.sub_attributes.iter().find(|part| part.name == name && part.kind == kind);
    part("value", AttributeType::String)?;
    let reference = part("$ref", AttributeType::Reference)?;
    let kinds = [ResourceKind::User, ResourceKind::Group].into_iter();
    let kinds: Vec<_> = kinds.filter(|kind| reference.reference_types.iter().any(|named| named == kind.name())).collect();
    (!kinds.is_empty()).then_some(kinds)
}
