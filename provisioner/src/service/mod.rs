//! The SCIM service provider over HTTP. One dispatch for every path below `/scim/v2/{workspace}`: first the caller is known,
//! then the path is read, then the body.

mod answer;
mod caller;
mod failure;
mod groups;
mod linger;
mod listing;
mod operation;
mod records;
mod request;
mod target;
mod users;

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{Method, StatusCode, request::Parts};
use lockstep_shared::{http::layers::RequestId, id::WorkspaceId, revoke::Road, runtime::Runtime, store::Store};
use serde_json::Value;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use self::{
    answer::Answer,
    caller::{Caller, Door},
    failure::Failure,
    groups::Groups,
    linger::drop_rest,
    listing::{PAGES, list, list_both},
    operation::Operation,
    request::{Preconditions, Query, body},
    target::Target,
    users::Users,
};
use crate::scim::{
    ResourceKind, ScimError,
    discovery::{self, AuthenticationScheme, Features},
    list::ListResponse,
};

/// Entra and Okta hang up after 60 s. The barrier takes 46 s at the most; whatever takes longer hangs on a database that fell
/// silent in the middle of a statement.
const LONGEST: Duration = Duration::from_secs(55);

/// The SCIM service provider. Clones share it.
#[derive(Debug, Clone)]
pub struct ScimService(Arc<Inner>);

/// The parts of the service.
#[derive(Debug)]
pub struct Inner {
    store: Store,
    road: Road,
    door: Door,
    origin: String,
    tasks: TaskTracker,
}

impl std::ops::Deref for ScimService {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl ScimService {
    /// A service on a runtime, reached by providers at `origin`.
    #[must_use]
    pub fn new(runtime: &Runtime, origin: &str) -> Self {
        Self(Arc::new(Inner {
            store: runtime.store.clone(),
            road: runtime.road.clone(),
            door: Door::new(runtime.store.clone(), runtime.clock.clone(), runtime.tasks.clone()),
            origin: origin.to_owned(),
            tasks: runtime.tasks.clone(),
        }))
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
        // The raw path: what was decoded once by the router might name something else.
        let mut segments = parts.uri.path().split('/').filter(|segment| !segment.is_empty()).skip(2);
        let caller = self.door.admit(segments.next().unwrap_or_default(), &parts.headers).await?;
        tracing::Span::current().record("workspace.id", caller.workspace.id.as_str());
        let path = segments.collect::<Vec<_>>().join("/");
        let target = Target::parse(&path).ok_or(ScimError::NotFound)?;
        target.check(&parts.method)?;
        let operation = Operation {
            method: &parts.method,
            target,
            query: Query::parse(parts.uri.query().unwrap_or_default()),
            wanted: Preconditions::of(&parts.headers),
        };
        let body = if operation.has_body() { body(&parts.headers, content).await } else { Ok(Value::Null) };
        self.perform(&caller, operation, body).await
    }

    /// RFC 7644, sections 3.4.2 and 3.4.3, in one resource type or in all.
    async fn search(&self, caller: &Caller, kind: Option<ResourceKind>, query: &Query) -> Result<Answer, Failure> {
        let (store, workspace, base_url) = (&self.store, &caller.workspace.id, self.base_url(&caller.workspace.id));
        let schemas = caller.policy.schemas();
        let (of_users, of_groups) = (schemas.of(ResourceKind::User), schemas.of(ResourceKind::Group));
        let users = Users { store, workspace, schema: of_users, base_url: base_url.clone() };
        let groups = Groups { store, workspace, schema: of_groups, base_url };
        let profile = caller.policy.profile();
        let body = match kind {
            Some(ResourceKind::User) => list(&users, query, of_users, profile).await?,
            Some(ResourceKind::Group) => list(&groups, query, of_groups, profile).await?,
            None => list_both((&users, of_users), (&groups, of_groups), &schemas.of_all(), query, profile).await?,
        };
        Ok(Answer::Document(body))
    }

    /// RFC 7644, section 4. A filter is refused there, as the section demands.
    fn discover(&self, caller: &Caller, target: &Target<'_>, query: &Query) -> Result<Answer, Failure> {
        let (base_url, schemas) = (self.base_url(&caller.workspace.id), caller.policy.schemas());
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
            // A token is a provider's and no user's.
            Target::Me => return Err(ScimError::NotImplemented("/Me for a caller that is no user").into()),
            Target::Collection(_) | Target::Resource(..) | Target::Search(_) => None,
        };
        Ok(Answer::Document(body.ok_or(ScimError::NotFound)?))
    }
}

fn features(caller: &Caller) -> Features {
    Features {
        bulk: None,
        sort: true,
        etag: true,
        cursor_timeout: None,
        default_page_size: PAGES.default,
        max_page_size: PAGES.max,
        authentication: vec![AuthenticationScheme::BearerToken],
        interop_profile: !caller.policy.profile().is_lenient(),
        documentation_uri: None,
    }
}

async fn serve(State(service): State<ScimService>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let (parts, mut content) = request.into_parts();
    let outcome = timeout(LONGEST, service.dispatch(&parts, &mut content)).await;
    let mut response = match outcome.unwrap_or_else(|late| Err(Failure::Transient(late.into()))) {
        Ok(answer) => answer.into_response(),
        Err(failure) => failure.tell(&id.to_string()).into_response(),
    };
    drop_rest(content, &service.tasks);
    if parts.method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    response
}

/// A path that is none of ours. Those that only look like one (`//scim/v2//Users`, `/scim%2Fv2/…`) are told what every path below
/// the base URL is told without a credential.
async fn unknown(request: Request) -> Response {
    let looks_like_ours = request.uri().path().to_ascii_lowercase().contains("scim");
    if looks_like_ours { ScimError::Unauthorized.into_response() } else { StatusCode::NOT_FOUND.into_response() }
}
