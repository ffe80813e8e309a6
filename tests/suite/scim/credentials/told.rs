//! What the workspace's log tells of tokens: each that was granted, why one was not, and nothing that a stranger could fill it with.

use http::{HeaderMap, StatusCode};
use lockstep_shared::{
    id::{OAuthClientId, WorkspaceId},
    secret::BearerToken,
};
use lockstep_tests::harness::http::Answer;
use serde_json::{Value, json};

use super::{
    super::log::{contains, entries, explain, says, short},
    Company, GRANT, JWT_BEARER, granted,
    issuer::{AUDIENCE, Issuer, Key, SUBJECT, key_set, now},
    on_each_database, refused, text,
};

async fn by_secret(company: &Company, id: &str, secret: &str) -> Answer {
    company.ask_token(&[GRANT, ("client_id", id), ("client_secret", secret)], HeaderMap::new()).await
}

async fn by_assertion(company: &Company, id: &str, assertion: &str) -> Answer {
    let shown = [("client_id", id), ("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)];
    company.ask_token(&[&[GRANT][..], &shown].concat(), HeaderMap::new()).await
}

/// A client with a secret: its id and that.
async fn with_secret(company: &Company) -> (String, String) {
    let added = company.command(&["oauth-client", "add", &company.id]).await;
    (text(&added, "client_id"), text(&added, "client_secret"))
}

/// A client that trusts an issuer.
async fn with_issuer(company: &Company, issuer: &Issuer) -> String {
    let keys = issuer.jwks_url();
    let trust = ["--jwks-url", &keys, "--issuer", &issuer.url, "--subject", SUBJECT, "--audience", AUDIENCE];
    text(&company.command(&[&["oauth-client", "add", &company.id][..], &trust].concat()).await, "client_id")
}

on_each_database! {
    async fn a_token_has_its_line_and_so_has_each_reason_for_none(company: &Company) {
        let (client, secret) = with_secret(company).await;
        let other = company.another().await;
        let invented = OAuthClientId::random(&WorkspaceId::parse(&company.id).unwrap());

        granted(&by_secret(company, &client, &secret).await);
        refused(&by_secret(company, &client, BearerToken::new().unwrap().expose()).await, 401, "invalid_client");
        refused(&by_secret(company, invented.as_str(), &secret).await, 401, "invalid_client");
        refused(&by_secret(company, &client, "not one of ours").await, 401, "invalid_client");
        refused(&by_assertion(company, &client, "a.b.c").await, 401, "invalid_client");
        let read_all = [GRANT, ("client_id", &client), ("client_secret", &secret), ("scope", "api://all/.default")];
        refused(&company.ask_token(&read_all, HeaderMap::new()).await, 400, "invalid_scope");
        company.command(&["scim", "disable", &company.id]).await;
        refused(&by_secret(company, &client, &secret).await, 400, "unauthorized_client");
        company.command(&["oauth-client", "revoke", &company.id, &client]).await;
        refused(&by_secret(company, &client, &secret).await, 401, "invalid_client");
        let told = entries(company, 8).await;

        let refused = |status| says("token.grant", status, "refused");
        let expected = [
            (says("token.grant", 200, "done"), String::new()),
            (refused(401), format!("as client {client}, which was refused: the secret is another; put the one")),
            (refused(401), format!("as a client that is not there, which was refused: copy the client id from `provisioner oauth-client list {}`", company.id)),
            (refused(401), "a token, which was refused: it showed nothing that could be a client's; put the client id".to_owned()),
            (refused(401), "the client has a secret, and an assertion was shown; let the identity provider show the secret".to_owned()),
            (refused(400), "a token, which was refused: the only scope is scim; set that one, or none".to_owned()),
            (refused(400), format!("SCIM is switched off for this workspace: ask its operator to enable it (`provisioner scim enable`); run `provisioner log explain {}", company.id)),
            (refused(401), format!("the client is revoked; add another with `provisioner oauth-client add {}`", company.id)),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for (entry, (is, part)) in told.iter().zip(&expected) {
            assert_eq!((short(entry), entry["sentence"].as_str().unwrap_or_default().contains(part)), (is.clone(), true), "{part}: {entry}");
        }
        assert_eq!((&told[0]["credential"], told[1]["credential"].as_str()), (&json!(client), Some("")));
        assert_eq!((&told[1]["detail"]["oauth_client"], &told[2]["detail"]["oauth_client"]), (&json!(client), &Value::Null));
        assert!(told[1]["sentence"].as_str().unwrap().starts_with("Somebody asked for a token"), "anybody may have");
        let whole = json!(told).to_string();
        assert!(!whole.contains("lks_") && !whole.contains(invented.as_str()), "{whole}");
        let theirs = other.command(&["log", "tail", &other.id]).await;
        assert_eq!(theirs["entries"], json!([]), "I5");
    }

    async fn guessing_makes_a_line_a_minute_and_nobody_elses_log(company: &Company) {
        let issuer = Issuer::start();
        let (client, secret) = with_secret(company).await;
        let trusting = with_issuer(company, &issuer).await;
        for number in 0..20 {
            refused(&by_secret(company, &client, BearerToken::new().unwrap().expose()).await, 401, "invalid_client");
            let invented = OAuthClientId::random(&WorkspaceId::parse(&company.id).unwrap());
            refused(&by_secret(company, invented.as_str(), &secret).await, 401, "invalid_client");
            let key = json!({ "alg": "RS256", "kid": format!("invented-{number}") });
            let forged = issuer.key.sign(&key, &issuer.claims());
            refused(&by_assertion(company, &trusting, &forged).await, 401, "invalid_client");
        }
        granted(&by_secret(company, &client, &secret).await);

        let told = entries(company, 4).await;

        let refused = says("token.grant", 401, "refused");
        let shorts: Vec<_> = told.iter().map(short).collect();
        assert_eq!(shorts, [refused.clone(), refused.clone(), refused, says("token.grant", 200, "done")], "{told:?}");
    }

    async fn whoever_knows_but_the_workspace_makes_one_line_and_no_problem(company: &Company) {
        let (client, _) = with_secret(company).await;
        let invented = OAuthClientId::random(&WorkspaceId::parse(&company.id).unwrap());
        let shown = BearerToken::new().unwrap();
        let of = |more: &[(&'static str, &'static str)]| [more, &[("client_id", invented.as_str()), ("client_secret", shown.expose())]].concat();

        for form in [of(&[("grant_type", "password")]), of(&[]), of(&[GRANT, ("scope", "all")]), of(&[GRANT, ("client_id", "x")]), of(&[GRANT])] {
            assert!(company.ask_token(&form, HeaderMap::new()).await.status.is_client_error());
        }
        refused(&company.ask_token(&[("grant_type", "password"), ("client_id", &client)], HeaderMap::new()).await, 400, "unsupported_grant_type");
        let told = entries(company, 2).await;

        assert_eq!(told.len(), 2, "{told:?}");
        assert!(text(&told[0], "sentence").starts_with("Somebody asked for a token"), "{told:?}");
        assert_eq!(told[1]["detail"]["oauth_client"], json!(client));
        let findings = explain(company, &["accounts-not-created"]).await;
        let of_tokens: Vec<&String> = findings.iter().filter(|finding| finding.starts_with("token: ")).collect();
        assert_eq!(of_tokens.len(), 2, "{findings:?}");
        assert!(of_tokens[0].contains("choose client credentials") && of_tokens[1].contains("Somebody asked"), "{findings:?}");
    }

    async fn an_assertion_that_is_not_believed_is_told_with_what_to_mend(company: &Company) {
        let issuer = Issuer::start();
        let id = with_issuer(company, &issuer).await;
        let (keys, now) = (issuer.jwks_url(), now());
        let rotated = issuer.key.sign(&json!({ "alg": "RS256", "kid": "abc" }), &issuer.claims());
        let odd = issuer.key.sign(&json!({ "alg": "RS256", "kid": "Ada Lovelace\r\nlevel=error" }), &issuer.claims());
        let named = issuer.assertion(&json!({ "jti": "j-1" }));
        let stranger = Key::new("key-1").sign(&json!({ "alg": "RS256", "kid": "key-1" }), &issuer.claims());
        granted(&by_assertion(company, &id, &named).await);
        let mut count = 1;
        for (assertion, part) in [
            (named, "the client assertion was shown before; let the client make a new one".to_owned()),
            (rotated, format!("the client assertion's key \"abc\" is not in the key set at {keys}: has the provider rotated its keys?")),
            (stranger, format!("signature is not by the key of that name at {keys};")),
            (issuer.assertion(&json!({ "exp": now - 100 })), "has expired; compare the clocks".to_owned()),
            (
                issuer.assertion(&json!({ "aud": "api://other" })),
                format!("audience is \"api://other\", and expected is \"{AUDIENCE}\" alone; set it so at the identity provider"),
            ),
            (issuer.assertion(&json!({ "sub": "another" })), format!("subject is \"another\", and the client was added with \"{SUBJECT}\"")),
            (issuer.assertion(&json!({ "iss": "https://other.example" })), format!("the client was added with \"{}\"; if that is right", issuer.url)),
            (issuer.assertion(&json!({ "nonce": "n" })), "it is an ID token: it tells of a person's sign-in; tell the vendor".to_owned()),
        ] {
            refused(&by_assertion(company, &id, &assertion).await, 401, "invalid_client");
            count += 1;
            let told = entries(company, count).await;
            let sentence = text(told.last().unwrap(), "sentence");
            assert!(sentence.contains(&format!("asked for a token as client {id}, which was refused: ")), "{sentence}");
            assert!(sentence.contains(&part), "{part}: {sentence}");
            let signature = assertion.rsplit_once('.').unwrap().1;
            assert!(!sentence.contains(signature), "no assertion is kept: {sentence}");
        }
        contains(&explain(company, &["accounts-not-created"]).await, "token: once, last at");

        let another = with_issuer(company, &issuer).await;
        refused(&by_assertion(company, &another, &odd).await, 401, "invalid_client");
        let told = entries(company, count + 1).await;
        assert!(text(told.last().unwrap(), "sentence").contains("the client assertion's key is not in"), "{told:?}");
    }

    async fn keys_that_cannot_be_had_are_told_until_they_can(company: &Company) {
        let issuer = Issuer::start();
        let id = with_issuer(company, &issuer).await;
        issuer.answer(StatusCode::BAD_GATEWAY, "");

        refused(&by_assertion(company, &id, &issuer.assertion(&json!({}))).await, 503, "temporarily_unavailable");
        let told = entries(company, 1).await;
        assert_eq!(short(&told[0]), says("token.grant", 503, "failed"));
        let sentence = text(&told[0], "sentence");
        assert!(sentence.contains(&format!("are not to be had at {}: ", issuer.jwks_url())) && sentence.contains("502"), "{sentence}");
        contains(&explain(company, &["accounts-not-created"]).await, "which was not carried out: the keys of the client's issuer");

        issuer.answer(StatusCode::OK, key_set(&[&issuer.key]));
        let mended = with_issuer(company, &issuer).await;
        granted(&by_assertion(company, &mended, &issuer.assertion(&json!({}))).await);
        entries(company, 2).await;
        contains(&explain(company, &["accounts-not-created"]).await, "token: once");
    }
}
