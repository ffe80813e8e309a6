//! ID token verification (OpenID Connect Core, section 3.1.3.7; RFC 8725). The signature is checked before any claim is
//! believed, so that every later refusal speaks of a token that the provider really made.

use std::time::Duration;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lockstep_shared::{clock::Timestamp, jose::Jws};
use subtle::ConstantTimeEq as _;

use super::{Algorithm, Claims, Excerpt, KeySet, Refusal, entra};

/// How far two honest clocks may be apart.
const LEEWAY: i64 = 60;
/// A code flow takes seconds: a token that is older at the callback was kept by somebody.
const OLDEST: i64 = 600;

/// What brought the token here.
#[derive(Debug, Clone, Copy)]
pub enum Occasion<'a> {
    /// A sign-in that was started with this nonce.
    SignIn {
        /// The nonce that was sent.
        nonce: &'a str,
    },
    /// A refresh of the tokens of this subject (OpenID Connect Core, section 12.2).
    Refresh {
        /// The subject of the first ID token.
        subject: &'a str,
    },
}

/// What an ID token must say to be believed.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The connection's issuer.
    pub issuer: &'a str,
    /// The connection's client id.
    pub client_id: &'a str,
    /// Other audiences that the workspace's admin has named as trusted; usually none.
    pub trusted_audiences: &'a [String],
    /// The algorithms that the provider's metadata announces, of those that are ever accepted.
    pub algorithms: &'a [Algorithm],
    /// What brought the token here.
    pub occasion: Occasion<'a>,
    /// The `max_age` that was asked for.
    pub max_age: Option<Duration>,
    /// The access token that came beside it.
    pub access_token: Option<&'a str>,
    /// The wall clock.
    pub now: Timestamp,
}

/// Verifies an ID token against the provider's keys and what is expected of it.
pub fn verify(token: &str, keys: &KeySet, expected: &Expected<'_>) -> Result<Claims, Refusal> {
    let jws = Jws::parse(token)?;
    if !expected.algorithms.contains(&jws.algorithm) {
        return Err(Refusal::AlgorithmNotAllowed(Excerpt::of(&format!("{:?}", jws.algorithm).to_uppercase())));
    }
    refuse_other_classes_by_header(jws.typ.as_deref())?;
    let key = jws.check(keys)?;

    let claims = Claims::read(jws.claims()?)?;
    refuse_other_classes_by_claims(&claims)?;
    check_issuer(&claims, expected)?;
    if !key.may_sign_for(&claims.issuer) {
        return Err(Refusal::KeyOfOtherIssuer);
    }
    check_audience(&claims, expected)?;
    check_times(&claims, expected)?;
    check_occasion(&claims, expected.occasion)?;
    check_access_token_hash(&claims, jws.algorithm, expected.access_token)?;
    Ok(claims)
}

/// RFC 8725, section 3.11. ID tokens carry `JWT` or nothing; `at+jwt`, `logout+jwt`, `secevent+jwt` are other classes.
fn refuse_other_classes_by_header(typ: Option<&str>) -> Result<(), Refusal> {
    let is_plain = |typ: &str| typ.eq_ignore_ascii_case("JWT") || typ.eq_ignore_ascii_case("application/jwt");
    if typ.is_none_or(is_plain) { Ok(()) } else { Err(Refusal::TokenClass("its header's typ is not JWT")) }
}

/// Providers that give all their tokens the same header tell them apart in the payload: `typ` at Keycloak, `token_use` at Cognito.
fn refuse_other_classes_by_claims(claims: &Claims) -> Result<(), Refusal> {
    // Back-Channel Logout 1.0, section 2.4; RFC 8417.
    if claims.has("events") {
        return Err(Refusal::TokenClass("it carries security events: it is a logout token or a security event token"));
    }
    if claims.has("token_use") && claims.text("token_use") != Some("id") {
        return Err(Refusal::TokenClass("its token_use is not id"));
    }
    let other = ["Bearer", "DPoP", "Refresh", "Offline", "Logout", "at+jwt", "logout+jwt"];
    match claims.text("typ") {
        Some(typ) if other.iter().any(|name| name.eq_ignore_ascii_case(typ)) => {
            Err(Refusal::TokenClass("its typ claim is not ID"))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_issuer(claims: &Claims, expected: &Expected<'_>) -> Result<(), Refusal> {
    // Octet by octet: a trailing slash, a port or another case is another issuer.
    if claims.issuer != expected.issuer {
        return Err(Refusal::Issuer(Excerpt::of(&claims.issuer)));
    }
    match (entra::tenant_of(expected.issuer), claims.tenant.as_deref()) {
        (None, _) if entra::is_shared(expected.issuer) => Err(Refusal::Tenant),
        (None, _) => Ok(()),
        (Some(_), None) => Err(Refusal::ClaimMissing("tid")),
        (Some(of_issuer), Some(of_token)) => (of_issuer == of_token).then_some(()).ok_or(Refusal::Tenant),
    }
}

fn check_audience(claims: &Claims, expected: &Expected<'_>) -> Result<(), Refusal> {
    if !claims.audiences.iter().any(|audience| audience == expected.client_id) {
        return Err(Refusal::Audience);
    }
    let trusted = |audience: &String| audience == expected.client_id || expected.trusted_audiences.contains(audience);
    if let Some(stranger) = claims.audiences.iter().find(|audience| !trusted(audience)) {
        return Err(Refusal::ExtraAudience(Excerpt::of(stranger)));
    }
    match claims.authorized_party.as_deref() {
        Some(party) if party != expected.client_id => Err(Refusal::AuthorizedParty),
        None if claims.audiences.len() > 1 => Err(Refusal::AuthorizedParty),
        Some(_) | None => Ok(()),
    }
}

fn check_times(claims: &Claims, expected: &Expected<'_>) -> Result<(), Refusal> {
    let now = expected.now.seconds();
    if now > claims.expires_at.saturating_add(LEEWAY) {
        return Err(Refusal::Expired);
    }
    if claims.not_before.is_some_and(|start| start > now.saturating_add(LEEWAY)) {
        return Err(Refusal::NotYetValid);
    }
    if claims.issued_at > now.saturating_add(LEEWAY) {
        return Err(Refusal::IssuedInFuture);
    }
    if now > claims.issued_at.saturating_add(OLDEST) {
        return Err(Refusal::IssuedTooLongAgo);
    }
    let Some(max_age) = expected.max_age else { return Ok(()) };
    let authenticated_at = claims.authenticated_at.ok_or(Refusal::ClaimMissing("auth_time"))?;
    let limit = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX).saturating_add(LEEWAY);
    if now.saturating_sub(authenticated_at) > limit { Err(Refusal::AuthenticationTooOld) } else { Ok(()) }
}

fn check_occasion(claims: &Claims, occasion: Occasion<'_>) -> Result<(), Refusal> {
    match occasion {
        Occasion::SignIn { nonce } => {
            let sent = claims.nonce.as_deref().ok_or(Refusal::ClaimMissing("nonce"))?;
            bool::from(sent.as_bytes().ct_eq(nonce.as_bytes())).then_some(()).ok_or(Refusal::Nonce)
        }
        Occasion::Refresh { subject } => (claims.subject == subject).then_some(()).ok_or(Refusal::Subject),
    }
}

fn check_access_token_hash(claims: &Claims, algorithm: Algorithm, access_token: Option<&str>) -> Result<(), Refusal> {
    let (Some(claimed), Some(access_token)) = (claims.access_token_hash.as_deref(), access_token) else { return Ok(()) };
    let digest = digest::digest(algorithm.digest(), access_token.as_bytes());
    let (half, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    if claimed == URL_SAFE_NO_PAD.encode(half) { Ok(()) } else { Err(Refusal::AccessTokenHash) }
}

#[cfg(test)]
mod tests;
