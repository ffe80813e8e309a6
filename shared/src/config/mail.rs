//! `[mail]`: the server through which notices leave, and who they come from. What would send a password or a notice in the
//! clear to another machine is refused, unless `[outbound] allow_http_hosts` names that machine.

use std::{fmt, net::IpAddr};

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use super::{outbound::OutboundConfig, reader::Section};
use crate::{model::text::EmailAddress, percent};

/// `[mail]`.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The SMTP server.
    pub server: SmtpServer,
    /// Who notices come from.
    pub from: Sender,
}

/// An SMTP server that takes our mail.
#[derive(Debug, Clone)]
pub struct SmtpServer {
    /// Its name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: SmtpSecurity,
    /// By what we are known there.
    pub login: Option<SmtpLogin>,
}

/// How a connection to an SMTP server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpSecurity {
    /// TLS from the first byte: `smtps://`, port 465.
    Tls,
    /// TLS by STARTTLS, and nothing without it: `smtp://…?tls=required`, port 587.
    StartTls,
    /// Not at all: `smtp://`, port 25.
    Plain,
}

/// A user of an SMTP server.
#[derive(Debug, Clone)]
pub struct SmtpLogin {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: SecretString,
}

/// Who mail comes from: `login@example.com`, or `Lockstep <login@example.com>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The name that people see.
    pub name: Option<String>,
    /// The address.
    pub address: String,
}

impl fmt::Display for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Sender {
    /// The domain of the address.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.address.rsplit('@').next().unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let (name, address) = match text.trim().strip_suffix('>').and_then(|rest| rest.split_once('<')) {
            Some((name, address)) => (Some(name.trim().trim_matches('"').to_owned()).filter(|name| !name.is_empty()), address),
            None => (None, text.trim()),
        };
        let is_fit = address.is_ascii() && EmailAddress::parse(address).is_some();
        is_fit.then(|| Self { name, address: address.to_owned() })
    }
}

impl Mail {
    pub(super) fn read(mut section: Section<'_>, outbound: &OutboundConfig) -> Option<Self> {
        let is_given = section.is_given();
        let smtp_url = section.secret("smtp_url", "smtp_url_file");
        let from = section.get_with_origin::<String>("from");
        if is_given && !section.has_problems() {
            if smtp_url.is_none() {
                section.missing("mail.smtp_url", "give the server, such as \"smtps://mail.example.com\", or leave [mail] out");
            }
            if from.is_none() {
                section.missing("mail.from", "give the sender's address, such as \"login@example.com\"");
            }
        }
        let server = smtp_url.and_then(|(url, origin)| match server_of(url.expose_secret(), outbound) {
            Ok(server) => Some(server),
            Err(reason) => {
                section.invalid("smtp_url", origin, reason.to_owned());
                None
            }
        });
        let from = from.and_then(|(from, origin)| {
            let sender = Sender::parse(&from);
            if sender.is_none() {
                let reason = "must be a mail address, such as \"login@example.com\" or \"Lockstep <login@example.com>\"";
                section.invalid("from", origin, reason.to_owned());
            }
            sender
        });
        section.finish();
        Some(Self { server: server?, from: from? })
    }
}

fn server_of(url: &str, outbound: &OutboundConfig) -> Result<SmtpServer, &'static str> {
    const EXPECTED: &str = "is not an SMTP URL; expected \"smtps://user:password@mail.example.com\" or, with STARTTLS, \
                            \"smtp://user:password@mail.example.com?tls=required\"";
    let url = Url::parse(url).map_err(|_| EXPECTED)?;
    let host = url.host().ok_or(EXPECTED)?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(EXPECTED);
    }
    let security = match (url.scheme(), url.query()) {
        ("smtps", None) => SmtpSecurity::Tls,
        ("smtp", Some("tls=required")) => SmtpSecurity::StartTls,
        ("smtp", None) if may_be_plain(&url, outbound) => SmtpSecurity::Plain,
        ("smtp", None) => {
            return Err(
                "would send mail in the clear: add ?tls=required, use smtps://, or list the host in outbound.allow_http_hosts",
            );
        }
        ("smtp", Some("tls=opportunistic")) => {
            return Err("would send mail in the clear when somebody on the way says so: use ?tls=required");
        }
        (_, _) => return Err(EXPECTED),
    };
    let login = match (url.username(), url.password()) {
        ("", None) => None,
        ("", Some(_)) | (_, None) => return Err("needs both a user name and a password, or neither"),
        (user, Some(password)) => {
            let user = decoded(user).ok_or(EXPECTED)?;
            Some(SmtpLogin { user, password: decoded(password).ok_or(EXPECTED)?.into() })
        }
    };
    let default_port = match security {
        SmtpSecurity::Tls => 465,
        SmtpSecurity::StartTls => 587,
        SmtpSecurity::Plain => 25,
    };
    let host = host.to_string().trim_matches(['[', ']']).to_owned();
    Ok(SmtpServer { host, port: url.port().unwrap_or(default_port), security, login })
}

/// The scheme is not one that `url` knows, so addresses come as text.
fn may_be_plain(url: &Url, outbound: &OutboundConfig) -> bool {
    let text = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = match text.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => text == "localhost" || text.ends_with(".localhost"),
    };
    is_loopback || outbound.allow_http_hosts.iter().any(|allowed| allowed.is(&Host::Domain(text)))
}

/// A user name or password without its percent-encoding; `None` where it is badly encoded, or would break a line of SMTP.
fn decoded(text: &str) -> Option<String> {
    percent::strictly(text).filter(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(url: &str) -> Result<SmtpServer, &'static str> {
        let relay = <super::super::HostName as super::super::values::Setting>::parse("relay.internal").unwrap();
        server_of(url, &OutboundConfig { allow_http_hosts: vec![relay], ..OutboundConfig::default() })
    }

    #[test]
    fn a_url_says_where_how_and_as_whom() {
        for (url, shown, security) in [
            ("smtps://mail.example.com", "mail.example.com:465", SmtpSecurity::Tls),
            ("smtps://mail.example.com:2465/", "mail.example.com:2465", SmtpSecurity::Tls),
            ("smtp://mail.example.com?tls=required", "mail.example.com:587", SmtpSecurity::StartTls),
            ("smtp://localhost", "localhost:25", SmtpSecurity::Plain),
            ("smtp://127.0.0.1:2525", "127.0.0.1:2525", SmtpSecurity::Plain),
            ("smtp://[::1]:2525", "::1:2525", SmtpSecurity::Plain),
            ("smtp://Relay.internal", "Relay.internal:25", SmtpSecurity::Plain),
        ] {
            let server = server(url).unwrap();
            assert_eq!((server.to_string().as_str(), server.security), (shown, security), "{url}");
            assert!(server.login.is_none());
        }
        let login = server("smtps://login%40example.com:p%C3%A4ss%3A%2F@mail.example.com").unwrap().login.unwrap();
        assert_eq!((login.user.as_str(), login.password.expose_secret()), ("login@example.com", "p\u{e4}ss:/"));
    }

    #[test]
    fn what_is_no_server_or_would_go_in_the_clear_is_refused() {
        for (url, reason) in [
            ("imap://mail.example.com", "is not an SMTP URL"),
            ("smtp://", "is not an SMTP URL"),
            ("smtps://mail.example.com/queue", "is not an SMTP URL"),
            ("smtps://mail.example.com?tls=none", "is not an SMTP URL"),
            ("smtp://mail.example.com", "in the clear"),
            ("smtp://10.0.0.5", "in the clear"),
            ("smtp://mail.example.com?tls=opportunistic", "in the clear"),
            ("smtps://user@mail.example.com", "both a user name and a password"),
            ("smtps://:secret@mail.example.com", "both a user name and a password"),
            ("smtps://us%0d%0aer:secret@mail.example.com", "is not an SMTP URL"),
            ("smtps://us%zzer:secret@mail.example.com", "is not an SMTP URL"),
            ("smtps://user:100%+5@mail.example.com", "is not an SMTP URL"),
        ] {
            let refused = server(url).expect_err(url);
            assert!(refused.contains(reason), "{url}: {refused}");
        }
    }

    #[test]
    fn a_sender_has_an_address_and_perhaps_a_name() {
        for (text, name, address) in [
            ("login@example.com", None, "login@example.com"),
            ("Lockstep <login@example.com>", Some("Lockstep"), "login@example.com"),
            ("\"Acme, Logins\" <login@example.com>", Some("Acme, Logins"), "login@example.com"),
            ("<login@example.com>", None, "login@example.com"),
        ] {
            let sender = Sender { name: name.map(str::to_owned), address: address.to_owned() };
            assert_eq!((sender.domain(), Sender::parse(text)), ("example.com", Some(sender.clone())), "{text}");
        }
        for text in
            ["", "login", "login@localhost", "a@b.example, c@d.example", "Lockstep <login@example.com", "\u{e4}@example.com"]
        {
            assert_eq!(Sender::parse(text), None, "{text}");
        }
    }
}
