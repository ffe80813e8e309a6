//! Why something went wrong, in a sentence that an admin can act on. It names attributes and what is allowed, never a person: of
//! what the client sent only the value of an attribute with a rule is shown.

use lockstep_shared::model::provisioning::Action;

use super::line::is_attribute_name;
use crate::scim::ScimError;

/// Whatever a sentence says besides, with these words in it nobody has to act on it.
pub const NOTHING_TO_DO: &str = "nothing has to be done";

/// What the client did, as the beginning of a sentence whose subject is the client.
fn deed(action: Action) -> &'static str {
    match action {
        Action::UserCreate => "sent a new user",
        Action::UserRead => "read a user",
        Action::UserFind => "looked for users",
        Action::UserUpdate => "changed a user",
        Action::UserActivate => "switched a user on",
        Action::UserDeactivate => "switched a user off",
        Action::UserDelete => "deleted a user",
        Action::GroupCreate => "sent a new group",
        Action::GroupRead => "read a group",
        Action::GroupFind => "looked for groups",
        Action::GroupUpdate => "changed a group",
        Action::GroupMembers => "changed the members of a group",
        Action::GroupDelete => "deleted a group",
        Action::Search => "searched",
        Action::Bulk => "sent a Bulk request",
        Action::Discovery => "asked what this server can do",
        Action::TokenGrant => "asked for a token",
        Action::Unknown | Action::TurnedAway | Action::Lost => "sent a request",
    }
}

/// The sentence for a request that was told `error`.
pub(super) fn of_error(action: Action, error: &ScimError) -> String {
    let verdict = if matches!(error, ScimError::Held { .. }) {
        "is held"
    } else if matches!(error, ScimError::Unavailable { .. } | ScimError::Internal { .. }) {
        "was not carried out"
    } else {
        "was refused"
    };
    format!("{}, which {verdict}: {}", deed(action), cause(action, error))
}

/// The sentence for a request that nobody waited for to the end.
pub(super) fn of_silence(action: Action) -> String {
    format!(
        "{}, and hung up or was cut off before there was an answer: whether it was carried out, the audit trail says; the identity \
         provider will send it again",
        deed(action)
    )
}

/// The sentence for a Bulk request of which some operations failed.
pub(super) fn of_bulk(failed: usize, all: usize) -> String {
    format!("sent a Bulk request, of which {failed} of {all} operations failed: the entries of the same request say why")
}

/// The sentence for an operation that was left out of a Bulk request.
pub(super) fn of_leaving_out(action: Action) -> String {
    format!(
        "{}, which was not begun: as many operations before it had failed as the client allows (failOnErrors); mend what the other \
         entries of the same request tell, and let the client send it again",
        deed(action)
    )
}

/// Why, and what to do about it: a sentence without the second is none.
fn cause(action: Action, error: &ScimError) -> String {
    match error {
        ScimError::InvalidFilter(told) => {
            and(told, "set the matching attribute at the identity provider to userName or externalId")
        }
        ScimError::InvalidSyntax(told) | ScimError::InvalidPath(told) => and(told, for_path(told)),
        // The client's own name for what it makes may be a person's.
        ScimError::InvalidValue(told) if told.contains(" makes bulkId ") => and(told, NOT_SCIM),
        ScimError::InvalidValue(told) => for_value(action, told),
        ScimError::Mutability(told) if told.contains(REQUIRED) => and(told, ALWAYS_THERE),
        ScimError::Mutability(told) => and(told, "take the attribute out of the mapping"),
        // What a path selects from changes; that a removal has no path does not.
        ScimError::NoTarget(told) if told.contains("needs a path") => and(told, NOT_SCIM),
        ScimError::NoTarget(told) => and(told, "let the identity provider provision this user or group anew"),
        ScimError::TooMany(told) => and(told, "let the client filter, or ask for fewer at a time"),
        ScimError::TooLarge(told) => {
            unless_advised(without_values(told), "let the identity provider send fewer members, operations or values at once")
        }
        ScimError::Forbidden(told) if action == Action::Discovery => {
            and(told, "let the client read them without a filter; if it cannot, tell its vendor")
        }
        ScimError::Forbidden(told) => unless_advised(
            without_values(told),
            "see `user adopt WORKSPACE USER`, which takes an invited person into the directory",
        ),
        ScimError::Unresolved(told) => {
            and(told, "mend what the other entries of the same request tell, and let the client send it again")
        }
        ScimError::Uniqueness(what) if what.contains("was invited") => OF_INVITED.to_owned(),
        ScimError::Uniqueness(what) => format!(
            "{what} is another one's here already; let the identity provider match by {what}, or remove the one that should not be there"
        ),
        ScimError::InvalidCursor | ScimError::ExpiredCursor | ScimError::InvalidCount => {
            format!("{error}; nothing has to be done, the client begins the list anew by itself")
        }
        ScimError::Unauthorized => {
            "the credential is not good; issue a new one with `token issue WORKSPACE` and put it into the \
             identity provider"
                .to_owned()
        }
        ScimError::NotFound => not_found(action).to_owned(),
        ScimError::Compressed => format!("{error}; let the client, or the proxy before us, compress no requests"),
        ScimError::MethodNotAllowed(_) | ScimError::UnsupportedMediaType => {
            format!("{error}; check the base URL and the kind of connector at the identity provider")
        }
        ScimError::PreconditionFailed => {
            "it changed since the client read it; nothing has to be done, the client reads it again by itself".to_owned()
        }
        ScimError::RateLimited { retry_after } => {
            format!("the workspace sends more than its rate; nothing has to be done, the client comes again in {retry_after} s")
        }
        ScimError::Held { .. } => "it is part of a mass removal; if it is meant, run `scim guard WORKSPACE approve`, else stop \
             provisioning at the identity provider"
            .to_owned(),
        ScimError::Unavailable { .. } => {
            "the database, or a gateway that has to confirm, did not answer in time; nothing has to be \
             done, the client sends it again"
                .to_owned()
        }
        ScimError::Internal { request_id } => {
            format!("an error of Lockstep itself: give request id {request_id} to its operator")
        }
        ScimError::NotImplemented(what) => {
            format!("{what} is not offered here; nothing has to be done, the client can do without")
        }
    }
}

const NOT_SCIM: &str = "the request is not as SCIM has it: if the mapping is right, tell the vendor of the client";
const OF_INVITED: &str = "userName is that of a person who was invited here; let the identity provider match by userName: its first write to \
                          the one it finds takes them into the directory, if the domain of their user name is proven (`domain verify \
                          WORKSPACE DOMAIN`); else `user adopt WORKSPACE USER` does";
const REQUIRED: &str = " is required";
const ALWAYS_THERE: &str = "map it at your identity provider to something that everybody has";

/// What the schemas do not know can be left out or defined; a path that is none is the client's.
fn for_path(told: &str) -> &'static str {
    if told.contains("not part of any schema") {
        "take the attribute out of the mapping, or define it with `schema add WORKSPACE URN`"
    } else if told.contains("sorted by") {
        "let the client sort by another attribute"
    } else {
        NOT_SCIM
    }
}

/// Rules bring their advice with them, and of the values only those with a rule are told.
fn for_value(action: Action, told: &str) -> String {
    let told = without_people(told);
    let fix = if !action.is_write() {
        NOT_SCIM
    } else if told.contains(REQUIRED) {
        ALWAYS_THERE
    } else if told.contains("member") {
        // A member who is not here is taken as well; what is refused is one who cannot be anybody.
        NOT_SCIM
    } else {
        "change the mapping of this attribute at your identity provider"
    };
    unless_advised(told, fix)
}

/// Somebody who is not there is looked for anew; a place that is not there never was.
fn not_found(action: Action) -> &'static str {
    match action {
        Action::Unknown | Action::Discovery => {
            "there is no such address here; check the base URL at the identity provider, `scim show WORKSPACE` tells the right one"
        }
        Action::UserDelete => {
            "there is no such user here: it was deleted already, or never was in this workspace; nothing has to be done, it is gone"
        }
        Action::GroupDelete => {
            "there is no such group here: it was deleted already, or never was in this workspace; nothing has to be done, it is gone"
        }
        Action::UserCreate
        | Action::UserRead
        | Action::UserFind
        | Action::UserUpdate
        | Action::UserActivate
        | Action::UserDeactivate
        | Action::GroupCreate
        | Action::GroupRead
        | Action::GroupFind
        | Action::GroupUpdate
        | Action::GroupMembers
        | Action::Search
        | Action::Bulk
        | Action::TokenGrant
        | Action::TurnedAway
        | Action::Lost => {
            "there is no such user or group here: it was deleted, or never was in this workspace; restart provisioning at the \
             identity provider, so that it looks for everybody anew"
        }
    }
}

/// What was told, and what to do about it.
fn and(told: &str, fix: &str) -> String {
    format!("{}; {fix}", without_values(told))
}

/// The same where what was told does not say so itself.
fn unless_advised(told: String, fix: &str) -> String {
    const ADVICE: [&str; 3] = ["identity provider", "user adopt", "send less"];
    if ADVICE.iter().any(|advice| told.contains(advice)) { told } else { format!("{told}; {fix}") }
}

/// An error's text without what stands in quotes, unless it is the name of an attribute, and without people.
fn without_values(told: &str) -> String {
    let mut text = String::with_capacity(told.len());
    let mut rest = told;
    while let Some((before, quoted, after)) = first_quoted(rest) {
        let is_name = [" is not an attribute", " is not part of any schema"].iter().any(|end| after.starts_with(end))
            && is_attribute_name(quoted);
        text.push_str(before);
        text.push('"');
        text.push_str(if is_name { quoted } else { HIDDEN });
        text.push('"');
        rest = after;
    }
    text.push_str(rest);
    without_people(&text)
}

const HIDDEN: &str = "…";

/// The text before the first quoted part, that part as Rust quotes it, and the text behind it.
fn first_quoted(text: &str) -> Option<(&str, &str, &str)> {
    let (before, rest) = text.split_once('"')?;
    let mut is_escaped = false;
    let end = rest.char_indices().find_map(|(at, c)| {
        let ends = c == '"' && !is_escaped;
        is_escaped = c == '\\' && !is_escaped;
        ends.then_some(at)
    });
    match end.and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?))) {
        Some((quoted, after)) => Some((before, quoted, after)),
        None => Some((before, rest, "")),
    }
}

/// A text without what may be an address or the value in a path's filter. A bracket within quotes is part of a value, and opens no
/// filter: what stands behind is told.
fn without_people(told: &str) -> String {
    let mut text = String::with_capacity(told.len());
    let mut rest = told;
    while let Some(at) = rest.find(['[', '"']) {
        let (before, found) = rest.split_at(at);
        text.push_str(before);
        if let Some(inner) = found.strip_prefix('[') {
            text.push('[');
            text.push_str(HIDDEN);
            text.push(']');
            rest = inner.rsplit_once(']').map_or("", |(_, after)| after);
        } else if let Some((_, quoted, after)) = first_quoted(found) {
            text.push('"');
            text.push_str(quoted);
            text.push('"');
            rest = after;
        } else {
            rest = "";
        }
    }
    text.push_str(rest);
    text.split(' ').map(without_address).collect::<Vec<_>>().join(" ")
}

/// A word without the address in it; what ends a quotation or a part of the sentence stays.
fn without_address(word: &str) -> String {
    if !word.contains('@') {
        return word.to_owned();
    }
    let is_mark = |c: char| "\";:,.".contains(c);
    let (begun, ended) = (word.trim_start_matches('"'), word.trim_end_matches(is_mark));
    let (before, after) = (word.len() - begun.len(), ended.len());
    format!("{}{HIDDEN}{}", word.get(..before).unwrap_or_default(), word.get(after..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_sent_what_is_allowed_and_what_to_do() {
        let table = [
            (
                Action::UserCreate,
                ScimError::InvalidValue(
                    "userType is \"premium\"; allowed here are Premium, Standard: change the mapping at your identity provider"
                        .into(),
                ),
                "sent a new user, which was refused: userType is \"premium\"; allowed here are Premium, Standard: change the mapping at your identity provider",
            ),
            (
                Action::UserCreate,
                ScimError::Uniqueness("userName".into()),
                "sent a new user, which was refused: userName is another one's here already; let the identity provider match by userName, or remove the one that should not be there",
            ),
            (
                Action::UserFind,
                ScimError::InvalidFilter("\"shoeSize\" is not an attribute that can be filtered on".into()),
                "looked for users, which was refused: \"shoeSize\" is not an attribute that can be filtered on; set the matching attribute at the identity provider to userName or externalId",
            ),
            (
                Action::UserDeactivate,
                ScimError::Held { retry_after: 60 },
                "switched a user off, which is held: it is part of a mass removal; if it is meant, run `scim guard WORKSPACE approve`, else stop provisioning at the identity provider",
            ),
            (
                Action::GroupMembers,
                ScimError::Unavailable { retry_after: 2 },
                "changed the members of a group, which was not carried out: the database, or a gateway that has to confirm, did not answer in time; nothing has to be done, the client sends it again",
            ),
        ];

        for (action, error, sentence) in table {
            assert_eq!(of_error(action, &error), sentence);
        }
    }

    /// What an admin can do, or that there is nothing to be done.
    const DEEDS: [&str; 15] = [
        "change the mapping",
        "map it",
        "map fewer",
        "take the attribute out",
        "set the matching attribute",
        "let the identity provider",
        "let the client",
        "tell the vendor",
        "restart provisioning",
        "check the base URL",
        "run `scim guard",
        "issue a new one",
        "give request id",
        "nothing has to be done",
        "user adopt",
    ];

    #[track_caller]
    fn is_advice(action: Action, error: &ScimError) {
        let sentence = of_error(action, error);
        assert!(DEEDS.iter().any(|deed| sentence.contains(deed)), "{action}: {sentence}");
        assert!(!sentence.ends_with([';', ':', '.', ' ']), "{sentence}");
    }

    #[test]
    fn every_refusal_of_every_kind_says_what_to_do() {
        for error in crate::scim::error::tests::of_each_kind() {
            for action in Action::ALL {
                is_advice(*action, &error);
            }
        }
    }

    #[test]
    fn the_advice_fits_what_was_refused() {
        let mapping = "change the mapping of this attribute at your identity provider";
        let write = Action::UserUpdate;
        let value = |told: &str| ScimError::InvalidValue(told.to_owned());
        let table = [
            (Action::UserCreate, value("title must be text"), mapping),
            (write, value("active must be true or false"), mapping),
            (write, value("userName is required"), ALWAYS_THERE),
            (Action::GroupCreate, value("a member has no value"), NOT_SCIM),
            (Action::GroupUpdate, value("a member must be an object with a value"), NOT_SCIM),
            (Action::GroupUpdate, value("add members needs a value"), NOT_SCIM),
            (Action::GroupDelete, ScimError::NotFound, "nothing has to be done, it is gone"),
            (Action::UserDelete, ScimError::NotFound, "nothing has to be done, it is gone"),
            (Action::UserFind, value("startIndex must be a whole number"), NOT_SCIM),
            (Action::Unknown, value("version is an entity tag"), NOT_SCIM),
            (
                write,
                ScimError::TooLarge("the body is larger than 1 MB".into()),
                "send fewer members, operations or values at once",
            ),
            (write, ScimError::TooLarge("the PATCH is too much work: send less at a time".into()), ": send less at a time"),
            (write, ScimError::NoTarget("remove needs a path".into()), NOT_SCIM),
            (write, ScimError::NoTarget("no entry of emails satisfies the path's filter".into()), "user or group anew"),
            (write, ScimError::InvalidPath("a bracket is not closed".into()), NOT_SCIM),
            (
                write,
                ScimError::InvalidSyntax("\"shoe\" is not part of any schema here".into()),
                "define it with `schema add WORKSPACE URN`",
            ),
            (
                write,
                ScimError::InvalidPath("\"shoe\" is not part of any schema here".into()),
                "define it with `schema add WORKSPACE URN`",
            ),
            (
                Action::UserFind,
                ScimError::InvalidPath("\"x\" is not an attribute that can be sorted by".into()),
                "sort by another attribute",
            ),
            (write, ScimError::Mutability("userName is required and cannot be removed".into()), ALWAYS_THERE),
            (
                Action::Discovery,
                ScimError::Forbidden("discovery documents cannot be filtered".into()),
                "without a filter; if it cannot, tell its vendor",
            ),
            (
                write,
                ScimError::Forbidden("this person was invited: prove the domain, or ask (user adopt)".into()),
                "or ask (user adopt)",
            ),
            (
                Action::Discovery,
                ScimError::NotFound,
                "check the base URL at the identity provider, `scim show WORKSPACE` tells the right one",
            ),
            (Action::Unknown, ScimError::NotFound, "`scim show WORKSPACE` tells the right one"),
            (write, ScimError::NotFound, "so that it looks for everybody anew"),
        ];

        for (action, error, end) in table {
            let sentence = of_error(action, &error);
            assert!(sentence.ends_with(end), "{end}: {sentence}");
        }
    }

    #[test]
    fn an_address_is_hidden_and_what_stands_around_it_is_not() {
        for (sent, told) in [
            ("roles is \"Jane Roe ada@acme.example\"; allowed here are User", "roles is \"Jane Roe …\"; allowed here are User"),
            ("userType is \"ada@acme.example\"; allowed here are A", "userType is \"…\"; allowed here are A"),
            ("userName is \"<ada@acme.example>\", which is odd", "userName is \"…\", which is odd"),
            ("ada@acme.example: odd", "…: odd"),
            ("@ is odd", "… is odd"),
        ] {
            assert_eq!(without_people(sent), told);
        }
    }

    #[test]
    fn the_name_of_an_invited_person_is_theirs_and_the_way_to_them_is_told() {
        let what = "userName (of a person who was invited: find them by it, then PUT or PATCH them)";

        assert_eq!(
            of_error(Action::UserCreate, &ScimError::Uniqueness(what.into())),
            "sent a new user, which was refused: userName is that of a person who was invited here; let the identity provider match by \
             userName: its first write to the one it finds takes them into the directory, if the domain of their user name is proven \
             (`domain verify WORKSPACE DOMAIN`); else `user adopt WORKSPACE USER` does"
        );
    }

    #[test]
    fn what_is_allowed_is_told_whatever_was_sent() {
        let allowed = "; allowed here are Premium, Standard: change the mapping at your identity provider";
        for sent in ["\u{fffd}[31mpre\u{fffd}mium", "[", "a\"[b", "]["] {
            let told = ScimError::InvalidValue(format!("userType is {sent:?}{allowed}"));

            assert_eq!(
                of_error(Action::UserCreate, &told),
                format!("sent a new user, which was refused: userType is {sent:?}{allowed}")
            );
        }
    }

    #[test]
    fn no_name_and_no_address_is_in_a_sentence() {
        for error in [
            ScimError::InvalidFilter("\"Lovelace\" is no operator".into()),
            ScimError::InvalidFilter("\"ada@acme.example\" is not an attribute that can be filtered on".into()),
            ScimError::InvalidPath("\"emails[value eq \\\"ada@acme.example\\\"].shoe\" is not part of any schema here".into()),
            ScimError::InvalidPath("\"members[display eq \\\"Ada Lovelace\\\"]\" is not part of any schema here".into()),
            ScimError::InvalidSyntax("the body is not acceptable JSON: invalid type: string \"Ada Lovelace\"".into()),
            ScimError::InvalidSyntax("\"Lovelace is no operation: use add".into()),
            ScimError::InvalidValue("userName ada@lovelace.example is odd".into()),
            ScimError::InvalidValue("emails[value eq \"ada lovelace\"].type must be text".into()),
            ScimError::InvalidValue("userType is \"ada@lovelace.example\"; allowed here are Premium".into()),
            ScimError::InvalidValue("userType is \"\\\"ada@lovelace.example.\\\"\"; allowed here are Premium".into()),
            ScimError::InvalidFilter("\"Ada Lovelace\" is not an attribute that can be filtered on".into()),
        ] {
            let sentence = of_error(Action::UserUpdate, &error).to_lowercase();

            assert!(!sentence.contains("ada") && !sentence.contains("lovelace"), "{sentence}");
        }
    }
}
