//! A SCIM server that does as little as it can, and writes down every request. It can be told to refuse or to keep silent.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    provider::lock,
    serve::{self, Server},
};

/// How to answer one request out of turn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Instead {
    /// As always.
    Serve,
    /// With this status, doing nothing.
    Refuse(u16),
    /// Does what is asked, but answers only when `release` is called.
    Hold,
    /// Does what is asked, but the answer never comes.
    LoseAnswer,
}

#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

#[derive(Debug, Default)]
struct Store {
    /// By path: `/Users/u1`.
    resources: BTreeMap<String, Value>,
    recorded: Vec<Recorded>,
    plan: VecDeque<Instead>,
    held: Arc<Notify>,
    released: Arc<Notify>,
}

pub(super) struct ScimServer {
    server: Server,
    store: Arc<Mutex<Store>>,
}

impl ScimServer {
    pub(super) async fn start() -> Self {
        let bound = serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let store = Arc::new(Mutex::new(Store::default()));
        let router = Router::new().fallback(answer).with_state(Arc::clone(&store));
        Self { server: bound.serve(router, TaskTracker::new(), CancellationToken::new()), store }
    }

    pub(super) fn base(&self) -> String {
        format!("http://{}/scim/v2/acme", self.server.address)
    }

    pub(super) fn plan(&self, plan: impl IntoIterator<Item = Instead>) {
        lock(&self.store).plan = plan.into_iter().collect();
    }

    pub(super) fn put(&self, path: &str, resource: Value) {
        lock(&self.store).resources.insert(path.to_owned(), resource);
    }

    pub(super) fn remove(&self, path: &str) {
        lock(&self.store).resources.remove(path);
    }

    /// Waits until a request is held.
    pub(super) async fn held(&self) {
        let held = Arc::clone(&lock(&self.store).held);
        held.notified().await;
    }

    /// Lets the held request be answered.
    pub(super) fn release(&self) {
        lock(&self.store).released.notify_one();
    }

    /// Reads a resource as it is now.
    pub(super) fn get(&self, path: &str) -> Option<Value> {
        lock(&self.store).resources.get(path).cloned()
    }

    /// Takes what was recorded since the last time.
    pub(super) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut lock(&self.store).recorded)
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.take().into_iter().map(|recorded| recorded.line).collect()
    }

    pub(super) async fn stop(&self) {
        self.server.stop().await;
    }
}

async fn answer(State(store): State<Arc<Mutex<Store>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes: Bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let path = parts.uri.path().strip_prefix("/scim/v2/acme").unwrap_or("?").to_owned();
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    let (instead, response, held, released) = {
        let mut store = lock(&store);
        store.recorded.push(Recorded {
            line: format!("{} {path}{query}", parts.method),
            headers: parts.headers,
            body: body.clone(),
        });
        let instead = store.plan.pop_front().unwrap_or(Instead::Serve);
        let response = match instead {
            Instead::Refuse(status) => {
                (StatusCode::from_u16(status).unwrap(), Json(json!({"status": status.to_string(), "detail": "as planned"})))
                    .into_response()
            }
            Instead::Serve | Instead::Hold | Instead::LoseAnswer => serve_one(&mut store, &parts.method, &path, &query, body),
        };
        (instead, response, Arc::clone(&store.held), Arc::clone(&store.released))
    };
    match instead {
        Instead::Serve | Instead::Refuse(_) => {}
        Instead::Hold => {
            held.notify_one();
            released.notified().await;
        }
        Instead::LoseAnswer => std::future::pending().await,
    }
    response
}

fn serve_one(store: &mut Store, method: &Method, path: &str, query: &str, mut body: Value) -> Response {
    if method == Method::GET {
        let query = url::form_urlencoded::parse(query.trim_start_matches('?').as_bytes()).find(|(name, _)| name == "filter");
        let wanted = query.map(|(_, filter)| filter.split('"').nth(1).unwrap_or_default().to_owned()).unwrap_or_default();
        let is_found = |(found, resource): &(&String, &Value)| {
            found.starts_with(path) && (resource["userName"] == wanted.as_str() || resource["displayName"] == wanted.as_str())
        };
        let found: Vec<Value> = store.resources.iter().filter(is_found).map(|(_, resource)| resource.clone()).collect();
        return Json(json!({"totalResults": found.len(), "Resources": found})).into_response();
    }
    if method == Method::POST {
        let id = format!("{}{}", if path == "/Users" { "u" } else { "g" }, store.resources.len());
        body["id"] = id.clone().into();
        store.resources.insert(format!("{path}/{id}"), body.clone());
        return (StatusCode::CREATED, Json(body)).into_response();
    }
    match store.resources.get_mut(path) {
        None => (StatusCode::NOT_FOUND, Json(json!({"status": "404", "detail": "gone"}))).into_response(),
        Some(resource) => {
            if body["Operations"][0]["path"] == "active" {
                resource["active"] = (body["Operations"][0]["value"] == "True").into();
            }
            StatusCode::NO_CONTENT.into_response()
        }
    }
}
