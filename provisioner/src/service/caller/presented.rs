//! What a request carries in its one `Authorization` header, read and not yet believed.

use http::HeaderMap;
use lockstep_shared::{
    model::token::TokenKind,
    secret::{BearerToken, is_same},
};

use crate::authorization;

/// A secret, and how it is presented.
#[derive(Debug)]
pub(super) struct Presented {
    /// The secret; ours by its form.
    pub(super) secret: BearerToken,
    scheme: Scheme,
}

#[derive(Debug)]
enum Scheme {
    Bearer,
    Basic { user_name: String },
}

impl Presented {
    /// Reads the one `Authorization` header (RFC 6750, section 2.1; RFC 7617); two of them are nobody's.
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let (scheme, rest) = authorization::only(headers)?;
        if scheme.eq_ignore_ascii_case("Bearer") {
            Some(Self { secret: BearerToken::parse(rest)?, scheme: Scheme::Bearer })
        } else if scheme.eq_ignore_ascii_case("Basic") {
            let (user_name, password) = authorization::basic(rest)?;
            Some(Self { secret: BearerToken::parse(&password)?, scheme: Scheme::Basic { user_name } })
        } else {
            None
        }
    }

    /// Whether a secret of this kind may be presented so. The name that goes with a password is compared in constant time.
    pub(super) fn is_presented_as(&self, kind: &TokenKind) -> bool {
        match (&self.scheme, kind) {
            (Scheme::Bearer, TokenKind::Bearer | TokenKind::OAuth { .. }) => true,
            (Scheme::Basic { user_name }, TokenKind::Basic { user_name: expected }) => is_same(user_name, expected),
            (Scheme::Bearer, TokenKind::Basic { .. }) | (Scheme::Basic { .. }, TokenKind::Bearer | TokenKind::OAuth { .. }) => {
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use http::{HeaderValue, header};
    use lockstep_shared::id::{OAuthClientId, WorkspaceId};

    use super::*;

    fn read(lines: &[&str]) -> Option<Presented> {
        let headers = lines.iter().map(|line| (header::AUTHORIZATION, HeaderValue::from_str(line).unwrap())).collect();
        Presented::read(&headers)
    }

    fn basic(plain: impl AsRef<[u8]>) -> String {
        format!("Basic {}", authorization::BASE64.encode(plain))
    }

    #[test]
    fn only_one_well_formed_bearer_token_is_carried() {
        let token = BearerToken::new().unwrap();
        let good = format!("Bearer {}", token.expose());

        assert!(read(&[&good]).is_some_and(|presented| presented.secret == token));
        assert!(read(&[&good.replacen("Bearer", "bEARER", 1)]).is_some());
        assert!(read(&[&good.replacen(' ', "   ", 1)]).is_some());
        let other_scheme = good.replacen("Bearer", "Basic", 1);
        let dpop = good.replacen("Bearer", "DPoP", 1);
        for bad in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer  "],
            &[""],
            &["Bearer lks_x"],
            &[token.expose()],
            &[&other_scheme],
            &[&dpop],
            &[&good, &good],
            &[&good, ""],
            &[],
        ] {
            assert!(read(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn only_one_well_formed_name_and_password_are_carried() {
        let token = BearerToken::new().unwrap();
        let password = token.expose();
        let good = basic(format!("acme-1:{password}"));

        assert!(read(&[&good]).is_some_and(|presented| presented.secret == token));
        assert!(read(&[&good.replacen("Basic", "bASIC", 1)]).is_some());
        assert!(read(&[good.trim_end_matches('=')]).is_some(), "without padding");
        let spaced = good.replacen("Basic ", "Basic a b ", 1);
        for bad in [
            "Basic",
            "Basic ",
            "Basic !!!!",
            "Basic Og==",
            &basic("acme-1"),
            &basic(format!("acme-1{password}")),
            &basic(format!("acme-1: {password}")),
            &basic(format!("acme:1:{password}")),
            &basic(format!("{password}:acme-1")),
            &basic(format!("acme-1:{password}:")),
            &basic([b"\xff:", password.as_bytes()].concat()),
            &spaced,
        ] {
            assert!(read(&[bad]).is_none(), "{bad}");
        }
        assert!(read(&[&good, &good]).is_none());
        assert!(read(&[&good, &format!("Bearer {password}")]).is_none());
    }

    #[test]
    fn a_secret_is_good_in_its_own_way_alone() {
        let token = BearerToken::new().unwrap();
        let bearer = read(&[&format!("Bearer {}", token.expose())]).unwrap();
        let by_name = |name: &str| read(&[&basic(format!("{name}:{}", token.expose()))]).unwrap();
        let password = TokenKind::Basic { user_name: "acme-1".to_owned() };
        let granted = TokenKind::OAuth { client: OAuthClientId::random(&WorkspaceId::parse("acme").unwrap()) };

        assert!(bearer.is_presented_as(&TokenKind::Bearer) && bearer.is_presented_as(&granted));
        assert!(by_name("acme-1").is_presented_as(&password));
        assert!(!bearer.is_presented_as(&password), "a password is no token");
        for name in ["", "acme-2", "ACME-1", "acme-11", "acme-"] {
            assert!(!by_name(name).is_presented_as(&password), "{name}");
        }
        for kind in [TokenKind::Bearer, granted] {
            assert!(!by_name("acme-1").is_presented_as(&kind), "a token is no password: {kind:?}");
        }
    }
}
