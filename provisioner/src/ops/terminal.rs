//! Where a command meets the terminal: finds the configuration, runs the command, and turns what came of it into bytes for
//! standard output and standard error and an exit code.

use std::{
    ffi::OsStr,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use lockstep_shared::{
    check::chain,
    clock::SharedClock,
    config::{Config, ConfigError, Program, file_from},
};
use serde_json::json;

use super::{Command, Context, OpsError, Options, Output, check, log, run};

/// The exit code of a command that was refused or found a problem.
const REFUSED: u8 = 1;
/// The exit code of a command that could not be understood.
const USAGE: u8 = 2;

/// What is left to print, and how to exit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// For standard output.
    pub stdout: String,
    /// For standard error.
    pub stderr: String,
    /// The exit code.
    pub code: u8,
}

impl Finished {
    /// What there is to print of a command that came to this.
    #[must_use]
    pub fn of(outcome: &Result<Output, OpsError>, program: Program, as_json: bool) -> Self {
        match outcome {
            Ok(output) => Self {
                stdout: output.render(as_json),
                stderr: String::new(),
                code: if output.has_failed() { REFUSED } else { 0 },
            },
            Err(error) => Self {
                stdout: String::new(),
                stderr: refusal(error.code(), &error.to_string(), &error.fix(program), as_json),
                code: REFUSED,
            },
        }
    }

    /// Prints it. A reader that has gone away is no failure of the command.
    #[must_use]
    pub fn print(self) -> ExitCode {
        let _ = io::stdout().lock().write_all(self.stdout.as_bytes());
        let _ = io::stderr().lock().write_all(self.stderr.as_bytes());
        ExitCode::from(self.code)
    }
}

/// Finds and reads the configuration: the file of the options, else the one that the environment names, else the environment
/// alone.
pub fn load(options: &Options, environment: &[(String, String)]) -> Result<Config, ConfigError> {
    let path: Option<PathBuf> = options.config.clone().or_else(|| file_from(environment.iter().cloned()));
    Config::load(path.as_deref(), environment.iter().cloned())
}

/// Carries out a command from the terminal. Boxed, so that the commands are compiled here and not in each program.
pub fn execute<'o>(
    program: Program,
    options: &'o Options,
    command: Command,
    environment: &'o [(String, String)],
    clock: SharedClock,
) -> BoxFuture<'o, Finished> {
    carry_out(program, options, command, environment, clock).boxed()
}

/// `check` alone has something to say where there is no configuration to be had.
async fn carry_out(
    program: Program,
    options: &Options,
    command: Command,
    environment: &[(String, String)],
    clock: SharedClock,
) -> Finished {
    let outcome = match (load(options, environment), command) {
        (Err(error), Command::Check) => Ok(check::of_unreadable(&error)),
        (Err(error), _) => Err(error.into()),
        (Ok(config), command) => {
            let context = Context::new(program, Arc::new(config), clock);
            let outcome = match log::follows(&command) {
                Some(tail) => log::follow(&context, &tail, options.json, &mut io::stdout()).await.map(|()| Output::default()),
                None => run(command, &context).await,
            };
            context.close().await;
            outcome
        }
    };
    Finished::of(&outcome, program, options.json)
}

/// What there is to print of arguments that were not understood, or of a request for help.
#[must_use]
pub fn usage(error: &clap::Error, arguments: &[impl AsRef<OsStr>]) -> Finished {
    let text = error.to_string();
    if !error.use_stderr() {
        return Finished { stdout: text, stderr: String::new(), code: 0 };
    }
    let wants_json =
        arguments.iter().map(AsRef::as_ref).take_while(|argument| *argument != "--").any(|argument| argument == "--json");
    if !wants_json {
        return Finished { stdout: String::new(), stderr: text, code: USAGE };
    }
    let mut paragraphs = text.split("\n\n").map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let message = first.strip_prefix("error: ").unwrap_or(&first);
    let advice: Vec<String> = paragraphs.filter(|paragraph| !paragraph.is_empty()).collect();
    Finished { stdout: String::new(), stderr: refusal("usage", message, &advice.join(" "), true), code: USAGE }
}

/// What there is to print of a program that cannot start, for whatever reason.
#[must_use]
pub fn refuse(error: &(dyn std::error::Error + 'static), program: Program, as_json: bool) -> Finished {
    let fix = format!("run `{program} check`, which tells what is wrong");
    Finished { stdout: String::new(), stderr: refusal("start", &chain(error), &fix, as_json), code: REFUSED }
}

fn refusal(code: &str, message: &str, fix: &str, as_json: bool) -> String {
    if as_json {
        return format!("{}\n", json!({ "error": { "code": code, "message": message, "fix": fix } }));
    }
    format!("error: {message}\nfix: {fix}\n")
}
