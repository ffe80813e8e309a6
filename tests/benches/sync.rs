//! A first synchronisation in Entra's order: each user and group is looked for, not found and made; then the memberships, each
//! in a request of its own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use http::StatusCode;
use lockstep_tests::{harness::scim::Scim, world::text};
use serde_json::{Value, json};

use crate::{
    Failure,
    figures::say,
    installation::{Engine, Installation, person},
    machine::{load_average, peak_memory},
    work::share,
};

/// How many of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    users: usize,
    groups: usize,
    memberships: usize,
}

impl Size {
    /// As the promise is made.
    pub(crate) const WHOLE: Self = Self { users: 10_000, groups: 200, memberships: 50_000 };
    /// To see that it works.
    pub(crate) const SMOKE: Self = Self { users: 40, groups: 4, memberships: 80 };
}

const CLIENTS: usize = 8;

/// Ids by the number of what they name.
type Ids = Arc<Mutex<Vec<String>>>;

/// Synchronises into both databases.
pub(crate) async fn run(size: Size) -> Result<(), Failure> {
    let Size { users, groups, memberships } = size;
    for engine in [Engine::Postgres, Engine::Sqlite] {
        let load = load_average();
        let installation = Installation::start(engine, 0, |_| {}).await?;
        let clients: Vec<Scim> = (0..CLIENTS).map(|_| installation.scim()).collect::<Result<_, _>>()?;
        say(&format!("\nsync, {}: {CLIENTS} clients, load average {load}", engine.name()));
        let (user_ids, group_ids) = (ids(users), ids(groups));
        let begun = Instant::now();
        let made = user_ids.clone();
        share(&clients, 0..users, move |scim, number| make(scim, "/Users", "userName", number, made.clone())).await?;
        let with_users = begun.elapsed();
        let begun_groups = Instant::now();
        let made = group_ids.clone();
        share(&clients, 0..groups, move |scim, number| make(scim, "/Groups", "displayName", number, made.clone())).await?;
        let with_groups = begun_groups.elapsed();
        let begun_memberships = Instant::now();
        let (known_users, known_groups) = (user_ids.clone(), group_ids.clone());
        share(&clients, 0..memberships, move |scim, number| {
            // Each user is in several groups, each group has users from all over.
            let (group, user) = (number % groups, (number / groups + number * 7) % users);
            join(scim, known(&known_groups, group), known(&known_users, user))
        })
        .await?;
        let with_memberships = begun_memberships.elapsed();
        let rate = |count: usize, taken: Duration| {
            format!("{:.0} /s", f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / taken.as_secs_f64())
        };
        say(&format!("  {users} users looked for and made: {:.1} s, {}", with_users.as_secs_f64(), rate(users, with_users)));
        say(&format!("  {groups} groups looked for and made: {:.1} s", with_groups.as_secs_f64()));
        say(&format!(
            "  {memberships} memberships, a request each: {:.1} s, {}",
            with_memberships.as_secs_f64(),
            rate(memberships, with_memberships)
        ));
        let peak = peak_memory(installation.provisioner.id())?;
        say(&format!("  whole: {:.1} s; peak memory of the provisioner {peak:.0} MB", begun.elapsed().as_secs_f64()));
    }
    Ok(())
}

fn ids(count: usize) -> Ids {
    Arc::new(Mutex::new(vec![String::new(); count]))
}

fn known(ids: &Ids, number: usize) -> String {
    ids.lock().unwrap_or_else(PoisonError::into_inner).get(number).cloned().unwrap_or_default()
}

/// Looks for somebody or something, finds nothing and makes it.
async fn make(scim: Scim, resources: &'static str, name: &'static str, number: usize, made: Ids) -> Result<(), Failure> {
    let body = if resources == "/Users" {
        person(&format!("synced{number}"))
    } else {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "externalId": format!("group-oid-{number}"),
            "displayName": format!("Group {number}"),
        })
    };
    let found = scim.find(resources, &format!("{name} eq \"{}\"", text(&body, name))).await?.expect_status(StatusCode::OK)?;
    if found.json::<Value>()?.get("totalResults") != Some(&json!(0)) {
        return Err("somebody was there before".into());
    }
    let created: Value = scim.post(resources, &body).await?.expect_status(StatusCode::CREATED)?.json()?;
    if let Some(slot) = made.lock().unwrap_or_else(PoisonError::into_inner).get_mut(number) {
        *slot = text(&created, "id");
    }
    Ok(())
}

async fn join(scim: Scim, group: String, user: String) -> Result<(), Failure> {
    let change = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "Add", "path": "members", "value": [{ "value": user }] }],
    });
    scim.patch(&format!("/Groups/{group}"), &change).await?.expect_status(StatusCode::NO_CONTENT)?;
    Ok(())
}
