//! Recursive descent over the tokens, type by type. Its recursion is as deep as the filter's nesting, which is bounded.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::lexer::{self, Token};
use super::literal::{self, Written};
use super::{AttributeRef, CompareOp, Filter, MAX_DEPTH, MAX_LENGTH};
use crate::scim::schema::{Attribute, AttributeType, Found, Mutability, Names, Returned};
use crate::scim::{Profile, ScimError, text};

pub(super) fn resource(text: &str, names: Names<'_>, profile: Profile) -> Result<Filter, ScimError> {
    whole(text, &Scope::Resource(names), profile)
}

pub(super) fn element(text: &str, list: &Attribute, profile: Profile) -> Result<Filter, ScimError> {
    whole(text, &Scope::Element(list), profile)
}

fn whole(text: &str, scope: &Scope<'_>, profile: Profile) -> Result<Filter, ScimError> {
    if text.len() > MAX_LENGTH {
        return Err(ScimError::InvalidFilter(format!("the filter is longer than {MAX_LENGTH} bytes")));
    }
    let mut parser = Parser { tokens: lexer::tokens(text, profile)?.into_iter().peekable(), profile, depth: 0 };
    let filter = parser.either(scope)?;
    match parser.tokens.next() {
        None => Ok(filter),
        Some(token) => Err(unexpected(Some(&token))),
    }
}

/// What names are relative to.
enum Scope<'s> {
    Resource(Names<'s>),
    Element(&'s Attribute),
}

struct Parser<'t> {
    tokens: Peekable<IntoIter<Token<'t>>>,
    profile: Profile,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn either(&mut self, scope: &Scope<'_>) -> Result<Filter, ScimError> {
        let first = self.both(scope)?;
        let mut parts = vec![first];
        while self.took_word("or") {
            parts.push(self.both(scope)?);
        }
        Ok(one_or(parts, Filter::Or))
    }

    fn both(&mut self, scope: &Scope<'_>) -> Result<Filter, ScimError> {
        let first = self.term(scope)?;
        let mut parts = vec![first];
        while self.took_word("and") {
            parts.push(self.term(scope)?);
        }
        Ok(one_or(parts, Filter::And))
    }

    fn term(&mut self, scope: &Scope<'_>) -> Result<Filter, ScimError> {
        match self.tokens.next() {
            Some(Token::Open) => self.nested(&Token::Close, scope),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("not") && self.tokens.next_if_eq(&Token::Open).is_some() => {
                Ok(Filter::Not(Box::new(self.nested(&Token::Close, scope)?)))
            }
            Some(Token::Word(path)) => self.condition(path, scope),
            token => Err(unexpected(token.as_ref())),
        }
    }

    /// What stands between an opening that has been read and its closing.
    fn nested(&mut self, closing: &Token<'_>, scope: &Scope<'_>) -> Result<Filter, ScimError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ScimError::InvalidFilter(format!("the filter is nested more than {MAX_DEPTH} deep")));
        }
        let filter = self.either(scope)?;
        self.depth -= 1;
        match self.tokens.next() {
            Some(token) if token == *closing => Ok(filter),
            token => Err(unexpected(token.as_ref())),
        }
    }

    fn condition(&mut self, path: &str, scope: &Scope<'_>) -> Result<Filter, ScimError> {
        let (attribute, definition) = scope.attribute(path, self.profile)?;
        if self.tokens.next_if_eq(&Token::OpenBracket).is_some() {
            return self.value_path(attribute, definition);
        }
        self.comparison(attribute, definition)
    }

    fn comparison(&mut self, attribute: AttributeRef, definition: &Attribute) -> Result<Filter, ScimError> {
        let Some(Token::Word(word)) = self.tokens.next() else {
            return Err(ScimError::InvalidFilter(format!("{attribute} has no operator after it")));
        };
        if word.eq_ignore_ascii_case("pr") {
            return Ok(Filter::Present(attribute));
        }
        let op = CompareOp::from_word(word)
            .ok_or_else(|| ScimError::InvalidFilter(format!("{:?} is no operator", text::for_log(word))))?;
        let attribute = comparable(attribute, definition)?;
        let written = Written::from_token(self.tokens.next())?;
        if written.is_null() {
            return null_comparison(attribute, op);
        }
        let value = literal::typed(&attribute, op, &written, self.profile)?;
        Ok(Filter::Compare { attribute, op, value })
    }

    /// `emails[type eq "work"]`, and `emails[type eq "work"].value eq "x"`, which means the same element in both halves.
    fn value_path(&mut self, list: AttributeRef, definition: &Attribute) -> Result<Filter, ScimError> {
        if list.sub.is_some() || !(definition.is_complex() || definition.multi_valued) {
            return Err(ScimError::InvalidFilter(format!("{list} has no elements to select from")));
        }
        let scope = Scope::Element(definition);
        let mut filter = self.nested(&Token::CloseBracket, &scope)?;
        if let Some(sub) = self.after_bracket() {
            let (attribute, definition) = scope.attribute(sub, self.profile)?;
            let condition = self.comparison(attribute, definition)?;
            filter = match filter {
                Filter::And(mut parts) => {
                    parts.push(condition);
                    Filter::And(parts)
                }
                other => Filter::And(vec![other, condition]),
            };
        }
        Ok(Filter::Element { list, filter: Box::new(filter) })
    }

    fn after_bracket(&mut self) -> Option<&'t str> {
        let Some(Token::Word(word)) = self.tokens.peek() else { return None };
        let sub = word.strip_prefix('.')?;
        self.tokens.next();
        Some(sub)
    }

    fn took_word(&mut self, wanted: &str) -> bool {
        self.tokens.next_if(|token| matches!(token, Token::Word(word) if word.eq_ignore_ascii_case(wanted))).is_some()
    }
}

impl<'s> Scope<'s> {
    fn attribute(&self, path: &str, profile: Profile) -> Result<(AttributeRef, &'s Attribute), ScimError> {
        let (attribute, definition) = match self {
            Self::Resource(names) => in_resource(*names, path, profile),
            Self::Element(list) => in_element(list, path),
        }
        // An unknown name must never look like an empty answer: the provider would create the person again.
        .ok_or_else(|| {
            ScimError::InvalidFilter(format!("{:?} is not an attribute that can be filtered on", text::for_log(path)))
        })?;
        if definition.mutability == Mutability::WriteOnly || definition.returned == Returned::Never {
            return Err(ScimError::InvalidFilter(format!("{attribute} cannot be filtered on")));
        }
        Ok((attribute, definition))
    }
}

fn in_resource<'s>(names: Names<'s>, path: &str, profile: Profile) -> Option<(AttributeRef, &'s Attribute)> {
    let Some(Found::Attribute { extension, name, definition, sub }) = names.find_attribute(path, profile) else { return None };
    let target = sub.unwrap_or(definition);
    let attribute = AttributeRef {
        extension: extension.map(|schema| schema.id.clone()),
        name: name.to_owned(),
        sub: sub.map(|sub| sub.name.clone()),
        kind: target.kind,
        case_exact: target.case_exact,
        multi_valued: definition.multi_valued,
        false_when_absent: sub.is_some_and(|sub| definition.has_false_for(sub)),
    };
    Some((attribute, target))
}

/// A list of plain values has elements with one part, `value` (RFC 7643, section 2.4).
fn in_element<'s>(list: &'s Attribute, path: &str) -> Option<(AttributeRef, &'s Attribute)> {
    let (name, definition) = if list.is_complex() {
        let sub = list.sub(path)?;
        (sub.name.clone(), sub)
    } else {
        path.eq_ignore_ascii_case("value").then(|| ("value".to_owned(), list))?
    };
    let attribute = AttributeRef {
        extension: None,
        name,
        sub: None,
        kind: definition.kind,
        case_exact: definition.case_exact,
        multi_valued: false,
        false_when_absent: list.has_false_for(definition),
    };
    Some((attribute, definition))
}

/// A complex attribute is compared by its `value` (`members eq "…"`, `manager eq "…"`), if it has one.
fn comparable(attribute: AttributeRef, definition: &Attribute) -> Result<AttributeRef, ScimError> {
    if attribute.kind != AttributeType::Complex {
        return Ok(attribute);
    }
    match definition.sub("value") {
        Some(value) if attribute.sub.is_none() => {
            Ok(AttributeRef { sub: Some(value.name.clone()), kind: value.kind, case_exact: value.case_exact, ..attribute })
        }
        Some(_) | None => Err(ScimError::InvalidFilter(format!("{attribute} has parts: name one of them"))),
    }
}

fn null_comparison(attribute: AttributeRef, op: CompareOp) -> Result<Filter, ScimError> {
    match op {
        CompareOp::Eq => Ok(Filter::Not(Box::new(Filter::Present(attribute)))),
        CompareOp::Ne => Ok(Filter::Present(attribute)),
        CompareOp::Co | CompareOp::Sw | CompareOp::Ew | CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le => {
            Err(ScimError::InvalidFilter(format!("null cannot be compared with {}", op.word())))
        }
    }
}

fn one_or(mut parts: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (Some(last), false) => {
            parts.push(last);
            many(parts)
        }
        (None, _) => many(parts),
    }
}

fn unexpected(token: Option<&Token<'_>>) -> ScimError {
    ScimError::InvalidFilter(match token {
        None => "the filter ends too early".into(),
        Some(Token::Open) => "an opening parenthesis is not expected there".into(),
        Some(Token::Close) => "a closing parenthesis is not expected there".into(),
        Some(Token::OpenBracket) => "an opening bracket is not expected there".into(),
        Some(Token::CloseBracket) => "a closing bracket is not expected there".into(),
        Some(Token::Text(_)) => "a quoted value is not expected there".into(),
        Some(Token::Word(word)) => format!("{:?} is not expected there", text::for_log(word)),
    })
}
