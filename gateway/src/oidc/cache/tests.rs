use std::{sync::atomic::Ordering, time::Duration};

use lockstep_shared::{
    clock::{Clock as _, TestClock},
    kept::{FAILED, FRESH, LAST_GOOD, ROTATION},
};
use serde_json::{Value, json};

use super::*;
use crate::oidc::{
    Algorithm, Occasion,
    testing::{Signer, StubProvider, key_set, reply, with},
};

const ISSUER: &str = "https://idp.example";
const DISCOVERY: &str = "https://idp.example/.well-known/openid-configuration";
const SECOND: Duration = Duration::from_secs(1);
const KEYS: &str = "https://idp.example/keys";

struct Fixture {
    provider: StubProvider,
    clock: Arc<TestClock>,
}

impl Fixture {
    fn new() -> Self {
        Self { provider: StubProvider::new(), clock: TestClock::new() }
    }

    fn publish(&self, keys: &[Value]) {
        let metadata = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://idp.example/authorize",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": KEYS,
            "id_token_signing_alg_values_supported": ["ES256"],
        });
        self.provider.answer(DISCOVERY, reply(200, &metadata.to_string()));
        self.provider.answer(KEYS, reply(200, std::str::from_utf8(&key_set(keys)).unwrap()));
    }

    fn providers(&self) -> Providers<&StubProvider> {
        Providers::new(&self.provider, Arc::<TestClock>::clone(&self.clock))
    }

    fn token(&self, signer: &Signer, kid: &str) -> String {
        let now = self.clock.now().seconds();
        let payload = json!({"iss": ISSUER, "sub": "s", "aud": "c", "exp": now + 300, "iat": now, "nonce": "n"});
        signer.token(&json!({"alg": "ES256", "kid": kid}).to_string(), &payload.to_string())
    }

    async fn verify(&self, providers: &Providers<&StubProvider>, token: &str) -> Result<Result<Claims, Refusal>, ProviderError> {
        let expected = Expected {
            issuer: ISSUER,
            client_id: "c",
            trusted_audiences: &[],
            algorithms: &[Algorithm::Es256],
            occasion: Occasion::SignIn { nonce: "n" },
            max_age: None,
            access_token: None,
            now: self.clock.now(),
        };
        providers.verify(token, &expected).await
    }
}

fn named(signer: &Signer, kid: &str) -> Value {
    with(signer.jwk(), json!({ "kid": kid }))
}

#[tokio::test]
async fn what_is_fresh_is_not_asked_for_again() {
    let fixture = Fixture::new();
    fixture.publish(&[named(&Signer::p256(), "a")]);
    let providers = fixture.providers();

    providers.get(ISSUER).await.unwrap();
    fixture.clock.advance(FRESH.saturating_sub(SECOND));
    providers.get(ISSUER).await.unwrap();
    assert_eq!(fixture.provider.asked(DISCOVERY), 1);

    fixture.clock.advance(SECOND);
    providers.get(ISSUER).await.unwrap();
    assert_eq!((fixture.provider.asked(DISCOVERY), fixture.provider.asked(KEYS)), (2, 2));
}

#[tokio::test]
async fn a_hundred_sign_ins_at_once_ask_once() {
    let fixture = Fixture::new();
    fixture.publish(&[named(&Signer::p256(), "a")]);
    let providers = fixture.providers();

    let all = (0..100).map(|_| providers.get(ISSUER));
    let outcomes = join_all(all).await;

    assert!(outcomes.iter().all(Result::is_ok));
    assert_eq!((fixture.provider.asked(DISCOVERY), fixture.provider.asked(KEYS)), (1, 1));
    assert_eq!(fixture.provider.most_at_once.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a8_the_last_good_serves_through_an_outage_of_a_day() {
    let fixture = Fixture::new();
    fixture.publish(&[named(&Signer::p256(), "a")]);
    let providers = fixture.providers();
    providers.get(ISSUER).await.unwrap();

    fixture.provider.go_away();
    fixture.clock.advance(LAST_GOOD.saturating_sub(SECOND));
    assert!(providers.get(ISSUER).await.is_ok());
    fixture.clock.advance(SECOND);

    assert!(matches!(providers.get(ISSUER).await, Err(ProviderError::Unreachable { .. })));
}

#[tokio::test]
async fn a_bad_document_never_replaces_a_good_one() {
    let fixture = Fixture::new();
    let signer = Signer::p256();
    fixture.publish(&[named(&signer, "a")]);
    let providers = fixture.providers();
    providers.get(ISSUER).await.unwrap();

    for bad in [reply(200, "<html>"), reply(200, r#"{"keys":[]}"#), reply(302, ""), reply(200, &"x".repeat(2 * 1024 * 1024))] {
        fixture.provider.answer(KEYS, bad);
        fixture.clock.advance(FRESH);
        assert!(fixture.verify(&providers, &fixture.token(&signer, "a")).await.unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_dead_provider_is_not_asked_by_every_sign_in() {
    let fixture = Fixture::new();
    let providers = fixture.providers();

    for _ in 0..10 {
        assert!(providers.get(ISSUER).await.is_err());
    }
    assert_eq!(fixture.provider.asked(DISCOVERY), 1);

    fixture.publish(&[named(&Signer::p256(), "a")]);
    fixture.clock.advance(FAILED);
    assert!(providers.get(ISSUER).await.is_ok(), "and is found again when it is back");
}

#[tokio::test]
async fn r29_oidcc_client_test_signing_key_rotation_just_before_signing() {
    let fixture = Fixture::new();
    let (old, new) = (Signer::p256(), Signer::p256());
    fixture.publish(&[named(&old, "old")]);
    let providers = fixture.providers();
    providers.get(ISSUER).await.unwrap();

    fixture.publish(&[named(&new, "new")]);

    assert!(fixture.verify(&providers, &fixture.token(&new, "new")).await.unwrap().is_ok());
    assert_eq!(fixture.provider.asked(KEYS), 2);
    let withdrawn = fixture.verify(&providers, &fixture.token(&old, "old")).await.unwrap();
    assert_eq!(withdrawn.unwrap_err(), Refusal::KeyUnknown);
}

#[tokio::test]
async fn a7_a_flood_of_invented_keys_costs_one_request_in_half_a_minute() {
    let fixture = Fixture::new();
    let (signer, attacker) = (Signer::p256(), Signer::p256());
    fixture.publish(&[named(&signer, "a")]);
    let providers = fixture.providers();

    for n in 0..1000 {
        let forged = fixture.token(&attacker, &format!("random-{n}"));
        assert_eq!(fixture.verify(&providers, &forged).await.unwrap().unwrap_err(), Refusal::KeyUnknown);
        assert!(fixture.verify(&providers, &fixture.token(&signer, "a")).await.unwrap().is_ok(), "valid users are unaffected");
    }
    assert_eq!(fixture.provider.asked(KEYS), 2, "the first fetch and one for the flood");

    fixture.clock.advance(ROTATION.saturating_sub(SECOND));
    let _ = fixture.verify(&providers, &fixture.token(&attacker, "x")).await;
    assert_eq!(fixture.provider.asked(KEYS), 2);
    fixture.clock.advance(SECOND);
    let _ = fixture.verify(&providers, &fixture.token(&attacker, "x")).await;
    assert_eq!(fixture.provider.asked(KEYS), 3);
}

#[tokio::test]
async fn a7_the_cooldown_holds_while_the_provider_fails() {
    let fixture = Fixture::new();
    let (signer, attacker) = (Signer::p256(), Signer::p256());
    fixture.publish(&[named(&signer, "a")]);
    let providers = fixture.providers();
    providers.get(ISSUER).await.unwrap();
    fixture.provider.go_away();

    for n in 0..50 {
        let _ = fixture.verify(&providers, &fixture.token(&attacker, &n.to_string())).await;
        assert!(fixture.verify(&providers, &fixture.token(&signer, "a")).await.unwrap().is_ok());
    }

    assert_eq!(fixture.provider.asked(DISCOVERY), 2);
}

#[tokio::test]
async fn r54_keys_of_one_issuer_never_verify_for_another() {
    let fixture = Fixture::new();
    let signer = Signer::p256();
    fixture.publish(&[named(&signer, "a")]);
    let other = json!({
        "issuer": "https://other.example",
        "authorization_endpoint": "https://other.example/authorize",
        "token_endpoint": "https://other.example/token",
        "jwks_uri": "https://other.example/keys",
    });
    let others_key = Signer::p256();
    fixture.provider.answer("https://other.example/.well-known/openid-configuration", reply(200, &other.to_string()));
    fixture
        .provider
        .answer("https://other.example/keys", reply(200, std::str::from_utf8(&key_set(&[named(&others_key, "a")])).unwrap()));
    let providers = fixture.providers();
    providers.get("https://other.example").await.unwrap();

    let outcome = fixture.verify(&providers, &fixture.token(&others_key, "a")).await.unwrap();

    assert_eq!(outcome.unwrap_err(), Refusal::Signature);
}

/// Polls all of them together, in turn, until each is done.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut pending: Vec<_> = futures.map(Box::pin).collect();
    let mut done = Vec::new();
    std::future::poll_fn(|context| {
        pending.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Ready(output) => {
                done.push(output);
                false
            }
            std::task::Poll::Pending => true,
        });
        if pending.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    done
}
