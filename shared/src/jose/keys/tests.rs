use serde_json::json;

use aws_lc_rs::{
    rsa::KeySize,
    signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _},
};

use super::*;

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn curve(name: &str, algorithm: &'static EcdsaSigningAlgorithm) -> Value {
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let point = pair.public_key().as_ref();
    let (x, y) = point[1..].split_at((point.len() - 1) / 2);
    json!({"kty": "EC", "crv": name, "x": b64(x), "y": b64(y)})
}

fn p256() -> Value {
    curve("P-256", &signature::ECDSA_P256_SHA256_FIXED_SIGNING)
}

fn rsa_key() -> Value {
    let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
    let der = pair.public_key().as_ref();
    // The modulus inside `SEQUENCE { INTEGER n, INTEGER e }` (e = 65537, five octets).
    let end = der.len() - 5;
    json!({"kty": "RSA", "n": b64(&der[end - pair.public_modulus_len()..end]), "e": "AQAB"})
}

fn every_kind() -> [Value; 5] {
    let edwards = Ed25519KeyPair::generate().unwrap();
    [
        p256(),
        curve("P-384", &signature::ECDSA_P384_SHA384_FIXED_SIGNING),
        curve("P-521", &signature::ECDSA_P521_SHA512_FIXED_SIGNING),
        rsa_key(),
        json!({"kty": "OKP", "crv": "Ed25519", "x": b64(edwards.public_key().as_ref())}),
    ]
}

fn key_set(keys: &[Value]) -> Vec<u8> {
    json!({ "keys": keys }).to_string().into_bytes()
}

/// A JWK with more members.
fn with(mut jwk: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("not an object") };
    for (name, value) in members {
        jwk[name] = value;
    }
    jwk
}

fn keeps(jwk: &Value) -> bool {
    match KeySet::parse(&key_set(std::slice::from_ref(jwk))) {
        Ok(_) => true,
        Err(KeySetError::NoUsableKey) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn an_algorithm_that_is_announced_is_read_and_none_is_symmetric() {
    for name in Algorithm::NAMES {
        assert!(Algorithm::parse(name).is_some(), "{name}");
    }
    for name in ["none", "HS256", "HS512", "rs256", "RS1", "ES256K", "RSA-OAEP", "dir", ""] {
        assert!(Algorithm::parse(name).is_none(), "{name}");
    }
}

#[test]
fn a_sound_public_key_is_kept() {
    for jwk in every_kind() {
        assert!(keeps(&jwk), "{jwk}");
        assert!(keeps(&with(jwk.clone(), json!({"use": "sig", "key_ops": ["verify"], "x5t": "x", "x5c": ["MII"]}))), "{jwk}");
    }
    let rsa = rsa_key();
    let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let padded = b64([&[0, 0], modulus.as_slice()].concat());
    assert!(keeps(&with(rsa, json!({"n": padded}))), "some providers send leading zeros");
}

#[test]
fn p3_a_key_that_is_not_for_verifying_is_left_out() {
    let ec = p256();
    for members in [
        json!({"use": "enc"}),
        json!({"use": "SIG"}),
        json!({"use": 1}),
        json!({"key_ops": ["encrypt", "sign"]}),
        json!({"key_ops": []}),
        json!({"key_ops": "verify"}),
        json!({"alg": "RSA-OAEP"}),
        json!({"alg": "HS256"}),
        json!({"alg": "none"}),
        json!({"alg": 1}),
        json!({"kid": 1}),
        json!({"d": "AAAA"}),
        json!({"k": "AAAA"}),
        json!({"kty": "oct"}),
        json!({"kty": "ec"}),
        json!({"kty": null}),
    ] {
        assert!(!keeps(&with(ec.clone(), members.clone())), "{members}");
    }
    assert!(!keeps(&json!({"kty": "oct", "k": "c2VjcmV0"})));
}

#[test]
fn p3_a_weak_or_broken_key_is_left_out() {
    let rsa = rsa_key();
    let modulus = |bits: usize| b64([vec![0xc1; bits / 8]].concat());
    for members in [
        json!({"n": modulus(512)}),
        json!({"n": modulus(1024)}),
        json!({"n": modulus(2040)}),
        json!({"n": modulus(16_384)}),
        json!({"n": ""}),
        json!({"n": "!!"}),
        json!({"e": "AQ"}),
        json!({"e": "Ag"}),
        json!({"e": "AAAA"}),
        json!({"e": ""}),
        json!({"e": b64([0xff; 9])}),
    ] {
        assert!(!keeps(&with(rsa.clone(), members.clone())), "{members:.60}");
    }
    let ec = p256();
    for members in [
        json!({"x": ec["y"], "y": ec["x"]}),
        json!({"x": b64([0; 32]), "y": b64([0; 32])}),
        json!({"x": b64([0; 31])}),
        json!({"crv": "P-521"}),
        json!({"crv": "secp256k1"}),
        json!({"y": null}),
    ] {
        assert!(!keeps(&with(ec.clone(), members.clone())), "{members}");
    }
}

#[test]
fn p3_a_point_of_small_order_is_no_key() {
    for point in SMALL_ORDER {
        let mut signed = point;
        signed[31] |= 0x80;
        for encoding in [point, signed] {
            assert!(!keeps(&json!({"kty": "OKP", "crv": "Ed25519", "x": b64(encoding)})), "{encoding:02x?}");
        }
    }
    assert!(!keeps(&json!({"kty": "OKP", "crv": "X25519", "x": b64([9; 32])})));
}

#[test]
fn a_document_that_is_no_key_set_is_refused() {
    let key = p256();
    let many = |count: usize| KeySet::parse(&key_set(&vec![key.clone(); count])).map(|_| ());

    assert_eq!(many(100), Ok(()));
    assert_eq!(many(101), Err(KeySetError::TooManyKeys));
    assert_eq!(many(0), Err(KeySetError::NoUsableKey));
    for text in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()).map(|_| ()), Err(KeySetError::Malformed), "{text}");
    }
    assert_eq!(KeySet::parse(br#"{"keys":[1,"x",null,[]]}"#).map(|_| ()), Err(KeySetError::NoUsableKey));
}
