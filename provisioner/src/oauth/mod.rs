//! OAuth 2.0 for identity providers that take nothing less: client credentials (RFC 6749, section 4.4), shown as a secret or as an
//! assertion (RFC 7523), for a bearer token of an hour or a few. The client's id names the workspace.

mod assertion;
mod error;
pub(crate) mod keys;
mod pace;
mod request;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use lockstep_shared::{
    clock::SharedClock,
    http::{client_addr::TrustedProxies, outbound::Outbound},
    id::OAuthClientId,
    jose::{Algorithm, Jws, TokenError},
    model::oauth_client::{AssertionTrust, ClientProof, OAuthClient},
    runtime::Runtime,
    secret::is_same,
    store::{EditError, NotGranted, OnceUntil, Store},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::{
    assertion::{Expected, NotBelieved, verify},
    error::OAuthError,
    keys::{Keys, KeysError},
    pace::Pace,
    request::{Shown, TokenRequest},
};
use crate::{
    limits::{Strangers, Visitor, address_of, proxies_of},
    service::{caller::may_provision, linger::drop_rest},
};

/// Where tokens are granted, below our origin.
pub const TOKEN_PATH: &str = "/oauth2/token";
/// Where RFC 8414 has the metadata.
const METADATA_PATH: &str = "/.well-known/oauth-authorization-server";
/// The largest form: an assertion of Entra has about 2 KiB.
const BODY_LIMIT: usize = 32 * 1024;
/// Two fetches of keys, and what is left hangs on the database.
const LONGEST: Duration = Duration::from_secs(30);

/// The token endpoint and its metadata. Clones share it.
#[derive(Debug, Clone)]
pub struct TokenService(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: SharedClock,
    tasks: TaskTracker,
    keys: Keys,
    strangers: Strangers,
    pace: Pace,
    trusted_proxies: TrustedProxies,
    origin: String,
    token_url: String,
}

impl TokenService {
    /// A service on a runtime, reached by providers at `origin`.
    #[must_use]
    pub fn new(runtime: &Runtime, origin: &str, outbound: Outbound) -> Self {
        Self(Arc::new(Inner {
            store: runtime.store.clone(),
            clock: runtime.clock.clone(),
            tasks: runtime.tasks.clone(),
            keys: Keys::new(outbound, runtime.clock.clone()),
            strangers: Strangers::default(),
            pace: Pace::new(runtime.clock.clone()),
            trusted_proxies: proxies_of(&runtime.config),
            origin: origin.to_owned(),
            token_url: format!("{origin}{TOKEN_PATH}"),
        }))
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new().route(TOKEN_PATH, post(token)).route(METADATA_PATH, get(metadata)).with_state(self)
    }
}

impl Inner {
    async fn grant(&self, headers: &HeaderMap, from: Option<IpAddr>, content: &mut Body) -> Result<Value, OAuthError> {
        let body = whole(content).await?;
        let TokenRequest { client: named, shown } = TokenRequest::parse(headers, &body)?;
        let id = named.or_else(|| subject_of(&shown)).ok_or(OAuthError::InvalidClient)?;
        let visitor = self.visitor(&id, &shown, from);
        // A client that was good lately is not limited for what others do from its address.
        if !self.strangers.knows(visitor) {
            self.strangers.attempt(from, self.clock.boot()).map_err(too_often)?;
        }
        let granted = self.grant_to(&id, &shown, visitor).await;
        match granted {
            Ok(_) => self.strangers.note(visitor, true),
            Err(OAuthError::InvalidClient) => self.strangers.note(visitor, false),
            Err(_) => {}
        }
        granted
    }

    /// By what a client is known again: its secret, or where it comes from, since each assertion is new.
    fn visitor(&self, id: &OAuthClientId, shown: &Shown, from: Option<IpAddr>) -> Visitor {
        match shown {
            Shown::Secret(secret) => self.strangers.visitor(id.as_str(), secret.expose().as_bytes()),
            Shown::Assertion(_) => self.strangers.visitor(id.as_str(), format!("{from:?}").as_bytes()),
        }
    }

    async fn grant_to(&self, id: &OAuthClientId, shown: &Shown, visitor: Visitor) -> Result<Value, OAuthError> {
        let found = self.store.oauth_client(&id.workspace(), id).await?;
        let (client, workspace) = found.ok_or(OAuthError::InvalidClient)?;
        tracing::Span::current().record("workspace.id", client.workspace.as_str());
        self.pace.take(visitor).map_err(|wait| refused(&client, "it asks too often", too_often(wait)))?;
        let once = self.authenticate(&client, shown).await?;
        may_provision(&workspace).map_err(|why| refused(&client, why, OAuthError::UnauthorizedClient(why)))?;
        let (secret, token) = self.store.grant_token(&client, once.as_ref()).await.map_err(|error| match error {
            EditError::Store(error) => error.into(),
            EditError::Refused(why @ (NotGranted::Revoked | NotGranted::Replayed)) => {
                refused(&client, why, OAuthError::InvalidClient)
            }
        })?;
        tracing::info!(client.id = %client.id, token.id = %token.id, "granted a token");
        Ok(json!({
            "access_token": secret.expose(),
            "token_type": "Bearer",
            "expires_in": client.token_lifetime.as_secs(),
            "scope": "scim",
        }))
    }

    /// Whether what is shown is the client's; what of it may be shown once alone.
    async fn authenticate(&self, client: &OAuthClient, shown: &Shown) -> Result<Option<OnceUntil>, OAuthError> {
        let invalid = |why: &dyn std::fmt::Display| refused(client, why, OAuthError::InvalidClient);
        if client.revoked_at.is_some() {
            return Err(invalid(&"it is revoked"));
        }
        match (&client.proof, shown) {
            (ClientProof::Secret { digest }, Shown::Secret(secret)) => {
                if is_same(digest, &secret.digest()) {
                    Ok(None)
                } else {
                    Err(invalid(&"its secret is another"))
                }
            }
            (ClientProof::Assertion(trust), Shown::Assertion(assertion)) => {
                let jws = Jws::parse(assertion).map_err(|error| invalid(&error))?;
                self.believe(client, trust, &jws).await
            }
            (ClientProof::Secret { .. }, Shown::Assertion(_)) => Err(invalid(&"it has a secret and showed an assertion")),
            (ClientProof::Assertion(_), Shown::Secret(_)) => Err(invalid(&"it has no secret and showed one")),
        }
    }

    async fn believe(
        &self,
        client: &OAuthClient,
        trust: &AssertionTrust,
        jws: &Jws<'_>,
    ) -> Result<Option<OnceUntil>, OAuthError> {
        let ours = [self.origin.as_str(), self.token_url.as_str()];
        let expected = Expected { trust, ours, now: self.clock.now() };
        let away = |error: KeysError| refused(client, error, OAuthError::Unavailable);
        let known = self.keys.of(&client.id, &trust.jwks_url).await.map_err(away)?;
        let outcome = match verify(jws, &known, &expected) {
            Err(NotBelieved::Token(TokenError::KeyUnknown)) => {
                match self.keys.after_rotation(&client.id, &trust.jwks_url).await {
                    Some(rotated) => verify(jws, &rotated, &expected),
                    None => Err(TokenError::KeyUnknown.into()),
                }
            }
            settled => settled,
        };
        outcome.map_err(|why| refused(client, why, OAuthError::InvalidClient))
    }
}

/// The one line that tells an operator why a client hears no.
fn refused(client: &OAuthClient, why: impl std::fmt::Display, error: OAuthError) -> OAuthError {
    tracing::info!(workspace.id = %client.workspace, client.id = %client.id, "an OAuth client was refused: {why}");
    error
}

fn too_often(wait: Duration) -> OAuthError {
    OAuthError::RateLimited { retry_after: u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1) }
}

/// Whom an assertion says that it speaks of: where to look, and nothing that is believed.
fn subject_of(shown: &Shown) -> Option<OAuthClientId> {
    let Shown::Assertion(assertion) = shown else { return None };
    let claims = Jws::parse(assertion).and_then(|jws| jws.claims()).ok()?;
    OAuthClientId::parse(claims.get("sub")?.as_str()?).ok()
}

async fn whole(content: &mut Body) -> Result<bytes::Bytes, OAuthError> {
    let arrived = Limited::new(content, BODY_LIMIT).collect().await.map_err(|error| {
        if error.is::<LengthLimitError>() {
            OAuthError::TooLarge
        } else {
            OAuthError::InvalidRequest("the body did not arrive whole")
        }
    })?;
    Ok(arrived.to_bytes())
}

async fn token(State(TokenService(service)): State<TokenService>, request: Request) -> Response {
    let (parts, mut content) = request.into_parts();
    let from = address_of(&parts, &service.trusted_proxies);
    let outcome = timeout(LONGEST, service.grant(&parts.headers, from, &mut content)).await;
    drop_rest(content, &service.tasks);
    match outcome.unwrap_or(Err(OAuthError::Unavailable)) {
        Ok(granted) => answer(StatusCode::OK, &granted),
        Err(error) => error.into_response(),
    }
}

/// RFC 8414, section 2: what is there, and nothing else.
async fn metadata(State(TokenService(service)): State<TokenService>) -> Response {
    let document = json!({
        "issuer": service.origin,
        "token_endpoint": service.token_url,
        "response_types_supported": [],
        "grant_types_supported": ["client_credentials"],
        "scopes_supported": ["scim"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": Algorithm::NAMES,
    });
    answer(StatusCode::OK, &document)
}

/// RFC 6749, section 5.1: what the token endpoint says is kept by nobody.
fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
