//! Whatever a provider does wrong, nobody is let in, a page says that something was wrong, and the audit trail says what.

use http::StatusCode;
use lockstep_tests::harness::{
    faulty_provider::{Fault, FaultyProvider},
    http::Agent,
};

use super::{CLIENT_ID, CLIENT_SECRET, Gate, has_session_cookie, person, title};

const NOT_TRUSTED: (u16, &str) = (403, "We could not trust that sign-in");
const NO_ANSWER: (u16, &str) = (502, "Your identity provider does not answer");
const START_AGAIN: (u16, &str) = (400, "This sign-in is no longer open");

/// What the page of the callback says, and the code in the audit trail.
const AT_THE_CALLBACK: &[(Fault, (u16, &str), Option<&str>)] = &[
    (Fault::WrongIssuer, NOT_TRUSTED, Some("issuer_mismatch")),
    (Fault::IssuerWithSlash, NOT_TRUSTED, Some("issuer_mismatch")),
    (Fault::MissingIssuer, NOT_TRUSTED, Some("claim_missing")),
    (Fault::WrongAudience, NOT_TRUSTED, Some("audience_mismatch")),
    (Fault::MissingAudience, NOT_TRUSTED, Some("claim_missing")),
    (Fault::AudiencePrefix, NOT_TRUSTED, Some("audience_mismatch")),
    (Fault::ExtraAudience, NOT_TRUSTED, Some("audience_untrusted")),
    (Fault::ExtraAudienceWithAzp, NOT_TRUSTED, Some("audience_untrusted")),
    (Fault::WrongAzp, NOT_TRUSTED, Some("authorized_party_mismatch")),
    (Fault::WrongNonce, NOT_TRUSTED, Some("nonce_mismatch")),
    (Fault::MissingNonce, NOT_TRUSTED, Some("claim_missing")),
    (Fault::MissingSubject, NOT_TRUSTED, Some("claim_missing")),
    (Fault::EmptySubject, NOT_TRUSTED, Some("claim_malformed")),
    (Fault::NumericSubject, NOT_TRUSTED, Some("claim_malformed")),
    (Fault::LongSubject, NOT_TRUSTED, Some("claim_malformed")),
    (Fault::DuplicateSubject, NOT_TRUSTED, Some("token_duplicate_member")),
    (Fault::Expired, NOT_TRUSTED, Some("expired")),
    (Fault::MissingExpiry, NOT_TRUSTED, Some("claim_missing")),
    (Fault::TextExpiry, NOT_TRUSTED, Some("claim_malformed")),
    (Fault::NegativeExpiry, NOT_TRUSTED, Some("claim_malformed")),
    (Fault::NotYetValid, NOT_TRUSTED, Some("not_yet_valid")),
    (Fault::IssuedInFuture, NOT_TRUSTED, Some("issued_in_future")),
    (Fault::IssuedLongAgo, NOT_TRUSTED, Some("issued_too_long_ago")),
    (Fault::MissingIssuedAt, NOT_TRUSTED, Some("claim_missing")),
    (Fault::WrongAccessTokenHash, NOT_TRUSTED, Some("access_token_hash_mismatch")),
    (Fault::WrongSignature, NOT_TRUSTED, Some("signature_invalid")),
    (Fault::EmptySignature, NOT_TRUSTED, Some("signature_invalid")),
    (Fault::AlgNone, NOT_TRUSTED, Some("token_unsigned")),
    (Fault::AlgNoneMixedCase, NOT_TRUSTED, Some("token_unsigned")),
    (Fault::AlgNoneSigned, NOT_TRUSTED, Some("token_unsigned")),
    (Fault::HmacWithPublicKey, NOT_TRUSTED, Some("algorithm_not_allowed")),
    (Fault::HmacWithPublicJwk, NOT_TRUSTED, Some("algorithm_not_allowed")),
    (Fault::HmacWithClientSecret, NOT_TRUSTED, Some("algorithm_not_allowed")),
    (Fault::UnknownKey, NOT_TRUSTED, Some("key_unknown")),
    (Fault::EmbeddedKey, NOT_TRUSTED, Some("key_unknown")),
    (Fault::KeyUrl, NOT_TRUSTED, Some("key_unknown")),
    (Fault::UnknownCriticalHeader, NOT_TRUSTED, Some("critical_header")),
    (Fault::AccessTokenType, NOT_TRUSTED, Some("token_class")),
    (Fault::LogoutTokenType, NOT_TRUSTED, Some("token_class")),
    (Fault::TwoParts, NOT_TRUSTED, Some("token_malformed")),
    (Fault::Encrypted, NOT_TRUSTED, Some("token_encrypted")),
    (Fault::NoIdToken, NO_ANSWER, Some("token_response_malformed")),
    (Fault::TokenTypeMac, NO_ANSWER, Some("token_response_malformed")),
    (Fault::InvalidGrant, START_AGAIN, Some("code_spent")),
    (Fault::TokenServerError, NO_ANSWER, Some("token_endpoint_unusable")),
    (Fault::TokenHtml, NO_ANSWER, Some("token_response_malformed")),
    (Fault::TokenCutShort, NO_ANSWER, Some("token_response_malformed")),
    (Fault::TokenHuge, NO_ANSWER, Some("token_endpoint_unusable")),
    (Fault::TokenRedirect, NO_ANSWER, Some("token_endpoint_unusable")),
    (Fault::TokenSilent, NO_ANSWER, Some("token_endpoint_unusable")),
    (Fault::AccessDenied, (403, "The sign-in was not completed"), Some("provider_said_no")),
    (Fault::WrongIssuerParameter, NOT_TRUSTED, Some("response_issuer_mismatch")),
    (Fault::MissingIssuerParameter, NOT_TRUSTED, Some("response_issuer_missing")),
    // These belong to no sign-in of the browser: anybody could send them, so they fill nobody's audit trail.
    (Fault::WrongState, START_AGAIN, None),
    (Fault::MissingState, (400, "We could not read that request"), None),
    (Fault::DuplicateCode, (400, "We could not read that request"), None),
];

/// With these nobody is even sent to the provider.
const AT_THE_START: &[Fault] = &[
    Fault::DiscoveryIssuer,
    Fault::DiscoveryHtml,
    Fault::DiscoveryHuge,
    Fault::DiscoveryRedirect,
    Fault::DiscoveryServerError,
    Fault::DiscoverySilent,
    Fault::DiscoveryOffersNone,
    Fault::NoKeys,
    Fault::KeysHtml,
    Fault::KeysHuge,
    Fault::KeysMany,
    Fault::KeysServerError,
    Fault::KeysSilent,
    Fault::KeyForEncryption,
];

/// Not faults of a sign-in: a key set of one key needs no `kid`, and userinfo is not asked.
const HARMLESS: &[Fault] = &[Fault::MissingKeyId, Fault::UserinfoSubject, Fault::UserinfoServerError];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_provider_answers_wrongly_nobody_is_in() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    // Metadata and keys are known before the first fault.
    gate.sign_in().await;
    let mut wrong = Vec::new();
    for (fault, (status, page), code) in AT_THE_CALLBACK {
        gate.provider.misbehave(Some(*fault));
        let before = gate.refusals().await.len();
        let mut agent = Agent::new().unwrap();

        let answer = gate.sign_in_by(&mut agent, "/sso/acme?rd=/app").await;

        let refusals = gate.refusals().await;
        let new = refusals.get(..refusals.len() - before).unwrap_or_default();
        let codes: Vec<_> = new.iter().map(|record| record.detail["code"].as_str().unwrap_or_default().to_owned()).collect();
        let request = new.first().map_or("", |record| record.detail["request"].as_str().unwrap_or_default());
        let found = (answer.status.as_u16(), title(&answer), codes);
        if found != (*status, (*page).to_owned(), code.iter().map(|code| (*code).to_owned()).collect::<Vec<_>>()) {
            wrong.push(format!("{fault:?}: {found:?}"));
        }
        assert!(answer.text().contains(request), "{fault:?}: the page names the request that the audit trail names");
        assert!(!answer.text().contains("alert(1)"), "{fault:?}: nothing that the provider wrote is on the page");
        assert!(!has_session_cookie(&agent), "{fault:?}");
        assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED, "{fault:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_a_provider_that_publishes_nonsense_nobody_is_sent() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    let mut asking = tokio::task::JoinSet::new();
    for (number, fault) in AT_THE_START.iter().enumerate() {
        let provider = FaultyProvider::start(CLIENT_ID, CLIENT_SECRET, person("ada")).unwrap();
        provider.misbehave(Some(*fault));
        gate.connect(&gate.acme, &format!("faulty-{number}"), provider.issuer()).await;
        let url = gate.at(&format!("/sso/acme?connection=faulty-{number}"));
        asking.spawn(async move {
            let mut agent = Agent::new().unwrap();
            let answer = agent.get(url).await.unwrap();
            drop(provider);
            (*fault, answer, agent)
        });
    }

    while let Some(done) = asking.join_next().await {
        let (fault, answer, mut agent) = done.unwrap();
        assert_eq!((answer.status.as_u16(), title(&answer).as_str()), NO_ANSWER, "{fault:?}");
        assert_eq!(agent.cookie_names("127.0.0.1"), Vec::<&str>::new(), "{fault:?}");
        assert_eq!(gate.asked(&mut agent).await, StatusCode::UNAUTHORIZED, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_fault_of_a_sign_in_keeps_nobody_out() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    for fault in HARMLESS {
        gate.provider.misbehave(Some(*fault));

        let mut agent = gate.sign_in().await;

        assert_eq!(gate.asked(&mut agent).await, StatusCode::OK, "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_is_down_is_told_from_a_wrong_one_and_is_tried_again() {
    let gate = Gate::open().await;
    gate.provision("ada").await;
    gate.provider.misbehave(Some(Fault::DiscoveryServerError));
    let mut agent = Agent::new().unwrap();
    let down = agent.get(gate.at("/sso/acme")).await.unwrap();
    assert_eq!((down.status.as_u16(), title(&down).as_str()), NO_ANSWER);
    assert!(down.text().contains(down.header("x-request-id")));

    gate.provider.misbehave(None);
    gate.clock.advance(std::time::Duration::from_secs(6));

    assert_eq!(gate.sign_in_by(&mut agent, "/sso/acme").await.status, StatusCode::SEE_OTHER);
}
