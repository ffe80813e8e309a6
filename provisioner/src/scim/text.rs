//! How text is compared: one fold for uniqueness, filters and sorting, so that no two places can disagree on who is who.

use unicode_normalization::{IsNormalized, UnicodeNormalization as _, is_nfc_quick};

/// The longest indexed name, in characters: user names, external ids, group names, e-mail addresses.
pub const MAX_NAME_CHARS: usize = 512;

/// The longest normal key, in bytes: a B-tree page of PostgreSQL refuses entries over 2,704.
pub const MAX_KEY_BYTES: usize = 2_048;

pub use lockstep_shared::model::text::fold as normal_key;

/// Tells whether text that is not case-exact is the same.
#[must_use]
pub fn same_folded(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        return left.eq_ignore_ascii_case(right);
    }
    normal_key(left) == normal_key(right)
}

/// What is wrong with an indexed name, or `None` where it may be stored.
#[must_use]
pub fn name_fault(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        return Some("is empty");
    }
    if name.chars().any(char::is_control) {
        return Some("contains a control character");
    }
    // An NFC form may be three times as long as what was sent, so the key is measured and not the text alone.
    if name.chars().count() > MAX_NAME_CHARS || normal_key(name).len() > MAX_KEY_BYTES {
        return Some("is longer than 512 characters");
    }
    None
}

/// Client-supplied text made fit for one log line: no control characters, at most 128 characters.
#[must_use]
pub fn for_log(text: &str) -> String {
    let clean = text.chars().take(128).map(|c| if c.is_control() { '\u{fffd}' } else { c });
    if is_nfc_quick(text.chars()) == IsNormalized::Yes { clean.collect() } else { clean.nfc().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s21_the_fold_is_stable_for_every_character() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let once = normal_key(&format!("a{c}b"));

            assert_eq!(normal_key(&once), once, "U+{:04X}", u32::from(c));
        }
    }

    #[test]
    fn s21_spellings_of_one_name_meet_and_others_do_not() {
        let same = [
            ("JOSÉ", "jose\u{301}"),
            ("Ångström", "A\u{30a}NGSTRO\u{308}M"),
            ("STRAẞE", "straße"),
            ("ΟΔΟΣ", "οδος"),
            ("ΟΔΟΣ", "οδοσ"),
        ];
        let other = [("İ", "i"), ("I", "ı"), ("straße", "strasse"), ("jose", "josé"), ("а", "a")];

        for (left, right) in same {
            assert!(same_folded(left, right), "{left} {right}");
        }
        for (left, right) in other {
            assert!(!same_folded(left, right), "{left} {right}");
        }
    }

    #[test]
    fn s21_names_that_no_index_could_hold_are_refused() {
        assert_eq!(name_fault("jo@acme.example"), None);
        assert_eq!(name_fault(&"n".repeat(300)), None);
        assert_eq!(name_fault(&"n".repeat(513)), Some("is longer than 512 characters"));
        assert_eq!(name_fault(&"\u{1d160}".repeat(500)), Some("is longer than 512 characters"), "NFC triples it");
        assert_eq!(name_fault("jo\u{7}"), Some("contains a control character"));
        assert_eq!(name_fault(" \t"), Some("is empty"));
    }

    #[test]
    fn log_text_has_no_control_characters_and_an_end() {
        assert_eq!(for_log("a\r\nb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(for_log(&"x".repeat(1_000)).len(), 128);
    }
}
