//! Why a command was not carried out: a stable code for programs, a sentence for people, and what to do about it.

use std::path::PathBuf;

use lockstep_shared::{
    check::{ConnectError, Finding, chain},
    config::{ConfigError, Program},
    http::outbound::{OutboundError, SetupError},
    id::{ConnectionId, EntryId, IdError, OAuthClientId, TokenId, WorkspaceId},
    model::{access::MappingFault, attribute::AttributePath, connection::ConnectionState},
    revoke::SettleError,
    runtime::StartError,
    store::{NotLinked, StoreError},
};

use super::provider::IssuerError;
use crate::{
    mail::{MailSetupError, MessageError, SendError},
    policy::EditRefusal,
};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// The configuration does not fit.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no connection to the database.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The schema lacks steps.
    #[error("the database schema is not up to date")]
    SchemaBehind,
    /// A newer program was here.
    #[error("the database schema is newer than this program")]
    SchemaAhead,
    /// The database refused, or was lost on the way.
    #[error("{}", chain(.0))]
    Store(#[source] StoreError),
    /// The parts that end access cannot be opened.
    #[error("{}", chain(.0))]
    Start(#[source] StartError),
    /// The same, in silence.
    #[error("the revocation channel could not be opened in time")]
    RoadTooSlow,
    /// The change is stored, but nobody can say that it is in force everywhere.
    #[error("the change is stored, but it is not confirmed that everybody concerned is out: {}", chain(.0))]
    Settle(#[from] SettleError),
    /// No such workspace.
    #[error("there is no workspace {0}")]
    UnknownWorkspace(WorkspaceId),
    /// The id is in use.
    #[error("there already is a workspace {0}")]
    WorkspaceTaken(WorkspaceId),
    /// No such connection in the workspace.
    #[error("workspace {workspace} has no connection {id}")]
    UnknownConnection {
        /// The workspace.
        workspace: WorkspaceId,
        /// What was asked for.
        id: ConnectionId,
        /// What there is.
        known: Vec<ConnectionId>,
    },
    /// Several connections, and none was named.
    #[error("workspace {workspace} has {} connections", known.len())]
    WhichConnection {
        /// The workspace.
        workspace: WorkspaceId,
        /// What there is.
        known: Vec<ConnectionId>,
    },
    /// The id is in use, perhaps in another workspace.
    #[error("the connection id {0} is already taken in this deployment")]
    ConnectionTaken(ConnectionId),
    /// `{workspace}-{preset}` is too long to be an id.
    #[error("the default connection id does not fit: {0}")]
    ConnectionId(#[from] IdError),
    /// The connection is not in use.
    #[error("connection {id} is {state}")]
    NotInUse {
        /// Its workspace.
        workspace: WorkspaceId,
        /// The connection.
        id: ConnectionId,
        /// What it is instead.
        state: ConnectionState,
        /// What a draft still needs, as options.
        missing: Vec<&'static str>,
    },
    /// The issuer cannot be one.
    #[error("the issuer '{issuer}' cannot be used: {source}")]
    Issuer {
        /// What was given.
        issuer: String,
        /// Why not.
        source: IssuerError,
    },
    /// The plan does not have it.
    #[error("{what} needs the plan enterprise, and workspace {workspace} has the plan free")]
    Plan {
        /// The workspace.
        workspace: WorkspaceId,
        /// What was asked for.
        what: &'static str,
    },
    /// Nobody could sign in any more.
    #[error("workspace {workspace} has no connection through which people can sign in{}", because(findings))]
    NoWorkingConnection {
        /// The workspace.
        workspace: WorkspaceId,
        /// What the tests of its active connections found, by connection.
        findings: Vec<(ConnectionId, Finding)>,
    },
    /// Nobody of that name.
    #[error("workspace {workspace} has no user '{name}'")]
    UnknownUser {
        /// The workspace.
        workspace: WorkspaceId,
        /// What was asked for.
        name: String,
    },
    /// Several people with that address.
    #[error("'{name}' is the e-mail address of {count} users")]
    AmbiguousUser {
        /// What was asked for.
        name: String,
        /// How many there are.
        count: usize,
    },
    /// The person is not linked to the identity that was named.
    #[error("{refusal}")]
    NotLinked {
        /// The workspace.
        workspace: WorkspaceId,
        /// The person, as they were named.
        user: String,
        /// The connection.
        connection: ConnectionId,
        /// Why not.
        refusal: NotLinked,
    },
    /// No such group in the workspace.
    #[error("workspace {workspace} has no group '{name}'")]
    UnknownGroup {
        /// The workspace.
        workspace: WorkspaceId,
        /// What was asked for.
        name: String,
    },
    /// Roles are given by an attribute of a schema that shall go.
    #[error("the mapping of workspace {workspace} takes roles from {path}")]
    RolesComeFrom {
        /// The workspace.
        workspace: WorkspaceId,
        /// The attribute.
        path: AttributePath,
    },
    /// The mapping would be none that can be used.
    #[error(transparent)]
    Mapping(MappingFault),
    /// A file holds no mapping.
    #[error("{} holds no mapping: {reason}", path.display())]
    MappingFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// What the workspace would ask for cannot be asked.
    #[error("{refusal}")]
    Policy {
        /// The workspace.
        workspace: WorkspaceId,
        /// Why not.
        refusal: EditRefusal,
    },
    /// A file holds no schema.
    #[error("{} cannot be used: {reason}", path.display())]
    SchemaFile {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// An invitation sets a password, and this person has no use for one.
    #[error("{email} already is a user who signs in by SSO")]
    SignsInBySso {
        /// The workspace.
        workspace: WorkspaceId,
        /// The address.
        email: String,
    },
    /// The domain stands there already.
    #[error("workspace {workspace} already has the domain {domain}")]
    DomainTaken {
        /// The workspace.
        workspace: WorkspaceId,
        /// The domain.
        domain: String,
    },
    /// No such domain in the workspace.
    #[error("workspace {workspace} has no domain {domain}")]
    UnknownDomain {
        /// The workspace.
        workspace: WorkspaceId,
        /// The domain.
        domain: String,
    },
    /// As many tokens, or passwords, as may be are live.
    #[error("workspace {workspace} has {} live {what} already: {}", live.len(), token_names(live))]
    TooManyLive {
        /// The workspace.
        workspace: WorkspaceId,
        /// What there are too many of.
        what: &'static str,
        /// Which.
        live: Vec<TokenId>,
    },
    /// No such OAuth client, or it was revoked before.
    #[error("workspace {workspace} has no live OAuth client {id}")]
    UnknownClient {
        /// The workspace.
        workspace: WorkspaceId,
        /// What was asked for.
        id: OAuthClientId,
    },
    /// The key set's address cannot be called.
    #[error("the keys cannot be asked for at {url}: {}", chain(.source))]
    JwksUrl {
        /// What was given.
        url: String,
        /// Why not.
        source: OutboundError,
    },
    /// No such token, or it was revoked before.
    #[error("workspace {workspace} has no live token {id}")]
    UnknownToken {
        /// The workspace.
        workspace: WorkspaceId,
        /// The token's record.
        id: TokenId,
    },
    /// No such entry in the provisioning log.
    #[error("the log of workspace {workspace} has no entry {id}")]
    UnknownEntry {
        /// The workspace.
        workspace: WorkspaceId,
        /// What was asked for.
        id: EntryId,
    },
    /// No receipt of that place.
    #[error("workspace {workspace} has no such receipt")]
    UnknownReceipt {
        /// The workspace.
        workspace: WorkspaceId,
    },
    /// A secret's file cannot be read.
    #[error("cannot read the secret from {}: {source}", path.display())]
    SecretFile {
        /// The file; `-` is standard input.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// A secret's file holds nothing, or no secret.
    #[error("{} holds no secret: one line of text was expected", .0.display())]
    NoSecret(PathBuf),
    /// There is no mail server.
    #[error("nothing can be mailed: the configuration has no [mail]")]
    NoMail,
    /// Mail cannot be sent at all.
    #[error("{}", chain(.0))]
    MailSetup(#[from] MailSetupError),
    /// The test has no address that mail can be sent to.
    #[error("{}", chain(.0))]
    MailAddress(MessageError),
    /// The mail server did not take the test.
    #[error("the test was not taken: {0}")]
    NotSent(SendError),
    /// As many as may be are told.
    #[error("workspace {workspace} has {most} addresses told already")]
    TooManyRecipients {
        /// The workspace.
        workspace: WorkspaceId,
        /// How many may be.
        most: u32,
    },
    /// The address is not told.
    #[error("workspace {workspace} does not have {address} told")]
    UnknownRecipient {
        /// The workspace.
        workspace: WorkspaceId,
        /// The address.
        address: String,
    },
    /// Our own HTTP client cannot be made.
    #[error("{}", chain(.0))]
    Outbound(#[from] SetupError),
}

fn token_names(live: &[TokenId]) -> String {
    live.iter().map(TokenId::as_str).collect::<Vec<_>>().join(", ")
}

fn because(findings: &[(ConnectionId, Finding)]) -> String {
    findings.iter().fold(String::new(), |text, (id, finding)| format!("{text}; {id}: {}", finding.message))
}

impl OpsError {
    /// A stable word for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config(_) => "configuration",
            Self::Connect(_) => "database_unreachable",
            Self::SchemaBehind => "schema_behind",
            Self::SchemaAhead => "schema_ahead",
            Self::Store(error) if error.is_transient() => "database_unavailable",
            Self::Store(StoreError::Conflict(_)) => "conflict",
            Self::Store(_) => "database",
            Self::Start(_) | Self::RoadTooSlow => "start",
            Self::Settle(_) => "not_confirmed",
            Self::UnknownWorkspace(_) => "workspace_not_found",
            Self::WorkspaceTaken(_) => "workspace_exists",
            Self::UnknownConnection { .. } => "connection_not_found",
            Self::WhichConnection { .. } => "connection_ambiguous",
            Self::ConnectionTaken(_) => "connection_exists",
            Self::ConnectionId(_) => "connection_id",
            Self::NotInUse { .. } => "connection_not_active",
            Self::Issuer { .. } => "issuer",
            Self::Plan { .. } => "plan",
            Self::NoWorkingConnection { .. } => "no_working_connection",
            Self::UnknownUser { .. } => "user_not_found",
            Self::AmbiguousUser { .. } => "user_ambiguous",
            Self::NotLinked { refusal, .. } => match refusal {
                NotLinked::Taken(_) => "identity_taken",
                NotLinked::LinkedToAnother { .. } => "user_linked",
                NotLinked::Former { .. } => "identity_of_deleted_user",
            },
            Self::UnknownGroup { .. } => "group_not_found",
            Self::RolesComeFrom { .. } => "schema_in_use",
            Self::Mapping(_) | Self::MappingFile { .. } => "mapping",
            Self::Policy { refusal, .. } => refusal.code(),
            Self::SchemaFile { .. } => "schema_file",
            Self::SignsInBySso { .. } => "user_signs_in_by_sso",
            Self::DomainTaken { .. } => "domain_exists",
            Self::UnknownDomain { .. } => "domain_not_found",
            Self::TooManyLive { .. } => "too_many_live",
            Self::UnknownClient { .. } => "oauth_client_not_found",
            Self::JwksUrl { .. } => "jwks_url",
            Self::UnknownToken { .. } => "token_not_found",
            Self::UnknownEntry { .. } => "entry_not_found",
            Self::UnknownReceipt { .. } => "receipt_not_found",
            Self::SecretFile { .. } | Self::NoSecret(_) => "secret_file",
            Self::NoMail | Self::MailSetup(_) => "mail",
            Self::MailAddress(_) => "mail_address",
            Self::NotSent(_) => "mail_not_sent",
            Self::TooManyRecipients { .. } => "too_many_recipients",
            Self::UnknownRecipient { .. } => "recipient_not_found",
            Self::Outbound(_) => "outbound",
        }
    }

    /// What to do about it; `program` is the one that the reader types.
    #[must_use]
    pub fn fix(&self, program: Program) -> String {
        match self {
            Self::Config(_) => format!("mend the configuration, then run `{program} check`"),
            Self::Connect(error) => error.fix(&program.to_string()),
            Self::SchemaBehind => format!("run `{program} migrate`"),
            Self::SchemaAhead => "use the release that migrated it, or a later one".to_owned(),
            Self::Store(error) if error.is_transient() => {
                format!("run `{program} check`, look whether the change was made, and if not, run the command again")
            }
            Self::Store(StoreError::Conflict(_)) => "choose another value".to_owned(),
            Self::Store(_) | Self::Start(_) | Self::Outbound(_) => format!("run `{program} check`, which tells what is wrong"),
            Self::RoadTooSlow => format!("run `{program} check`, then the command again; nothing was changed"),
            Self::Settle(_) => "run the same command again: it waits until they are".to_owned(),
            Self::UnknownWorkspace(id) => {
                format!("check the spelling, or create it with `{program} workspace create {id} --name NAME --plan enterprise`")
            }
            Self::WorkspaceTaken(id) => format!("choose another id, or change this one with `{program} workspace set {id}`"),
            Self::UnknownConnection { workspace, known, .. } => known_connections(program, workspace, known),
            Self::WhichConnection { known, .. } => format!("name one of {}", names(known)),
            Self::ConnectionTaken(_) => {
                "choose another with --id; ids are unique in the deployment, since redirect URIs name them".to_owned()
            }
            Self::ConnectionId(_) => "choose a shorter one with --id".to_owned(),
            Self::NotInUse { workspace, id, state, missing } => match state {
                ConnectionState::Disabled => {
                    format!("put it in use again with `{program} connection set {workspace} {id} --enable`")
                }
                ConnectionState::Draft | ConnectionState::Active => {
                    format!("complete it with `{program} connection set {workspace} {id} {}`", missing.join(" "))
                }
            },
            Self::Issuer { source, .. } => source.fix(),
            Self::Plan { workspace, .. } => format!("run `{program} workspace set {workspace} --plan enterprise`"),
            Self::NoWorkingConnection { workspace, findings } if findings.is_empty() => format!(
                "add one with `{program} connection add {workspace} --preset PRESET`; to go on without, add --force --reason TEXT (audited)"
            ),
            Self::NoWorkingConnection { workspace, .. } => {
                format!("run `{program} connection test {workspace}`; to go on without, add --force --reason TEXT (audited)")
            }
            Self::UnknownUser { .. } => {
                "give the user's id, user name or e-mail address; deactivated people count, deleted ones do not".to_owned()
            }
            Self::AmbiguousUser { .. } => "give the user's id or user name".to_owned(),
            Self::NotLinked { workspace, user, connection, refusal } => match refusal {
                NotLinked::Taken(owner) => not_theirs(program, workspace, owner.as_str(), connection),
                NotLinked::LinkedToAnother { .. } => not_theirs(program, workspace, user, connection),
                NotLinked::Former { .. } => {
                    "ask the company whether its provider means this person by it now; only then run the \
                    command again with --hand-on (audited)"
                        .to_owned()
                }
            },
            Self::UnknownGroup { .. } => {
                "give the group's id or its display name, as the identity provider sent it; groups come by provisioning"
                    .to_owned()
            }
            Self::RolesComeFrom { workspace, .. } => {
                format!(
                    "run `{program} mapping set {workspace} --no-role-attribute` first: whoever has a role by it loses it then"
                )
            }
            Self::Mapping(_) => "name each group and each role once, and give each group a role or a team".to_owned(),
            Self::MappingFile { .. } => format!("write it as `{program} mapping list WORKSPACE --json` shows it"),
            Self::Policy { workspace, refusal } => refusal.fix(program, workspace),
            Self::SchemaFile { .. } => format!("write it as `{program} schema list WORKSPACE --json` shows each schema"),
            Self::SignsInBySso { workspace, email } => {
                format!("to give them a password instead, run `{program} user login-method {workspace} {email} password` first")
            }
            Self::DomainTaken { workspace, domain } => {
                format!("if it is not verified yet, run `{program} domain verify {workspace} {domain} --by-operator`")
            }
            Self::UnknownDomain { workspace, domain } => format!("add it first with `{program} domain add {workspace} {domain}`"),
            Self::TooManyLive { workspace, live, .. } => format!(
                "two are enough for a rotation: when the provider uses the newer one, run `{program} token revoke {workspace} {}`",
                live.first().map_or("ID", TokenId::as_str)
            ),
            Self::UnknownClient { workspace, .. } => format!("see `{program} oauth-client list {workspace}`"),
            Self::JwksUrl { .. } => "use the issuer's public https address, or list the host under [outbound]".to_owned(),
            Self::UnknownToken { workspace, .. } => format!("see `{program} token list {workspace}`"),
            Self::UnknownEntry { workspace, .. } => {
                format!("see `{program} log tail {workspace}`; entries are kept for [provisioner] log_retention")
            }
            Self::UnknownReceipt { workspace } => {
                format!(
                    "receipts are numbered by the revocation that they confirm; `{program} receipt show {workspace}` shows the last"
                )
            }
            Self::SecretFile { .. } => "name a file that this user may read, or - for standard input".to_owned(),
            Self::NoMail => "give the mail server in [mail] smtp_url, and the sender in [mail] from".to_owned(),
            Self::MailSetup(_) => "mend [outbound] ca_file".to_owned(),
            Self::MailAddress(_) => "give a plain address, such as ada@example.com".to_owned(),
            Self::NotSent(error) => error.fix().to_owned(),
            Self::TooManyRecipients { workspace, .. } => {
                format!(
                    "have a mailing list told instead, or take one away with `{program} workspace notify {workspace} --remove ADDRESS`"
                )
            }
            Self::UnknownRecipient { workspace, .. } => format!("see `{program} workspace notify {workspace}`"),
            Self::NoSecret(_) => "put the secret on the first line and nothing behind it".to_owned(),
        }
    }
}

fn known_connections(program: Program, workspace: &WorkspaceId, known: &[ConnectionId]) -> String {
    if known.is_empty() {
        return format!("it has none; add one with `{program} connection add {workspace} --preset PRESET`");
    }
    format!("it has {}", names(known))
}

fn names(connections: &[ConnectionId]) -> String {
    connections.iter().map(ConnectionId::as_str).collect::<Vec<_>>().join(", ")
}

impl From<StartError> for OpsError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Config(error) => Self::Config(error),
            StartError::Store(error) => Self::Store(error),
            error @ (StartError::Redis(_) | StartError::Secret(_) | StartError::Schema(_) | StartError::Stopped) => {
                Self::Start(error)
            }
        }
    }
}

/// What to do about a link that is in the way.
fn not_theirs(program: Program, workspace: &WorkspaceId, user: &str, connection: &ConnectionId) -> String {
    format!(
        "look at it with `{program} user show {workspace} {user}`; if it is not theirs any more, first run \
         `{program} user unlink {workspace} {user} {connection}`"
    )
}
