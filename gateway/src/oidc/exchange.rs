//! The token request (RFC 6749, section 4.1.3) and what is accepted as its answer. Tokens stay inside: they print as nothing
//! and reach neither browser nor upstream.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{Request, StatusCode, header};
use lockstep_shared::jose;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::{ClientAuthMethod, Excerpt, Metadata, ProviderError, Transport, transport};

/// How the gateway proves itself to the provider.
#[derive(Debug, Clone)]
pub enum ClientAuth {
    /// A client secret, in the way that the provider's metadata prefers.
    Secret(SecretString),
    /// A public client; PKCE alone protects the code.
    Public,
}

/// The gateway as the provider knows it.
#[derive(Debug, Clone)]
pub struct Client {
    /// The client id.
    pub id: String,
    /// Its proof.
    pub auth: ClientAuth,
}

/// What is exchanged for tokens.
#[derive(Clone, Copy)]
pub enum Grant<'a> {
    /// The code of a sign-in.
    Code {
        /// The code.
        code: &'a str,
        /// The redirect URI that the request named.
        redirect_uri: &'a str,
        /// The PKCE verifier.
        verifier: &'a str,
    },
    /// A refresh token.
    Refresh(&'a SecretString),
}

impl fmt::Debug for Grant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code { .. } => "Code { … }",
            Self::Refresh(_) => "Refresh(…)",
        })
    }
}

/// What the provider gave.
#[derive(Debug, Clone)]
pub struct Tokens {
    /// The ID token, not verified yet.
    pub id_token: SecretString,
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token, if there is one.
    pub refresh_token: Option<SecretString>,
    /// How long the access token lives, in seconds.
    pub expires_in: Option<u64>,
}

/// Why there are no tokens.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// No usable answer.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// `invalid_grant`: the code or refresh token is used, expired or not ours. A sign-in starts anew; a session ends.
    #[error("the provider no longer accepts the code or refresh token (invalid_grant)")]
    Spent,
    /// `invalid_client` or `unauthorized_client`: our configuration is wrong, which ends nobody's session.
    #[error(
        "the provider does not accept the connection's client id and secret ({0}): set them anew with `provisioner connection set`"
    )]
    Client(Excerpt),
    /// Another error of RFC 6749, section 5.2.
    #[error("the provider refused the token request with the error {0}")]
    Refused(Excerpt),
    /// An answer that is none.
    #[error("the provider's token response is not usable: {0}")]
    Malformed(&'static str),
}

/// Exchanges a grant for tokens.
pub async fn exchange(
    transport: &impl Transport,
    metadata: &Metadata,
    client: &Client,
    grant: Grant<'_>,
) -> Result<Tokens, ExchangeError> {
    let request = request(metadata, client, grant)?;
    let url = metadata.token_endpoint.to_string();
    let answer = transport
        .send(request)
        .await
        .map_err(|error| ProviderError::Unreachable { url: url.clone(), reason: transport::chain(&error) })?;
    if answer.body().len() > transport::BODY_LIMIT {
        return Err(ProviderError::TooLarge { url }.into());
    }
    let members = jose::object(answer.body()).ok();
    match (answer.status(), members) {
        (StatusCode::OK, Some(members)) => tokens(&members),
        (StatusCode::OK, None) => Err(ExchangeError::Malformed("it is not a JSON object")),
        (status, members) => Err(refused(status, members.as_ref(), url)),
    }
}

fn request(metadata: &Metadata, client: &Client, grant: Grant<'_>) -> Result<Request<Vec<u8>>, ExchangeError> {
    let mut form = form_urlencoded::Serializer::new(String::new());
    match grant {
        Grant::Code { code, redirect_uri, verifier } => form
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_verifier", verifier),
        Grant::Refresh(token) => {
            form.append_pair("grant_type", "refresh_token").append_pair("refresh_token", token.expose_secret())
        }
    };
    let mut request = Request::post(metadata.token_endpoint.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
    match (&client.auth, metadata.client_auth.first()) {
        (ClientAuth::Secret(secret), Some(ClientAuthMethod::ClientSecretBasic)) => {
            request = request.header(header::AUTHORIZATION, basic(&client.id, secret.expose_secret()));
        }
        (ClientAuth::Secret(secret), Some(ClientAuthMethod::ClientSecretPost) | None) => {
            form.append_pair("client_id", &client.id).append_pair("client_secret", secret.expose_secret());
        }
        (ClientAuth::Public, _) => {
            form.append_pair("client_id", &client.id);
        }
    }
    request.body(form.finish().into_bytes()).map_err(|_| ExchangeError::Malformed("the request could not be written"))
}

/// RFC 6749, section 2.3.1: both halves are form-encoded first, or a colon in the id would move the boundary.
fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

fn tokens(members: &Map<String, Value>) -> Result<Tokens, ExchangeError> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let secret = |name: &str| text(name).map(SecretString::from);
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(ExchangeError::Malformed("its token_type is not Bearer"));
    }
    // Old Entra sends the lifetime as a text.
    let expires_in = members.get("expires_in").and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok()));
    Ok(Tokens {
        id_token: secret("id_token").ok_or(ExchangeError::Malformed("it has no id_token"))?,
        access_token: secret("access_token").ok_or(ExchangeError::Malformed("it has no access_token"))?,
        refresh_token: secret("refresh_token"),
        expires_in,
    })
}

/// The `error` member decides, compared whole: a description that happens to mention a code decides nothing.
fn refused(status: StatusCode, members: Option<&Map<String, Value>>, url: String) -> ExchangeError {
    let code = members.and_then(|members| members.get("error")).and_then(Value::as_str);
    match code {
        Some(_) | None if status.is_server_error() => ProviderError::Status { url, status: status.as_u16() }.into(),
        Some("invalid_grant") => ExchangeError::Spent,
        Some(code @ ("invalid_client" | "unauthorized_client")) => ExchangeError::Client(Excerpt::of(code)),
        Some(code) => ExchangeError::Refused(Excerpt::of(code)),
        None => ProviderError::Status { url, status: status.as_u16() }.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::oidc::testing::{StubProvider, reply};

    fn metadata(methods: &Value) -> Metadata {
        let document = json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/a",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/k",
            "token_endpoint_auth_methods_supported": methods,
        });
        Metadata::parse("https://idp.example", document.to_string().as_bytes()).unwrap()
    }

    fn client() -> Client {
        Client { id: "lock:step".into(), auth: ClientAuth::Secret("p%ss wörd".into()) }
    }

    const GRANT: Grant<'_> = Grant::Code { code: "c+1", redirect_uri: "https://gate.example/callback/acme", verifier: "v" };

    async fn answered(status: u16, body: Value) -> Result<Tokens, ExchangeError> {
        let provider = StubProvider::new();
        provider.answer("https://idp.example/token", reply(status, &body.to_string()));
        exchange(&provider, &metadata(&json!(["client_secret_basic"])), &client(), GRANT).await
    }

    #[tokio::test]
    async fn a_secret_goes_where_the_provider_wants_it() {
        let good = json!({"token_type": "Bearer", "access_token": "a", "id_token": "i"}).to_string();
        let provider = StubProvider::new();
        provider.answer("https://idp.example/token", reply(200, &good));

        exchange(&provider, &metadata(&json!(["client_secret_basic", "client_secret_post"])), &client(), GRANT).await.unwrap();
        exchange(&provider, &metadata(&json!(["client_secret_post"])), &client(), GRANT).await.unwrap();

        let requests = provider.requests();
        let form = |n: usize| String::from_utf8(requests[n].body().clone()).unwrap();
        // "lock%3Astep:p%25ss+w%C3%B6rd"
        assert_eq!(requests[0].headers()["authorization"], "Basic bG9jayUzQXN0ZXA6cCUyNXNzK3clQzMlQjZyZA==");
        assert_eq!(
            form(0),
            "grant_type=authorization_code&code=c%2B1&redirect_uri=https%3A%2F%2Fgate.example%2Fcallback%2Facme&code_verifier=v"
        );
        assert!(!requests[1].headers().contains_key("authorization"));
        assert!(form(1).ends_with("&client_id=lock%3Astep&client_secret=p%25ss+w%C3%B6rd"), "{}", form(1));
    }

    #[tokio::test]
    async fn g47_odd_token_responses() {
        let with = |change: Value| {
            let mut body = json!({"token_type": "bearer", "access_token": "a", "id_token": "i", "expires_in": 3600});
            for (name, value) in change.as_object().unwrap() {
                body[name] = value.clone();
            }
            body
        };

        assert_eq!(answered(200, with(json!({}))).await.unwrap().expires_in, Some(3600));
        assert_eq!(answered(200, with(json!({"expires_in": "3600"}))).await.unwrap().expires_in, Some(3600));
        for odd in [json!(-1), json!("soon"), json!(null)] {
            assert_eq!(answered(200, with(json!({"expires_in": odd}))).await.unwrap().expires_in, None);
        }
        for (change, why) in [
            (json!({"token_type": "mac"}), "its token_type is not Bearer"),
            (json!({"token_type": null}), "its token_type is not Bearer"),
            (json!({"id_token": ""}), "it has no id_token"),
            (json!({"id_token": ["i"]}), "it has no id_token"),
            (json!({"access_token": null}), "it has no access_token"),
        ] {
            let refused = answered(200, with(change.clone())).await;
            assert!(matches!(refused, Err(ExchangeError::Malformed(reason)) if reason == why), "{change}: {refused:?}");
        }
        assert!(matches!(answered(200, json!([])).await, Err(ExchangeError::Malformed(_))));
    }

    #[tokio::test]
    async fn g63_an_error_is_its_code_and_never_its_description() {
        let said = |error: &str| json!({"error": error, "error_description": "invalid_grant invalid_client"});

        assert!(matches!(answered(400, said("invalid_grant")).await, Err(ExchangeError::Spent)));
        assert!(matches!(answered(401, said("invalid_client")).await, Err(ExchangeError::Client(_))));
        assert!(matches!(answered(400, said("invalid_scope")).await, Err(ExchangeError::Refused(_))));
        let outages = [(503, said("invalid_grant")), (500, json!("x")), (404, json!("x")), (302, json!({}))];
        for (status, body) in outages {
            let outcome = answered(status, body).await;
            assert!(matches!(outcome, Err(ExchangeError::Provider(ProviderError::Status { .. }))), "{status}: {outcome:?}");
        }
    }

    #[tokio::test]
    async fn tokens_and_secrets_print_as_nothing() {
        let tokens = answered(
            200,
            json!({"token_type": "Bearer", "access_token": "canary-a", "id_token": "canary-i", "refresh_token": "canary-r"}),
        )
        .await
        .unwrap();

        let printed = format!("{tokens:?} {:?} {GRANT:?}", client());

        assert!(!printed.contains("canary") && !printed.contains("p%ss") && !printed.contains("c+1"), "{printed}");
    }
}
