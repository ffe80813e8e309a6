//! Other SCIM servers, each a process of its own that keeps everything in memory.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use lockstep_tests::harness::{
    ports,
    process::{Launch, Process},
    scim::Scim,
};

use crate::{Failure, bare::client};

const READY: Duration = Duration::from_secs(30);
const TOKEN: &str = "a-benchmark";

/// Which server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Peer {
    /// `scim2-server` of the Python Package Index, by its own command.
    Scim2Server,
    /// `scimmy-routers` of npm, over a map.
    Scimmy,
}

impl Peer {
    pub(crate) const ALL: [Self; 2] = [Self::Scim2Server, Self::Scimmy];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Scim2Server => "scim2-server",
            Self::Scimmy => "scimmy-routers",
        }
    }

    /// How many times its rate ours has to be, though it writes nothing down.
    pub(crate) const fn limit(self) -> f64 {
        match self {
            Self::Scim2Server => 3.0,
            Self::Scimmy => 1.5,
        }
    }

    fn launch(self, folder: &Path, port: u16) -> (Launch, String) {
        let log = folder.join(format!("{}.log", self.name()));
        match self {
            Self::Scim2Server => {
                let launch = Launch::new(self.name(), PathBuf::from(self.name()), log);
                (launch.args(["--port", &port.to_string(), "--bearer-token", TOKEN]), format!("http://127.0.0.1:{port}/v2"))
            }
            Self::Scimmy => {
                let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/scimmy.mjs");
                let launch = Launch::new(self.name(), PathBuf::from("node"), log);
                (launch.args([script.display().to_string(), format!("127.0.0.1:{port}")]), format!("http://127.0.0.1:{port}"))
            }
        }
    }
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Running {
    process: Process,
    base: String,
}

impl Running {
    /// Starts one, and waits until it answers. `tests/benches/run` installs what it needs.
    pub(crate) async fn start(peer: Peer, folder: &Path) -> Result<Self, Failure> {
        let (launch, base) = peer.launch(folder, ports::free()?);
        let mut process = Process::start(&launch)?;
        let (client, url) = (client()?, format!("{base}/ServiceProviderConfig"));
        process.ready(READY, async || client.get(&url).bearer_auth(TOKEN).send().await.ok().map(drop)).await?;
        Ok(Self { process, base })
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    pub(crate) fn scim(&self) -> Result<Scim, Failure> {
        Ok(Scim::new(&self.base, TOKEN)?)
    }
}
