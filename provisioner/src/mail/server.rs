//! The mail server: one connection a message, each step within its time. What is refused before a recipient is named says something
//! about our settings and may be mended; only what is said of the recipient or of the message itself is final.

use std::{error::Error as _, io, path::PathBuf, time::Duration};

use lettre::{
    Message,
    transport::smtp::{
        Error as SmtpError,
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, Tls, TlsParameters},
        commands,
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

use super::line::one_line;

/// How long connecting may take, to each address of the server.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to be let in, TLS and password included.
const GREETED_WITHIN: Duration = Duration::from_secs(25);
/// How long each step may take until the server has the message. RFC 5321, section 4.5.3.2, allows more, for servers that are no relay.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
/// The codes that ask for a user, or for another one or a safer way to sign in (RFC 4954, section 6, and RFC 5248): of whatever they
/// are said, no message is meant.
const NOT_SIGNED_IN: [u16; 4] = [530, 534, 535, 538];
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
    /// Saying who the message is from.
    Sender,
    /// Saying whom it is for.
    Recipient,
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
        let Self::Smtp { stage, source } = self else { return false };
        match stage {
            Stage::Connect | Stage::StartTls | Stage::Login | Stage::Sender => false,
            // RFC 3463, section 3.8: a matter of policy, in most cases that relays are for those who signed in.
            Stage::Recipient => source.is_permanent() && !self.wants_a_user() && !has_enhanced_code(source, "5.7."),
            Stage::Message => source.is_permanent() && !self.wants_a_user(),
        }
    }

    fn wants_a_user(&self) -> bool {
        self.code().is_some_and(|code| NOT_SIGNED_IN.contains(&code))
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
            Stage::Sender | Stage::Recipient | Stage::Message if self.wants_a_user() => {
                "the server wants a user name and a password, or others: give them in [mail] smtp_url, percent-encoded where they \
                 have special characters"
            }
            Stage::Sender | Stage::Recipient | Stage::Message => {
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
        let outcome = offer(&mut connection, message).await;
        // Whatever it says to a farewell changes nothing; and whoever is silent says none.
        if !matches!(outcome, Err(SendError::Silence { .. })) {
            drop(timeout(CONNECT_WITHIN, connection.quit()).await);
        }
        outcome.map(|taken| answer(&taken))
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

/// Step by step, so that it is known of what a refusal is said. What we write is ASCII and needs no extension.
async fn offer(connection: &mut AsyncSmtpConnection, message: &Message) -> Result<Response, SendError> {
    let envelope = message.envelope();
    let sender = commands::Mail::new(envelope.from().cloned(), Vec::new());
    within(TAKEN_WITHIN, Stage::Sender, connection.command(sender)).await?;
    for to in envelope.to() {
        let recipient = commands::Rcpt::new(to.clone(), Vec::new());
        within(TAKEN_WITHIN, Stage::Recipient, connection.command(recipient)).await?;
    }
    within(TAKEN_WITHIN, Stage::Message, connection.command(commands::Data)).await?;
    within(TAKEN_WITHIN, Stage::Message, connection.message(&message.formatted())).await
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

/// Whether an answer begins with an enhanced code of this class (RFC 2034).
fn has_enhanced_code(error: &SmtpError, class: &str) -> bool {
    error.source().is_some_and(|answer| answer.to_string().starts_with(class))
}

/// What a server answered, on one line and not too long.
fn answer(response: &Response) -> String {
    let text = response.message().collect::<Vec<_>>().join(" ");
    one_line(&format!("{} {text}", response.code()), LONGEST_ANSWER)
}

fn told(error: &SmtpError) -> String {
    one_line(&chain(error), LONGEST_ANSWER)
}

#[cfg(test)]
mod tests {
    use lettre::message::Mailbox;
    use lockstep_shared::config::Config;
    use tokio::{
        io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
        net::TcpListener,
    };

    use super::*;

    /// Offers a message to a server that says yes to everything but to lines which begin like this (`.`: the end of the message).
    async fn offered(refused: &'static str, answer: &'static str) -> SendError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let config = Config::from_toml(&format!("[mail]\nsmtp_url = \"{url}\"\nfrom = \"login@example.com\"")).unwrap();
        let server = MailServer::new(config.mail.as_ref().unwrap(), &config.outbound).unwrap();
        let serving = async {
            let (stream, _) = listener.accept().await.unwrap();
            let (reading, mut writing) = stream.into_split();
            let mut lines = BufReader::new(reading).lines();
            writing.write_all(b"220 here\r\n").await.unwrap();
            let mut is_body = false;
            while let Some(line) = lines.next_line().await.unwrap() {
                is_body &= line != ".";
                let says = match line.as_str() {
                    _ if is_body => continue,
                    line if line.starts_with(refused) => answer,
                    "DATA" => "354 go on",
                    _ => "250 2.0.0 yes",
                };
                is_body = says.starts_with("354");
                writing.write_all(format!("{says}\r\n").as_bytes()).await.unwrap();
            }
        };
        let mailbox = |address: &str| Mailbox::new(None, address.parse().unwrap());
        let message = Message::builder().from(mailbox("login@example.com")).to(mailbox("ada@acme.example"));
        let message = message.subject("x").body("x\n".to_owned()).unwrap();

        let (sent, ()) = tokio::join!(server.send(&message), serving);

        sent.expect_err(answer)
    }

    #[tokio::test]
    async fn only_what_is_said_of_the_recipient_or_the_message_is_final() {
        let table = [
            ("MAIL", "530 5.7.0 Authentication required", Stage::Sender, false),
            ("MAIL", "535 wrong", Stage::Sender, false),
            ("MAIL", "550 5.7.60 may not send as this sender", Stage::Sender, false),
            ("MAIL", "553 no such sender", Stage::Sender, false),
            ("RCPT", "530 Must issue a STARTTLS command first", Stage::Recipient, false),
            ("RCPT", "554 5.7.1 Relay access denied", Stage::Recipient, false),
            ("RCPT", "451 4.7.1 Greylisted", Stage::Recipient, false),
            ("RCPT", "550 5.1.1 nobody here", Stage::Recipient, true),
            ("RCPT", "550 nobody here since 5.7.2026", Stage::Recipient, true),
            ("DATA", "538 5.7.11 Encryption required", Stage::Message, false),
            ("DATA", "554 no", Stage::Message, true),
            (".", "534 5.7.9 a stronger mechanism", Stage::Message, false),
            (".", "452 4.3.1 full", Stage::Message, false),
            (".", "554 5.7.1 looks like spam", Stage::Message, true),
        ];
        for (refused, answer, stage, is_final) in table {
            let error = offered(refused, answer).await;
            assert_eq!((error.stage(), error.is_final()), (stage, is_final), "{refused}: {answer}: {error}");
            let wants_a_user = error.fix().contains("a user name and a password");
            assert_eq!(wants_a_user, answer.starts_with("53"), "{answer}: {}", error.fix());
        }
    }

    #[tokio::test]
    async fn an_answer_is_shown_as_a_line_that_cannot_be_taken_for_another() {
        let shown = offered("RCPT", "550 no\u{1b}[2J \u{202e}body\u{200b}").await.to_string();

        assert_eq!(shown, "permanent error (550): no [2J body");
    }
}
