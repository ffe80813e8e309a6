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

/// What is wrong with an indexed name that is new: what cannot be seen in it makes two names that look like one, or shows a name
/// backwards (Unicode Technical Report 36, section 2.10).
///
/// It is not asked of a name that is stored and stays, so that whoever has such a one can be deactivated. Two kinds of characters
/// that cannot be seen belong to real names. The joiners shape letters that are not ASCII (Persian and the languages of India write
/// words with them, emoji are built with them): refused are those at an end, beside a space, and after an ASCII letter. The marks of
/// direction keep what is beside Hebrew or Arabic in its place, and come along where such a name is copied: refused are those in a
/// name without a letter that is written from right to left. No name needs the overrides, embeddings and isolates.
#[must_use]
pub fn unseen_fault(name: &str) -> Option<&'static str> {
    let mut before = None;
    let mut rest = name.chars().peekable();
    while let Some(c) = rest.next() {
        let is_unseen = match c {
            '\u{200e}' | '\u{200f}' | '\u{61c}' => !name.chars().any(is_right_to_left),
            '\u{200c}' | '\u{200d}' => {
                let is_joiner = |c: char| matches!(c, '\u{200c}' | '\u{200d}');
                let joins = |beside: Option<char>| beside.is_some_and(|beside| !beside.is_whitespace() && !is_joiner(beside));
                !joins(before) || !joins(rest.peek().copied()) || before.is_some_and(|before| before.is_ascii())
            }
            // A flag of a region is a black flag with its name in tags.
            '\u{e0000}'..='\u{e007f}' => !before.is_some_and(|before| before == '\u{1f3f4}' || is_tag(before)),
            '\u{ad}'
            | '\u{180e}'
            | '\u{200b}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' => true,
            _ => false,
        };
        if is_unseen {
            return Some("contains a character that cannot be seen");
        }
        before = Some(c);
    }
    None
}

fn is_tag(c: char) -> bool {
    ('\u{e0020}'..='\u{e007f}').contains(&c)
}

/// Letters of Hebrew, Arabic and the scripts beside them, which have a mark of direction among them.
fn is_right_to_left(c: char) -> bool {
    matches!(
        c,
        '\u{5be}'..='\u{61b}' | '\u{61d}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' | '\u{10800}'..='\u{10fff}'
            | '\u{1e800}'..='\u{1efff}'
    )
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
    fn s21_a_name_has_nothing_that_cannot_be_seen() {
        let unseen = [
            "a\u{200b}b",
            "\u{202e}abc",
            "abc\u{202c}",
            "a\u{2066}b",
            "jo\u{ad}",
            "\u{feff}jo",
            "a\u{2060}b",
            "jo\u{200d}",
            "\u{200c}jo",
            "a\u{200d}b",
            "a \u{200d}b",
            "é\u{200d}\u{200c}é",
            "é\u{200c} b",
            "ada\u{200e}",
            "ada\u{61c}",
            "ada\u{200f}@acme.example",
            "ad\u{e0061}a",
            "שלום\u{202e}",
            "می\u{200c}\u{200b}خواهم",
        ];
        let real = [
            "jo@acme.example",
            "José Núñez-O'Malley",
            "jose\u{301}",
            // Persian, Malayalam, Sinhala.
            "می\u{200c}خواهم",
            "ന\u{d4d}\u{200d}മ",
            "ශ\u{dca}\u{200d}රී",
            // Hebrew and Arabic with marks of direction beside what is neither.
            "צוות R&D\u{200f}",
            "\u{200e}محمد (HR)\u{200e}",
            // A family, a technician, a rainbow flag, Scotland.
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} Family",
            "\u{1f469}\u{1f3fd}\u{200d}\u{1f4bb}",
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308} Pride",
            "\u{1f3f4}\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f} Office",
            "TestGrp-!@#$%^&*()_+=-{}][\":;'/.,?\\1",
        ];

        for name in unseen {
            assert!(unseen_fault(name).is_some(), "{name:?}");
        }
        for name in real {
            assert_eq!(unseen_fault(name), None, "{name:?}");
        }
    }

    #[test]
    fn log_text_has_no_control_characters_and_an_end() {
        assert_eq!(for_log("a\r\nb"), "a\u{fffd}\u{fffd}b");
        assert_eq!(for_log(&"x".repeat(1_000)).len(), 128);
    }
}
