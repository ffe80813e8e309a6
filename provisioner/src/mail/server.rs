//! The mail server: one connection a message, each step within its time. What is refused before the message is offered says
//! something about our settings and may be mended; only what is said of the message itself is final.

use std::{io, path::PathBuf, time::Duration};

use lettre::{
    Message,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, Tls, TlsParameters},
        extension::ClientId,
        response::Response,
    },
};
use lockstep_shared::{
    check::chain,
    config::{Mail, OutboundConfig, SmtpSecurity, SmtpServer},
};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

/// How long connecting may take, to each address of the server.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to be let in, TLS and password included.
const GREETED_WITHIN: Duration = Duration::from_secs(25);
/// How long it may take until the server has the message. RFC 5321, section 4.5.3.2, allows more, for servers that are no relay.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// How much of an answer is kept.
const LONGEST_ANSWER: usize = 300;

/// Why no mail can be sent at all.
#[derive(Debug, thiserror::Error)]
pub enum MailSetupError {
    /// `outbound.ca_file` cannot be read.
    #[error("cannot read outbound.ca_file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// TLS cannot be set up.
    #[error("cannot set up TLS for mail")]
    Tls(#[source] SmtpError),
}

/// How far a conversation with the server came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Connecting, TLS from the first byte included, to the end of the greeting.
    Connect,
    /// STARTTLS.
    StartTls,
    /// Signing in.
    Login,
    /// The message itself.
    Message,
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The server said or did something else than it should.
    #[error("{}", told(.source))]
    Smtp {
        /// When.
        stage: Stage,
        /// What.
        source: SmtpError,
    },
    /// The server was too slow.
    #[error("no answer in time")]
    Silence {
        /// When.
        stage: Stage,
    },
}

impl SendError {
    /// How far it came.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self {
            Self::Smtp { stage, .. } | Self::Silence { stage } => *stage,
        }
    }

    /// Whether no further attempt can help: the server refused this message, or this recipient, for good.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Smtp { stage: Stage::Message, source } => source.is_permanent(),
            Self::Smtp { .. } | Self::Silence { .. } => false,
        }
    }

    /// The server's code, where it gave one; for the log, which holds no address.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Smtp { source, .. } => source.status().map(u16::from),
            Self::Silence { .. } => None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(&self) -> &'static str {
        match self.stage() {
            Stage::Connect => {
                "see that the server runs, that [mail] smtp_url has its name and port, that this machine may reach it, and that its \
                 certificate is of a known authority or of [outbound] ca_file; a server that wants STARTTLS is smtp://…?tls=required"
            }
            Stage::StartTls => {
                "see that the server offers STARTTLS with a certificate of a known authority or of [outbound] ca_file; one that has TLS \
                 from the first byte is smtps://"
            }
            Stage::Login => {
                "see that user name and password in [mail] smtp_url are right, percent-encoded where they have special characters"
            }
            Stage::Message => {
                "see that the server lets this account send from the address in [mail] from, and to whoever is told"
            }
        }
    }
}

/// The mail server of a deployment.
#[derive(Clone)]
pub(crate) struct MailServer {
    server: SmtpServer,
    tls: Tls,
    credentials: Option<Credentials>,
    hello: ClientId,
}

impl std::fmt::Debug for MailServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MailServer({})", self.server)
    }
}

impl MailServer {
    pub(crate) fn new(mail: &Mail, outbound: &OutboundConfig) -> Result<Self, MailSetupError> {
        let server = mail.server.clone();
        let tls = match server.security {
            SmtpSecurity::Tls => Tls::Wrapper(tls_of(&server, outbound)?),
            SmtpSecurity::StartTls => Tls::Required(tls_of(&server, outbound)?),
            SmtpSecurity::Plain => Tls::None,
        };
        let login = server.login.as_ref();
        let credentials = login.map(|login| Credentials::new(login.user.clone(), login.password.expose_secret().to_owned()));
        Ok(Self { server, tls, credentials, hello: ClientId::Domain(mail.from.domain().to_owned()) })
    }

    /// Hands a message over, and returns what the server said to it.
    pub(crate) async fn send(&self, message: &Message) -> Result<String, SendError> {
        let mut connection = self.connect().await?;
        let (envelope, text) = (message.envelope(), message.formatted());
        let taken = within(TAKEN_WITHIN, Stage::Message, connection.send(envelope, &text)).await?;
        // It has the message: what it says to a farewell changes nothing.
        drop(timeout(CONNECT_WITHIN, connection.quit()).await);
        Ok(answer(&taken))
    }

    /// Connects and signs in, and leaves; returns how it went, in words.
    pub(crate) async fn greet(&self) -> Result<String, SendError> {
        let mut connection = self.connect().await?;
        drop(timeout(CONNECT_WITHIN, connection.quit()).await);
        let how = match self.server.security {
            SmtpSecurity::Tls => "over TLS",
            SmtpSecurity::StartTls => "over STARTTLS",
            SmtpSecurity::Plain => "without TLS",
        };
        let who = self.server.login.as_ref().map_or_else(String::new, |login| format!(", signed in as {}", login.user));
        Ok(format!("{} takes mail {how}{who}", self.server))
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let wrapped = match &self.tls {
            Tls::Wrapper(tls) => Some(tls.clone()),
            Tls::None | Tls::Opportunistic(_) | Tls::Required(_) => None,
        };
        let address = (self.server.host.as_str(), self.server.port);
        let connecting = AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_WITHIN), &self.hello, wrapped, None);
        let mut connection = within(GREETED_WITHIN, Stage::Connect, connecting).await?;
        if let Tls::Required(tls) = &self.tls {
            within(GREETED_WITHIN, Stage::StartTls, connection.starttls(tls.clone(), &self.hello)).await?;
        }
        if let Some(credentials) = &self.credentials {
            within(GREETED_WITHIN, Stage::Login, connection.auth(DEFAULT_MECHANISMS, credentials)).await?;
        }
        Ok(connection)
    }
}

async fn within<T>(limit: Duration, stage: Stage, step: impl Future<Output = Result<T, SmtpError>>) -> Result<T, SendError> {
    match timeout(limit, step).await {
        Ok(outcome) => outcome.map_err(|source| SendError::Smtp { stage, source }),
        Err(_) => Err(SendError::Silence { stage }),
    }
}

/// The system's roots and those of `ca_file`, as for everything else that goes out.
fn tls_of(server: &SmtpServer, outbound: &OutboundConfig) -> Result<TlsParameters, MailSetupError> {
    let mut tls = TlsParameters::builder(server.host.clone());
    if let Some(path) = &outbound.ca_file {
        let pem = std::fs::read(path).map_err(|source| MailSetupError::CaFile { path: path.clone(), source })?;
        tls = tls.add_root_certificate(Certificate::from_pem(&pem).map_err(MailSetupError::Tls)?);
    }
    tls.build().map_err(MailSetupError::Tls)
}

/// What a server answered, on one line and not too long.
fn answer(response: &Response) -> String {
    let text = response.message().collect::<Vec<_>>().join(" ");
    one_line(&format!("{} {text}", response.code()))
}

fn told(error: &SmtpError) -> String {
    one_line(&chain(error))
}

fn one_line(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(LONGEST_ANSWER).collect::<String>().trim().to_owned()
}
