//! The `provisioner` program: finds its configuration and does what its command line says. What it does is in the library.

use std::process::ExitCode;

use clap::Parser;
use lockstep_provisioner::ops;
use lockstep_shared::{
    clock::SystemClock,
    config::{Program, environment},
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
        Command::Operate(command) => {
            ops::execute(Program::Provisioner, &cli.options, command, &environment, SystemClock::shared()).await.print()
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
