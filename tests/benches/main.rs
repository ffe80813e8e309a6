//! Benchmarks: what a decision, a provisioning write and a deactivation cost, each as a ratio to a bare part that is measured
//! in the same run. `tests/benches/run` builds and starts this; figures and how to read them are in the README beside it.

mod auth;
mod bare;
mod barrier;
mod figures;
mod installation;
mod machine;
mod provisioning;
mod sessions;
mod wrk;

use std::{error::Error, process::ExitCode};

use figures::say;

/// Whatever stops a benchmark.
type Failure = Box<dyn Error + Send + Sync>;

const USAGE: &str = "names: auth, scim, barrier; none is all of them";

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo says `--bench` to whatever it runs as a benchmark.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let outcome = match arguments.split_first() {
        Some((first, rest)) if first == bare::ROLE => bare::run(rest).await,
        _ => measure(&arguments).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("failed: {error:?}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(names: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = names.iter().find(|name| !["auth", "scim", "barrier"].contains(&name.as_str())) {
        return Err(format!("there is no benchmark {unknown}; {USAGE}").into());
    }
    let wanted = |name: &str| names.is_empty() || names.iter().any(|asked| asked == name);
    machine::describe()?;
    if wanted("auth") {
        auth::run().await?;
    }
    if wanted("scim") {
        provisioning::run().await?;
    }
    if wanted("barrier") {
        barrier::run().await?;
    }
    Ok(())
}
