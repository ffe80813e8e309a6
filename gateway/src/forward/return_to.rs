//! Where a browser may be sent after a sign-in or sign-out: a path of this host, or a URL of exactly one of the known origins.
//! Whatever two parsers could read differently is refused.

use url::Url;

const LENGTH_LIMIT: usize = 2048;
/// The gateway's own endpoints: to return to one of them is a loop, or a sign-out by somebody else's link.
const OWN_ENDPOINTS: [&str; 4] = ["/login", "/sso", "/callback", "/oauth2"];

/// The origins that may be returned to, as `scheme://host` or `scheme://host:port`; the first is the gateway's own.
#[derive(Debug, Clone)]
pub struct Origins {
    own: Url,
    all: Vec<String>,
}

impl Origins {
    /// The gateway's own origin and those of the apps.
    #[must_use]
    pub fn new<'u>(own: &'u Url, apps: impl IntoIterator<Item = &'u Url>) -> Self {
        let all =
            std::iter::once(own).chain(apps).map(|url| url.origin().ascii_serialization()).filter(|origin| origin != "null");
        Self { own: own.clone(), all: all.collect() }
    }
}

/// A place that a browser may be sent to: ASCII without control characters, safe in a `Location` header as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// The root of this host.
    #[must_use]
    pub fn home() -> Self {
        Self("/".to_owned())
    }

    /// Reads a parameter; `None` where it is anything but a place to return to.
    #[must_use]
    pub fn parse(text: &str, origins: &Origins) -> Option<Self> {
        if text.len() > LENGTH_LIMIT || text.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
            return None;
        }
        let place = if text.starts_with('/') { path(text, origins)? } else { absolute(text, origins)? };
        (place.len() <= LENGTH_LIMIT).then_some(Self(place))
    }

    /// The place.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn path(text: &str, origins: &Origins) -> Option<String> {
    let url = origins.own.join(text).ok()?;
    if url.origin() != origins.own.origin() || !is_sound_path(url.path()) || is_own_endpoint(url.path()) {
        return None;
    }
    // Written from its parts and not as it came: `/.//host` has become `//host` here, and was refused above.
    let query = url.query().map_or(String::new(), |query| format!("?{query}"));
    let fragment = url.fragment().map_or(String::new(), |fragment| format!("#{fragment}"));
    Some(format!("{}{query}{fragment}", url.path()))
}

fn absolute(text: &str, origins: &Origins) -> Option<String> {
    // The origin has to stand there letter by letter: no user, no other port, no other spelling of a host.
    let origin = origins.all.iter().find(|origin| {
        let rest = text.strip_prefix(origin.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?', '#']))
    })?;
    let url = Url::parse(text).ok()?;
    let same = url.origin().ascii_serialization() == *origin && url.username().is_empty() && url.password().is_none();
    let to_ourselves = url.origin() == origins.own.origin() && is_own_endpoint(url.path());
    (same && is_sound_path(url.path()) && !to_ourselves).then(|| url.into())
}

/// A path that stays one after being decoded once more on its way: no second slash in front, no control characters.
fn is_sound_path(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let second = lower.strip_prefix('/').unwrap_or("");
    let doubled = ["/", "%2f", "%5c"].iter().any(|slash| second.starts_with(slash));
    let controls = lower.match_indices('%').any(|(at, _)| {
        let code = lower.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| code.is_ascii_control())
    });
    lower.starts_with('/') && !doubled && !controls
}

fn is_own_endpoint(path: &str) -> bool {
    OWN_ENDPOINTS.iter().any(|own| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "gate.good.example";

    fn origins() -> Origins {
        let url = |text| Url::parse(text).unwrap();
        Origins::new(&url("https://gate.good.example"), [&url("https://app.good.example"), &url("http://localhost:8080")])
    }

    fn parse(text: &str) -> Option<String> {
        ReturnTo::parse(text, &origins()).map(|place| place.0)
    }

    #[test]
    fn a_path_or_a_known_origin_is_kept() {
        for (text, place) in [
            ("/", "/"),
            ("/app/page?q=a%20b&x=%0A#part", "/app/page?q=a%20b&x=%0A#part"),
            ("/caf\u{e9}", "/caf%C3%A9"),
            ("/a/../b", "/b"),
            ("/a//b", "/a//b"),
            ("/login-help", "/login-help"),
            ("/native/authorize?x=https://evil.example", "/native/authorize?x=https://evil.example"),
            ("https://app.good.example", "https://app.good.example/"),
            ("https://app.good.example/x?y#z", "https://app.good.example/x?y#z"),
            ("https://app.good.example/oauth2/x", "https://app.good.example/oauth2/x"),
            ("http://localhost:8080/x", "http://localhost:8080/x"),
        ] {
            assert_eq!(parse(text).as_deref(), Some(place), "{text}");
        }
    }

    #[test]
    fn g25_g26_g27_g29_ways_out_are_refused() {
        for text in [
            "",
            "x",
            ".",
            "..",
            "?x",
            "#x",
            "//",
            "//evil.example",
            "///evil.example",
            "////evil.example",
            "/x\\y",
            "/\\evil.example",
            "\\/evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/\r\n/evil.example",
            " //evil.example",
            " /x",
            "/x ",
            "/%09/evil.example",
            "/%0a/evil.example",
            "/%0d%0aSet-Cookie:x=1",
            "/%00/x",
            "/%5cevil.example",
            "/%5C%5Cevil.example",
            "/%2fevil.example",
            "/%2F%2Fevil.example",
            "/./\\evil.example",
            "/.//evil.example",
            "/..//evil.example",
            "/x/..//evil.example",
            "/%2e//evil.example",
            "/%2e%2e//evil.example",
            "/x/%2e%2e//evil.example",
            "/./%2fevil.example",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "http:app.good.example",
            "https:app.good.example",
            "https:/app.good.example",
            "https:///app.good.example",
            "https://app.good.example@evil.example",
            "https://app.good.example:x@evil.example",
            "https://app.good.example.evil.example",
            "https://evilapp.good.example",
            "https://appXgood.example",
            "https://app.good.example:443/",
            "https://app.good.example:8443/",
            "https://app.good.example%00.evil.example",
            "https://app.good.example%2eevil.example",
            "https://app.good.example\\@evil.example",
            "https://APP.good.example/",
            "http://app.good.example/",
            "HTTPS://app.good.example/",
            "https://app.good.example./",
            "https://\u{ff41}pp.good.example/",
            "https://app\u{3002}good.example/",
            "https://app.good.ex\u{e4}mple/",
            "https://[::1]/",
            "http://localhost:80/",
            "http://localhost:8080@evil.example/",
            "http://localhost:80801/",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\nscript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "ftp://app.good.example/",
            "blob:https://app.good.example/x",
            "\u{a0}//evil.example",
            "/\u{2028}/x",
            "/\u{85}x",
            "\u{200b}//evil.example",
            "/x\u{0}",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse(&format!("/{}", "x".repeat(LENGTH_LIMIT))), None);
        assert_eq!(parse(&format!("/{}", "\u{e9}".repeat(800))), None, "too long once it is encoded");
    }

    #[test]
    fn the_gateways_own_endpoints_are_no_place_to_return_to() {
        for text in [
            "/oauth2/sign_out",
            "/oauth2/start?rd=/",
            "/oauth2",
            "/login",
            "/login?x",
            "/sso/acme",
            "/callback/x?code=a",
            "/x/../oauth2/sign_out",
            "https://gate.good.example/oauth2/sign_out",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    /// Where an old, forgiving browser would go: it strips what surrounds a URL, drops tabs and line ends, takes `\` for `/`.
    fn browser_goes_to(location: &str) -> Option<String> {
        let cleaned: String =
            location.trim_matches(|c: char| c <= ' ').chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).collect();
        let slashed = cleaned.replace('\\', "/");
        let scheme = slashed
            .split_once(':')
            .filter(|(scheme, _)| !scheme.is_empty() && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
        let authority = match scheme {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") => {
                rest.trim_start_matches('/')
            }
            Some(_) => return None,
            None if slashed.starts_with("//") => slashed.trim_start_matches('/'),
            None => return Some(HOST.to_owned()),
        };
        let authority = authority.split(['/', '?', '#']).next()?;
        let host = authority.rsplit('@').next()?;
        Some(host.split(':').next()?.to_ascii_lowercase())
    }

    fn decode_once(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            let code = tail
                .get(..2)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            let encoded = code.filter(|_| *first == b'%');
            bytes.push(encoded.unwrap_or(*first));
            rest = if encoded.is_some() { &tail[2..] } else { tail };
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn p11_no_generated_string_leads_to_another_host() {
        const PIECES: [&str; 54] = [
            "/",
            "/",
            "/",
            "//",
            "\\",
            "/\\",
            ".",
            "..",
            "./",
            "../",
            "%2e",
            "%2f",
            "%5c",
            "%09",
            "%0a",
            "%0d",
            "%00",
            "%25",
            "%252f",
            "\t",
            "\n",
            "\r",
            " ",
            "\u{a0}",
            "\u{2028}",
            "\u{ff0f}",
            "@",
            ":",
            "?",
            "#",
            "&",
            ";",
            "http:",
            "https:",
            "javascript:",
            "data:",
            "https://",
            "http://",
            "evil.example",
            "app.good.example",
            "gate.good.example",
            "https://app.good.example",
            "https://gate.good.example",
            "localhost:8080",
            "http://localhost:8080",
            "user:pw@",
            "[::1]",
            ":443",
            "x",
            "caf\u{e9}",
            "\u{202e}",
            "%",
            "oauth2",
            "\u{3002}",
        ];
        let known = [HOST, "app.good.example", "localhost"];
        // A fixed sequence (SplitMix64), so that a failure repeats.
        let mut state = 11_u64;
        let mut next = |bound: usize| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            usize::try_from((z ^ (z >> 31)) % 1_000_003).unwrap() % bound
        };
        let mut accepted = 0;
        for _ in 0..60_000 {
            let text: String = (0..=next(7)).map(|_| PIECES[next(PIECES.len())]).collect();
            let Some(place) = parse(&text) else { continue };
            accepted += 1;
            assert!(place.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?} -> {place:?}");
            let resolved = origins().own.join(&place).unwrap();
            assert!(origins().all.contains(&resolved.origin().ascii_serialization()), "{text:?} -> {place:?}");
            for seen in [place.clone(), decode_once(&place)] {
                let host = browser_goes_to(&seen);
                assert!(host.as_deref().is_some_and(|host| known.contains(&host)), "{text:?} -> {seen:?} -> {host:?}");
            }
            assert_eq!(parse(&place).as_ref(), Some(&place), "reading it again changes nothing");
        }
        assert!(accepted > 2_000, "only {accepted} strings were accepted: the test proves little");
    }
}
