//! Reads a request body into a value, with limits that hold before anything else looks at it.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::ScimError;
use super::text::for_log;

/// The deepest nesting of a body. A user with all its extensions needs five.
pub const MAX_DEPTH: usize = 32;

/// Reads one JSON value of at most 32 levels.
///
/// A leading byte-order mark is skipped. A name that is used twice in one object is refused: two readers that differ in
/// which one counts are a way around a check. NUL is refused, since a database cannot keep it. The caller bounds the size.
pub fn parse_limited(bytes: &[u8]) -> Result<Value, ScimError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Limited { depth: MAX_DEPTH }.deserialize(&mut reader).map_err(|error| syntax(&error))?;
    reader.end().map_err(|error| syntax(&error))?;
    Ok(value)
}

fn syntax(error: &serde_json::Error) -> ScimError {
    ScimError::InvalidSyntax(format!("the body is not acceptable JSON: {error}"))
}

struct Limited {
    depth: usize,
}

impl Limited {
    fn deeper<E: serde::de::Error>(&self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("more than 32 levels of nesting"))
    }
}

fn without_nul<E: serde::de::Error>(text: &str) -> Result<&str, E> {
    if text.contains('\0') { Err(E::custom("a NUL character")) } else { Ok(text) }
}

impl<'de> DeserializeSeed<'de> for Limited {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Limited {
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
        let depth = self.deeper()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(Limited { depth })? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let depth = self.deeper()?;
        let mut members = Map::new();
        while let Some(name) = access.next_key::<String>()? {
            without_nul::<A::Error>(&name)?;
            if members.contains_key(&name) {
                return Err(A::Error::custom(format_args!("the name {:?} is used twice in one object", for_log(&name))));
            }
            members.insert(name, access.next_value_seed(Limited { depth })?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::on_a_small_stack;
    use super::*;

    #[test]
    fn a4_nesting_is_bounded_at_any_length() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let bomb = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
            let fits = format!("{}1{}", open.repeat(MAX_DEPTH), close.repeat(MAX_DEPTH));
            let over = format!("{}1{}", open.repeat(MAX_DEPTH + 1), close.repeat(MAX_DEPTH + 1));

            assert!(on_a_small_stack(move || parse_limited(bomb.as_bytes())).is_err());
            assert!(parse_limited(fits.as_bytes()).is_ok());
            assert!(parse_limited(over.as_bytes()).is_err());
        }
    }

    #[test]
    fn a4_what_no_store_could_keep_is_refused() {
        let bad: [&[u8]; 8] = [
            b"",
            b"{\"a\":1,\"a\":2}",
            b"[1e400]",
            br#""\ud800""#,
            br#"{"a":"\u0000"}"#,
            br#"{"\u0000":1}"#,
            b"\"\xff\"",
            b"{} {}",
        ];
        for body in bad {
            assert!(matches!(parse_limited(body), Err(ScimError::InvalidSyntax(_))), "{body:?}");
        }
    }

    #[test]
    fn s27_a_byte_order_mark_is_skipped() {
        assert_eq!(
            parse_limited(b"\xef\xbb\xbf{\"a\":[true,null,-1,1.5,\"x\"]}").unwrap(),
            serde_json::json!({"a": [true, null, -1, 1.5, "x"]})
        );
    }
}
