//! Text of others, the company's names and a server's answers, as it may stand in a header, in a mail and on a terminal.

/// At most so many characters, on one line: no control character, no line end of any kind, nothing that cannot be seen or turns text
/// around.
pub(super) fn one_line(text: &str, longest: usize) -> String {
    let plain: String = text.chars().take(longest).map(|c| if is_odd(c) { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Control characters of both sets, and Unicode's format characters that text in some script does not need to be read.
fn is_odd(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_short_and_what_it_looks_like() {
        for (text, line) in [
            ("550 nobody\r\n here\t\u{1b}[2J\u{9b}31m", "550 nobody here [2J 31m"),
            ("a\u{202e}cod.exe\u{2066}b\u{61c}c", "a cod.exe b c"),
            ("a\u{2028}b\u{85}c\u{200b}d\u{feff}e\u{e0041}", "a b c d e"),
            ("B\u{fc}cher \u{30a2}\u{30af}\u{30e1} \u{5e9}\u{5dc}", "B\u{fc}cher \u{30a2}\u{30af}\u{30e1} \u{5e9}\u{5dc}"),
            ("  \r\n ", ""),
        ] {
            assert_eq!(one_line(text, 80), line, "{text:?}");
        }
        assert_eq!(one_line("\u{e4}bcdef", 3), "\u{e4}bc");
    }
}
