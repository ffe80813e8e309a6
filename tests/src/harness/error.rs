//! Why a part of the harness could not do its work. Its `Debug` is the readable text, since that is what a failed `unwrap`
//! prints.

use std::{error::Error, fmt, io, path::PathBuf, process::ExitStatus, time::Duration};

/// Why a part of the harness could not do its work.
#[derive(thiserror::Error)]
pub enum HarnessError {
    /// A program is not on this machine.
    #[error("{0} is not installed; tests/run installs it")]
    Missing(String),
    /// One of our own programs has not been built.
    #[error("{} has not been built; run `cargo build --workspace` with the profile of the tests", .0.display())]
    NotBuilt(PathBuf),
    /// A program could not be started.
    #[error("{program} did not start")]
    Spawn {
        /// What was started.
        program: String,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A program ended while it was needed.
    #[error("{program} ended early ({status}); the end of its log:\n{log}")]
    Ended {
        /// What ended.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines that it wrote.
        log: String,
    },
    /// Something awaited did not come.
    #[error("{what} did not happen within {within:?}")]
    Deadline {
        /// What was awaited.
        what: String,
        /// How long it was awaited.
        within: Duration,
    },
    /// An operator's command refused; `answer` is what it wrote on standard error.
    #[error("`{command}` ended with {status}: {answer}")]
    Refused {
        /// The command line.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// Its standard error, as JSON where it was JSON.
        answer: serde_json::Value,
    },
    /// An HTTP answer was not what the harness needed.
    #[error("{url} answered {status}, wanted {wanted}; body: {body}")]
    Answer {
        /// What was asked.
        url: Box<url::Url>,
        /// What came.
        status: http::StatusCode,
        /// What was needed.
        wanted: &'static str,
        /// The start of the body.
        body: String,
    },
    /// A file or a socket failed.
    #[error("a file or socket failed")]
    Io(#[from] io::Error),
    /// A system call failed.
    #[error("a system call failed")]
    System(#[from] rustix::io::Errno),
    /// An HTTP request failed.
    #[error("an HTTP request failed")]
    Http(#[from] reqwest::Error),
    /// The database refused.
    #[error("the database refused")]
    Sql(#[from] sqlx::Error),
    /// Redis refused.
    #[error("Redis refused")]
    Redis(#[from] redis::RedisError),
    /// Something was not JSON.
    #[error("not JSON")]
    Json(#[from] serde_json::Error),
    /// A configuration could not be written.
    #[error("not expressible in TOML")]
    Toml(#[from] toml::ser::Error),
    /// Something was not a URL.
    #[error("not a URL")]
    Url(#[from] url::ParseError),
    /// The browser session did not begin.
    #[error("the browser session did not begin")]
    BrowserStart(#[source] Box<fantoccini::error::NewSessionError>),
    /// The browser refused a command.
    #[error("the browser refused")]
    Browser(#[source] Box<fantoccini::error::CmdError>),
    /// A key could not be made or used.
    #[error("a key could not be made or used")]
    Key(#[from] aws_lc_rs::error::Unspecified),
}

impl From<fantoccini::error::CmdError> for HarnessError {
    fn from(error: fantoccini::error::CmdError) -> Self {
        Self::Browser(Box::new(error))
    }
}

impl From<fantoccini::error::NewSessionError> for HarnessError {
    fn from(error: fantoccini::error::NewSessionError) -> Self {
        Self::BrowserStart(Box::new(error))
    }
}

impl fmt::Debug for HarnessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
