//! The faulty provider is right until it is told to be wrong, and then wrong in that one way.

use lockstep_tests::harness::{
    faulty_provider::{Endpoint, Fault, FaultyProvider},
    http::Agent,
};
use serde_json::{Value, json};

use super::{CLIENT_ID, CLIENT_SECRET, VERIFIER, authorization_url, parameter, part, redeem};

fn provider() -> FaultyProvider {
    FaultyProvider::start(CLIENT_ID, CLIENT_SECRET, json!({ "sub": "sub-ada", "email": "ada@acme.example" })).unwrap()
}

async fn code(provider: &FaultyProvider) -> String {
    let url = authorization_url(&format!("{}/authorize", provider.issuer()));
    let answer = Agent::new().unwrap().get(url).await.unwrap();
    parameter(&answer.redirect().unwrap(), "code").unwrap()
}

async fn answer(provider: &FaultyProvider, fault: Option<Fault>) -> Value {
    provider.misbehave(fault);
    let code = code(provider).await;
    redeem(&format!("{}/token", provider.issuer()), &code, VERIFIER).await.1
}

async fn id_token(provider: &FaultyProvider, fault: Fault) -> String {
    answer(provider, Some(fault)).await["id_token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn without_a_fault_it_is_a_good_provider() {
    let provider = provider();
    let endpoint = format!("{}/token", provider.issuer());

    let good = answer(&provider, None).await;
    let claims = part(good["id_token"].as_str().unwrap(), 1);
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(provider.issuer()), &json!(CLIENT_ID)));
    assert_eq!((&claims["sub"], &claims["nonce"]), (&json!("sub-ada"), &json!("the-nonce")));

    let once = code(&provider).await;
    assert_eq!(redeem(&endpoint, &once, "another verifier").await.0, 400, "PKCE is checked");
    assert_eq!(redeem(&endpoint, &once, VERIFIER).await.0, 400, "a code has one use");
    assert_eq!(provider.asked(Endpoint::Token), 3);
}

#[tokio::test]
async fn claims_are_wrong_one_at_a_time() {
    let provider = provider();
    for (fault, name, wanted) in [
        (Fault::WrongIssuer, "iss", json!("https://elsewhere.example")),
        (Fault::WrongAudience, "aud", json!("another-client")),
        (Fault::MissingSubject, "sub", Value::Null),
        (Fault::NumericSubject, "sub", json!(7)),
        (Fault::WrongNonce, "nonce", json!("another-nonce")),
        (Fault::MissingExpiry, "exp", Value::Null),
        (Fault::ExtraAudience, "azp", Value::Null),
        (Fault::ExtraAudienceWithAzp, "azp", json!(CLIENT_ID)),
    ] {
        let token = id_token(&provider, fault).await;

        assert_eq!(part(&token, 1)[name], wanted, "{fault:?}");
        assert_eq!(part(&token, 0)["alg"], "RS256", "{fault:?} leaves the header alone");
    }
}

#[tokio::test]
async fn headers_and_signatures_are_wrong_one_at_a_time() {
    let provider = provider();
    for (fault, name, wanted) in [
        (Fault::AlgNone, "alg", json!("none")),
        (Fault::AlgNoneMixedCase, "alg", json!("nOnE")),
        (Fault::HmacWithPublicKey, "alg", json!("HS256")),
        (Fault::UnknownKey, "kid", json!("nobody")),
        (Fault::MissingKeyId, "kid", Value::Null),
        (Fault::EmbeddedKey, "kid", json!("stranger")),
        (Fault::UnknownCriticalHeader, "crit", json!(["b64x"])),
        (Fault::LogoutTokenType, "typ", json!("logout+jwt")),
    ] {
        let token = id_token(&provider, fault).await;

        assert_eq!(part(&token, 0)[name], wanted, "{fault:?}");
        assert_eq!(part(&token, 1)["sub"], "sub-ada", "{fault:?} leaves the claims alone");
    }
    assert!(id_token(&provider, Fault::EmptySignature).await.ends_with('.'));
    assert_eq!(id_token(&provider, Fault::TwoParts).await.split('.').count(), 2);
    assert_eq!(id_token(&provider, Fault::Encrypted).await.split('.').count(), 5);
}

#[tokio::test]
async fn a_duplicate_claim_is_there_twice() {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    let token = id_token(&provider(), Fault::DuplicateSubject).await;

    let text = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();

    assert_eq!(String::from_utf8(text).unwrap().matches("\"sub\"").count(), 2);
}

#[tokio::test]
async fn rotation_publishes_another_key() {
    let provider = provider();
    let before = id_token(&provider, Fault::WrongNonce).await;

    provider.rotate_key().unwrap();
    let after = id_token(&provider, Fault::WrongNonce).await;
    let keys: Value = Agent::new().unwrap().get(format!("{}/jwks", provider.issuer())).await.unwrap().json().unwrap();

    assert_ne!(part(&before, 0)["kid"], part(&after, 0)["kid"]);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(keys["keys"][0]["kid"], part(&after, 0)["kid"]);
}
