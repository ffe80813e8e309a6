//! A client's assertion (RFC 7523, section 3): whether it is one that the client's issuer made, for us, and now. The signature is
//! checked before any claim is believed.

use std::time::Duration;

use lockstep_shared::{
    clock::Timestamp,
    jose::{Excerpt, Jws, KeySet, TokenError},
    model::oauth_client::AssertionTrust,
    store::OnceUntil,
};
use serde_json::{Map, Value};

/// How far two honest clocks may be apart, in seconds.
const LEEWAY: i64 = 60;
/// Whoever signs for longer than a day has made a password of it. Entra signs for about an hour, managed identities for a day.
const LONGEST: i64 = 24 * 3_600;
/// 9999-12-31T23:59:59Z.
const LAST_SECOND: i64 = 253_402_300_799;
const NAME_LIMIT: usize = 256;

/// Why an assertion is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotBelieved {
    /// It is not signed by its issuer.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// RFC 8725, section 3.11: a token of another class.
    #[error("it is a token of another class: {0}")]
    Class(&'static str),
    /// A claim is absent or has the wrong type.
    #[error("its claim {0} is missing or malformed")]
    Claim(&'static str),
    /// `iss` is not the client's issuer.
    #[error("its issuer is {0}")]
    Issuer(Excerpt),
    /// The key is another issuer's.
    #[error("the key that signed it belongs to another issuer")]
    KeyOfOtherIssuer,
    /// `sub` is not the client's subject.
    #[error("its subject is {0}")]
    Subject(Excerpt),
    /// `aud` is not the client's audience.
    #[error("its audience is {0}")]
    Audience(Excerpt),
    /// Past its end.
    #[error("it has expired: compare the clocks")]
    Expired,
    /// Before its `nbf` or its `iat`.
    #[error("it is not valid yet: compare the clocks")]
    NotYetValid,
    /// Signed for longer than is sensible.
    #[error("it is valid for longer than a day")]
    TooLong,
}

/// What an assertion must say to be believed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Expected<'a> {
    /// Which assertions are the client's.
    pub(super) trust: &'a AssertionTrust,
    /// By what names we are known: our issuer identifier and our token endpoint.
    pub(super) ours: [&'a str; 2],
    /// The wall clock.
    pub(super) now: Timestamp,
}

/// Verifies an assertion. Where it has a name of its own (`jti`), that name may be shown once; Entra's has none, and then its end alone
/// bounds how often it is shown.
pub(super) fn verify(jws: &Jws<'_>, keys: &KeySet, expected: &Expected<'_>) -> Result<Option<OnceUntil>, NotBelieved> {
    refuse_other_classes_by_header(jws.typ.as_deref())?;
    let key = jws.check(keys)?;
    let claims = jws.claims()?;
    refuse_other_classes_by_claims(&claims)?;
    let issuer = text(&claims, "iss")?;
    if issuer != expected.trust.issuer {
        return Err(NotBelieved::Issuer(Excerpt::of(issuer)));
    }
    if !key.may_sign_for(issuer) {
        return Err(NotBelieved::KeyOfOtherIssuer);
    }
    let subject = text(&claims, "sub")?;
    if subject != expected.trust.subject {
        return Err(NotBelieved::Subject(Excerpt::of(subject)));
    }
    check_audience(&claims, expected)?;
    let end = check_times(&claims, expected.now.seconds())?;
    once(&claims, end)
}

/// A client's assertion is a `JWT`, or says outright what it is (draft-ietf-oauth-rfc7523bis).
fn refuse_other_classes_by_header(typ: Option<&str>) -> Result<(), NotBelieved> {
    let typ = typ.map(str::to_ascii_lowercase);
    match typ.as_deref().map(|typ| typ.strip_prefix("application/").unwrap_or(typ)) {
        None | Some("jwt" | "client-authentication+jwt") => Ok(()),
        Some(_) => Err(NotBelieved::Class("its header's typ is not JWT")),
    }
}

/// One issuer signs tokens of many classes with one key. What only they have gives them away.
fn refuse_other_classes_by_claims(claims: &Map<String, Value>) -> Result<(), NotBelieved> {
    if ["nonce", "at_hash", "c_hash", "auth_time"].iter().any(|name| claims.contains_key(*name)) {
        return Err(NotBelieved::Class("it is an ID token: it tells of a person's sign-in"));
    }
    if claims.contains_key("events") {
        return Err(NotBelieved::Class("it carries security events"));
    }
    if claims.contains_key("token_use") {
        return Err(NotBelieved::Class("its token_use says so"));
    }
    let other = ["ID", "Bearer", "DPoP", "Refresh", "Offline", "Logout", "at+jwt", "logout+jwt"];
    match claims.get("typ").and_then(Value::as_str) {
        Some(typ) if other.iter().any(|name| name.eq_ignore_ascii_case(typ)) => Err(NotBelieved::Class("its typ claim says so")),
        Some(_) | None => Ok(()),
    }
}

/// The client's audience has to be named, and nobody beside it but us: whoever else it is for could show it here.
fn check_audience(claims: &Map<String, Value>, expected: &Expected<'_>) -> Result<(), NotBelieved> {
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) if (1..=8).contains(&many.len()) => {
            many.iter().map(Value::as_str).collect::<Option<_>>().ok_or(NotBelieved::Claim("aud"))?
        }
        Some(_) | None => return Err(NotBelieved::Claim("aud")),
    };
    let is_ours = |audience: &str| expected.ours.contains(&audience);
    let is_expected =
        |audience: &str| expected.trust.audience.as_deref().map_or_else(|| is_ours(audience), |one| one == audience);
    if !audiences.iter().any(|audience| is_expected(audience)) {
        return Err(NotBelieved::Audience(Excerpt::of(&audiences.join(" "))));
    }
    match audiences.iter().find(|audience| !is_expected(audience) && !is_ours(audience)) {
        Some(stranger) => Err(NotBelieved::Audience(Excerpt::of(stranger))),
        None => Ok(()),
    }
}

/// Returns the moment from which the assertion is worth nothing, in seconds.
fn check_times(claims: &Map<String, Value>, now: i64) -> Result<i64, NotBelieved> {
    // A fraction makes it begin later and end sooner, never the other way round.
    let end = time(claims, "exp", f64::floor)?.ok_or(NotBelieved::Claim("exp"))?;
    if now > end.saturating_add(LEEWAY) {
        return Err(NotBelieved::Expired);
    }
    for start in [time(claims, "nbf", f64::ceil)?, time(claims, "iat", f64::ceil)?].into_iter().flatten() {
        if start > now.saturating_add(LEEWAY) {
            return Err(NotBelieved::NotYetValid);
        }
    }
    if end > now.saturating_add(LONGEST + LEEWAY) {
        return Err(NotBelieved::TooLong);
    }
    Ok(end.saturating_add(LEEWAY + 1))
}

fn once(claims: &Map<String, Value>, end: i64) -> Result<Option<OnceUntil>, NotBelieved> {
    if !claims.contains_key("jti") {
        return Ok(None);
    }
    let name = text(claims, "jti")?.to_owned();
    Ok(Some(OnceUntil { name, until: Timestamp(end.saturating_mul(1_000)) }))
}

fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<&'c str, NotBelieved> {
    let found = claims.get(name).and_then(Value::as_str);
    found.filter(|text| (1..=NAME_LIMIT).contains(&text.len())).ok_or(NotBelieved::Claim(name))
}

/// RFC 7519, section 2: seconds, with or without a fraction, which `round` takes to whole ones. What is no moment is refused and never
/// taken for none at all.
fn time(claims: &Map<String, Value>, name: &'static str, round: fn(f64) -> f64) -> Result<Option<i64>, NotBelieved> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().or_else(|| whole(round(value.as_f64()?)));
    seconds.filter(|seconds| (0..=LAST_SECOND).contains(seconds)).map(Some).ok_or(NotBelieved::Claim(name))
}

/// Neither a negative number nor one that is too large becomes a duration.
fn whole(seconds: f64) -> Option<i64> {
    i64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_secs()).ok()
}

#[cfg(test)]
mod tests;
