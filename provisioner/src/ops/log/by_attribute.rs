//! Roles that an attribute gives: what a person has there, and which refused writes kept it from changing.

use lockstep_shared::{
    check::Finding,
    id::WorkspaceId,
    model::{
        access::RoleAttribute,
        provisioning::{Action, Entry, Outcome},
        user::Profile,
    },
};
use serde_json::Value;

use super::{
    lines::Words,
    refusals::{Standing, is_harmless},
};
use crate::{ops::mapping, scim::text::for_log};

/// What changes a person's attributes, but a deactivation, after which nobody has a role.
pub(super) const CONCERNED: [Action; 2] = [Action::UserUpdate, Action::UserActivate];
/// How many values of one person are told.
const VALUES: usize = 10;

/// Whether an entry is a write of a person.
pub(super) fn is_of_user(entry: &Entry) -> bool {
    entry.action().is_some_and(|action| CONCERNED.contains(&action))
}

/// Whether a write that was not carried out was about the attribute. What is held is held because somebody would lose by it.
pub(super) fn is_about(attribute: &RoleAttribute, entry: &Entry) -> bool {
    let path = attribute.path.as_str();
    let own = path.rsplit(':').next().unwrap_or(path);
    let name = own.split('.').next().unwrap_or(own);
    let names = |sentence: &str| sentence.split(|c: char| !c.is_ascii_alphanumeric() && !"-_$".contains(c)).any(is_name(name));
    entry.outcome == Outcome::Held || entry.sentence.as_deref().is_some_and(names) || changed(path, entry)
}

fn is_name(name: &str) -> impl Fn(&str) -> bool {
    move |word| word.eq_ignore_ascii_case(name)
}

/// Whether the attribute is among what an entry says was changed, whole or in a part.
fn changed(path: &str, entry: &Entry) -> bool {
    let names = entry.detail.get("changed").and_then(Value::as_array);
    let mut names = names.into_iter().flatten().filter_map(Value::as_str);
    names.any(|name| {
        path.get(..name.len()).is_some_and(is_name(name))
            && path.get(name.len()..).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

/// What has become of a write of a person that was not carried out, with what was carried out of them.
pub(super) fn standing(attribute: &RoleAttribute, entry: &Entry, done: &[Entry]) -> Standing {
    let mut later = done.iter().filter(|later| later.at > entry.at).peekable();
    let is_followed = later.peek().is_some();
    if later.any(|later| changed(attribute.path.as_str(), later)) {
        Standing::Solved
    } else if is_followed || is_harmless(entry) || !is_about(attribute, entry) {
        // What came later may have been the value that is there already.
        Standing::Remark
    } else {
        Standing::Open
    }
}

/// Where else a role may come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// A group gives the person one.
    Given,
    /// Groups give roles, and none of them one to the person.
    Possible,
    /// No group gives anything.
    Nothing,
}

/// What the person has in the attribute, and what it gives.
pub(super) fn of_person(
    attribute: &RoleAttribute,
    profile: &Profile,
    beside: Beside,
    words: Words,
    workspace: &WorkspaceId,
) -> Finding {
    let (path, grants) = (&attribute.path, mapping::join(&attribute.grants));
    let texts = path.texts_of(profile);
    let (granted, others): (Vec<_>, Vec<_>) =
        texts.iter().partition(|text| attribute.grants.iter().any(|role| role.as_str() == text.as_str()));
    if texts.is_empty() {
        let message = format!("the person has nothing in {path}; granted are {grants}");
        let fix = format!("let the identity provider send one of these as {path}");
        return match beside {
            Beside::Given => Finding::passed("attribute", message),
            Beside::Possible => Finding::warning("attribute", message, fix),
            Beside::Nothing => Finding::problem("attribute", message, fix),
        };
    }
    if others.is_empty() {
        return Finding::passed("attribute", format!("{path} is {}, which is granted", shown(&granted)));
    }
    let message = format!("{path} is {}; granted are {grants}", shown(&others));
    let fix = format!(
        "let the identity provider send one of these, spelled exactly so; or grant it too: `{} mapping set {workspace} \
         --role-attribute {path} --grants {:?}`",
        words.program,
        format!("{},ROLE", grants.replace(", ", ","))
    );
    if granted.is_empty() && beside != Beside::Given {
        Finding::problem("attribute", message, fix)
    } else {
        Finding::warning("attribute", message, fix)
    }
}

fn shown(texts: &[&String]) -> String {
    let mut shown: Vec<String> = texts.iter().take(VALUES).map(|text| for_log(text)).collect();
    if texts.len() > VALUES {
        shown.push(format!("and {} more", texts.len() - VALUES));
    }
    shown.join(", ")
}
