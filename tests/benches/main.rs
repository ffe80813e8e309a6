//! Benchmarks: what a decision, a provisioning write and a deactivation cost, each as a ratio to a bare part that is measured
//! in the same run. `tests/benches/run` builds and starts this; figures and how to read them are in the README beside it.

mod auth;
mod bare;
mod barrier;
mod connection;
mod figures;
mod installation;
mod machine;
mod peers;
mod provisioning;
mod scale;
mod seed;
mod sessions;
mod sync;
mod work;
mod wrk;

use std::{error::Error, process::ExitCode};

use figures::{Verdict, say};

/// Whatever stops a benchmark.
type Failure = Box<dyn Error + Send + Sync>;

const NAMES: [&str; 5] = ["auth", "scim", "barrier", "scale", "sync"];
/// Those that are run only if they are named.
const LONG: [&str; 3] = ["scale", "sync", SMOKE];
const SMOKE: &str = "smoke";
const USAGE: &str = "names: auth, scim, barrier, scale, sync; none is the first three; smoke is scale and sync in little";

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
    if let Some(unknown) = names.iter().find(|name| *name != SMOKE && !NAMES.contains(&name.as_str())) {
        return Err(format!("there is no benchmark {unknown}; {USAGE}").into());
    }
    let wanted = |name: &str| (names.is_empty() && !LONG.contains(&name)) || names.iter().any(|asked| asked == name);
    machine::describe()?;
    let mut verdict = Verdict::default();
    if wanted("auth") {
        auth::run().await?;
    }
    if wanted("scim") {
        provisioning::run(&mut verdict).await?;
    }
    if wanted("barrier") {
        barrier::run().await?;
    }
    if wanted("scale") {
        scale::run(scale::Size::WHOLE, &mut verdict).await?;
    }
    if wanted("sync") {
        sync::run(sync::Size::WHOLE).await?;
    }
    if wanted(SMOKE) {
        // What little takes is no measure: only that it is done rightly counts.
        scale::run(scale::Size::SMOKE, &mut Verdict::default()).await?;
        sync::run(sync::Size::SMOKE).await?;
        return Ok(());
    }
    verdict.end()
}
