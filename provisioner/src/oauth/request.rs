//! A token request, read strictly (RFC 6749, section 4.4.2): which client it is from and what that client shows. Nothing of it is
//! believed yet.

use std::collections::HashSet;

use http::{HeaderMap, header};
use lockstep_shared::{id::OAuthClientId, jose::Jws, secret::BearerToken};
use url::form_urlencoded;

use super::error::OAuthError;
use crate::authorization;

/// The kind of assertion that is understood (RFC 7523, section 2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// What a client shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// A secret.
    Secret(BearerToken),
    /// A signed assertion.
    Assertion(String),
}

impl Shown {
    /// The client of which an assertion says that it speaks.
    pub(super) fn subject(&self) -> Option<OAuthClientId> {
        match self {
            Self::Secret(_) => None,
            Self::Assertion(assertion) => subject_of(assertion),
        }
    }
}

/// A token request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenRequest {
    /// The client, where the request names one beside the assertion.
    pub(super) client: Option<OAuthClientId>,
    /// What it shows.
    pub(super) shown: Shown,
}

impl TokenRequest {
    /// Reads a request. What stands in the URL's query is not looked at.
    pub(super) fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Self, OAuthError> {
        check_type(headers)?;
        let form = Form::parse(body)?;
        match form.get("grant_type") {
            None => return Err(OAuthError::InvalidRequest("grant_type is missing")),
            Some("client_credentials") => {}
            Some(_) => return Err(OAuthError::UnsupportedGrantType),
        }
        if form.get("scope").is_some_and(|scope| scope.split(' ').any(|one| one != "scim")) {
            return Err(OAuthError::InvalidScope);
        }
        // RFC 6749, section 2.3: one way of authentication in a request.
        let header = headers.contains_key(header::AUTHORIZATION);
        match (header, form.get("client_secret"), form.get("client_assertion"), form.get("client_assertion_type")) {
            (true, None, None, None) => by_header(headers, &form),
            (false, Some(secret), None, None) => by_secret(&form, secret),
            (false, None, Some(assertion), Some(JWT_BEARER)) => by_assertion(&form, assertion),
            (false, None, Some(_), Some(_)) | (false, None, None, None) => Err(OAuthError::InvalidClient),
            (false, None, Some(_), None) => Err(OAuthError::InvalidRequest("client_assertion_type is missing")),
            (false, None, None, Some(_)) => Err(OAuthError::InvalidRequest("client_assertion is missing")),
            (true, ..) | (false, Some(_), ..) => Err(OAuthError::InvalidRequest("the client authenticates in more than one way")),
        }
    }
}

/// Whom a request that may be malformed seems to be from: where to look, and nothing that is believed.
pub(super) fn seems_from(headers: &HeaderMap, body: &[u8]) -> Option<OAuthClientId> {
    let by_header = || {
        let (_, rest) = authorization::only(headers)?;
        let (id, _) = authorization::basic(rest)?;
        OAuthClientId::parse(&decoded(&id)).ok()
    };
    let fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
    let form = Form(fields);
    let by_form = || OAuthClientId::parse(form.get("client_id")?).ok();
    by_header().or_else(by_form).or_else(|| subject_of(form.get("client_assertion")?))
}

/// Whom an assertion says that it speaks of.
fn subject_of(assertion: &str) -> Option<OAuthClientId> {
    let claims = Jws::parse(assertion).and_then(|jws| jws.claims()).ok()?;
    OAuthClientId::parse(claims.get("sub")?.as_str()?).ok()
}

/// `client_secret_basic`: both parts are form-encoded before they are base64.
fn by_header(headers: &HeaderMap, form: &Form) -> Result<TokenRequest, OAuthError> {
    let (scheme, rest) = authorization::only(headers).ok_or(OAuthError::InvalidClient)?;
    if !scheme.eq_ignore_ascii_case("Basic") {
        return Err(OAuthError::InvalidClient);
    }
    let (id, secret) = authorization::basic(rest).ok_or(OAuthError::InvalidClient)?;
    let client = client_id(&decoded(&id))?;
    if form.get("client_id").is_some_and(|named| named != client.as_str()) {
        return Err(OAuthError::InvalidRequest("client_id is not the client that authenticates"));
    }
    Ok(TokenRequest { client: Some(client), shown: Shown::Secret(our_secret(&decoded(&secret))?) })
}

/// `client_secret_post`.
fn by_secret(form: &Form, secret: &str) -> Result<TokenRequest, OAuthError> {
    let id = form.get("client_id").ok_or(OAuthError::InvalidRequest("client_id is missing"))?;
    Ok(TokenRequest { client: Some(client_id(id)?), shown: Shown::Secret(our_secret(secret)?) })
}

/// RFC 7521, section 4.2: `client_id` may be left out where the assertion's subject is the client.
fn by_assertion(form: &Form, assertion: &str) -> Result<TokenRequest, OAuthError> {
    let client = form.get("client_id").map(client_id).transpose()?;
    Ok(TokenRequest { client, shown: Shown::Assertion(assertion.to_owned()) })
}

fn client_id(text: &str) -> Result<OAuthClientId, OAuthError> {
    OAuthClientId::parse(text).map_err(|_| OAuthError::InvalidClient)
}

fn our_secret(text: &str) -> Result<BearerToken, OAuthError> {
    BearerToken::parse(text).ok_or(OAuthError::InvalidClient)
}

/// One form-encoded text. Neither an id nor a secret of ours has `&` or `=`: what has is none of them, whatever is left of it.
fn decoded(text: &str) -> String {
    form_urlencoded::parse(text.as_bytes()).map(|(name, _)| name.into_owned()).collect()
}

fn check_type(headers: &HeaderMap) -> Result<(), OAuthError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        Ok(())
    } else {
        Err(OAuthError::InvalidRequest("send application/x-www-form-urlencoded"))
    }
}

struct Form(Vec<(String, String)>);

impl Form {
    /// RFC 6749, section 3.2: no parameter comes twice.
    fn parse(body: &[u8]) -> Result<Self, OAuthError> {
        let fields: Vec<(String, String)> = form_urlencoded::parse(body).into_owned().collect();
        let mut seen = HashSet::new();
        if fields.iter().all(|(name, _)| seen.insert(name)) {
            Ok(Self(fields))
        } else {
            Err(OAuthError::InvalidRequest("a parameter comes twice"))
        }
    }

    /// A parameter without a value is as good as left out.
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use http::HeaderValue;
    use lockstep_shared::id::WorkspaceId;

    use super::*;

    struct Fixture {
        id: OAuthClientId,
        secret: BearerToken,
    }

    impl Fixture {
        fn new() -> Self {
            Self { id: OAuthClientId::random(&WorkspaceId::parse("acme").unwrap()), secret: BearerToken::new().unwrap() }
        }

        /// Fills in `{id}`, `{secret}` and `{type}`.
        fn fill(&self, form: &str) -> String {
            let form = form.replace("{id}", self.id.as_str()).replace("{secret}", self.secret.expose());
            form.replace("{type}", JWT_BEARER)
        }

        fn basic(&self, plain: &str) -> HeaderValue {
            HeaderValue::from_str(&format!("Basic {}", authorization::BASE64.encode(self.fill(plain)))).unwrap()
        }

        fn read(&self, authorization: Option<HeaderValue>, form: &str) -> Result<TokenRequest, OAuthError> {
            let form_type = HeaderValue::from_static("application/x-www-form-urlencoded; charset=UTF-8");
            let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, form_type)]);
            headers.extend(authorization.map(|line| (header::AUTHORIZATION, line)));
            TokenRequest::parse(&headers, self.fill(form).as_bytes())
        }
    }

    #[test]
    fn a_client_shows_a_secret_or_an_assertion() {
        let fixture = Fixture::new();
        let of = |shown: Shown| Ok(TokenRequest { client: Some(fixture.id.clone()), shown });
        let secret = Shown::Secret(fixture.secret.clone());

        for form in [
            "grant_type=client_credentials&client_id={id}&client_secret={secret}",
            "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=scim&resource=x",
            "scope=&client_assertion=&client_secret={secret}&client_id={id}&grant_type=client_credentials",
        ] {
            assert_eq!(fixture.read(None, form), of(secret.clone()), "{form}");
        }
        for form in ["grant_type=client_credentials", "grant_type=client_credentials&client_id={id}"] {
            assert_eq!(fixture.read(Some(fixture.basic("{id}:{secret}")), form), of(secret.clone()), "{form}");
        }
        let encoded = fixture.fill("{id}:{secret}").replace('.', "%2E").replace('_', "%5f");
        assert_eq!(fixture.read(Some(fixture.basic(&encoded)), "grant_type=client_credentials"), of(secret));
        let assertion = "grant_type=client_credentials&client_assertion_type={type}&client_assertion=a.b.c";
        let shown = Shown::Assertion("a.b.c".to_owned());
        assert_eq!(fixture.read(None, &format!("{assertion}&client_id={{id}}")), of(shown.clone()));
        assert_eq!(fixture.read(None, assertion), Ok(TokenRequest { client: None, shown }));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let fixture = Fixture::new();
        let invalid = |why| Err(OAuthError::InvalidRequest(why));
        let (twice, ways) = ("a parameter comes twice", "the client authenticates in more than one way");
        for (form, refusal) in [
            ("", invalid("grant_type is missing")),
            ("grant_type=&client_id={id}&client_secret={secret}", invalid("grant_type is missing")),
            ("grant_type=password&client_id={id}&client_secret={secret}", Err(OAuthError::UnsupportedGrantType)),
            ("grant_type=CLIENT_CREDENTIALS&client_id={id}&client_secret={secret}", Err(OAuthError::UnsupportedGrantType)),
            ("grant_type=client_credentials&grant_type=client_credentials&client_id={id}&client_secret={secret}", invalid(twice)),
            ("grant_type=client_credentials&client_id={id}&client_secret={secret}&client_secret={secret}", invalid(twice)),
            ("grant_type=client_credentials&client_id={id}&client_secret={secret}&x=&x=", invalid(twice)),
            ("grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=admin", Err(OAuthError::InvalidScope)),
            (
                "grant_type=client_credentials&client_id={id}&client_secret={secret}&scope=scim+admin",
                Err(OAuthError::InvalidScope),
            ),
            ("grant_type=client_credentials&client_secret={secret}", invalid("client_id is missing")),
            ("grant_type=client_credentials", Err(OAuthError::InvalidClient)),
            ("grant_type=client_credentials&client_id={id}", Err(OAuthError::InvalidClient)),
            ("grant_type=client_credentials&client_id={id}&client_secret=", Err(OAuthError::InvalidClient)),
            ("grant_type=client_credentials&client_id={id}&client_secret=x", Err(OAuthError::InvalidClient)),
            ("grant_type=client_credentials&client_id=acme&client_secret={secret}", Err(OAuthError::InvalidClient)),
            ("grant_type=client_credentials&client_id={id}&client_secret={secret}&client_assertion=x", invalid(ways)),
            ("grant_type=client_credentials&client_assertion=x", invalid("client_assertion_type is missing")),
            ("grant_type=client_credentials&client_assertion_type={type}", invalid("client_assertion is missing")),
            ("grant_type=client_credentials&client_assertion_type=urn:x&client_assertion=x", Err(OAuthError::InvalidClient)),
            (
                "grant_type=client_credentials&client_assertion_type={type}&client_assertion=x&client_id=acme",
                Err(OAuthError::InvalidClient),
            ),
        ] {
            assert_eq!(fixture.read(None, form), refusal, "{form}");
        }
    }

    #[test]
    fn a_header_is_the_only_way_and_basic_or_nothing() {
        let fixture = Fixture::new();
        let grant = "grant_type=client_credentials";
        let bearer = HeaderValue::from_str(&fixture.fill("Bearer {secret}")).unwrap();

        for line in [
            bearer,
            HeaderValue::from_static("Basic"),
            fixture.basic("{id}"),
            fixture.basic("{id}:x"),
            fixture.basic("x:{secret}"),
        ] {
            assert_eq!(fixture.read(Some(line.clone()), grant), Err(OAuthError::InvalidClient), "{line:?}");
        }
        for more in ["client_secret={secret}", "client_assertion=x", "client_assertion_type={type}"] {
            let refused = fixture.read(Some(fixture.basic("{id}:{secret}")), &format!("{grant}&{more}"));
            assert!(matches!(refused, Err(OAuthError::InvalidRequest(_))), "{more}");
        }
        let other = fixture.read(Some(fixture.basic("{id}:{secret}")), "grant_type=client_credentials&client_id=acme.x");
        assert!(matches!(other, Err(OAuthError::InvalidRequest(_))));
    }

    #[test]
    fn a_body_that_says_it_is_no_form_is_not_read() {
        let fixture = Fixture::new();
        let body = fixture.fill("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        for kind in [None, Some("application/json"), Some("multipart/form-data"), Some("")] {
            let headers = kind.map(|kind| (header::CONTENT_TYPE, HeaderValue::from_static(kind))).into_iter().collect();
            let refused = TokenRequest::parse(&headers, body.as_bytes());
            assert!(matches!(refused, Err(OAuthError::InvalidRequest(_))), "{kind:?}");
        }
    }
}
