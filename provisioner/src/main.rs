//! The `provisioner` program: finds its configuration and does what its command line says. What it does is in the library.

use std::{error::Error, process::ExitCode, sync::Arc};

use clap::Parser;
use lockstep_provisioner::{
    ops,
    serve::{listen_ops, serve},
};
use lockstep_shared::{
    clock::SystemClock,
    config::{Program, environment},
    http::serve::raise_open_file_limit,
    runtime::{Runtime, Schema},
    signals::stop_on_signal,
    telemetry::{self, Metrics},
};

/// Provisions people from their company's directory, and administers the deployment.
#[derive(Debug, Parser)]
#[command(name = "provisioner", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    options: ops::Options,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Serve SCIM until told to stop
    Serve,
    #[command(flatten)]
    Operate(ops::Command),
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return ops::usage(&error, &arguments).print(),
    };
    let environment: Vec<_> = environment().collect();
    match cli.command {
        Command::Serve => match run(&cli.options, &environment).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => ops::refuse(error.as_ref(), Program::Provisioner, cli.options.json).print(),
        },
        Command::Operate(command) => {
            ops::execute(Program::Provisioner, &cli.options, command, &environment, SystemClock::shared()).await.print()
        }
    }
}

async fn run(options: &ops::Options, environment: &[(String, String)]) -> Result<(), Box<dyn Error>> {
    let config = ops::load(options, environment)?;
    config.check_program(Program::Provisioner)?;
    config.require_provisioner()?;
    telemetry::init(environment.iter().cloned())?;
    raise_open_file_limit();
    let stop = stop_on_signal()?;
    let listener = listen_ops(&config, Metrics::new()).await?;
    let runtime = Runtime::open(Arc::new(config), SystemClock::shared(), Schema::Migrate, stop).await?;
    let served = serve(&runtime, listener).await;
    runtime.close().await;
    Ok(served?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
