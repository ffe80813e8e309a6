//! The configuration: one TOML file for all programs, each key also a variable `LOCKSTEP_SECTION__KEY`, each secret also a
//! file. It is read once at the start and refuses what it does not understand: a restriction that is misspelt must not be
//! a restriction that is silently off.

mod apps;
mod database;
mod dns;
mod error;
mod gateway;
mod keys;
mod mail;
mod outbound;
mod provisioner;
mod reader;
mod redis;
mod revocation;
mod source;
#[cfg(test)]
mod tests;
mod values;

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

pub use self::{
    apps::{App, Claim},
    database::{Database, Engine},
    dns::Dns,
    error::{ConfigError, Origin, Problem},
    gateway::{Gateway, GatewaySection, SessionLimits},
    keys::Keys,
    mail::{Mail, Sender, SmtpLogin, SmtpSecurity, SmtpServer},
    outbound::OutboundConfig,
    provisioner::{Provisioner, ProvisionerSection},
    redis::Redis,
    revocation::{MAX_LEASE, Revocation},
    values::{HostName, PublicUrl, parse_duration},
};
use self::{
    reader::Section,
    source::{display_name, overlay, parse_file},
};

/// The programs, as far as the rules between settings differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The gateway in a process of its own.
    Gateway,
    /// The provisioner in a process of its own.
    Provisioner,
    /// Both in one process.
    Standalone,
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Provisioner => "provisioner",
            Self::Standalone => "lockstep",
        })
    }
}

/// All settings of all programs. Sections that only some programs need are asked for with `require_…`.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[database]`.
    pub database: Option<Database>,
    /// `[redis]`.
    pub redis: Option<Redis>,
    /// `[revocation]`.
    pub revocation: Revocation,
    /// `[gateway]`, as far as it is given.
    pub gateway: GatewaySection,
    /// `[provisioner]`, as far as it is given.
    pub provisioner: ProvisionerSection,
    /// `[keys]`.
    pub keys: Option<Keys>,
    /// `[outbound]`.
    pub outbound: OutboundConfig,
    /// `[dns]`.
    pub dns: Dns,
    /// `[mail]`.
    pub mail: Option<Mail>,
    /// `[[apps]]`; without any, the host of the gateway's public URL is one app for all workspaces.
    pub apps: Vec<App>,
}

impl Config {
    /// Reads the file, where there is one, lays the environment over it and checks each value.
    pub fn load(path: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let Some(path) = path else { return Self::from_sources(BTreeMap::new(), Path::new(""), environment) };
        let text = std::fs::read_to_string(path).map_err(|source| Problem::Unreadable { path: path.to_owned(), source })?;
        let entries = parse_file(&display_name(path), &text)?;
        Self::from_sources(entries, path.parent().unwrap_or(Path::new("")), environment)
    }

    /// Reads a configuration from TOML text alone; for what makes its own, such as the demo.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        Self::from_sources(parse_file("built-in configuration", text)?, Path::new(""), std::iter::empty())
    }

    /// The database, which every program needs.
    pub fn require_database(&self) -> Result<&Database, ConfigError> {
        let fix = "name the database in [database] url or in LOCKSTEP_DATABASE__URL, such as \"sqlite:///var/lib/lockstep/lockstep.db\" \
                   or \"postgres://lockstep@db.internal/lockstep\"";
        self.database.as_ref().ok_or_else(|| Problem::Missing { key: "database.url", fix }.into())
    }

    /// The master key, which every program needs.
    pub fn require_keys(&self) -> Result<&Keys, ConfigError> {
        let fix = "make one with `openssl rand -base64 32 > master.key` and name the file in [keys] master_key_file or in \
                   LOCKSTEP_KEYS__MASTER_KEY_FILE; every process needs the same one";
        self.keys.as_ref().ok_or_else(|| Problem::Missing { key: "keys.master_key_file", fix }.into())
    }

    /// The gateway's settings, complete.
    pub fn require_gateway(&self) -> Result<Gateway, ConfigError> {
        self.gateway.complete()
    }

    /// Where browsers reach the gateway; the provisioner needs it for redirect URIs and Sign-On Links.
    pub fn require_gateway_url(&self) -> Result<&PublicUrl, ConfigError> {
        self.gateway.require_public_url()
    }

    /// The provisioner's settings, complete.
    pub fn require_provisioner(&self) -> Result<Provisioner, ConfigError> {
        self.provisioner.complete()
    }

    /// The rule between programs: two processes need a channel between them.
    pub fn check_program(&self, program: Program) -> Result<(), ConfigError> {
        match program {
            Program::Gateway | Program::Provisioner if self.redis.is_none() => Err(Problem::NeedsRedis { program }.into()),
            Program::Gateway | Program::Provisioner | Program::Standalone => Ok(()),
        }
    }

    fn from_sources(
        mut entries: BTreeMap<String, source::Entry>,
        base: &Path,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        overlay(&mut entries, environment, &mut problems);
        let mut root = Section::root(entries, base, &mut problems);
        let outbound = OutboundConfig::read(root.section("outbound"));
        let config = Self {
            database: Database::read(root.section("database")),
            redis: Redis::read(root.section("redis")),
            revocation: Revocation::read(root.section("revocation")),
            gateway: GatewaySection::read(root.section("gateway")),
            provisioner: ProvisionerSection::read(root.section("provisioner")),
            keys: Keys::read(root.section("keys")),
            dns: Dns::read(root.section("dns")),
            mail: Mail::read(root.section("mail"), &outbound),
            outbound,
            apps: apps::read(&mut root),
        };
        root.finish();
        ConfigError::when_any(problems)?;
        Ok(config)
    }
}

/// The variables of the process's environment that are text; read here and nowhere else.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())))
}

/// The configuration file that `LOCKSTEP_CONFIG` names, for a program that was given none.
pub fn file_from(mut environment: impl Iterator<Item = (String, String)>) -> Option<PathBuf> {
    environment.find(|(name, value)| name == "LOCKSTEP_CONFIG" && !value.is_empty()).map(|(_, value)| PathBuf::from(value))
}
