//! The mapping: which roles and teams a person has by the groups that they are in. It goes by the ids of groups, so that a group
//! which is made anew under an old name inherits nothing, and it grants nothing that an operator did not write into it.

use std::{collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::{attribute::AttributePath, user::Profile};
use crate::id::GroupId;

/// The form that this program writes.
const VERSION: u8 = 1;
const MAX_NAME: usize = 64;
const MAX_RULES: usize = 1_000;
const MAX_NAMES: usize = 100;

/// The name of a role or team. Headers join names with commas, so it has none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AccessName(String);

/// A text that is no name of a role or team.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{0}' is no name of a role or team: a letter or digit, then letters, digits, spaces and ._:/- with no more than 64 characters"
)]
pub struct NoAccessName(String);

impl AccessName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccessName {
    type Err = NoAccessName;

    fn from_str(text: &str) -> Result<Self, NoAccessName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || " ._:/-".contains(c);
        let sound = text.len() <= MAX_NAME
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(legal)
            && !text.ends_with(' ');
        if sound { Ok(Self(text.to_owned())) } else { Err(NoAccessName(text.to_owned())) }
    }
}

impl TryFrom<String> for AccessName {
    type Error = NoAccessName;

    fn try_from(text: String) -> Result<Self, NoAccessName> {
        text.parse()
    }
}

impl From<AccessName> for String {
    fn from(name: AccessName) -> Self {
        name.0
    }
}

impl fmt::Display for AccessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Roles and teams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Access {
    /// The roles.
    pub roles: BTreeSet<AccessName>,
    /// The teams.
    pub teams: BTreeSet<AccessName>,
}

impl Access {
    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.roles.is_empty() && self.teams.is_empty()
    }

    /// What is here and not there.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            roles: self.roles.difference(&other.roles).cloned().collect(),
            teams: self.teams.difference(&other.teams).cloned().collect(),
        }
    }
}

/// What the members of one group have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// The group.
    pub group: GroupId,
    /// The roles of its members.
    #[serde(default)]
    pub roles: BTreeSet<AccessName>,
    /// The teams of its members.
    #[serde(default)]
    pub teams: BTreeSet<AccessName>,
}

/// An attribute whose values are roles: those named here, and no other value of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleAttribute {
    /// The attribute.
    pub path: AttributePath,
    /// What it may grant. A value that is not named grants nothing: whoever can edit the directory's profile cannot invent a role.
    pub grants: BTreeSet<AccessName>,
}

impl RoleAttribute {
    /// The roles that somebody has by it.
    #[must_use]
    pub fn granted(&self, profile: &Profile) -> BTreeSet<AccessName> {
        let texts = self.path.texts_of(profile);
        self.grants.iter().filter(|role| texts.iter().any(|text| text == role.as_str())).cloned().collect()
    }
}

/// Which roles and teams people have.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mapping {
    /// The form of this record. Another form is not read: to guess what it grants would be to grant.
    pub v: Version,
    /// The roles of whom no rule gives a role, and the teams of whom no rule gives a team.
    pub default: Access,
    /// By group; one rule for each.
    pub rules: Vec<Rule>,
    /// Of the roles named here, highest first, a person has the highest alone; any other role comes on top.
    pub precedence: Vec<AccessName>,
    /// An attribute that gives roles as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role_attribute: Option<RoleAttribute>,
}

/// Why a mapping is none that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MappingFault {
    /// Which of them counts would be anybody's guess.
    #[error("the group {0} has two rules")]
    TwoRules(GroupId),
    /// A rule that gives nothing.
    #[error("the rule of the group {0} gives neither a role nor a team")]
    Empty(GroupId),
    /// A rank is one place.
    #[error("the role {0} stands in the precedence twice")]
    TwoRanks(AccessName),
    /// It is read whenever a person is.
    #[error("there are more than {MAX_RULES} rules, or more than {MAX_NAMES} names in one list")]
    TooLarge,
}

/// The one form there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Version;

impl TryFrom<u8> for Version {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        if number == VERSION { Ok(Self) } else { Err(format!("a mapping of the form {number} is newer than this program")) }
    }
}

impl From<Version> for u8 {
    fn from(_: Version) -> Self {
        VERSION
    }
}

/// Where a role or team comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source<'a> {
    /// A group that the person is in.
    Group(&'a GroupId),
    /// The attribute that gives roles.
    Attribute(&'a AttributePath),
    /// The default.
    Default,
}

impl Mapping {
    /// The roles and teams of somebody in these groups.
    #[must_use]
    pub fn grant(&self, groups: &[GroupId], profile: &Profile) -> Access {
        let mut access = Access::default();
        for (_, part) in self.sources(groups, profile) {
            access.roles.extend(part.roles);
            access.teams.extend(part.teams);
        }
        self.keep_highest(&mut access.roles);
        access
    }

    /// What each source gives, before precedence takes the lower roles away.
    #[must_use]
    pub fn sources<'a>(&'a self, groups: &[GroupId], profile: &Profile) -> Vec<(Source<'a>, Access)> {
        let mut sources: Vec<(Source<'a>, Access)> = Vec::new();
        for rule in self.rules.iter().filter(|rule| groups.contains(&rule.group)) {
            let access = Access { roles: rule.roles.clone(), teams: rule.teams.clone() };
            sources.push((Source::Group(&rule.group), access));
        }
        if let Some(attribute) = &self.role_attribute {
            let access = Access { roles: attribute.granted(profile), teams: BTreeSet::new() };
            sources.push((Source::Attribute(&attribute.path), access));
        }
        let has_role = sources.iter().any(|(_, access)| !access.roles.is_empty());
        let has_team = sources.iter().any(|(_, access)| !access.teams.is_empty());
        let default = Access {
            roles: if has_role { BTreeSet::new() } else { self.default.roles.clone() },
            teams: if has_team { BTreeSet::new() } else { self.default.teams.clone() },
        };
        sources.push((Source::Default, default));
        sources.retain(|(_, access)| !access.is_empty());
        sources
    }

    /// Whether a change of this group's members can change anybody's roles or teams.
    #[must_use]
    pub fn names(&self, group: &GroupId) -> bool {
        self.rules.iter().any(|rule| rule.group == *group)
    }

    /// The mapping, if it is sound.
    pub fn checked(self) -> Result<Self, MappingFault> {
        let grants = self.role_attribute.as_ref().map_or(0, |attribute| attribute.grants.len());
        let of_rules = self.rules.iter().flat_map(|rule| [rule.roles.len(), rule.teams.len()]);
        let mut names = of_rules.chain([self.default.roles.len(), self.default.teams.len(), self.precedence.len(), grants]);
        if self.rules.len() > MAX_RULES || names.any(|count| count > MAX_NAMES) {
            return Err(MappingFault::TooLarge);
        }
        for (at, rule) in self.rules.iter().enumerate() {
            if rule.roles.is_empty() && rule.teams.is_empty() {
                return Err(MappingFault::Empty(rule.group.clone()));
            }
            if self.rules.iter().take(at).any(|earlier| earlier.group == rule.group) {
                return Err(MappingFault::TwoRules(rule.group.clone()));
            }
        }
        let twice =
            self.precedence.iter().enumerate().find(|(at, role)| self.precedence.iter().take(*at).any(|other| other == *role));
        match twice {
            Some((_, role)) => Err(MappingFault::TwoRanks(role.clone())),
            None => Ok(self),
        }
    }

    fn keep_highest(&self, roles: &mut BTreeSet<AccessName>) {
        let Some(highest) = self.precedence.iter().find(|role| roles.contains(*role)) else { return };
        roles.retain(|role| role == highest || !self.precedence.contains(role));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> AccessName {
        text.parse().unwrap()
    }

    fn names(texts: &[&str]) -> BTreeSet<AccessName> {
        texts.iter().map(|text| name(text)).collect()
    }

    fn shown(access: &Access) -> (Vec<&str>, Vec<&str>) {
        (access.roles.iter().map(AccessName::as_str).collect(), access.teams.iter().map(AccessName::as_str).collect())
    }

    fn with_roles(roles: &[&str]) -> Profile {
        let values: Vec<_> = roles.iter().map(|role| json!({ "value": role })).collect();
        let attributes = json!({ "roles": values });
        Profile { user_name: "ada".into(), external_id: None, active: true, attributes: attributes.as_object().unwrap().clone() }
    }

    /// Admins are Admin, staff are User in the team Everybody, night owls are in the team Nights; else Guest.
    fn mapping() -> (Mapping, [GroupId; 3]) {
        let groups = [GroupId::new(), GroupId::new(), GroupId::new()];
        let rule = |group: &GroupId, roles: &[&str], teams: &[&str]| Rule {
            group: group.clone(),
            roles: names(roles),
            teams: names(teams),
        };
        let [admins, staff, nights] = &groups;
        let mapping = Mapping {
            default: Access { roles: names(&["Guest"]), teams: names(&["Lobby"]) },
            rules: vec![
                rule(admins, &["Admin", "Auditor"], &[]),
                rule(staff, &["User"], &["Everybody"]),
                rule(nights, &[], &["Nights"]),
            ],
            precedence: vec![name("Owner"), name("Admin"), name("User")],
            ..Mapping::default()
        };
        (mapping, groups)
    }

    #[test]
    fn roles_and_teams_follow_groups_default_and_precedence() {
        let (mapping, [admins, staff, nights]) = mapping();
        let of = |groups: &[&GroupId]| {
            let groups: Vec<GroupId> = groups.iter().map(|group| (*group).clone()).collect();
            let access = mapping.grant(&groups, &with_roles(&["Admin"]));
            let (roles, teams) = shown(&access);
            format!("{} | {}", roles.join(" "), teams.join(" "))
        };

        assert_eq!(of(&[]), "Guest | Lobby");
        assert_eq!(of(&[&staff]), "User | Everybody");
        assert_eq!(of(&[&nights]), "Guest | Nights", "the default of each kind stands alone");
        assert_eq!(of(&[&admins]), "Admin Auditor | Lobby");
        assert_eq!(of(&[&staff, &admins]), "Admin Auditor | Everybody", "the highest alone, what has no rank on top");
        assert_eq!(of(&[&nights, &admins, &staff, &GroupId::new()]), "Admin Auditor | Everybody Nights");
    }

    #[test]
    fn without_precedence_roles_add_up() {
        let (mapping, [admins, staff, _]) = mapping();
        let mapping = Mapping { precedence: Vec::new(), ..mapping };

        let access = mapping.grant(&[staff, admins], &with_roles(&[]));

        assert_eq!(shown(&access).0, ["Admin", "Auditor", "User"]);
    }

    #[test]
    fn doyensec_an_attribute_grants_what_the_mapping_names_and_nothing_else() {
        let (mapping, [_, staff, _]) = mapping();
        let by_attribute = |grants: &[&str]| Mapping {
            role_attribute: Some(RoleAttribute { path: "roles".parse().unwrap(), grants: names(grants) }),
            ..mapping.clone()
        };
        let roles = |mapping: &Mapping, groups: &[GroupId], values: &[&str]| {
            mapping.grant(groups, &with_roles(values)).roles.iter().map(ToString::to_string).collect::<Vec<_>>()
        };

        assert_eq!(roles(&mapping, &[], &["Owner", "Admin"]), ["Guest"], "off unless an operator turns it on");
        assert_eq!(roles(&by_attribute(&["Admin"]), &[], &["Owner", "Admin"]), ["Admin"]);
        assert_eq!(
            roles(&by_attribute(&["Admin"]), &[], &["Owner", "admin", "Admin "]),
            ["Guest"],
            "values are compared exactly"
        );
        assert_eq!(roles(&by_attribute(&["User", "Owner"]), &[staff], &["Owner"]), ["Owner"], "precedence counts here too");
    }

    #[test]
    fn every_source_says_what_it_gives() {
        let (mapping, [admins, staff, _]) = mapping();

        let sources = mapping.sources(&[staff.clone(), admins.clone()], &with_roles(&[]));

        let of: Vec<_> = sources.iter().map(|(source, access)| (*source, shown(access))).collect();
        assert_eq!(
            of,
            [
                (Source::Group(&admins), (vec!["Admin", "Auditor"], vec![])),
                (Source::Group(&staff), (vec!["User"], vec!["Everybody"])),
            ]
        );
        assert_eq!(mapping.sources(&[], &with_roles(&[])), [(Source::Default, mapping.default.clone())]);
    }

    #[test]
    fn a_name_that_would_break_a_header_is_none() {
        for bad in ["", " User", "User ", "a,b", "a\nb", "-a", "ä", "a%2cb", &"x".repeat(65)] {
            assert!(bad.parse::<AccessName>().is_err(), "{bad:?}");
        }
        for good in ["User", "EnterpriseAdmin", "team/eu-west: ops 2.0", "7"] {
            assert_eq!(name(good).as_str(), good);
        }
    }

    #[test]
    fn a_mapping_of_which_nobody_could_say_what_it_means_is_refused() {
        let (sound, [admins, ..]) = mapping();
        let first = sound.rules[0].clone();
        let with = |rules: Vec<Rule>| Mapping { rules, ..sound.clone() }.checked();

        assert_eq!(sound.clone().checked(), Ok(sound.clone()));
        assert_eq!(with(vec![first.clone(), first.clone()]), Err(MappingFault::TwoRules(admins.clone())));
        let empty = Rule { group: admins.clone(), roles: BTreeSet::new(), teams: BTreeSet::new() };
        assert_eq!(with(vec![empty]), Err(MappingFault::Empty(admins)));
        let many = (0..1_001).map(|_| Rule { group: GroupId::new(), ..first.clone() }).collect();
        assert_eq!(with(many), Err(MappingFault::TooLarge));
        let twice = Mapping { precedence: vec![name("A"), name("B"), name("A")], ..sound.clone() };
        assert_eq!(twice.checked(), Err(MappingFault::TwoRanks(name("A"))));
    }

    #[test]
    fn a_mapping_reads_back_and_one_of_another_form_is_not_read() {
        let (mapping, _) = mapping();
        let full = Mapping {
            role_attribute: Some(RoleAttribute { path: "userType".parse().unwrap(), grants: names(&["Admin"]) }),
            ..mapping
        };

        let text = serde_json::to_string(&full).unwrap();

        assert_eq!(serde_json::from_str::<Mapping>(&text).unwrap(), full);
        assert_eq!(serde_json::from_str::<Mapping>("{}").unwrap(), Mapping::default(), "a workspace of before there were any");
        for strange in
            [r#"{"v":2}"#, r#"{"v":1,"except":["a"]}"#, r#"{"rules":[{"group":"x"}]}"#, r#"{"default":{"roles":["a,b"]}}"#]
        {
            assert!(serde_json::from_str::<Mapping>(strange).is_err(), "{strange}");
        }
    }
}
