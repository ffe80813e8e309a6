//! The certified provider signs people in by HTTP, with PKCE, and knows what it was told while it runs.

use lockstep_tests::harness::{
    http::Agent,
    provider::{Account, Client, Provider},
};
use serde_json::{Value, json};

use super::{CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, VERIFIER, authorization_url, parameter, part, redeem};

async fn provider() -> (Provider, Value) {
    let ada = Account::new("ada", "sub-ada", "oid-ada", "ada@acme.example");
    let client = Client::new(CLIENT_ID, CLIENT_SECRET, REDIRECT_URI);
    let provider = Provider::start(&[ada], &[client]).await.unwrap();
    let metadata = provider.metadata().await.unwrap();
    (provider, metadata)
}

fn endpoint<'a>(metadata: &'a Value, name: &str) -> &'a str {
    metadata[name].as_str().unwrap()
}

#[tokio::test]
async fn a_person_signs_in_by_the_code_flow_with_pkce() {
    let (provider, metadata) = provider().await;
    let mut agent = Agent::new().unwrap();
    let url = authorization_url(endpoint(&metadata, "authorization_endpoint"));

    let callback = provider.sign_in(&mut agent, &url, "ada").await.unwrap();
    let code = parameter(&callback, "code").unwrap();
    let (status, answer) = redeem(endpoint(&metadata, "token_endpoint"), &code, VERIFIER).await;

    assert!(callback.as_str().starts_with(REDIRECT_URI));
    assert_eq!(parameter(&callback, "state").as_deref(), Some("the-state"));
    assert_eq!(parameter(&callback, "iss").as_deref(), Some(provider.issuer()));
    assert_eq!(status, 200, "{answer}");
    let claims = part(answer["id_token"].as_str().unwrap(), 1);
    for (name, wanted) in [
        ("iss", json!(provider.issuer())),
        ("aud", json!(CLIENT_ID)),
        ("sub", json!("sub-ada")),
        ("oid", json!("oid-ada")),
        ("email", json!("ada@acme.example")),
        ("email_verified", json!(true)),
        ("nonce", json!("the-nonce")),
    ] {
        assert_eq!(claims[name], wanted, "{name} of {claims}");
    }

    let again = provider.sign_in(&mut agent, &url, "nobody").await.unwrap();
    assert!(parameter(&again, "code").is_some(), "the provider's own session signs in without asking");
}

#[tokio::test]
async fn the_wrong_verifier_and_an_unknown_login_are_refused() {
    let (provider, metadata) = provider().await;
    let url = authorization_url(endpoint(&metadata, "authorization_endpoint"));

    let callback = provider.sign_in(&mut Agent::new().unwrap(), &url, "ada").await.unwrap();
    let code = parameter(&callback, "code").unwrap();
    let wrong = VERIFIER.replace('a', "b");
    let (status, answer) = redeem(endpoint(&metadata, "token_endpoint"), &code, &wrong).await;
    let stranger = provider.sign_in(&mut Agent::new().unwrap(), &url, "nobody").await.unwrap();

    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    assert_eq!(parameter(&stranger, "error").as_deref(), Some("access_denied"));
}

#[tokio::test]
async fn accounts_and_clients_can_be_added_while_it_runs() {
    let provider = Provider::start(&[], &[]).await.unwrap();
    let metadata = provider.metadata().await.unwrap();

    provider.put_client(&Client::new(CLIENT_ID, CLIENT_SECRET, REDIRECT_URI)).await.unwrap();
    provider.put_account(&Account::new("bob", "sub-bob", "oid-bob", "bob@acme.example")).await.unwrap();
    let url = authorization_url(endpoint(&metadata, "authorization_endpoint"));
    let callback = provider.sign_in(&mut Agent::new().unwrap(), url, "bob").await.unwrap();

    assert!(parameter(&callback, "code").is_some(), "{callback}");
}
