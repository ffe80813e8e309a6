//! What size costs: changes of a large group against the same of a small one, look-ups among many users against the same among
//! few, and a walk by cursor while people come and go.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use http::StatusCode;
use lockstep_shared::id::GroupId;
use lockstep_tests::{
    harness::scim::Scim,
    world::{WORKSPACE, text},
};
use serde_json::{Value, json};

use crate::{
    Failure,
    figures::{Samples, Verdict, millis, number, say},
    installation::{Engine, Installation, person},
    machine::{forget_peak, load_average, peak_memory},
    seed::{Seeder, user_id},
    work::share,
};

/// How large it all is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// Users in the small directory, and in the large one.
    users: [i64; 2],
    /// Members of the small group, and of the large one.
    members: [i64; 2],
    /// Users of whom a tenth goes and another comes while they are read.
    walked: i64,
    /// How often each thing is measured.
    repeats: usize,
}

impl Size {
    /// As the promises are made.
    pub(crate) const WHOLE: Self = Self { users: [1_000, 1_000_000], members: [100, 100_000], walked: 100_000, repeats: 300 };
    /// To see that it works.
    pub(crate) const SMOKE: Self = Self { users: [100, 1_000], members: [10, 2_000], walked: 2_000, repeats: 5 };
}

const GROUP_RATIO: f64 = 1.5;
const LOOKUP_RATIO: f64 = 2.0;
const OF_A_THOUSAND_MS: f64 = 50.0;
/// What the peak of a process may differ by for other reasons.
const MEMORY_RATIO: f64 = 1.25;
/// What the members of the large group may take while they are answered: some fifty bytes each, and what is under way to the client.
const WHOLE_MORE_MB: f64 = 8.0;
const WHOLE_READS: usize = 3;
const PAGE: i64 = 1_000;
const CLIENTS: usize = 8;

/// Measures on both databases.
pub(crate) async fn run(size: Size, verdict: &mut Verdict) -> Result<(), Failure> {
    for engine in [Engine::Postgres, Engine::Sqlite] {
        say(&format!("\nscale, {}: load average {}", engine.name(), load_average()));
        groups(engine, size, verdict).await?;
        lookups(engine, size, verdict).await?;
        walk(engine, size, verdict).await?;
    }
    Ok(())
}

/// A group, and whom to add to it and to take away again.
struct Crowd {
    scim: Scim,
    path: String,
    members: i64,
}

impl Crowd {
    async fn make(scim: &Scim, seeder: &mut Seeder, name: &str, members: i64) -> Result<Self, Failure> {
        let created: Value =
            scim.post("/Groups", &json!({ "displayName": name })).await?.expect_status(StatusCode::CREATED)?.json()?;
        let id = GroupId::parse(&text(&created, "id"))?;
        seeder.members(WORKSPACE, &id, 0, members).await?;
        Ok(Self { scim: scim.clone(), path: format!("/Groups/{id}"), members })
    }

    /// How long it takes to add these people and to take them away.
    async fn change(&self, ids: &[String]) -> Result<[Duration; 2], Failure> {
        let values: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
        let mut taken = [Duration::ZERO; 2];
        for (op, taken) in ["add", "remove"].into_iter().zip(&mut taken) {
            let change = json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
                "Operations": [{ "op": op, "path": "members", "value": values }],
            });
            let asked = Instant::now();
            self.scim.patch(&self.path, &change).await?.expect_status(StatusCode::NO_CONTENT)?;
            *taken = asked.elapsed();
        }
        Ok(taken)
    }

    async fn get(&self, query: &str) -> Result<(Duration, Value), Failure> {
        let asked = Instant::now();
        let group = self.scim.get(&format!("{}{query}", self.path)).await?.expect_status(StatusCode::OK)?;
        Ok((asked.elapsed(), group.json()?))
    }
}

async fn groups(engine: Engine, size: Size, verdict: &mut Verdict) -> Result<(), Failure> {
    let installation = Installation::start(engine, 0, |_| {}).await?;
    let (scim, process) = (installation.scim()?, installation.provisioner.id());
    let mut seeder = Seeder::connect(engine, &installation.url).await?;
    let [few, many] = size.members;
    seeder.users(WORKSPACE, 0, many + 1_000).await?;
    let small = Crowd::make(&scim, &mut seeder, "Small", few).await?;
    let large = Crowd::make(&scim, &mut seeder, "Large", many).await?;
    seeder.settle().await?;
    let strangers: Vec<String> =
        (many..many + 1_000).map(|number| user_id(number).map(|id| id.to_string())).collect::<Result<_, _>>()?;
    // Statements are prepared and caches filled by the first.
    for crowd in [&small, &large] {
        crowd.change(&strangers).await?;
    }
    for (count, repeats) in [(1, size.repeats), (100, size.repeats), (1_000, size.repeats.div_ceil(10))] {
        let mut taken = [Samples::default(), Samples::default()];
        for _ in 0..repeats {
            for (crowd, taken) in [&small, &large].into_iter().zip(&mut taken) {
                taken.extend(crowd.change(strangers.get(..count).unwrap_or_default()).await?.into_iter().map(millis));
            }
        }
        let [in_small, in_large] = &taken;
        say(&format!("  {count} in a group of {few}: {}", in_small.tails("ms")));
        say(&format!("  {count} in a group of {many}: {}", in_large.tails("ms")));
        if count < 1_000 {
            verdict.at_most(
                &format!("{count} more or fewer, p99 by the group's size"),
                ratio(in_large, in_small, 0.99),
                GROUP_RATIO,
            );
        } else {
            verdict.at_most(&format!("{count} more or fewer in the large group, ms"), in_large.median(), OF_A_THOUSAND_MS);
        }
    }
    let mut read = [Samples::default(), Samples::default()];
    for _ in 0..size.repeats {
        for (crowd, read) in [&small, &large].into_iter().zip(&mut read) {
            let (taken, group) = crowd.get("?excludedAttributes=members").await?;
            if group.get("members").is_some() {
                return Err("members that were not wanted".into());
            }
            read.add(millis(taken));
        }
    }
    let [of_small, of_large] = &read;
    verdict.at_most("reading without members, by the group's size", ratio(of_large, of_small, 0.5), GROUP_RATIO);
    let mut peaks = [0.0; 2];
    for (crowd, peak) in [&small, &large].into_iter().zip(&mut peaks) {
        forget_peak(process)?;
        for _ in 0..size.repeats {
            crowd.change(strangers.get(..100).unwrap_or_default()).await?;
        }
        *peak = peak_memory(process)?;
    }
    let [small_peak, large_peak] = peaks;
    say(&format!("  peak memory of the provisioner at changes of 100: {small_peak:.0} MB and {large_peak:.0} MB"));
    verdict.at_most("peak memory at changes, by the group's size", large_peak / small_peak, MEMORY_RATIO);
    for (crowd, peak) in [&small, &large].into_iter().zip(&mut peaks) {
        forget_peak(process)?;
        let mut taken = Samples::default();
        for _ in 0..WHOLE_READS {
            let (elapsed, group) = crowd.get("").await?;
            taken.add(millis(elapsed));
            let members = group.get("members").and_then(Value::as_array).map_or(0, Vec::len);
            if i64::try_from(members)? != crowd.members {
                return Err(format!("{members} of {} members", crowd.members).into());
            }
        }
        *peak = peak_memory(process)?;
        say(&format!("  a whole group of {}: {}, peak {peak:.0} MB", crowd.members, taken.tails("ms")));
    }
    let [small_peak, large_peak] = peaks;
    verdict.at_most(
        "peak memory at reading the whole large group, MB more than the small",
        large_peak - small_peak,
        WHOLE_MORE_MB,
    );
    Ok(())
}

fn ratio(large: &Samples, small: &Samples, share: f64) -> f64 {
    large.quantile(share) / small.quantile(share)
}

/// The filters by which providers look somebody up.
const LOOKUPS: [&str; 4] = ["userName", "externalId", "emails[type eq \"work\"].value", "id"];

fn lookup(attribute: &str, number: i64) -> Result<String, Failure> {
    Ok(match attribute {
        "externalId" => format!("externalId eq \"oid-{number}\""),
        "id" => format!("id eq \"{}\"", user_id(number)?),
        other => format!("{other} eq \"user{number}@acme.example\""),
    })
}

async fn lookups(engine: Engine, size: Size, verdict: &mut Verdict) -> Result<(), Failure> {
    let mut directories = Vec::new();
    for users in size.users {
        let installation = Installation::start(engine, 0, |_| {}).await?;
        let mut seeder = Seeder::connect(engine, &installation.url).await?;
        let begun = Instant::now();
        seeder.users(WORKSPACE, 0, users).await?;
        seeder.settle().await?;
        say(&format!("  {users} users were put in within {:.0} s", begun.elapsed().as_secs_f64()));
        directories.push((users, installation.scim()?, installation));
    }
    for attribute in LOOKUPS {
        let mut taken: Vec<Samples> = directories.iter().map(|_| Samples::default()).collect();
        for repeat in 0..size.repeats + 20 {
            for ((users, scim, _), taken) in directories.iter().zip(&mut taken) {
                // Somebody else each time, from all over the directory.
                let number = i64::try_from(repeat)? * 7_919 % users;
                let asked = Instant::now();
                let answer = scim.find("/Users", &lookup(attribute, number)?).await?.expect_status(StatusCode::OK)?;
                let elapsed = asked.elapsed();
                if answer.json::<Value>()?.get("totalResults") != Some(&json!(1)) {
                    return Err(format!("{attribute}: user {number} of {users} was not found").into());
                }
                if repeat >= 20 {
                    taken.add(millis(elapsed));
                }
            }
        }
        let [few, many] = taken.as_slice() else { return Err("two directories".into()) };
        say(&format!("  {attribute} eq: {}; {}", few.tails("ms"), many.tails("ms")));
        verdict.at_most(&format!("{attribute} eq, by the directory's size"), ratio(many, few, 0.5), LOOKUP_RATIO);
    }
    Ok(())
}

async fn walk(engine: Engine, size: Size, verdict: &mut Verdict) -> Result<(), Failure> {
    let installation = Installation::start(engine, 0, |_| {}).await?;
    let clients: Vec<Scim> = (0..CLIENTS).map(|_| installation.scim()).collect::<Result<_, _>>()?;
    let mut seeder = Seeder::connect(engine, &installation.url).await?;
    seeder.users(WORKSPACE, 0, size.walked).await?;
    seeder.settle().await?;
    let walker = installation.scim()?;
    let (mut seen, mut cursor, mut page) = (HashMap::<String, u32>::new(), Some(String::new()), 0);
    let begun = Instant::now();
    while let Some(at) = cursor {
        let path = format!("/Users?attributes=userName&count={PAGE}&cursor={at}");
        let read = async { Ok::<Value, Failure>(walker.get(&path).await?.expect_status(StatusCode::OK)?.json()?) };
        // A tenth of each page's share goes, from all over, and as many come.
        let share_of_page = PAGE / 10;
        let steps = (0..share_of_page).map(move |step| page * share_of_page + step);
        let (read, changed) = tokio::join!(read, share(&clients, steps, move |scim, step| come_and_go(scim, step, size.walked)));
        changed?;
        let list = read?;
        for user in list.get("Resources").and_then(Value::as_array).into_iter().flatten() {
            *seen.entry(text(user, "id")).or_default() += 1;
        }
        cursor = list.get("nextCursor").and_then(Value::as_str).map(str::to_owned);
        page += 1;
    }
    let gone: HashSet<i64> = (0..page * PAGE / 10).map(|step| leaver(step, size.walked)).collect();
    let mut lost = 0;
    for stayed in (0..size.walked).filter(|number| !gone.contains(number)) {
        lost += u32::from(!seen.contains_key(user_id(stayed)?.as_str()));
    }
    let doubled = seen.values().filter(|count| **count > 1).count();
    say(&format!(
        "  a walk of {} users in {page} pages while {} went and came: {:.1} s, {} seen",
        size.walked,
        page * PAGE / 10,
        begun.elapsed().as_secs_f64(),
        seen.len()
    ));
    verdict.at_most("users that a walk lost", f64::from(lost), 0.0);
    verdict.at_most("users that a walk saw twice", number(doubled), 0.0);
    Ok(())
}

/// Who goes at a step: from all over the directory, nobody twice.
fn leaver(step: i64, walked: i64) -> i64 {
    // Coprime to the powers of ten that directories are measured in.
    step * 7_919 % walked
}

async fn come_and_go(scim: Scim, step: i64, walked: i64) -> Result<(), Failure> {
    let id = user_id(leaver(step, walked))?;
    scim.delete(&format!("/Users/{id}")).await?.expect_status(StatusCode::NO_CONTENT)?;
    scim.post("/Users", &person(&format!("comes{step}"))).await?.expect_status(StatusCode::CREATED)?;
    Ok(())
}
