//! Who the client is and under which name it called, as told by the proxies in front. Only the word of a trusted proxy
//! counts, and only in one form: `X-Forwarded-For`, `-Proto`, `-Host` and `-Uri`. The `Forwarded` header (RFC 7239),
//! `X-Forwarded-Port` and `X-Forwarded-Prefix` are never read, so no two headers can disagree.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{
    HeaderMap, StatusCode, Uri,
    header::{HOST, HeaderName},
    uri::{Authority, PathAndQuery},
};
use ipnet::IpNet;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// More proxies than this in a row are taken for an attack.
const MOST_HOPS: usize = 16;

/// The networks whose forwarded headers are believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(Arc<[IpNet]>);

impl TrustedProxies {
    /// Trusts these networks, which may be none.
    #[must_use]
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Whether the address is a trusted proxy's.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// The client's address, or why it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddress {
    /// Seen by us or told by a trusted proxy.
    Known(IpAddr),
    /// A trusted proxy (this one) handed on something that is no address.
    Unknown {
        /// The nearest proxy, all that is certain.
        proxy: IpAddr,
    },
}

impl ClientAddress {
    /// The address for rules that let somebody in: `None`, hence no, where it is not certain (CVE-2024-47070).
    #[must_use]
    pub fn for_rules(self) -> Option<IpAddr> {
        match self {
            Self::Known(address) => Some(address),
            Self::Unknown { .. } => None,
        }
    }

    /// The address for rate limits: one that the client cannot choose, though it may share it with others.
    #[must_use]
    pub fn for_limits(self) -> IpAddr {
        match self {
            Self::Known(address) | Self::Unknown { proxy: address } => address,
        }
    }
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(address) => write!(f, "{address}"),
            Self::Unknown { proxy } => write!(f, "unknown, behind {proxy}"),
        }
    }
}

/// How the client spoke to the first proxy, or to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Without TLS.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// The scheme as URLs have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The client of a request and what it asked for. Also an extension of each request that passed `identify`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: ClientAddress,
    /// How it spoke.
    pub scheme: Scheme,
    /// The host that it called, in lower case, with the port if it gave one.
    pub host: Authority,
    /// The path that it asked for where a proxy only asks us about it (`X-Forwarded-Uri`).
    pub asked_for: Option<PathAndQuery>,
    /// Whether a trusted proxy stands between; if not, no header about the original request may be read.
    pub is_proxied: bool,
}

/// Why the head of a request cannot be understood in one way alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// A header that may be there once is there twice.
    #[error("the header {0} is there more than once")]
    Repeated(&'static str),
    /// A header does not have the form that it must have.
    #[error("the header {0} is malformed")]
    Malformed(&'static str),
    /// The request line and the Host header name different hosts.
    #[error("the request names two hosts")]
    TwoHosts,
    /// The request names no host.
    #[error("the request names no host")]
    NoHost,
}

impl IntoResponse for Ambiguous {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, format!("{self}\n")).into_response()
    }
}

/// Finds the client of a request that came from `peer`.
pub fn client_of(peer: IpAddr, uri: &Uri, headers: &HeaderMap, trusted: &TrustedProxies) -> Result<Client, Ambiguous> {
    let called = host_called(uri, headers)?;
    // Two of these are an attack on whoever reads the other one, whether we believe the sender or not.
    let forwarded_host = only(headers, &FORWARDED_HOST, "X-Forwarded-Host")?;
    if !trusted.trusts(peer) {
        let address = ClientAddress::Known(peer.to_canonical());
        return Ok(Client { address, scheme: Scheme::Http, host: called, asked_for: None, is_proxied: false });
    }
    Ok(Client {
        address: address_told(peer, headers, trusted),
        scheme: scheme_told(headers)?,
        host: forwarded_host.map(|text| authority(text, "X-Forwarded-Host")).transpose()?.unwrap_or(called),
        asked_for: only(headers, &FORWARDED_URI, "X-Forwarded-Uri")?.map(path_told).transpose()?,
        is_proxied: true,
    })
}

/// A middleware that puts the `Client` into each request's extensions and answers 400 where it is ambiguous.
pub async fn identify(
    State(trusted): State<TrustedProxies>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
    next: Next,
) -> Response {
    match client_of(peer.ip(), request.uri(), request.headers(), &trusted) {
        Ok(client) => {
            request.extensions_mut().insert(client);
            next.run(request).await
        }
        Err(ambiguous) => {
            tracing::info!(reason = %ambiguous, "refused a request with an ambiguous head: {ambiguous}");
            ambiguous.into_response()
        }
    }
}

/// Walks from the nearest hop outwards: each trusted hop vouches for the one before it, the first untrusted is the client.
fn address_told(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> ClientAddress {
    let mut nearest = peer.to_canonical();
    let lines: Vec<_> = headers.get_all(FOR).iter().collect();
    let hops = lines.iter().rev().flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for (count, hop) in hops.enumerate() {
        let Some(address) = parse_hop(hop).filter(|_| count < MOST_HOPS) else {
            return ClientAddress::Unknown { proxy: peer.to_canonical() };
        };
        nearest = address;
        if !trusted.trusts(address) {
            break;
        }
    }
    ClientAddress::Known(nearest)
}

/// An address, or one with a port as some load balancers write it: `192.0.2.1:4711`, `[2001:db8::1]:4711`.
fn parse_hop(hop: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(hop).ok()?.trim_matches([' ', '\t']);
    let unbracketed = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = unbracketed.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

fn scheme_told(headers: &HeaderMap) -> Result<Scheme, Ambiguous> {
    const NAME: &str = "X-Forwarded-Proto";
    match only(headers, &PROTO, NAME)? {
        None => Ok(Scheme::Http),
        Some(text) if text.eq_ignore_ascii_case("https") => Ok(Scheme::Https),
        Some(text) if text.eq_ignore_ascii_case("http") => Ok(Scheme::Http),
        // `https, http` has two readings, `javascript` none.
        Some(_) => Err(Ambiguous::Malformed(NAME)),
    }
}

fn path_told(text: &str) -> Result<PathAndQuery, Ambiguous> {
    const NAME: &str = "X-Forwarded-Uri";
    if !text.starts_with('/') || text.contains('#') {
        return Err(Ambiguous::Malformed(NAME));
    }
    text.parse().map_err(|_| Ambiguous::Malformed(NAME))
}

/// RFC 9112, section 3.2: exactly one Host; RFC 9113, section 8.3.1: `:authority` takes its place and must not differ.
fn host_called(uri: &Uri, headers: &HeaderMap) -> Result<Authority, Ambiguous> {
    let header = only(headers, &HOST, "Host")?.map(|text| authority(text, "Host")).transpose()?;
    let line = uri.authority().map(|named| authority(named.as_str(), "Host")).transpose()?;
    match (line, header) {
        (Some(line), Some(header)) if line != header => Err(Ambiguous::TwoHosts),
        (Some(host), _) | (None, Some(host)) => Ok(host),
        (None, None) => Err(Ambiguous::NoHost),
    }
}

/// A host and perhaps a port; nothing that another reader might take for a user name, a path or a second host.
fn authority(text: &str, name: &'static str) -> Result<Authority, Ambiguous> {
    let is_plain = !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b':' | b'[' | b']'));
    let parsed: Option<Authority> = is_plain.then(|| text.to_ascii_lowercase().parse().ok()).flatten();
    // `Authority` takes `host:` and `host:99999` as they are; a port that is no number has no one reading.
    parsed
        .filter(|authority| !authority.host().is_empty())
        .filter(|authority| authority.as_str() == authority.host() || authority.port_u16().is_some())
        .ok_or(Ambiguous::Malformed(name))
}

fn only<'a>(headers: &'a HeaderMap, header: &HeaderName, name: &'static str) -> Result<Option<&'a str>, Ambiguous> {
    let mut values = headers.get_all(header).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Ambiguous::Repeated(name));
    }
    first.map(|value| value.to_str().map_err(|_| Ambiguous::Malformed(name))).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";
    const STRANGER: &str = "198.51.100.7";

    fn ask(peer: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Client, Ambiguous> {
        let trusted = TrustedProxies::new(&["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<http::HeaderValue>().unwrap()))
            .collect();
        client_of(peer.parse().unwrap(), &uri.parse().unwrap(), &map, &trusted)
    }

    fn from(peer: &str, headers: &[(&str, &str)]) -> Result<Client, Ambiguous> {
        ask(peer, "/x", &[&[("host", "app.example.com")], headers].concat())
    }

    fn known(address: &str) -> ClientAddress {
        ClientAddress::Known(address.parse().unwrap())
    }

    const SPOOF: [(&str, &str); 8] = [
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-host", "evil.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-uri", "/public"),
        ("x-forwarded-port", "1"),
        ("x-forwarded-prefix", "/x"),
        ("forwarded", "for=127.0.0.1;host=\"evil.com\";proto=https"),
        ("x-real-ip", "127.0.0.1"),
    ];

    #[test]
    fn g5_g6_g10_headers_of_an_untrusted_peer_change_nothing() {
        let plain = from(STRANGER, &[]).unwrap();

        assert_eq!(from(STRANGER, &SPOOF).unwrap(), plain);
        assert_eq!(plain.address, known(STRANGER));
        assert_eq!((plain.scheme, plain.host.as_str(), plain.asked_for), (Scheme::Http, "app.example.com", None));
        assert!(!plain.is_proxied);
    }

    #[test]
    fn g5_without_trusted_proxies_nobody_is_believed() {
        let headers: HeaderMap = [(HOST, "app.example.com"), (FOR, "127.0.0.1")]
            .into_iter()
            .map(|(name, value)| (name, http::HeaderValue::from_static(value)))
            .collect();

        let client = client_of(PROXY.parse().unwrap(), &"/".parse().unwrap(), &headers, &TrustedProxies::default()).unwrap();

        assert_eq!(client.address, known(PROXY));
    }

    #[test]
    fn a_trusted_proxy_is_believed() {
        let client = from(PROXY, &SPOOF).unwrap();

        assert_eq!(client.address, known("127.0.0.1"));
        assert_eq!((client.scheme, client.host.as_str()), (Scheme::Https, "evil.com"));
        assert_eq!(client.asked_for.unwrap().as_str(), "/public");
        assert!(client.is_proxied);
    }

    #[test]
    fn g7_the_scheme_is_http_or_https_and_one_of_them() {
        for (text, scheme) in [("http", Scheme::Http), ("HTTPS", Scheme::Https)] {
            assert_eq!(from(PROXY, &[("x-forwarded-proto", text)]).unwrap().scheme, scheme);
        }
        for text in ["javascript", "https, http", "https,https", "", " ", "wss", "https:"] {
            assert_eq!(from(PROXY, &[("x-forwarded-proto", text)]), Err(Ambiguous::Malformed("X-Forwarded-Proto")), "{text}");
        }
        let twice = from(PROXY, &[("x-forwarded-proto", "https"), ("x-forwarded-proto", "http")]);
        assert_eq!(twice, Err(Ambiguous::Repeated("X-Forwarded-Proto")));
    }

    #[test]
    fn g7_g8_port_and_prefix_are_never_read() {
        let plain = from(PROXY, &[("x-forwarded-proto", "https")]).unwrap();

        let with = from(PROXY, &[("x-forwarded-proto", "https"), ("x-forwarded-port", "80"), ("x-forwarded-prefix", "/x")]);

        assert_eq!(with.unwrap(), plain);
    }

    #[test]
    fn the_client_is_the_first_untrusted_hop_from_the_right() {
        for (list, client) in [
            ("203.0.113.9", "203.0.113.9"),
            ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
            ("127.0.0.1, 203.0.113.9, 10.1.1.1,10.2.2.2", "203.0.113.9"),
            ("garbage, 203.0.113.9", "203.0.113.9"),
            ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("203.0.113.9, ::ffff:10.2.2.2", "203.0.113.9"),
            ("203.0.113.9, fd00::1", "203.0.113.9"),
        ] {
            assert_eq!(from(PROXY, &[("x-forwarded-for", list)]).unwrap().address, known(client), "{list}");
        }
        assert_eq!(from("::ffff:10.0.0.1", &[("x-forwarded-for", "203.0.113.9")]).unwrap().address, known("203.0.113.9"));
        assert_eq!(from(PROXY, &[]).unwrap().address, known(PROXY));
    }

    #[test]
    fn several_forwarded_for_lines_are_one_list() {
        let client = from(PROXY, &[("x-forwarded-for", "127.0.0.1, 203.0.113.9"), ("x-forwarded-for", "10.2.2.2")]).unwrap();

        assert_eq!(client.address, known("203.0.113.9"));
    }

    #[test]
    fn g9_what_is_no_address_is_not_believed_and_no_rule_lets_it_in() {
        let long = "10.9.9.9, ".repeat(1000) + "10.9.9.9";
        for list in [
            "a",
            "::ffff:999.1.1.1",
            "",
            ",",
            "203.0.113.9,",
            "1.2.3",
            "01.2.3.4",
            "1.2.3.4:99999",
            "unknown",
            "_hidden",
            "a, 10.2.2.2",
            &long,
        ] {
            let address = from(PROXY, &[("x-forwarded-for", list)]).unwrap().address;

            assert_eq!(address, ClientAddress::Unknown { proxy: PROXY.parse().unwrap() }, "{list:.40}");
            assert_eq!(address.for_rules(), None);
            assert_eq!(address.for_limits().to_string(), PROXY);
        }
    }

    #[test]
    fn g13_a_repeated_host_is_refused_whoever_sends_it() {
        for peer in [PROXY, STRANGER] {
            let hosts = ask(peer, "/", &[("host", "a.example.com"), ("host", "a.example.com")]);
            assert_eq!(hosts, Err(Ambiguous::Repeated("Host")));
            let forwarded = from(peer, &[("x-forwarded-host", "a"), ("x-forwarded-host", "b")]);
            assert_eq!(forwarded, Err(Ambiguous::Repeated("X-Forwarded-Host")));
        }
    }

    #[test]
    fn g13_a_host_has_one_reading() {
        for host in [
            "a.com, b.com",
            "user@a.com",
            "a.com/x",
            "",
            "a.com:",
            "a.com:x",
            "a.com:99999",
            "a com",
            "a.com#",
            "a%00b",
            "é.com",
            "[::1",
            ":80",
        ] {
            let called = ask(STRANGER, "/", &[("host", host)]);
            assert_eq!(called, Err(Ambiguous::Malformed("Host")), "{host}");
        }
        for (host, read) in
            [("A.com", "a.com"), ("a.com:8443", "a.com:8443"), ("[::1]:80", "[::1]:80"), ("127.0.0.1", "127.0.0.1")]
        {
            assert_eq!(ask(STRANGER, "/", &[("host", host)]).unwrap().host.as_str(), read);
        }
        assert_eq!(ask(STRANGER, "/", &[]), Err(Ambiguous::NoHost));
        assert_eq!(ask(STRANGER, "http://b.com/", &[("host", "a.com")]), Err(Ambiguous::TwoHosts));
        assert_eq!(ask(STRANGER, "http://a.com/", &[("host", "A.com")]).unwrap().host.as_str(), "a.com");
        assert_eq!(ask(STRANGER, "http://a.com/", &[]).unwrap().host.as_str(), "a.com");
    }

    #[test]
    fn a_forwarded_path_is_a_path() {
        for bad in ["admin", "https://evil.com/", "/a b", "/a#b", "*", ""] {
            assert_eq!(from(PROXY, &[("x-forwarded-uri", bad)]), Err(Ambiguous::Malformed("X-Forwarded-Uri")), "{bad}");
        }
        let twice = from(PROXY, &[("x-forwarded-uri", "/a"), ("x-forwarded-uri", "/b")]);
        assert_eq!(twice, Err(Ambiguous::Repeated("X-Forwarded-Uri")));
    }
}
