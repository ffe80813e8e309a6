//! Whether the public URLs are such that browsers and providers can reach them. They are https or of this machine already:
//! the configuration takes no others.

use url::Host;

use super::Finding;
use crate::config::{Config, PublicUrl};

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(url) = &config.gateway.public_url {
        findings.push(judge("gateway URL", url, "browsers on other machines"));
    }
    if let Some(url) = &config.provisioner.public_url {
        findings.push(judge("provisioner URL", url, "identity providers in the cloud"));
    }
    findings
}

fn judge(name: &'static str, url: &PublicUrl, who: &str) -> Finding {
    let is_local = match url.url().host() {
        Some(Host::Domain(domain)) => domain == "localhost" || domain.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    let is_private = match url.url().host() {
        Some(Host::Ipv4(address)) => address.is_private() || address.is_link_local(),
        Some(Host::Ipv6(address)) => address.is_unique_local() || address.is_unicast_link_local(),
        Some(Host::Domain(_)) | None => false,
    };
    let fix = "give the public host name, such as https://login.example.com";
    if is_local {
        Finding::warning(name, format!("{url} is this machine: {who} cannot reach it"), fix)
    } else if is_private {
        Finding::warning(name, format!("{url} is a private address: {who} may not reach it"), fix)
    } else {
        Finding::passed(name, url.origin())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Verdict;

    #[test]
    fn a_url_that_others_cannot_reach_is_warned_of() {
        for (url, verdict) in [
            ("https://login.example.com", Verdict::Passed),
            ("https://localhost", Verdict::Warning),
            ("http://127.0.0.1:8080", Verdict::Warning),
            ("https://[::1]", Verdict::Warning),
            ("https://10.1.2.3", Verdict::Warning),
        ] {
            let finding = judge("gateway URL", &PublicUrl::parse(url).unwrap(), "browsers");
            assert_eq!(finding.verdict, verdict, "{url}");
        }
    }
}
