//! OAuth clients with an assertion, as Entra's workload identity shows one: only what the client's own issuer signed, for us, now.

use http::{HeaderMap, StatusCode};
use lockstep_tests::harness::http::Answer;
use serde_json::{Value, json};

use super::{
    Company, GRANT, JWT_BEARER, body, granted,
    issuer::{AUDIENCE, Issuer, Key, SUBJECT, b64, input, key_set, now, with},
    on_each_database, refused, text,
};

struct Client {
    id: String,
    added: Value,
}

impl Client {
    async fn add(company: &Company, options: &[&str]) -> Self {
        let added = company.command(&[&["oauth-client", "add", &company.id], options].concat()).await;
        Self { id: text(&added, "client_id"), added }
    }

    /// A client that trusts an issuer as an admin would set up Entra's workload identity.
    async fn of(company: &Company, issuer: &Issuer) -> Self {
        let keys = issuer.jwks_url();
        let options = ["--jwks-url", keys.as_str(), "--issuer", &issuer.url, "--subject", SUBJECT, "--audience", AUDIENCE];
        Self::add(company, &options).await
    }

    async fn show(&self, company: &Company, assertion: &str) -> Answer {
        let fields = [
            GRANT,
            ("client_id", self.id.as_str()),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", assertion),
            ("scope", "scim"),
        ];
        company.ask_token(&fields, HeaderMap::new()).await
    }
}

on_each_database! {
    async fn entras_workload_identity_is_given_a_token(company: &Company) {
        let issuer = Issuer::start();
        let client = Client::of(company, &issuer).await;
        let assertion = issuer.assertion(&json!({}));

        let token = granted(&client.show(company, &assertion).await);

        assert_eq!(client.added.get("warnings"), None, "{}", client.added);
        assert_eq!(client.added.get("client_secret"), None);
        body(company.scim.with_token(token).get("/Users").await, 200);
        // Entra's assertions have no jti: until its end one may be shown again.
        granted(&client.show(company, &assertion).await);
        granted(&client.show(company, &issuer.assertion(&json!({ "aud": [AUDIENCE] }))).await);
        assert_eq!(issuer.asked(), 2, "once when the client was added, once for all of these");
    }

    async fn an_assertion_with_a_name_is_shown_once(company: &Company) {
        let issuer = Issuer::start();
        let (client, other) = (Client::of(company, &issuer).await, Client::of(company, &issuer).await);
        let assertion = issuer.assertion(&json!({ "jti": "j-1" }));

        granted(&client.show(company, &assertion).await);
        refused(&client.show(company, &assertion).await, 401, "invalid_client");
        refused(&client.show(company, &issuer.assertion(&json!({ "jti": "j-1", "oid": "again" }))).await, 401, "invalid_client");
        granted(&client.show(company, &issuer.assertion(&json!({ "jti": "j-2" }))).await);
        granted(&other.show(company, &assertion).await);
        let at_once: Vec<_> = {
            let assertion = issuer.assertion(&json!({ "jti": "j-3" }));
            let shows = (0..6).map(|_| client.show(company, &assertion));
            futures_util::future::join_all(shows).await
        };
        assert_eq!(at_once.iter().filter(|answer| answer.status == 200).count(), 1);
    }

    async fn what_the_issuer_did_not_say_for_us_now_is_refused_alike(company: &Company) {
        let issuer = Issuer::start();
        let client = Client::of(company, &issuer).await;
        let now = now();
        let told = issuer.url.clone();
        let mut bodies = Vec::new();
        for change in [
            json!({ "iss": "https://elsewhere.example" }),
            json!({ "iss": format!("{told}/") }),
            json!({ "iss": null }),
            json!({ "sub": "somebody" }),
            json!({ "sub": null }),
            json!({ "aud": "api://other" }),
            json!({ "aud": [AUDIENCE, "api://other"] }),
            json!({ "aud": null }),
            json!({ "exp": now - 75 }),
            json!({ "exp": null }),
            json!({ "exp": now + 200_000 }),
            json!({ "nbf": now + 90 }),
            json!({ "iat": now + 90 }),
            json!({ "nonce": "n" }),
            json!({ "events": {} }),
            json!({ "typ": "Bearer" }),
            json!({ "jti": 7 }),
        ] {
            let answer = client.show(company, &issuer.assertion(&change)).await;
            refused(&answer, 401, "invalid_client");
            bodies.push(answer.body);
        }
        for (change, why) in [(json!({ "exp": now - 45 }), "exp"), (json!({ "nbf": now + 45, "iat": now + 45 }), "nbf")] {
            assert_eq!(client.show(company, &issuer.assertion(&change)).await.status, 200, "s32: {why} by a clock less than a minute away");
        }
        let half_past = |seconds: i64| serde_json::from_str::<Value>(&format!("{seconds}.5")).unwrap();
        let in_halves = json!({ "exp": half_past(now + 300), "nbf": half_past(now - 300), "iat": half_past(now - 300) });
        granted(&client.show(company, &issuer.assertion(&in_halves)).await);
        refused(&client.show(company, &issuer.assertion(&json!({ "exp": half_past(now - 75) }))).await, 401, "invalid_client");
        for typ in ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"] {
            let header = json!({ "alg": "RS256", "kid": issuer.key.kid, "typ": typ });
            refused(&client.show(company, &issuer.key.sign(&header, &issuer.claims())).await, 401, "invalid_client");
        }
        assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    }

    async fn only_the_issuers_published_key_counts(company: &Company) {
        let issuer = Issuer::start();
        let client = Client::of(company, &issuer).await;
        let stranger = Key::new("key-1");
        let claims = issuer.claims();
        let head = |alg: &str| json!({ "alg": alg, "kid": "key-1", "typ": "JWT" });
        let by_secret = |key: &[u8]| {
            let input = input(&head("HS256"), &claims);
            let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key), input.as_bytes());
            format!("{input}.{}", b64(tag))
        };
        let good = issuer.assertion(&json!({}));
        let (header, rest) = good.split_once('.').unwrap();
        let altered = b64(with(claims.clone(), &json!({ "oid": "somebody" })).to_string());
        for forged in [
            format!("{}.", input(&head("none"), &claims)),
            format!("{}.", input(&head("NoNe"), &claims)),
            format!("{}.{}", input(&head("none"), &claims), good.rsplit_once('.').unwrap().1),
            by_secret(issuer.key.jwk().to_string().as_bytes()),
            by_secret(b"secret"),
            stranger.sign(&head("RS256"), &claims),
            stranger.sign(&with(head("RS256"), &json!({ "jwk": stranger.jwk() })), &claims),
            stranger.sign(&with(head("RS256"), &json!({ "kid": "key-2", "jku": format!("{}/keys", issuer.url) })), &claims),
            issuer.key.sign(&with(head("RS256"), &json!({ "crit": ["exp"] })), &claims),
            format!("{header}.{altered}.{}", rest.split_once('.').unwrap().1),
            format!("{good}."),
            "a.b.c".to_owned(),
            good.replace('.', ""),
        ] {
            refused(&client.show(company, &forged).await, 401, "invalid_client");
        }
        granted(&client.show(company, &good).await);

        let theirs = Issuer::start();
        let other = Client::of(company, &theirs).await;
        refused(&other.show(company, &good).await, 401, "invalid_client");
        let by_their_key = theirs.sign(&claims);
        refused(&client.show(company, &by_their_key).await, 401, "invalid_client");
    }

    async fn s32_a_new_key_is_found_at_once_and_a_flood_of_invented_ones_asks_once(company: &Company) {
        let mut issuer = Issuer::start();
        let client = Client::of(company, &issuer).await;
        let old = issuer.assertion(&json!({}));
        granted(&client.show(company, &old).await);

        issuer.rotate("key-2");

        granted(&client.show(company, &issuer.assertion(&json!({}))).await);
        refused(&client.show(company, &old).await, 401, "invalid_client");
        assert_eq!(issuer.asked(), 3, "when it was added, first, and for the new key");
        for number in 0..20 {
            let invented = json!({ "alg": "RS256", "kid": format!("invented-{number}") });
            refused(&client.show(company, &issuer.key.sign(&invented, &issuer.claims())).await, 401, "invalid_client");
        }
        assert_eq!(issuer.asked(), 3, "not again within half a minute");
        granted(&client.show(company, &issuer.assertion(&json!({}))).await);
    }

    async fn keys_that_cannot_be_had_are_no_reason_to_believe(company: &Company) {
        let issuer = Issuer::start();
        let good = issuer.assertion(&json!({}));
        for (status, answer) in [
            (StatusCode::INTERNAL_SERVER_ERROR, key_set(&[&issuer.key])),
            (StatusCode::FOUND, key_set(&[&issuer.key])),
            (StatusCode::OK, "<html>".to_owned()),
            (StatusCode::OK, json!({ "keys": [] }).to_string()),
            (StatusCode::OK, format!("{}{}", key_set(&[&issuer.key]), " ".repeat(2 * 1024 * 1024))),
        ] {
            issuer.answer(status, answer);
            let client = Client::of(company, &issuer).await;

            let shown = client.show(company, &good).await;

            refused(&shown, 503, "temporarily_unavailable");
            assert!(shown.header("retry-after").parse::<u32>().is_ok(), "s32");
            assert!(client.added["warnings"][0].as_str().unwrap().contains("/keys"), "the operator is told: {}", client.added);
        }
        let asked = issuer.asked();
        let client = Client::of(company, &issuer).await;
        for _ in 0..10 {
            refused(&client.show(company, &good).await, 503, "temporarily_unavailable");
        }
        assert!(issuer.asked() <= asked + 3, "nobody makes us ask at will");
    }

    async fn a_client_that_nobody_vouches_for_by_name_is_its_own_issuer(company: &Company) {
        let issuer = Issuer::start();
        let client = Client::add(company, &["--jwks-url", &issuer.jwks_url()]).await;
        let origin = company.installation.site.provisioner_url();
        let own = |audience: &str| {
            let claims = json!({ "iss": client.id, "sub": client.id, "aud": audience, "exp": now() + 60 });
            issuer.sign(&claims)
        };

        for audience in [format!("{origin}/oauth2/token"), origin] {
            granted(&client.show(company, &own(&audience)).await);
            let unnamed = [GRANT, ("client_assertion_type", JWT_BEARER), ("client_assertion", &own(&audience))];
            granted(&company.ask_token(&unnamed, HeaderMap::new()).await);
        }
        refused(&client.show(company, &own(AUDIENCE)).await, 401, "invalid_client");
        refused(&client.show(company, &issuer.assertion(&json!({}))).await, 401, "invalid_client");
        let unnamed = [GRANT, ("client_assertion_type", JWT_BEARER), ("client_assertion", &issuer.assertion(&json!({})))];
        refused(&company.ask_token(&unnamed, HeaderMap::new()).await, 401, "invalid_client");
    }

    async fn a_client_that_asks_without_end_is_told_to_wait(company: &Company) {
        let issuer = Issuer::start();
        let (client, other) = (Client::of(company, &issuer).await, Client::of(company, &issuer).await);
        let mut waits = Vec::new();
        for _ in 0..40 {
            let at_once = futures_util::future::join_all((0..20).map(|_| client.show(company, "a.b.c"))).await;
            waits.extend(at_once.into_iter().filter(|answer| answer.status == 429));
            if !waits.is_empty() {
                break;
            }
        }

        let told = waits.first().expect("800 requests and never a 429");
        refused(told, 429, "temporarily_unavailable");
        assert!(told.header("retry-after").parse::<u32>().unwrap() >= 1, "s32");
        granted(&other.show(company, &issuer.assertion(&json!({}))).await);
    }
}
