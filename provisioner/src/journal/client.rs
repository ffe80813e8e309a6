//! How a client names itself, and whom an admin knows by that name.

use crate::scim::text::for_log;

/// Words that stand in the `User-Agent` of known clients, in lower case.
const KNOWN: &[(&str, &str)] = &[
    ("okta", "Okta"),
    ("azure", "Microsoft Entra ID"),
    ("entra", "Microsoft Entra ID"),
    ("microsoft", "Microsoft Entra ID"),
    ("aadprovisioning", "Microsoft Entra ID"),
    ("onelogin", "OneLogin"),
    ("jumpcloud", "JumpCloud"),
    ("google", "Google"),
    ("sailpoint", "SailPoint"),
    ("authentik", "authentik"),
    ("keycloak", "Keycloak"),
];
/// Longer names are cut.
const LONGEST: usize = 80;

/// A `User-Agent` as the log keeps it.
pub(super) fn shortened(user_agent: &str) -> String {
    for_log(user_agent).chars().take(LONGEST).collect()
}

/// Whom an admin knows by this name, if it is one of those that many have.
#[must_use]
pub fn known_as(client: &str) -> Option<&'static str> {
    let client = client.to_ascii_lowercase();
    KNOWN.iter().find(|(word, _)| client.contains(word)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_goes_by_the_name_that_the_admin_knows() {
        assert_eq!(known_as("Okta SCIM Client 1.0.0"), Some("Okta"));
        assert_eq!(known_as("Azure AD SCIM client"), Some("Microsoft Entra ID"));
        assert_eq!(known_as("JumpCloud/1"), Some("JumpCloud"));
        assert_eq!(known_as("python-requests/2"), None);
        assert_eq!(known_as(""), None);
    }

    #[test]
    fn a76_what_a_client_calls_itself_cannot_forge_a_line() {
        let kept = shortened(&format!("a\r\nb\u{1b}[31m{}", "x".repeat(500)));

        assert_eq!(kept.chars().count(), LONGEST);
        assert!(!kept.chars().any(char::is_control), "{kept}");
    }
}
