//! Whether somebody listens where the apps are said to be. An app may be started later, so nobody there is no problem yet.

use std::time::Duration;

use tokio::{net::TcpStream, time::timeout};
use url::Url;

use super::Finding;
use crate::config::App;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

pub(super) async fn check(apps: &[App]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for upstream in apps.iter().filter_map(|app| app.upstream.as_ref()) {
        findings.push(judge(upstream).await);
    }
    findings
}

async fn judge(upstream: &Url) -> Finding {
    let (Some(host), Some(port)) = (upstream.host_str(), upstream.port_or_known_default()) else {
        return Finding::problem("app", format!("{upstream} names no host"), "mend [[apps]] upstream");
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let reason = match timeout(CONNECT_WITHIN, TcpStream::connect((host, port))).await {
        Ok(Ok(_)) => return Finding::passed("app", format!("{upstream} takes connections")),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no connection within {} s", CONNECT_WITHIN.as_secs()),
    };
    let fix = "start the app, or mend [[apps]] upstream; until then its people read that it cannot be reached";
    Finding::warning("app", format!("{upstream}: {reason}"), fix)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::check::Verdict;

    #[tokio::test]
    async fn an_app_that_is_not_there_is_warned_of() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();

        assert_eq!(judge(&upstream).await.verdict, Verdict::Passed);
        drop(listener);
        assert_eq!(judge(&upstream).await.verdict, Verdict::Warning);
    }
}
