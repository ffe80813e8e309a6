//! Why a client is granted no token, for those who can mend it: a line for the operator, and a sentence for the workspace's log that
//! an admin can act on. The client itself hears less: see [`OAuthError`]. No secret and nothing of an assertion that is not needed
//! to mend it is in either.

use std::time::Duration;

use lockstep_shared::{
    jose::TokenError,
    model::{
        oauth_client::{AssertionTrust, ClientProof, OAuthClient},
        provisioning::Outcome,
    },
    store::{NotGranted, StoreError},
};

use super::{assertion::NotBelieved, error::OAuthError, keys::KeysError};
use crate::journal::NoToken;

/// A longer name of a key is no honest one.
const KEY_ID_SHOWN: usize = 64;

/// Why a client is granted no token.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// Nobody is known by that name.
    #[error("there is no such client")]
    Unknown,
    /// More than the pace of one client.
    #[error("it asks too often")]
    TooOften(Duration),
    /// Revoked before, or meanwhile.
    #[error("it is revoked")]
    Revoked,
    /// Another secret.
    #[error("its secret is another")]
    Secret,
    /// A client with a secret showed an assertion.
    #[error("it has a secret and showed an assertion")]
    NotByAssertion,
    /// A client without a secret showed one.
    #[error("it has no secret and showed one")]
    NotBySecret,
    /// The assertion names a key that its issuer does not publish.
    #[error("no usable key of the key set matches it")]
    KeyUnknown {
        /// The key, as the assertion names it.
        named: Option<String>,
    },
    /// The assertion is not the client's, not for us or not for now.
    #[error(transparent)]
    NotBelieved(NotBelieved),
    /// The assertion has been shown before.
    #[error("the assertion was used before")]
    Replayed,
    /// The issuer's keys are not to be had.
    #[error(transparent)]
    Keys(KeysError),
    /// The workspace may not be provisioned.
    #[error("{0}")]
    Closed(&'static str),
    /// The database is away, or the defect is ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<NotGranted> for Refusal {
    fn from(why: NotGranted) -> Self {
        match why {
            NotGranted::Revoked => Self::Revoked,
            NotGranted::Replayed => Self::Replayed,
        }
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::NotBelieved(error.into())
    }
}

impl Refusal {
    /// What the client hears of it.
    pub(super) fn into_error(self) -> OAuthError {
        match self {
            Self::TooOften(wait) => OAuthError::too_often(wait),
            Self::Keys(_) => OAuthError::Unavailable,
            Self::Closed(why) => OAuthError::UnauthorizedClient(why),
            Self::Store(error) => error.into(),
            Self::Unknown
            | Self::Revoked
            | Self::Secret
            | Self::NotByAssertion
            | Self::NotBySecret
            | Self::KeyUnknown { .. }
            | Self::NotBelieved(_)
            | Self::Replayed => OAuthError::InvalidClient,
        }
    }

    /// What the workspace's log says of it. Somebody unknown is named by nothing, since anybody could be.
    pub(super) fn told(&self, client: Option<&OAuthClient>, token_url: &str) -> NoToken {
        let (verdict, status, outcome) = match self {
            Self::Store(error) if !error.is_transient() => ("was not carried out", 500, Outcome::Failed),
            Self::Store(_) | Self::Keys(_) => ("was not carried out", 503, Outcome::Failed),
            Self::TooOften(_) => ("was refused", 429, Outcome::Refused),
            Self::Closed(_) => ("was refused", 400, Outcome::Refused),
            Self::Unknown
            | Self::Revoked
            | Self::Secret
            | Self::NotByAssertion
            | Self::NotBySecret
            | Self::KeyUnknown { .. }
            | Self::NotBelieved(_)
            | Self::Replayed => ("was refused", 401, Outcome::Refused),
        };
        let whom = client.map_or_else(|| "a client that is not there".to_owned(), |client| format!("client {}", client.id));
        let trust = client.and_then(|client| match &client.proof {
            ClientProof::Assertion(trust) => Some(trust),
            ClientProof::Secret { .. } => None,
        });
        let sentence = format!("asked for a token as {whom}, which {verdict}: {}", self.cause(trust, token_url));
        NoToken { kind: self.kind(), status, outcome, sentence }
    }

    /// One word for it.
    fn kind(&self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::TooOften(_) => "too_often",
            Self::Revoked => "revoked",
            Self::Secret => "secret",
            Self::NotByAssertion => "not_by_assertion",
            Self::NotBySecret => "not_by_secret",
            Self::KeyUnknown { .. } => "key_unknown",
            Self::NotBelieved(why) => kind_of(why),
            Self::Replayed => "replayed",
            Self::Keys(_) => "keys",
            Self::Closed(_) => "closed",
            Self::Store(_) => "store",
        }
    }

    /// Why, and what to do about it.
    fn cause(&self, trust: Option<&AssertionTrust>, token_url: &str) -> String {
        let keys = trust.map_or("its address", |trust| trust.jwks_url.as_str());
        match self {
            Self::Unknown => {
                "copy the client id from `oauth-client list WORKSPACE` into the identity provider, or add a client with \
                              `oauth-client add WORKSPACE`"
                    .to_owned()
            }
            Self::TooOften(_) => {
                "it asks all the time; nothing has to be done if that passes: a token is good for an hour or more, and \
                                  the client is to use it until then"
                    .to_owned()
            }
            Self::Revoked => {
                "the client is revoked; add another with `oauth-client add WORKSPACE` and give the identity provider its \
                              id and secret"
                    .to_owned()
            }
            Self::Secret => {
                "the secret is another; put the one that `oauth-client add` showed into the identity provider, or add \
                             another client with `oauth-client add WORKSPACE`"
                    .to_owned()
            }
            Self::NotByAssertion => {
                "the client has a secret, and an assertion was shown; let the identity provider show the secret, or \
                                     add a client with `oauth-client add WORKSPACE --jwks-url URL`"
                    .to_owned()
            }
            Self::NotBySecret => {
                "the client has no secret, and one was shown; let the identity provider show an assertion, or add a \
                                  client with `oauth-client add WORKSPACE`"
                    .to_owned()
            }
            Self::KeyUnknown { named } => format!(
                "the client assertion's key{} is not in the key set at {keys}: has the provider rotated its keys? The set is asked \
                 for again every half-minute; if this lasts, the keys are another issuer's: add a client with `oauth-client add \
                 WORKSPACE --jwks-url URL`",
                named.as_deref().and_then(shown_key).unwrap_or_default()
            ),
            Self::NotBelieved(why) => disbelief(why, trust, token_url),
            Self::Replayed => {
                "the client assertion was shown before; let the client make a new one, with its own jti, for each token \
                               that it asks for"
                    .to_owned()
            }
            Self::Keys(error) => format!(
                "the keys of the client's issuer are not to be had at {keys}: {error}; see that they are, and nothing else has to be \
                 done: the client asks again"
            ),
            Self::Closed(why) => {
                format!("{why}; run `log explain WORKSPACE accounts-not-created`, which tells the command that opens it")
            }
            Self::Store(error) if error.is_transient() => {
                "the database did not answer in time; nothing has to be done, the client asks again".to_owned()
            }
            Self::Store(_) => "an error of Lockstep itself: its operator finds it in the provisioner's own log".to_owned(),
        }
    }
}

/// One word for why an assertion is not believed.
fn kind_of(why: &NotBelieved) -> &'static str {
    match why {
        NotBelieved::Token(TokenError::Signature) => "signature",
        NotBelieved::Token(_) => "malformed",
        NotBelieved::Class(_) => "class",
        NotBelieved::Claim(_) => "claim",
        NotBelieved::Issuer(_) => "issuer",
        NotBelieved::KeyOfOtherIssuer => "key_of_other_issuer",
        NotBelieved::Subject(_) => "subject",
        NotBelieved::Audience(_) => "audience",
        NotBelieved::Expired => "expired",
        NotBelieved::NotYetValid => "not_yet_valid",
        NotBelieved::TooLong => "too_long",
    }
}

/// Why an assertion is not believed, and what to do about it. What it claims is shown only where its signature was good.
fn disbelief(why: &NotBelieved, trust: Option<&AssertionTrust>, token_url: &str) -> String {
    let of = |part: fn(&AssertionTrust) -> &str| trust.map(part).unwrap_or_default();
    let another = |option: &str| format!("if that is right, add another client with `oauth-client add WORKSPACE {option}`");
    match why {
        NotBelieved::Token(TokenError::Signature) => format!(
            "the client assertion's signature is not by the key of that name at {}; if the issuer's keys are elsewhere, add another \
             client with `oauth-client add WORKSPACE --jwks-url URL`",
            of(|trust| &trust.jwks_url)
        ),
        NotBelieved::Token(_) | NotBelieved::Class(_) | NotBelieved::Claim(_) => {
            format!("the client assertion is not one that is accepted: {}; tell the vendor of the client", plain(why))
        }
        NotBelieved::Issuer(shown) => format!(
            "the client assertion's issuer is {shown}, and the client was added with \"{}\"; {}",
            of(|trust| &trust.issuer),
            another("--issuer ISSUER")
        ),
        NotBelieved::KeyOfOtherIssuer => {
            format!("the key that signed the client assertion belongs to another issuer; {}", another("--issuer ISSUER"))
        }
        NotBelieved::Subject(shown) => format!(
            "the client assertion's subject is {shown}, and the client was added with \"{}\"; {}",
            of(|trust| &trust.subject),
            another("--subject SUBJECT")
        ),
        NotBelieved::Audience(shown) => format!(
            "the client assertion's audience is {shown}, and expected is \"{}\" alone; set it so at the identity provider, or {}",
            trust.and_then(|trust| trust.audience.as_deref()).unwrap_or(token_url),
            another("--audience AUDIENCE")
        ),
        NotBelieved::Expired => {
            "the client assertion has expired; compare the clocks of the client and of this server".to_owned()
        }
        NotBelieved::NotYetValid => {
            "the client assertion is not valid yet; compare the clocks of the client and of this server".to_owned()
        }
        NotBelieved::TooLong => {
            "the client assertion is valid for longer than a day; let the identity provider make them for an hour".to_owned()
        }
    }
}

/// What is wrong with a token, without what it says in the places that a stranger can fill.
fn plain(why: &NotBelieved) -> String {
    match why {
        NotBelieved::Token(TokenError::DuplicateMember(_)) => "it has a member twice".to_owned(),
        NotBelieved::Token(TokenError::AlgorithmNotAllowed(_)) => "it is not signed with an asymmetric algorithm".to_owned(),
        why => why.to_string(),
    }
}

/// The name of a key if it looks like one: anybody may have written it.
fn shown_key(named: &str) -> Option<String> {
    let is_one = (1..=KEY_ID_SHOWN).contains(&named.len())
        && named.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~:/+=".contains(&byte));
    is_one.then(|| format!(" \"{named}\""))
}

/// What the log says of a token request that could not be read.
pub(super) fn of_malformed(error: &OAuthError) -> NoToken {
    let cause = match error {
        OAuthError::InvalidClient => {
            "it showed nothing that could be a client's; put the client id and the secret, as `oauth-client \
                                      add` showed them, into the identity provider"
                .to_owned()
        }
        OAuthError::UnsupportedGrantType => format!("{error}; choose client credentials at the identity provider"),
        OAuthError::InvalidScope => format!("{error}; set that one, or none, at the identity provider"),
        error => format!("{error}; tell the vendor of the client"),
    };
    let (status, kind) = error.parts();
    let sentence = format!("asked for a token, which was refused: {cause}");
    NoToken { kind, status: status.as_u16(), outcome: Outcome::Refused, sentence }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{
        clock::Timestamp,
        id::{OAuthClientId, WorkspaceId},
        jose::Excerpt,
    };

    use super::*;

    fn client() -> OAuthClient {
        let workspace = WorkspaceId::parse("acme").unwrap();
        let trust = AssertionTrust {
            issuer: "https://issuer.example".to_owned(),
            jwks_url: "https://issuer.example/keys".to_owned(),
            subject: "s".to_owned(),
            audience: None,
        };
        OAuthClient {
            id: OAuthClientId::random(&workspace),
            workspace,
            proof: ClientProof::Assertion(trust),
            token_lifetime: Duration::from_hours(1),
            created_at: Timestamp(0),
            last_used_at: None,
            revoked_at: None,
        }
    }

    fn of_each_kind() -> Vec<Refusal> {
        let excerpt = || Excerpt::of("made up");
        let disbelief = [
            NotBelieved::Token(TokenError::Signature),
            NotBelieved::Token(TokenError::AlgorithmNotAllowed(excerpt())),
            NotBelieved::Token(TokenError::DuplicateMember(excerpt())),
            NotBelieved::Class("x"),
            NotBelieved::Claim("exp"),
            NotBelieved::KeyOfOtherIssuer,
            NotBelieved::Expired,
            NotBelieved::NotYetValid,
            NotBelieved::TooLong,
        ];
        let claimed = [NotBelieved::Issuer, NotBelieved::Subject, NotBelieved::Audience].map(|claimed| claimed(excerpt()));
        let others = [
            Refusal::Unknown,
            Refusal::TooOften(Duration::ZERO),
            Refusal::Revoked,
            Refusal::Secret,
            Refusal::NotByAssertion,
            Refusal::NotBySecret,
            Refusal::KeyUnknown { named: None },
            Refusal::Replayed,
            Refusal::Keys(KeysError::Unreachable("no connection".to_owned())),
            Refusal::Closed("x"),
            Refusal::Store(StoreError::NotFound("x")),
        ];
        disbelief.into_iter().chain(claimed).map(Refusal::NotBelieved).chain(others).collect()
    }

    #[test]
    fn every_refusal_says_what_to_do() {
        const DEEDS: [&str; 9] = [
            "oauth-client add",
            "compare the clocks",
            "tell the vendor",
            "nothing has to be done",
            "nothing else has to be done",
            "let the client",
            "let the identity provider",
            "log explain",
            "its operator",
        ];

        for refusal in of_each_kind() {
            let NoToken { sentence, .. } = refusal.told(Some(&client()), "https://scim.example/oauth2/token");
            assert!(DEEDS.iter().any(|deed| sentence.contains(deed)), "{sentence}");
            assert!(!sentence.ends_with(['.', ';', ':', ' ']), "{sentence}");
        }
    }

    #[test]
    fn the_log_and_the_answer_have_one_status() {
        for refusal in of_each_kind() {
            let status = refusal.told(Some(&client()), "").status;
            assert_eq!(refusal.into_error().parts().0.as_u16(), status);
        }
    }

    #[test]
    fn what_comes_before_a_good_signature_is_shown_by_nobody() {
        let unsigned = of_each_kind()
            .into_iter()
            .filter(|refusal| matches!(refusal, Refusal::NotBelieved(NotBelieved::Token(_)) | Refusal::KeyUnknown { .. }));
        for refusal in unsigned {
            assert!(!refusal.told(Some(&client()), "").sentence.contains("made up"));
        }
        assert_eq!(shown_key("key-1_a.b:c/+=").as_deref(), Some(" \"key-1_a.b:c/+=\""));
        for odd in ["", "two words", "a\nb", "a\"b", "é", &"x".repeat(KEY_ID_SHOWN + 1)] {
            assert_eq!(shown_key(odd), None, "{odd}");
        }
    }
}
