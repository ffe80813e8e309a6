//! OAuth 2.0 for identity providers that take nothing less: client credentials (RFC 6749, section 4.4), shown as a secret or as an
//! assertion (RFC 7523), for a bearer token of an hour or a few. The client's id names the workspace.

mod assertion;
mod error;
pub(crate) mod keys;
mod pace;
mod refusal;
mod request;

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use lockstep_shared::{
    clock::SharedClock,
    http::{client_addr::TrustedProxies, layers::RequestId, outbound::Outbound},
    id::OAuthClientId,
    jose::{Algorithm, Jws, TokenError},
    model::{
        oauth_client::{AssertionTrust, ClientProof, OAuthClient},
        provisioning::Action,
        workspace::Workspace,
    },
    runtime::Runtime,
    secret::is_same,
    store::{EditError, OnceUntil, Store},
};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::{
    assertion::{Expected, NotBelieved, verify},
    error::OAuthError,
    keys::Keys,
    pace::Pace,
    refusal::Refusal,
    request::{Shown, TokenRequest, seems_from},
};
use crate::{
    journal::{Journal, Line, Origin, Reason},
    limits::{Overload, Strangers, Visitor, address_of, proxies_of},
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
    journal: Journal,
    trusted_proxies: TrustedProxies,
    origin: String,
    token_url: String,
}

impl TokenService {
    /// A service on a runtime, reached by providers at `origin`.
    #[must_use]
    pub fn new(runtime: &Runtime, origin: &str, outbound: Outbound, journal: Journal) -> Self {
        Self(Arc::new(Inner {
            store: runtime.store.clone(),
            clock: runtime.clock.clone(),
            tasks: runtime.tasks.clone(),
            keys: Keys::new(outbound, runtime.clock.clone()),
            strangers: Strangers::default(),
            pace: Pace::new(runtime.clock.clone()),
            journal,
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

/// Who asks, as far as is known before anything is believed.
struct Asked<'a> {
    id: &'a OAuthClientId,
    shown: &'a Shown,
    visitor: Visitor,
    origin: &'a Origin,
}

impl Inner {
    async fn grant(&self, parts: &Parts, content: &mut Body) -> Result<Value, OAuthError> {
        let body = whole(content).await?;
        let (from, origin) = (address_of(parts, &self.trusted_proxies), origin_of(parts));
        let TokenRequest { client: named, shown } = match TokenRequest::parse(&parts.headers, &body) {
            Ok(request) => request,
            Err(error) => {
                self.tell_of_malformed(seems_from(&parts.headers, &body), from, &origin, &error).await;
                return Err(error);
            }
        };
        let id = named.or_else(|| shown.subject()).ok_or(OAuthError::InvalidClient)?;
        let visitor = self.visitor(&id, &shown, from);
        // A client that was good lately is not limited for what others do from its address.
        if !self.strangers.knows(visitor) {
            self.strangers.attempt(from, self.clock.boot()).map_err(|wait| {
                self.journal.turned_away(id.workspace().as_str(), &Reason::Busy(Overload::Strangers), &origin.client);
                OAuthError::too_often(wait)
            })?;
        }
        let granted =
            self.grant_to(&Asked { id: &id, shown: &shown, visitor, origin: &origin }).await.map_err(Refusal::into_error);
        match granted {
            Ok(_) => self.strangers.note(visitor, true),
            Err(OAuthError::InvalidClient) => self.strangers.note(visitor, false),
            Err(_) => {}
        }
        granted
    }

    /// Tells the workspace that a request names, for it may well be its provider's: as of a client if there is one of that name, else
    /// as of a stranger. Who sends too many is not listened to.
    async fn tell_of_malformed(&self, named: Option<OAuthClientId>, from: Option<IpAddr>, origin: &Origin, error: &OAuthError) {
        let Some(id) = named.filter(|_| self.strangers.attempt(from, self.clock.boot()).is_ok()) else { return };
        let why = refusal::of_malformed(error);
        match self.store.oauth_client(&id.workspace(), &id).await {
            Ok(Some((client, _))) => self.journal.no_token_to(&client, origin, why),
            Ok(None) | Err(_) => self.journal.no_token(&id.workspace(), origin, why),
        }
    }

    /// By what a client is known again: its secret, or where it comes from, since each assertion is new.
    fn visitor(&self, id: &OAuthClientId, shown: &Shown, from: Option<IpAddr>) -> Visitor {
        match shown {
            Shown::Secret(secret) => self.strangers.visitor(id.as_str(), secret.expose().as_bytes()),
            Shown::Assertion(_) => self.strangers.visitor(id.as_str(), format!("{from:?}").as_bytes()),
        }
    }

    async fn grant_to(&self, asked: &Asked<'_>) -> Result<Value, Refusal> {
        let workspace = asked.id.workspace();
        let Some((client, workspace)) = self.store.oauth_client(&workspace, asked.id).await? else {
            self.journal.no_token(&workspace, asked.origin, Refusal::Unknown.told(None, &self.token_url));
            return Err(Refusal::Unknown);
        };
        tracing::Span::current().record("workspace.id", client.workspace.as_str());
        let name = client.id.to_string();
        let record = self.journal.begin(&client.workspace, name, asked.origin, Action::TokenGrant, &Line::default());
        match self.grant_to_known(&client, &workspace, asked).await {
            Ok(granted) => {
                record.done(StatusCode::OK.as_u16()).await;
                Ok(granted)
            }
            Err(why) => {
                tracing::info!(workspace.id = %client.workspace, client.id = %client.id, "an OAuth client was refused: {why}");
                record.not_granted(why.told(Some(&client), &self.token_url));
                Err(why)
            }
        }
    }

    async fn grant_to_known(&self, client: &OAuthClient, workspace: &Workspace, asked: &Asked<'_>) -> Result<Value, Refusal> {
        self.pace.take(asked.visitor).map_err(Refusal::TooOften)?;
        let once = self.authenticate(client, asked.shown).await?;
        may_provision(workspace).map_err(Refusal::Closed)?;
        let (secret, token) = self.store.grant_token(client, once.as_ref()).await.map_err(|error| match error {
            EditError::Store(error) => error.into(),
            EditError::Refused(why) => Refusal::from(why),
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
    async fn authenticate(&self, client: &OAuthClient, shown: &Shown) -> Result<Option<OnceUntil>, Refusal> {
        if client.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        match (&client.proof, shown) {
            (ClientProof::Secret { digest }, Shown::Secret(secret)) => {
                if is_same(digest, &secret.digest()) {
                    Ok(None)
                } else {
                    Err(Refusal::Secret)
                }
            }
            (ClientProof::Assertion(trust), Shown::Assertion(assertion)) => {
                self.believe(client, trust, &Jws::parse(assertion)?).await
            }
            (ClientProof::Secret { .. }, Shown::Assertion(_)) => Err(Refusal::NotByAssertion),
            (ClientProof::Assertion(_), Shown::Secret(_)) => Err(Refusal::NotBySecret),
        }
    }

    async fn believe(&self, client: &OAuthClient, trust: &AssertionTrust, jws: &Jws<'_>) -> Result<Option<OnceUntil>, Refusal> {
        let ours = [self.origin.as_str(), self.token_url.as_str()];
        let expected = Expected { trust, ours, now: self.clock.now() };
        let known = self.keys.of(&client.id, &trust.jwks_url).await.map_err(Refusal::Keys)?;
        let outcome = match verify(jws, &known, &expected) {
            Err(NotBelieved::Token(TokenError::KeyUnknown)) => {
                match self.keys.after_rotation(&client.id, &trust.jwks_url).await {
                    Some(rotated) => verify(jws, &rotated, &expected),
                    None => Err(TokenError::KeyUnknown.into()),
                }
            }
            settled => settled,
        };
        outcome.map_err(|why| match why {
            NotBelieved::Token(TokenError::KeyUnknown) => Refusal::KeyUnknown { named: jws.key_id.clone() },
            why => Refusal::NotBelieved(why),
        })
    }
}

/// How the provisioning log names a request.
fn origin_of(parts: &Parts) -> Origin {
    let user_agent = parts.headers.get(header::USER_AGENT).and_then(|name| name.to_str().ok()).unwrap_or_default();
    let id = parts.extensions.get::<RequestId>().map(ToString::to_string).unwrap_or_default();
    Origin::new(id, user_agent)
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
    let outcome = timeout(LONGEST, service.grant(&parts, &mut content)).await;
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
