//! JSON in which each name stands once: a reader that takes the last of two `sub` members and one that takes the first are two
//! different truths about one document. It is bounded in depth and free of NUL, which a database cannot keep; the caller bounds the
//! size.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Why bytes are not JSON to be relied on.
#[derive(Debug, thiserror::Error)]
pub enum JsonFault {
    /// Two readers would see two different documents.
    #[error("the name {0:?} is used twice in one object")]
    Twice(String),
    /// More than anybody would go on to read.
    #[error("it has more than {0} values")]
    TooMany(usize),
    /// Not JSON, nested too deeply, or with a NUL.
    #[error(transparent)]
    Unreadable(#[from] serde_json::Error),
}

/// Reads one value of at most `depth` levels.
pub fn strict(bytes: &[u8], depth: usize) -> Result<Value, JsonFault> {
    strict_within(bytes, depth, usize::MAX)
}

/// Reads one value of at most `depth` levels with at most `most` values in it: a list of digits takes many times the memory and the
/// time of a text of its size, so it is not read to its end only to be found too long.
pub fn strict_within(bytes: &[u8], depth: usize, most: usize) -> Result<Value, JsonFault> {
    let (twice, left) = (RefCell::new(None), Cell::new(Some(most)));
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let strict = Strict { depth, twice: &twice, left: &left };
    let read = strict.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match (twice.into_inner(), left.get()) {
        (Some(name), _) => Err(JsonFault::Twice(name)),
        (None, None) => Err(JsonFault::TooMany(most)),
        (None, Some(_)) => Ok(read?),
    }
}

#[derive(Clone, Copy)]
struct Strict<'t> {
    depth: usize,
    /// The name that ended the reading.
    twice: &'t RefCell<Option<String>>,
    /// How many more values there may be; none once there was one too many.
    left: &'t Cell<Option<usize>>,
}

impl Strict<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("too many levels of nesting"))?;
        Ok(Self { depth, ..self })
    }
}

fn without_nul<E: serde::de::Error>(text: &str) -> Result<&str, E> {
    if text.contains('\0') { Err(E::custom("a NUL character")) } else { Ok(text) }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.left.set(self.left.get().and_then(|left| left.checked_sub(1)));
        if self.left.get().is_none() {
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
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
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        without_nul(value).map(Value::from)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let inside = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            without_nul::<A::Error>(&name)?;
            if members.contains_key(&name) {
                self.twice.replace(Some(name));
                return Err(A::Error::custom("a name is used twice"));
            }
            let value = access.next_value_seed(inside)?;
            members.insert(name, value);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_is_written() {
        let text = r#"{"a":1,"b":[true,null,-2,1.5,"x"],"c":{"a":{}}}"#;

        assert_eq!(strict(text.as_bytes(), 3).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        assert!(strict(text.as_bytes(), 2).is_err());
    }

    #[test]
    fn a_name_that_is_used_twice_is_told_at_any_depth_and_in_any_spelling() {
        for text in [r#"{"sub":"a","sub":"b"}"#, r#"{"x":[{"sub":1,"sub":1}]}"#, r#"{"sub":"a","s\u0075b":"b"}"#] {
            assert!(matches!(strict(text.as_bytes(), 9), Err(JsonFault::Twice(name)) if name == "sub"), "{text}");
        }
    }

    #[test]
    fn a4_values_are_counted_at_any_depth_and_what_is_behind_the_last_is_not_read() {
        let text = r#"{"a":[1,[2],{"b":3}]}"#;

        assert!(strict_within(text.as_bytes(), 9, 7).is_ok());
        assert!(matches!(strict_within(text.as_bytes(), 9, 6), Err(JsonFault::TooMany(6))));
        assert!(matches!(strict_within(b"[1,2,3,this is no JSON", 9, 3), Err(JsonFault::TooMany(3))));
    }

    #[test]
    fn nul_and_what_follows_a_value_are_refused() {
        for text in [r#""\u0000""#, r#"{"\u0000":1}"#, "{} {}", "{}x", "", "\u{feff}{}"] {
            assert!(matches!(strict(text.as_bytes(), 9), Err(JsonFault::Unreadable(_))), "{text}");
        }
    }
}
