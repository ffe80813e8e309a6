//! Reads a request body into a value, with limits that hold before anything else looks at it.

use lockstep_shared::json::{JsonFault, strict_within};
use serde_json::Value;

use super::ScimError;
use super::text::for_log;

/// The deepest nesting of a body. A user with all its extensions needs five.
pub const MAX_DEPTH: usize = 32;

/// The most values in what is no larger than one operation's body may be.
pub const MAX_VALUES: usize = 100_000;

/// Reads one JSON value of at most 32 levels and 100,000 values.
pub fn parse_limited(bytes: &[u8]) -> Result<Value, ScimError> {
    parse_within(bytes, MAX_VALUES)
}

/// Reads one JSON value of at most 32 levels, with at most `most` values in it.
///
/// A leading byte-order mark is skipped. A name that is used twice in one object is refused: two readers that differ in
/// which one counts are a way around a check. NUL is refused, since a database cannot keep it. The caller bounds the size.
pub fn parse_within(bytes: &[u8], most: usize) -> Result<Value, ScimError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    strict_within(bytes, MAX_DEPTH, most).map_err(|fault| {
        let why = match fault {
            JsonFault::TooMany(most) => return ScimError::TooLarge(format!("the body has more than {most} values")),
            JsonFault::Twice(name) => JsonFault::Twice(for_log(&name)),
            JsonFault::Unreadable(_) => fault,
        };
        ScimError::InvalidSyntax(format!("the body is not acceptable JSON: {why}"))
    })
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
    fn a4_values_are_bounded_before_anybody_looks_at_them() {
        let list = |count: usize| format!("[{}]", vec!["1"; count].join(","));

        assert!(parse_limited(list(MAX_VALUES - 1).as_bytes()).is_ok());
        assert!(matches!(parse_limited(list(MAX_VALUES).as_bytes()), Err(ScimError::TooLarge(_))));
        assert!(parse_within(list(MAX_VALUES).as_bytes(), 2 * MAX_VALUES).is_ok());
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
