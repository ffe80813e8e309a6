//! Filters, paths, bodies and PATCH requests as no provider sends them: what providers do send, bent at random for some seconds. Each
//! target runs in a process of its own on a small stack, since a stack that overflows ends the process and not the test.

pub(super) mod mutate;

use std::panic::AssertUnwindSafe;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::mutate::{Corpus, Random};
use super::filter::MAX_LENGTH;
use super::normalise::{self, Current, Notes};
use super::path::Path;
use super::schema::{ENTERPRISE_USER, ResourceKind, USER};
use super::testing::{World, document, is_long, jo, on_a_small_stack, random_seed, schemas};
use super::{Document, Filter, PatchRequest, Profile, ScimError, json as body_json, patch};

/// Tells the child what it is.
const CHILD: &str = "LOCKSTEP_FUZZED";
const SEED: &str = "LOCKSTEP_SEED";

/// The longest that one input may take. An unoptimised build is given more.
const LONGEST: Duration = if cfg!(debug_assertions) { Duration::from_secs(2) } else { Duration::from_millis(50) };

const PROFILES: [Profile; 2] = [Profile::Lenient, Profile::Strict];

/// Runs a target in a process of its own, for 5 s or, in the long form, for 150 s.
#[expect(clippy::print_stdout, reason = "the seed and the count are what one wants to know")]
fn fuzz(name: &str, target: fn(&mut Random, &Corpus)) {
    if std::env::var_os(CHILD).is_none() {
        let name = format!("{}::{name}", module_path!().split_once("::").unwrap().1);
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &name, "--nocapture", "--test-threads", "1"])
            .env(CHILD, "1")
            .env(SEED, random_seed().to_string())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout).into_owned() + &String::from_utf8_lossy(&child.stderr);
        assert!(child.status.success() && said.contains("1 passed"), "{}: {said}", child.status);
        return println!("{said}");
    }
    let mut random = Random(random_seed());
    let runs = on_a_small_stack(move || {
        let (corpus, until) = (Corpus::read(), Instant::now() + Duration::from_secs(if is_long() { 150 } else { 5 }));
        let mut runs = 0_u64;
        while Instant::now() < until {
            let before = random.clone();
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| target(&mut random, &corpus))) {
                println!("run {runs}, with the random state {}", before.0);
                std::panic::resume_unwind(panic);
            }
            runs += 1;
        }
        runs
    });
    println!("{name}: {runs} runs");
    assert!(runs > 100, "{runs}: too slow to be worth it");
}

/// What the work gives, if it does not take too long. A machine that is busy is slow once, and not four times.
fn timed<T>(input: &str, work: impl Fn() -> T) -> T {
    let mut best = Duration::MAX;
    for _ in 0..4 {
        let begun = Instant::now();
        let result = work();
        best = best.min(begun.elapsed());
        if best < LONGEST {
            return result;
        }
    }
    panic!("{best:?} for {input}");
}

fn person() -> Value {
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "id": "2819c223", "externalId": "Ext-1", "active": true,
        "userName": "bjensen@Example.com", "name": {"familyName": "O'Malley"}, "groups": [{"value": "g1"}],
        "emails": [{"type": "work", "value": "b@example.com", "primary": true}, {"type": "home", "value": "c@example.com"}],
        ENTERPRISE_USER: {"department": "Sales", "manager": {"value": "m1"}},
        "meta": {"resourceType": "User", "created": "2026-01-02T03:04:05.678Z"},
    })
}

fn filters(random: &mut Random, corpus: &Corpus) {
    let (text, set, person) = (corpus.filter(random), schemas(), person());
    for (kind, profile) in [ResourceKind::User, ResourceKind::Group].into_iter().flat_map(|kind| PROFILES.map(|p| (kind, p))) {
        let schema = set.of(kind);
        let Ok(filter) = timed(&text, || Filter::parse(&text, schema, profile)) else { continue };

        let printed = filter.to_string();
        // Names with their URNs are longer than they were.
        if printed.len() > MAX_LENGTH {
            continue;
        }
        assert_eq!(Filter::parse(&printed, schema, profile).as_ref(), Ok(&filter), "{text:?} printed as {printed:?}");
        let matches = timed(&text, || filter.matches(&person));
        assert_ne!(matches, Filter::Not(Box::new(filter)).matches(&person), "{text:?}");
    }
}

/// A path as it would be written.
fn printed(path: &Path<'_>) -> String {
    match path {
        Path::Schema(schema) => schema.id.clone(),
        Path::Attribute(target) => {
            let urn = target.extension.map(|schema| format!("{}:", schema.id)).unwrap_or_default();
            let filter = target.filter.as_ref().map(|filter| format!("[{filter}]")).unwrap_or_default();
            let sub = target.sub.map(|sub| format!(".{}", sub.name)).unwrap_or_default();
            format!("{urn}{}{filter}{sub}", target.name)
        }
    }
}

fn paths(random: &mut Random, corpus: &Corpus) {
    let (text, set) = (corpus.path(random), schemas());
    for (kind, profile) in [ResourceKind::User, ResourceKind::Group].into_iter().flat_map(|kind| PROFILES.map(|p| (kind, p))) {
        let schema = set.of(kind);
        let Ok(path) = timed(&text, || Path::parse(&text, schema, profile)) else { continue };

        if printed(&path).len() > MAX_LENGTH {
            continue;
        }
        assert_eq!(Path::parse(&printed(&path), schema, profile).as_ref(), Ok(&path), "{text:?} printed as {}", printed(&path));
    }
}

fn are_fit_for_a_log(notes: &Notes) {
    for note in notes {
        assert!(!note.to_string().chars().any(char::is_control), "{note:?}");
    }
}

/// What was read once and is read again is the same.
fn is_settled(context: &normalise::Context<'_>, document: &Document, input: &str) {
    // A role that is packed in a role that is packed is unpacked once.
    if document.get("roles").is_some_and(|roles| roles.to_string().contains("\"value\":\"{")) {
        return;
    }
    let extensions = document.keys().filter(|name| name.contains(':')).map(String::as_str);
    let mut body = document.clone();
    body.insert("schemas".to_owned(), std::iter::once(USER).chain(extensions).collect());
    let again = normalise::user(Value::Object(body), context, None);
    let again = again.unwrap_or_else(|error| panic!("{input}: {error} of {}", json!(document)));
    assert_eq!(json!(again.document), json!(document), "{input}");
}

fn bodies(random: &mut Random, corpus: &Corpus) {
    let bytes = corpus.body(random);
    let input = String::from_utf8_lossy(&bytes).into_owned();
    let Ok(body) = timed(&input, || body_json::parse_limited(&bytes)) else { return };
    for profile in PROFILES {
        let (world, jo) = (World::new(profile), jo());
        let context = world.context(ResourceKind::User);
        if let Ok(user) = timed(&input, || normalise::user(body.clone(), &context, None)) {
            are_fit_for_a_log(&user.notes);
            is_settled(&context, &user.document, &input);
        }
        let current = Some(Current { id: "u1", document: &jo });
        if let Ok(user) = timed(&input, || normalise::user(body.clone(), &context, current)) {
            is_settled(&context, &user.document, &input);
        }
        if let Ok(group) = timed(&input, || normalise::group(body.clone(), &world.context(ResourceKind::Group), None)) {
            are_fit_for_a_log(&group.notes);
            assert!(!group.document.contains_key("members") && !group.document.contains_key("id"), "{input}");
        }
    }
}

fn patched(body: &Value, profile: Profile, before: &Document) -> Result<patch::PatchedUser, ScimError> {
    let world = World::new(profile);
    let request = PatchRequest::parse(body.clone(), profile)?;
    patch::user(request, &world.context(ResourceKind::User), Current { id: "u1", document: before })
}

/// RFC 7644, section 3.5.2: what is there is not added again, and a replacement by the same is none. Not so where a filter, once
/// what it selected has changed, selects something else.
fn is_idempotent(body: &Value) -> bool {
    let Some([operation]) = body["Operations"].as_array().map(Vec::as_slice) else { return false };
    let path = operation["path"].as_str().unwrap_or_default();
    let mut names = operation["value"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    !path.contains('[') && !names.any(|name| name.contains('['))
}

fn patches(random: &mut Random, corpus: &Corpus) {
    let bytes = corpus.patch(random);
    let input = String::from_utf8_lossy(&bytes).into_owned();
    let Ok(body) = timed(&input, || body_json::parse_limited(&bytes)) else { return };
    for profile in PROFILES {
        let before = jo();
        if let Ok(done) = timed(&input, || patched(&body, profile, &before)) {
            let after = &done.user.document;
            are_fit_for_a_log(&done.user.notes);
            assert_eq!(done.changed, *after != before, "{input}");
            is_settled(&World::new(profile).context(ResourceKind::User), after, &input);
            if is_idempotent(&body) {
                let again = patched(&body, profile, after).unwrap_or_else(|error| panic!("{input}: {error}"));
                assert_eq!(json!(again.user.document), json!(after), "{input}");
            }
        }
        assert_eq!(before, jo(), "{input}");
        let (world, group) = (World::new(profile), document(json!({"displayName": "Sales", "externalId": "e1"})));
        let context = world.context(ResourceKind::Group);
        let done = timed(&input, || {
            let request = PatchRequest::parse(body.clone(), profile)?;
            patch::group(request, &context, Current { id: "abf4", document: &group })
        });
        if let Ok(done) = done {
            assert_eq!(done.changed, done.group.document != group, "{input}");
            assert!(!done.group.document.contains_key("members"), "{input}");
        }
    }
}

#[test]
fn fuzz_filters() {
    fuzz("fuzz_filters", filters);
}

#[test]
fn fuzz_paths() {
    fuzz("fuzz_paths", paths);
}

#[test]
fn fuzz_bodies() {
    fuzz("fuzz_bodies", bodies);
}

#[test]
fn fuzz_patches() {
    fuzz("fuzz_patches", patches);
}
