//! Finds what a client's spelling of an attribute means: any case, with or without a URN, with or without a sub-attribute.

use serde_json::Value;

use super::{Attribute, AttributeType, ENTERPRISE_USER, GROUP, Mutability, ResourceSchema, Returned, Schema, USER, Uniqueness};
use crate::scim::Profile;

/// The longest name of a free-form extension.
const MAX_KEY: usize = 128;

/// What providers still call a schema: OneLogin's template has the URNs of SCIM 1, Entra's documentation lacks a colon.
const OLDER_URNS: [(&str, &str); 4] = [
    ("urn:scim:schemas:core:1.0", USER),
    ("urn:scim:schemas:core:1.0", GROUP),
    ("urn:scim:schemas:extension:enterprise:1.0", ENTERPRISE_USER),
    ("urn:ietf:params:scim:schemas:extension:enterprise:2.0User", ENTERPRISE_USER),
];

/// The definition of every attribute of a free-form extension.
static FREE_FORM: Attribute = Attribute {
    name: String::new(),
    kind: AttributeType::String,
    multi_valued: false,
    description: String::new(),
    required: false,
    canonical_values: Vec::new(),
    case_exact: true,
    mutability: Mutability::ReadWrite,
    returned: Returned::Default,
    uniqueness: Uniqueness::None,
    reference_types: Vec::new(),
    sub_attributes: Vec::new(),
};

/// What a path without a filter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'s, 'p> {
    /// A whole schema: the URN of the core schema or of an extension alone.
    Schema(&'s Schema),
    /// An attribute or one of its parts.
    Attribute {
        /// The extension that it belongs to, or `None` for the core and the common attributes.
        extension: Option<&'s Schema>,
        /// The canonical spelling. It is the client's own where the extension is free-form.
        name: &'p str,
        /// The definition.
        definition: &'s Attribute,
        /// The part that is named after the dot.
        sub: Option<&'s Attribute>,
    },
}

impl ResourceSchema {
    /// The extension with this URN in any case.
    #[must_use]
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions.iter().find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// The core or common attribute of this name in any case.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        let mut known = self.core.attributes.iter().chain(&self.common);
        known.find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }

    /// Finds what `path` names, or `None` where it names nothing.
    ///
    /// The lenient profile also finds an extension's attribute without its URN where no other has the name: Entra asks
    /// for `manager` and adds it so.
    #[must_use]
    pub fn find<'s: 'p, 'p>(&'s self, path: &'p str, profile: Profile) -> Option<Found<'s, 'p>> {
        if path.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:")) {
            return self.find_qualified(path, profile);
        }
        let (name, sub) = split(path);
        if let Some(definition) = self.attribute(name) {
            return part(None, definition, sub);
        }
        if !profile.is_lenient() {
            return None;
        }
        let mut matching = self.extensions.iter().filter_map(|schema| Some((schema, schema.attribute(name)?)));
        match (matching.next(), matching.next()) {
            (Some((schema, definition)), None) => part(Some(schema), definition, sub),
            // A workspace's own schema does not change what a provider's traffic has meant all along.
            (Some((schema, definition)), Some(_)) if schema.id == ENTERPRISE_USER => part(Some(schema), definition, sub),
            (None | Some(_), _) => None,
        }
    }

    /// Finds the attribute that `path` names. In the lenient profile the URN of a schema with one attribute stands for that
    /// attribute too: where a mapping says `urn:…:folders`, only the admin knows whether `folders` is the schema or in it.
    pub(crate) fn find_attribute<'s: 'p, 'p>(&'s self, path: &'p str, profile: Profile) -> Option<Found<'s, 'p>> {
        match Self::meant(self.find(path, profile)?, profile) {
            Found::Schema(_) => None,
            found @ Found::Attribute { .. } => Some(found),
        }
    }

    /// What is meant where only an attribute can be.
    pub(in crate::scim) fn meant<'s: 'p, 'p>(found: Found<'s, 'p>, profile: Profile) -> Found<'s, 'p> {
        match found {
            Found::Schema(schema) if profile.is_lenient() => {
                schema.sole().and_then(|sole| part(Some(schema), sole, None)).unwrap_or(found)
            }
            found => found,
        }
    }

    /// Tells whether some extension's URN goes on where this one ends.
    pub(in crate::scim) fn is_stem(&self, urn: &str) -> bool {
        self.extensions.iter().any(|schema| after_urn(&schema.id, urn).is_some_and(|rest| !rest.is_empty()))
    }

    /// URNs have dots and colons of their own, so the known ones are tried, the longest first.
    fn find_qualified<'s: 'p, 'p>(&'s self, path: &'p str, profile: Profile) -> Option<Found<'s, 'p>> {
        let schemas = || std::iter::once(&self.core).chain(&self.extensions);
        let mut candidates: Vec<(&Schema, &str)> =
            schemas().filter_map(|schema| Some((schema, after_urn(path, &schema.id)?))).collect();
        let older = OLDER_URNS.iter().filter(|_| profile.is_lenient());
        candidates
            .extend(older.filter_map(|(older, id)| Some((schemas().find(|schema| schema.id == *id)?, after_urn(path, older)?))));
        candidates.sort_by_key(|(schema, _)| std::cmp::Reverse(schema.id.len()));
        candidates.into_iter().find_map(|(schema, rest)| self.inside(schema, rest))
    }

    fn inside<'s: 'p, 'p>(&'s self, schema: &'s Schema, rest: &'p str) -> Option<Found<'s, 'p>> {
        if rest.is_empty() {
            return Some(Found::Schema(schema));
        }
        let (name, sub) = split(rest);
        if schema.id == self.core.id {
            return part(None, self.attribute(name)?, sub);
        }
        match schema.attribute(name) {
            Some(definition) => part(Some(schema), definition, sub),
            None if schema.free_form && is_key(rest) => {
                Some(Found::Attribute { extension: Some(schema), name: rest, definition: &FREE_FORM, sub: None })
            }
            None => None,
        }
    }
}

impl Schema {
    /// The declared attribute of this name in any case.
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }

    /// The definition under which this name's value is kept.
    pub(in crate::scim) fn definition(&self, name: &str) -> Option<&Attribute> {
        self.attribute(name).or_else(|| (self.free_form && is_key(name)).then_some(&FREE_FORM))
    }

    /// The attribute of a workspace's own schema that has no other.
    pub(in crate::scim) fn sole(&self) -> Option<&Attribute> {
        match self.attributes.as_slice() {
            [sole] if !self.free_form => Some(sole),
            _ => None,
        }
    }
}

impl Schema {
    /// The only attribute, where a value that is sent for the whole schema can but be meant for it: anything that is no object,
    /// or an object that is the attribute's own.
    pub(in crate::scim) fn means_sole(&self, value: &Value) -> Option<&Attribute> {
        let names_it = |sole: &Attribute| match value {
            Value::Null => false,
            Value::Object(members) => {
                sole.is_complex() && !members.is_empty() && !members.keys().any(|key| key.eq_ignore_ascii_case(&sole.name))
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => true,
        };
        self.sole().filter(|sole| names_it(sole))
    }
}

/// What a name of a free-form extension is like: any that a path can say. `schemas` is SCIM's own, in whatever object.
fn is_key(name: &str) -> bool {
    !name.eq_ignore_ascii_case("schemas")
        && (1..=MAX_KEY).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:$".contains(c))
}

/// What follows the URN: nothing, or the text after its colon.
fn after_urn<'p>(path: &'p str, urn: &str) -> Option<&'p str> {
    let (head, rest) = (path.get(..urn.len())?, path.get(urn.len()..)?);
    if !head.eq_ignore_ascii_case(urn) {
        return None;
    }
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix(':').filter(|rest| !rest.is_empty()) }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('.').map_or((path, None), |(name, sub)| (name, Some(sub)))
}

fn part<'s: 'p, 'p>(extension: Option<&'s Schema>, definition: &'s Attribute, sub: Option<&str>) -> Option<Found<'s, 'p>> {
    let sub = match sub {
        Some(sub) => Some(definition.sub(sub)?),
        None => None,
    };
    Some(Found::Attribute { extension, name: &definition.name, definition, sub })
}

#[cfg(test)]
mod tests {
    use super::super::{ENTERPRISE_USER, ResourceKind, SchemaError, SchemaSet, USER};
    use super::*;

    const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
    const METADATA: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata";

    fn custom(json: &str) -> Schema {
        serde_json::from_str(json).unwrap()
    }

    fn set() -> SchemaSet {
        let folders = format!(r#"{{"id":"{FOLDERS}","attributes":[{{"name":"folders","multiValued":true}}]}}"#);
        let metadata = format!(r#"{{"id":"{METADATA}","freeForm":true}}"#);
        SchemaSet::standard()
            .with_extension(ResourceKind::User, custom(&folders))
            .and_then(|set| set.with_extension(ResourceKind::User, custom(&metadata)))
            .unwrap()
    }

    fn found(path: &str, profile: Profile) -> Option<String> {
        let set = set();
        set.of(ResourceKind::User).find(path, profile).map(|found| match found {
            Found::Schema(schema) => schema.id.clone(),
            Found::Attribute { extension, name, sub, .. } => {
                let urn = extension.map(|schema| format!("{} ", schema.name)).unwrap_or_default();
                let sub = sub.map(|sub| format!(".{}", sub.name)).unwrap_or_default();
                format!("{urn}{name}{sub}")
            }
        })
    }

    #[test]
    fn every_spelling_finds_its_attribute() {
        let table = [
            ("USERNAME", Some("userName")),
            ("emails.VALUE", Some("emails.value")),
            ("meta.Created", Some("meta.created")),
            ("urn:ietf:params:scim:schemas:core:2.0:User:name.familyName", Some("name.familyName")),
            ("URN:ietf:params:scim:schemas:core:2.0:user:userName", Some("userName")),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", Some("EnterpriseUser manager.value")),
            (ENTERPRISE_USER, Some(ENTERPRISE_USER)),
            (USER, Some(USER)),
            ("urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders", Some(" folders")),
            ("urn:ietf:params:scim:schemas:extension:2.0:Metadata:cost.centre", Some(" cost.centre")),
            ("urn:ietf:params:scim:schemas:extension:2.0:Metadata:", None),
            ("urn:ietf:params:scim:schemas:extension:2.0:Metadata:cost centre", None),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department", Some("EnterpriseUser department")),
            ("userName.value", None),
            ("emails.", None),
            ("", None),
            ("urn:", None),
            ("ürn", None),
        ];
        for (path, expected) in table {
            assert_eq!(found(path, Profile::Lenient).as_deref(), expected, "{path}");
        }
    }

    #[test]
    fn an_older_urn_is_understood_by_the_lenient_profile_alone() {
        let table = [
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0User", ENTERPRISE_USER),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department", "EnterpriseUser department"),
            ("URN:scim:schemas:extension:enterprise:1.0:department", "EnterpriseUser department"),
            ("urn:scim:schemas:core:1.0", USER),
            ("urn:scim:schemas:core:1.0:userName", "userName"),
        ];
        for (path, expected) in table {
            assert_eq!(found(path, Profile::Lenient).as_deref(), Some(expected), "{path}");
            assert_eq!(found(path, Profile::Strict), None, "{path}");
        }
    }

    #[test]
    fn an_extension_attribute_without_its_urn_is_found_by_the_lenient_profile_alone() {
        assert_eq!(found("manager", Profile::Lenient).as_deref(), Some("EnterpriseUser manager"));
        assert_eq!(found("manager", Profile::Strict), None);
    }

    #[test]
    fn an_extension_that_cannot_work_is_refused_with_the_reason() {
        let table = [
            (r#"{"id":"acme","attributes":[{"name":"a"}]}"#, "is not a URN"),
            (r#"{"id":"urn:a::b","attributes":[{"name":"a"}]}"#, "is not a URN"),
            (
                r#"{"id":"urn:ietf:params:scim:schemas:extension:ENTERPRISE:2.0:User","attributes":[{"name":"a"}]}"#,
                "already defined",
            ),
            (r#"{"id":"urn:x:y"}"#, "1 to 100"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"1a"}]}"#, "not an attribute name"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"__proto__"}]}"#, "not an attribute name"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a"},{"name":"A"}]}"#, "defined twice"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","uniqueness":"server"}]}"#, "uniqueness"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","type":"complex"}]}"#, "subAttributes"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","mutability":"readOnly"}]}"#, "readOnly"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","mutability":"writeOnly"}]}"#, "a: writeOnly values"),
            (r#"{"id":"urn:x:y","attributes":[{"name":"a","returned":"never"}]}"#, "a: what is returned never"),
            (
                r#"{"id":"urn:x:y","attributes":[{"name":"a","type":"complex","subAttributes":[{"name":"b","multiValued":true}]}]}"#,
                "b: a list inside a complex attribute is not supported: make the list an attribute of its own",
            ),
            (
                r#"{"id":"urn:x:y","attributes":[{"name":"a","type":"complex","subAttributes":[{"name":"b","type":"complex"}]}]}"#,
                "b: a complex attribute has no complex sub-attributes",
            ),
            (r#"{"id":"urn:ietf:params:scim:schemas:core:2.0:Group","attributes":[{"name":"a"}]}"#, "already defined"),
            (r#"{"id":"urn:ietf:params:scim:schemas:core:2.0:User:name","attributes":[{"name":"a"}]}"#, "already defined"),
            (
                r#"{"id":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager","attributes":[{"name":"a"}]}"#,
                "is the attribute manager of",
            ),
            (r#"{"id":"urn:ietf:params:scim:schemas:extension:enterprise:2.0","freeForm":true}"#, "tell them apart"),
            (
                r#"{"id":"urn:ietf:params:scim:schemas:extension:enterprise:2.0","attributes":[{"name":"User"}]}"#,
                "tell them apart",
            ),
        ];
        for (json, reason) in table {
            let error: SchemaError = SchemaSet::standard().with_extension(ResourceKind::User, custom(json)).unwrap_err();

            assert!(error.to_string().contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn a_schema_that_reads_like_an_attribute_of_another_is_refused_whichever_comes_first() {
        let outer = custom(&format!(r#"{{"id":"{FOLDERS}","attributes":[{{"name":"folders"}}]}}"#));
        let inner = custom(&format!(r#"{{"id":"{FOLDERS}:folders","attributes":[{{"name":"names","multiValued":true}}]}}"#));
        let beside = custom(&format!(r#"{{"id":"{FOLDERS}:teams","attributes":[{{"name":"names","multiValued":true}}]}}"#));
        let add = |first: &Schema, second: &Schema| {
            let set = SchemaSet::standard().with_extension(ResourceKind::User, first.clone()).unwrap();
            set.with_extension(ResourceKind::User, second.clone())
        };

        let (urn, attribute, schema) = (inner.id.clone(), "folders".to_owned(), FOLDERS.to_owned());
        assert_eq!(add(&outer, &inner), Err(SchemaError::IsAttribute { urn, attribute, schema }));
        assert_eq!(add(&inner, &outer), Err(SchemaError::Shadows(inner.id.clone())));
        assert!(add(&outer, &beside).is_ok());
    }

    #[test]
    fn one_urn_has_one_definition_for_users_and_groups() {
        let schema = |name: &str| custom(&format!(r#"{{"id":"urn:x:y","attributes":[{{"name":"{name}"}}]}}"#));
        let set = SchemaSet::standard().with_extension(ResourceKind::User, schema("a")).unwrap();

        assert_eq!(set.clone().with_extension(ResourceKind::Group, schema("b")), Err(SchemaError::Differs("urn:x:y".into())));
        let both = set.with_extension(ResourceKind::Group, schema("a")).unwrap();
        assert_eq!(both.published().iter().filter(|published| published.id == "urn:x:y").count(), 1);
        let names = both.names_among_all(ResourceKind::Group);
        assert!(matches!(names.find_attribute("urn:x:y:a", Profile::Strict), Some(Found::Attribute { extension: Some(_), .. })));
    }

    #[test]
    fn a_schema_with_one_attribute_is_meant_by_its_urn_too() {
        let schema = custom(r#"{"id":"urn:x:folders","attributes":[{"name":"names","multiValued":true}]}"#);
        let set = SchemaSet::standard().with_extension(ResourceKind::User, schema).unwrap();
        let user = set.of(ResourceKind::User);
        let is_names = |found: Option<Found<'_, '_>>| matches!(found, Some(Found::Attribute { name: "names", .. }));

        assert!(is_names(user.find_attribute("URN:x:folders", Profile::Lenient)));
        assert!(is_names(user.find_attribute("urn:x:folders:names", Profile::Strict)));
        assert!(user.find_attribute("urn:x:folders", Profile::Strict).is_none());
        assert!(user.find_attribute(ENTERPRISE_USER, Profile::Lenient).is_none());
    }

    #[test]
    fn a_new_schema_does_not_change_what_an_unqualified_name_means() {
        let schema = custom(r#"{"id":"urn:x:y","attributes":[{"name":"manager"},{"name":"badge"}]}"#);
        let set = SchemaSet::standard().with_extension(ResourceKind::User, schema).unwrap();
        let urn = |name: &str| match set.of(ResourceKind::User).find(name, Profile::Lenient) {
            Some(Found::Attribute { extension, .. }) => extension.map(|schema| schema.id.clone()),
            _ => None,
        };

        assert_eq!(urn("manager").as_deref(), Some(ENTERPRISE_USER));
        assert_eq!(urn("badge").as_deref(), Some("urn:x:y"));
    }
}
