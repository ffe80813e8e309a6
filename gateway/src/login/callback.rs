//! `/callback/{connection}`: the provider's answer. It counts in the browser that asked, once, at the connection that was asked,
//! and only together with an ID token that passes every check. Every refusal is in the log and in the audit trail.

use std::time::Duration;

use axum::{
    Extension,
    extract::{Path, RawForm, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, header};
use lockstep_shared::{
    http::layers::RequestId,
    id::ConnectionId,
    model::{
        connection::{Connection, ConnectionState},
        session::{ProviderIdentity, SignedInBy},
        text::EmailAddress,
    },
    store::{ClaimSource, Refusal as StoreRefusal, SignedIn, StoreError},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    Stop,
    admission::{Admission, record_refusal, refused},
    form::{Fields, link},
    see_other, sign_on_link,
};
use crate::{
    forward::return_to::ReturnTo,
    oidc::{Callback, Claims, Client, ClientAuth, Email, ExchangeError, Expected, Grant, Occasion, Refusal, exchange},
    pages::Denied,
    session::{
        flow::{Flow, FlowError},
        guard::Denied as NotIn,
        issue::Mint,
    },
    state::Gateway,
};

/// For how long a used `state` is remembered; the sign-in that it belongs to is over long before.
const REMEMBERED_FOR: Duration = Duration::from_mins(20);

pub(super) async fn answered(
    State(gateway): State<Gateway>,
    Extension(request_id): Extension<RequestId>,
    Path(connection): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let connection = ConnectionId::parse(&connection).map_err(|_| Stop::NotFound)?;
    let query = query.unwrap_or_default();
    let form = match Fields::read(query.as_bytes(), &["ticket"])?.get("ticket") {
        Some(ticket) => gateway.flows.kept_answer(&connection, ticket, gateway.clock.now())?,
        None => query,
    };
    let callback = Callback::parse(&form).map_err(|refusal| malformed(&connection, &refusal))?;
    let flow = match gateway.flows.open(&headers, &callback.state, gateway.clock.now()) {
        Ok(flow) => flow,
        Err(error) => return old_answer(&gateway, &headers, &connection, error).await,
    };
    tracing::Span::current().record("workspace.id", flow.workspace.as_str());
    let answer = Answered { gateway: &gateway, headers: &headers, request_id, flow: &flow };
    let outcome = answer.sign_in(&connection, &callback).await;
    // Nothing was decided where something is away: the same answer may come again.
    let is_over = outcome.as_ref().err().is_none_or(|stop| !stop.is_doubt());
    let mut response = outcome.into_response();
    if let Some(ended) = gateway.flows.finish(&flow.state).filter(|_| is_over) {
        response.headers_mut().append(header::SET_COOKIE, ended);
    }
    Ok(response)
}

/// A posted answer (OAuth 2.0 Form Post Response Mode) comes without the browser's cookies, since another site sent the form. It is
/// kept in a sealed ticket, and the browser comes back with both.
pub(super) async fn posted(
    State(gateway): State<Gateway>,
    Path(connection): Path<String>,
    RawForm(form): RawForm,
) -> Result<Response, Stop> {
    let connection = ConnectionId::parse(&connection).map_err(|_| Stop::NotFound)?;
    let form = std::str::from_utf8(&form).map_err(|_| Stop::Malformed("the form is not text"))?;
    Callback::parse(form).map_err(|refusal| malformed(&connection, &refusal))?;
    let ticket = gateway.flows.keep_answer(&connection, form, gateway.clock.now())?;
    Ok(see_other(&link(&format!("/callback/{connection}"), &[("ticket", &ticket)]), []))
}

/// It belongs to nobody's sign-in that could be told, so it is in the log alone.
fn malformed(connection: &ConnectionId, refusal: &Refusal) -> Stop {
    tracing::info!(connection.id = %connection, code = refusal.code(), "an answer was refused: {refusal}");
    Stop::Malformed("the authorization response")
}

/// The back button, a reload, an old link: who is signed in goes on, everybody else starts again.
async fn old_answer(
    gateway: &Gateway,
    headers: &HeaderMap,
    connection: &ConnectionId,
    error: FlowError,
) -> Result<Response, Stop> {
    tracing::info!(connection.id = %connection, reason = %error, "an answer belongs to no sign-in of its browser: {error}");
    match gateway.guard.check(headers).await {
        Ok(_) => Ok(see_other(ReturnTo::home().as_str(), [])),
        Err(NotIn::NoSession | NotIn::Ended(_) | NotIn::RunOut) => Err(error.into()),
        Err(NotIn::Doubt(doubt)) => Err(doubt.into()),
    }
}

/// An answer to a sign-in of the browser that brought it.
struct Answered<'a> {
    gateway: &'a Gateway,
    headers: &'a HeaderMap,
    request_id: RequestId,
    flow: &'a Flow,
}

impl Answered<'_> {
    async fn sign_in(&self, connection: &ConnectionId, callback: &Callback) -> Result<Response, Stop> {
        let Self { gateway, headers, flow, .. } = self;
        let rd = ReturnTo::parse(&flow.rd, &gateway.origins).unwrap_or_else(ReturnTo::home);
        // RFC 9700, section 4.4: an answer at another redirect URI than the one that was asked for comes from another provider.
        if *connection != flow.connection {
            return Err(self.not_believed("other_connection", &"the answer came to another connection's redirect URI").await);
        }
        let until = gateway.clock.now().plus(REMEMBERED_FOR);
        if !gateway.sessions.use_once(&flow.workspace, &format!("state {}", flow.state), until).await? {
            let is_in = gateway.is_signed_in_to(&flow.workspace, headers).await?;
            return if is_in { Ok(see_other(rd.as_str(), [])) } else { Err(Stop::AnswerUsed) };
        }
        let claims = self.vouched_for(callback).await?;
        let identity = ProviderIdentity {
            connection: flow.connection.clone(),
            issuer: flow.issuer.clone(),
            subject: claims.subject.clone(),
            sid: claims.provider_session.clone(),
        };
        match admitted(gateway, flow, &identity, &claims).await? {
            Ok(signed_in) => {
                let mint = Mint { generation: flow.generation.clone(), seq: flow.mint_seq };
                let by = SignedInBy::Sso(identity);
                Admission { workspace: flow.workspace.clone(), signed_in, by, mint }.let_in(gateway, headers, &rd).await
            }
            Err(refusal) => Err(with_address(refused(gateway, refusal, &flow.workspace, &rd).await, refusal, &claims, &rd)),
        }
    }

    /// Exchanges the code and verifies what comes of it.
    async fn vouched_for(&self, callback: &Callback) -> Result<Claims, Stop> {
        let Self { gateway, flow, .. } = self;
        let provider = match gateway.providers.get(&flow.issuer).await {
            Ok(provider) => provider,
            Err(error) => return Err(self.came_to_nothing("provider_unusable", error.into()).await),
        };
        let code = match callback.code_from(&provider.metadata) {
            Ok(code) => code,
            Err(refusal) => return Err(self.answer_refused(&refusal).await),
        };
        let connection = self.connection().await?;
        let client = client_of(gateway, &connection)?;
        let redirect_uri = gateway.redirect_uri(&flow.connection);
        let grant = Grant::Code { code, redirect_uri: &redirect_uri, verifier: &flow.pkce_verifier };
        let tokens = match exchange(gateway.providers.transport(), &provider.metadata, &client, grant).await {
            Ok(tokens) => tokens,
            Err(error) => return Err(self.came_to_nothing(code_of(&error), error.into()).await),
        };
        let expected = Expected {
            issuer: &flow.issuer,
            client_id: &client.id,
            trusted_audiences: &[],
            algorithms: &provider.metadata.algorithms,
            occasion: Occasion::SignIn { nonce: &flow.nonce },
            max_age: None,
            access_token: Some(tokens.access_token.expose_secret()),
            now: gateway.clock.now(),
        };
        match gateway.providers.verify(tokens.id_token.expose_secret(), &expected).await {
            Ok(Ok(claims)) => Ok(claims),
            Ok(Err(refusal)) => Err(self.answer_refused(&refusal).await),
            Err(error) => Err(self.came_to_nothing("provider_unusable", error.into()).await),
        }
    }

    /// The connection, if it is still the one that the browser was sent to.
    async fn connection(&self) -> Result<Connection, Stop> {
        let Self { gateway, flow, .. } = self;
        let found = gateway.store.connection(&flow.workspace, &flow.connection).await?;
        let same = |connection: &Connection| {
            connection.state == ConnectionState::Active && connection.issuer.as_ref() == Some(&flow.issuer)
        };
        match found.filter(same) {
            Some(connection) => Ok(connection),
            None => Err(self.not_believed("connection_closed", &StoreRefusal::ConnectionClosed).await),
        }
    }

    async fn answer_refused(&self, refusal: &Refusal) -> Stop {
        let stop = self.not_believed(refusal.code(), refusal).await;
        match (refusal, stop) {
            (Refusal::ProviderSaidNo(_), Stop::Denied { workspace, retry, .. }) => {
                Stop::Denied { why: Denied::ProviderSaidNo, workspace, retry }
            }
            (_, stop) => stop,
        }
    }

    async fn not_believed(&self, code: &str, reason: &(dyn std::fmt::Display + Sync)) -> Stop {
        let Self { gateway, flow, .. } = self;
        tracing::warn!(workspace.id = %flow.workspace, connection.id = %flow.connection, code, "an answer was refused: {reason}");
        self.record(code, reason).await;
        let retry = Some(sign_on_link(&flow.workspace, &[("rd", &flow.rd)]));
        Stop::Denied { why: Denied::AnswerRefused, workspace: gateway.workspace_name(&flow.workspace).await, retry }
    }

    async fn came_to_nothing(&self, code: &str, stop: Stop) -> Stop {
        self.record(code, &stop).await;
        stop
    }

    async fn record(&self, code: &str, reason: &(dyn std::fmt::Display + Sync)) {
        let Self { gateway, flow, request_id, .. } = self;
        let detail = json!({ "code": code, "reason": reason.to_string(), "request": request_id.to_string() });
        gateway.meters.signed_in("not_believed");
        record_refusal(gateway, &flow.workspace, flow.connection.as_str(), detail).await;
    }
}

/// Leads somebody who has a password to its form, with their address filled in.
fn with_address(stop: Stop, refusal: StoreRefusal, claims: &Claims, rd: &ReturnTo) -> Stop {
    match stop {
        Stop::Denied { why, workspace, .. } if refusal == StoreRefusal::UsesPassword => {
            let email = claims.email.as_ref().map(Email::address).unwrap_or_default();
            let retry = Some(link("/login/password", &[("email", &email), ("rd", rd.as_str())]));
            Stop::Denied { why, workspace, retry }
        }
        other => other,
    }
}

/// Asks the store. Two first sign-ins of one person at once may both try to link them: the one that came second finds the link.
async fn admitted(
    gateway: &Gateway,
    flow: &Flow,
    identity: &ProviderIdentity,
    claims: &Claims,
) -> Result<Result<SignedIn, StoreRefusal>, StoreError> {
    let vouched = Vouched(claims);
    let ask = || gateway.store.sign_in_by_sso(&flow.workspace, identity, &vouched);
    match ask().await {
        Err(StoreError::Conflict(_)) => ask().await,
        settled => settled,
    }
}

fn client_of(gateway: &Gateway, connection: &Connection) -> Result<Client, Stop> {
    let secret = gateway.store.client_secret(connection)?;
    let (Some(id), Some(secret)) = (connection.client_id.clone(), secret) else { return Err(Stop::NoConnection) };
    Ok(Client { id, auth: ClientAuth::Secret(SecretString::from(secret)) })
}

fn code_of(error: &ExchangeError) -> &'static str {
    match error {
        ExchangeError::Provider(_) => "token_endpoint_unusable",
        ExchangeError::Spent => "code_spent",
        ExchangeError::Client(_) => "client_refused",
        ExchangeError::Refused(_) => "token_request_refused",
        ExchangeError::Malformed(_) => "token_response_malformed",
    }
}

/// The claims of a verified ID token, as link rules see them.
struct Vouched<'a>(&'a Claims);

impl ClaimSource for Vouched<'_> {
    fn text_claim(&self, name: &str) -> Option<String> {
        self.0.text(name).map(str::to_owned)
    }

    fn verified_email(&self) -> Option<EmailAddress> {
        let email = self.0.email.as_ref().filter(|email| email.is_verified())?;
        EmailAddress::parse(&email.address())
    }
}
