//! Tokens that must not be believed, by the rows of the attack tables: each says which check refused it.

use std::sync::LazyLock;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use super::*;
use crate::oidc::testing::{Signer, b64, key_set, with};

const ISSUER: &str = "https://idp.example/tenant";
const CLIENT: &str = "lockstep-client";
const NOW: i64 = 1_767_225_600;
const ALL: [Algorithm; 10] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::EdDsa,
];

/// One RSA key for all tests of this file: making one takes a while.
static RSA: LazyLock<Signer> = LazyLock::new(Signer::rsa);
static EC: LazyLock<Signer> = LazyLock::new(Signer::p256);

fn expected() -> Expected<'static> {
    Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        trusted_audiences: &[],
        algorithms: &ALL,
        occasion: Occasion::SignIn { nonce: "n-1" },
        max_age: None,
        access_token: None,
        now: Timestamp(NOW * 1000),
    }
}

fn payload(change: Value) -> String {
    let base = json!({"iss": ISSUER, "sub": "s-1", "aud": CLIENT, "exp": NOW + 300, "iat": NOW - 1, "nonce": "n-1"});
    let mut members = with(base, change);
    // A null in the change takes the claim away.
    members.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    members.to_string()
}

fn ec_keys() -> KeySet {
    KeySet::parse(&key_set(&[with(EC.jwk(), json!({"kid": "ec"}))])).unwrap()
}

fn rsa_keys() -> KeySet {
    KeySet::parse(&key_set(&[with(RSA.jwk(), json!({"kid": "rsa"}))])).unwrap()
}

const EC_HEADER: &str = r#"{"alg":"ES256","kid":"ec","typ":"JWT"}"#;

fn refused(token: &str, keys: &KeySet, expected: &Expected<'_>) -> &'static str {
    verify(token, keys, expected).map_or_else(|refusal| refusal.code(), |_| "believed")
}

/// What becomes of an honestly signed token with changed claims.
fn claims_change(change: Value, expected: &Expected<'_>) -> &'static str {
    refused(&EC.token(EC_HEADER, &payload(change)), &ec_keys(), expected)
}

/// What becomes of a token with another header, signed by the right key.
fn header_change(header: &str) -> &'static str {
    refused(&EC.token(header, &payload(json!({}))), &ec_keys(), &expected())
}

#[test]
fn oidcc_client_test_every_accepted_algorithm_verifies() {
    let signers = [("ES256", Signer::p256()), ("ES384", Signer::p384()), ("ES512", Signer::p521()), ("EdDSA", Signer::ed25519())];
    for (algorithm, signer) in signers {
        let keys = KeySet::parse(&key_set(&[with(signer.jwk(), json!({"kid": "k", "alg": algorithm, "use": "sig"}))])).unwrap();
        let token = signer.token(&json!({"alg": algorithm, "kid": "k"}).to_string(), &payload(json!({})));
        assert_eq!(verify(&token, &keys, &expected()).unwrap().subject, "s-1", "{algorithm}");
    }
    for algorithm in ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"] {
        let token = RSA.token(&json!({"alg": algorithm, "kid": "rsa"}).to_string(), &payload(json!({})));
        assert_eq!(verify(&token, &rsa_keys(), &expected()).unwrap().subject, "s-1", "{algorithm}");
    }
}

#[test]
fn p1_an_unsigned_token_is_refused() {
    let claims = b64(payload(json!({})));
    let honest = EC.token(EC_HEADER, &payload(json!({})));
    let signature = honest.rsplit('.').next().unwrap();
    for name in ["none", "None", "nOnE", "NONE", " none ", ""] {
        let header = b64(json!({ "alg": name }).to_string());
        for tail in ["", signature] {
            assert_eq!(refused(&format!("{header}.{claims}.{tail}"), &ec_keys(), &expected()), "token_unsigned", "{name:?}");
        }
        for shape in [format!("{header}.{claims}"), format!("{header}.{claims}..x")] {
            assert_eq!(refused(&shape, &ec_keys(), &expected()), "token_malformed", "{name:?}");
        }
    }
    for header in [json!({}), json!({"alg": null}), json!({"alg": 1}), json!({"alg": ["ES256"]})] {
        assert_eq!(header_change(&header.to_string()), "token_malformed", "{header}");
    }
    let stripped = honest.strip_suffix(signature).unwrap();
    assert_eq!(refused(stripped, &ec_keys(), &expected()), "signature_invalid");
}

#[test]
fn p2_a_public_key_is_never_a_shared_secret() {
    for algorithm in [hmac::HMAC_SHA256, hmac::HMAC_SHA384, hmac::HMAC_SHA512] {
        let name = if algorithm == hmac::HMAC_SHA256 {
            "HS256"
        } else if algorithm == hmac::HMAC_SHA384 {
            "HS384"
        } else {
            "HS512"
        };
        let mut secrets = RSA.public_octets();
        secrets.push(b"the client secret".to_vec());
        for secret in secrets {
            for kid in ["rsa", CLIENT] {
                let input = format!("{}.{}", b64(json!({"alg": name, "kid": kid}).to_string()), b64(payload(json!({}))));
                let mac = hmac::sign(&hmac::Key::new(algorithm, &secret), input.as_bytes());
                let token = format!("{input}.{}", b64(mac));
                assert_eq!(refused(&token, &rsa_keys(), &expected()), "algorithm_not_allowed", "{name}");
            }
        }
    }
}

#[test]
fn g33_the_algorithm_must_be_one_that_the_provider_announces() {
    let only_rsa = Expected { algorithms: &[Algorithm::Rs256], ..expected() };

    assert_eq!(claims_change(json!({}), &only_rsa), "algorithm_not_allowed");
    for name in ["es256", "ES256K", "RSA1_5", "RS1", "HS256", "dir"] {
        assert_eq!(header_change(&json!({"alg": name, "kid": "ec"}).to_string()), "algorithm_not_allowed", "{name}");
    }
}

#[test]
fn p2_a_key_is_bound_to_its_algorithm() {
    let token = RSA.token(r#"{"alg":"RS256","kid":"k"}"#, &payload(json!({})));
    for bound_to in ["RS512", "PS256"] {
        let keys = KeySet::parse(&key_set(&[with(RSA.jwk(), json!({"kid": "k", "alg": bound_to}))])).unwrap();
        assert_eq!(refused(&token, &keys, &expected()), "key_mismatch", "{bound_to}");
    }
    // The same kid on a key of another type: the token's algorithm picks neither the type nor the key.
    let keys = KeySet::parse(&key_set(&[with(EC.jwk(), json!({"kid": "k"}))])).unwrap();
    assert_eq!(refused(&token, &keys, &expected()), "key_mismatch");
    let both = KeySet::parse(&key_set(&[with(EC.jwk(), json!({"kid": "k"})), with(RSA.jwk(), json!({"kid": "k"}))])).unwrap();
    assert_eq!(refused(&token, &both, &expected()), "believed");
}

#[test]
fn p3_a_key_in_the_token_is_not_looked_at() {
    let attacker = Signer::p256();
    let header = json!({
        "alg": "ES256",
        "kid": "ec",
        "jwk": attacker.jwk(),
        "jku": "https://evil.example/keys",
        "x5u": "https://evil.example/cert",
        "x5c": ["MIIB"],
    });

    assert_eq!(refused(&attacker.token(&header.to_string(), &payload(json!({}))), &ec_keys(), &expected()), "signature_invalid");
    assert_eq!(header_change(&header.to_string()), "believed", "an honest provider may send them");
}

#[test]
fn p3_key_ids() {
    let kid = |kid: Value| header_change(&json!({"alg": "ES256", "kid": kid}).to_string());

    for odd in ["../../etc/passwd", "' OR 1=1 --", "", "EC", " ec"] {
        assert_eq!(kid(json!(odd)), "key_unknown", "{odd:?}");
    }
    for odd in [json!("k".repeat(257)), json!("k".repeat(20_000)), json!(["ec"]), json!(1), json!(null), json!({"kid": "ec"})] {
        assert_eq!(kid(odd), "key_id_malformed");
    }
    assert_eq!(kid(json!("ec\u{0}")), "token_malformed");
    assert_eq!(header_change(r#"{"alg":"ES256","kid":"ec","kid":"ec"}"#), "token_duplicate_member");
}

#[test]
fn oidcc_client_test_kid_absent() {
    let token = EC.token(r#"{"alg":"ES256"}"#, &payload(json!({})));
    let other = Signer::p256();
    let set = |keys: &[Value]| KeySet::parse(&key_set(keys)).unwrap();

    let single = set(&[with(EC.jwk(), json!({"kid": "ec"})), with(RSA.jwk(), json!({"kid": "rsa"}))]);
    let multiple = set(&[with(EC.jwk(), json!({"kid": "a"})), with(other.jwk(), json!({"kid": "b"}))]);
    let unnamed = set(&[EC.jwk(), other.jwk()]);

    assert_eq!(refused(&token, &single, &expected()), "believed", "one key fits the algorithm");
    assert_eq!(refused(&token, &multiple, &expected()), "key_ambiguous");
    assert_eq!(refused(&token, &unnamed, &expected()), "key_ambiguous");
    assert_eq!(refused(&token, &rsa_keys(), &expected()), "key_unknown");
    let twice = set(&[with(EC.jwk(), json!({"kid": "ec"})), with(other.jwk(), json!({"kid": "ec"}))]);
    assert_eq!(refused(&EC.token(EC_HEADER, &payload(json!({}))), &twice, &expected()), "key_ambiguous");
}

#[test]
fn oidcc_client_test_invalid_sig() {
    let forged = Signer::p256().token(EC_HEADER, &payload(json!({})));
    assert_eq!(refused(&forged, &ec_keys(), &expected()), "signature_invalid");
    let forged = Signer::rsa().token(r#"{"alg":"RS256","kid":"rsa"}"#, &payload(json!({})));
    assert_eq!(refused(&forged, &rsa_keys(), &expected()), "signature_invalid");

    let honest = EC.token(EC_HEADER, &payload(json!({})));
    let parts: Vec<_> = honest.split('.').collect();
    let altered = format!("{}.{}.{}", parts[0], b64(payload(json!({"sub": "admin"}))), parts[2]);
    assert_eq!(refused(&altered, &ec_keys(), &expected()), "signature_invalid");

    // CVE-2022-21449: zeros as a signature; and the wrong lengths.
    for bytes in [vec![0; 64], vec![0; 63], vec![0; 65], vec![0; 132], vec![], vec![0xff; 64]] {
        let psychic = format!("{}.{}.{}", parts[0], parts[1], b64(&bytes));
        assert_eq!(refused(&psychic, &ec_keys(), &expected()), "signature_invalid", "{} octets", bytes.len());
    }
    // An ECDSA signature in DER is not JWS.
    let p521 = Signer::p521();
    let mismatch = p521.token(EC_HEADER, &payload(json!({})));
    assert_eq!(refused(&mismatch, &ec_keys(), &expected()), "signature_invalid");
}

#[test]
fn g44_shapes_that_are_no_compact_jws() {
    let honest = EC.token(EC_HEADER, &payload(json!({})));
    let parts: Vec<_> = honest.split('.').collect();
    let cases = [
        (".".repeat(1_000_000), "token_too_large"),
        (".".repeat(60_000), "token_malformed"),
        (String::new(), "token_malformed"),
        ("a".into(), "token_malformed"),
        ("..".into(), "token_malformed"),
        ("a.b.c.d.e".into(), "token_encrypted"),
        (format!("{honest}.x"), "token_malformed"),
        (format!(" {honest}"), "token_malformed"),
        (format!("{honest}="), "token_malformed"),
        (format!("{}.{}.{}==", parts[0], parts[1], parts[2]), "token_malformed"),
        (honest.replace('.', "\n."), "token_malformed"),
        (
            json!({"payload": parts[1], "signatures": [{"protected": parts[0], "signature": parts[2]}]}).to_string(),
            "token_malformed",
        ),
        (format!("{}.{}.{}", b64("[1]"), parts[1], parts[2]), "token_malformed"),
        (format!("{}.{}.{}", b64("{"), parts[1], parts[2]), "token_malformed"),
    ];
    for (token, code) in cases {
        assert_eq!(refused(&token, &ec_keys(), &expected()), code, "{token:.60}");
    }
    let nested = EC.token(EC_HEADER, &honest);
    assert_eq!(refused(&nested, &ec_keys(), &expected()), "token_malformed", "a JWT inside a JWT");
    let deep = EC.token(EC_HEADER, &format!("{}1{}", r#"{"a":"#.repeat(5_000), "}".repeat(5_000)));
    assert_eq!(refused(&deep, &ec_keys(), &expected()), "token_malformed");
}

#[test]
fn p4_duplicate_claims_are_refused_whichever_would_win() {
    let once = payload(json!({"email": "a@company.example"}));
    for (name, value) in [("sub", "\"admin\""), ("aud", "\"other\""), ("exp", "9999999999"), ("email", "\"a@b.example\"")] {
        for twice in [
            format!("{{\"{name}\":{value},{}", once.strip_prefix('{').unwrap()),
            format!("{},\"{name}\":{value}}}", once.strip_suffix('}').unwrap()),
        ] {
            assert_eq!(refused(&EC.token(EC_HEADER, &twice), &ec_keys(), &expected()), "token_duplicate_member", "{twice}");
        }
    }
}

#[test]
fn p6_headers_of_other_token_classes() {
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt", "secevent+jwt", "lockstep-identity+jwt", "JOSE", "JWE", "", "jwt2"]
    {
        assert_eq!(header_change(&json!({"alg": "ES256", "kid": "ec", "typ": typ}).to_string()), "token_class", "{typ:?}");
    }
    for typ in ["JWT", "jwt", "application/jwt"] {
        assert_eq!(header_change(&json!({"alg": "ES256", "kid": "ec", "typ": typ}).to_string()), "believed", "{typ:?}");
    }
    for member in [
        json!({"crit": ["exp"]}),
        json!({"crit": []}),
        json!({"b64": false}),
        json!({"crit": ["b64"], "b64": false}),
        json!({"cty": "JWT"}),
        json!({"zip": "DEF"}),
    ] {
        let header = with(json!({"alg": "ES256", "kid": "ec"}), member);
        assert_eq!(header_change(&header.to_string()), "critical_header", "{header}");
    }
}

#[test]
fn p6_claims_of_other_token_classes() {
    let class = |change: Value| claims_change(change, &expected());

    assert_eq!(class(json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}})), "token_class");
    assert_eq!(class(json!({"token_use": "access"})), "token_class");
    assert_eq!(class(json!({"token_use": 1})), "token_class");
    assert_eq!(class(json!({"token_use": "id"})), "believed");
    for typ in ["Bearer", "bearer", "Refresh", "Offline", "Logout"] {
        assert_eq!(class(json!({ "typ": typ })), "token_class", "{typ}");
    }
    assert_eq!(class(json!({"typ": "ID"})), "believed");
    assert_eq!(class(json!({"aud": "another-client-of-this-provider"})), "audience_mismatch");
}

#[test]
fn oidcc_client_test_invalid_iss() {
    let issuer = |issuer: Value| claims_change(json!({ "iss": issuer }), &expected());

    for other in [
        "https://idp.example/tenant/",
        "https://IDP.example/tenant",
        "https://idp.example:443/tenant",
        "http://idp.example/tenant",
        "https://idp.example/Tenant",
        "https://idp.example/tenant2",
        "https://idp.example/tenan",
        "https://idp.ex\u{0430}mple/tenant",
        "https://idp.example/tenant ",
        "",
    ] {
        assert_eq!(issuer(json!(other)), "issuer_mismatch", "{other:?}");
    }
    assert_eq!(issuer(Value::Null), "claim_missing");
    assert_eq!(issuer(json!([ISSUER])), "claim_malformed");
}

#[test]
fn oidcc_client_test_missing_claims() {
    for claim in ["sub", "aud", "iat", "exp", "iss", "nonce"] {
        let mut change = json!({});
        change[claim] = Value::Null;
        let token = EC.token(EC_HEADER, &payload(change));
        assert_eq!(verify(&token, &ec_keys(), &expected()).unwrap_err(), Refusal::ClaimMissing(claim));
    }
}

#[test]
fn oidcc_client_test_invalid_aud() {
    let audience = |audience: Value| claims_change(json!({ "aud": audience }), &expected());

    for other in ["", "lockstep", "lockstep-client2", "lockstep-client ", "Lockstep-Client"] {
        assert_eq!(audience(json!(other)), "audience_mismatch", "{other:?}");
        assert_eq!(audience(json!([other])), "audience_mismatch", "{other:?}");
    }
    assert_eq!(audience(json!([CLIENT])), "believed");
    for odd in [json!(1), json!([]), json!([1, CLIENT]), json!({"a": CLIENT})] {
        assert_eq!(audience(odd.clone()), "claim_malformed", "{odd}");
    }
}

#[test]
fn r24_an_extra_audience_needs_trust_and_a_right_azp() {
    let trusted = ["api".to_owned()];
    let trusting = Expected { trusted_audiences: &trusted, ..expected() };

    assert_eq!(claims_change(json!({"aud": [CLIENT, "api"]}), &expected()), "audience_untrusted");
    assert_eq!(claims_change(json!({"aud": [CLIENT, "api"], "azp": CLIENT}), &expected()), "audience_untrusted");
    assert_eq!(claims_change(json!({"aud": [CLIENT, "api"], "azp": CLIENT}), &trusting), "believed");
    assert_eq!(claims_change(json!({"aud": [CLIENT, "api"]}), &trusting), "authorized_party_mismatch");
    assert_eq!(claims_change(json!({"aud": [CLIENT, "api"], "azp": "api"}), &trusting), "authorized_party_mismatch");
    assert_eq!(claims_change(json!({"aud": [CLIENT, "api", "b"], "azp": CLIENT}), &trusting), "audience_untrusted");
    assert_eq!(claims_change(json!({"aud": ["api"]}), &trusting), "audience_mismatch");
    assert_eq!(claims_change(json!({"azp": "other"}), &expected()), "authorized_party_mismatch");
    assert_eq!(claims_change(json!({"azp": ""}), &expected()), "authorized_party_mismatch");
}

#[test]
fn p5_times_at_their_bounds() {
    let at = |change: Value| claims_change(change, &expected());

    assert_eq!(at(json!({"exp": NOW - 60})), "believed");
    assert_eq!(at(json!({"exp": NOW - 61})), "expired");
    assert_eq!(at(json!({"exp": 0})), "expired");
    assert_eq!(at(json!({"nbf": NOW + 60})), "believed");
    assert_eq!(at(json!({"nbf": NOW + 61})), "not_yet_valid");
    assert_eq!(at(json!({"iat": NOW + 60})), "believed");
    assert_eq!(at(json!({"iat": NOW + 61})), "issued_in_future");
    assert_eq!(at(json!({"iat": NOW - 600})), "believed");
    assert_eq!(at(json!({"iat": NOW - 601})), "issued_too_long_ago");
    for odd in [json!("1"), json!(1.5), json!(-1), json!(1e300), json!([NOW]), json!(u64::MAX)] {
        for claim in ["exp", "nbf", "iat"] {
            let mut change = json!({});
            change[claim] = odd.clone();
            assert_eq!(at(change), "claim_malformed", "{claim}: {odd}");
        }
    }
}

#[test]
fn r41_a_max_age_that_was_asked_for_is_held_to() {
    let asked = Expected { max_age: Some(Duration::from_mins(5)), ..expected() };

    assert_eq!(claims_change(json!({"auth_time": NOW - 360}), &asked), "believed");
    assert_eq!(claims_change(json!({"auth_time": NOW - 361}), &asked), "authentication_too_old");
    assert_eq!(claims_change(json!({}), &asked), "claim_missing");
    assert_eq!(claims_change(json!({"auth_time": NOW - 99_999}), &expected()), "believed", "nothing was asked");
}

#[test]
fn oidcc_client_test_nonce_invalid() {
    for other in ["", "n-2", "n-1 ", "N-1"] {
        assert_eq!(claims_change(json!({ "nonce": other }), &expected()), "nonce_mismatch", "{other:?}");
    }
}

#[test]
fn r28_a_refreshed_token_is_about_the_same_person() {
    let refresh = Expected { occasion: Occasion::Refresh { subject: "s-1" }, ..expected() };

    assert_eq!(claims_change(json!({"nonce": null}), &refresh), "believed");
    assert_eq!(claims_change(json!({"sub": "s-2"}), &refresh), "subject_mismatch");
    assert_eq!(claims_change(json!({"aud": "other"}), &refresh), "audience_mismatch");
    assert_eq!(claims_change(json!({"iss": "https://other.example"}), &refresh), "issuer_mismatch");
}

#[test]
fn g36_entra_tokens_are_of_the_tenant_in_the_issuer() {
    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER: &str = "99999999-2222-3333-4444-555555555555";
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let ours = Expected { issuer: &entra, ..expected() };
    let at = |change: Value| claims_change(with(json!({"iss": entra, "tid": TENANT}), change), &ours);

    assert_eq!(at(json!({})), "believed");
    assert_eq!(at(json!({"tid": OTHER})), "tenant_mismatch");
    assert_eq!(at(json!({"tid": null})), "claim_missing");
    assert_eq!(at(json!({"iss": format!("https://login.microsoftonline.com/{OTHER}/v2.0"), "tid": OTHER})), "issuer_mismatch");
    assert_eq!(at(json!({"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"})), "issuer_mismatch");
    assert_eq!(at(json!({"iss": format!("https://sts.windows.net/{TENANT}/")})), "issuer_mismatch");
    assert_eq!(at(json!({"iss": format!("https://login.microsoftonline.us/{TENANT}/v2.0")})), "issuer_mismatch");

    for shared in [
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    ] {
        let configured = Expected { issuer: shared, ..expected() };
        assert_eq!(claims_change(json!({"iss": shared, "tid": TENANT}), &configured), "tenant_mismatch", "{shared}");
    }
}

#[test]
fn g36_a_key_signs_for_its_own_issuer_alone() {
    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    let entra = format!("https://login.microsoftonline.com/{TENANT}/v2.0");
    let ours = Expected { issuer: &entra, ..expected() };
    let token = EC.token(EC_HEADER, &payload(json!({"iss": entra, "tid": TENANT})));
    let with_issuer = |issuer: &str| {
        let keys = KeySet::parse(&key_set(&[with(EC.jwk(), json!({"kid": "ec", "issuer": issuer}))])).unwrap();
        refused(&token, &keys, &ours)
    };

    assert_eq!(with_issuer(&entra), "believed");
    assert_eq!(with_issuer("https://login.microsoftonline.com/{tenantid}/v2.0"), "believed");
    assert_eq!(with_issuer("https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0"), "key_of_other_issuer");
    assert_eq!(with_issuer("https://login.microsoftonline.us/{tenantid}/v2.0"), "key_of_other_issuer");
}

#[test]
fn oidcc_client_test_invalid_athash() {
    let half = |token: &str| b64(&digest::digest(&digest::SHA256, token.as_bytes()).as_ref()[..16]);
    let beside = Expected { access_token: Some("access"), ..expected() };

    assert_eq!(claims_change(json!({"at_hash": half("access")}), &beside), "believed");
    assert_eq!(claims_change(json!({"at_hash": half("other")}), &beside), "access_token_hash_mismatch");
    assert_eq!(claims_change(json!({"at_hash": ""}), &beside), "access_token_hash_mismatch");
    assert_eq!(claims_change(json!({}), &beside), "believed", "the code flow does not require it");
}

#[test]
fn a_real_world_token_with_odd_descriptions_is_believed() {
    let odd = json!({"email": "a@b.example", "email_verified": "true", "updated_at": "2026-01-01T00:00:00Z", "locale": 7, "address": "x", "picture": ["x"]});

    let claims = verify(&EC.token(EC_HEADER, &payload(odd)), &ec_keys(), &expected()).unwrap();

    assert!(!claims.email.unwrap().is_verified());
}
