//! The three discovery documents (RFC 7644, section 4). They announce what is there and nothing else.

use serde_json::{Map, Value, json};

use super::schema::{Attribute, Mutability, RESOURCE_TYPE, SCHEMA, SERVICE_PROVIDER_CONFIG, Schema};
use super::{ResourceKind, ResourceSchema, SchemaSet};

/// What the service offers to a workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Features {
    /// Bulk and its limits, if it is offered.
    pub bulk: Option<BulkLimits>,
    /// Whether answers can be sorted.
    pub sort: bool,
    /// Whether versions are answered and `If-Match` is honoured.
    pub etag: bool,
    /// How long a cursor is good, in seconds, if there are cursors.
    pub cursor_timeout: Option<u32>,
    /// The page size where the request does not say.
    pub default_page_size: u32,
    /// The largest page.
    pub max_page_size: u32,
    /// The credentials that the workspace takes, the preferred one first.
    pub authentication: Vec<AuthenticationScheme>,
    /// Whether the workspace is under the strict profile.
    pub interop_profile: bool,
    /// Where people read about it.
    pub documentation_uri: Option<String>,
}

/// How large a Bulk request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkLimits {
    /// The most operations.
    pub max_operations: u32,
    /// The largest body, in bytes.
    pub max_payload_size: u32,
}

/// A kind of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthenticationScheme {
    /// A static bearer token.
    BearerToken,
    /// OAuth 2.0 client credentials.
    OAuth2,
    /// A user name and a password.
    Basic,
}

impl AuthenticationScheme {
    fn describe(self, primary: bool) -> Value {
        let (kind, name, description, specification) = match self {
            Self::BearerToken => (
                "oauthbearertoken",
                "Bearer token",
                "A token that the workspace's admin issued.",
                "https://www.rfc-editor.org/info/rfc6750",
            ),
            Self::OAuth2 => (
                "oauth2",
                "OAuth 2.0 client credentials",
                "A token of the workspace's token endpoint.",
                "https://www.rfc-editor.org/info/rfc6749",
            ),
            Self::Basic => (
                "httpbasic",
                "HTTP Basic",
                "A user name and a password that Lockstep generated.",
                "https://www.rfc-editor.org/info/rfc7617",
            ),
        };
        json!({"type": kind, "name": name, "description": description, "specUri": specification, "primary": primary})
    }
}

/// The `ServiceProviderConfig` below this base URL.
#[must_use]
pub fn service_provider_config(features: &Features, base_url: &str) -> Value {
    let limits = features.bulk.unwrap_or(BulkLimits { max_operations: 0, max_payload_size: 0 });
    let schemes = features.authentication.iter().enumerate().map(|(at, scheme)| scheme.describe(at == 0));
    let mut pagination = json!({
        "cursor": features.cursor_timeout.is_some(),
        "index": true,
        // Entra and Okta page by index.
        "defaultPaginationMethod": "index",
        "defaultPageSize": features.default_page_size,
        "maxPageSize": features.max_page_size,
    });
    if let (Some(timeout), Some(members)) = (features.cursor_timeout, pagination.as_object_mut()) {
        members.insert("cursorTimeout".to_owned(), timeout.into());
    }
    let mut config = Map::from_iter([("schemas".to_owned(), json!([SERVICE_PROVIDER_CONFIG]))]);
    config.extend(features.documentation_uri.as_ref().map(|uri| ("documentationUri".to_owned(), uri.as_str().into())));
    config.extend([
        ("patch".to_owned(), json!({"supported": true})),
        (
            "bulk".to_owned(),
            json!({"supported": features.bulk.is_some(), "maxOperations": limits.max_operations, "maxPayloadSize": limits.max_payload_size}),
        ),
        ("filter".to_owned(), json!({"supported": true, "maxResults": features.max_page_size})),
        ("changePassword".to_owned(), json!({"supported": false})),
        ("sort".to_owned(), json!({"supported": features.sort})),
        ("etag".to_owned(), json!({"supported": features.etag})),
        ("authenticationSchemes".to_owned(), Value::Array(schemes.collect())),
        ("pagination".to_owned(), pagination),
    ]);
    if features.interop_profile {
        config.insert("interopProfileConformant".to_owned(), true.into());
    }
    config.insert("meta".to_owned(), meta("ServiceProviderConfig", &format!("{base_url}/ServiceProviderConfig")));
    Value::Object(config)
}

/// The resource types.
#[must_use]
pub fn resource_types(set: &SchemaSet, base_url: &str) -> Vec<Value> {
    [ResourceKind::User, ResourceKind::Group].map(|kind| resource_type_of(set.of(kind), base_url)).to_vec()
}

/// The resource type of this id.
#[must_use]
pub fn resource_type(set: &SchemaSet, id: &str, base_url: &str) -> Option<Value> {
    let kind = [ResourceKind::User, ResourceKind::Group].into_iter().find(|kind| kind.name() == id)?;
    Some(resource_type_of(set.of(kind), base_url))
}

fn resource_type_of(schema: &ResourceSchema, base_url: &str) -> Value {
    let name = schema.kind().name();
    let shown = |extension: &Schema| json!({"schema": extension.id, "required": schema.demands(&extension.id)});
    let extensions = schema.extensions().iter().map(shown);
    json!({
        "schemas": [RESOURCE_TYPE],
        "id": name,
        "name": name,
        "description": schema.core().description,
        "endpoint": schema.kind().endpoint(),
        "schema": schema.core().id,
        "schemaExtensions": extensions.collect::<Vec<_>>(),
        "meta": meta("ResourceType", &format!("{base_url}/ResourceTypes/{name}")),
    })
}

/// The schemas.
#[must_use]
pub fn schemas(set: &SchemaSet, base_url: &str) -> Vec<Value> {
    set.published().iter().map(|schema| schema_of(schema, base_url)).collect()
}

/// The schema of this URN.
#[must_use]
pub fn schema(set: &SchemaSet, urn: &str, base_url: &str) -> Option<Value> {
    set.published().iter().find(|schema| schema.id.eq_ignore_ascii_case(urn)).map(|schema| schema_of(schema, base_url))
}

fn schema_of(schema: &Schema, base_url: &str) -> Value {
    // Of RFC 7643, section 8.7.1, `password` is left out. It is taken and dropped here, and what is announced can be mapped: a
    // directory would send passwords for nothing. IPSIE's AL2 wants no such attribute at all.
    let kept = schema.attributes.iter().filter(|attribute| attribute.mutability != Mutability::WriteOnly);
    json!({
        "schemas": [SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": kept.map(attribute_of).collect::<Vec<_>>(),
        "meta": meta("Schema", &format!("{base_url}/Schemas/{}", schema.id)),
    })
}

/// RFC 7643, section 7: `caseExact` and `uniqueness` say nothing of a complex attribute or a boolean, and stay for those
/// clients that read every attribute alike.
fn attribute_of(attribute: &Attribute) -> Value {
    serde_json::to_value(attribute).unwrap_or_default()
}

fn meta(resource_type: &str, location: &str) -> Value {
    json!({"resourceType": resource_type, "location": location})
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://s.example/scim/v2/acme";

    fn features() -> Features {
        Features {
            bulk: None,
            sort: true,
            etag: true,
            cursor_timeout: None,
            default_page_size: 100,
            max_page_size: 1_000,
            authentication: vec![AuthenticationScheme::BearerToken, AuthenticationScheme::OAuth2],
            interop_profile: false,
            documentation_uri: None,
        }
    }

    fn snapshot(name: &str, document: &Value) {
        insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_json_snapshot!(name, document);
        });
    }

    fn has_null(value: &Value) -> bool {
        match value {
            Value::Null => true,
            Value::Array(items) => items.iter().any(has_null),
            Value::Object(members) => members.values().any(has_null),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        }
    }

    #[test]
    fn the_configuration_says_what_is_offered() {
        snapshot("service_provider_config", &service_provider_config(&features(), BASE));
    }

    #[test]
    fn the_configuration_follows_each_feature() {
        let all = Features {
            bulk: Some(BulkLimits { max_operations: 1_000, max_payload_size: 5_000_000 }),
            cursor_timeout: Some(3_600),
            interop_profile: true,
            documentation_uri: Some("https://s.example/docs".into()),
            ..features()
        };
        let config = service_provider_config(&all, BASE);

        assert_eq!(config["bulk"], json!({"supported": true, "maxOperations": 1_000, "maxPayloadSize": 5_000_000}));
        assert_eq!((&config["pagination"]["cursor"], &config["pagination"]["cursorTimeout"]), (&json!(true), &json!(3_600)));
        assert_eq!(config["interopProfileConformant"], true);
        assert_eq!(config["documentationUri"], "https://s.example/docs");
    }

    #[test]
    fn the_schemas_are_what_they_were() {
        let set = SchemaSet::standard();

        snapshot("resource_types", &json!(resource_types(&set, BASE)));
        snapshot("schemas", &json!(schemas(&set, BASE)));
    }

    #[test]
    fn every_attribute_can_be_discovered_and_none_is_null() {
        let set = SchemaSet::standard();
        let all = schemas(&set, BASE);

        assert!(!all.iter().any(has_null) && !resource_types(&set, BASE).iter().any(has_null));
        let user = all.iter().find(|schema| schema["id"] == super::super::schema::USER).unwrap();
        let named =
            |name: &str| user["attributes"].as_array().unwrap().iter().find(|attribute| attribute["name"] == name).cloned();
        assert_eq!(named("emails").unwrap()["subAttributes"][2]["canonicalValues"], json!(["work", "home", "other"]));
        assert_eq!(named("password"), None, "what is not kept is not announced");
    }

    #[test]
    fn one_document_is_found_by_its_id_alone() {
        let set = SchemaSet::standard();

        assert_eq!(resource_type(&set, "User", BASE).unwrap()["endpoint"], "/Users");
        assert_eq!(resource_type(&set, "Device", BASE), None);
        assert_eq!(schema(&set, "urn:ietf:params:scim:schemas:core:2.0:group", BASE).unwrap()["name"], "Group");
        assert_eq!(schema(&set, "urn:x:y", BASE), None);
    }
}
