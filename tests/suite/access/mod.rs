//! Groups become access, over SCIM on one side and the gateways' answers on the other: what a group gives is there with the answer,
//! and what it takes is gone with it, on every gateway, whatever else fails.

mod claims;
mod counted;
mod streams;

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use lockstep_tests::{
    harness::{
        eventually,
        http::{Agent, Answer},
        postgres::Postgres,
    },
    world::{AUDIENCE, Person, Shape, WORKSPACE, World, text},
};
use serde_json::{Value, json};

/// An app that asks for no role.
const OPEN: &str = "localhost";
/// An app for the role Admin.
const ADMIN: &str = "admin.example.com";
/// A loaded machine needs a while.
const WITHIN: Duration = Duration::from_secs(20);

/// A company with two gateways and an app for its admins.
struct House {
    world: World,
}

impl House {
    async fn build() -> Self {
        Self::build_before("http://127.0.0.1:9").await
    }

    /// With this server behind both apps.
    async fn build_before(upstream: &str) -> Self {
        let apps: toml::Table = toml::from_str(&format!(
            r#"
            [[apps]]
            hosts = ["{OPEN}"]
            upstream = "{upstream}"
            audience = "{AUDIENCE}"
            [apps.claims]
            userType = "userType"
            department = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"
            directory = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
            first_name = "name.givenName"
            folders = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName:folders:folders"
            [[apps]]
            hosts = ["{ADMIN}"]
            upstream = "{upstream}"
            roles = ["Admin"]
            "#
        ))
        .unwrap();
        let database = Postgres::shared().await.unwrap().database().await.unwrap();
        let shape = Shape { gateways: 2, ..Shape::default() };
        let world = World::start_with(database, shape, |site| site.set("apps", apps["apps"].clone())).await.unwrap();
        Self { world }
    }

    /// Somebody who is provisioned, and the cookie of their session.
    async fn somebody(&self, login: &str) -> (Person, String) {
        let person = self.world.person(login).await.unwrap();
        let agent = self.world.sign_in(&person).await.unwrap();
        let cookie = self.world.cookie(&agent).unwrap();
        (person, cookie)
    }

    async fn group(&self, name: &str, members: &[&Person]) -> String {
        let members: Vec<Value> = members.iter().map(|person| json!({ "value": person.id })).collect();
        let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members });
        let created = self.world.scim.post("/Groups", &body).await.unwrap().expect_status(StatusCode::CREATED).unwrap();
        text(&created.json().unwrap(), "id")
    }

    async fn patch(&self, path: &str, operations: Value) {
        let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations });
        let answer = self.world.scim.patch(path, &body).await.unwrap();
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text());
    }

    async fn add(&self, group: &str, person: &Person) {
        self.patch(&format!("/Groups/{group}"), json!([{ "op": "Add", "path": "members", "value": [{ "value": person.id }] }]))
            .await;
    }

    async fn remove(&self, group: &str, person: &Person) {
        let path = format!("members[value eq \"{}\"]", person.id);
        self.patch(&format!("/Groups/{group}"), json!([{ "op": "Remove", "path": path }])).await;
    }

    /// `mapping set`.
    async fn map(&self, arguments: &[&str]) -> Value {
        self.world.site.command(&[&["mapping", "set", WORKSPACE], arguments].concat()).await.unwrap()
    }

    /// Asks a gateway about a session as a front of this app does.
    async fn ask(&self, gateway: usize, host: &str, cookie: &str) -> Answer {
        let mut headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_str(host).unwrap())]);
        headers.insert(header::COOKIE, HeaderValue::from_str(cookie).unwrap());
        let url = format!("{}/oauth2/auth", self.world.gateways[gateway].url());
        Agent::new().unwrap().get_with(url, headers).await.unwrap()
    }

    /// What each gateway answers about the admins' app.
    async fn admins_app(&self, cookie: &str) -> [u16; 2] {
        [self.ask(0, ADMIN, cookie).await.status.as_u16(), self.ask(1, ADMIN, cookie).await.status.as_u16()]
    }

    /// Roles and teams as each gateway tells the open app, by header and by JWT alike.
    async fn told(&self, cookie: &str) -> (String, String) {
        let mut told = Vec::new();
        for gateway in 0..self.world.gateways.len() {
            let answer = self.ask(gateway, OPEN, cookie).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
            let (roles, teams) = (answer.header("x-lockstep-roles").to_owned(), answer.header("x-lockstep-teams").to_owned());
            let jwt = payload(&answer);
            let joined =
                |name: &str| jwt[name].as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect::<Vec<_>>().join(",");
            assert_eq!((joined("roles"), joined("teams")), (roles.clone(), teams.clone()), "gateway {gateway}");
            told.push((roles, teams));
        }
        assert_eq!(told[0], told[1]);
        told.remove(0)
    }
}

/// What the identity JWT of an answer says.
fn payload(answer: &Answer) -> Value {
    let payload = answer.header("x-lockstep-jwt").split('.').nth(1).unwrap().to_owned();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

fn pair(roles: &str, teams: &str) -> (String, String) {
    (roles.to_owned(), teams.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_what_a_group_gives_is_there_with_the_answer_and_gone_with_it_on_every_gateway() {
    let house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let admins = house.group("Admins", &[]).await;
    let listed = house.map(&["--group", "Admins", "--role", "Admin", "--team", "Operations"]).await;
    assert_eq!((&listed["groups"][0]["id"], &listed["groups"][0]["members"]), (&json!(admins), &json!(0)));
    assert_eq!(listed["receipt"]["confirmed"].as_array().unwrap().len(), 2, "{listed}");
    assert_eq!((house.told(&cookie).await, house.admins_app(&cookie).await), (pair("", ""), [403, 403]));

    for _ in 0..5 {
        house.add(&admins, &ada).await;
        assert_eq!(house.admins_app(&cookie).await, [200, 200]);
        assert_eq!(house.told(&cookie).await, pair("Admin", "Operations"));

        house.remove(&admins, &ada).await;
        assert_eq!(house.admins_app(&cookie).await, [403, 403]);
        assert_eq!(house.told(&cookie).await, pair("", ""));
    }
    let shown = house.world.site.command(&["user", "show", WORKSPACE, "ada@acme.example"]).await.unwrap();
    assert_eq!(shown["roles"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_the_loss_of_a_role_holds_without_redis() {
    let mut house = House::build().await;
    let mut people = Vec::new();
    for number in 0..4 {
        people.push(house.somebody(&format!("person{number}")).await);
    }
    let everybody: Vec<&Person> = people.iter().map(|(person, _)| person).collect();
    let admins = house.group("Admins", &everybody).await;
    house.map(&["--group", &admins, "--role", "Admin"]).await;
    for (_, cookie) in &people {
        assert_eq!(house.admins_app(cookie).await, [200, 200]);
    }

    house.world.redis.stop().await.unwrap();

    for (person, cookie) in &people {
        house.remove(&admins, person).await;
        assert_eq!(house.admins_app(cookie).await, [403, 403], "{}", person.login);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn i1_a_gateway_that_stood_still_meanwhile_lets_nobody_in_by_a_role_that_is_gone() {
    let mut house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let admins = house.group("Admins", &[&ada]).await;
    house.map(&["--group", &admins, "--role", "Admin"]).await;
    assert_eq!(house.admins_app(&cookie).await, [200, 200]);

    house.world.gateways[1].pause().await.unwrap();
    house.remove(&admins, &ada).await;
    house.world.gateways[1].resume().unwrap();
    let first = house.ask(1, ADMIN, &cookie).await;

    assert!(!first.status.is_success(), "{}", first.status);
    assert_eq!(house.ask(0, ADMIN, &cookie).await.status, StatusCode::FORBIDDEN);
    let back = async || (house.ask(1, ADMIN, &cookie).await.status == StatusCode::FORBIDDEN).then_some(());
    eventually("the gateway serving again", WITHIN, back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_and_precedence_count_at_once_for_everybody() {
    let house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let (_, of_ben) = house.somebody("ben").await;
    house.group("Staff", &[&ada]).await;
    house.group("Admins", &[&ada]).await;

    house.map(&["--default-role", "Guest", "--default-team", "Lobby"]).await;
    assert_eq!((house.told(&cookie).await, house.told(&of_ben).await), (pair("Guest", "Lobby"), pair("Guest", "Lobby")));
    house.map(&["--group", "Staff", "--role", "User", "--team", "Everybody"]).await;
    house.map(&["--group", "Admins", "--role", "Admin", "--role", "Auditor"]).await;
    assert_eq!(house.told(&cookie).await, pair("Admin,Auditor,User", "Everybody"));
    house.map(&["--precedence", "Owner,Admin,User"]).await;
    assert_eq!(
        (house.told(&cookie).await, house.told(&of_ben).await),
        (pair("Admin,Auditor", "Everybody"), pair("Guest", "Lobby"))
    );
    assert_eq!((house.admins_app(&cookie).await, house.admins_app(&of_ben).await), ([200, 200], [403, 403]));

    house.map(&["--remove-group", "Admins", "--no-default"]).await;

    assert_eq!((house.told(&cookie).await, house.told(&of_ben).await), (pair("User", "Everybody"), pair("", "")));
    assert_eq!(house.admins_app(&cookie).await, [403, 403]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_group_keeps_its_access_and_one_made_anew_has_none() {
    let house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let admins = house.group("Admins", &[&ada]).await;
    house.map(&["--group", "Admins", "--role", "Admin"]).await;

    house.patch(&format!("/Groups/{admins}"), json!([{ "op": "Replace", "path": "displayName", "value": "Chiefs" }])).await;
    assert_eq!(house.admins_app(&cookie).await, [200, 200], "renamed");
    house.world.scim.delete(&format!("/Groups/{admins}")).await.unwrap().expect_status(StatusCode::NO_CONTENT).unwrap();
    assert_eq!(house.admins_app(&cookie).await, [403, 403], "deleted");
    for name in ["Chiefs", "Admins"] {
        house.group(name, &[&ada]).await;
    }

    assert_eq!((house.admins_app(&cookie).await, house.told(&cookie).await), ([403, 403], pair("", "")), "made anew");
    let listed = house.world.site.command(&["mapping", "list", WORKSPACE]).await.unwrap();
    assert_eq!((&listed["groups"][0]["id"], &listed["groups"][0]["deleted"]), (&json!(admins), &json!(true)));
}

#[tokio::test(flavor = "multi_thread")]
async fn doyensec_an_attribute_gives_a_role_only_where_the_mapping_says_so() {
    let house = House::build().await;
    let (ada, cookie) = house.somebody("ada").await;
    let path = format!("/Users/{}", ada.id);
    let give = async |role: &str| {
        house.patch(&path, json!([{ "op": "Replace", "path": "roles", "value": [{ "value": role, "primary": true }] }])).await;
    };

    give("Admin").await;
    assert_eq!((house.told(&cookie).await, house.admins_app(&cookie).await), (pair("", ""), [403, 403]), "off by default");
    house.map(&["--role-attribute", "roles", "--grants", "User,Admin"]).await;
    assert_eq!((house.told(&cookie).await, house.admins_app(&cookie).await), (pair("Admin", ""), [200, 200]));
    give("EnterpriseAdmin").await;
    assert_eq!(
        (house.told(&cookie).await, house.admins_app(&cookie).await),
        (pair("", ""), [403, 403]),
        "a value that is not named"
    );
    give("User").await;
    assert_eq!(house.told(&cookie).await, pair("User", ""));
    house.map(&["--no-role-attribute"]).await;
    assert_eq!(house.told(&cookie).await, pair("", ""));
}
