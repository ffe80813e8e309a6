//! What of a resource is answered: the envelope around its document, and `attributes` and `excludedAttributes`
//! (RFC 7644, section 3.9).

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

use super::normalise::edit_home;
use super::schema::{Attribute, ENTERPRISE_USER, Found, Returned};
use super::stored::Stored;
use super::{Document, Profile, ResourceKind, ResourceSchema};

/// What the server itself says of a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The identifier.
    pub id: &'a str,
    /// When it was added.
    pub created: DateTime<Utc>,
    /// When it last changed.
    pub last_modified: DateTime<Utc>,
    /// Its version, which counts up.
    pub version: i64,
    /// The SCIM base URL of the workspace, without a slash at its end.
    pub base_url: &'a str,
}

impl Envelope<'_> {
    /// The URI of the resource.
    #[must_use]
    pub fn location(&self, kind: ResourceKind) -> String {
        format!("{}{}/{}", self.base_url, kind.endpoint(), self.id)
    }

    /// The weak entity tag of the version.
    #[must_use]
    pub fn etag(&self) -> String {
        etag(self.version)
    }
}

/// The weak entity tag of a version.
#[must_use]
pub fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// The whole resource: document and envelope, and what the store has as rows (`groups`, `members`).
#[must_use]
pub fn assemble(
    schema: &ResourceSchema,
    document: &Document,
    envelope: &Envelope<'_>,
    rows: Option<(&str, Vec<Value>)>,
) -> Document {
    let mut document = Stored::read(document, schema).seen;
    edit_home(&mut document, Some(ENTERPRISE_USER), |home| without_foreign_reference(home, envelope.base_url));
    let mut schemas = vec![Value::from(schema.core().id.as_str())];
    let used = schema.extensions().iter().filter(|extension| document.contains_key(&extension.id));
    schemas.extend(used.map(|extension| Value::from(extension.id.as_str())));

    let mut resource = Map::with_capacity(document.len() + 4);
    resource.insert("schemas".to_owned(), Value::Array(schemas));
    resource.insert("id".to_owned(), envelope.id.into());
    resource.extend(document);
    if let Some((name, values)) = rows {
        resource.insert(name.to_owned(), Value::Array(values));
    }
    resource.insert(
        "meta".to_owned(),
        json!({
            "resourceType": schema.kind().name(),
            "created": instant(envelope.created),
            "lastModified": instant(envelope.last_modified),
            "location": envelope.location(schema.kind()),
            "version": envelope.etag(),
        }),
    );
    resource
}

/// Where the manager's `$ref` leads is the client's own word: it is repeated, as a whole URI, only where it leads to the user of that
/// id here.
fn without_foreign_reference(home: &mut Document, base_url: &str) {
    let Some(Value::Object(manager)) = home.get_mut("manager") else { return };
    let own = manager.get("value").and_then(Value::as_str).map(|id| format!("{base_url}/Users/{id}"));
    let said = manager.get("$ref").and_then(Value::as_str);
    match own.filter(|own| said.is_some_and(|said| said == own || is_relative(said, own))) {
        Some(own) => manager.insert("$ref".to_owned(), own.into()),
        None => manager.shift_remove("$ref"),
    };
    if manager.is_empty() {
        home.shift_remove("manager");
    }
}

/// Whether it leads there from the URI of any user (`../Users/ID`) or from the base URL (`/Users/ID`).
fn is_relative(uri: &str, own: &str) -> bool {
    let path = uri.strip_prefix("..").unwrap_or(uri);
    path.starts_with("/Users/") && own.ends_with(path)
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Which attributes an answer has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Projection {
    /// `None` where the request does not say: then it is what is returned by default.
    only: Option<Vec<Place>>,
    without: Vec<Place>,
}

/// An attribute that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Core,
    Extension(String),
    Attribute { extension: Option<String>, name: String, sub: Option<String> },
}

impl Projection {
    /// Reads the two parameters: names with commas between them, in any case.
    ///
    /// Names that no schema has select nothing. A filter in brackets is passed over, since Microsoft's own collection has
    /// one. Where both parameters are given, the exclusion is from what is included.
    #[must_use]
    pub fn parse(attributes: Option<&str>, excluded: Option<&str>, schema: &ResourceSchema) -> Self {
        let only = attributes.map(str::trim).filter(|text| !text.is_empty());
        Self {
            only: only.map(|text| places(text, schema)),
            without: excluded.map(|text| places(text, schema)).unwrap_or_default(),
        }
    }

    /// Reads the two parameters as lists, as they stand in a search request.
    #[must_use]
    pub fn from_lists(attributes: &[String], excluded: &[String], schema: &ResourceSchema) -> Self {
        let (attributes, excluded) = (attributes.join(","), excluded.join(","));
        Self::parse(Some(&attributes), Some(&excluded), schema)
    }

    /// Tells whether a core attribute will be answered, so that the store need not read what will not (`members`).
    #[must_use]
    pub fn wants(&self, name: &str, schema: &ResourceSchema) -> bool {
        schema.attribute(name).is_some_and(|definition| self.verdict(None, definition).is_wanted())
    }

    /// Tells whether the entries of a core list will be answered with a part of theirs.
    #[must_use]
    pub fn wants_part(&self, name: &str, part: &str, schema: &ResourceSchema) -> bool {
        schema.attribute(name).is_some_and(|definition| self.verdict(None, definition).keeps(definition, part))
    }

    /// The part of the resource that is answered.
    #[must_use]
    pub fn apply(&self, resource: Document, schema: &ResourceSchema) -> Document {
        let mut answer = Map::with_capacity(resource.len());
        for (name, value) in resource {
            let kept = match (schema.attribute(&name), schema.extension(&name), value) {
                (Some(definition), _, value) => self.attribute(None, definition, value),
                (None, Some(extension), Value::Object(members)) => {
                    let kept: Map<String, Value> = members
                        .into_iter()
                        .filter_map(|(name, value)| {
                            let kept = match extension.attribute(&name) {
                                Some(definition) => self.attribute(Some(&extension.id), definition, value),
                                None => (extension.free_form && self.free_form(&extension.id, &name)).then_some(value),
                            };
                            kept.map(|value| (name, value))
                        })
                        .collect();
                    (!kept.is_empty()).then_some(Value::Object(kept))
                }
                (None, _, _) => None,
            };
            answer.extend(kept.map(|value| (name, value)));
        }
        answer
    }

    fn attribute(&self, extension: Option<&str>, definition: &Attribute, value: Value) -> Option<Value> {
        let verdict = self.verdict(extension, definition);
        let kept = verdict.is_wanted().then(|| parts(value, &|sub| verdict.keeps(definition, sub)))?;
        let is_left = |value: &Value| value.as_object().is_none_or(|parts| !parts.is_empty());
        Some(kept).filter(|kept| verdict == Verdict::All || is_left(kept))
    }

    fn verdict(&self, extension: Option<&str>, definition: &Attribute) -> Verdict {
        match definition.returned {
            Returned::Always => return Verdict::All,
            Returned::Never => return Verdict::Nothing,
            Returned::Default | Returned::Request => {}
        }
        let without = named(&self.without, extension, &definition.name);
        let only = match &self.only {
            Some(only) => named(only, extension, &definition.name),
            None if definition.returned == Returned::Default => Naming::Whole,
            None => Naming::Not,
        };
        match (only, without) {
            (Naming::Not, _) | (_, Naming::Whole) => Verdict::Nothing,
            (Naming::Whole, Naming::Not) => Verdict::All,
            (Naming::Whole, Naming::Parts(without)) => Verdict::Parts { only: Vec::new(), without },
            (Naming::Parts(only), Naming::Not) => Verdict::Parts { only, without: Vec::new() },
            (Naming::Parts(only), Naming::Parts(without)) => Verdict::Parts { only, without },
        }
    }

    fn free_form(&self, urn: &str, name: &str) -> bool {
        let wanted = self.only.as_ref().is_none_or(|only| named(only, Some(urn), name) == Naming::Whole);
        wanted && named(&self.without, Some(urn), name) == Naming::Not
    }
}

#[derive(PartialEq, Eq)]
enum Verdict {
    Nothing,
    All,
    Parts { only: Vec<String>, without: Vec<String> },
}

impl Verdict {
    fn is_wanted(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::All | Self::Parts { .. } => true,
        }
    }

    /// Whether a part of the attribute's value, or of each of its values, is answered.
    fn keeps(&self, definition: &Attribute, sub: &str) -> bool {
        match self {
            Self::Nothing => false,
            Self::All => is_by_default(definition, sub),
            Self::Parts { only, without } => {
                let named = only.iter().any(|part| part == sub);
                let excluded = without.iter().any(|part| part == sub) && !is_always(definition, sub);
                !excluded && (named || is_always(definition, sub) || (only.is_empty() && is_by_default(definition, sub)))
            }
        }
    }
}

#[derive(PartialEq, Eq)]
enum Naming {
    Not,
    Whole,
    Parts(Vec<String>),
}

/// How a list of names speaks of an attribute.
fn named(places: &[Place], urn: Option<&str>, attribute: &str) -> Naming {
    let mut parts = Vec::new();
    for place in places {
        match place {
            Place::Core if urn.is_none() => return Naming::Whole,
            Place::Extension(named) if urn == Some(named) => return Naming::Whole,
            Place::Attribute { extension, name, sub } if extension.as_deref() == urn && name.eq_ignore_ascii_case(attribute) => {
                match sub {
                    None => return Naming::Whole,
                    Some(sub) => parts.push(sub.clone()),
                }
            }
            Place::Core | Place::Extension(_) | Place::Attribute { .. } => {}
        }
    }
    if parts.is_empty() { Naming::Not } else { Naming::Parts(parts) }
}

fn places(text: &str, schema: &ResourceSchema) -> Vec<Place> {
    let names = without_filters(text);
    let found = names.split(',').filter_map(|name| schema.find(name.trim(), Profile::Lenient));
    found
        .map(|found| match found {
            Found::Schema(whole) if whole.id == schema.core().id => Place::Core,
            Found::Schema(whole) => Place::Extension(whole.id.clone()),
            Found::Attribute { extension, name, sub, .. } => Place::Attribute {
                extension: extension.map(|schema| schema.id.clone()),
                name: name.to_owned(),
                sub: sub.map(|sub| sub.name.clone()),
            },
        })
        .collect()
}

/// `emails[type eq "work"].value` is `emails.value` here: commas and brackets inside quotes are text.
fn without_filters(text: &str) -> String {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let mut names = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            c if depth == 0 && !quoted => names.push(c),
            _ => {}
        }
    }
    names
}

fn parts(value: Value, keep: &dyn Fn(&str) -> bool) -> Value {
    match value {
        Value::Object(mut parts) => {
            parts.retain(|name, _| keep(name));
            Value::Object(parts)
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| parts(item, keep));
            Value::Array(items.filter(|item| item.as_object().is_none_or(|parts| !parts.is_empty())).collect())
        }
        plain => plain,
    }
}

fn is_always(definition: &Attribute, sub: &str) -> bool {
    definition.sub(sub).is_some_and(|sub| sub.returned == Returned::Always)
}

fn is_by_default(definition: &Attribute, sub: &str) -> bool {
    definition.sub(sub).is_none_or(|sub| matches!(sub.returned, Returned::Always | Returned::Default))
}

#[cfg(test)]
mod tests {
    use super::super::SchemaSet;
    use super::*;

    fn resource() -> Document {
        let set = SchemaSet::standard();
        let document = json!({
            "userName": "jo", "externalId": "7", "active": true, "name": {"givenName": "Jo", "familyName": "Moe"},
            "emails": [{"value": "jo@x.example", "type": "work", "primary": true}, {"type": "home", "value": "jo@y.example"}],
            ENTERPRISE_USER: {"department": "R&D", "costCenter": "9"},
        });
        let at = DateTime::from_timestamp(1_700_000_000, 5_000_000).unwrap();
        let envelope =
            Envelope { id: "u1", created: at, last_modified: at, version: 3, base_url: "https://s.example/scim/v2/acme" };
        assemble(
            set.of(ResourceKind::User),
            document.as_object().unwrap(),
            &envelope,
            Some(("groups", vec![json!({"value": "g1"})])),
        )
    }

    fn shown(attributes: Option<&str>, excluded: Option<&str>) -> Vec<String> {
        let set = SchemaSet::standard();
        let schema = set.of(ResourceKind::User);
        let answer = Projection::parse(attributes, excluded, schema).apply(resource(), schema);
        answer
            .iter()
            .filter(|(name, _)| !["schemas", "id"].contains(&name.as_str()))
            .map(|(name, value)| match value {
                Value::Object(parts) => {
                    format!("{}({})", name.rsplit(':').next().unwrap(), parts.keys().cloned().collect::<Vec<_>>().join(" "))
                }
                Value::Array(items) => format!(
                    "{name}[{}]",
                    items
                        .iter()
                        .map(|item| item.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" "))
                        .collect::<Vec<_>>()
                        .join(",")
                ),
                _ => name.clone(),
            })
            .collect()
    }

    #[test]
    fn where_a_manager_is_said_to_be_is_repeated_only_if_it_is_here() {
        let set = SchemaSet::standard();
        let envelope =
            Envelope { id: "u1", created: DateTime::UNIX_EPOCH, last_modified: DateTime::UNIX_EPOCH, version: 1, base_url: "" };
        let shown = |manager: Value| {
            let document = json!({"userName": "jo", ENTERPRISE_USER: {"manager": manager}});
            assemble(set.of(ResourceKind::User), document.as_object().unwrap(), &envelope, None)
        };

        let known = shown(json!({"value": "u2", "$ref": "https://elsewhere.example/u2"}));
        let only = shown(json!({"$ref": "https://elsewhere.example/u2"}));
        let here = shown(json!({"value": "u2", "$ref": "/Users/u2"}));
        let relative = shown(json!({"value": "u2", "$ref": "../Users/u2"}));
        let other = shown(json!({"value": "u2", "$ref": "../Users/2"}));

        assert_eq!(known[ENTERPRISE_USER], json!({"manager": {"value": "u2"}}));
        assert_eq!(other, known);
        assert_eq!(here[ENTERPRISE_USER]["manager"]["$ref"], "/Users/u2");
        assert_eq!(relative, here);
        assert_eq!((only.get(ENTERPRISE_USER), &only["schemas"]), (None, &json!([crate::scim::schema::USER])));
    }

    #[test]
    fn the_envelope_is_around_the_document() {
        let resource = Value::Object(resource());

        assert_eq!(resource["schemas"], json!(["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE_USER]));
        assert_eq!(resource["id"], "u1");
        assert_eq!(
            resource["meta"],
            json!({"resourceType": "User", "created": "2023-11-14T22:13:20.005Z", "lastModified": "2023-11-14T22:13:20.005Z",
                "location": "https://s.example/scim/v2/acme/Users/u1", "version": "W/\"3\""})
        );
    }

    #[test]
    fn s29_names_are_found_in_every_spelling() {
        let table: [(&str, &[&str]); 9] = [
            ("USERNAME, emails", &["userName", "emails[value type primary,type value]"]),
            ("emails[type eq \"work, home\"]", &["emails[value type primary,type value]"]),
            ("emails[type eq \"work\"].value", &["emails[value,value]"]),
            ("name.GIVENname,meta.version", &["name(givenName)", "meta(version)"]),
            ("urn:ietf:params:scim:schemas:core:2.0:User:userName", &["userName"]),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", &["User(department costCenter)"]),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:DEPARTMENT", &["User(department)"]),
            ("shoeSize", &[]),
            ("password", &[]),
        ];
        for (attributes, expected) in table {
            assert_eq!(shown(Some(attributes), None), expected, "{attributes}");
        }
    }

    #[test]
    fn s29_what_is_excluded_is_not_there_and_what_is_always_returned_is() {
        assert_eq!(
            shown(None, Some("id,schemas,name.familyName,meta,GROUPS,emails.primary,externalId,active")),
            ["userName", "name(givenName)", "emails[value type,type value]", "User(department costCenter)",]
        );
        assert_eq!(shown(Some("name"), Some("name.givenName")), ["name(familyName)"]);
        assert_eq!(shown(Some(""), Some("")).len(), 8, "an empty parameter says nothing");
    }

    #[test]
    fn what_is_never_returned_is_not_returned_even_if_a_row_had_it() {
        let set = SchemaSet::standard();
        let schema = set.of(ResourceKind::User);
        let resource = || Map::from_iter([("password".to_owned(), json!("p")), ("unknown".to_owned(), json!(1))]);

        for attributes in [None, Some("password,unknown")] {
            assert!(Projection::parse(attributes, None, schema).apply(resource(), schema).is_empty());
        }
    }

    #[test]
    fn members_are_wanted_only_where_they_will_be_answered() {
        let set = SchemaSet::standard();
        let schema = set.of(ResourceKind::Group);
        let wants = |attributes, excluded| Projection::parse(attributes, excluded, schema).wants("members", schema);

        assert!(wants(None, None));
        assert!(!wants(None, Some("Members")));
        assert!(!wants(Some("displayName"), None));
        assert!(wants(Some("members.value"), None));
    }
}
