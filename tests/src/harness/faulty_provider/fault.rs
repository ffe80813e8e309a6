//! Every way in which the faulty provider can misbehave, one at a time.

/// One fault of a provider.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    // The ID token's claims.
    /// `iss` is another provider.
    WrongIssuer,
    /// `iss` has a slash at its end.
    IssuerWithSlash,
    /// `iss` is missing.
    MissingIssuer,
    /// `aud` is another client.
    WrongAudience,
    /// `aud` is missing.
    MissingAudience,
    /// `aud` begins with our client id and goes on.
    AudiencePrefix,
    /// `aud` has a second, unknown client, and there is no `azp`.
    ExtraAudience,
    /// `aud` has a second, unknown client, and `azp` is us.
    ExtraAudienceWithAzp,
    /// `azp` is another client.
    WrongAzp,
    /// `nonce` is another sign-in's.
    WrongNonce,
    /// `nonce` is missing.
    MissingNonce,
    /// `sub` is missing.
    MissingSubject,
    /// `sub` is empty.
    EmptySubject,
    /// `sub` is a number.
    NumericSubject,
    /// `sub` is longer than the 255 characters that it may have.
    LongSubject,
    /// `sub` is there twice, with different values.
    DuplicateSubject,
    /// `exp` was an hour ago.
    Expired,
    /// `exp` is missing.
    MissingExpiry,
    /// `exp` is a string.
    TextExpiry,
    /// `exp` is negative.
    NegativeExpiry,
    /// `nbf` is in an hour.
    NotYetValid,
    /// `iat` is in an hour.
    IssuedInFuture,
    /// `iat` was a day ago, though `exp` is still to come.
    IssuedLongAgo,
    /// `iat` is missing.
    MissingIssuedAt,
    /// `at_hash` belongs to another access token.
    WrongAccessTokenHash,

    // The ID token's signature and header.
    /// The signature is another key's.
    WrongSignature,
    /// The signature is cut off, the dot stays.
    EmptySignature,
    /// `alg` is `none`, without a signature.
    AlgNone,
    /// `alg` is `nOnE`, without a signature.
    AlgNoneMixedCase,
    /// `alg` is `none`, with the right signature.
    AlgNoneSigned,
    /// `alg` is `HS256`, keyed with the public key in PEM form.
    HmacWithPublicKey,
    /// `alg` is `HS256`, keyed with the public key as a JWK.
    HmacWithPublicJwk,
    /// `alg` is `HS256`, keyed with the client secret.
    HmacWithClientSecret,
    /// `kid` names no published key.
    UnknownKey,
    /// `kid` is missing; one key is published. Not a fault by itself: to be accepted.
    MissingKeyId,
    /// The signature is of a key that the header itself carries as `jwk`.
    EmbeddedKey,
    /// The header points to keys elsewhere with `jku`, and uses one of them.
    KeyUrl,
    /// The header has a critical extension that nobody knows.
    UnknownCriticalHeader,
    /// `typ` says that it is an access token.
    AccessTokenType,
    /// `typ` says that it is a logout token.
    LogoutTokenType,
    /// The token has two parts.
    TwoParts,
    /// The token has five parts, as an encrypted one.
    Encrypted,

    // The token endpoint.
    /// There is no ID token in the answer.
    NoIdToken,
    /// `token_type` is `mac`.
    TokenTypeMac,
    /// The code is refused with `invalid_grant`.
    InvalidGrant,
    /// The token endpoint answers 500.
    TokenServerError,
    /// The token endpoint answers with a web page.
    TokenHtml,
    /// The token endpoint answers with half a JSON object.
    TokenCutShort,
    /// The token endpoint answers with 20 MB.
    TokenHuge,
    /// The token endpoint redirects, with 307.
    TokenRedirect,
    /// The token endpoint never answers.
    TokenSilent,

    // Discovery and keys.
    /// The metadata names another issuer.
    DiscoveryIssuer,
    /// The metadata is a web page.
    DiscoveryHtml,
    /// The metadata document is 20 MB long.
    DiscoveryHuge,
    /// The metadata is elsewhere: 302.
    DiscoveryRedirect,
    /// The metadata answers 500.
    DiscoveryServerError,
    /// The metadata never comes.
    DiscoverySilent,
    /// The metadata offers `none` alone for ID tokens.
    DiscoveryOffersNone,
    /// The key set is empty.
    NoKeys,
    /// The key set is a web page.
    KeysHtml,
    /// The key set is 20 MB long.
    KeysHuge,
    /// The key set has 10,000 keys.
    KeysMany,
    /// The key set answers 500.
    KeysServerError,
    /// The key set never comes.
    KeysSilent,
    /// The key is published for encryption alone.
    KeyForEncryption,

    // The answer in the browser.
    /// The person refused: `error=access_denied`, with a script in the description.
    AccessDenied,
    /// `state` is another sign-in's.
    WrongState,
    /// `state` is missing.
    MissingState,
    /// `code` is there twice.
    DuplicateCode,
    /// RFC 9207 `iss` is another provider.
    WrongIssuerParameter,
    /// RFC 9207 `iss` is missing though it was promised.
    MissingIssuerParameter,

    // Userinfo.
    /// Userinfo speaks of another person.
    UserinfoSubject,
    /// Userinfo answers 500.
    UserinfoServerError,
}
