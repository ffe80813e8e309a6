//! The authorization response at the redirect URI (RFC 6749, section 4.1.2; RFC 9207): read strictly, since an attacker can
//! send a browser here with any query.

use std::fmt;

use url::form_urlencoded;

use super::{Excerpt, Metadata, Refusal};

const FORM_LIMIT: usize = 16 * 1024;
const VALUE_LIMIT: usize = 4096;

/// What the provider answered.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// A code, to be exchanged once.
    Code(String),
    /// An error code; the provider's prose is not kept.
    Error(Excerpt),
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(_) => f.write_str("Code(…)"),
            Self::Error(error) => write!(f, "Error({error})"),
        }
    }
}

/// A well-formed authorization response. Nothing in it is believed before its `state` has opened this browser's flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Callback {
    /// The state, to find this browser's flow by.
    pub state: String,
    /// The answer.
    pub answer: Answer,
    issuer: Option<String>,
}

impl Callback {
    /// Reads a query or a posted form. R68: a parameter that appears twice, or an answer that is both code and error, is refused.
    pub fn parse(form: &str) -> Result<Self, Refusal> {
        if form.len() > FORM_LIMIT {
            return Err(Refusal::CallbackMalformed("it is too long"));
        }
        let (mut state, mut code, mut error, mut issuer) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(form.as_bytes()) {
            let field = match name.as_ref() {
                "state" => &mut state,
                "code" => &mut code,
                "error" => &mut error,
                "iss" => &mut issuer,
                // What OAuth does not know is ignored (RFC 6749, section 4.1.2); array spellings must not be a second way in.
                other if other.contains('[') => return Err(Refusal::CallbackMalformed("a parameter is a list")),
                _ => continue,
            };
            if value.is_empty() || value.len() > VALUE_LIMIT || value.contains(|c: char| c.is_control() || c == '\u{fffd}') {
                return Err(Refusal::CallbackMalformed("a parameter is empty, too long or not text"));
            }
            if field.replace(value.into_owned()).is_some() {
                return Err(Refusal::CallbackMalformed("a parameter appears twice"));
            }
        }
        let state = state.ok_or(Refusal::CallbackMalformed("it has no state"))?;
        let answer = match (code, error) {
            (Some(code), None) => Answer::Code(code),
            (None, Some(error)) => Answer::Error(Excerpt::of(&error)),
            (Some(_), Some(_)) => return Err(Refusal::CallbackMalformed("it has both a code and an error")),
            (None, None) => return Err(Refusal::CallbackMalformed("it has neither a code nor an error")),
        };
        Ok(Self { state, answer, issuer })
    }

    /// The code, once the answer is known to come from the provider that was asked (RFC 9207, section 2.4).
    pub fn code_from(&self, metadata: &Metadata) -> Result<&str, Refusal> {
        match self.issuer.as_deref() {
            Some(issuer) if issuer != metadata.issuer => return Err(Refusal::ResponseIssuer(Excerpt::of(issuer))),
            None if metadata.response_issuer => return Err(Refusal::ResponseIssuerMissing),
            Some(_) | None => {}
        }
        match &self.answer {
            Answer::Code(code) => Ok(code),
            Answer::Error(error) => Err(Refusal::ProviderSaidNo(error.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(promises_issuer: bool) -> Metadata {
        let document = serde_json::json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/a",
            "token_endpoint": "https://idp.example/t",
            "jwks_uri": "https://idp.example/k",
            "authorization_response_iss_parameter_supported": promises_issuer,
        });
        Metadata::parse("https://idp.example", document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_code_is_read_and_what_is_unknown_is_ignored() {
        let callback = Callback::parse("code=a%2Bb&state=s&session_state=x&scope=openid+email").unwrap();

        assert_eq!((callback.state.as_str(), callback.code_from(&metadata(false))), ("s", Ok("a+b")));
    }

    #[test]
    fn p7_a_malformed_answer_is_refused() {
        let long = format!("code={}&state=s", "x".repeat(5000));
        for form in [
            "",
            "code=a",
            "state=s",
            "code=&state=s",
            "code=a&state=",
            "code=a&code=b&state=s",
            "code=a&state=s&state=s",
            "code=a&state=s&iss=x&iss=x",
            "code=a&error=access_denied&state=s",
            "error=a&error=b&state=s",
            "code[]=a&state=s",
            "code=a&state[0]=s",
            "code=a%00&state=s",
            "code=a&state=s%0d%0a",
            "code=%ff&state=s",
            &long,
            &"x".repeat(20_000),
        ] {
            assert_eq!(Callback::parse(form).map_err(|refusal| refusal.code()), Err("callback_malformed"), "{form:.60}");
        }
    }

    #[test]
    fn p8_an_answer_of_another_provider_is_refused() {
        let named = |issuer: &str| Callback::parse(&format!("code=a&state=s&iss={issuer}")).unwrap();
        let unnamed = Callback::parse("code=a&state=s").unwrap();

        assert_eq!(named("https://idp.example").code_from(&metadata(true)), Ok("a"));
        assert_eq!(unnamed.code_from(&metadata(true)), Err(Refusal::ResponseIssuerMissing));
        for other in ["https://evil.example", "https://idp.example/", "https://IDP.example"] {
            for promises in [true, false] {
                assert_eq!(named(other).code_from(&metadata(promises)), Err(Refusal::ResponseIssuer(Excerpt::of(other))));
            }
        }
    }

    #[test]
    fn r39_an_error_never_yields_a_code_and_keeps_no_prose() {
        let callback = Callback::parse("error=access_denied&error_description=%3Cscript%3E&state=s").unwrap();

        assert_eq!(callback.code_from(&metadata(false)), Err(Refusal::ProviderSaidNo(Excerpt::of("access_denied"))));
        assert!(!format!("{callback:?}").contains("script"));
    }
}
