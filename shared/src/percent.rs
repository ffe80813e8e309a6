//! Percent-encoding (RFC 3986, section 2.1), undone here and nowhere else. What a byte means, and whether one that is badly written
//! is passed over or refused, is for whoever reads it to say.

use std::iter;

/// The bytes that a text stands for, each with whether it is written as itself. What only looks like an encoded byte is itself.
pub fn bytes(text: &str) -> impl Iterator<Item = (u8, bool)> {
    let mut rest = text.as_bytes();
    iter::from_fn(move || {
        let (first, behind) = rest.split_first()?;
        if let (b'%', [high, low, behind @ ..]) = (first, behind)
            && let (Some(high), Some(low)) = (digit(*high), digit(*low))
        {
            rest = behind;
            return Some((high << 4 | low, false));
        }
        rest = behind;
        Some((*first, true))
    })
}

/// The text that another one stands for; `None` where a percent sign begins no encoded byte, or the bytes are no text.
#[must_use]
pub fn strictly(text: &str) -> Option<String> {
    let decoded: Option<Vec<u8>> = bytes(text).map(|(byte, is_itself)| (byte != b'%' || !is_itself).then_some(byte)).collect();
    String::from_utf8(decoded?).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_two_digits_behind_a_percent_sign_or_itself() {
        let read = |text| bytes(text).map(|(byte, is_itself)| (char::from(byte), is_itself)).collect::<Vec<_>>();

        assert_eq!(read("+%2B%2b"), [('+', true), ('+', false), ('+', false)]);
        assert_eq!(read("%+5"), [('%', true), ('+', true), ('5', true)], "a sign is no digit");
        assert_eq!(read("%2541"), [('%', false), ('4', true), ('1', true)], "once, not twice");
    }

    #[test]
    fn read_strictly_what_is_badly_written_is_nothing() {
        for (text, read) in [("a+b", "a+b"), ("p%C3%A4ss%25%2f", "p\u{e4}ss%/"), ("", "")] {
            assert_eq!(strictly(text).as_deref(), Some(read), "{text}");
        }
        for text in ["%", "%2", "%zz", "%+5", "% 5", "100%", "%ff", "%2%35"] {
            assert_eq!(strictly(text), None, "{text}");
        }
    }
}
