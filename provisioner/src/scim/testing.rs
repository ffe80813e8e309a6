//! What the tests of several modules share.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;

use proptest::test_runner::{Config as ProptestConfig, RngSeed};
use serde_json::{Value, json};

use super::normalise::{AttributeRules, Context};
use super::schema::{ENTERPRISE_USER, ResourceKind, Schema, SchemaSet};
use super::{Document, Profile};

/// An extension as a workspace defines it.
pub(super) const FOLDERS: &str = "urn:ietf:params:scim:schemas:extension:2.0:CustomExtensionName";
/// A free-form extension.
pub(super) const METADATA: &str = "urn:ietf:params:scim:schemas:extension:2.0:Metadata";

/// Runs on a stack that overflows at once where recursion follows the input.
pub(super) fn on_a_small_stack<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    std::thread::Builder::new().stack_size(256 * 1024).spawn(work).unwrap().join().unwrap()
}

/// The seed of a random test: `LOCKSTEP_SEED`, or a new one. It is printed, for whoever has to see a failure again.
#[expect(clippy::print_stdout, reason = "a failed test shows its output")]
pub(super) fn random_seed() -> u64 {
    let given = std::env::var_os("LOCKSTEP_SEED").and_then(|seed| seed.to_str()?.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(()));
    println!("LOCKSTEP_SEED={seed}");
    seed
}

/// Whether this is the long form, `tests/run --long`.
pub(super) fn is_long() -> bool {
    std::env::var_os("LOCKSTEP_LONG").is_some()
}

/// As many cases, and thirty times as many in the long form.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let cases = if is_long() { cases * 30 } else { cases };
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(random_seed()), failure_persistence: None, ..ProptestConfig::default() }
}

/// The built-in schemas and two extensions of users.
pub(super) fn schemas() -> SchemaSet {
    let folders: Schema = serde_json::from_value(json!({
        "id": FOLDERS,
        "attributes": [
            {"name": "folders", "multiValued": true},
            {"name": "badge", "type": "integer", "mutability": "immutable"},
            {"name": "hired", "type": "dateTime"},
            {"name": "score", "type": "decimal"},
            {"name": "box", "type": "complex", "subAttributes": [{"name": "row"}, {"name": "seat", "type": "integer"}]},
        ],
    }))
    .unwrap();
    let metadata: Schema = serde_json::from_value(json!({"id": METADATA, "freeForm": true})).unwrap();
    let set = SchemaSet::standard().with_extension(ResourceKind::User, folders);
    set.and_then(|set| set.with_extension(ResourceKind::User, metadata)).unwrap()
}

/// A set and rules to read resources under.
pub(super) struct World {
    pub(super) set: SchemaSet,
    pub(super) rules: AttributeRules,
    pub(super) profile: Profile,
}

impl World {
    pub(super) fn new(profile: Profile) -> Self {
        Self { set: schemas(), rules: AttributeRules::default(), profile }
    }

    pub(super) fn context(&self, kind: ResourceKind) -> Context<'_> {
        Context { schema: self.set.of(kind), profile: self.profile, rules: &self.rules }
    }
}

pub(super) fn document(value: Value) -> Document {
    match value {
        Value::Object(document) => document,
        other => panic!("{other} is no object"),
    }
}

/// A person as the store has it.
pub(super) fn jo() -> Document {
    document(json!({
        "userName": "jo@acme.example", "externalId": "ext-1", "active": true, "title": "Captain",
        "name": {"givenName": "Jo", "familyName": "Moe"},
        "emails": [
            {"value": "jo@acme.example", "type": "work", "primary": true},
            {"value": "jo@home.example", "type": "home", "primary": false},
        ],
        ENTERPRISE_USER: {"department": "Sales", "manager": {"value": "m1"}},
    }))
}
