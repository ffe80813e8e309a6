//! Cuts a filter into tokens. It knows nothing of what the words mean.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::scim::{Profile, ScimError};

/// What stands for `"` where a filter was typed by hand or passed through a word processor. A value ends with a mark of the family
/// that it begins with.
const OTHER_MARKS: [&str; 2] = [
    "'`\u{b4}\u{2018}\u{2019}\u{201a}\u{201b}\u{2032}\u{2039}\u{203a}\u{ff07}",
    "\u{201c}\u{201d}\u{201e}\u{201f}\u{2033}\u{ab}\u{bb}\u{ff02}",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token<'t> {
    Open,
    Close,
    OpenBracket,
    CloseBracket,
    /// A quoted literal, unescaped.
    Text(String),
    /// Anything else: a path, an operator, `and`, a number, an unquoted literal.
    Word(&'t str),
}

pub(super) fn tokens(text: &str, profile: Profile) -> Result<Vec<Token<'_>>, ScimError> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some(&(at, c)) = chars.peek() {
        let token = match c {
            c if c.is_whitespace() => None,
            '(' => Some(Token::Open),
            ')' => Some(Token::Close),
            '[' => Some(Token::OpenBracket),
            ']' => Some(Token::CloseBracket),
            '"' => {
                chars.next();
                tokens.push(Token::Text(quoted(&mut chars, profile)?));
                continue;
            }
            _ if let Some(family) = marks_like(c) => {
                chars.next();
                tokens.push(Token::Text(otherwise_quoted(family, &mut chars, profile)?));
                continue;
            }
            _ => {
                tokens.push(Token::Word(word(text, at, &mut chars)));
                continue;
            }
        };
        chars.next();
        tokens.extend(token);
    }
    Ok(tokens)
}

fn word<'t>(text: &'t str, from: usize, chars: &mut Peekable<CharIndices<'t>>) -> &'t str {
    let mut end = text.len();
    while let Some(&(at, c)) = chars.peek() {
        if c.is_whitespace() || "()[]\"".contains(c) {
            end = at;
            break;
        }
        chars.next();
    }
    text.get(from..end).unwrap_or_default()
}

/// A JSON string whose opening quote has been read.
fn quoted(chars: &mut Peekable<CharIndices<'_>>, profile: Profile) -> Result<String, ScimError> {
    let mut text = String::new();
    while let Some((_, c)) = chars.next() {
        match c {
            '"' => return Ok(text),
            '\\' => escape(&mut text, chars, profile)?,
            '\0' => return Err(nul()),
            c => text.push(c),
        }
    }
    Err(ScimError::InvalidFilter("a quoted value has no closing quote".into()))
}

/// The other marks that may end what this one begins, where it is one of them.
pub(in crate::scim) fn marks_like(mark: char) -> Option<&'static str> {
    OTHER_MARKS.into_iter().find(|family| family.contains(mark))
}

/// Whether a mark before this character is a value's last: within a value it may be an apostrophe.
pub(in crate::scim) fn ends_value(next: Option<char>) -> bool {
    next.is_none_or(|c| c.is_whitespace() || "()[]".contains(c))
}

/// A value whose opening mark, one of this family, has been read. Taken for a part of the value it would find nobody, and the
/// provider would make the person again.
fn otherwise_quoted(family: &str, chars: &mut Peekable<CharIndices<'_>>, profile: Profile) -> Result<String, ScimError> {
    if !profile.is_lenient() {
        return Err(ScimError::InvalidFilter("a value stands in double quotes (\"), and in no other quotation marks".into()));
    }
    let mut text = String::new();
    while let Some((_, c)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match c {
            '\0' => return Err(nul()),
            '\\' if next.is_some_and(|next| family.contains(next)) => text.extend(chars.next().map(|(_, mark)| mark)),
            '\\' => escape(&mut text, chars, profile)?,
            c if family.contains(c) && ends_value(next) => return Ok(text),
            // As SQL and OData write an apostrophe.
            c if family.contains(c) && next == Some(c) => text.extend(chars.next().map(|(_, mark)| mark)),
            c => text.push(c),
        }
    }
    Err(ScimError::InvalidFilter(
        "a quotation mark before a value has none behind it: put the value into double quotes (\")".into(),
    ))
}

fn escape(text: &mut String, chars: &mut Peekable<CharIndices<'_>>, profile: Profile) -> Result<(), ScimError> {
    let Some((_, c)) = chars.next() else {
        return Err(ScimError::InvalidFilter("a quoted value ends in a backslash".into()));
    };
    match c {
        '"' | '\\' | '/' => text.push(c),
        'b' => text.push('\u{8}'),
        'f' => text.push('\u{c}'),
        'n' => text.push('\n'),
        'r' => text.push('\r'),
        't' => text.push('\t'),
        'u' => text.push(unicode(chars)?),
        // A group's name with a backslash in it reaches servers unescaped (SCIM-SDK#913).
        c if profile.is_lenient() && c != '\0' => text.extend(['\\', c]),
        _ => return Err(ScimError::InvalidFilter(format!("\\{} is no JSON escape", c.escape_default()))),
    }
    Ok(())
}

fn unicode(chars: &mut Peekable<CharIndices<'_>>) -> Result<char, ScimError> {
    let first = unit(chars)?;
    let code = if (0xd800..0xdc00).contains(&first) {
        let follows = chars.next().map(|(_, c)| c) == Some('\\') && chars.next().map(|(_, c)| c) == Some('u');
        let second = if follows { unit(chars)? } else { 0 };
        if !(0xdc00..0xe000).contains(&second) {
            return Err(surrogate());
        }
        0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)
    } else {
        first
    };
    match char::from_u32(code) {
        Some('\0') => Err(nul()),
        Some(c) => Ok(c),
        None => Err(surrogate()),
    }
}

fn unit(chars: &mut Peekable<CharIndices<'_>>) -> Result<u32, ScimError> {
    let mut unit = 0;
    for _ in 0..4 {
        let digit = chars.next().and_then(|(_, c)| c.to_digit(16));
        unit = unit * 16 + digit.ok_or_else(|| ScimError::InvalidFilter("\\u needs four hexadecimal digits".into()))?;
    }
    Ok(unit)
}

/// A database cannot keep NUL, so nothing can equal it.
fn nul() -> ScimError {
    ScimError::InvalidFilter("a value contains a NUL character".into())
}

fn surrogate() -> ScimError {
    ScimError::InvalidFilter("a value contains half of a surrogate pair".into())
}
