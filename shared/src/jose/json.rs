//! JSON as security decisions need it: one object, each member once. A parser that takes the last of two `sub` members and one
//! that takes the first are two different truths about one token.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::Excerpt;

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

/// Reads one object in which no member, at any depth, appears twice. Depth is bounded by the parser (128).
pub fn object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err(JsonError::Malformed),
        Err(error) => {
            let text = error.to_string();
            match text.strip_prefix(DUPLICATE).and_then(|rest| rest.split_once('\u{0}')) {
                Some((name, _)) => Err(JsonError::DuplicateMember(Excerpt::of(name))),
                None => Err(JsonError::Malformed),
            }
        }
    }
}

/// Marks our own error inside the parser's; what follows is the member's name up to a NUL.
const DUPLICATE: &str = "duplicate member ";

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Strict(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("{DUPLICATE}{name}\u{0}")));
            }
            let Strict(value) = members.next_value()?;
            object.insert(name, value);
        }
        Ok(Value::Object(object))
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
