use serde_json::json;

use super::*;
use crate::oidc::testing::{Signer, b64, key_set, with};

fn keeps(jwk: &Value) -> bool {
    match KeySet::parse(&key_set(std::slice::from_ref(jwk))) {
        Ok(_) => true,
        Err(KeySetError::NoUsableKey) => false,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_sound_public_key_is_kept() {
    for signer in [Signer::p256(), Signer::p384(), Signer::p521(), Signer::rsa(), Signer::ed25519()] {
        let jwk = signer.jwk();
        assert!(keeps(&jwk), "{jwk}");
        assert!(keeps(&with(jwk.clone(), json!({"use": "sig", "key_ops": ["verify"], "x5t": "x", "x5c": ["MII"]}))), "{jwk}");
    }
    let rsa = Signer::rsa().jwk();
    let modulus = URL_SAFE_NO_PAD.decode(rsa["n"].as_str().unwrap()).unwrap();
    let padded = b64([&[0, 0], modulus.as_slice()].concat());
    assert!(keeps(&with(rsa, json!({"n": padded}))), "some providers send leading zeros");
}

#[test]
fn p3_a_key_that_is_not_for_verifying_is_left_out() {
    let ec = Signer::p256().jwk();
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
    let rsa = Signer::rsa().jwk();
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
    let ec = Signer::p256().jwk();
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
    let key = Signer::p256().jwk();
    let many = |count: usize| KeySet::parse(&key_set(&vec![key.clone(); count])).map(|_| ());

    assert_eq!(many(100), Ok(()));
    assert_eq!(many(101), Err(KeySetError::TooManyKeys));
    assert_eq!(many(0), Err(KeySetError::NoUsableKey));
    for text in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes()).map(|_| ()), Err(KeySetError::Malformed), "{text}");
    }
    assert_eq!(KeySet::parse(br#"{"keys":[1,"x",null,[]]}"#).map(|_| ()), Err(KeySetError::NoUsableKey));
}
