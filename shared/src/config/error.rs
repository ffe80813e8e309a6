//! What can be wrong with the configuration, each said with the key, where it came from and what to do.

use std::{fmt, io, path::PathBuf, sync::Arc};

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A line of the configuration file.
    File {
        /// The file.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}, line {line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {}: {source}; give another with `--config FILE`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The configuration file is not TOML.
    #[error("{origin}: not valid TOML: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// Nobody reads this key.
    #[error("unknown key `{key}` ({origin}){}", hint(nearest.as_deref()))]
    Unknown {
        /// The key in full.
        key: String,
        /// Where it was written.
        origin: Origin,
        /// The valid key that looks most like it, spelt as this origin spells keys.
        nearest: Option<String>,
    },
    /// The value is not what the key wants. The value itself is shown unless it may be a secret.
    #[error("`{key}` ({origin}) {reason}")]
    Invalid {
        /// The key in full.
        key: String,
        /// Where it was written.
        origin: Origin,
        /// What is wrong, as the rest of a sentence that starts with the key.
        reason: String,
    },
    /// Two ways to give one value were both used.
    #[error("`{first}` ({first_origin}) and `{second}` ({second_origin}) are both given; keep one of them")]
    Both {
        /// One key.
        first: String,
        /// Where it was written.
        first_origin: Origin,
        /// The other key.
        second: String,
        /// Where it was written.
        second_origin: Origin,
    },
    /// A key without which this program cannot run.
    #[error("`{key}` is missing: {fix}")]
    Missing {
        /// The key in full.
        key: &'static str,
        /// What to do.
        fix: &'static str,
    },
    /// A file that a key names cannot be read.
    #[error("`{key}` ({origin}) names {}, which cannot be read: {source}", path.display())]
    SecretFile {
        /// The key in full.
        key: String,
        /// Where it was written.
        origin: Origin,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Two processes without a channel between them.
    #[error(
        "`redis.url` is missing: {program} runs as a process of its own and hears of revocations over Redis; set [redis] url \
         (or LOCKSTEP_REDIS__URL), or run everything in one process with `lockstep serve`, which needs no Redis"
    )]
    NeedsRedis {
        /// The program that was started.
        program: super::Program,
    },
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |key| format!("; the nearest valid key is `{key}`"))
}

/// Everything that is wrong with the configuration, so that it can be put right in one go.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// The problems, at least one.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// An error of these problems.
    pub(super) fn of(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// An error if there is any problem.
    pub(super) fn when_any(problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() { Ok(()) } else { Err(Self { problems }) }
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.problems.as_slice() {
            return write!(f, "the configuration is wrong: {only}");
        }
        write!(f, "the configuration is wrong in {} places:", self.problems.len())?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
    }
}
