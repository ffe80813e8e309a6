//! Load by wrk: keep-alive connections from the core of the load, one cookie after the other. Every answer is accounted for:
//! none of an error's status, none lost, and all of the one size that the expected answer has. (wrk itself takes a redirect
//! for a success.)

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{Failure, figures::number, machine::LOAD};

const CONNECTIONS: u32 = 32;
const SCRIPT: &str = r#"
local requests, at = {}, 0
function init(args)
  for cookie in io.lines(args[2]) do
    requests[#requests + 1] = wrk.format("GET", nil, { Host = args[1], Cookie = cookie })
  end
end
function request()
  at = at % #requests + 1
  return requests[at]
end
function done(summary, latency)
  local errors = summary.errors
  local wrong = errors.status + errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("figures %d %d %d %d %d %d\n", summary.requests, summary.bytes, summary.duration, wrong,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// What is asked, by whom.
#[derive(Clone, Debug)]
pub(crate) struct Load {
    script: PathBuf,
    cookies: PathBuf,
}

/// What one run of wrk saw.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) requests: f64,
    pub(crate) per_second: f64,
    pub(crate) p99_micros: f64,
}

impl Load {
    /// A load whose requests carry these cookies in rotation.
    pub(crate) fn new(folder: &Path, name: &str, cookies: &[String]) -> Result<Self, Failure> {
        let load = Self { script: folder.join("load.lua"), cookies: folder.join(format!("{name}.cookies")) };
        fs::write(&load.script, SCRIPT)?;
        fs::write(&load.cookies, cookies.join("\n") + "\n")?;
        Ok(load)
    }

    /// Asks `url` under a host's name for a while; each answer must have `size` bytes, head and body.
    pub(crate) async fn run(&self, url: &str, host: &str, size: usize, seconds: u64) -> Result<Seen, Failure> {
        let mut command = tokio::process::Command::new("taskset");
        command.args(["-c", LOAD, "wrk", "--threads", "1", "--connections", &CONNECTIONS.to_string()]);
        command.args(["--duration", &format!("{seconds}s"), "--script"]).arg(&self.script).arg(url).arg("--").arg(host);
        let output = command.arg(&self.cookies).kill_on_drop(true).output().await?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find_map(|line| line.strip_prefix("figures "));
        let line = line.ok_or_else(|| format!("wrk said {text} {}", String::from_utf8_lossy(&output.stderr)))?;
        judge(line, number(size))
    }
}

fn judge(line: &str, size: f64) -> Result<Seen, Failure> {
    let fields: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, bytes, micros, wrong, _, p99_micros] = fields[..] else { return Err(format!("wrk said {line}").into()) };
    // Of the last answer on each connection a part may have been counted.
    let odd = (bytes - requests * size).abs() > f64::from(CONNECTIONS) * size;
    if wrong > 0.0 || odd || requests < 1.0 {
        return Err(format!("{wrong} of {requests} answers were wrong; {bytes} bytes in all, {size} in an expected one").into());
    }
    let per_second = requests / Duration::from_secs_f64(micros / 1e6).as_secs_f64();
    Ok(Seen { requests, per_second, p99_micros })
}
