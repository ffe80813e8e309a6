//! People who were invited before SCIM was on: a provider finds them, and adopts them by stated rules. Nobody is taken over by an
//! address or an identifier that anybody could have sent (s1, s2; defects 60 to 63).

use http::StatusCode;
use lockstep_tests::{
    harness::http::Agent,
    world::{Shape, WORKSPACE, World, deactivation, text},
};
use serde_json::{Value, json};

use super::{Company, body, found, guard::done, on_each_database, patch, refusal, user};

const PASSWORD: &str = "nine quiet lanterns";

async fn invite(company: &Company, address: &str) -> String {
    text(&company.command(&["user", "invite", &company.id, address]).await, "id")
}

async fn show(company: &Company, id: &str) -> Value {
    company.command(&["user", "show", &company.id, id]).await
}

async fn prove(company: &Company, domain: &str) {
    company.command(&["domain", "add", &company.id, domain]).await;
    company.command(&["domain", "verify", &company.id, domain, "--by-operator"]).await;
}

/// What Entra sends to somebody whom it found by their userName.
fn give_external_id(external_id: &str) -> Value {
    patch(&json!([{ "op": "Add", "path": "externalId", "value": external_id }]))
}

on_each_database! {
    async fn s1_an_external_id_names_nobody_of_ours(company: &Company) {
        let other = company.another().await;
        let theirs = other.person("admin@other.example").await;
        let (admin, guest) = (company.person("admin@acme.example").await, invite(company, "guest@acme.example").await);
        let before = (show(company, &admin).await, show(company, &guest).await, other.all("/Users").await);

        for (number, external_id) in ["1", "0", "admin", "-1", &theirs, &admin, &guest, "guest@acme.example"].into_iter().enumerate() {
            let person = json!({ "userName": format!("user-{number}"), "externalId": external_id, "id": admin });
            let made = text(&body(company.scim.post("/Users", &person).await, 201), "id");

            assert!(![&theirs, &admin, &guest].contains(&&made), "{external_id}");
            assert_eq!(found(&company.scim, "/Users", &format!("externalId eq \"{external_id}\"")).await, 1);
        }
        assert_eq!((show(company, &admin).await, show(company, &guest).await, other.all("/Users").await), before);
    }

    async fn s2_whom_no_proven_domain_speaks_for_is_not_taken_over(company: &Company) {
        prove(company, "acme.example").await;
        let guest = invite(company, "ceo@victim.example").await;
        let (path, before) = (format!("/Users/{guest}"), show(company, &guest).await);
        let mail = |address: &str| json!([{ "op": "replace", "path": "emails", "value": [{ "value": address, "primary": true }] }]);

        for request in [
            patch(&mail("attacker@acme.example")),
            patch(&json!([{ "op": "replace", "path": "userName", "value": "attacker@acme.example" }])),
            give_external_id("oid-attacker"),
            deactivation(),
            patch(&json!([])),
        ] {
            let answer = company.scim.patch(&path, &request).await.unwrap();
            assert!([400, 403].contains(&answer.status.as_u16()), "{request}: {}", answer.text());
        }
        let told = refusal(company.scim.patch(&path, &give_external_id("x")).await, 403, "")["detail"].clone();
        for word in ["invited", "victim.example", "prove the domain", "user adopt"] {
            assert!(told.as_str().unwrap().contains(word), "{told}");
        }
        refusal(company.scim.put(&path, &json!({ "userName": "ceo@victim.example", "externalId": "x" })).await, 403, "");
        refusal(company.scim.delete(&path).await, 403, "");
        // Nor does a person of that name, or with that address, become theirs.
        let told = refusal(company.scim.post("/Users", &user("CEO@victim.example")).await, 409, "uniqueness")["detail"].clone();
        assert!(told.as_str().unwrap().contains("invited"), "{told}");
        let twin = json!({ "userName": "twin", "externalId": "oid-twin", "emails": [{ "value": "ceo@victim.example", "primary": true }] });
        assert_ne!(text(&body(company.scim.post("/Users", &twin).await, 201), "id"), guest, "stored, and it links nobody");

        assert_eq!(show(company, &guest).await, before);
    }

    async fn a_provider_finds_them_and_adopts_whom_its_domain_makes_its_own(company: &Company) {
        let guest = invite(company, "Ada@Acme.example").await;
        for filter in [
            "userName eq \"ada@acme.example\"".to_owned(),
            "emails[type eq \"work\"].value eq \"ada@acme.example\"".to_owned(),
            "emails eq \"ADA@acme.example\"".to_owned(),
            format!("id eq \"{guest}\""),
            "not (externalId pr)".to_owned(),
        ] {
            assert_eq!(found(&company.scim, "/Users", &filter).await, 1, "{filter}");
        }
        refusal(company.scim.patch(&format!("/Users/{guest}"), &give_external_id("oid-ada")).await, 403, "");
        prove(company, "acme.example").await;

        done(company.scim.patch(&format!("/Users/{guest}"), &give_external_id("oid-ada")).await);
        let adopted = body(company.scim.get(&format!("/Users/{guest}")).await, 200);

        assert_eq!((text(&adopted, "id"), text(&adopted, "externalId")), (guest.clone(), "oid-ada".to_owned()));
        let shown = show(company, &guest).await;
        assert_eq!((text(&shown, "origin"), text(&shown, "login_method")), ("provisioned".to_owned(), "password".to_owned()));
        assert_eq!((&shown["adoption"]["by"]["kind"], &shown["adoption"]["waits_for_connection"]), (&json!("provider"), &json!(true)));
        let renamed = patch(&json!([{ "op": "replace", "path": "userName", "value": "ada.new@acme.example" }]));
        done(company.scim.patch(&format!("/Users/{guest}"), &renamed).await);
        body(company.scim.delete(&format!("/Users/{guest}")).await, 204);
    }

    async fn a_put_adopts_and_the_first_write_keeps_the_name(company: &Company) {
        prove(company, "acme.example").await;
        let guest = invite(company, "ada@acme.example").await;
        let path = format!("/Users/{guest}");

        refusal(company.scim.put(&path, &json!({ "userName": "eve@acme.example", "externalId": "x" })).await, 403, "");
        refusal(company.scim.delete(&path).await, 403, "");
        body(company.scim.put(&path, &json!({ "userName": "ADA@acme.example", "displayName": "Ada" })).await, 200);

        assert_eq!(text(&show(company, &guest).await, "origin"), "provisioned");
        body(company.scim.delete(&path).await, 204);
    }

    async fn an_operator_adopts_whom_the_provider_may_not(company: &Company) {
        let guest = invite(company, "guest@partner.example").await;
        refusal(company.scim.patch(&format!("/Users/{guest}"), &deactivation()).await, 403, "");

        let adopted = company.command(&["user", "adopt", &company.id, "guest@partner.example"]).await;

        assert_eq!((text(&adopted, "id"), text(&adopted, "origin")), (guest.clone(), "provisioned".to_owned()));
        assert_eq!(adopted["adoption"]["by"]["kind"], "operator");
        done(company.scim.patch(&format!("/Users/{guest}"), &deactivation()).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_adopted_is_out_of_their_password_session_and_in_by_sso() {
    let world = World::start(Shape { enforced: false, ..Shape::default() }).await.unwrap();
    let invited = world.site.command(&["user", "invite", WORKSPACE, "ada@acme.example"]).await.unwrap();
    let (id, link) = (text(&invited, "id"), text(&invited, "setup_url"));
    let again = world.site.command(&["user", "invite", WORKSPACE, "ada@acme.example"]).await.unwrap();
    let mut agent = Agent::new().unwrap();
    set_password(&mut agent, &link).await.expect_status(StatusCode::SEE_OTHER).unwrap();
    let cookie = world.cookie(&agent).unwrap();
    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::OK);

    let adopting = give_external_id("oid-ada");
    let answer = world.scim.patch(&format!("/Users/{id}"), &adopting).await.unwrap();

    assert_eq!(world.ask(0, &cookie).await.unwrap().status, StatusCode::UNAUTHORIZED, "at once");
    done(Ok(answer));
    let late = set_password(&mut Agent::new().unwrap(), &text(&again, "setup_url")).await;
    assert_eq!(late.status, StatusCode::GONE, "nor is there another way to a password");
    let account = lockstep_tests::harness::provider::Account::new("ada", "sub-ada", "oid-ada", "ada@acme.example");
    world.provider.put_account(&account).await.unwrap();
    let mut agent = Agent::new().unwrap();
    world.try_sign_in(&mut agent, "ada").await.unwrap().expect_status(StatusCode::SEE_OTHER).unwrap();
    let allowed = world.ask(0, &world.cookie(&agent).unwrap()).await.unwrap();
    assert_eq!((allowed.status, allowed.header("x-lockstep-user-id")), (StatusCode::OK, id.as_str()));
}

async fn set_password(agent: &mut Agent, link: &str) -> lockstep_tests::harness::http::Answer {
    let same_origin = [(http::HeaderName::from_static("sec-fetch-site"), http::HeaderValue::from_static("same-origin"))];
    let fields = [("password", PASSWORD), ("repeat", PASSWORD)];
    agent.post_form_with(link, &fields, same_origin.into_iter().collect()).await.unwrap()
}
