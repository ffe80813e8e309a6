//! The company's provider is away, silent, or says something else entirely: a page that says so in good time, and no session.

use std::time::{Duration, Instant};

use http::StatusCode;
use lockstep_tests::{
    harness::{
        http::{Agent, Answer},
        nginx::Nginx,
    },
    world::{Shape, WORKSPACE, World},
};

const IN_GOOD_TIME: Duration = Duration::from_secs(13);

fn assert_provider_away(answer: &Answer, began: Instant, what: &str) {
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{what}: {}", answer.text());
    assert!(began.elapsed() < IN_GOOD_TIME, "{what}: {:?}", began.elapsed());
    let id = answer.header("x-request-id");
    assert!(!id.is_empty() && answer.text().contains(id), "{what}: the page names its request");
}

fn assert_no_session(world: &World, agent: &Agent, what: &str) {
    assert!(!world.cookie(agent).unwrap().contains("__Host-lockstep="), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_down_or_silent_gets_a_page_in_good_time() {
    let mut world = World::start(Shape::default()).await.unwrap();
    world.person("ada").await.unwrap();

    // Nothing is known of it yet: not even the way there.
    for is_silent in [false, true] {
        let mut agent = Agent::new().unwrap();
        if is_silent {
            world.provider.pause().await.unwrap();
        } else {
            world.provider.stop().await.unwrap();
        }
        let began = Instant::now();
        let answer = agent.get(world.sign_on_url()).await.unwrap();
        assert_provider_away(&answer, began, &format!("at the start, silent: {is_silent}"));
        assert_no_session(&world, &agent, "at the start");
        world.provider.resume().unwrap();
        world.provider.restart().await.unwrap();
        world.gateways[0].restart().await.unwrap();
    }

    // It goes away between sending the browser back and redeeming the code.
    for is_silent in [false, true] {
        world.person(&format!("person-{is_silent}")).await.unwrap();
        let mut agent = Agent::new().unwrap();
        let start = agent.get(world.sign_on_url()).await.unwrap();
        let login = format!("person-{is_silent}");
        let callback = world.provider.sign_in(&mut agent, start.redirect().unwrap(), &login).await.unwrap();
        if is_silent {
            world.provider.pause().await.unwrap();
        } else {
            world.provider.stop().await.unwrap();
        }
        let began = Instant::now();
        let answer = agent.get(callback).await.unwrap();
        assert_provider_away(&answer, began, &format!("at the callback, silent: {is_silent}"));
        assert_no_session(&world, &agent, "at the callback");
        world.provider.resume().unwrap();
        world.provider.restart().await.unwrap();
    }
    let grace = world.person("grace").await.unwrap();
    world.sign_in(&grace).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_answers_with_web_pages_gets_nobody_in() {
    let world = World::start(Shape::default()).await.unwrap();
    let website = Nginx::start(|port| {
        format!("server {{ listen 127.0.0.1:{port}; default_type text/html; location / {{ return 200 '<h1>Welcome</h1>'; }} }}")
    });
    let website = website.await.unwrap();
    let secret = world.site.secret_file("other.secret", "a secret for nobody").unwrap();
    let issuer = format!("http://127.0.0.1:{}", website.port());
    let add = ["connection", "add", WORKSPACE, "--preset", "generic", "--id", "website", "--issuer", &issuer, "--client-id", "x"];
    let more = ["--client-secret-file", secret.to_str().unwrap(), "--link", "externalId=sub"];
    world.site.command(&[&add[..], &more[..]].concat()).await.unwrap();

    let (mut agent, began) = (Agent::new().unwrap(), Instant::now());
    let answer = agent.get(format!("{}?connection=website", world.sign_on_url())).await.unwrap();

    assert_provider_away(&answer, began, "a web page");
    assert!(!answer.text().contains("Welcome"));
    assert_no_session(&world, &agent, "a web page");
}
