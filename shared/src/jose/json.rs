//! JSON as security decisions need it: one object, each member once.

use serde_json::{Map, Value};

use super::Excerpt;
use crate::json::{JsonFault, strict};

/// A token or a key set needs three or four.
const MAX_DEPTH: usize = 128;

/// Why bytes are not a JSON object to be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not an object, or no JSON at all.
    #[error("it is not a JSON object")]
    Malformed,
    /// Two readers would see two different objects.
    #[error("the member {0} appears twice")]
    DuplicateMember(Excerpt),
}

/// Reads one object in which no member, at any depth, appears twice.
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match strict(bytes, MAX_DEPTH) {
        Ok(Value::Object(members)) => Ok(members),
        Err(JsonFault::Twice(name)) => Err(JsonError::DuplicateMember(Excerpt::of(&name))),
        Ok(_) | Err(JsonFault::Unreadable(_) | JsonFault::TooMany(_)) => Err(JsonError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_reads_as_it_is_written() {
        let text = r#"{"a":1,"b":[true,null,-2,1.5,"x"],"c":{"a":{}}}"#;

        let read = object(text.as_bytes()).unwrap();

        assert_eq!(Value::Object(read), serde_json::from_str::<Value>(text).unwrap());
    }

    #[test]
    fn a_member_that_appears_twice_is_refused_at_any_depth() {
        for text in [r#"{"sub":"a","sub":"b"}"#, r#"{"x":[{"sub":1,"sub":1}]}"#, r#"{"sub":"a","s\u0075b":"b"}"#] {
            assert_eq!(object(text.as_bytes()), Err(JsonError::DuplicateMember(Excerpt::of("sub"))), "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let cases = ["", "null", "[]", "\"x\"", "{", "{}x", r#"{"a":1e400}"#, r#"{"a":"\ud800"}"#, "\u{feff}{}", &deep];
        for text in cases {
            assert_eq!(object(text.as_bytes()), Err(JsonError::Malformed), "{text:.40}");
        }
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(JsonError::Malformed));
    }
}
