//! What an upstream reads about a person. Every identity header is on every answer, so that a client's own never shows through,
//! and whatever a client sent in any spelling of such a name is taken away first.
//!
//! Values are visible ASCII. `%`, control characters, everything outside ASCII and spaces at either end are percent-encoded as
//! UTF-8, and in lists the comma too: an entry `CN=Admins,OU=G` stays one entry. Decoding restores every value exactly.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use lockstep_shared::{
    id::{UserId, WorkspaceId},
    model::user::Person,
};

const USER: HeaderName = HeaderName::from_static("x-auth-request-user");
const EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");
const GROUPS: HeaderName = HeaderName::from_static("x-auth-request-groups");
const PREFERRED_USERNAME: HeaderName = HeaderName::from_static("x-auth-request-preferred-username");
const WORKSPACE: HeaderName = HeaderName::from_static("x-lockstep-workspace");
const USER_ID: HeaderName = HeaderName::from_static("x-lockstep-user-id");
const ROLES: HeaderName = HeaderName::from_static("x-lockstep-roles");
const TEAMS: HeaderName = HeaderName::from_static("x-lockstep-teams");
const JWT: HeaderName = HeaderName::from_static("x-lockstep-jwt");

/// Every identity header, in the order in which they are written.
pub const NAMES: [HeaderName; 9] = [USER, EMAIL, GROUPS, PREFERRED_USERNAME, WORKSPACE, USER_ID, ROLES, TEAMS, JWT];

/// All of the block's values together: proxies keep 16 KiB for an answer's headers at most.
const BLOCK_LIMIT: usize = 12 * 1024;

/// The person has more groups, roles, teams or claims than headers can carry. Leaving some out would be a wrong answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the identity headers would need {size} bytes, more than {BLOCK_LIMIT}: map the groups that the app needs to roles, and fewer of them, or let the app ask for fewer claims"
)]
pub struct TooLarge {
    /// How many bytes they would need.
    pub size: usize,
}

/// The identity headers of one person, prepared once per session.
#[derive(Clone)]
pub struct IdentityHeaders {
    lines: [(HeaderName, HeaderValue); 9],
    size: usize,
}

impl std::fmt::Debug for IdentityHeaders {
    /// Personal data stays out of logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("IdentityHeaders(…)")
    }
}

impl IdentityHeaders {
    /// The headers of a person. `X-Auth-Request-User` is the person's id, which never changes and is never used again; a user
    /// name may be given to somebody else.
    pub fn of(workspace: &WorkspaceId, user: &UserId, person: &Person) -> Result<Self, TooLarge> {
        let values = [
            encode(user.as_str()),
            encode(&person.email),
            encode_list(&person.groups),
            encode(&person.user_name),
            encode(workspace.as_str()),
            encode(user.as_str()),
            encode_list(&person.roles),
            encode_list(&person.teams),
            String::new(),
        ];
        let size = values.iter().map(String::len).sum();
        if size > BLOCK_LIMIT {
            return Err(TooLarge { size });
        }
        let mut names = NAMES.into_iter();
        let headers = values.map(|value| {
            // Encoding leaves visible ASCII alone; should that ever fail, an empty value says "unknown".
            let value = HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""));
            (names.next().unwrap_or(JWT), value)
        });
        Ok(Self { lines: headers, size })
    }

    /// Whether there is still room for this JWT.
    pub fn have_room_for(&self, jwt: &HeaderValue) -> Result<(), TooLarge> {
        let size = self.size + jwt.len();
        if size > BLOCK_LIMIT { Err(TooLarge { size }) } else { Ok(()) }
    }

    /// Every header with its value, the JWT's included.
    pub fn iter<'a>(&'a self, jwt: Option<&'a HeaderValue>) -> impl Iterator<Item = (&'a HeaderName, &'a HeaderValue)> {
        self.lines.iter().map(move |(name, value)| (name, if *name == JWT { jwt.unwrap_or(value) } else { value }))
    }
}

fn encode(value: &str) -> String {
    encode_with(value, |_| false)
}

fn encode_list(values: &[String]) -> String {
    let encoded: Vec<_> = values.iter().map(|value| encode_with(value, |byte| byte == b',')).collect();
    encoded.join(",")
}

fn encode_with(value: &str, besides: impl Fn(u8) -> bool) -> String {
    let last = value.len().saturating_sub(1);
    let mut encoded = String::with_capacity(value.len());
    for (at, byte) in value.bytes().enumerate() {
        let edge_space = byte == b' ' && (at == 0 || at == last);
        let plain = (byte == b' ' || byte.is_ascii_graphic()) && byte != b'%' && !edge_space && !besides(byte);
        if plain {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// Makes a client's request headers fit for an upstream: what belongs to this hop, what only we may say and our own cookies go;
/// the person's identity comes, last, so that nothing a client sent can take it away again.
pub fn for_upstream(headers: &mut HeaderMap, identity: Option<(&IdentityHeaders, Option<&HeaderValue>)>) {
    strip_hop_by_hop(headers);
    strip(headers);
    strip_own_cookies(headers);
    for (name, value) in identity.iter().flat_map(|(block, jwt)| block.iter(*jwt)) {
        headers.insert(name, value.clone());
    }
    if identity.is_none() {
        for name in NAMES {
            headers.insert(name, HeaderValue::from_static(""));
        }
    }
}

/// Makes an upstream's answer fit for a client: it may neither speak for this hop nor set our cookies.
pub fn for_client(headers: &mut HeaderMap) {
    strip_hop_by_hop(headers);
    let kept: Vec<_> =
        headers.get_all(header::SET_COOKIE).iter().filter(|line| !is_own_cookie(line.as_bytes())).cloned().collect();
    headers.remove(header::SET_COOKIE);
    for line in kept {
        headers.append(header::SET_COOKIE, line);
    }
}

/// Takes away every header that a client could pass off as ours, in each spelling that some server reads as the same name.
pub fn strip(headers: &mut HeaderMap) {
    let foreign: Vec<HeaderName> = headers.keys().filter(|name| is_reserved(name.as_str())).cloned().collect();
    for name in foreign {
        headers.remove(name);
    }
}

/// Names that only the gateway may say: who it is, where the request came from, and what it was before.
fn is_reserved(name: &str) -> bool {
    const FAMILIES: [&str; 4] = ["x-auth-request-", "x-lockstep-", "x-forwarded-", "x-original-"];
    const SINGLE: [&str; 9] = [
        "forwarded",
        "x-forwarded",
        "x-real-ip",
        "x-client-ip",
        "x-rewrite-url",
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-auth-request",
    ];
    let folded = fold(name);
    FAMILIES.iter().any(|family| folded.starts_with(family)) || SINGLE.contains(&folded.as_str())
}

/// The name as the most forgiving server reads it: CGI makes `_` of `-`, others take `.`, `+` or a space for one.
fn fold(name: &str) -> String {
    let letters = name.trim().chars();
    letters.map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect()
}

/// RFC 9110, section 7.6.1: the named ones and those that have always been meant.
fn strip_hop_by_hop(headers: &mut HeaderMap) {
    const ALWAYS: [HeaderName; 7] = [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        // A client may not take away what frames the message or says where it goes.
        .filter(|name| ![header::HOST, header::CONTENT_LENGTH, header::CONTENT_TYPE].contains(name))
        .collect();
    for name in ALWAYS
        .into_iter()
        .chain([HeaderName::from_static("keep-alive"), HeaderName::from_static("proxy-connection")])
        .chain(named)
    {
        headers.remove(name);
    }
}

fn strip_own_cookies(headers: &mut HeaderMap) {
    let lines: Vec<HeaderValue> = headers.get_all(header::COOKIE).iter().cloned().collect();
    headers.remove(header::COOKIE);
    let kept: Vec<&[u8]> = lines
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b';'))
        .map(<[u8]>::trim_ascii)
        .filter(|pair| !pair.is_empty() && !is_own_cookie(pair))
        .collect();
    if !kept.is_empty()
        && let Ok(value) = HeaderValue::from_bytes(&kept.join(b"; ".as_slice()))
    {
        headers.insert(header::COOKIE, value);
    }
}

fn is_own_cookie(pair: &[u8]) -> bool {
    const PREFIX: &[u8] = b"__host-lockstep";
    pair.trim_ascii_start().get(..PREFIX.len()).is_some_and(|start| start.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> Person {
        Person {
            user_name: "anna".into(),
            email: "anna@acme.example".into(),
            display_name: "Anna".into(),
            groups: vec!["Staff".into(), "CN=Admins,OU=G".into()],
            roles: vec!["admin".into()],
            teams: vec![],
            ..Person::default()
        }
    }

    fn block(person: &Person) -> IdentityHeaders {
        IdentityHeaders::of(
            &WorkspaceId::parse("acme").unwrap(),
            &UserId::parse("01890000-0000-7000-8000-000000000001").unwrap(),
            person,
        )
        .unwrap()
    }

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
        }
        headers
    }

    #[test]
    fn g3_every_identity_header_is_always_there() {
        let empty = block(&Person::default());

        let names: Vec<_> = empty.iter(None).map(|(name, _)| name.clone()).collect();
        assert_eq!(names, NAMES);
        let headers: HeaderMap = empty.iter(None).map(|(name, value)| (name.clone(), value.clone())).collect();
        for name in [EMAIL, GROUPS, PREFERRED_USERNAME, ROLES, TEAMS, JWT] {
            assert_eq!(headers[&name], "", "{name}");
        }
    }

    #[test]
    fn a_person_reads_as_these_bytes() {
        let jwt = HeaderValue::from_static("e.y.J");

        let written: Vec<String> =
            block(&person()).iter(Some(&jwt)).map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();

        assert_eq!(
            written,
            [
                "x-auth-request-user: 01890000-0000-7000-8000-000000000001",
                "x-auth-request-email: anna@acme.example",
                "x-auth-request-groups: Staff,CN=Admins%2COU=G",
                "x-auth-request-preferred-username: anna",
                "x-lockstep-workspace: acme",
                "x-lockstep-user-id: 01890000-0000-7000-8000-000000000001",
                "x-lockstep-roles: admin",
                "x-lockstep-teams: ",
                "x-lockstep-jwt: e.y.J",
            ]
        );
    }

    #[test]
    fn values_cannot_break_out_of_their_line() {
        for (value, encoded) in [
            ("a\r\nX-Lockstep-Roles: admin", "a%0D%0AX-Lockstep-Roles: admin"),
            ("Bj\u{f6}rn", "Bj%C3%B6rn"),
            ("100%", "100%25"),
            (" padded ", "%20padded%20"),
            (" ", "%20"),
            ("a b", "a b"),
            ("\u{0}\u{7f}\u{1b}[31m", "%00%7F%1B[31m"),
            ("", ""),
        ] {
            assert_eq!(encode(value), encoded, "{value:?}");
        }
    }

    #[test]
    fn g51_more_groups_than_headers_carry_are_refused_and_never_cut() {
        let many = Person { groups: (0..10_000).map(|n| format!("group-{n}")).collect(), ..person() };

        let refused = IdentityHeaders::of(&WorkspaceId::parse("acme").unwrap(), &UserId::new(), &many);

        assert!(refused.is_err_and(|error| error.size > BLOCK_LIMIT));
    }

    #[test]
    fn g1_g14_p12_no_spelling_of_a_reserved_name_survives() {
        const SEPARATORS: [&str; 12] = ["-", "_", ".", "+", "~", "!", "#", "$", "'", "*", "^", "|"];
        let own = NAMES;
        let reserved = own.iter().map(HeaderName::as_str).chain([
            "forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-user",
            "x-forwarded-anything",
            "x-original-url",
            "x-original-uri",
            "x-rewrite-url",
            "x-http-method-override",
            "x-real-ip",
            "x-lockstep-invented-later",
        ]);
        for name in reserved {
            for separator in SEPARATORS {
                for spelling in
                    [name.replace('-', separator), name.to_uppercase().replace('-', separator), name.replacen('-', separator, 1)]
                {
                    let mut headers = map(&[(&spelling, "admin"), (&spelling, "again"), ("accept", "x")]);
                    for_upstream(&mut headers, None);
                    let left: Vec<_> = headers.iter().filter(|(_, value)| *value == "admin" || *value == "again").collect();
                    assert!(left.is_empty(), "{spelling}: {left:?}");
                    assert_eq!(headers["accept"], "x");
                }
            }
        }
    }

    #[test]
    fn names_that_only_resemble_ours_are_left_alone() {
        let names =
            ["authorization", "x-lockstepper", "x-auth-token", "x-request-id", "x-originality", "user-agent", "x-forwarding"];
        let mut headers = map(&names.map(|name| (name, "v")));

        for_upstream(&mut headers, None);

        for name in names {
            assert_eq!(headers[name], "v", "{name}");
        }
    }

    #[test]
    fn g4_a_connection_header_takes_no_identity_away() {
        let mut headers = map(&[
            ("connection", "close, X-Auth-Request-User, x-lockstep-roles"),
            ("connection", "x-custom, host"),
            ("x-custom", "hop"),
            ("host", "app.example"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("keep-alive", "1"),
            ("proxy-authorization", "x"),
            ("proxy-connection", "x"),
            ("trailer", "X-Lockstep-Roles"),
        ]);
        let identity = block(&person());

        for_upstream(&mut headers, Some((&identity, None)));

        assert_eq!(headers[USER], "01890000-0000-7000-8000-000000000001");
        assert_eq!(headers[ROLES], "admin");
        assert_eq!(headers["host"], "app.example");
        assert_eq!(headers.len(), NAMES.len() + 1, "{headers:?}");
    }

    #[test]
    fn g3_without_a_person_the_headers_are_there_and_empty() {
        let mut headers = map(&[("x-auth-request-user", "admin")]);

        for_upstream(&mut headers, None);

        for name in NAMES {
            assert_eq!(headers.get_all(&name).iter().collect::<Vec<_>>(), [""], "{name}");
        }
    }

    #[test]
    fn r34_the_upstream_sees_its_own_cookies_alone() {
        let mut headers = map(&[
            ("cookie", "theme=dark; __Host-lockstep=secret; id=1"),
            ("cookie", "__Host-lockstep-flow-abc=secret"),
            ("cookie", " __host-lockstep=secret;;x=y"),
        ]);

        for_upstream(&mut headers, None);
        assert_eq!(headers.get_all("cookie").iter().collect::<Vec<_>>(), ["theme=dark; id=1; x=y"]);

        let mut only_ours = map(&[("cookie", "__Host-lockstep=secret")]);
        for_upstream(&mut only_ours, None);
        assert!(!only_ours.contains_key("cookie"));
    }

    #[test]
    fn an_upstream_cannot_set_our_cookies() {
        let mut headers = map(&[
            ("set-cookie", "__Host-lockstep=fixed; Path=/"),
            ("set-cookie", "id=1; HttpOnly"),
            ("set-cookie", " __HOST-LOCKSTEP-flow-x=1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-type", "text/html"),
        ]);

        for_client(&mut headers);

        assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["id=1; HttpOnly"]);
        assert_eq!(headers.len(), 2);
    }
}
