//! Issues sessions on an installation's database and Redis by the gateway's own code, without the way through a provider.

use std::{sync::Arc, time::Duration};

use lockstep_gateway::{session::issue::Mint, state::Gateway};
use lockstep_shared::{
    clock::SystemClock,
    config::Config,
    http::health::Readiness,
    id::{UserId, WorkspaceId},
    model::{session::SignedInBy, user::LoginMethod},
    runtime::{Runtime, Schema, open_lease_store},
    store::{Reading, SignedIn},
};
use lockstep_tests::world::WORKSPACE;
use tokio_util::sync::CancellationToken;

use crate::{Failure, installation::Installation};

/// Gives each of these users `each` sessions, and answers with the `Cookie` headers in the users' order.
pub(crate) async fn issue(installation: &Installation, users: &[String], each: usize) -> Result<Vec<String>, Failure> {
    let config = Arc::new(Config::load(Some(&installation.site.configuration()?), std::iter::empty())?);
    let runtime = Runtime::open(config, SystemClock::shared(), Schema::Await, CancellationToken::new()).await?;
    let drained = CancellationToken::new();
    let gateway = Gateway::build(&runtime, open_lease_store(&runtime)?, Readiness::new(), drained.clone()).await?;
    gateway.lease.attempt(Duration::from_secs(10)).await;
    let mut cookies = Vec::with_capacity(users.len() * each);
    for user in users {
        for _ in 0..each {
            cookies.push(issue_one(&gateway, user).await?);
        }
    }
    // It gives its lease up and takes its row away: no barrier waits for it.
    drained.cancel();
    runtime.close().await;
    Ok(cookies)
}

async fn issue_one(gateway: &Gateway, user: &str) -> Result<String, Failure> {
    let (workspace, user) = (WorkspaceId::parse(WORKSPACE)?, UserId::parse(user)?);
    let head = gateway.store.head().await?;
    let read = gateway.store.person_signed_in_by(LoginMethod::Sso, &workspace, &user).await?.ok_or("no such active person")?;
    let Reading { person, profile, fresh } = read;
    let signed_in = SignedIn { user, person, profile, fresh, linked_now: false };
    let mint = Mint { generation: head.generation, seq: head.seq };
    let (_, set_cookie) = gateway.issuer.issue(&workspace, signed_in, SignedInBy::Password, mint).await?;
    let cookie = set_cookie.to_str()?.split(';').next().unwrap_or_default();
    Ok(cookie.to_owned())
}
