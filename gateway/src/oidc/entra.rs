//! Microsoft Entra: its issuers carry the tenant, so a tenant's own issuer is the only one to configure, and `tid` must repeat
//! it. The shared issuers let every tenant of the cloud in.

use uuid::Uuid;

const HOSTS: [&str; 4] =
    ["login.microsoftonline.com", "login.microsoftonline.us", "login.partner.microsoftonline.cn", "sts.windows.net"];
/// The tenant of all personal Microsoft accounts.
const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// The tenant that an Entra issuer names; `None` where the issuer is no Entra issuer of one company.
pub(crate) fn tenant_of(issuer: &str) -> Option<&str> {
    let tenant = first_segment(issuer)?;
    let canonical = Uuid::try_parse(tenant).is_ok_and(|id| id.hyphenated().to_string() == tenant);
    (canonical && tenant != PERSONAL_ACCOUNTS).then_some(tenant)
}

/// Whether the issuer is Entra's but not one company's: `common`, `organizations`, a template, or personal accounts.
pub(crate) fn is_shared(issuer: &str) -> bool {
    first_segment(issuer).is_some() && tenant_of(issuer).is_none()
}

fn first_segment(issuer: &str) -> Option<&str> {
    let (host, path) = issuer.strip_prefix("https://")?.split_once('/')?;
    HOSTS.contains(&host).then(|| path.split('/').next().unwrap_or(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g36_an_entra_issuer_names_one_tenant() {
        let tenant = "11111111-2222-3333-4444-555555555555";
        for host in HOSTS {
            assert_eq!(tenant_of(&format!("https://{host}/{tenant}/v2.0")), Some(tenant), "{host}");
        }
        for shared in [
            "common",
            "organizations",
            "consumers",
            "{tenantid}",
            "{tenantId}",
            PERSONAL_ACCOUNTS,
            "",
            "AAAAAAAA-2222-3333-4444-555555555555",
        ] {
            let issuer = format!("https://login.microsoftonline.com/{shared}/v2.0");
            assert!(is_shared(&issuer), "{issuer}");
        }
        for other in [
            "https://login.microsoftonline.com.evil.example/x/v2.0",
            "https://idp.example/common",
            "http://login.microsoftonline.com/common",
        ] {
            assert!(!is_shared(other) && tenant_of(other).is_none(), "{other}");
        }
    }
}
