//! What `/metrics` counts, to the one: after traffic that is known, each count has grown by what happened and no other has.

use std::collections::BTreeMap;

use http::StatusCode;
use lockstep_shared::secret::BearerToken;
use lockstep_tests::{
    harness::{eventually, http::Agent, provider::Account, services::Service},
    world::{Shape, WORKSPACE, World},
};
use serde_json::json;
use tokio::time::timeout;
use url::Url;

use super::{
    ADMIN, House, OPEN, WITHIN,
    streams::{Events, open},
};

/// The counts of a program, of the families that begin so; what was never counted is not there.
async fn counts(service: &Service, families: &[&str]) -> BTreeMap<String, i64> {
    let text = reqwest::get(format!("{}/metrics", service.ops_url())).await.unwrap().text().await.unwrap();
    let samples = text.lines().filter(|line| families.iter().any(|family| line.starts_with(family)));
    samples
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

/// What has grown, and by how much.
fn growth(before: &BTreeMap<String, i64>, after: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let by = |name: &String, value: &i64| value - before.get(name).copied().unwrap_or_default();
    let all = after.iter().map(|(name, value)| (name.clone(), by(name, value)));
    all.filter(|(_, by)| *by != 0).collect()
}

fn expected(counts: &[(&str, i64)]) -> BTreeMap<String, i64> {
    counts.iter().map(|(name, count)| (format!("lockstep_{name}"), *count)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_counts_each_sign_in_each_decision_each_row_and_each_stream() {
    const FAMILIES: [&str; 5] =
        ["lockstep_sign_ins", "lockstep_decisions", "lockstep_revocations_applied", "lockstep_streams", "lockstep_requests"];
    let events = Events::start().await;
    let house = House::build_before(&events.url).await;
    let World { gateways, provider, .. } = &house.world;
    let (ada, ben) = (house.world.person("ada").await.unwrap(), house.world.person("ben").await.unwrap());
    let admins = house.group("Admins", &[&ben]).await;
    house.map(&["--group", &admins, "--role", "Admin"]).await;
    provider.put_account(&Account::new("eve", "sub-eve", "oid-eve", "eve@acme.example")).await.unwrap();
    let before = counts(&gateways[0], &FAMILIES).await;

    let cookie = house.world.cookie(&house.world.sign_in(&ada).await.unwrap()).unwrap();
    let of_ben = house.world.cookie(&house.world.sign_in(&ben).await.unwrap()).unwrap();
    let not_provisioned = house.world.try_sign_in(&mut Agent::new().unwrap(), "eve").await.unwrap();
    let mut agent = Agent::new().unwrap();
    let asked = agent.get(house.world.sign_on_url()).await.unwrap();
    let asked = asked.redirect().unwrap();
    let parameter = |name: &str| asked.query_pairs().find(|(own, _)| own == name).unwrap().1.into_owned();
    let answer = [("error", "access_denied"), ("iss", provider.issuer()), ("state", &parameter("state"))];
    let said_no = agent.get(Url::parse_with_params(&parameter("redirect_uri"), answer).unwrap().as_str()).await.unwrap();
    assert_eq!((not_provisioned.status, said_no.status), (StatusCode::FORBIDDEN, StatusCode::FORBIDDEN));
    assert_eq!(house.ask(0, OPEN, "nobody=1").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.ask(0, ADMIN, &cookie).await.status, StatusCode::FORBIDDEN);
    for _ in 0..3 {
        assert_eq!(house.ask(0, OPEN, &cookie).await.status, StatusCode::OK);
    }
    let (sender, mut stream) = open(&house, &events, 0, ADMIN, &of_ben).await;
    house.patch(&format!("/Users/{}", ben.id), json!([{ "op": "Add", "path": "title", "value": "Chief" }])).await;
    sender.send("more").await.unwrap();
    assert_eq!(timeout(WITHIN, stream.chunk()).await.unwrap().unwrap().unwrap(), "more", "held, and let go on");
    let under_way = growth(&before, &counts(&gateways[0], &FAMILIES).await);
    house.world.deactivate(&ben).await.unwrap();
    assert!(timeout(WITHIN, stream.chunk()).await.expect("not cut in time").is_err());
    assert_eq!(house.ask(0, OPEN, &of_ben).await.status, StatusCode::UNAUTHORIZED);

    let all_over = async || {
        let now = counts(&gateways[0], &FAMILIES).await;
        (now["lockstep_streams_open"] == before["lockstep_streams_open"]).then_some(now)
    };
    let after = eventually("the stream's end", WITHIN, all_over).await.unwrap();
    assert_eq!(under_way["lockstep_streams_open"], 1);
    assert_eq!(
        growth(&before, &after),
        expected(&[
            ("sign_ins_total{outcome=\"signed_in\"}", 2),
            ("sign_ins_total{outcome=\"refused\"}", 1),
            ("sign_ins_total{outcome=\"not_believed\"}", 1),
            ("decisions_total{code=\"passed\"}", 4),
            ("decisions_total{code=\"no_session\"}", 1),
            ("decisions_total{code=\"role_missing\"}", 1),
            ("decisions_total{code=\"session_ended\"}", 1),
            ("revocations_applied_total{kind=\"changed\"}", 1),
            ("revocations_applied_total{kind=\"end\"}", 1),
            ("streams_held_total", 1),
            ("streams_cut_total", 1),
            ("requests_total{program=\"gateway\",path=\"app\",status=\"2xx\"}", 1),
            ("requests_total{program=\"gateway\",path=\"sign_in\",status=\"3xx\"}", 6),
            ("requests_total{program=\"gateway\",path=\"sign_in\",status=\"4xx\"}", 2),
        ])
    );
    let rows = ["lockstep_revocations_applied"];
    assert_eq!(counts(&gateways[0], &rows).await, counts(&gateways[1], &rows).await, "every gateway applies the same rows");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisioner_counts_each_operation_each_refusal_and_each_barrier() {
    const FAMILIES: [&str; 6] = [
        "lockstep_scim_operations",
        "lockstep_scim_turned_away",
        "lockstep_barrier_seconds_count",
        "lockstep_gateways_waited_out",
        "lockstep_log_entries_lost",
        "lockstep_requests",
    ];
    let world = World::start(Shape::default()).await.unwrap();
    let (ada, ben, eve) =
        (world.person("ada").await.unwrap(), world.person("ben").await.unwrap(), world.person("eve").await.unwrap());
    // Whoever may have a session is waited for.
    for person in [&ada, &ben, &eve] {
        world.sign_in(person).await.unwrap();
    }
    world.site.command(&["scim", "guard", WORKSPACE, "--max", "2", "--percent", "0"]).await.unwrap();
    let before = counts(&world.provisioner, &FAMILIES).await;

    let new = json!({ "userName": "new@acme.example", "active": true });
    let mut statuses = Vec::new();
    for answer in [
        world.scim.post("/Users", &new).await,
        world.scim.post("/Users", &new).await,
        world.deactivate(&ada).await,
        world.deactivate(&ada).await,
        world.scim.delete(&format!("/Users/{}", ben.id)).await,
        world.deactivate(&eve).await,
        world.scim.get("/Nowhere").await,
        world.scim.with_token(BearerToken::new().unwrap().expose()).get("/Users").await,
        world.scim.with_token("").get("/Users").await,
    ] {
        statuses.push(answer.unwrap().status.as_u16());
    }

    assert_eq!(statuses, [201, 409, 200, 200, 204, 429, 404, 401, 401]);
    let after = counts(&world.provisioner, &FAMILIES).await;
    assert_eq!(
        growth(&before, &after),
        expected(&[
            ("scim_operations_total{action=\"user.create\",outcome=\"done\"}", 1),
            ("scim_operations_total{action=\"user.create\",outcome=\"refused\"}", 1),
            ("scim_operations_total{action=\"user.deactivate\",outcome=\"done\"}", 1),
            ("scim_operations_total{action=\"user.update\",outcome=\"unchanged\"}", 1),
            ("scim_operations_total{action=\"user.delete\",outcome=\"done\"}", 1),
            ("scim_operations_total{action=\"user.deactivate\",outcome=\"held\"}", 1),
            ("scim_operations_total{action=\"unknown\",outcome=\"refused\"}", 1),
            ("scim_turned_away_total{reason=\"bad_credential\"}", 1),
            ("scim_turned_away_total{reason=\"no_credential\"}", 1),
            ("barrier_seconds_count", 3),
            ("requests_total{program=\"provisioner\",path=\"scim\",status=\"2xx\"}", 4),
            ("requests_total{program=\"provisioner\",path=\"scim\",status=\"4xx\"}", 5),
        ])
    );
}
