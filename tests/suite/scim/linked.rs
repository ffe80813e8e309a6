//! A connection whose rule links nobody: an operator says who is who, and takes it back.

use http::StatusCode;
use lockstep_tests::{
    harness::http::Agent,
    world::{Shape, WORKSPACE, World},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whom_an_operator_links_signs_in_and_whom_he_unlinks_is_out() {
    let world = World::start(Shape::default()).await.unwrap();
    world.site.command(&["connection", "set", WORKSPACE, &world.connection, "--link", "none"]).await.unwrap();
    let ada = world.person("ada").await.unwrap();
    let refused = world.try_sign_in(&mut Agent::new().unwrap(), "ada").await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());

    world.site.command(&["user", "link", WORKSPACE, &ada.email, &world.connection, "sub-ada"]).await.unwrap();

    let agent = world.sign_in(&ada).await.unwrap();
    let cookie = world.cookie(&agent).unwrap();
    let allowed = world.ask(0, &cookie).await.unwrap();
    assert_eq!((allowed.status, allowed.header("x-lockstep-user-id")), (StatusCode::OK, ada.id.as_str()));

    world.site.command(&["user", "unlink", WORKSPACE, &ada.email, &world.connection]).await.unwrap();

    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED, "I1: with the command's answer");
    let refused = world.try_sign_in(&mut Agent::new().unwrap(), "ada").await.unwrap();
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "{}", refused.text());
}
