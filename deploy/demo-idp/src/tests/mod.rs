//! The provider and its SCIM client over real sockets.

mod control;
mod oidc;
mod sample_app;
mod scim;
mod scim_server;

use reqwest::{Response, header, redirect::Policy};

/// A browser without a page: keeps nothing by itself, and follows no redirect.
fn http() -> reqwest::Client {
    reqwest::Client::builder().redirect(Policy::none()).tls_certs_only([]).build().unwrap()
}

fn location(response: &Response) -> url::Url {
    url::Url::parse(response.headers()[header::LOCATION].to_str().unwrap()).unwrap()
}

fn query(url: &url::Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
