use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://login.microsoftonline.com/00000000-0000-4000-8000-000000000001/v2.0";
const OURS: [&str; 2] = ["https://scim.example.com", "https://scim.example.com/oauth2/token"];

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

struct Issuer(EcdsaKeyPair);

impl Issuer {
    fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    fn jwk(&self, kid: &str, more: &Value) -> Value {
        let (x, y) = self.0.public_key().as_ref()[1..].split_at(32);
        with(json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(x), "y": b64(y)}), more)
    }

    fn keys(&self) -> KeySet {
        key_set(&[self.jwk("a", &json!({}))])
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let input = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = self.0.sign(&SystemRandom::new(), input.as_bytes()).unwrap();
        format!("{input}.{}", b64(signature))
    }
}

fn key_set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// The members changed as told; null takes one away.
fn with(mut object: Value, change: &Value) -> Value {
    let members = object.as_object_mut().unwrap();
    for (name, value) in change.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    object
}

/// What Entra's workload identity says.
fn entra() -> Value {
    json!({
        "iss": ISSUER, "sub": "sync-fabric", "aud": "api://wif", "oid": "sync-fabric",
        "tid": "00000000-0000-4000-8000-000000000001", "appid": "a", "ver": "2.0",
        "iat": NOW - 300, "nbf": NOW - 300, "exp": NOW + 3_600,
    })
}

fn trust(audience: Option<&str>) -> AssertionTrust {
    AssertionTrust {
        issuer: ISSUER.to_owned(),
        jwks_url: "https://login.microsoftonline.com/common/keys".to_owned(),
        subject: "sync-fabric".to_owned(),
        audience: audience.map(str::to_owned),
    }
}

fn check(token: &str, keys: &KeySet, trust: &AssertionTrust) -> Result<Option<OnceUntil>, NotBelieved> {
    let expected = Expected { trust, ours: OURS, now: Timestamp(NOW * 1_000) };
    verify(&Jws::parse(token)?, keys, &expected)
}

fn claimed(change: &Value) -> Result<Option<OnceUntil>, NotBelieved> {
    let issuer = Issuer::new();
    let token = issuer.sign(&json!({"alg": "ES256", "kid": "a", "typ": "JWT"}), &with(entra(), change));
    check(&token, &issuer.keys(), &trust(Some("api://wif")))
}

fn headed(header: &Value) -> Result<Option<OnceUntil>, NotBelieved> {
    let issuer = Issuer::new();
    let token = issuer.sign(&with(json!({"alg": "ES256", "kid": "a", "typ": "JWT"}), header), &entra());
    check(&token, &issuer.keys(), &trust(Some("api://wif")))
}

#[test]
fn what_entra_signs_is_believed() {
    assert_eq!(claimed(&json!({})), Ok(None), "it has no name of its own");
    assert_eq!(claimed(&json!({"iat": null, "nbf": null})), Ok(None), "RFC 7523 asks for neither");
}

#[test]
fn an_assertion_with_a_name_is_shown_once_until_it_is_surely_over() {
    let once = OnceUntil { name: "j-1".into(), until: Timestamp((NOW + 3_600 + LEEWAY + 1) * 1_000) };

    assert_eq!(claimed(&json!({"jti": "j-1"})), Ok(Some(once)));
    for bad in [json!(""), json!(1), json!("j".repeat(257)), json!(["j"])] {
        assert_eq!(claimed(&json!({"jti": bad})), Err(NotBelieved::Claim("jti")));
    }
}

#[test]
fn issuer_and_subject_are_the_clients_to_the_letter() {
    let other = |name: &'static str, value: &str| match claimed(&json!({name: value})) {
        Err(NotBelieved::Issuer(_)) => "iss",
        Err(NotBelieved::Subject(_)) => "sub",
        outcome => panic!("{value}: {outcome:?}"),
    };
    for value in ["https://elsewhere.example", &format!("{ISSUER}/"), &ISSUER.to_uppercase()] {
        assert_eq!(other("iss", value), "iss");
    }
    for value in ["sync-fabric-2", "Sync-Fabric", "somebody"] {
        assert_eq!(other("sub", value), "sub");
    }
    for (name, value) in
        [("iss", json!(null)), ("iss", json!(["x"])), ("sub", json!(null)), ("sub", json!("")), ("sub", json!(7))]
    {
        assert_eq!(claimed(&json!({name: value})), Err(NotBelieved::Claim(name)));
    }
}

#[test]
fn the_audience_is_ours_in_either_form_and_nobody_elses() {
    let issuer = Issuer::new();
    let meant = |audience: &Value, expected: Option<&str>| {
        let token = issuer.sign(&json!({"alg": "ES256", "kid": "a"}), &with(entra(), &json!({ "aud": audience })));
        check(&token, &issuer.keys(), &trust(expected))
    };
    for (audience, expected) in [
        (json!("api://wif"), Some("api://wif")),
        (json!(["api://wif"]), Some("api://wif")),
        (json!(["api://wif", OURS[0]]), Some("api://wif")),
        (json!(OURS[0]), None),
        (json!(OURS[1]), None),
        (json!(OURS), None),
    ] {
        assert_eq!(meant(&audience, expected), Ok(None), "{audience} {expected:?}");
    }
    for (audience, expected) in [
        (json!("api://other"), Some("api://wif")),
        (json!("api://wif/"), Some("api://wif")),
        (json!(OURS[1]), Some("api://wif")),
        (json!(["api://wif", "api://other"]), Some("api://wif")),
        (json!("https://scim.example.com/"), None),
        (json!([OURS[0], "https://elsewhere.example"]), None),
    ] {
        assert!(matches!(meant(&audience, expected), Err(NotBelieved::Audience(_))), "{audience} {expected:?}");
    }
    for malformed in [json!(null), json!([]), json!(7), json!(["api://wif", 7]), json!({"a": "api://wif"})] {
        assert_eq!(meant(&malformed, Some("api://wif")), Err(NotBelieved::Claim("aud")), "{malformed}");
    }
}

#[test]
fn s32_clocks_may_be_a_minute_apart() {
    for (change, outcome) in [
        (json!({"exp": NOW - 60}), Ok(None)),
        (json!({"exp": NOW - 61}), Err(NotBelieved::Expired)),
        (json!({"nbf": NOW + 60}), Ok(None)),
        (json!({"nbf": NOW + 61}), Err(NotBelieved::NotYetValid)),
        (json!({"iat": NOW + 60}), Ok(None)),
        (json!({"iat": NOW + 61}), Err(NotBelieved::NotYetValid)),
        (json!({"exp": NOW + LONGEST + 60}), Ok(None)),
        (json!({"exp": NOW + LONGEST + 61}), Err(NotBelieved::TooLong)),
    ] {
        assert_eq!(claimed(&change), outcome, "{change}");
    }
}

#[test]
fn a_moment_may_have_a_fraction_which_never_lengthens_it() {
    for (change, outcome) in [
        (json!({"exp": 1_800_003_600.0, "nbf": 1_799_999_700.0, "iat": 1_799_999_700.25}), Ok(None)),
        (json!({"exp": 1.800_003_6e9}), Ok(None)),
        (json!({"exp": 1_799_999_940.5}), Ok(None)),
        (json!({"exp": 1_799_999_939.999}), Err(NotBelieved::Expired)),
        (json!({"nbf": 1_800_000_059.5}), Ok(None)),
        (json!({"nbf": 1_800_000_060.001}), Err(NotBelieved::NotYetValid)),
        (json!({"iat": 1_800_000_060.001}), Err(NotBelieved::NotYetValid)),
    ] {
        assert_eq!(claimed(&change), outcome, "{change}");
    }
    let named = claimed(&json!({"exp": 1_800_003_600.9, "jti": "j-1"})).unwrap().unwrap();
    assert_eq!(named.until, Timestamp((NOW + 3_600 + LEEWAY + 1) * 1_000));
}

#[test]
fn r58_a_time_that_is_none_is_refused() {
    assert_eq!(claimed(&json!({"exp": null})), Err(NotBelieved::Claim("exp")));
    for name in ["exp", "nbf", "iat"] {
        for value in [
            json!((NOW + 300).to_string()),
            json!(1e300),
            json!(1e12),
            json!(-0.5e1),
            json!(-1),
            json!(true),
            json!([NOW]),
            json!(i64::MAX),
        ] {
            assert_eq!(claimed(&json!({name: value})), Err(NotBelieved::Claim(name)), "{name} {value}");
        }
    }
}

#[test]
fn r57_a_token_of_another_class_is_no_assertion() {
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt", "id_token", ""] {
        assert!(matches!(headed(&json!({"typ": typ})), Err(NotBelieved::Class(_))), "{typ}");
    }
    for typ in [json!("jwt"), json!("application/JWT"), json!("client-authentication+jwt"), json!(null)] {
        assert_eq!(headed(&json!({"typ": typ})), Ok(None), "{typ}");
    }
    for change in [
        json!({"nonce": "n"}),
        json!({"at_hash": "h"}),
        json!({"c_hash": "h"}),
        json!({"auth_time": NOW}),
        json!({"events": {}}),
        json!({"token_use": "id"}),
        json!({"token_use": "access"}),
        json!({"typ": "Bearer"}),
        json!({"typ": "ID"}),
    ] {
        assert!(matches!(claimed(&change), Err(NotBelieved::Class(_))), "{change}");
    }
}

#[test]
fn r50_only_the_issuers_own_asymmetric_signature_counts() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let trust = trust(Some("api://wif"));
    let refused = |token: &str| match check(token, &issuer.keys(), &trust) {
        Err(NotBelieved::Token(error)) => error,
        outcome => panic!("{outcome:?}"),
    };
    let unsigned = |alg: &str| format!("{}.{}.", b64(json!({"alg": alg, "kid": "a"}).to_string()), b64(entra().to_string()));
    for alg in ["none", "None", "nOnE", " none "] {
        assert_eq!(refused(&unsigned(alg)), TokenError::Unsigned, "{alg}");
    }
    for secret in [issuer.jwk("a", &json!({})).to_string().into_bytes(), issuer.0.public_key().as_ref().to_vec()] {
        let input = format!("{}.{}", b64(json!({"alg": "HS256", "kid": "a"}).to_string()), b64(entra().to_string()));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), input.as_bytes());
        assert!(matches!(refused(&format!("{input}.{}", b64(tag))), TokenError::AlgorithmNotAllowed(_)));
    }
    let embedded = json!({"alg": "ES256", "kid": "a", "jwk": stranger.jwk("a", &json!({}))});
    for (signer, header, error) in [
        (&stranger, json!({"alg": "ES256", "kid": "a"}), TokenError::Signature),
        (&stranger, embedded, TokenError::Signature),
        (&stranger, json!({"alg": "ES256", "kid": "b", "jku": "https://evil.example"}), TokenError::KeyUnknown),
        (&issuer, json!({"alg": "ES256", "kid": "b"}), TokenError::KeyUnknown),
        (&issuer, json!({"alg": "RS256", "kid": "a"}), TokenError::KeyMismatch),
        (&issuer, json!({"alg": "ES256", "kid": "a", "crit": ["b64"], "b64": false}), TokenError::CriticalHeader),
    ] {
        assert_eq!(refused(&signer.sign(&header, &entra())), error, "{header}");
    }
    let good = issuer.sign(&json!({"alg": "ES256", "kid": "a"}), &entra());
    let (input, _) = good.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{input}.")), TokenError::Signature);
    let altered = with(entra(), &json!({"oid": "somebody"}));
    let (header, rest) = good.split_once('.').unwrap();
    let (_, signature) = rest.split_once('.').unwrap();
    assert_eq!(refused(&format!("{header}.{}.{signature}", b64(altered.to_string()))), TokenError::Signature);
}

#[test]
fn r54_a_key_that_belongs_to_another_issuer_signs_nothing() {
    let issuer = Issuer::new();
    let token = issuer.sign(&json!({"alg": "ES256", "kid": "a"}), &entra());
    let by = |owner: &str| check(&token, &key_set(&[issuer.jwk("a", &json!({ "issuer": owner }))]), &trust(Some("api://wif")));

    assert_eq!(by(ISSUER), Ok(None));
    assert_eq!(by("https://login.microsoftonline.com/{tenantid}/v2.0"), Ok(None));
    assert_eq!(by("https://sts.windows.net/{tenantid}/"), Err(NotBelieved::KeyOfOtherIssuer));
}
