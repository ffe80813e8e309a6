//! Chromium without a screen, driven through `chromedriver`, with a fresh profile. It reaches loopback and nothing else.

use std::{path::Path, time::Duration};

use fantoccini::{Client, ClientBuilder, Locator, wd::WebDriverCompatibleCommand};
use http::Method;
use hyper_util::client::legacy::connect::HttpConnector;
use rustix::process::Signal;
use serde_json::{Value, json};
use url::{ParseError, Url};

use super::{
    HarnessError, Scratch, ports,
    process::{Launch, Process, find},
};

const START: Duration = Duration::from_secs(30);
const PAGE: Duration = Duration::from_secs(15);

/// The debugging pipe makes Chromium end with the driver, however that ends.
const FLAGS: [&str; 14] = [
    "--remote-debugging-pipe",
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--disable-features=Translate,OptimizationHints,MediaRouter",
    "--window-size=1280,900",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1",
];

/// A running browser.
#[derive(Debug)]
pub struct Browser {
    client: Client,
    _driver: Process,
    _profile: Scratch,
}

impl Browser {
    /// Opens a browser with an empty profile.
    pub async fn open() -> Result<Self, HarnessError> {
        let profile = Scratch::new("browser")?;
        let port = ports::free()?;
        let launch = Launch::new("chromedriver", find("chromedriver", &[])?, profile.path().join("driver.log"))
            .args([format!("--port={port}")])
            .env("HOME", profile.path())
            .farewell(Signal::TERM);
        let mut driver = Process::start(&launch)?;
        let address = (std::net::Ipv4Addr::LOCALHOST, port);
        driver.ready(START, async || tokio::net::TcpStream::connect(address).await.ok().map(drop)).await?;
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities(profile.path())?)
            .connect(&format!("http://127.0.0.1:{port}"))
            .await?;
        Ok(Self { client, _driver: driver, _profile: profile })
    }

    /// The `WebDriver` client, for everything that this type has no word for.
    #[must_use]
    pub fn driver(&self) -> &Client {
        &self.client
    }

    /// Opens a page and waits until it has loaded.
    pub async fn goto(&self, url: &str) -> Result<(), HarnessError> {
        Ok(self.client.goto(url).await?)
    }

    /// The address that is shown.
    pub async fn url(&self) -> Result<url::Url, HarnessError> {
        Ok(self.client.current_url().await?)
    }

    /// The text of the page, as a person reads it.
    pub async fn text(&self) -> Result<String, HarnessError> {
        Ok(self.client.find(Locator::Css("body")).await?.text().await?)
    }

    /// Waits until an element is there, and clicks it.
    pub async fn click(&self, selector: &str) -> Result<(), HarnessError> {
        Ok(self.wait_for(selector).await?.click().await?)
    }

    /// Waits until a field is there, and types into it.
    pub async fn fill(&self, selector: &str, text: &str) -> Result<(), HarnessError> {
        Ok(self.wait_for(selector).await?.send_keys(text).await?)
    }

    /// Waits until an element is there.
    pub async fn wait_for(&self, selector: &str) -> Result<fantoccini::elements::Element, HarnessError> {
        Ok(self.client.wait().at_most(PAGE).for_element(Locator::Css(selector)).await?)
    }

    /// Makes the window as large as a desktop's or a phone's.
    pub async fn resize(&self, width: u32, height: u32) -> Result<(), HarnessError> {
        Ok(self.client.set_window_size(width, height).await?)
    }

    /// Shows pages as a screen of this size does, which may be narrower than any window.
    pub async fn viewport(&self, width: u32, height: u32) -> Result<(), HarnessError> {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await
    }

    /// The status with which the page that is shown was answered.
    pub async fn status(&self) -> Result<u64, HarnessError> {
        let script = "return performance.getEntriesByType('navigation')[0].responseStatus";
        Ok(self.client.execute(script, Vec::new()).await?.as_u64().unwrap_or_default())
    }

    async fn devtools(&self, command: &'static str, parameters: Value) -> Result<(), HarnessError> {
        self.client.issue_cmd(DevTools { command, parameters }).await?;
        Ok(())
    }

    /// Writes what is seen to a PNG file.
    pub async fn screenshot(&self, path: impl AsRef<Path>) -> Result<(), HarnessError> {
        Ok(std::fs::write(path, self.client.screenshot().await?)?)
    }

    /// Closes the window in good order; dropping the browser kills it instead.
    pub async fn close(self) -> Result<(), HarnessError> {
        Ok(self.client.clone().close().await?)
    }
}

/// A command of the Chrome `DevTools` Protocol, which chromedriver passes on.
#[derive(Debug)]
struct DevTools {
    command: &'static str,
    parameters: Value,
}

impl WebDriverCompatibleCommand for DevTools {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        (Method::POST, Some(json!({ "cmd": self.command, "params": self.parameters }).to_string()))
    }
}

fn capabilities(profile: &Path) -> Result<fantoccini::wd::Capabilities, HarnessError> {
    let mut flags: Vec<String> = FLAGS.map(str::to_owned).into();
    flags.push(format!("--user-data-dir={}", profile.join("profile").display()));
    let binary = find("chromium", &[])?;
    let wanted = json!({
        "acceptInsecureCerts": true,
        "goog:chromeOptions": { "binary": binary, "args": flags },
    });
    Ok(serde_json::from_value(wanted)?)
}
