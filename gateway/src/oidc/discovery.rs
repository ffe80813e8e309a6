//! The provider's metadata (OpenID Connect Discovery 1.0, section 4): what it must say for the gateway to send anybody there.

use lockstep_shared::jose;
use serde_json::{Map, Value};
use url::Url;

use super::{Algorithm, Excerpt, entra};

/// How the gateway may prove itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuthMethod {
    /// RFC 6749, section 2.3.1, in a header.
    ClientSecretBasic,
    /// The same in the body.
    ClientSecretPost,
}

/// Why a discovery document will not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// The configured issuer is no issuer.
    #[error("the issuer must be an https URL without query and fragment")]
    IssuerUrl,
    /// Entra's shared issuers let every company in.
    #[error("the issuer is one that all tenants share: use https://login.microsoftonline.com/<your tenant id>/v2.0")]
    SharedIssuer,
    /// Not a JSON object, or a member twice.
    #[error("it is not a JSON object")]
    Malformed,
    /// Discovery 1.0, section 4.3.
    #[error("it is about the issuer {0}, which is not exactly the one that was asked")]
    IssuerMismatch(Excerpt),
    /// A required member is absent or no URL that can be used.
    #[error("its {0} is missing or is not an https URL")]
    Endpoint(&'static str),
    /// The provider has no code flow.
    #[error("it does not offer the response type code")]
    NoCodeFlow,
    /// The provider says that it knows PKCE but not S256.
    #[error("it does not offer the PKCE method S256")]
    NoS256,
    /// Nothing in common.
    #[error("it offers no asymmetric algorithm for ID tokens that is accepted here")]
    NoAlgorithm,
    /// Nothing in common.
    #[error("it offers neither client_secret_basic nor client_secret_post at its token endpoint")]
    NoClientAuth,
}

/// What the gateway uses of a provider's metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The issuer, exactly as configured.
    pub issuer: String,
    /// Where browsers are sent.
    pub authorization_endpoint: Url,
    /// Where codes are exchanged.
    pub token_endpoint: Url,
    /// Where the keys are.
    pub jwks_uri: Url,
    /// Where a sign-out at the provider starts.
    pub end_session_endpoint: Option<Url>,
    /// The algorithms of its ID tokens, of those that are accepted here.
    pub algorithms: Vec<Algorithm>,
    /// How the gateway proves itself; the first one is used.
    pub client_auth: Vec<ClientAuthMethod>,
    /// RFC 9207: whether its answers carry `iss`.
    pub response_issuer: bool,
}

impl Metadata {
    /// Where an issuer's metadata is.
    pub fn location(issuer: &str) -> Result<Url, MetadataError> {
        if entra::is_shared(issuer) {
            return Err(MetadataError::SharedIssuer);
        }
        let parsed = Url::parse(issuer).map_err(|_| MetadataError::IssuerUrl)?;
        let plain = matches!(parsed.scheme(), "https" | "http")
            && !issuer.contains(['?', '#', '@'])
            && !issuer.contains(|c: char| c.is_whitespace() || c.is_control());
        if !plain {
            return Err(MetadataError::IssuerUrl);
        }
        let location = format!("{}/.well-known/openid-configuration", issuer.strip_suffix('/').unwrap_or(issuer));
        Url::parse(&location).map_err(|_| MetadataError::IssuerUrl)
    }

    /// Reads the discovery document of `issuer`.
    pub fn parse(issuer: &str, document: &[u8]) -> Result<Self, MetadataError> {
        let members = jose::object(document).map_err(|_| MetadataError::Malformed)?;
        let claimed = members.get("issuer").and_then(Value::as_str).unwrap_or("");
        if claimed != issuer {
            return Err(MetadataError::IssuerMismatch(Excerpt::of(claimed)));
        }
        // An issuer on plain http exists in demonstrations alone; the outbound client decides which hosts may.
        let endpoints = Endpoints { members: &members, may_be_plain: issuer.starts_with("http://") };
        if !offers(&members, "response_types_supported", "code") {
            return Err(MetadataError::NoCodeFlow);
        }
        if !offers(&members, "code_challenge_methods_supported", "S256") {
            return Err(MetadataError::NoS256);
        }
        Ok(Self {
            issuer: issuer.to_owned(),
            authorization_endpoint: endpoints.required("authorization_endpoint")?,
            token_endpoint: endpoints.required("token_endpoint")?,
            jwks_uri: endpoints.required("jwks_uri")?,
            end_session_endpoint: endpoints.optional("end_session_endpoint"),
            algorithms: algorithms(&members)?,
            client_auth: client_auth(&members)?,
            response_issuer: members.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        })
    }
}

struct Endpoints<'a> {
    members: &'a Map<String, Value>,
    may_be_plain: bool,
}

impl Endpoints<'_> {
    fn required(&self, name: &'static str) -> Result<Url, MetadataError> {
        self.optional(name).ok_or(MetadataError::Endpoint(name))
    }

    fn optional(&self, name: &str) -> Option<Url> {
        let url = Url::parse(self.members.get(name)?.as_str()?).ok()?;
        let scheme = url.scheme() == "https" || (self.may_be_plain && url.scheme() == "http");
        (scheme && url.fragment().is_none() && url.username().is_empty() && url.password().is_none()).then_some(url)
    }
}

/// Whether a list has an entry; a provider that does not publish the list is not held to it.
fn offers(members: &Map<String, Value>, list: &str, entry: &str) -> bool {
    strings(members, list).is_none_or(|entries| entries.contains(&entry))
}

fn strings<'a>(members: &'a Map<String, Value>, list: &str) -> Option<Vec<&'a str>> {
    members.get(list)?.as_array().map(|entries| entries.iter().filter_map(Value::as_str).collect())
}

fn algorithms(members: &Map<String, Value>) -> Result<Vec<Algorithm>, MetadataError> {
    // Required by Discovery 1.0, section 3; where it is absent RS256 is what every provider must support.
    let names = strings(members, "id_token_signing_alg_values_supported").unwrap_or_else(|| vec!["RS256"]);
    let known: Vec<_> = names.into_iter().filter_map(Algorithm::parse).collect();
    if known.is_empty() { Err(MetadataError::NoAlgorithm) } else { Ok(known) }
}

fn client_auth(members: &Map<String, Value>) -> Result<Vec<ClientAuthMethod>, MetadataError> {
    let names = strings(members, "token_endpoint_auth_methods_supported").unwrap_or_else(|| vec!["client_secret_basic"]);
    let known = [
        ("client_secret_basic", ClientAuthMethod::ClientSecretBasic),
        ("client_secret_post", ClientAuthMethod::ClientSecretPost),
    ];
    let common: Vec<_> = known.into_iter().filter(|(name, _)| names.contains(name)).map(|(_, method)| method).collect();
    if common.is_empty() { Err(MetadataError::NoClientAuth) } else { Ok(common) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://idp.example";

    fn document() -> Value {
        json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/authorize?realm=a",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://keys.idp.example/jwks",
            "response_types_supported": ["code", "id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["HS256", "none", "ES256", "RS256", "XX1"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post", "client_secret_basic"],
            "code_challenge_methods_supported": ["plain", "S256"],
            "authorization_response_iss_parameter_supported": true,
            "end_session_endpoint": "javascript:alert(1)",
        })
    }

    fn parse(change: Value) -> Result<Metadata, MetadataError> {
        let mut document = document();
        let Value::Object(change) = change else { panic!("not an object") };
        for (name, value) in change {
            document[name] = value;
        }
        Metadata::parse(ISSUER, document.to_string().as_bytes())
    }

    #[test]
    fn what_is_offered_is_what_both_sides_know() {
        let metadata = parse(json!({})).unwrap();

        assert_eq!(metadata.algorithms, [Algorithm::Es256, Algorithm::Rs256], "never a symmetric one, never none");
        assert_eq!(metadata.client_auth, [ClientAuthMethod::ClientSecretBasic, ClientAuthMethod::ClientSecretPost]);
        assert_eq!(metadata.end_session_endpoint, None);
        assert!(metadata.response_issuer);
    }

    #[test]
    fn a_sparse_document_has_the_defaults_of_the_specification() {
        let sparse = json!({"issuer": ISSUER, "authorization_endpoint": "https://a/", "token_endpoint": "https://t/", "jwks_uri": "https://k/"});

        let metadata = Metadata::parse(ISSUER, sparse.to_string().as_bytes()).unwrap();

        assert_eq!(
            (metadata.algorithms, metadata.client_auth),
            (vec![Algorithm::Rs256], vec![ClientAuthMethod::ClientSecretBasic])
        );
        assert!(!metadata.response_issuer);
    }

    #[test]
    fn g46_the_issuer_is_compared_octet_by_octet() {
        for other in [
            "https://idp.example/",
            "https://IDP.example",
            "http://idp.example",
            "https://idp.example:443",
            "https://idp.exampIe",
            "",
        ] {
            assert_eq!(parse(json!({"issuer": other})).unwrap_err(), MetadataError::IssuerMismatch(Excerpt::of(other)));
        }
        assert!(matches!(parse(json!({"issuer": [ISSUER]})), Err(MetadataError::IssuerMismatch(_))));
    }

    #[test]
    fn g46_endpoints_are_https_without_tricks() {
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            let bad = [
                json!("http://idp.example/x"),
                json!("/x"),
                json!("ftp://x/"),
                json!("https://u:p@idp.example/"),
                json!("https://idp.example/#x"),
                json!(1),
                json!(null),
            ];
            for value in bad {
                let mut change = json!({});
                change[name] = value.clone();
                assert_eq!(parse(change).unwrap_err(), MetadataError::Endpoint(name), "{name}: {value}");
            }
        }
    }

    #[test]
    fn a_provider_that_lacks_what_is_needed_is_refused_by_name() {
        assert_eq!(parse(json!({"response_types_supported": ["id_token"]})).unwrap_err(), MetadataError::NoCodeFlow);
        assert_eq!(parse(json!({"code_challenge_methods_supported": ["plain"]})).unwrap_err(), MetadataError::NoS256);
        assert_eq!(
            parse(json!({"id_token_signing_alg_values_supported": ["HS256", "none"]})).unwrap_err(),
            MetadataError::NoAlgorithm
        );
        assert_eq!(
            parse(json!({"token_endpoint_auth_methods_supported": ["tls_client_auth"]})).unwrap_err(),
            MetadataError::NoClientAuth
        );
        for text in ["<html>", "[]", "", r#"{"issuer":"https://idp.example","issuer":"https://idp.example"}"#] {
            assert_eq!(Metadata::parse(ISSUER, text.as_bytes()).unwrap_err(), MetadataError::Malformed, "{text}");
        }
    }

    #[test]
    fn metadata_is_found_beside_the_issuer() {
        let found = |issuer| Metadata::location(issuer).map(|url| url.to_string());

        assert_eq!(found("https://idp.example").unwrap(), "https://idp.example/.well-known/openid-configuration");
        assert_eq!(found("https://idp.example/").unwrap(), "https://idp.example/.well-known/openid-configuration");
        assert_eq!(found("https://idp.example/a/b").unwrap(), "https://idp.example/a/b/.well-known/openid-configuration");
        for bad in [
            "",
            "idp.example",
            "https://idp.example?x=1",
            "https://idp.example#x",
            "https://u@idp.example",
            "file:///etc",
            "https://idp.example/ a",
        ] {
            assert_eq!(found(bad), Err(MetadataError::IssuerUrl), "{bad}");
        }
        assert_eq!(found("https://login.microsoftonline.com/common/v2.0"), Err(MetadataError::SharedIssuer));
    }
}
