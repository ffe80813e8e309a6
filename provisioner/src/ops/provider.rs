//! Tests a provider by its own documents: whether its metadata (OpenID Connect Discovery 1.0) and its keys would let people
//! sign in. It judges as strictly as the gateway will, and says in plain words what is wrong.

#[cfg(test)]
mod tests;

use lockstep_shared::{
    check::{Finding, chain},
    http::outbound::{Outbound, OutboundError},
};
use serde_json::{Map, Value};
use url::Url;

/// Entra's hosts: an issuer there names one company's tenant, or lets every company in.
const ENTRA_HOSTS: [&str; 4] =
    ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net"];
/// The tenant of all personal Microsoft accounts.
const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
const ALGORITHMS: [&str; 11] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"];
const CLIENT_AUTH: [&str; 2] = ["client_secret_basic", "client_secret_post"];
const ENDPOINTS: [&str; 3] = ["authorization_endpoint", "token_endpoint", "jwks_uri"];

/// Why a text is no issuer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Not a URL as issuers are.
    #[error("an issuer is an https URL without user, query and fragment")]
    Form,
    /// It belongs to nobody in particular.
    #[error("it is an issuer that all tenants of Entra share, so every company could sign in")]
    Shared,
    /// Our outbound client would not call it.
    #[error(transparent)]
    Outbound(OutboundError),
}

impl IssuerError {
    /// What to do about it.
    pub(super) fn fix(&self) -> String {
        match self {
            Self::Form => "copy the issuer from the provider's metadata, such as https://example.okta.com".to_owned(),
            Self::Shared => "use https://login.microsoftonline.com/<tenant id>/v2.0 with the company's own tenant id".to_owned(),
            Self::Outbound(_) => "use the provider's public https address, or list the host under [outbound]".to_owned(),
        }
    }
}

/// Where an issuer's metadata is.
fn location(issuer: &str) -> Result<Url, IssuerError> {
    let parsed = Url::parse(issuer).map_err(|_| IssuerError::Form)?;
    let has_odd = issuer.contains(|c: char| matches!(c, '?' | '#' | '@') || c.is_whitespace() || c.is_control());
    if has_odd || !matches!(parsed.scheme(), "https" | "http") || parsed.host().is_none() {
        return Err(IssuerError::Form);
    }
    if is_shared(&parsed) {
        return Err(IssuerError::Shared);
    }
    let place = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
    Url::parse(&place).map_err(|_| IssuerError::Form)
}

fn is_shared(issuer: &Url) -> bool {
    let tenant = issuer.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
    let is_one = tenant.len() == 36
        && tenant != PERSONAL_ACCOUNTS
        && tenant.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f' | b'-'));
    issuer.host_str().is_some_and(|host| ENTRA_HOSTS.contains(&host)) && !is_one
}

/// Refuses an issuer that all tenants of Entra share; another text may be an issuer.
pub(super) fn refuse_shared(issuer: &str) -> Result<(), IssuerError> {
    if Url::parse(issuer).is_ok_and(|issuer| is_shared(&issuer)) { Err(IssuerError::Shared) } else { Ok(()) }
}

/// Whether an issuer can be used, as far as it tells by itself.
pub(super) fn check_issuer(outbound: &Outbound, issuer: &str) -> Result<(), IssuerError> {
    outbound.check(&location(issuer)?).map_err(IssuerError::Outbound)
}

/// Asks the provider, and says what would keep people from signing in.
pub(super) async fn examine(outbound: &Outbound, issuer: &str) -> Vec<Finding> {
    let place = match location(issuer) {
        Ok(place) => place,
        Err(error) => return vec![Finding::problem("issuer", error.to_string(), error.fix())],
    };
    let metadata = match outbound.get_json::<Map<String, Value>>(&place).await {
        Ok(metadata) => metadata,
        Err(error) => return vec![unanswered("discovery", &place, &error)],
    };
    let mut findings = vec![Finding::passed("discovery", format!("{place} answers"))];
    findings.extend(judge_metadata(issuer, &metadata));
    if let Some(jwks_uri) = endpoint(issuer, &metadata, "jwks_uri") {
        findings.push(match outbound.get_json::<Value>(&jwks_uri).await {
            Ok(keys) => judge_keys(&keys),
            Err(error) => unanswered("keys", &jwks_uri, &error),
        });
    }
    findings
}

fn unanswered(name: &'static str, place: &Url, error: &OutboundError) -> Finding {
    let fix = match error {
        OutboundError::NotPublic { .. } | OutboundError::NotHttps { .. } => {
            "list the host under [outbound], if it is meant to be called"
        }
        OutboundError::Connect(_) => {
            "see that the provider runs and, if its certificate is your own authority's, set [outbound] ca_file"
        }
        OutboundError::Timeout | OutboundError::Broken(_) => "see that this machine can reach the provider, then try again",
        OutboundError::InvalidUrl
        | OutboundError::NotFound { .. }
        | OutboundError::TooLarge { .. }
        | OutboundError::Status(_)
        | OutboundError::Json(_) => "see that the issuer is spelt exactly as the provider has it",
    };
    Finding::problem(name, format!("{place}: {}", chain(error)), fix)
}

/// What the metadata says, point by point.
fn judge_metadata(issuer: &str, metadata: &Map<String, Value>) -> Vec<Finding> {
    let mut findings = vec![judge_issuer(issuer, metadata.get("issuer").and_then(Value::as_str))];
    findings.extend(ENDPOINTS.into_iter().filter(|name| endpoint(issuer, metadata, name).is_none()).map(|name| {
        Finding::problem("endpoints", format!("{name} is missing or is not an https URL"), "the provider has to publish it")
    }));
    findings.push(match strings(metadata, "response_types_supported") {
        Some(types) if !types.contains(&"code") => Finding::problem(
            "code flow",
            "the provider does not offer the response type code",
            "allow the authorization code flow there",
        ),
        Some(_) | None => Finding::passed("code flow", "response type code"),
    });
    findings.push(match strings(metadata, "code_challenge_methods_supported") {
        Some(methods) if !methods.contains(&"S256") => {
            Finding::problem("PKCE", "the provider does not offer the method S256", "allow PKCE with S256 there")
        }
        Some(_) => Finding::passed("PKCE", "S256"),
        None => Finding::passed("PKCE", "S256 is sent; the provider does not say whether it checks it"),
    });
    findings.push(in_common(
        "signatures",
        metadata,
        ("id_token_signing_alg_values_supported", "RS256"),
        &ALGORITHMS,
        "let the provider sign ID tokens with RS256, ES256 or another asymmetric algorithm",
    ));
    findings.push(in_common(
        "client secret",
        metadata,
        ("token_endpoint_auth_methods_supported", "client_secret_basic"),
        &CLIENT_AUTH,
        "let our client authenticate with a secret (client_secret_basic or client_secret_post)",
    ));
    findings
}

/// Discovery 1.0, section 4.3: octet by octet.
fn judge_issuer(issuer: &str, claimed: Option<&str>) -> Finding {
    match claimed {
        Some(claimed) if claimed == issuer => Finding::passed("issuer", claimed),
        Some(claimed) => Finding::problem(
            "issuer",
            format!(
                "the provider calls itself {}, and the connection says {issuer}; they must be equal to the letter",
                excerpt(claimed)
            ),
            format!("if that is the right provider, set --issuer {}", excerpt(claimed)),
        ),
        None => Finding::problem("issuer", "the metadata names no issuer", "see that the issuer is an OpenID provider's"),
    }
}

/// Whether a list and ours have something in common; where the provider publishes no list, the specification has a default.
fn in_common(
    name: &'static str,
    metadata: &Map<String, Value>,
    (list, default): (&str, &'static str),
    ours: &[&str],
    fix: &str,
) -> Finding {
    let theirs = strings(metadata, list).unwrap_or_else(|| vec![default]);
    let common: Vec<&str> = theirs.iter().copied().filter(|entry| ours.contains(entry)).collect();
    if common.is_empty() {
        let offered: Vec<String> = theirs.iter().take(20).map(|entry| excerpt(entry)).collect();
        Finding::problem(name, format!("nothing in common: the provider offers {}", offered.join(", ")), fix)
    } else {
        Finding::passed(name, common.join(", "))
    }
}

fn endpoint(issuer: &str, metadata: &Map<String, Value>, name: &str) -> Option<Url> {
    let url = Url::parse(metadata.get(name)?.as_str()?).ok()?;
    // Plain http exists in demonstrations alone; the outbound client decides which hosts may.
    let has_scheme = url.scheme() == "https" || (issuer.starts_with("http://") && url.scheme() == "http");
    (has_scheme && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()).then_some(url)
}

fn strings<'a>(metadata: &'a Map<String, Value>, list: &str) -> Option<Vec<&'a str>> {
    metadata.get(list)?.as_array().map(|entries| entries.iter().filter_map(Value::as_str).collect())
}

/// Whether any key could verify an ID token.
fn judge_keys(keys: &Value) -> Finding {
    let listed = keys.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let verifies = |key: &&Value| {
        let text = |member| key.get(member).and_then(Value::as_str);
        matches!(text("kty"), Some("RSA" | "EC" | "OKP")) && text("use").is_none_or(|r#use| r#use == "sig")
    };
    match listed.iter().filter(verifies).count() {
        0 => Finding::problem(
            "keys",
            format!("of {} published keys none can verify an ID token", listed.len()),
            "the provider has to publish an RSA, EC or Ed25519 key for signatures",
        ),
        usable => Finding::passed("keys", format!("{usable} for signatures")),
    }
}

/// A provider's text as it may be shown: one line, not too long.
fn excerpt(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
