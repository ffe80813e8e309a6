//! Judges an authorization request: RFC 6749, section 4.1.1, with PKCE (RFC 7636) required. Pure.

use serde::{Deserialize, Serialize};
use url::Url;

use super::client::Client;

/// The parameters as they arrive, by query or by form. A parameter that comes twice fails to parse, as RFC 6749, section
/// 3.1, demands.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
pub(super) struct Params {
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redirect_uri: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_challenge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_challenge_method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prompt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    login_hint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_uri: Option<String>,
}

impl Params {
    /// The same request, asked again in our own page: the person has chosen to choose.
    pub(super) fn choosing(&self) -> Self {
        Self { prompt: Some("select_account".to_owned()), login_hint: None, ..self.clone() }
    }
}

/// What the provider is to do before it may answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prompt {
    /// Ask only where nobody is signed in.
    AsNeeded,
    /// Never show a page.
    Never,
    /// Always ask who it is.
    Always,
}

/// Where an answer goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReturnTo {
    uri: Url,
    pub(super) registered: String,
    state: Option<String>,
}

/// A request that may be answered with a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) client_id: String,
    pub(super) return_to: ReturnTo,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
    pub(super) prompt: Prompt,
    pub(super) login_hint: Option<String>,
    pub(super) max_age: Option<i64>,
}

/// Why there is no code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// RFC 6749, section 4.1.2.1: such a request must not be redirected anywhere, or we would be an open redirector.
    Page(&'static str),
    /// The client is told.
    Redirect(Box<ReturnTo>, &'static str, &'static str),
}

impl Request {
    pub(super) fn judge(params: &Params, client: &Client) -> Result<Self, Refusal> {
        let return_to = ReturnTo::judge(params, client)?;
        match Self::judge_rest(params, &return_to) {
            Ok(request) => Ok(request),
            Err((error, why)) => Err(Refusal::Redirect(Box::new(return_to), error, why)),
        }
    }

    fn judge_rest(params: &Params, return_to: &ReturnTo) -> Result<Self, (&'static str, &'static str)> {
        if params.request.is_some() {
            return Err(("request_not_supported", "request objects are not supported"));
        }
        if params.request_uri.is_some() {
            return Err(("request_uri_not_supported", "request objects are not supported"));
        }
        if params.response_type.as_deref() != Some("code") {
            return Err(("unsupported_response_type", "response_type must be code"));
        }
        if !matches!(params.response_mode.as_deref(), None | Some("query")) {
            return Err(("invalid_request", "response_mode must be query"));
        }
        if !params.scope.as_deref().unwrap_or_default().split(' ').any(|scope| scope == "openid") {
            return Err(("invalid_scope", "scope must contain openid"));
        }
        Ok(Self {
            client_id: params.client_id.clone().unwrap_or_default(),
            return_to: return_to.clone(),
            nonce: params.nonce.clone(),
            challenge: challenge(params)?,
            prompt: prompt(params.prompt.as_deref())?,
            login_hint: params.login_hint.clone(),
            max_age: max_age(params.max_age.as_deref())?,
        })
    }
}

impl ReturnTo {
    fn judge(params: &Params, client: &Client) -> Result<Self, Refusal> {
        if params.client_id.as_deref() != Some(client.id.as_str()) {
            return Err(Refusal::Page("The application is not known here."));
        }
        let given = params.redirect_uri.as_deref().unwrap_or_default();
        // RFC 9700, section 2.1: exact string matching, or a code can be stolen through a look-alike.
        let registered = client.redirect_uris.iter().find(|uri| *uri == given);
        let registered =
            registered.ok_or(Refusal::Page("The application asked to be answered at an address that is not registered."))?;
        let uri = Url::parse(registered).map_err(|_| Refusal::Page("The application's registered address cannot be used."))?;
        Ok(Self { uri, registered: registered.clone(), state: params.state.clone() })
    }

    /// Builds the answer's URL; RFC 9207: with `iss`, so that the client can tell providers apart.
    pub(super) fn with(&self, issuer: &str, answer: &[(&str, &str)]) -> String {
        let mut uri = self.uri.clone();
        {
            let mut query = uri.query_pairs_mut();
            query.extend_pairs(answer);
            if let Some(state) = &self.state {
                query.append_pair("state", state);
            }
            query.append_pair("iss", issuer);
        }
        uri.into()
    }
}

fn challenge(params: &Params) -> Result<String, (&'static str, &'static str)> {
    if params.code_challenge_method.as_deref() != Some("S256") {
        return Err(("invalid_request", "PKCE with code_challenge_method S256 is required"));
    }
    let challenge = params.code_challenge.clone().unwrap_or_default();
    let is_sha256 = challenge.len() == 43 && challenge.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    is_sha256.then_some(challenge).ok_or(("invalid_request", "code_challenge must be 43 characters of base64url"))
}

fn prompt(prompt: Option<&str>) -> Result<Prompt, (&'static str, &'static str)> {
    let words: Vec<&str> = prompt.unwrap_or_default().split(' ').filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [] => Ok(Prompt::AsNeeded),
        ["none"] => Ok(Prompt::Never),
        words if words.contains(&"none") => Err(("invalid_request", "prompt none stands alone")),
        words if words.contains(&"login") || words.contains(&"select_account") => Ok(Prompt::Always),
        _ => Ok(Prompt::AsNeeded),
    }
}

fn max_age(max_age: Option<&str>) -> Result<Option<i64>, (&'static str, &'static str)> {
    let Some(text) = max_age else { return Ok(None) };
    let seconds = text.parse().ok().filter(|seconds| *seconds >= 0);
    seconds.map(Some).ok_or(("invalid_request", "max_age must be a number of seconds"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Client {
        Client { redirect_uris: vec!["https://rp.example/callback/acme?x=1".into()], ..Client::new("lockstep").unwrap() }
    }

    fn good() -> Params {
        Params {
            client_id: Some("lockstep".into()),
            redirect_uri: Some("https://rp.example/callback/acme?x=1".into()),
            response_type: Some("code".into()),
            scope: Some("email openid".into()),
            state: Some("s&t".into()),
            code_challenge: Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".into()),
            code_challenge_method: Some("S256".into()),
            ..Params::default()
        }
    }

    #[test]
    fn an_answer_keeps_the_registered_query_and_names_the_issuer() {
        let request = Request::judge(&good(), &client()).unwrap();

        let answer = request.return_to.with("http://idp", &[("code", "c")]);

        assert_eq!(answer, "https://rp.example/callback/acme?x=1&code=c&state=s%26t&iss=http%3A%2F%2Fidp");
    }

    #[test]
    fn a_request_that_cannot_be_trusted_is_never_redirected() {
        let uris = [
            "https://rp.example/callback/acme",
            "https://rp.example/callback/acme?x=1#",
            "https://RP.example/callback/acme?x=1",
            "",
        ];
        for uri in uris {
            let params = Params { redirect_uri: Some(uri.into()), ..good() };
            assert!(matches!(Request::judge(&params, &client()), Err(Refusal::Page(_))), "{uri}");
        }

        let params = Params { client_id: Some("other".into()), ..good() };
        assert!(matches!(Request::judge(&params, &client()), Err(Refusal::Page(_))));
    }

    #[test]
    fn what_is_not_the_code_flow_with_s256_is_refused() {
        let some = |text: &str| Some(text.to_owned());
        let cases = [
            (Params { response_type: some("code id_token"), ..good() }, "unsupported_response_type"),
            (Params { response_type: None, ..good() }, "unsupported_response_type"),
            (Params { response_mode: some("fragment"), ..good() }, "invalid_request"),
            (Params { scope: some("email"), ..good() }, "invalid_scope"),
            (Params { code_challenge_method: some("plain"), ..good() }, "invalid_request"),
            (Params { code_challenge_method: None, ..good() }, "invalid_request"),
            (Params { code_challenge: None, ..good() }, "invalid_request"),
            (Params { code_challenge: some("short"), ..good() }, "invalid_request"),
            (Params { prompt: some("none login"), ..good() }, "invalid_request"),
            (Params { max_age: some("-1"), ..good() }, "invalid_request"),
            (Params { request: some("ey"), ..good() }, "request_not_supported"),
            (Params { request_uri: some("https://x"), ..good() }, "request_uri_not_supported"),
        ];
        for (params, expected) in cases {
            match Request::judge(&params, &client()) {
                Err(Refusal::Redirect(_, error, _)) => assert_eq!(error, expected, "{params:?}"),
                other => panic!("{params:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn prompts_are_understood() {
        let read = |words: &str| Request::judge(&Params { prompt: Some(words.into()), ..good() }, &client()).unwrap().prompt;
        assert_eq!(read("none"), Prompt::Never);
        assert_eq!(read("login consent"), Prompt::Always);
        assert_eq!(read("select_account"), Prompt::Always);
        assert_eq!(read("consent"), Prompt::AsNeeded);
    }
}
