//! The `gateway` program: finds its configuration and does what its command line says. What it does is in the library.

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc};

use clap::Parser;
use lockstep_gateway::serve::serve;
use lockstep_shared::{
    clock::SystemClock,
    config::{Config, Program, environment, file_from},
    http::serve::raise_open_file_limit,
    runtime::{Runtime, Schema},
    signals::stop_on_signal,
    telemetry::{self, Metrics},
};

/// Lets people in through their company's identity provider, and answers for every request who this is.
#[derive(Debug, Parser)]
#[command(name = "gateway", version, arg_required_else_help = true)]
struct Cli {
    /// The configuration file, unless `LOCKSTEP_CONFIG` names it
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve until told to stop
    Serve,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command {
        Command::Serve => run(cli.config).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut text = error.to_string();
            let mut next = error.source();
            while let Some(cause) = next {
                text = format!("{text}: {cause}");
                next = cause.source();
            }
            let _ = std::io::Write::write_all(&mut std::io::stderr(), format!("error: {text}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

async fn run(file: Option<PathBuf>) -> Result<(), Box<dyn Error>> {
    let file = file.or_else(|| file_from(environment()));
    let config = Config::load(file.as_deref(), environment())?;
    config.check_program(Program::Gateway)?;
    config.require_gateway()?;
    telemetry::init(environment())?;
    raise_open_file_limit();
    let stop = stop_on_signal()?;
    let runtime = Runtime::open(Arc::new(config), SystemClock::shared(), Schema::Await, stop).await?;
    let served = serve(&runtime, Metrics::new()).await;
    runtime.close().await;
    Ok(served?)
}
