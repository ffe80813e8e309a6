//! The provider's admin imports the people whom the product has already.

use lockstep_tests::world::text;
use serde_json::json;

use super::{Company, body, found, on_each_database};

on_each_database! {
    async fn people_who_were_invited_are_listed_and_found_with_what_a_provider_matches_them_by(company: &Company) {
        let invited = company.command(&["user", "invite", &company.id, "Ada@acme.example"]).await;
        let provisioned = company.person("moe@acme.example").await;
        let id = text(&invited, "id");

        let list = body(company.scim.get("/Users?startIndex=1&count=100").await, 200);
        let ada = list["Resources"].as_array().unwrap().iter().find(|one| one["id"] == id.as_str()).unwrap().clone();

        assert_eq!((&list["totalResults"], &list["itemsPerPage"]), (&json!(2), &json!(2)));
        assert_eq!((&ada["userName"], &ada["active"]), (&json!("Ada@acme.example"), &json!(true)));
        assert_eq!(ada["emails"], json!([{ "value": "Ada@acme.example", "type": "work", "primary": true }]));
        assert!(ada.get("externalId").is_none(), "nobody has named her yet");
        assert_eq!(body(company.scim.get(&format!("/Users/{id}")).await, 200), ada);
        for (filter, count) in [
            ("userName eq \"ada@ACME.example\"".to_owned(), 1),
            ("emails[type eq \"work\"].value eq \"ada@acme.example\"".to_owned(), 1),
            ("emails.value eq \"ada@acme.example\"".to_owned(), 1),
            (format!("id eq \"{id}\""), 1),
            ("externalId eq \"\"".to_owned(), 0),
            ("externalId eq \"Ada@acme.example\"".to_owned(), 0),
            ("externalId pr".to_owned(), 0),
            ("not (externalId pr)".to_owned(), 2),
            ("externalId eq null".to_owned(), 2),
            (format!("id eq \"{provisioned}\" or id eq \"{id}\""), 2),
        ] {
            assert_eq!(found(&company.scim, "/Users", &filter).await, count, "{filter}");
        }
        let matched = body(company.scim.get("/Users?attributes=id,userName,emails,externalId&sortBy=userName").await, 200);
        assert_eq!(matched["Resources"][0]["userName"], "Ada@acme.example");
    }

    async fn a_rule_does_not_hide_whom_it_would_refuse(company: &Company) {
        company.command(&["user", "invite", &company.id, "ada@acme.example"]).await;
        company.ask(&["attribute", "set"], &["name.familyName", "externalId", "--required"]).await;

        assert_eq!(found(&company.scim, "/Users", "userName eq \"ada@acme.example\"").await, 1);
    }
}
