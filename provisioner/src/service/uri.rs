//! The percent-encoding of a request line, undone here, once: what its paths and parameters stand for.

use lockstep_shared::percent::bytes;

/// The segments of a path, each decoded: `%3A` is what `encodeURIComponent` makes of the colons of a URN, and `%55sers` is `Users`
/// (RFC 3986, section 6.2.2.2). A segment has none where it would be another path to whoever reads it after us: with a slash or a
/// percent sign in it, a control character, or as a step up or to itself. Doubled slashes and one at the end are passed over.
pub(super) fn segments(path: &str) -> impl Iterator<Item = Option<String>> {
    path.split('/').filter(|segment| !segment.is_empty()).map(|segment| {
        let decoded = String::from_utf8(bytes(segment).map(|(byte, _)| byte).collect()).ok()?;
        let leads_elsewhere = matches!(&*decoded, "." | "..") || decoded.contains(|c: char| "/%".contains(c) || c.is_control());
        (!leads_elsewhere).then_some(decoded)
    })
}

/// The parameters of a query, names and values decoded.
///
/// To RFC 3986 a `+` is a plus sign, to HTML's forms a space, and both kinds of clients are about: .NET's `Uri` leaves the `+` of
/// `a+b@acme.example` as it is and writes spaces as `%20`; Java's `URLEncoder`, Python's `urlencode` and JavaScript's
/// `URLSearchParams` write spaces as `+` and a plus sign as `%2B`. Taken for the other kind, a filter finds nobody, and its sender
/// makes the person a second time. So a value is read as its spaces are written: where one is `%20`, each `+` is a plus sign. Where
/// none is, each `+` is a space, since no filter does without spaces, and whoever writes them so writes a plus sign as `%2B`. A filter
/// that was put together by hand may have its words joined in one way and a quoted value encoded in the other, so a `%20` in quotes
/// says nothing of what is outside of them.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (String, String)> {
    query.split('&').filter(|parameter| !parameter.is_empty()).map(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        (decoded(name), decoded(value))
    })
}

/// Whether a path was appended to a query string. A client that appends it to a base URL with a query string asks for the base URL
/// itself: `?flag/Users?filter=…`, or `?flag=1/Users`.
pub(super) fn has_appended_path(query: &str, is_endpoint: impl Fn(&str) -> bool) -> bool {
    let leads_somewhere = |value: &str| {
        let next = value.split('/').nth(1).and_then(|step| step.split('?').next());
        next.is_some_and(&is_endpoint)
    };
    parameters(query).any(|(name, value)| name.contains('/') || leads_somewhere(&value))
}

fn decoded(value: &str) -> String {
    let spaces = Spaces::of(value);
    let mut quotes = Quotes::default();
    let read = bytes(value).map(|(byte, is_itself)| {
        let is_quoted = quotes.pass(byte);
        if byte == b'+' && is_itself && spaces.are_plus_signs(is_quoted) { b' ' } else { byte }
    });
    String::from_utf8_lossy(&read.collect::<Vec<u8>>()).into_owned()
}

/// Where a value has spaces that were written as `%20`.
#[derive(Debug, Default)]
struct Spaces {
    anywhere: bool,
    outside_quotes: bool,
}

impl Spaces {
    fn of(value: &str) -> Self {
        let (mut spaces, mut quotes) = (Self::default(), Quotes::default());
        for (byte, _) in bytes(value) {
            let is_quoted = quotes.pass(byte);
            spaces.anywhere |= byte == b' ';
            spaces.outside_quotes |= byte == b' ' && !is_quoted;
        }
        spaces
    }

    /// Whether spaces are written as plus signs at such a place.
    fn are_plus_signs(&self, is_quoted: bool) -> bool {
        if is_quoted { !self.anywhere } else { !self.outside_quotes }
    }
}

/// Whether one is within a filter's quoted value, byte by byte.
#[derive(Debug, Default)]
struct Quotes {
    is_open: bool,
    is_escaped: bool,
}

impl Quotes {
    /// Whether this byte is within a quoted value.
    fn pass(&mut self, byte: u8) -> bool {
        let was_escaped = self.is_escaped;
        self.is_escaped = self.is_open && !was_escaped && byte == b'\\';
        if byte == b'"' && !was_escaped {
            self.is_open = !self.is_open;
        }
        self.is_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Option<Vec<String>> {
        segments(path).collect()
    }

    #[test]
    fn a_segment_is_decoded_once() {
        for (sent, read) in [
            ("/Users", &["Users"][..]),
            ("//Users//", &["Users"]),
            ("/%55sers/%2Esearch", &["Users", ".search"]),
            ("/Schemas/urn%3Aietf%3Aparams%3ax", &["Schemas", "urn:ietf:params:x"]),
            ("/Users/01900000%2D0000", &["Users", "01900000-0000"]),
            ("/Users/a+b", &["Users", "a+b"]),
            ("/Users/J%C3%BCrgen;x", &["Users", "Jürgen;x"]),
            ("/", &[]),
        ] {
            assert_eq!(path(sent).unwrap(), read, "{sent}");
        }
    }

    #[test]
    fn s30_a_segment_that_could_be_another_path_is_none() {
        for sent in [
            "/Users/..",
            "/Users/.",
            "/./Users",
            "/Users/%2e%2e",
            "/Users/%2E",
            "/Users/..%2fGroups",
            "/Users%2Fa",
            "/%2F",
            "/%2555sers",
            "/Users/%25",
            "/Users/%",
            "/Users/%zz",
            "/Users/%5",
            "/Users%00",
            "/Users/a%0d%0ab",
            "/Users/%7F",
            "/Users/%C2%85",
            "/%ff",
        ] {
            assert_eq!(path(sent), None, "{sent}");
        }
    }

    #[test]
    fn a_plus_sign_is_read_as_the_spaces_beside_it_are_written() {
        for (sent, read) in [
            // .NET, and whoever writes `%20`.
            ("userName%20eq%20%22a+b@acme.example%22", r#"userName eq "a+b@acme.example""#),
            ("userName%20eq%20%22a%2Bb@acme.example%22", r#"userName eq "a+b@acme.example""#),
            ("userName%20eq%20a+b@acme.example", "userName eq a+b@acme.example"),
            ("meta.created%20gt%20%222026-01-01T10:00:00+02:00%22", r#"meta.created gt "2026-01-01T10:00:00+02:00""#),
            ("meta.created%20gt%202026-01-01T10:00:00+02:00", "meta.created gt 2026-01-01T10:00:00+02:00"),
            // Java's URLEncoder, Python's urlencode.
            ("userName+eq+%22a%2Bb%40acme.example%22", r#"userName eq "a+b@acme.example""#),
            ("displayName+eq+%22R%2BD+Berlin%22", r#"displayName eq "R+D Berlin""#),
            ("meta.created+gt+%222026-01-01T10%3A00%3A00%2B02%3A00%22", r#"meta.created gt "2026-01-01T10:00:00+02:00""#),
            ("emails%5Btype+eq+%22work%22%5D.value+co+%22%2B%22", r#"emails[type eq "work"].value co "+""#),
            // By hand: the value by `encodeURIComponent` or Python's `quote`, the words joined with `+`.
            ("displayName+eq+%22All%20Staff%22", r#"displayName eq "All Staff""#),
            ("displayName+eq+%22All%20R+D%22+and+id+pr", r#"displayName eq "All R+D" and id pr"#),
            // Quotes that are part of a value do not end it.
            ("displayName+eq+%22a%5C%22%20b+c%22", r#"displayName eq "a\"%20b+c""#),
            ("displayName%20eq%20%22a%5C%5C%22%20and%20title%20eq%20%22b+c%22", r#"displayName eq "a\\" and title eq "b+c""#),
            ("title,+nickName", "title, nickName"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
        ] {
            let read = read.replace("%20", " ");
            assert_eq!(parameters(&format!("x=1&&filter={sent}")).nth(1), Some(("filter".to_owned(), read)), "{sent}");
        }
    }

    #[test]
    fn a_path_that_was_appended_to_a_query_string_is_known() {
        let is_appended = |query| has_appended_path(query, |name| name == "Users");
        for query in [
            "flag/Users?filter=userName%20eq%20%22a%22",
            "flag%2FUsers",
            "flag/",
            "a=b&flag/Users/7",
            "flag=1/Users?filter=x",
            "flag=1/Users&count=1",
        ] {
            assert!(is_appended(query), "{query}");
        }
        for query in ["", "flag", "flag&filter=displayName%20eq%20%22a/b%22", "next=/x/Users", "count=1", "flag=2020/06"] {
            assert!(!is_appended(query), "{query}");
        }
    }

    #[test]
    fn what_is_no_text_is_read_as_what_is_left_of_it_and_a_name_needs_no_value() {
        let read: Vec<_> = parameters("flag&a%62c=%ff=x&=").collect();

        let expected = [("flag", ""), ("abc", "\u{fffd}=x"), ("", "")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
