//! The authentication request (OpenID Connect Core, section 3.1.2.1): code flow, PKCE S256, state and nonce, always.

use std::{fmt, time::Duration};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lockstep_shared::secret::{self, SecretError};
use url::Url;

use super::Metadata;

/// Without more scopes than the sign-in needs (RFC 9700, section 2.3).
const SCOPE: &str = "openid profile email";
const HINT_LIMIT: usize = 256;

/// The secret of one code flow and its challenge (RFC 7636).
pub struct Pkce {
    verifier: String,
}

impl fmt::Debug for Pkce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pkce(…)")
    }
}

impl Pkce {
    /// Draws a new verifier of 256 bits.
    pub fn new() -> Result<Self, SecretError> {
        Ok(Self { verifier: secret::random_text()? })
    }

    /// The verifier, for the browser's sealed cookie alone.
    #[must_use]
    pub fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The S256 challenge.
    #[must_use]
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.verifier.as_bytes()))
    }
}

/// What the provider should ask of the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Authenticate again.
    Login,
    /// Let the person pick an account.
    SelectAccount,
    /// Show nothing; answer with an error where something would have to be shown.
    None,
}

impl Prompt {
    fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::SelectAccount => "select_account",
            Self::None => "none",
        }
    }
}

/// One request to sign somebody in.
#[derive(Debug, Clone, Copy)]
pub struct Authorization<'a> {
    /// The connection's client id.
    pub client_id: &'a str,
    /// The connection's own redirect URI: one per connection is the defence against mix-up (RFC 9700, section 4.4).
    pub redirect_uri: &'a str,
    /// Binds the answer to this browser.
    pub state: &'a str,
    /// Binds the ID token to this sign-in.
    pub nonce: &'a str,
    /// The code flow's secret.
    pub pkce: &'a Pkce,
    /// How long ago the person may have authenticated.
    pub max_age: Option<Duration>,
    /// What to ask of the person.
    pub prompt: Option<Prompt>,
    /// Who is probably signing in; left out where it is no short printable text.
    pub login_hint: Option<&'a str>,
}

impl Authorization<'_> {
    /// The URL to send the browser to. What the endpoint's own query holds is kept.
    #[must_use]
    pub fn url(&self, metadata: &Metadata) -> Url {
        let mut url = metadata.authorization_endpoint.clone();
        let mut query = url.query_pairs_mut();
        query
            .append_pair("response_type", "code")
            .append_pair("client_id", self.client_id)
            .append_pair("redirect_uri", self.redirect_uri)
            .append_pair("scope", SCOPE)
            .append_pair("state", self.state)
            .append_pair("nonce", self.nonce)
            .append_pair("code_challenge", &self.pkce.challenge())
            .append_pair("code_challenge_method", "S256");
        if let Some(max_age) = self.max_age {
            query.append_pair("max_age", &max_age.as_secs().to_string());
        }
        if let Some(prompt) = self.prompt {
            query.append_pair("prompt", prompt.as_str());
        }
        if let Some(hint) = self.login_hint.filter(|hint| is_hint(hint)) {
            query.append_pair("login_hint", hint);
        }
        drop(query);
        url
    }
}

fn is_hint(text: &str) -> bool {
    (1..=HINT_LIMIT).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn metadata() -> Metadata {
        let document = serde_json::json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/authorize?realm=a",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/jwks",
        });
        Metadata::parse("https://idp.example", document.to_string().as_bytes()).unwrap()
    }

    fn query(request: &Authorization<'_>) -> BTreeMap<String, String> {
        let url = request.url(&metadata());
        let pairs: Vec<_> = url.query_pairs().into_owned().collect();
        let map: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(map.len(), pairs.len(), "no parameter twice");
        map
    }

    #[test]
    fn r20_a_request_is_code_flow_with_s256_state_and_nonce() {
        let pkce = Pkce { verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into() };
        let request = Authorization {
            client_id: "client & co",
            redirect_uri: "https://gate.example/callback/acme",
            state: "s",
            nonce: "n",
            pkce: &pkce,
            max_age: Some(Duration::from_hours(1)),
            prompt: Some(Prompt::Login),
            login_hint: Some("anna+x@company.com"),
        };

        let query = query(&request);

        let expected = [
            ("realm", "a"),
            ("response_type", "code"),
            ("client_id", "client & co"),
            ("redirect_uri", "https://gate.example/callback/acme"),
            ("scope", "openid profile email"),
            ("state", "s"),
            ("nonce", "n"),
            // RFC 7636, appendix B.
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            ("code_challenge_method", "S256"),
            ("max_age", "3600"),
            ("prompt", "login"),
            ("login_hint", "anna+x@company.com"),
        ];
        assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    }

    #[test]
    fn an_absurd_login_hint_is_left_out() {
        let pkce = Pkce::new().unwrap();
        let long = "x".repeat(257);
        for hint in ["", "a\r\nb", "\u{0}", long.as_str()] {
            let request = Authorization {
                client_id: "c",
                redirect_uri: "https://gate.example/callback/acme",
                state: "s",
                nonce: "n",
                pkce: &pkce,
                max_age: None,
                prompt: None,
                login_hint: Some(hint),
            };
            assert!(!query(&request).contains_key("login_hint"), "{hint:?}");
        }
    }

    #[test]
    fn every_flow_has_its_own_verifier() {
        let (a, b) = (Pkce::new().unwrap(), Pkce::new().unwrap());

        assert_ne!(a.verifier(), b.verifier());
        assert_eq!(a.verifier().len(), 43);
        assert!(!format!("{a:?}").contains(a.verifier()));
    }
}
