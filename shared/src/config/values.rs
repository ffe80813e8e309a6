//! The values that settings have, each parsed once from its text and trusted from then on.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use ipnet::IpNet;
use url::{Host, Url};

use crate::model::{access::AccessName, attribute::AttributePath};

/// What can be read from the text of a setting. The error says what was expected.
pub(super) trait Setting: Sized {
    /// Parses the text.
    fn parse(text: &str) -> Result<Self, &'static str>;
}

impl Setting for String {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if text.chars().any(char::is_control) { Err("control characters are not allowed") } else { Ok(text.to_owned()) }
    }
}

impl Setting for SocketAddr {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "expected an IP address and a port, such as \"127.0.0.1:8080\" or \"[::]:8080\"")
    }
}

impl Setting for NonZeroU32 {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "expected a whole number of at least 1")
    }
}

impl Setting for NonZeroUsize {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "expected a whole number of at least 1")
    }
}

impl Setting for IpNet {
    fn parse(text: &str) -> Result<Self, &'static str> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::from(address));
        }
        let network: Self = text.parse().map_err(|_| "expected an address or a network, such as \"10.0.0.0/8\"")?;
        // `10.1.2.3/8` is more often a slip than a wish, and here a slip trusts 16 million addresses.
        if network.addr() == network.network() {
            Ok(network)
        } else {
            Err("the address has bits outside of its network; write the network's first address, or the address alone")
        }
    }
}

impl Setting for Url {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| "expected a URL, such as \"http://127.0.0.1:3000\"")?;
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err("expected a URL that starts with http:// or https://");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL here must not carry a user name or password");
        }
        Ok(url)
    }
}

impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, &'static str> {
        parse_duration(text).ok_or("expected a whole number and a unit of ms, s, m, h or d, such as \"10s\", \"12h\" or \"365d\"")
    }
}

/// Parses a duration such as `500ms`, `10s`, `5m`, `12h` or `365d`; `None` for anything else and for what overflows.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = match unit {
        "ms" => return Some(Duration::from_millis(number)),
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    number.checked_mul(seconds).map(Duration::from_secs)
}

/// Writes a duration as it is written in the configuration.
pub(super) fn format_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() != 0 {
        return format!("{}ms", duration.as_millis());
    }
    match seconds {
        0 => "0s".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3_600) => format!("{}h", seconds / 3_600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// A host name or address as it stands in a URL: lower case, no port, an IPv6 address without brackets.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HostName(String);

impl HostName {
    /// The host as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the host of a URL or of a request, in the form that `url` gives hosts.
    #[must_use]
    pub fn is(&self, host: &Host<&str>) -> bool {
        match host {
            Host::Domain(name) => self.0.eq_ignore_ascii_case(name),
            Host::Ipv4(address) => self.0 == address.to_string(),
            Host::Ipv6(address) => self.0 == address.to_string(),
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Setting for HostName {
    fn parse(text: &str) -> Result<Self, &'static str> {
        const EXPECTED: &str = "expected a host name without scheme, port and path, such as \"app.example.com\"";
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self(address.to_string()));
        }
        match Host::parse(text) {
            Ok(Host::Domain(name)) if !name.contains(['*', ':']) => Ok(Self(name)),
            Ok(Host::Ipv6(address)) => Ok(Self(address.to_string())),
            Ok(Host::Domain(_) | Host::Ipv4(_)) | Err(_) => Err(EXPECTED),
        }
    }
}

/// The URL under which browsers and providers reach a program: a scheme, a host and perhaps a port, nothing else; https
/// unless the host is this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(Url);

impl PublicUrl {
    /// Parses and checks a public URL; the error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        <Self as Setting>::parse(text)
    }

    /// The URL itself, with `/` as its path.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The origin without a slash at its end: `https://login.example.com`.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.0.as_str().trim_end_matches('/')
    }

    /// The host without its port.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Whether browsers reach the program by https.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The public URL with this path, which starts with `/`.
    #[must_use]
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin())
    }
}

impl Setting for PublicUrl {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let url = <Url as Setting>::parse(text)?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(
                "a public URL has no path and no query: write scheme and host alone, such as \"https://login.example.com\"",
            );
        }
        if url.scheme() != "https" && !url.host().is_some_and(|host| is_this_machine(&host)) {
            return Err("a public URL must start with https:// (http:// is for localhost alone)");
        }
        Ok(Self(url))
    }
}

fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// The address of a name server: an IP address, with port 53 unless it says another.
pub(super) struct NameServer(pub(super) SocketAddr);

impl Setting for NameServer {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse::<IpAddr>()
            .map(|address| SocketAddr::new(address, 53))
            .or_else(|_| text.parse::<SocketAddr>())
            .map(Self)
            .map_err(|_| "expected the IP address of a name server, such as \"9.9.9.9\" or \"127.0.0.1:5353\"")
    }
}

impl Setting for AccessName {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "expected the name of a role: a letter or digit, then letters, digits, spaces and ._:/-")
    }
}

impl Setting for AttributePath {
    fn parse(text: &str) -> Result<Self, &'static str> {
        text.parse().map_err(|_| "expected an attribute, such as \"userType\", \"name.givenName\" or \"urn:…:folders\"")
    }
}

impl Setting for crate::id::WorkspaceId {
    fn parse(text: &str) -> Result<Self, &'static str> {
        Self::parse(text).map_err(|_| "expected a workspace id: 1 to 63 characters of a-z, 0-9 and '-'")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_whole_number_and_a_unit() {
        for (text, seconds) in [("10s", 10), ("5m", 300), ("12h", 43_200), ("365d", 31_536_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "10", "s", "10 s", "1.5h", "-1s", "+1s", "1h30m", "10S", "99999999999999999999s", "999999999999999999d"]
        {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["500ms", "10s", "90s", "5m", "12h", "365d", "0s"] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Some(text));
        }
    }

    #[test]
    fn a_public_url_is_an_origin_and_https_unless_local() {
        for good in [
            "https://login.example.com",
            "https://login.example.com/",
            "https://login.example.com:8443",
            "http://localhost:8080",
            "http://acme.localhost",
            "http://127.0.0.1:8080",
            "http://[::1]:8080",
        ] {
            assert!(PublicUrl::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "login.example.com",
            "http://login.example.com",
            "http://localhost.evil.com",
            "http://notlocalhost",
            "https://login.example.com/sso",
            "https://login.example.com?x",
            "https://login.example.com/?",
            "https://login.example.com/#",
            "https://user@login.example.com",
            "https://user:pw@login.example.com",
            "ftp://login.example.com",
            "https://",
        ] {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_public_url_joins_paths_without_a_double_slash() {
        let url = PublicUrl::parse("https://login.example.com/").unwrap();

        assert_eq!(url.at("/callback/acme"), "https://login.example.com/callback/acme");
        assert_eq!(url.to_string(), "https://login.example.com");
    }

    #[test]
    fn a_network_with_stray_bits_is_refused() {
        assert!(<IpNet as Setting>::parse("10.0.0.0/8").is_ok());
        assert!(<IpNet as Setting>::parse("10.1.2.3").is_ok());
        assert!(<IpNet as Setting>::parse("::1").is_ok());
        for bad in ["10.1.2.3/8", "10.0.0.0/33", "all", "*"] {
            assert!(<IpNet as Setting>::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_has_no_port_scheme_or_wildcard() {
        for (text, host) in [("App.Example.com", "app.example.com"), ("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("[::1]", "::1")]
        {
            assert_eq!(<HostName as Setting>::parse(text).unwrap().as_str(), host);
        }
        for bad in ["app.example.com:80", "https://app", "app/x", "*.example.com", "a b", "0x7f.1"] {
            assert!(<HostName as Setting>::parse(bad).is_err(), "{bad}");
        }
    }
}
