//! What an operation tells of itself while it is carried out: whom it is about, what it changed, what was understood otherwise.
//! Names of attributes and ids alone.

use std::sync::{Arc, Mutex, PoisonError};

use lockstep_shared::{
    id::{GroupId, UserId},
    model::{group::MemberChange, provisioning::Action},
};
use serde_json::{Map, Value, json};

use crate::scim::{
    Document,
    normalise::{Note, Notes},
    text::for_log,
};

/// More names of attributes than this are counted.
const NAMES: usize = 50;
/// Of more members than this none is named.
const MEMBERS: usize = 100;
/// What is shorter may be a name; identity providers' own ids are longer.
const SHORTEST_OPAQUE: usize = 16;

/// The line of one operation; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<Mutex<Told>>);

/// What was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// What it turned out to be, where method and path alone do not say.
    pub(super) action: Option<Action>,
    pub(super) target: String,
    /// The version that it was read at.
    version: Option<i64>,
    pub(super) is_unchanged: bool,
    pub(super) detail: Map<String, Value>,
    pub(super) people: Vec<String>,
}

impl Line {
    fn tell(&self, tell: impl FnOnce(&mut Told)) {
        tell(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn take(&self) -> Told {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whom it is about, by our id.
    pub fn about(&self, id: &str) {
        self.tell(|told| id.clone_into(&mut told.target));
    }

    /// The identity provider's own name of a new resource, by which an admin finds it there; only what cannot be a person's name.
    pub fn external_id(&self, external_id: Option<&str>) {
        if let Some(id) = external_id.filter(|id| is_opaque(id)) {
            self.tell(|told| drop(told.detail.insert("external_id".to_owned(), id.into())));
        }
    }

    /// A user is about to change from this to that.
    pub fn user(&self, before: &Document, after: &Document) {
        let is_active = |document: &Document| document.get("active") != Some(&Value::Bool(false));
        let action = match (is_active(before), is_active(after)) {
            (true, false) => Action::UserDeactivate,
            (false, true) => Action::UserActivate,
            (true, true) | (false, false) => Action::UserUpdate,
        };
        self.tell(|told| {
            told.action = Some(action);
            put_changed(told, &changed(before, after));
        });
    }

    /// A group is about to change from this to that, and its members by these steps.
    pub fn group(&self, before: &Document, after: &Document, steps: &[MemberChange]) {
        let names = changed(before, after);
        self.tell(|told| {
            if !steps.is_empty() {
                told.action = Some(Action::GroupMembers);
            }
            put_changed(told, &names);
        });
        self.steps(steps);
    }

    /// A new group has these members.
    pub fn members(&self, ids: &[String]) {
        if !ids.is_empty() {
            self.tell(|told| {
                let mut people = People::default();
                people.add(ids);
                let mut members = Map::from_iter([("add".to_owned(), json!(ids.len()))]);
                members.extend(people.unknown());
                told.detail.insert("members".to_owned(), Value::Object(members));
                told.people = people.named();
            });
        }
    }

    /// This person has the name that a new user was to have.
    pub fn name_of(&self, id: &UserId) {
        self.tell(|told| told.people = vec![id.to_string()]);
    }

    fn steps(&self, steps: &[MemberChange]) {
        if steps.is_empty() {
            return;
        }
        let (mut counts, mut people) = ([("add", 0), ("remove", 0), ("replace", 0)], People::default());
        let mut is_cleared = false;
        for step in steps {
            let (at, ids) = match step {
                MemberChange::Name(_) => continue,
                MemberChange::Add(ids) => (0, ids),
                MemberChange::Remove(ids) => (1, ids),
                MemberChange::Replace(ids) => (2, ids),
            };
            is_cleared |= at == 2 && ids.is_empty();
            if let Some((_, count)) = counts.get_mut(at) {
                *count += ids.len();
            }
            people.add(ids);
        }
        let mut members: Map<String, Value> =
            counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| ((*name).to_owned(), json!(count))).collect();
        if is_cleared {
            members.insert("replace".to_owned(), json!(0));
        }
        members.extend(people.unknown());
        self.tell(|told| {
            told.detail.insert("members".to_owned(), Value::Object(members));
            told.people = people.named();
        });
    }

    /// What is about to change was read at this version.
    pub fn was_at(&self, version: i64) {
        self.tell(|told| told.version = Some(version));
    }

    /// It is now at this version: the same one, if everything was so already.
    pub fn is_at(&self, version: i64) {
        self.tell(|told| told.is_unchanged = told.version == Some(version));
    }

    /// What was understood differently from what was written.
    pub fn notes(&self, notes: &Notes) {
        if !notes.is_empty() {
            let notes: Vec<Note> = notes.iter().map(fit).collect();
            self.tell(|told| drop(told.detail.insert("notes".to_owned(), json!(notes))));
        }
    }

    /// What else there is to say: a name and a count, or a text without values.
    pub fn detail(&self, name: &str, value: impl Into<Value>) {
        self.tell(|told| drop(told.detail.insert(name.to_owned(), value.into())));
    }
}

/// Who a request names as members. What is no id of ours may be an e-mail address, and is counted alone.
#[derive(Default)]
struct People {
    ids: Vec<String>,
    sent: usize,
    unknown: usize,
}

impl People {
    fn add(&mut self, sent: &[String]) {
        for id in sent {
            self.sent += 1;
            if UserId::parse(id).is_err() && GroupId::parse(id).is_err() {
                self.unknown += 1;
            } else if self.ids.len() < MEMBERS {
                self.ids.push(id.clone());
            }
        }
    }

    fn unknown(&self) -> Option<(String, Value)> {
        (self.unknown > 0).then(|| ("unknown".to_owned(), json!(self.unknown)))
    }

    fn named(self) -> Vec<String> {
        if self.sent > MEMBERS { Vec::new() } else { self.ids }
    }
}

fn put_changed(told: &mut Told, names: &[String]) {
    // What is tried again is told again.
    told.detail.shift_remove("changed");
    if !names.is_empty() {
        told.detail.insert("changed".to_owned(), json!(names));
    }
}

/// The names of the attributes that differ, those of extensions with their URN.
fn changed(before: &Document, after: &Document) -> Vec<String> {
    let mut names = Vec::new();
    differing(before, after, "", &mut names);
    if names.len() > NAMES {
        let more = names.len() - NAMES;
        names.truncate(NAMES);
        names.push(format!("and {more} more"));
    }
    names
}

fn differing(before: &Document, after: &Document, prefix: &str, names: &mut Vec<String>) {
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    for name in after.keys().chain(gone) {
        match (before.get(name), after.get(name)) {
            (old, new) if old == new => {}
            (old, new) if prefix.is_empty() && name.starts_with("urn:") => {
                let none = Document::new();
                let home = |value: Option<&'_ Value>| value.and_then(Value::as_object).cloned();
                let (old, new) = (home(old), home(new));
                differing(old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none), &format!("{name}:"), names);
            }
            _ => names.push(for_log(&format!("{prefix}{name}"))),
        }
    }
}

/// What stands where a client sent as a name what can be none: it may be anything, somebody's address included.
const NO_NAME: &str = "an attribute";

/// A remark as it is kept.
fn fit(note: &Note) -> Note {
    let attribute = if is_attribute_name(&note.attribute) { note.attribute.clone() } else { NO_NAME.to_owned() };
    Note { kind: note.kind, attribute }
}

/// Whether it can be the name of an attribute with its parts (RFC 7643, section 2.1), or a URN.
pub(super) fn is_attribute_name(text: &str) -> bool {
    let is_urn = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case("urn:"));
    let fits = |text: &str, beside: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || beside.contains(c));
    if is_urn {
        return fits(text, "-_.:$");
    }
    text.split('.').all(|part| {
        let name = part.strip_prefix('$').unwrap_or(part);
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && fits(name, "-_$")
    })
}

fn is_opaque(id: &str) -> bool {
    id.len() >= SHORTEST_OPAQUE
        && id.len() <= 64
        && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && id.bytes().filter(u8::is_ascii_digit).count() >= 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scim::normalise::NoteKind;

    fn document(value: Value) -> Document {
        match value {
            Value::Object(document) => document,
            _ => unreachable!(),
        }
    }

    #[test]
    fn what_changed_is_named_and_its_values_are_not() {
        let before =
            document(json!({ "userName": "ada", "title": "Countess", "active": true, "urn:x:User": { "a": 1, "b": 2 } }));
        let after = document(json!({ "userName": "ada", "nickName": "Babs", "active": true, "urn:x:User": { "a": 1, "b": 3 } }));
        let line = Line::default();

        line.user(&before, &after);

        let told = line.take();
        assert_eq!(told.action, Some(Action::UserUpdate));
        assert_eq!(Value::Object(told.detail), json!({ "changed": ["nickName", "urn:x:User:b", "title"] }));
    }

    #[test]
    fn a_user_goes_and_comes_back_by_name() {
        let (there, gone) = (document(json!({ "active": true })), document(json!({ "active": false })));
        for (before, after, action) in
            [(&there, &gone, Action::UserDeactivate), (&gone, &there, Action::UserActivate), (&gone, &gone, Action::UserUpdate)]
        {
            let line = Line::default();
            line.user(before, after);
            assert_eq!(line.take().action, Some(action));
        }
    }

    #[test]
    fn members_are_counted_and_named_only_while_they_are_few() {
        let ids = |many: usize| (0..many).map(|_| UserId::new().to_string()).collect::<Vec<_>>();
        let (two, one) = (ids(2), ids(1));
        let empty = Document::new();
        let line = Line::default();

        line.group(&empty, &empty, &[MemberChange::Add(two.clone()), MemberChange::Remove(one.clone())]);
        let few = line.take();
        line.group(&empty, &empty, &[MemberChange::Add(ids(60)), MemberChange::Replace(ids(41))]);
        let many = line.take();
        line.group(&empty, &empty, &[MemberChange::Replace(Vec::new())]);
        let cleared = line.take();

        assert_eq!((few.action, few.people), (Some(Action::GroupMembers), [two, one].concat()));
        assert_eq!(Value::Object(few.detail), json!({ "members": { "add": 2, "remove": 1 } }));
        assert_eq!(Value::Object(many.detail), json!({ "members": { "add": 60, "replace": 41 } }));
        assert_eq!(many.people, Vec::<String>::new());
        assert_eq!(Value::Object(cleared.detail), json!({ "members": { "replace": 0 } }));
    }

    #[test]
    fn a_member_that_is_no_id_of_ours_is_counted_and_not_kept() {
        let (user, group) = (UserId::new().to_string(), GroupId::new().to_string());
        let sent = vec![user.clone(), "ada@acme.example".to_owned(), group.clone(), "Ada Lovelace".to_owned()];
        let (line, empty) = (Line::default(), Document::new());

        line.members(&sent);
        let made = line.take();
        line.group(&empty, &empty, &[MemberChange::Replace(sent.clone()), MemberChange::Remove(vec!["bo@acme.example".into()])]);
        let changed = line.take();

        assert_eq!((made.people, changed.people), (vec![user.clone(), group.clone()], vec![user, group]));
        assert_eq!(Value::Object(made.detail), json!({ "members": { "add": 4, "unknown": 2 } }));
        assert_eq!(Value::Object(changed.detail), json!({ "members": { "remove": 1, "replace": 4, "unknown": 3 } }));
    }

    #[test]
    fn only_an_external_id_that_is_no_name_is_kept() {
        for (id, is_kept) in [
            ("0a21f0f2-8d2a-4f8e-bf98-7363c4aed4ef", true),
            ("00ujl29u0le5T6Aj10h7", true),
            ("66e2d689590450d073d2df3b", true),
            ("ada", false),
            ("ada.lovelace-countess", false),
            ("ada1234@acme.example", false),
            ("countess-of-lovelace", false),
        ] {
            let line = Line::default();
            line.external_id(Some(id));
            assert_eq!(line.take().detail.contains_key("external_id"), is_kept, "{id}");
        }
    }

    #[test]
    fn what_can_be_no_name_is_not_kept_as_one() {
        for (sent, is_kept) in [
            ("shoeSize", true),
            ("name.middle_name-2", true),
            ("members.$ref", true),
            ("urn:acme:params:scim:schemas:extension:2.0:Shoes:size", true),
            ("leak16@acme.example", false),
            ("name.leak16@acme.example", false),
            ("urn:ietf:params:scim:leak16@acme.example", false),
            ("urn:leak16%40acme.example", false),
            ("Ada Lovelace", false),
            ("emails[value eq \"leak16\"].type", false),
            ("16", false),
            ("name.", false),
            ("", false),
        ] {
            let (line, mut notes) = (Line::default(), Notes::default());
            notes.add(NoteKind::UnknownAttribute, sent);

            line.notes(&notes);

            let told = Value::Object(line.take().detail);
            let name = if is_kept { sent } else { "an attribute" };
            assert_eq!(told["notes"][0]["attribute"], name);
            assert!(told["notes"][0]["text"].as_str().unwrap().starts_with(&format!("{name} was ignored")), "{told}");
            assert!(is_kept || !told.to_string().contains("leak16"), "{told}");
        }
    }

    #[test]
    fn remarks_are_kept_as_they_are_for_the_admin() {
        let (line, mut notes) = (Line::default(), Notes::default());
        line.notes(&notes);
        assert!(line.take().detail.is_empty());

        notes.add(NoteKind::UnknownAttribute, "shoeSize");
        line.notes(&notes);

        let told = Value::Object(line.take().detail);
        assert_eq!(told["notes"][0]["code"], "unknown_attribute");
        assert_eq!(told["notes"][0]["text"], "shoeSize was ignored: no schema of this workspace has it");
    }
}
