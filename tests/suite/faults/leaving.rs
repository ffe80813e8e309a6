//! SIGTERM: what has begun comes to its end, and nothing is left behind.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use lockstep_tests::{
    harness::eventually,
    world::{Shape, World, deactivation},
};
use rustix::process::Signal;
use tokio::{sync::Notify, task::JoinSet};

use super::{gateways, head, log_passes, read, send, signed_in};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_told_to_stop_finishes_what_it_has_begun_and_takes_its_row_away() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let (ada, _, cookie) = signed_in(&world, "ada").await;
    assert_eq!(gateways(&world.database).await, 2);
    let address = world.gateways[1].url().replace("http://", "");
    let (mut clients, under_load) = (JoinSet::new(), Arc::new(Notify::new()));
    for _ in 0..8 {
        let (address, cookie, under_load) = (address.clone(), cookie.clone(), under_load.clone());
        clients.spawn(async move {
            let mut answers = Vec::new();
            // Until nobody listens any more.
            while let Ok(stream) = send(&address, &cookie).await {
                answers.push(read(stream).await);
                under_load.notify_one();
            }
            answers
        });
    }
    for _ in 0..16 {
        under_load.notified().await;
    }

    let status = world.gateways[1].stop().await.unwrap();

    assert!(status.success(), "{status}: {}", world.gateways[1].log());
    let answers = clients.join_all().await;
    let wrong: Vec<_> = answers.iter().flatten().filter(|answer| !answer.starts_with("HTTP/1.1 200 ")).collect();
    // One may reach the kernel between the last look at its queue and the end of the listener; nobody here has seen it.
    let is_unseen = |answer: &&&String| answer.starts_with("cut off") && answer.ends_with("after ");
    let unseen = wrong.iter().filter(is_unseen).count();
    assert!(wrong.len() == unseen && unseen <= 1, "{} of {}: {wrong:#?}", wrong.len(), answers.iter().flatten().count());
    assert_eq!(gateways(&world.database).await, 1, "its row is gone");
    let began = std::time::Instant::now();
    world.deactivate(&ada).await.unwrap().expect_status(StatusCode::OK).unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "nobody waits for it: {:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provisioner_that_is_told_to_stop_answers_first() {
    let mut world = World::start(Shape { gateways: 2, ..Shape::default() }).await.unwrap();
    let (ada, _, cookie) = signed_in(&world, "ada").await;
    assert_eq!(world.ask(1, &cookie).await.unwrap().status, StatusCode::OK);
    // A gateway that stands still keeps the answer waiting.
    world.gateways[1].pause().await.unwrap();
    let before = head(&world.database).await;
    let (scim, path) = (world.scim.clone(), format!("/Users/{}", ada.id));
    let answer = tokio::spawn(async move { scim.patch(&path, &deactivation()).await });
    log_passes(&world.database, before).await;

    world.provisioner.signal(Signal::TERM).unwrap();
    let answer = answer.await.unwrap().unwrap();
    let status = world.provisioner.ended().await.unwrap();

    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert!(status.success(), "{status}");
    world.gateways[1].resume().unwrap();
    let woken = eventually("the gateway waking up", Duration::from_secs(5), async || {
        let status = world.ask(1, &cookie).await.unwrap().status;
        assert!(!status.is_success());
        (status == StatusCode::UNAUTHORIZED).then_some(())
    });
    woken.await.unwrap();
}
