//! The `lockstep` program: the one-machine deployment, the operators' commands, and, without a command, the demo.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use clap::{CommandFactory as _, Parser, error::ErrorKind};
use lockstep_provisioner::ops;
use lockstep_shared::{
    clock::SystemClock,
    config::{Program, environment},
    http::serve::raise_open_file_limit,
    signals::stop_on_signal,
    telemetry,
};
use lockstep_standalone::{
    demo::{Demo, DemoError, Ports, text},
    services,
    walkthrough::{self, Report, Step},
};
use serde_json::json;

/// Lets a company's people in through its own identity provider, and out the moment that it says so.
#[derive(Debug, Parser)]
#[command(name = "lockstep", version)]
struct Cli {
    #[command(flatten)]
    options: ops::Options,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Show Lockstep with a sample company, its identity provider and a protected app; the same as no command
    Demo(DemoOptions),
    /// Serve as gateway and provisioner until told to stop
    Serve,
    #[command(flatten)]
    Operate(ops::Command),
}

#[derive(Debug, Default, clap::Args)]
struct DemoOptions {
    /// Do the whole story by itself, say how long each step took, and fail if one does not hold
    #[arg(long)]
    walkthrough: bool,
    /// Take free ports instead of 8080, 8081, 8090, 8091 and 8100
    #[arg(long)]
    free_ports: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments).and_then(judge) {
        Ok(cli) => cli,
        Err(error) => return ops::usage(&error, &arguments).print(),
    };
    let environment: Vec<_> = environment().collect();
    let as_json = cli.options.json;
    let command = cli.command.unwrap_or_else(|| Command::Demo(DemoOptions::default()));
    let outcome = match command {
        Command::Operate(command) => {
            return ops::execute(Program::Standalone, &cli.options, command, &environment, SystemClock::shared()).await.print();
        }
        Command::Serve => serve(&cli.options, &environment).await.map(|()| ExitCode::SUCCESS),
        Command::Demo(DemoOptions { walkthrough: true, .. }) => walk(&environment, as_json).await,
        Command::Demo(options) => demo(&environment, &options).await.map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| refuse(error.as_ref(), as_json).print())
}

/// A configuration without a command that takes one is more likely a forgotten `serve` than a wish for the demo.
fn judge(cli: Cli) -> Result<Cli, clap::Error> {
    if cli.options.config.is_some() && matches!(cli.command, None | Some(Command::Demo(_))) {
        let advice = "the demo takes no configuration; to run with one, use `lockstep serve --config FILE`";
        return Err(Cli::command().error(ErrorKind::ArgumentConflict, advice));
    }
    Ok(cli)
}

fn refuse(error: &(dyn Error + 'static), as_json: bool) -> ops::Finished {
    match error.downcast_ref::<DemoError>() {
        Some(error) => {
            let (message, fix) = (error.to_string(), error.fix());
            let stderr = if as_json {
                format!("{}\n", json!({ "error": { "code": "demo", "message": message, "fix": fix } }))
            } else {
                format!("error: {message}\nfix: {fix}\n")
            };
            ops::Finished { stdout: String::new(), stderr, code: 1 }
        }
        None => ops::refuse(error, Program::Standalone, as_json),
    }
}

async fn serve(options: &ops::Options, environment: &[(String, String)]) -> Result<(), Box<dyn Error>> {
    let config = ops::load(options, environment)?;
    telemetry::init(environment.iter().cloned())?;
    raise_open_file_limit();
    let stop = stop_on_signal()?;
    let services = services::open(config, stop).await?;
    Ok(services::run(services).await?)
}

async fn demo(environment: &[(String, String)], options: &DemoOptions) -> Result<(), Box<dyn Error>> {
    quiet_log(environment)?;
    let stop = stop_on_signal()?;
    let ports = if options.free_ports { Ports::free()? } else { Ports::usual() };
    let demo = Demo::start(ports, stop.clone()).await?;
    demo.provision().await?;
    say(&text::welcome(&demo));
    stop.cancelled().await;
    say("\nThe demo ends.\n");
    Ok(demo.stop().await?)
}

async fn walk(environment: &[(String, String)], as_json: bool) -> Result<ExitCode, Box<dyn Error>> {
    quiet_log(environment)?;
    let stop = stop_on_signal()?;
    let mut number = 0;
    let report = walkthrough::walk(stop, |step: &Step| {
        number += 1;
        if !as_json {
            say(&format!("{number:>3}  {step}\n"));
        }
    });
    let report: Report = report.await;
    say(&if as_json { format!("{}\n", report.json()) } else { report.to_string() });
    Ok(if report.failure.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The demo's own text is what people should read: of the services only what is amiss, unless the environment wants more.
fn quiet_log(environment: &[(String, String)]) -> Result<(), telemetry::TelemetryError> {
    let usual = ("RUST_LOG".to_owned(), "warn".to_owned());
    telemetry::init(std::iter::once(usual).chain(environment.iter().cloned()))
}

/// A reader that has gone away is no failure.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split(' ')).and_then(judge)
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_command_is_the_demo() {
        assert!(parse("lockstep").unwrap().command.is_none());
        assert!(matches!(parse("lockstep demo --walkthrough").unwrap().command, Some(Command::Demo(_))));
        assert!(matches!(parse("lockstep serve --config x").unwrap().command, Some(Command::Serve)));
        assert!(matches!(parse("lockstep --json workspace show acme").unwrap().command, Some(Command::Operate(_))));
    }

    #[test]
    fn a_configuration_without_serve_does_not_start_the_demo() {
        for line in ["lockstep --config lockstep.toml", "lockstep demo --config lockstep.toml"] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict, "{line}");
            assert!(error.to_string().contains("lockstep serve --config"), "{error}");
        }
    }
}
