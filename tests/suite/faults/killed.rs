//! I1 and I2 with a process killed or stopped in the middle: the answer waits for whoever may still be answering, says so in
//! its receipt, and a repetition gives the same guarantee.

use std::time::{Duration, Instant};

use http::StatusCode;
use lockstep_tests::{
    harness::{HarnessError, eventually, http::Answer, services::Program},
    world::{Person, Shape, WORKSPACE, World, deactivation},
};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::{FOUND_AGAIN, LEASE, head, log_passes, passes_again, read, send, signed_in};

/// What the answer may take beyond the lease that it waits out, on a machine that does other things too.
const MARGIN: Duration = Duration::from_secs(2);

async fn two_gateways() -> World {
    World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap()
}

/// Begins a deactivation, and returns once it is in the log.
async fn begin_deactivation(world: &World, person: &Person) -> JoinHandle<Result<Answer, HarnessError>> {
    let before = head(&world.database).await;
    let (scim, path) = (world.scim.clone(), format!("/Users/{}", person.id));
    let answer = tokio::spawn(async move { scim.patch(&path, &deactivation()).await });
    log_passes(&world.database, before).await;
    answer
}

/// The last receipt; it is written after the answer.
async fn receipt(world: &World, after: i64) -> Value {
    let written = eventually("the receipt", Duration::from_secs(5), async || {
        let receipt = world.site.command(&["receipt", "show", WORKSPACE]).await.ok()?;
        (receipt["seq"].as_i64()? > after).then_some(receipt)
    });
    written.await.unwrap()
}

fn gateways_in(receipt: &Value, list: &str) -> Vec<String> {
    let entries = receipt[list].as_array().into_iter().flatten();
    entries.map(|entry| entry["gateway"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_gateway_that_is_killed_is_waited_out_and_the_receipt_says_so() {
    let mut world = two_gateways().await;
    let (ada, _, cookie) = signed_in(&world, "ada").await;
    let (grace, _, of_grace) = signed_in(&world, "grace").await;
    assert_eq!(world.ask(1, &cookie).await.unwrap().status, StatusCode::OK);
    let before = head(&world.database).await;
    // It stands still first, so that the answer is certain to be waiting when it dies.
    world.gateways[1].pause().await.unwrap();
    let began = Instant::now();
    let answer = begin_deactivation(&world, &ada).await;
    world.gateways[1].kill().await.unwrap();
    let answer = answer.await.unwrap().unwrap();
    let took = began.elapsed();

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(took < LEASE + MARGIN, "{took:?}");
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
    let receipt = receipt(&world, before).await;
    let (confirmed, waited_out) = (gateways_in(&receipt, "confirmed"), gateways_in(&receipt, "waited_out"));
    assert_eq!((confirmed.len(), waited_out.len()), (1, 1), "{receipt}");
    assert_ne!(confirmed, waited_out);
    let shown = world.site.output(Program::Provisioner, &["receipt", "show", WORKSPACE], &[]);
    assert!(String::from_utf8(shown.await.unwrap().stdout).unwrap().contains(&waited_out[0]));

    let began = Instant::now();
    world.deactivate(&grace).await.unwrap().expect_status(StatusCode::OK).unwrap();
    assert!(began.elapsed() < MARGIN, "one that is known to be dead holds nobody up: {:?}", began.elapsed());
    assert_eq!(world.ask(0, &of_grace).await.unwrap().status, StatusCode::UNAUTHORIZED);
    world.gateways[1].restart().await.unwrap();
    for cookie in [&cookie, &of_grace] {
        assert_eq!(world.ask(1, cookie).await.unwrap().status, StatusCode::UNAUTHORIZED, "its successor knows");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_gateway_that_stood_still_never_answers_from_the_past() {
    let mut world = two_gateways().await;
    let (ada, _, cookie) = signed_in(&world, "ada").await;
    assert_eq!(world.ask(1, &cookie).await.unwrap().status, StatusCode::OK);
    world.gateways[1].pause().await.unwrap();
    let answer = world.deactivate(&ada).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());

    // These lie in its sockets when it wakes up, before it has heard of anything.
    let address = world.gateways[1].url().replace("http://", "");
    let mut lying = Vec::new();
    for _ in 0..32 {
        lying.push(send(&address, &cookie).await.unwrap());
    }
    world.gateways[1].resume().unwrap();

    for stream in lying {
        let answer = read(stream).await;
        assert!(answer.starts_with("HTTP/1.1 401 ") || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    let heard = eventually("it hears of the deactivation", FOUND_AGAIN, async || {
        let status = world.ask(1, &cookie).await.unwrap().status;
        assert!(!status.is_success(), "{status}");
        (status == StatusCode::UNAUTHORIZED).then_some(())
    });
    heard.await.unwrap();
    // What it refused it did not refuse for being broken.
    let (_, _, of_grace) = signed_in(&world, "grace").await;
    passes_again(&world, 1, &of_grace, FOUND_AGAIN).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn i2_a_provisioner_that_is_killed_while_it_waits_loses_nothing() {
    let mut world = two_gateways().await;
    let (ada, _, cookie) = signed_in(&world, "ada").await;
    assert_eq!(world.ask(1, &cookie).await.unwrap().status, StatusCode::OK);
    world.gateways[1].pause().await.unwrap();
    let answer = begin_deactivation(&world, &ada).await;

    world.provisioner.kill().await.unwrap();
    assert!(answer.await.unwrap().is_err(), "the answer is lost");
    world.provisioner.restart().await.unwrap();
    let repeated = world.deactivate(&ada).await.unwrap();
    world.gateways[1].resume().unwrap();

    assert_eq!(repeated.status, StatusCode::OK, "{}", repeated.text());
    let woken = world.ask(1, &cookie).await.unwrap();
    assert!(!woken.status.is_success(), "{}", woken.status);
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED);
}

/// At whatever moment it dies: after the repetition has its answer, the person is out.
#[tokio::test(flavor = "multi_thread")]
async fn i2_a_provisioner_that_is_killed_at_any_moment_leaves_nothing_half_done() {
    let mut world = two_gateways().await;
    for turn in 0..5 {
        let (person, _, cookie) = signed_in(&world, &format!("person{turn}")).await;
        assert_eq!(world.ask(1, &cookie).await.unwrap().status, StatusCode::OK);
        let (scim, path) = (world.scim.clone(), format!("/Users/{}", person.id));
        let (begin, on_its_way) = tokio::sync::oneshot::channel();
        let answer = tokio::spawn(async move {
            let _ = begin.send(());
            scim.patch(&path, &deactivation()).await
        });
        on_its_way.await.unwrap();
        for _ in 0..turn * 40 {
            tokio::task::yield_now().await;
        }
        world.provisioner.kill().await.unwrap();
        let _ = answer.await.unwrap();
        world.provisioner.restart().await.unwrap();

        world.deactivate(&person).await.unwrap().expect_status(StatusCode::OK).unwrap();

        for gateway in 0..2 {
            assert_eq!(world.ask(gateway, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED, "turn {turn}");
        }
    }
}
