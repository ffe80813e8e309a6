//! The workspace: one customer company, its plan and how far its people must use SSO.

use super::words;
use crate::{clock::Timestamp, id::WorkspaceId};

words! {
    /// What the company has bought.
    Plan, "plan" {
        /// Neither SSO enforcement nor SCIM.
        Free = "free",
        /// Everything.
        Enterprise = "enterprise",
    }
}

words! {
    /// Whether the workspace is in use.
    WorkspaceState, "workspace state" {
        /// In use.
        Active = "active",
        /// Closed by the operator: nobody signs in, no session lives, SCIM answers 403.
        Suspended = "suspended",
    }
}

words! {
    /// How far SSO is demanded.
    Enforcement, "enforcement" {
        /// Passwords work beside SSO.
        Off = "off",
        /// The people named for the stage must use SSO, the others may.
        Staged = "staged",
        /// SSO is the only way in.
        Enforced = "enforced",
    }
}

/// One customer company.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Workspace {
    /// Its slug.
    pub id: WorkspaceId,
    /// The company's name, for people.
    pub name: String,
    /// What it has bought.
    pub plan: Plan,
    /// Whether it is in use.
    pub state: WorkspaceState,
    /// How far SSO is demanded.
    pub enforcement: Enforcement,
    /// Who must use SSO while `enforcement` is `staged`.
    pub stage: Stage,
    /// Whether an identity provider may provision.
    pub scim_enabled: bool,
    /// Counts the changes of what the workspace asks of its provider (`Store::scim_policy`).
    pub scim_version: i64,
    /// When it was created.
    pub created_at: Timestamp,
}

/// Who must use SSO while enforcement is staged: whoever is named, whoever is in a named group, and a share of everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Stage {
    /// User names, folded.
    pub users: Vec<String>,
    /// Display names of groups, folded.
    pub groups: Vec<String>,
    /// 0 to 100: the share of people, chosen by a digest of their id so that it is stable and only grows.
    pub percent: u8,
}

impl Stage {
    /// Whether the stage names this person.
    #[must_use]
    pub fn includes(&self, user_id: &str, user_name: &str, groups: &[String]) -> bool {
        let name = super::text::fold(user_name);
        self.users.contains(&name)
            || groups.iter().any(|group| self.groups.contains(&super::text::fold(group)))
            || share_of(user_id) < self.percent
    }
}

/// A stable number from 0 to 99 for an id.
fn share_of(id: &str) -> u8 {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, id.as_bytes());
    let number = digest.as_ref().iter().take(4).fold(0_u32, |n, byte| (n << 8) | u32::from(*byte));
    u8::try_from(number % 100).unwrap_or(0)
}

impl Workspace {
    /// Whether this person may use a password here.
    #[must_use]
    pub fn allows_password(&self, user_id: &str, user_name: &str, groups: &[String]) -> bool {
        match self.enforcement {
            Enforcement::Off => true,
            Enforcement::Staged => !self.stage.includes(user_id, user_name, groups),
            Enforcement::Enforced => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_back_and_an_unknown_one_names_the_known() {
        for plan in Plan::ALL {
            assert_eq!(plan.as_str().parse::<Plan>().as_ref(), Ok(plan));
        }
        assert_eq!("gold".parse::<Plan>().unwrap_err().to_string(), "'gold' is no plan; it is one of free, enterprise");
    }

    #[test]
    fn a_stage_of_a_hundred_percent_is_everybody_and_of_none_nobody() {
        for id in ["a", "b", "c", "d"] {
            assert!(Stage { percent: 100, ..Stage::default() }.includes(id, "x", &[]));
            assert!(!Stage::default().includes(id, "x", &[]));
        }
        let named = Stage { users: vec!["babs@acme.com".into()], groups: vec!["pilots".into()], percent: 0 };
        assert!(named.includes("a", "Babs@Acme.com", &[]));
        assert!(named.includes("a", "other", &["Pilots".into()]));
    }
}
