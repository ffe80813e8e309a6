//! What a filter finds, whatever an index does for it: random filters over a random directory find exactly those whom a slow,
//! obvious reading of the filter finds among all resources, in the same order, on every page.

use http::Method;
use lockstep_tests::world::text;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{Company, ENTERPRISE, body, is_long, on_each_database, random_seed, raw, user};

const PEOPLE: usize = 40;
const GROUPS: usize = 12;
/// Names that are alike in all but what must not matter, or must.
const WORDS: [&str; 14] = [
    "ada",
    "ADA",
    "bob",
    "b%b",
    "b_b",
    "a\"d\"a",
    "back\\slash",
    "José",
    "jose\u{301}",
    "stra\u{df}e",
    "o'malley",
    "1",
    "True",
    "ad",
];
const TYPES: [&str; 3] = ["work", "home", "other"];

/// A filter, before it is spelled.
#[derive(Clone, Debug)]
enum Sought {
    All(Vec<Sought>),
    Any(Vec<Sought>),
    Not(Box<Sought>),
    Has(Attribute),
    Is(Attribute, &'static str, Value),
    /// One and the same entry of the list.
    Entry(&'static str, Box<Sought>),
}

/// Where it looks, and whether case matters there.
#[derive(Clone, Debug)]
struct Attribute {
    path: String,
    exact: bool,
}

/// Text without case, as names are compared: composed, in lower case.
fn folded(text: &str) -> String {
    text.to_lowercase().replace("e\u{301}", "\u{e9}")
}

/// Every value at a path; lists are looked through.
fn values<'v>(resource: &'v Value, path: &str) -> Vec<&'v Value> {
    let (home, path) = match path.strip_prefix(ENTERPRISE) {
        Some(rest) => (resource.get(ENTERPRISE).into_iter().collect::<Vec<_>>(), rest.trim_start_matches(':')),
        None => (vec![resource], path),
    };
    path.split('.').fold(home, |found, part| {
        let next = found.into_iter().filter_map(|value| value.get(part));
        next.flat_map(|value| value.as_array().map_or_else(|| vec![value], |items| items.iter().collect())).collect()
    })
}

fn holds(sought: &Sought, resource: &Value) -> bool {
    match sought {
        Sought::All(parts) => parts.iter().all(|part| holds(part, resource)),
        Sought::Any(parts) => parts.iter().any(|part| holds(part, resource)),
        Sought::Not(part) => !holds(part, resource),
        Sought::Has(attribute) => values(resource, &attribute.path).iter().any(|value| **value != json!("")),
        Sought::Is(attribute, "ne", wanted) => !holds(&Sought::Is(attribute.clone(), "eq", wanted.clone()), resource),
        Sought::Is(attribute, op, wanted) => {
            values(resource, &attribute.path).iter().any(|value| compares(attribute, op, value, wanted))
        }
        Sought::Entry(list, inner) => values(resource, list).into_iter().any(|entry| holds(inner, entry)),
    }
}

fn compares(attribute: &Attribute, op: &str, found: &Value, wanted: &Value) -> bool {
    let (Some(found), Some(wanted)) = (found.as_str(), wanted.as_str()) else { return found == wanted };
    let fold = |text: &str| if attribute.exact { text.to_owned() } else { folded(text) };
    let (found, wanted) = (fold(found), fold(wanted));
    match op {
        "eq" => found == wanted,
        "co" => found.contains(&wanted),
        "sw" => found.starts_with(&wanted),
        "ew" => found.ends_with(&wanted),
        "gt" => found > wanted,
        "ge" => found >= wanted,
        "lt" => found < wanted,
        "le" => found <= wanted,
        other => panic!("{other}"),
    }
}

fn spelled(sought: &Sought, random: &mut StdRng) -> String {
    let joined = |parts: &[Sought], word: &str, random: &mut StdRng| {
        let parts: Vec<String> = parts.iter().map(|part| spelled(part, random)).collect();
        format!("({})", parts.join(word))
    };
    let cased = |text: &str, random: &mut StdRng| if random.random_bool(0.2) { text.to_uppercase() } else { text.to_owned() };
    match sought {
        Sought::All(parts) => joined(parts, " and ", random),
        Sought::Any(parts) => joined(parts, " or ", random),
        Sought::Not(part) => format!("not ({})", spelled(part, random)),
        Sought::Has(attribute) => format!("{} pr", cased(&attribute.path, random)),
        Sought::Is(attribute, op, value) => format!("{} {} {value}", cased(&attribute.path, random), cased(op, random)),
        Sought::Entry(list, inner) => format!("{list}[{}]", spelled(inner, random)),
    }
}

struct Directory {
    random: StdRng,
    /// Everything of a kind, in its order.
    people: Vec<Value>,
    groups: Vec<Value>,
}

impl Directory {
    async fn fill(company: &Company, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let mut word = || (*WORDS.choose(&mut random).unwrap()).to_owned();
        let (mut ids, mut kinds) = (Vec::new(), StdRng::seed_from_u64(seed ^ 1));
        for number in 0..PEOPLE {
            let mut person = json!({ "userName": format!("{}{number}", word()), "title": word(), "active": number % 3 > 0 });
            if number % 2 == 0 {
                person["externalId"] = json!(format!("{}{}", word(), number / 4 * 4 + number % 4));
                person[ENTERPRISE] = json!({ "department": word(), "manager": { "value": word() } });
            }
            let emails: Vec<Value> = (0..kinds.random_range(0..3))
                .map(|_| json!({ "value": word(), "type": TYPES.choose(&mut kinds).unwrap() }))
                .collect();
            person["emails"] = json!(emails);
            ids.push(text(&body(company.scim.post("/Users", &person).await, 201), "id"));
        }
        // Names without a number: what is unique is so only without case.
        for name in ["ada", "b%b", "b_b", "a\"d\"a", "back\\slash", "jos\u{e9}", "stra\u{df}e", "o'malley", "1", "True"] {
            let person = json!({ "userName": name, "externalId": name, "displayName": name });
            ids.push(text(&body(company.scim.post("/Users", &person).await, 201), "id"));
        }
        for number in 0..GROUPS {
            let members: Vec<Value> =
                (0..kinds.random_range(0..4)).map(|_| json!({ "value": ids.choose(&mut kinds).unwrap() })).collect();
            let name = if number < WORDS.len() / 2 { format!("{}{number}", word()) } else { format!("Group {number}") };
            let group = json!({ "displayName": name, "externalId": format!("{}{number}", word()), "members": members });
            ids.push(text(&body(company.scim.post("/Groups", &group).await, 201), "id"));
        }
        let all = async |path: &str| body(company.scim.get(&format!("{path}?count=1000")).await, 200)["Resources"].clone();
        let list = |value: Value| value.as_array().unwrap().clone();
        Self { people: list(all("/Users").await), groups: list(all("/Groups").await), random }
    }

    /// A value that somebody has at the path, mostly.
    fn a_value(&mut self, of: &[Value], path: &str) -> String {
        let there: Vec<&str> = of.iter().flat_map(|resource| values(resource, path)).filter_map(Value::as_str).collect();
        let text = match there.choose(&mut self.random).filter(|_| self.random.random_bool(0.8)) {
            Some(text) => (*text).to_owned(),
            None => (*WORDS.choose(&mut self.random).unwrap()).to_owned(),
        };
        match self.random.random_range(0..6) {
            0 => text.to_uppercase(),
            1 => text.chars().take(2).collect(),
            _ => text,
        }
    }

    fn an_attribute(&mut self, is_group: bool) -> Attribute {
        let people: [(&str, bool); 9] = [
            ("userName", false),
            ("userName", false),
            ("externalId", true),
            ("id", true),
            ("emails.value", false),
            ("title", false),
            ("groups.value", false),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", false),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value", false),
        ];
        let groups =
            [("displayName", false), ("displayName", false), ("externalId", true), ("id", true), ("members.value", true)];
        let from: &[(&str, bool)] = if is_group { &groups } else { &people };
        let (path, exact) = *from.choose(&mut self.random).unwrap();
        Attribute { path: path.to_owned(), exact }
    }

    fn a_filter(&mut self, is_group: bool, depth: usize) -> Sought {
        let of = if is_group { self.groups.clone() } else { self.people.clone() };
        let several =
            |random: &mut Self| (0..random.random.random_range(2..4)).map(|_| random.a_filter(is_group, depth - 1)).collect();
        match self.random.random_range(0..if depth == 0 { 6 } else { 10 }) {
            0 => Sought::Has(self.an_attribute(is_group)),
            1 if !is_group => {
                let kind = |random: &mut StdRng| {
                    let attribute = Attribute { path: "type".into(), exact: false };
                    Sought::Is(attribute, "eq", json!(TYPES.choose(random).unwrap()))
                };
                let value = Sought::Is(
                    Attribute { path: "value".into(), exact: false },
                    ["eq", "eq", "co", "ne"].choose(&mut self.random).unwrap(),
                    json!(self.a_value(&of, "emails.value")),
                );
                let kind = kind(&mut self.random);
                let inner = match self.random.random_range(0..4) {
                    0 => Sought::All(vec![kind, value]),
                    1 => Sought::All(vec![value, kind]),
                    2 => Sought::Any(vec![kind, value]),
                    _ => Sought::All(vec![Sought::Not(Box::new(kind)), value]),
                };
                Sought::Entry("emails", Box::new(inner))
            }
            2 if !is_group => {
                let active = Attribute { path: "active".into(), exact: false };
                Sought::Is(active, "eq", json!(self.random.random_bool(0.5)))
            }
            6 | 7 => Sought::All(several(self)),
            8 => Sought::Any(several(self)),
            9 => Sought::Not(Box::new(self.a_filter(is_group, depth - 1))),
            _ => {
                let attribute = self.an_attribute(is_group);
                let ops = ["eq", "eq", "eq", "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"];
                let op = ops.choose(&mut self.random).unwrap();
                let value = self.a_value(&of, &attribute.path);
                Sought::Is(attribute, op, json!(value))
            }
        }
    }
}

fn ids(list: &Value) -> Vec<String> {
    list["Resources"].as_array().unwrap().iter().map(|resource| text(resource, "id")).collect()
}

on_each_database! {
    async fn a_query_in_plain_utf_8_is_read_and_one_with_a_quotation_mark_is_no_request(company: &Company) {
        body(company.scim.post("/Users", &user("josé@acme.example")).await, 201);
        let get = async |query: &str| {
            let path = format!("/scim/v2/{}/Users?filter={query}", company.id);
            let authorization = format!("Authorization: Bearer {}", company.token());
            let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n{authorization}\r\nConnection: close\r\n\r\n");
            raw(&company.installation.provisioner, &request).await
        };

        assert!(get("userName%20eq%20%22josé@acme.example%22").await.contains("\"totalResults\":1"));
        let refused = get("userName%20eq%20\"josé@acme.example\"").await;
        assert!(refused.starts_with("HTTP/1.1 400 ") && refused.contains("content-length: 0"), "{refused}");
    }

    async fn a_plus_sign_in_a_query_is_what_its_sender_meant(company: &Company) {
        let scim = &company.scim;
        let ada = body(scim.post("/Users", &user("ada+hr@acme.example")).await, 201);
        body(scim.post("/Groups", &json!({ "displayName": "R+D Berlin" })).await, 201);
        let created = ada["meta"]["created"].as_str().unwrap();
        let moment = chrono::DateTime::parse_from_rfc3339(created).unwrap();
        let elsewhere = moment.with_timezone(&chrono::FixedOffset::east_opt(7_200).unwrap()).to_rfc3339();
        assert!(elsewhere.ends_with("+02:00"), "{elsewhere}");

        for query in [
            // As .NET's `Uri` and others send it that leave the plus sign as it is.
            "/Users?filter=userName%20eq%20%22ada+hr@acme.example%22".to_owned(),
            "/Users?filter=userName%20eq%20ada+hr@acme.example".to_owned(),
            format!("/Users?filter=meta.created%20ge%20%22{elsewhere}%22"),
            format!("/Users?filter=meta.created%20ge%20{elsewhere}"),
            "/Groups?filter=displayName%20eq%20%22R+D%20Berlin%22".to_owned(),
            // As an encoder of forms does.
            "/Users?filter=userName+eq+%22ada%2Bhr%40acme.example%22".to_owned(),
            "/Groups?filter=displayName+eq+%22R%2BD+Berlin%22".to_owned(),
            // By hand.
            "/Groups?filter=displayName+eq+%22R%2BD%20Berlin%22".to_owned(),
        ] {
            assert_eq!(body(scim.get(&query).await, 200)["totalResults"], 1, "{query}");
        }
    }

    async fn a_filter_finds_whom_a_slow_reading_of_it_finds(company: &Company) {
        let mut directory = Directory::fill(company, random_seed("searching")).await;
        let mut found_some = 0;

        for _ in 0..if is_long() { 20_000 } else { 300 } {
            let is_group = directory.random.random_bool(0.25);
            let sought = directory.a_filter(is_group, 2);
            let filter = spelled(&sought, &mut directory.random);
            let (resources, of) = if is_group { ("/Groups", &directory.groups) } else { ("/Users", &directory.people) };
            let expected: Vec<String> =
                of.iter().filter(|resource| holds(&sought, resource)).map(|resource| text(resource, "id")).collect();
            found_some += usize::from(!expected.is_empty());

            let all = body(company.scim.find(resources, &filter).await, 200);
            assert_eq!((ids(&all), &all["totalResults"]), (expected.clone(), &json!(expected.len())), "{filter}");
            let (start, count) = (directory.random.random_range(1..8_usize), directory.random.random_range(0..5_usize));
            // Without the rows too: what the answer leaves out is still looked at.
            let search = json!({ "filter": filter, "startIndex": start, "count": count, "excludedAttributes": ["members", "groups"] });
            let page = company.scim.send(Method::POST, &format!("{resources}/.search"), http::HeaderMap::new(), Some(&search)).await;
            let page = body(page, 200);
            let on_page: Vec<String> = expected.iter().skip(start - 1).take(count).cloned().collect();
            assert_eq!((ids(&page), &page["totalResults"]), (on_page, &json!(expected.len())), "{filter} {start} {count}");
        }
        assert!(found_some > 50, "{found_some}: the filters find nobody");
    }
}
