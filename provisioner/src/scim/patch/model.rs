//! PATCH against a model that is slow and obvious: it knows four attributes of a user by name, keeps a list of e-mail
//! addresses as tuples and follows the standard's sentences one by one.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::scim::Document;
use crate::scim::ResourceKind;
use crate::scim::testing::{World, document};

#[derive(Debug, Clone, PartialEq, Default)]
struct Model {
    title: Option<String>,
    given: Option<String>,
    family: Option<String>,
    emails: Vec<Email>,
}

#[derive(Debug, Clone, PartialEq, Default)]
struct Email {
    value: Option<String>,
    kind: Option<String>,
    primary: Option<bool>,
}

#[derive(Debug, Clone)]
enum Edit {
    Title(Option<String>),
    Given(Option<String>),
    Name(String),
    RemoveName,
    AddEmail(Email),
    ReplaceEmails(Vec<Email>),
    RemoveEmails,
    RemoveKind(String),
    SetValue(String, String),
    RemoveValue(String),
    SetPrimary(String),
    RemoveListed(String),
}

impl Model {
    fn apply(&mut self, edit: &Edit) {
        match edit {
            Edit::Title(title) => self.title.clone_from(title),
            Edit::Given(given) => self.given.clone_from(given),
            Edit::Name(family) => self.family = Some(family.clone()),
            Edit::RemoveName => (self.given, self.family) = (None, None),
            Edit::AddEmail(email) => self.add(email),
            Edit::ReplaceEmails(emails) => {
                self.emails.clear();
                for email in emails {
                    self.push(email.clone());
                }
                self.keep_first_primary();
            }
            Edit::RemoveEmails => self.emails.clear(),
            Edit::RemoveKind(kind) => self.emails.retain(|email| email.kind.as_ref() != Some(kind)),
            Edit::SetValue(kind, value) => {
                let mut found = false;
                for email in self.emails.iter_mut().filter(|email| email.kind.as_ref() == Some(kind)) {
                    email.value = Some(value.clone());
                    found = true;
                }
                if !found {
                    self.emails.push(Email { value: Some(value.clone()), kind: Some(kind.clone()), primary: None });
                }
            }
            Edit::RemoveValue(kind) => self.emails.retain(|email| email.kind.as_ref() != Some(kind)),
            Edit::SetPrimary(kind) => {
                for email in &mut self.emails {
                    match &email.kind {
                        Some(own) if own == kind => email.primary = Some(true),
                        _ => email.primary = email.primary.map(|_| false),
                    }
                }
                self.drop_repeats();
                self.keep_first_primary();
            }
            Edit::RemoveListed(value) => self.emails.retain(|email| email.value.as_ref() != Some(value)),
        }
        self.drop_repeats();
    }

    fn drop_repeats(&mut self) {
        let emails = std::mem::take(&mut self.emails);
        for email in emails {
            self.push(email);
        }
    }

    fn keep_first_primary(&mut self) {
        let primary = |email: &&mut Email| email.primary == Some(true);
        self.emails.iter_mut().filter(primary).skip(1).for_each(|email| email.primary = Some(false));
    }

    fn add(&mut self, email: &Email) {
        if self.emails.contains(email) {
            return;
        }
        if email.primary == Some(true) {
            self.emails.iter_mut().filter(|email| email.primary.is_some()).for_each(|email| email.primary = Some(false));
        }
        match self.same(email) {
            Some(known) => known.primary = email.primary.or(known.primary),
            None => self.emails.push(email.clone()),
        }
    }

    fn push(&mut self, email: Email) {
        match self.same(&email) {
            Some(known) if known.primary == Some(true) => {}
            Some(known) => known.primary = email.primary.or(known.primary),
            None => self.emails.push(email),
        }
    }

    /// RFC 7643, section 2.4: the same type and value are one entry.
    fn same(&mut self, email: &Email) -> Option<&mut Email> {
        self.emails.iter_mut().find(|known| (&known.value, &known.kind) == (&email.value, &email.kind))
    }

    fn document(&self) -> Document {
        let mut user = document(json!({"userName": "x", "active": true}));
        let name: Map<String, Value> = [("givenName", &self.given), ("familyName", &self.family)]
            .into_iter()
            .filter_map(|(key, value)| Some((key.to_owned(), json!(value.as_ref()?))))
            .collect();
        user.extend(self.title.as_ref().map(|title| ("title".to_owned(), json!(title))));
        user.extend((!name.is_empty()).then(|| ("name".to_owned(), Value::Object(name))));
        user.extend((!self.emails.is_empty()).then(|| ("emails".to_owned(), self.emails.iter().map(Email::json).collect())));
        user
    }
}

impl Email {
    fn json(&self) -> Value {
        let mut email = Map::new();
        email.extend(self.value.as_ref().map(|value| ("value".to_owned(), json!(value))));
        email.extend(self.kind.as_ref().map(|kind| ("type".to_owned(), json!(kind))));
        email.extend(self.primary.map(|primary| ("primary".to_owned(), json!(primary))));
        Value::Object(email)
    }
}

/// The edit as one of the ways in which providers write it.
fn operation(edit: &Edit, spelling: u8) -> Value {
    let op = |word: &str| match spelling % 3 {
        0 => word.to_owned(),
        1 => word.to_uppercase(),
        _ => word[..1].to_uppercase() + &word[1..],
    };
    let set = |path: &str, value: Value| match spelling % 4 {
        0 => json!({"op": op("add"), "path": path, "value": value}),
        1 => json!({"op": op("replace"), "path": path, "value": value}),
        2 => json!({"op": op("replace"), "value": {path: value}}),
        _ => json!({"op": op("replace"), "path": format!("urn:ietf:params:scim:schemas:core:2.0:User:{path}"), "value": value}),
    };
    let remove = |path: &str| json!({"op": op("remove"), "path": path});
    let list = |emails: &[Email]| Value::Array(emails.iter().map(Email::json).collect());
    match edit {
        Edit::Title(Some(title)) => set("title", json!(title)),
        Edit::Title(None) => remove("TITLE"),
        Edit::Given(Some(given)) => set("name.givenName", json!(given)),
        Edit::Given(None) => remove("name.givenname"),
        Edit::Name(family) => set("name", json!({"FamilyName": family})),
        Edit::RemoveName => remove("name"),
        Edit::AddEmail(email) if spelling.is_multiple_of(2) => {
            json!({"op": op("add"), "path": "emails", "value": [email.json()]})
        }
        Edit::AddEmail(email) => json!({"op": op("add"), "value": {"Emails": email.json()}}),
        Edit::ReplaceEmails(emails) => json!({"op": op("replace"), "path": "emails", "value": list(emails)}),
        Edit::RemoveEmails => remove("emails"),
        Edit::RemoveKind(kind) => remove(&format!("emails[type eq \"{kind}\"]")),
        Edit::SetValue(kind, value) => set(&format!("emails[type eq \"{kind}\"].value"), json!(value)),
        Edit::RemoveValue(kind) => remove(&format!("emails[type eq \"{kind}\"].value")),
        Edit::SetPrimary(kind) => set(&format!("emails[type eq \"{kind}\"].primary"), json!("True")),
        Edit::RemoveListed(value) => json!({"op": op("remove"), "path": "emails", "value": [{"value": value}]}),
    }
}

fn word() -> impl Strategy<Value = String> {
    proptest::sample::select(&["a", "b", "c"][..]).prop_map(str::to_owned)
}

fn kind() -> impl Strategy<Value = String> {
    proptest::sample::select(&["work", "home"][..]).prop_map(str::to_owned)
}

fn email() -> impl Strategy<Value = Email> {
    (word(), proptest::option::of(kind()), proptest::option::of(any::<bool>())).prop_map(|(value, kind, primary)| Email {
        value: Some(value),
        kind,
        primary,
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        proptest::option::of(word()).prop_map(Edit::Title),
        proptest::option::of(word()).prop_map(Edit::Given),
        word().prop_map(Edit::Name),
        Just(Edit::RemoveName),
        email().prop_map(Edit::AddEmail),
        proptest::collection::vec(email(), 0..4).prop_map(Edit::ReplaceEmails),
        Just(Edit::RemoveEmails),
        kind().prop_map(Edit::RemoveKind),
        (kind(), word()).prop_map(|(kind, value)| Edit::SetValue(kind, value)),
        kind().prop_map(Edit::RemoveValue),
        kind().prop_map(Edit::SetPrimary),
        word().prop_map(Edit::RemoveListed),
    ]
}

fn applied(before: &Document, operations: &[Value]) -> Result<PatchedUser, ScimError> {
    let world = World::new(Profile::Lenient);
    let request = PatchRequest::parse(json!({"schemas": [PATCH_SCHEMA], "Operations": operations}), Profile::Lenient)?;
    user(request, &world.context(ResourceKind::User), Current { id: "u1", document: before })
}

/// Setting the flag of an entry that is not there would make an entry with nothing in it, which is refused or dropped.
fn is_settled(model: &Model, edit: &Edit) -> bool {
    match edit {
        Edit::SetPrimary(kind) => model.emails.iter().any(|email| email.kind.as_ref() == Some(kind)),
        _ => true,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn patch_does_what_the_model_does(edits in proptest::collection::vec((edit(), any::<u8>()), 1..12)) {
        let mut model = Model::default();
        let start = model.document();
        let (mut stepwise, mut sent) = (start.clone(), Vec::new());
        for (edit, spelling) in &edits {
            if !is_settled(&model, edit) {
                continue;
            }
            model.apply(edit);
            let operation = operation(edit, *spelling);
            stepwise = applied(&stepwise, std::slice::from_ref(&operation)).unwrap().user.document;
            sent.push(operation);

            prop_assert_eq!(&Value::Object(stepwise.clone()), &Value::Object(model.document()), "{:?}", sent);
        }
        if !sent.is_empty() {
            let at_once = applied(&start, &sent).unwrap();
            prop_assert_eq!(&at_once.user.document, &stepwise, "one request or many");
            prop_assert_eq!(at_once.changed, stepwise != start);
        }
    }

    #[test]
    fn no_body_is_a_panic(path in "[a-zA-Z.:\\[\\]\" ()$]{0,24}", deep in any::<bool>(), number in any::<f64>()) {
        let value = if deep { json!([[{"value": [{"a": null}]}]]) } else { json!(number) };
        for op in ["add", "replace", "remove"] {
            drop(applied(&Model::default().document(), &[json!({"op": op, "path": path, "value": value}), json!({"op": op, "value": {&path: value}})]));
        }
    }
}
