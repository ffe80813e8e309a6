//! Why an answer of a provider was not believed: one variant per check, each with a stable code and a sentence for the log of
//! the workspace's admin. None of it is shown to the person who signs in.

use lockstep_shared::jose::{Excerpt, TokenError};

macro_rules! refusals {
    ($($(#[$doc:meta])* $variant:ident $(($field:ty))? = $code:literal, $sentence:literal;)*) => {
        /// The check that refused.
        #[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
        pub enum Refusal {
            $($(#[$doc])* #[error($sentence)] $variant $(($field))?,)*
        }

        impl Refusal {
            /// The stable name of the check, for logs, metrics and tests.
            #[must_use]
            pub fn code(&self) -> &'static str {
                match self {
                    $(refusals!(@pattern $variant $(($field))?) => $code,)*
                }
            }
        }

        #[cfg(test)]
        const CODES: &[&str] = &[$($code),*];
    };
    (@pattern $variant:ident ($field:ty)) => { Self::$variant(_) };
    (@pattern $variant:ident) => { Self::$variant };
}

refusals! {
    /// A parameter of the callback appeared twice, or none that makes an answer.
    CallbackMalformed(&'static str) = "callback_malformed", "the provider's answer is not a valid authorization response: {0}";
    /// RFC 6749, section 4.1.2.1: the provider said no.
    ProviderSaidNo(Excerpt) = "provider_said_no", "the provider refused the sign-in with the error {0}";
    /// RFC 9207: the answer names another provider (mix-up).
    ResponseIssuer(Excerpt) = "response_issuer_mismatch", "the answer says that it comes from the issuer {0}, which is not the one that was asked";
    /// RFC 9207: the provider promised an `iss` parameter and the answer has none.
    ResponseIssuerMissing = "response_issuer_missing", "the provider's metadata promises an iss parameter in its answers and this one has none";
    /// Over the size that any honest token has.
    TokenTooLarge = "token_too_large", "the ID token is larger than 64 KiB";
    /// Not a compact JWS of three base64url parts with JSON objects inside.
    TokenMalformed(&'static str) = "token_malformed", "the ID token is malformed: {0}";
    /// A JSON member appears twice: two readers would see two different tokens.
    TokenDuplicateMember(Excerpt) = "token_duplicate_member", "the ID token has the member {0} twice";
    /// A JWE.
    TokenEncrypted = "token_encrypted", "the ID token is encrypted, which Lockstep does not support: switch ID token encryption off at the provider";
    /// `alg` is `none` in any spelling.
    TokenUnsigned = "token_unsigned", "the ID token is not signed (alg is none)";
    /// An algorithm that is symmetric, unknown or not in the provider's metadata.
    AlgorithmNotAllowed(Excerpt) = "algorithm_not_allowed", "the ID token is signed with {0}, which is not an asymmetric algorithm that the provider's metadata announces";
    /// RFC 8725, section 3.11: a token of another class.
    TokenClass(&'static str) = "token_class", "the token is not an ID token: {0}";
    /// RFC 7515, section 4.1.11, and RFC 7797.
    CriticalHeader = "critical_header", "the ID token's header asks for an extension (crit, b64, zip or cty) that is not supported";
    /// A key identifier that is no short text.
    KeyIdMalformed = "key_id_malformed", "the ID token's kid is not a text of at most 256 characters";
    /// No key of the provider's set has this `kid`; it may have rotated.
    KeyUnknown = "key_unknown", "no usable key in the provider's key set matches the ID token: if keys were just rotated this mends itself within 30 seconds";
    /// The named key is not for this algorithm.
    KeyMismatch = "key_mismatch", "the key that the ID token names is not for the algorithm that it is signed with";
    /// Several keys fit.
    KeyAmbiguous = "key_ambiguous", "several keys of the provider's key set fit the ID token: it needs a kid, and each key its own";
    /// Entra marks keys with the issuer they may sign for.
    KeyOfOtherIssuer = "key_of_other_issuer", "the key that signed the ID token belongs to another issuer";
    /// The signature does not verify.
    Signature = "signature_invalid", "the ID token's signature is not valid";
    /// A claim has the wrong type.
    ClaimMalformed(&'static str) = "claim_malformed", "the claim {0} of the ID token has a wrong type or value";
    /// A required claim is absent.
    ClaimMissing(&'static str) = "claim_missing", "the ID token has no {0} claim";
    /// `iss` is not exactly the configured issuer.
    Issuer(Excerpt) = "issuer_mismatch", "the ID token is from the issuer {0}, which is not exactly the connection's issuer";
    /// `aud` does not contain our client id.
    Audience = "audience_mismatch", "the ID token is not meant for this connection: its aud does not contain the connection's client id";
    /// `aud` has an entry that nobody vouched for.
    ExtraAudience(Excerpt) = "audience_untrusted", "the ID token is also meant for {0}, which is not a trusted audience of this connection";
    /// Several audiences and no `azp`, or another's.
    AuthorizedParty = "authorized_party_mismatch", "the ID token's azp claim is not the connection's client id";
    /// Past its end.
    Expired = "expired", "the ID token has expired: compare the clocks of the provider and of this machine";
    /// Before its `nbf`.
    NotYetValid = "not_yet_valid", "the ID token is not valid yet: compare the clocks of the provider and of this machine";
    /// `iat` lies ahead.
    IssuedInFuture = "issued_in_future", "the ID token was issued in the future: compare the clocks of the provider and of this machine";
    /// Issued long before the callback.
    IssuedTooLongAgo = "issued_too_long_ago", "the ID token was issued more than ten minutes ago";
    /// The nonce is not the one of this sign-in.
    Nonce = "nonce_mismatch", "the ID token belongs to another sign-in: its nonce is not the one that was sent";
    /// A refreshed token speaks of somebody else.
    Subject = "subject_mismatch", "the refreshed ID token is about another subject";
    /// The person authenticated longer ago than `max_age` allows.
    AuthenticationTooOld = "authentication_too_old", "the person authenticated at the provider longer ago than the workspace allows";
    /// Entra: `tid` is not the tenant of the issuer.
    Tenant = "tenant_mismatch", "the ID token's tid claim is not the tenant in the connection's issuer";
    /// OpenID Connect Core, section 3.1.3.6.
    AccessTokenHash = "access_token_hash_mismatch", "the ID token's at_hash does not belong to the access token beside it";
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::TooLarge => Self::TokenTooLarge,
            TokenError::Malformed(why) => Self::TokenMalformed(why),
            TokenError::DuplicateMember(name) => Self::TokenDuplicateMember(name),
            TokenError::Encrypted => Self::TokenEncrypted,
            TokenError::Unsigned => Self::TokenUnsigned,
            TokenError::AlgorithmNotAllowed(name) => Self::AlgorithmNotAllowed(name),
            TokenError::CriticalHeader => Self::CriticalHeader,
            TokenError::KeyIdMalformed => Self::KeyIdMalformed,
            TokenError::KeyUnknown => Self::KeyUnknown,
            TokenError::KeyMismatch => Self::KeyMismatch,
            TokenError::KeyAmbiguous => Self::KeyAmbiguous,
            TokenError::Signature => Self::Signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_own_code() {
        let mut codes = CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();

        assert_eq!(codes.len(), CODES.len());
    }
}
