//! What a verified ID token says, in types. A claim that decides something has exactly one accepted form; a claim that only
//! describes a person is left out where it is malformed, and never keeps anybody from signing in.

use std::fmt;

use serde_json::{Map, Value};

use super::{Refusal, entra};

/// The last second of the year 9999: no honest token lives longer.
const LAST_SECOND: i64 = 253_402_300_799;
const SUBJECT_LIMIT: usize = 255;
const TEXT_LIMIT: usize = 1024;

/// An e-mail address as a provider asserts it, in the one form that domains can be compared in.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    local: String,
    domain: String,
    verified: bool,
}

impl Email {
    /// Reads an address: printable ASCII, one `@`, no quoting, a domain of letters, digits and hyphens without a final dot.
    /// What two mail systems could read differently is no address here.
    #[must_use]
    pub fn parse(text: &str, verified: bool) -> Option<Self> {
        let (local, domain) = text.split_once('@')?;
        let sound = (1..=64).contains(&local.len()) && local.split('.').all(is_atom) && is_domain(domain);
        sound.then(|| Self { local: local.to_owned(), domain: domain.to_ascii_lowercase(), verified })
    }

    /// The domain in lower case, to be compared whole with the domains that the workspace has proven to own.
    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The address with its domain in lower case; the local part as the provider wrote it.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}@{}", self.local, self.domain)
    }

    /// Whether the provider said `true`, and nothing like it, of this address.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Email(…@{}, verified: {})", self.domain, self.verified)
    }
}

/// RFC 5322's atom, without `%` and `!`: old mail systems route by them to another domain.
fn is_atom(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"#$&'*+-/=?^_`{|}~".contains(&byte))
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

/// The claims of an ID token whose signature is verified.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The issuer, exactly as in the token.
    pub issuer: String,
    /// The subject: with the issuer, the person's identity at the provider.
    pub subject: String,
    /// The audiences.
    pub audiences: Vec<String>,
    /// Who the token was issued to, if it says so.
    pub authorized_party: Option<String>,
    /// Seconds since 1970.
    pub expires_at: i64,
    /// Seconds since 1970.
    pub issued_at: i64,
    /// Seconds since 1970.
    pub not_before: Option<i64>,
    /// When the person authenticated, in seconds since 1970.
    pub authenticated_at: Option<i64>,
    /// The nonce of the sign-in.
    pub nonce: Option<String>,
    /// The provider's session.
    pub provider_session: Option<String>,
    /// The authentication context class (`acr`).
    pub context_class: Option<String>,
    /// Half a digest of the access token.
    pub access_token_hash: Option<String>,
    /// Entra: the person's object id, the same for every client.
    pub object_id: Option<String>,
    /// Entra: the tenant.
    pub tenant: Option<String>,
    /// The e-mail address, where it is one.
    pub email: Option<Email>,
    /// The display name.
    pub name: Option<String>,
    /// The name that the person signs in with.
    pub preferred_username: Option<String>,
    members: Map<String, Value>,
}

impl fmt::Debug for Claims {
    /// Personal data stays out of logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("issuer", &self.issuer).field("issued_at", &self.issued_at).finish_non_exhaustive()
    }
}

impl Claims {
    /// Reads the claims of a payload.
    pub(crate) fn read(members: Map<String, Value>) -> Result<Self, Refusal> {
        let reader = Reader(&members);
        let issuer = reader.required("iss")?;
        // Entra has no `email_verified`; its `xms_edov` says that the tenant has proven the domain.
        let verified = reader.is_true("email_verified") || (entra::tenant_of(&issuer).is_some() && reader.is_true("xms_edov"));
        Ok(Self {
            issuer,
            subject: subject(reader.required("sub")?)?,
            audiences: reader.audiences()?,
            authorized_party: reader.optional("azp")?,
            expires_at: reader.time("exp")?.ok_or(Refusal::ClaimMissing("exp"))?,
            issued_at: reader.time("iat")?.ok_or(Refusal::ClaimMissing("iat"))?,
            not_before: reader.time("nbf")?,
            authenticated_at: reader.time("auth_time")?,
            nonce: reader.optional("nonce")?,
            provider_session: reader.optional("sid")?.filter(|sid| !sid.is_empty()),
            context_class: reader.optional("acr")?,
            access_token_hash: reader.optional("at_hash")?,
            object_id: reader.descriptive("oid"),
            tenant: reader.optional("tid")?,
            email: reader.descriptive("email").and_then(|text| Email::parse(&text, verified)),
            name: reader.descriptive("name"),
            preferred_username: reader.descriptive("preferred_username"),
            members,
        })
    }

    /// A claim as text, for a connection's `link` rule: a text or nothing, never a number made into one.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.members.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty() && text.len() <= SUBJECT_LIMIT)
    }

    /// Whether the token has this member at all.
    pub(crate) fn has(&self, claim: &str) -> bool {
        self.members.contains_key(claim)
    }
}

/// OpenID Connect Core, section 2: at most 255 characters; control characters would reach logs and headers.
fn subject(text: String) -> Result<String, Refusal> {
    let sound = !text.is_empty() && text.len() <= SUBJECT_LIMIT && text.trim() == text && !text.chars().any(char::is_control);
    if sound { Ok(text) } else { Err(Refusal::ClaimMalformed("sub")) }
}

struct Reader<'a>(&'a Map<String, Value>);

impl Reader<'_> {
    fn required(&self, claim: &'static str) -> Result<String, Refusal> {
        self.optional(claim)?.ok_or(Refusal::ClaimMissing(claim))
    }

    fn optional(&self, claim: &'static str) -> Result<Option<String>, Refusal> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= TEXT_LIMIT => Ok(Some(text.clone())),
            Some(_) => Err(Refusal::ClaimMalformed(claim)),
        }
    }

    fn descriptive(&self, claim: &str) -> Option<String> {
        let text = self.0.get(claim)?.as_str()?;
        (!text.is_empty() && text.len() <= TEXT_LIMIT && !text.chars().any(char::is_control)).then(|| text.to_owned())
    }

    /// `"true"` and `1` are not `true`: a provider that cannot say it properly has not said it.
    fn is_true(&self, claim: &str) -> bool {
        self.0.get(claim) == Some(&Value::Bool(true))
    }

    /// CVE-2026-25537: a time that is a text must not be taken for an absent one.
    fn time(&self, claim: &'static str) -> Result<Option<i64>, Refusal> {
        match self.0.get(claim) {
            None => Ok(None),
            Some(value) => match value.as_i64() {
                Some(seconds) if (0..=LAST_SECOND).contains(&seconds) => Ok(Some(seconds)),
                _ => Err(Refusal::ClaimMalformed(claim)),
            },
        }
    }

    fn audiences(&self) -> Result<Vec<String>, Refusal> {
        match self.0.get("aud") {
            None => Err(Refusal::ClaimMissing("aud")),
            Some(Value::String(one)) => Ok(vec![one.clone()]),
            Some(Value::Array(many)) if (1..=32).contains(&many.len()) => {
                many.iter().map(|one| one.as_str().map(str::to_owned).ok_or(Refusal::ClaimMalformed("aud"))).collect()
            }
            Some(_) => Err(Refusal::ClaimMalformed("aud")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(change: Value) -> Result<Claims, Refusal> {
        let mut members = json!({"iss": "https://idp.example", "sub": "s", "aud": "c", "exp": 10, "iat": 5});
        let Value::Object(change) = change else { panic!("not an object") };
        for (name, value) in change {
            members[name] = value;
        }
        Claims::read(members.as_object().unwrap().clone())
    }

    #[test]
    fn g39_an_email_is_verified_by_the_value_true_alone() {
        let verified =
            |value: Value| read(json!({"email": "a@company.com", "email_verified": value})).unwrap().email.unwrap().is_verified();

        assert!(verified(json!(true)));
        for value in [json!("true"), json!("false"), json!(false), json!(1), json!(0), json!(null), json!([true]), json!({})] {
            assert!(!verified(value.clone()), "{value}");
        }
        assert!(!read(json!({"email": "a@company.com"})).unwrap().email.unwrap().is_verified(), "absent is not true");
    }

    #[test]
    fn g39_entra_vouches_for_a_domain_by_its_own_claim() {
        let entra = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0";
        let verified = |issuer: &str, value: Value| {
            let claims = read(json!({"iss": issuer, "email": "a@company.com", "xms_edov": value})).unwrap();
            claims.email.unwrap().is_verified()
        };

        assert!(verified(entra, json!(true)));
        assert!(!verified(entra, json!("1")));
        assert!(!verified("https://idp.example", json!(true)), "it means nothing at another provider");
    }

    #[test]
    fn g40_what_two_readers_could_read_differently_is_no_email() {
        for text in [
            "attacker@evil.com@company.com",
            "\"a@company.com\"@evil.com",
            "a@company.com.",
            "a@.company.com",
            "a@company..com",
            "a@company.com%00@evil.com",
            "a@company.com%00",
            "a@company.com ",
            " a@company.com",
            "a@company.com\u{200b}",
            "a\u{200b}@company.com",
            "a@compаny.com",
            "a@-company.com",
            "a@company",
            "a@[127.0.0.1]",
            "a(x)@company.com",
            "a@company.com,b@evil.com",
            "@company.com",
            "a@",
            "a",
            "",
            "a\r\n@company.com",
            "a%evil.com@company.com",
            "evil.com!a@company.com",
            ".a@company.com",
            "a..b@company.com",
        ] {
            assert_eq!(Email::parse(text, true), None, "{text:?}");
        }
    }

    #[test]
    fn g40_domains_compare_in_lower_case_and_punycode_is_only_itself() {
        let email = Email::parse("Anna.B+x@COMPANY.com", true).unwrap();

        assert_eq!(email.domain(), "company.com");
        assert_eq!(email.address(), "Anna.B+x@company.com");
        assert_eq!(Email::parse("a@xn--compny-5ve.com", true).unwrap().domain(), "xn--compny-5ve.com");
    }

    #[test]
    fn p4_a_time_is_a_whole_number_of_seconds() {
        let bad = [
            json!("10"),
            json!(10.5),
            json!(1e300),
            json!(-1),
            json!([10]),
            json!(null),
            json!({}),
            json!(u64::MAX),
            json!(true),
        ];
        for claim in ["exp", "iat", "nbf", "auth_time"] {
            for value in &bad {
                let mut change = json!({});
                change[claim] = value.clone();
                assert_eq!(read(change).unwrap_err(), Refusal::ClaimMalformed(claim), "{claim}: {value}");
            }
        }
    }

    #[test]
    fn p4_claims_that_decide_are_texts() {
        for claim in ["iss", "sub", "azp", "nonce", "sid", "tid", "acr", "at_hash"] {
            for value in [json!(1), json!(null), json!(["x"]), json!({"x": 1})] {
                let mut change = json!({});
                change[claim] = value.clone();
                assert_eq!(read(change).unwrap_err(), Refusal::ClaimMalformed(claim), "{claim}: {value}");
            }
        }
        for subject in ["", " s", "s\n", "s\u{0}", &"x".repeat(256)] {
            assert_eq!(read(json!({"sub": subject})).unwrap_err(), Refusal::ClaimMalformed("sub"), "{subject:?}");
        }
    }

    #[test]
    fn g34_an_audience_is_a_text_or_a_list_of_texts() {
        for value in [json!(1), json!(null), json!([]), json!([1]), json!(["a", 1]), json!({"a": 1}), json!(vec!["a"; 33])] {
            assert_eq!(read(json!({"aud": value})).unwrap_err(), Refusal::ClaimMalformed("aud"), "{value}");
        }
    }

    #[test]
    fn a_malformed_description_keeps_nobody_out() {
        let claims =
            read(json!({"name": 1, "email": ["x"], "preferred_username": "a\nb", "oid": null, "updated_at": "yesterday"}))
                .unwrap();

        assert_eq!((claims.name, claims.email, claims.preferred_username, claims.object_id), (None, None, None, None));
    }

    #[test]
    fn a_link_claim_is_a_text_and_never_a_number() {
        let claims = read(json!({"employee": 1, "oid": "o-1", "empty": ""})).unwrap();

        assert_eq!(claims.text("oid"), Some("o-1"));
        assert_eq!(claims.text("employee"), None);
        assert_eq!(claims.text("empty"), None);
    }

    #[test]
    fn claims_and_emails_print_no_personal_data() {
        let claims = read(json!({"sub": "subject-9", "name": "Anna Berg", "email": "anna@company.com"})).unwrap();

        let printed = format!("{claims:?} {:?}", claims.email);

        assert!(!printed.contains("nna") && !printed.contains("subject-9"), "{printed}");
    }
}
