//! `[[apps]]`: what is protected. A host belongs to one app, so that the answer for it never depends on their order.

use std::collections::HashMap;

use url::Url;

use super::{error::Origin, reader::Section, values::HostName};
use crate::{
    id::WorkspaceId,
    model::{access::AccessName, attribute::AttributePath},
};

/// One of `[[apps]]`.
#[derive(Debug, Clone)]
pub struct App {
    /// The hosts under which browsers reach the app; at least one.
    pub hosts: Vec<HostName>,
    /// Where requests go; `None` where a proxy in front forwards them and only asks.
    pub upstream: Option<Url>,
    /// Whose people may use it; `None` is every workspace's.
    pub workspaces: Option<Vec<WorkspaceId>>,
    /// Of these roles a person needs one; empty asks for none.
    pub roles: Vec<String>,
    /// The audience of the identity JWT; without one the app gets none.
    pub audience: Option<String>,
    /// The attributes of a person that the identity JWT carries besides.
    pub claims: Vec<Claim>,
}

/// An attribute that an app is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// How the identity JWT calls it.
    pub name: String,
    /// Where it stands in the directory's record.
    pub path: AttributePath,
}

/// Claims that the identity JWT always has: an attribute of that name must not take their place.
const OWN_CLAIMS: [&str; 12] = ["iss", "aud", "sub", "workspace", "sid", "roles", "teams", "exp", "iat", "nbf", "jti", "nonce"];

pub(super) fn read(root: &mut Section<'_>) -> Vec<App> {
    let mut owners: HashMap<HostName, Origin> = HashMap::new();
    root.each("apps", |mut section| {
        let app = read_app(&mut section, &mut owners);
        section.finish();
        app
    })
}

fn read_app(section: &mut Section<'_>, owners: &mut HashMap<HostName, Origin>) -> Option<App> {
    let hosts = section.list_with_origin::<HostName>("hosts");
    let upstream = section.get("upstream");
    let workspaces = section.list_with_origin::<WorkspaceId>("workspaces");
    let roles: Vec<AccessName> = section.list("roles").unwrap_or_default();
    let audience = section.get("audience");
    let claims = read_claims(section);
    match &hosts {
        Some((hosts, origin)) if hosts.is_empty() => section.invalid("hosts", origin.clone(), "names no host".to_owned()),
        Some((hosts, origin)) => {
            for host in hosts {
                if let Some(first) = owners.insert(host.clone(), origin.clone()) {
                    section.invalid("hosts", origin.clone(), format!("has {host}, which is already given ({first})"));
                }
            }
        }
        None if section.has_problems() => {}
        None => section.missing(
            "apps.hosts",
            "each of [[apps]] needs the hosts under which browsers reach it, such as [\"app.example.com\"]",
        ),
    }
    if let Some((workspaces, origin)) = &workspaces
        && workspaces.is_empty()
    {
        let reason = "is empty, which would let nobody in; leave it out to let in every workspace".to_owned();
        section.invalid("workspaces", origin.clone(), reason);
    }
    Some(App {
        hosts: hosts?.0,
        upstream,
        workspaces: workspaces.map(|(workspaces, _)| workspaces),
        roles: roles.into_iter().map(String::from).collect(),
        audience,
        claims,
    })
}

/// Without a name of its own a claim is called as the attribute is: `folders` of `urn:…:folders`.
fn read_claims(section: &mut Section<'_>) -> Vec<Claim> {
    let Some((read, origin)) = section.named::<AttributePath>("claims") else { return Vec::new() };
    let claim =
        |(name, path): (Option<String>, AttributePath)| Claim { name: name.unwrap_or_else(|| path.name().to_owned()), path };
    let claims: Vec<Claim> = read.into_iter().map(claim).collect();
    for (index, Claim { name, path }) in claims.iter().enumerate() {
        if OWN_CLAIMS.contains(&name.as_str()) {
            let reason =
                format!("has \"{name}\", which the identity JWT sets itself; give it another name: {{ other = \"{path}\" }}");
            section.invalid("claims", origin.clone(), reason);
        }
        if claims.iter().take(index).any(|earlier| earlier.name == *name) {
            let reason = format!("has two claims called \"{name}\"; give them names: {{ other = \"{path}\" }}");
            section.invalid("claims", origin.clone(), reason);
        }
    }
    claims
}
