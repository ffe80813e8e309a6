//! The `gateway` program: finds its configuration and does what its command line says. What it does is in the library.

use std::{
    error::Error,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use clap::Parser;
use lockstep_gateway::serve::{listen_ops, serve};
use lockstep_shared::{
    check::{Deployment, Finding, all_well, chain, in_short, lines, of_unreadable},
    clock::SystemClock,
    config::{Config, ConfigError, Program, environment, file_from},
    http::serve::raise_open_file_limit,
    runtime::{Runtime, Schema},
    signals::stop_on_signal,
    telemetry::{self, Metrics},
};
use serde_json::{Value, json};

/// Lets people in through their company's identity provider, and answers for every request who this is.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, arg_required_else_help = true)]
struct Cli {
    /// The configuration file, unless `LOCKSTEP_CONFIG` names it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve until told to stop
    Serve,
    /// Validate the configuration and every dependency
    Check,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let file = cli.config.or_else(|| file_from(environment()));
    let config = Config::load(file.as_deref(), environment());
    match cli.command {
        Command::Check => check(config, cli.json).await,
        Command::Serve => match run(config).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(error.as_ref(), cli.json),
        },
    }
}

async fn run(config: Result<Config, ConfigError>) -> Result<(), Box<dyn Error>> {
    let config = config?;
    config.check_program(Program::Gateway)?;
    config.require_gateway()?;
    telemetry::init(environment())?;
    raise_open_file_limit();
    let stop = stop_on_signal()?;
    let ops = listen_ops(&config, Metrics::new()).await?;
    let runtime = Runtime::open(Arc::new(config), SystemClock::shared(), Schema::Await, stop).await?;
    let served = serve(&runtime, ops).await;
    runtime.close().await;
    Ok(served?)
}

async fn check(config: Result<Config, ConfigError>, as_json: bool) -> ExitCode {
    let findings = match config {
        Ok(config) => Deployment { program: Program::Gateway, config: &config, clock: &SystemClock::shared() }.check().await,
        Err(error) => of_unreadable(&error),
    };
    let text = if as_json {
        let checks: Vec<Value> = findings.iter().map(Finding::json).collect();
        format!("{}\n", json!({ "ok": all_well(&findings), "checks": checks }))
    } else {
        format!("{}\n{}", in_short(&findings), lines(&findings))
    };
    // A reader that has gone away does not change what was found.
    let _ = io::stdout().lock().write_all(text.as_bytes());
    if all_well(&findings) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn refuse(error: &(dyn Error + 'static), as_json: bool) -> ExitCode {
    const FIX: &str = "run `gateway check`, which tells what is wrong";
    let message = chain(error);
    let text = if as_json {
        format!("{}\n", json!({ "error": { "code": "start", "message": message, "fix": FIX } }))
    } else {
        format!("error: {message}\nfix: {FIX}\n")
    };
    let _ = io::stderr().lock().write_all(text.as_bytes());
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
