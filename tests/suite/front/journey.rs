//! One person's way with a browser: to the app, to the provider, into the app, and out on the first click after the provider
//! has heard that they are. The pages on the way are kept as pictures in `target/screenshots`.

use std::{fs, path::PathBuf};

use http::StatusCode;
use lockstep_tests::{
    harness::{browser::Browser, http::Agent},
    world::{WORKSPACE, activation},
};

use super::House;

/// A desktop's and a phone's.
const SIZES: [(u32, u32); 2] = [(1280, 900), (390, 844)];

/// Takes the page as it is shown, at each size.
async fn picture(browser: &Browser, name: &str) {
    let folder = pictures();
    for (width, height) in SIZES {
        browser.viewport(width, height).await.unwrap();
        browser.screenshot(folder.join(format!("{name}-{width}.png"))).await.unwrap();
    }
    let (width, height) = SIZES[0];
    browser.viewport(width, height).await.unwrap();
}

/// In Cargo's target folder, which is above the one that the test's program lies in.
fn pictures() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).unwrap().join("screenshots");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Signs in at the provider's form, which has to be what is shown.
async fn sign_in_at_the_provider(house: &House, browser: &Browser, login: &str) {
    browser.wait_for("#login").await.unwrap();
    let shown = browser.url().await.unwrap();
    assert!(shown.as_str().starts_with(house.world.provider.issuer()), "{shown}");
    browser.driver().execute("document.querySelector('#login').value = ''", vec![]).await.unwrap();
    browser.fill("#login", login).await.unwrap();
    browser.click("#submit").await.unwrap();
}

/// Waits for a page of ours or of the app, by its heading.
async fn heading(browser: &Browser) -> String {
    browser.wait_for("h1").await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_sees_the_app_and_is_out_on_the_first_click_after_the_answer() {
    let house = House::build().await;
    let ada = house.world.person("ada").await.unwrap();
    let browser = Browser::open().await.unwrap();
    let place = house.at("/reports?year=2026&page=2");

    browser.goto(&place).await.unwrap();
    sign_in_at_the_provider(&house, &browser, "ada").await;

    browser.wait_for(".facts").await.unwrap();
    assert_eq!(browser.url().await.unwrap().as_str(), place, "back where they wanted to go, whole");
    assert_eq!(heading(&browser).await, "ada@acme.example");
    let page = browser.text().await.unwrap();
    for fact in [WORKSPACE, &ada.id, "present"] {
        assert!(page.contains(fact), "{fact} in {page}");
    }
    picture(&browser, "app").await;

    let answer = house.world.deactivate(&ada).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let asked_before = house.app.requests();
    browser.goto(&place).await.unwrap();

    assert_eq!(heading(&browser).await, "Your access was removed");
    assert_eq!(browser.status().await.unwrap(), 403);
    assert_eq!(browser.url().await.unwrap().as_str(), place, "they are told so where they are, without a redirect");
    assert_eq!(house.app.requests(), asked_before, "the app was not asked");
    picture(&browser, "removed").await;

    browser.click("a.button").await.unwrap();
    browser.wait_for("dl").await.unwrap();
    assert_eq!(browser.status().await.unwrap(), 403, "and the provider, where they are still signed in, does not get them in");
    assert!(house.world.public_url.starts_with(&browser.url().await.unwrap().origin().ascii_serialization()));
    picture(&browser, "not-let-in").await;

    house.world.scim.patch(&format!("/Users/{}", ada.id), &activation()).await.unwrap().expect_status(StatusCode::OK).unwrap();
    browser.goto(&place).await.unwrap();
    browser.wait_for(".facts").await.unwrap();
    assert_eq!(heading(&browser).await, "ada@acme.example", "switched on again, they sign in again");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_e_mail_in_and_by_the_apps_link_out() {
    let house = House::build().await;
    house.world.person("grace").await.unwrap();
    let browser = Browser::open().await.unwrap();

    browser.goto(&house.at("/login?rd=/reports")).await.unwrap();
    picture(&browser, "sign-in").await;
    browser.fill("#email", "nobody").await.unwrap();
    browser.driver().execute("document.querySelector('form').noValidate = true", vec![]).await.unwrap();
    browser.click("button").await.unwrap();
    browser.wait_for("#notice").await.unwrap();
    picture(&browser, "sign-in-malformed").await;
    browser.driver().execute("document.querySelector('#email').value = ''", vec![]).await.unwrap();
    browser.fill("#email", "grace@acme.example").await.unwrap();
    browser.click("button").await.unwrap();
    sign_in_at_the_provider(&house, &browser, "grace").await;
    browser.wait_for(".facts").await.unwrap();
    assert_eq!(browser.url().await.unwrap().path(), "/reports");

    let session = browser.driver().get_named_cookie("__Host-lockstep").await.unwrap();
    let mut copy = Agent::new().unwrap();
    copy.set_cookie("localhost", session.name(), session.value());
    assert_eq!(copy.get(house.at("/reports")).await.unwrap().status, StatusCode::OK);

    browser.click("a[href='/oauth2/sign_out']").await.unwrap();

    browser.wait_for(".sign").await.unwrap();
    assert_eq!(heading(&browser).await, "You are signed out");
    picture(&browser, "signed-out").await;
    assert!(browser.driver().get_all_cookies().await.unwrap().iter().all(|cookie| cookie.name() != session.name()));
    let replayed = copy.get(house.at("/reports")).await.unwrap();
    assert_eq!(replayed.redirect().unwrap().path(), format!("/sso/{WORKSPACE}"), "a copy of the cookie is worth nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_be_answered_now_is_told_so_and_is_not_signed_out() {
    let mut house = House::build().await;
    house.world.person("joan").await.unwrap();
    let browser = Browser::open().await.unwrap();
    let place = house.at("/reports");
    browser.goto(&place).await.unwrap();
    sign_in_at_the_provider(&house, &browser, "joan").await;
    browser.wait_for(".facts").await.unwrap();

    // A gateway that has just started has no session in memory.
    house.world.redis.pause().await.unwrap();
    house.world.gateways[0].restart().await.unwrap();
    browser.goto(&place).await.unwrap();

    assert_eq!((heading(&browser).await.as_str(), browser.status().await.unwrap()), ("Not available at the moment", 503));
    picture(&browser, "unavailable").await;

    house.world.redis.resume().unwrap();
    house.world.provider.stop().await.unwrap();
    browser.goto(&house.at(&format!("/sso/{WORKSPACE}?login_hint=joan"))).await.unwrap();

    assert_eq!(
        (heading(&browser).await.as_str(), browser.status().await.unwrap()),
        ("Your identity provider does not answer", 502)
    );
    picture(&browser, "provider-away").await;

    browser.goto(&place).await.unwrap();
    browser.wait_for(".facts").await.unwrap();
    assert_eq!(heading(&browser).await, "joan@acme.example", "still signed in, all the while");

    house.world.gateways[0].stop().await.unwrap();
    browser.goto(&place).await.unwrap();

    assert_eq!(browser.status().await.unwrap(), 503, "nginx has an answer of its own where no gateway is left");
    assert!(browser.text().await.unwrap().contains("You are not signed out"));
}
