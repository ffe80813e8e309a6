//! PATCH paths (RFC 7644, section 3.5.2): which attribute, which elements of it, which part of those.

use super::filter::{Filter, ends_value, marks_like};
use super::schema::{Attribute, Found, Schema};
use super::text::for_log;
use super::{Profile, ResourceSchema, ScimError};

/// The longest path, in bytes.
pub const MAX_LENGTH: usize = super::filter::MAX_LENGTH;

/// Where a PATCH operation acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Path<'s> {
    /// All of a schema: the core attributes, or an extension.
    Schema(&'s Schema),
    /// An attribute, all of it or in part.
    Attribute(Target<'s>),
}

/// An attribute as a path names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'s> {
    /// The extension that it belongs to, or `None` for the core and the common attributes.
    pub extension: Option<&'s Schema>,
    /// The canonical spelling.
    pub name: String,
    /// The definition.
    pub definition: &'s Attribute,
    /// Which elements of the list.
    pub filter: Option<Filter>,
    /// Which part of the attribute, or of each of those elements.
    pub sub: Option<&'s Attribute>,
}

/// Why a path cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathError {
    /// It is well-formed and names nothing that the schemas know.
    Unknown,
    /// It is malformed, or selects from what has no elements.
    Refused(ScimError),
}

impl From<ScimError> for PathError {
    fn from(error: ScimError) -> Self {
        Self::Refused(error)
    }
}

impl<'s> Path<'s> {
    /// Reads a path.
    pub fn parse(text: &str, schema: &'s ResourceSchema, profile: Profile) -> Result<Self, PathError> {
        let text = text.trim();
        if text.len() > MAX_LENGTH {
            return Err(malformed("the path is too long").into());
        }
        let (head, filter, rest) = cut(text)?;
        if !head.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:$".contains(c)) || head.is_empty() {
            let text = for_log(text);
            return Err(malformed(&format!("{text:?} is not a path: the name cannot be a SCIM attribute name")).into());
        }
        let Some(found) = schema.find(head, profile) else {
            return Err(if goes_on(head, schema, profile) { goes_nowhere(text).into() } else { PathError::Unknown });
        };
        match found {
            Found::Schema(schema) if filter.is_none() => Ok(Self::Schema(schema)),
            found => {
                let Found::Attribute { extension, name, definition, sub } = ResourceSchema::meant(found, profile) else {
                    return Err(malformed("a schema has no elements to select from").into());
                };
                let target = Target { extension, name: name.to_owned(), definition, filter: None, sub };
                target.narrowed(filter, rest, profile).map(Self::Attribute)
            }
        }
    }
}

impl Target<'_> {
    fn narrowed(mut self, filter: Option<&str>, rest: &str, profile: Profile) -> Result<Self, PathError> {
        let Some(filter) = filter else { return Ok(self) };
        if self.sub.is_some() || !self.definition.multi_valued {
            return Err(malformed(&format!("{} has no elements to select from", self.name)).into());
        }
        self.filter = Some(Filter::parse_element(filter, self.definition, profile)?);
        if let Some(sub) = rest.strip_prefix('.') {
            if sub.is_empty() || !sub.chars().all(|c| c.is_ascii_alphanumeric() || "-_$".contains(c)) {
                return Err(goes_nowhere(&format!("{}[…]{rest}", self.name)).into());
            }
            self.sub = Some(self.definition.sub(sub).ok_or(PathError::Unknown)?);
        } else if !rest.is_empty() {
            return Err(malformed("after the closing bracket there is a dot and a name, or nothing").into());
        }
        Ok(self)
    }
}

/// The path before the bracket, the filter inside, and what follows. Brackets in quotes are text.
fn cut(text: &str) -> Result<(&str, Option<&str>, &str), ScimError> {
    let Some((head, after)) = text.split_once('[') else { return Ok((text, None, "")) };
    // The marks that end what is quoted, and whether a value may begin here.
    let (mut closing, mut begins, mut escaped, mut depth) = (None::<&str>, true, false, 1_usize);
    let mut chars = after.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (closing, c) {
            _ if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(marks), c) if marks.contains(c) && (c == '"' || ends_value(next)) => closing = None,
            (None, '"') => closing = Some("\""),
            (None, '[') => depth += 1,
            (None, ']') => depth -= 1,
            (None, c) if begins => closing = marks_like(c),
            (Some(_) | None, _) => {}
        }
        begins = c.is_whitespace() || "()[]\"".contains(c);
        if depth == 0 {
            let (filter, rest) = after.split_at(at);
            return Ok((head, Some(filter), rest.strip_prefix(']').unwrap_or(rest)));
        }
    }
    Err(malformed("a bracket is not closed"))
}

/// Whether it is an attribute that is known and a dot with nothing behind it, or a part that is known and a part of that, which none
/// has. No other name is looked into: a provider may call what is unknown here by as many dots as it likes.
fn goes_on(head: &str, schema: &ResourceSchema, profile: Profile) -> bool {
    let name = head.rsplit_once(':').map_or(0, |(urn, _)| urn.len() + 1);
    let dots = head.match_indices('.').map(|(at, _)| at).filter(|at| *at >= name);
    dots.take(2).any(|dot| match (head.get(..dot).and_then(|before| schema.find(before, profile)), head.get(dot..)) {
        (Some(Found::Attribute { sub, .. }), Some(rest)) => sub.is_some() || rest == "." || rest.starts_with(".."),
        (Some(Found::Schema(_)) | None, _) | (_, None) => false,
    })
}

fn goes_nowhere(path: &str) -> ScimError {
    let path = for_log(path);
    malformed(&format!("{path:?} is not a path: a dot has the name of a sub-attribute behind it, which has no parts of its own"))
}

/// A path without what stands in brackets, for a log: there may be a person's address.
pub(super) fn without_filter(text: &str) -> String {
    let (head, rest) = match cut(text) {
        Ok((head, _, rest)) => (head, rest),
        Err(_) => (text.split('[').next().unwrap_or_default(), ""),
    };
    let is_part = |rest: &str| {
        rest.len() > 1 && rest.starts_with('.') && rest.chars().all(|c| c.is_ascii_alphanumeric() || "-_.$".contains(c))
    };
    format!("{head}{}", if is_part(rest) { rest } else { "" })
}

fn malformed(detail: &str) -> ScimError {
    ScimError::InvalidPath(detail.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{ResourceKind, SchemaSet};
    use super::*;

    fn shown(text: &str) -> Result<String, PathError> {
        let set = SchemaSet::standard();
        Path::parse(text, set.of(ResourceKind::User), Profile::Lenient).map(|path| match path {
            Path::Schema(schema) => schema.name.clone(),
            Path::Attribute(target) => {
                let urn = target.extension.map(|schema| format!("{} ", schema.name)).unwrap_or_default();
                let filter = target.filter.map(|filter| format!("[{filter}]")).unwrap_or_default();
                let sub = target.sub.map(|sub| format!(".{}", sub.name)).unwrap_or_default();
                format!("{urn}{}{filter}{sub}", target.name)
            }
        })
    }

    #[test]
    fn every_form_is_read() {
        let table = [
            ("USERNAME", "userName"),
            ("name.FamilyName", "name.familyName"),
            ("urn:ietf:params:scim:schemas:core:2.0:User:name.givenName", "name.givenName"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", "EnterpriseUser"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", "EnterpriseUser manager.value"),
            ("manager", "EnterpriseUser manager"),
            ("emails[type eq \"work\"]", "emails[type eq \"work\"]"),
            ("Emails[Type eq \"work\" and value co \"@x\"].Value", "emails[type eq \"work\" and value co \"@x\"].value"),
            ("roles[primary eq \"True\"].value", "roles[primary eq true].value"),
            (r#"emails[value eq "a]\"b["].type"#, r#"emails[value eq "a]\"b["].type"#),
            ("emails[type eq 'work'].value", "emails[type eq \"work\"].value"),
            ("emails[(type eq \u{201c}work\u{201d})].value", "emails[type eq \"work\"].value"),
            ("emails[value eq 'o'neill [a]b' or type eq `x`]", "emails[value eq \"o'neill [a]b\" or type eq \"x\"]"),
            ("emails[value eq 'a\\']b']", "emails[value eq \"a']b\"]"),
            ("emails[value eq o'neill]", "emails[value eq \"o'neill\"]"),
        ];
        for (text, expected) in table {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn s22_what_names_nothing_and_what_is_malformed_differ() {
        for text in [
            "shoeSize",
            "name.shoeSize",
            "urn:x:y:z",
            "emails[type eq \"work\"].shoeSize",
            "__proto__",
            "urn:x:y.z.",
            "shoe.size.x",
        ] {
            assert_eq!(shown(text), Err(PathError::Unknown), "{text}");
        }
        for text in [
            "",
            "emails[",
            "emails[type eq \"work\"",
            "emails[type eq \"work\"]value",
            "emails[type eq 'work].value",
            "emails[type eq \"work\"].",
            "emails[type eq \"work\"].value.x",
            "emails[type eq \"work\"].value[x]",
            "emails.",
            "emails..value",
            "emails.value.x",
            "emails.value.x.y",
            "urn:ietf:params:scim:schemas:core:2.0:User:emails.value.x",
            "userName[value eq \"x\"]",
            "emails.value[type eq \"x\"]",
            "a b",
            "name/familyName",
            "é",
        ] {
            assert!(matches!(shown(text), Err(PathError::Refused(ScimError::InvalidPath(_)))), "{text}");
        }
        for text in ["emails[]", "emails[nope eq 1]", "emails[type]", "emails[type eq \"a\"][type eq \"b\"]x["] {
            assert!(matches!(shown(text), Err(PathError::Refused(_))), "{text}");
        }
    }
}
