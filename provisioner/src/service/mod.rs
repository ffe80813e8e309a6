//! The SCIM service provider over HTTP. One dispatch for every path below `/scim/v2/{workspace}`: first the caller is known,
//! then the path is read, then the body.

mod admission;
mod adoption;
mod answer;
mod barrier;
mod bulk;
pub(crate) mod caller;
mod failure;
mod groups;
mod guard;
pub(crate) mod linger;
mod listing;
mod members;
mod operation;
mod record;
mod records;
mod request;
mod search;
mod target;
mod uri;
mod users;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{StatusCode, request::Parts};
use lockstep_shared::{
    http::{client_addr::TrustedProxies, layers::RequestId},
    id::WorkspaceId,
    model::provisioning::Action,
    revoke::Road,
    runtime::Runtime,
    store::{Mailing, Store},
};
use serde_json::Value;
use tokio::time::{Instant, timeout};
use tokio_util::task::TaskTracker;

pub(crate) use self::records::{group_document, user_document};
use self::{
    answer::Answer,
    barrier::Barrier,
    caller::{Caller, Door},
    failure::Failure,
    linger::drop_rest,
    listing::PAGES,
    operation::Operation,
    record::end_bulk,
    request::{BODY_LIMIT, Preconditions, Query, body},
    search::Cursors,
    target::Target,
};
use crate::{
    journal::{Journal, Names},
    limits::{Limits, Quotas, proxies_of},
    scim::{
        ScimError, cursor,
        discovery::{self, AuthenticationScheme, Features},
        list::ListResponse,
    },
};

/// Entra and Okta hang up after 60 s. The barrier takes 46 s at the most; whatever takes longer hangs on a database that fell
/// silent in the middle of a statement.
const LONGEST: Duration = Duration::from_secs(55);

/// The SCIM service provider. Clones share it.
#[derive(Debug, Clone)]
pub struct ScimService {
    inner: Arc<Inner>,
    barrier: Barrier,
}

/// The parts of the service.
#[derive(Debug)]
pub struct Inner {
    store: Store,
    road: Road,
    door: Door,
    limits: Limits,
    journal: Journal,
    trusted_proxies: TrustedProxies,
    origin: String,
    tasks: TaskTracker,
    cursors: Cursors,
    names: Names,
    mailing: Mailing,
}

impl std::ops::Deref for ScimService {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl ScimService {
    /// A service on a runtime, reached by providers at `origin`.
    #[must_use]
    pub fn new(runtime: &Runtime, origin: &str, journal: Journal) -> Self {
        let inner = Inner {
            store: runtime.store.clone(),
            road: runtime.road.clone(),
            door: Door::new(runtime.store.clone(), runtime.clock.clone(), runtime.tasks.clone()),
            limits: Limits::new(runtime.clock.clone(), Quotas::of(&runtime.config)),
            journal,
            trusted_proxies: proxies_of(&runtime.config),
            origin: origin.to_owned(),
            tasks: runtime.tasks.clone(),
            cursors: Cursors::new(runtime.store.clone(), runtime.clock.clone()),
            names: Names::new(runtime.store.clone()),
            mailing: if runtime.config.mail.is_some() { Mailing::On } else { Mailing::Off },
        };
        Self { inner: Arc::new(inner), barrier: Barrier::of(runtime.road.clone()) }
    }

    /// The routes. Whatever begins like ours and names nothing is asked for a credential all the same.
    pub fn router(self) -> Router {
        Router::new()
            .route("/scim/v2/{workspace}", any(serve))
            .route("/scim/v2/{workspace}/", any(serve))
            .route("/scim/v2/{workspace}/{*rest}", any(serve))
            .fallback(unknown)
            .with_state(self)
    }

    fn base_url(&self, workspace: &WorkspaceId) -> String {
        format!("{}/scim/v2/{workspace}", self.origin)
    }

    async fn dispatch(&self, parts: &Parts, content: &mut Body) -> Result<Answer, Failure> {
        let begun = Instant::now();
        // The raw path: what was decoded once by the router might name something else. What cannot be read is no workspace.
        let mut segments = uri::segments(parts.uri.path()).skip(2);
        let (service, caller) = self.admit(&segments.next().flatten().unwrap_or_default(), parts).await?;
        tracing::Span::current().record("workspace.id", caller.workspace.id.as_str());
        let path: Option<Vec<String>> = segments.collect();
        let named = path.as_deref().and_then(|path| Target::parse(path, caller.policy.profile()));
        let checked = named.ok_or(ScimError::NotFound).and_then(|target| {
            if target == Target::Root {
                self.refuse_appended_path(&caller.workspace.id, parts.uri.query().unwrap_or_default())?;
            }
            target.check(&parts.method).map(|()| target)
        });
        let target = match checked {
            Ok(target) => target,
            Err(error) => return Err(service.refuse(&caller, &parts.method, named.as_ref(), error).await),
        };
        if target == Target::Bulk {
            let (record, caller) = service.begin_as(&caller, Action::Bulk);
            let outcome = match body(&parts.headers, content, bulk::BODY_LIMIT).await {
                Ok(body) => service.bulk(&caller, request_id(parts), begun, body).await,
                Err(failure) => Err(failure),
            };
            end_bulk(record, &caller, &outcome).await;
            return outcome;
        }
        let operation = Operation {
            method: &parts.method,
            target,
            query: Query::parse(parts.uri.query().unwrap_or_default()).answered_in(&parts.headers),
            wanted: Preconditions::of(&parts.headers),
            id: None,
        };
        let body = if operation.has_body() { body(&parts.headers, content, BODY_LIMIT).await } else { Ok(Value::Null) };
        service.perform(&caller, operation, body).await
    }

    /// Everybody is no answer to a question after one person: whoever asks for that takes the first of them for the match.
    fn refuse_appended_path(&self, workspace: &WorkspaceId, query: &str) -> Result<(), ScimError> {
        if !uri::has_appended_path(query, target::is_endpoint) {
            return Ok(());
        }
        Err(ScimError::InvalidSyntax(format!(
            "the tenant URL ends in a query string, and a path was appended to that: write the tenant URL without one, as {}",
            self.base_url(workspace)
        )))
    }

    /// RFC 7644, section 4. A filter is refused there, as the section demands.
    fn discover(&self, caller: &Caller, target: &Target<'_>, query: &Query) -> Result<Answer, Failure> {
        let (base_url, schemas) = (self.base_url(&caller.workspace.id), caller.policy.announced());
        if query.filter.is_some() {
            return Err(ScimError::Forbidden("discovery documents cannot be filtered".to_owned()).into());
        }
        let all = |resources| Some(ListResponse::all(resources).into_value());
        let body = match target {
            Target::ServiceProviderConfig => Some(discovery::service_provider_config(&features(caller), &base_url)),
            Target::ResourceTypes => all(discovery::resource_types(schemas, &base_url)),
            Target::ResourceType(id) => discovery::resource_type(schemas, id, &base_url),
            Target::Schemas => all(discovery::schemas(schemas, &base_url)),
            Target::Schema(urn) => discovery::schema(schemas, urn, &base_url),
            Target::Root | Target::Collection(_) | Target::Resource(..) | Target::Search(_) | Target::Bulk | Target::Me => None,
        };
        Ok(Answer::Document(body.ok_or(ScimError::NotFound)?))
    }
}

fn features(caller: &Caller) -> Features {
    Features {
        bulk: Some(bulk::limits()),
        sort: true,
        etag: caller.policy.profile().is_lenient(),
        cursor_timeout: Some(cursor::TIMEOUT_SECONDS),
        default_page_size: PAGES.default,
        max_page_size: PAGES.max,
        authentication: vec![AuthenticationScheme::BearerToken, AuthenticationScheme::OAuth2, AuthenticationScheme::Basic],
        interop_profile: !caller.policy.profile().is_lenient(),
        documentation_uri: None,
    }
}

fn request_id(parts: &Parts) -> String {
    parts.extensions.get::<RequestId>().map(ToString::to_string).unwrap_or_default()
}

async fn serve(State(service): State<ScimService>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let (parts, mut content) = request.into_parts();
    let outcome = timeout(LONGEST, service.dispatch(&parts, &mut content)).await;
    let response = match outcome.unwrap_or_else(|late| Err(Failure::Transient(late.into()))) {
        Ok(answer) => answer.into_response(),
        Err(failure) => failure.tell(&id.to_string()).into_response(),
    };
    drop_rest(content, &service.tasks);
    // To a HEAD the router answers without the body, and with the length that it had.
    response
}

/// A path that is none of ours. Those that only look like one (`//scim/v2//Users`, `/scim%2Fv2/…`) are told what every path below
/// the base URL is told without a credential.
async fn unknown(request: Request) -> Response {
    let looks_like_ours = request.uri().path().to_ascii_lowercase().contains("scim");
    if looks_like_ours { ScimError::Unauthorized.into_response() } else { StatusCode::NOT_FOUND.into_response() }
}
