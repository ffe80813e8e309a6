//! Authorization codes, each good once and for 60 seconds, and the access tokens that came of them. Pure.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    directory::PersonId,
    random::{self, NoRandomness},
};

const CODE_LIFE: TimeDelta = TimeDelta::seconds(60);
const TOKEN_LIFE: TimeDelta = TimeDelta::hours(1);

/// What a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) person: PersonId,
    pub(super) sid: String,
    pub(super) auth_time: DateTime<Utc>,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    until: DateTime<Utc>,
    is_used: bool,
}

#[derive(Debug)]
struct AccessToken {
    person: PersonId,
    code: String,
    until: DateTime<Utc>,
}

/// All codes and access tokens.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    codes: HashMap<String, Code>,
    tokens: HashMap<String, AccessToken>,
}

impl Grants {
    pub(super) fn issue(&mut self, grant: Grant, now: DateTime<Utc>) -> Result<String, NoRandomness> {
        self.codes.retain(|_, code| code.until > now);
        self.tokens.retain(|_, token| token.until > now);
        let code = random::token()?;
        self.codes.insert(code.clone(), Code { grant, until: now + CODE_LIFE, is_used: false });
        Ok(code)
    }

    /// Takes what a code stands for; whoever fails has spent it all the same.
    pub(super) fn redeem(&mut self, code: &str, redirect_uri: &str, verifier: &str, now: DateTime<Utc>) -> Option<Grant> {
        let found = self.codes.get_mut(code)?;
        if found.is_used {
            // RFC 6749, section 4.1.2: a code that comes twice was stolen, so what came of it ends too.
            self.tokens.retain(|_, token| token.code != code);
            return None;
        }
        found.is_used = true;
        let is_right = found.until > now
            && found.grant.redirect_uri == redirect_uri
            && is_verifier(verifier)
            && random::same(&random::sha256_url(verifier), &found.grant.challenge);
        is_right.then(|| found.grant.clone())
    }

    pub(super) fn access_token(
        &mut self,
        code: &str,
        person: &PersonId,
        now: DateTime<Utc>,
    ) -> Result<(String, i64), NoRandomness> {
        let token = random::token()?;
        self.tokens.insert(token.clone(), AccessToken { person: person.clone(), code: code.to_owned(), until: now + TOKEN_LIFE });
        Ok((token, TOKEN_LIFE.num_seconds()))
    }

    pub(super) fn owner(&self, token: &str, now: DateTime<Utc>) -> Option<PersonId> {
        self.tokens.get(token).filter(|token| token.until > now).map(|token| token.person.clone())
    }

    /// Ends all that a person was granted.
    pub(crate) fn end(&mut self, person: &PersonId) {
        self.codes.retain(|_, code| code.grant.person != *person);
        self.tokens.retain(|_, token| token.person != *person);
    }
}

/// RFC 7636, section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len()) && text.chars().all(|c| c.is_ascii_alphanumeric() || "-._~".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CALLBACK: &str = "http://rp/callback";

    fn issued() -> (Grants, String, DateTime<Utc>) {
        let now = DateTime::UNIX_EPOCH;
        let grant = Grant {
            client_id: "lockstep".into(),
            redirect_uri: CALLBACK.into(),
            // RFC 7636, appendix B.
            challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into(),
            nonce: None,
            person: PersonId::fixed("ada"),
            sid: "sid".into(),
            auth_time: now,
        };
        let mut grants = Grants::default();
        let code = grants.issue(grant, now).unwrap();
        (grants, code, now)
    }

    #[test]
    fn a_code_is_good_once_and_its_reuse_ends_what_came_of_it() {
        let (mut grants, code, now) = issued();

        assert!(grants.redeem(&code, CALLBACK, VERIFIER, now).is_some());
        let (token, _) = grants.access_token(&code, &PersonId::fixed("ada"), now).unwrap();
        assert!(grants.owner(&token, now).is_some());

        assert_eq!(grants.redeem(&code, CALLBACK, VERIFIER, now), None);
        assert_eq!(grants.owner(&token, now), None);
    }

    #[test]
    fn a_code_lives_for_sixty_seconds() {
        let (mut grants, code, now) = issued();
        assert!(grants.redeem(&code, CALLBACK, VERIFIER, now + TimeDelta::milliseconds(59_999)).is_some());

        let (mut grants, code, now) = issued();
        assert_eq!(grants.redeem(&code, CALLBACK, VERIFIER, now + CODE_LIFE), None);
    }

    #[test]
    fn a_failed_attempt_spends_the_code() {
        let wrong = "x".repeat(43);
        for (uri, verifier) in [(CALLBACK, wrong.as_str()), (CALLBACK, ""), ("http://rp/other", VERIFIER)] {
            let (mut grants, code, now) = issued();

            assert_eq!(grants.redeem(&code, uri, verifier, now), None, "{uri} {verifier}");
            assert_eq!(grants.redeem(&code, CALLBACK, VERIFIER, now), None, "the code was spent");
        }
    }

    #[test]
    fn an_access_token_lives_for_an_hour() {
        let (mut grants, code, now) = issued();
        let (token, seconds) = grants.access_token(&code, &PersonId::fixed("ada"), now).unwrap();

        assert_eq!(seconds, 3600);
        assert!(grants.owner(&token, now + TimeDelta::seconds(3599)).is_some());
        assert_eq!(grants.owner(&token, now + TimeDelta::seconds(3600)), None);
    }
}
