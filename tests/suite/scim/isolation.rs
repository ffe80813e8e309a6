//! P19: twenty workspaces whose people and groups have the same names, and a long random conversation with all of them. A model
//! knows what each must answer; no answer, trail, log or metric of one speaks of another.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use http::{HeaderMap, Method};
use lockstep_tests::{
    harness::{eventually, http::Answer, scim::Scim, services::Program},
    world::text,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{Company, Installation, is_long, on_each_database, patch, random_seed};

const TENANTS: usize = 20;
const NAMES: [&str; 8] = ["ada", "bob", "cyd", "dan", "eve", "fay", "gus", "hal"];
const EXTERNAL_IDS: [&str; 5] = ["1", "2", "admin", "0", "-1"];
const NOBODY: &str = "01900000-0000-7000-8000-000000000000";
/// Where a client that is told to come later does so, and no other.
const PATIENCE: Duration = Duration::from_mins(2);

#[derive(Clone, Debug, Default, PartialEq)]
struct Person {
    name: String,
    external_id: Option<String>,
    active: bool,
    title: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Crew {
    name: String,
    members: BTreeSet<String>,
}

/// A workspace, and what it has to be.
struct Tenant {
    id: String,
    scim: Scim,
    /// What every text of this workspace carries.
    mark: String,
    people: BTreeMap<String, Person>,
    crews: BTreeMap<String, Crew>,
    gone: BTreeSet<String>,
}

impl Tenant {
    fn person(&self, id: &str, person: &Person) -> Value {
        let groups: Vec<&String> = self.crews.iter().filter(|(_, crew)| crew.members.contains(id)).map(|(id, _)| id).collect();
        let mut shown = json!({ "id": id, "userName": person.name, "active": person.active });
        for (name, value) in [("externalId", &person.external_id), ("title", &person.title)] {
            if let Some(value) = value {
                shown[name] = json!(value);
            }
        }
        if !groups.is_empty() {
            shown["groups"] = json!(groups);
        }
        shown
    }

    fn crew(id: &str, crew: &Crew) -> Value {
        json!({ "id": id, "displayName": crew.name, "members": crew.members })
    }

    fn show(&self, id: &str) -> Option<Value> {
        let person = self.people.get(id).map(|person| self.person(id, person));
        person.or_else(|| self.crews.get(id).map(|crew| Self::crew(id, crew)))
    }

    fn all(&self, resources: &str) -> Vec<Value> {
        match resources {
            "/Users" => self.people.iter().map(|(id, person)| self.person(id, person)).collect(),
            _ => self.crews.iter().map(|(id, crew)| Self::crew(id, crew)).collect(),
        }
    }

    /// Whether somebody else has the name. An identifier of the provider's may be repeated.
    fn is_taken(&self, but: &str, person: &Person) -> bool {
        self.people.iter().any(|(id, other)| id != but && other.name.eq_ignore_ascii_case(&person.name))
    }

    fn has_crew(&self, but: &str, name: &str) -> bool {
        self.crews.iter().any(|(id, crew)| id != but && crew.name.eq_ignore_ascii_case(name))
    }

    fn remove(&mut self, id: &str) {
        self.people.remove(id);
        self.crews.remove(id);
        for crew in self.crews.values_mut() {
            crew.members.remove(id);
        }
        self.gone.insert(id.to_owned());
    }
}

/// A resource as the model shows it.
fn plain(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let members = resource.as_object_mut().unwrap();
    assert!(members.remove("meta").is_some() && members.remove("schemas").is_some());
    for rows in ["members", "groups"] {
        if let Some(rows) = members.get_mut(rows) {
            let ids: BTreeSet<String> = rows.as_array().unwrap().iter().map(|row| text(row, "value")).collect();
            *rows = json!(ids);
        }
    }
    resource
}

/// The record ids in a text.
fn ids_in(text: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_hexdigit() || c == '-';
    text.split(move |c| !is_part(c)).filter(|word| word.len() == NOBODY.len() && word.matches('-').count() == 4)
}

struct Walk {
    random: StdRng,
    tenants: Vec<Tenant>,
    /// Whatever was an id anywhere.
    known: Vec<String>,
}

impl Walk {
    async fn start(installation: &Installation, name: &str, seed: u64) -> Self {
        let mut tenants = Vec::new();
        for number in 0..TENANTS {
            let id = format!("{name}-{number:02}");
            let (scim, mark) = (installation.workspace(&id).await, format!("~{name}.{number:02}~"));
            tenants.push(Tenant { id, scim, mark, people: BTreeMap::new(), crews: BTreeMap::new(), gone: BTreeSet::new() });
        }
        Self { random: StdRng::seed_from_u64(seed), tenants, known: vec![NOBODY.to_owned()] }
    }

    fn pick<'l>(&mut self, from: &[&'l str]) -> &'l str {
        from.choose(&mut self.random).unwrap()
    }

    fn a_name(&mut self) -> String {
        let name = self.pick(&NAMES);
        if self.random.random_bool(0.3) { name.to_uppercase() } else { name.to_owned() }
    }

    fn an_external_id(&mut self) -> Option<String> {
        self.random.random_bool(0.5).then(|| self.pick(&EXTERNAL_IDS).to_owned())
    }

    /// An id of anybody's, one's own somewhat more often than chance would have it.
    fn an_id(&mut self, tenant: usize) -> String {
        let own: Vec<&String> = self.tenants[tenant].people.keys().chain(self.tenants[tenant].crews.keys()).collect();
        match own.choose(&mut self.random).filter(|_| self.random.random_bool(0.6)) {
            Some(id) => (*id).clone(),
            None => self.known.choose(&mut self.random).unwrap().clone(),
        }
    }

    /// Asks, and looks at every word of the answer for another workspace's.
    async fn ask(&self, tenant: usize, method: Method, path: &str, sent: Option<&Value>) -> (u16, Value) {
        let of = &self.tenants[tenant];
        let answer: Answer = eventually("a turn", PATIENCE, async || {
            let answer = of.scim.send(method.clone(), path, HeaderMap::new(), sent).await.unwrap();
            (answer.status != 429).then_some(answer)
        })
        .await
        .unwrap();
        let said = format!("{:?} {}", answer.headers, answer.text());
        let asked = format!("{path} {}", sent.map(ToString::to_string).unwrap_or_default());
        self.is_about_nobody_else(tenant, &said, &asked);
        let body = if answer.body.is_empty() { Value::Null } else { answer.json().unwrap() };
        (answer.status.as_u16(), body)
    }

    fn is_about_nobody_else(&self, tenant: usize, said: &str, asked: &str) {
        let own = &self.tenants[tenant];
        for other in self.tenants.iter().filter(|other| other.id != own.id) {
            assert!(
                !said.contains(&other.mark) && !said.contains(&other.id),
                "{}, asked {asked}, speaks of {}: {said}",
                own.id,
                other.id
            );
        }
        for id in ids_in(said).filter(|id| self.known.iter().any(|known| known == id)) {
            let is_own = own.people.contains_key(id) || own.crews.contains_key(id) || own.gone.contains(id);
            let was_told = asked.contains(id) || own.crews.values().any(|crew| crew.members.contains(id));
            assert!(is_own || was_told, "{}, asked {asked}, knows {id}: {said}", own.id);
        }
    }

    async fn step(&mut self) {
        let tenant = self.random.random_range(0..TENANTS);
        match self.random.random_range(0..12) {
            0 | 1 => self.create_person(tenant).await,
            2 => self.create_crew(tenant).await,
            3 => self.read(tenant).await,
            4 => self.put(tenant).await,
            5 | 6 => self.patch_person(tenant).await,
            7 | 8 => self.patch_crew(tenant).await,
            9 => self.delete(tenant).await,
            10 => self.find(tenant).await,
            _ => self.list(tenant).await,
        }
    }

    async fn create_person(&mut self, tenant: usize) {
        let title = self.random.random_bool(0.5).then(|| self.tenants[tenant].mark.clone());
        let person =
            Person { name: self.a_name(), external_id: self.an_external_id(), active: self.random.random_bool(0.8), title };
        let id = self.an_id(tenant);
        let sent = json!({
            "id": id, "userName": person.name, "externalId": person.external_id, "active": person.active, "title": person.title,
            "groups": [{ "value": id }],
        });

        let (status, body) = self.ask(tenant, Method::POST, "/Users", Some(&sent)).await;

        if self.tenants[tenant].is_taken("", &person) {
            assert_eq!(
                (status, &body["scimType"]),
                (409, &json!("uniqueness")),
                "{sent} {body} in {:#?}",
                self.tenants[tenant].people
            );
            return;
        }
        assert_eq!(status, 201, "{sent} {body} in {:#?}", self.tenants[tenant].people);
        let id = text(&body, "id");
        assert!(!self.known.contains(&id), "a new id");
        assert_eq!(plain(&body), self.tenants[tenant].person(&id, &person));
        self.known.push(id.clone());
        self.tenants[tenant].people.insert(id, person);
    }

    async fn create_crew(&mut self, tenant: usize) {
        let name = self.a_name();
        let members: BTreeSet<String> = (0..self.random.random_range(0..4)).map(|_| self.an_id(tenant)).collect();
        let sent = json!({ "displayName": name, "members": members.iter().map(|id| json!({ "value": id })).collect::<Value>() });

        let (status, body) = self.ask(tenant, Method::POST, "/Groups", Some(&sent)).await;

        if self.tenants[tenant].has_crew("", &name) {
            assert_eq!((status, &body["scimType"]), (409, &json!("uniqueness")), "{sent} {body}");
            return;
        }
        assert_eq!(status, 201, "{sent} {body}");
        let (id, crew) = (text(&body, "id"), Crew { name, members });
        assert_eq!(plain(&body), Tenant::crew(&id, &crew));
        self.known.push(id.clone());
        self.tenants[tenant].crews.insert(id, crew);
    }

    async fn read(&mut self, tenant: usize) {
        let (id, resources) = (self.an_id(tenant), self.pick(&["/Users", "/Groups"]));

        let (status, body) = self.ask(tenant, Method::GET, &format!("{resources}/{id}"), None).await;

        let own = &self.tenants[tenant];
        let is_there = if resources == "/Users" { own.people.contains_key(&id) } else { own.crews.contains_key(&id) };
        match own.show(&id).filter(|_| is_there) {
            Some(expected) => assert_eq!((status, plain(&body)), (200, expected)),
            None => assert_eq!(status, 404, "{id} {body}"),
        }
    }

    async fn put(&mut self, tenant: usize) {
        let (id, name) = (self.an_id(tenant), self.a_name());
        let sent = json!({ "userName": name, "displayName": name, "title": self.tenants[tenant].mark });
        let resources = if self.tenants[tenant].crews.contains_key(&id) { "/Groups" } else { "/Users" };

        let (status, body) = self.ask(tenant, Method::PUT, &format!("{resources}/{id}"), Some(&sent)).await;

        let own = &mut self.tenants[tenant];
        if let Some(crew) = own.crews.get(&id).cloned() {
            if own.has_crew(&id, &name) {
                return assert_eq!(status, 409, "{body}");
            }
            own.crews.insert(id.clone(), Crew { name, ..crew });
        } else if let Some(person) = own.people.get(&id).cloned() {
            let mut shown = Person { name, title: Some(own.mark.clone()), ..person };
            if own.is_taken(&id, &shown) {
                return assert_eq!(status, 409, "{body}");
            }
            std::mem::swap(own.people.get_mut(&id).unwrap(), &mut shown);
        } else {
            return assert_eq!(status, 404, "{id} {body}");
        }
        // A person shows a display name too, which the model does not keep.
        let mut body = plain(&body);
        if resources == "/Users" {
            body.as_object_mut().unwrap().remove("displayName");
        }
        assert_eq!((status, Some(body)), (200, self.tenants[tenant].show(&id)));
        if resources == "/Users" {
            let tidy = patch(&json!([{ "op": "remove", "path": "displayName" }]));
            assert_eq!(self.ask(tenant, Method::PATCH, &format!("/Users/{id}"), Some(&tidy)).await.0, 200);
        }
    }

    async fn patch_person(&mut self, tenant: usize) {
        let id = self.an_id(tenant);
        let mut changed = self.tenants[tenant].people.get(&id).cloned().unwrap_or_default();
        let mark = self.tenants[tenant].mark.clone();
        let mut operations = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            operations.push(match self.random.random_range(0..5) {
                0 => {
                    changed.active = self.random.random_bool(0.5);
                    json!({ "op": "Replace", "path": "active", "value": if changed.active { "True" } else { "False" } })
                }
                1 => {
                    changed.name = self.a_name();
                    json!({ "op": "replace", "value": { "userName": changed.name } })
                }
                2 => {
                    changed.external_id = Some(self.pick(&EXTERNAL_IDS).to_owned());
                    json!({ "op": "add", "path": "externalId", "value": changed.external_id })
                }
                3 => {
                    changed.external_id = None;
                    json!({ "op": "remove", "path": "externalId" })
                }
                _ => {
                    changed.title = self.random.random_bool(0.5).then(|| mark.clone());
                    json!({ "op": "replace", "path": "title", "value": changed.title })
                }
            });
        }

        let sent = patch(&json!(operations));
        let (status, body) = self.ask(tenant, Method::PATCH, &format!("/Users/{id}"), Some(&sent)).await;

        let own = &mut self.tenants[tenant];
        if !own.people.contains_key(&id) {
            return assert_eq!(status, 404, "{id} {body}");
        }
        if own.is_taken(&id, &changed) {
            return assert_eq!(status, 409, "{sent} {body}");
        }
        own.people.insert(id.clone(), changed);
        assert_eq!((status, Some(plain(&body))), (200, own.show(&id)), "{sent}");
    }

    async fn patch_crew(&mut self, tenant: usize) {
        let id = self.an_id(tenant);
        let mut changed = self.tenants[tenant].crews.get(&id).cloned().unwrap_or_default();
        let mut operations = Vec::new();
        for _ in 0..self.random.random_range(1..4) {
            let member = self.an_id(tenant);
            operations.push(match self.random.random_range(0..5) {
                0 | 1 => {
                    changed.members.insert(member.clone());
                    json!({ "op": "Add", "path": "members", "value": [{ "value": member }] })
                }
                2 => {
                    changed.members.remove(&member);
                    json!({ "op": "Remove", "path": "members", "value": [{ "value": member }] })
                }
                3 => {
                    changed.members.remove(&member);
                    json!({ "op": "remove", "path": format!("members[value eq \"{member}\"]") })
                }
                _ => {
                    changed.name = self.a_name();
                    json!({ "op": "replace", "value": { "id": id, "displayName": changed.name } })
                }
            });
        }

        let sent = patch(&json!(operations));
        let (status, body) = self.ask(tenant, Method::PATCH, &format!("/Groups/{id}"), Some(&sent)).await;

        let own = &mut self.tenants[tenant];
        if !own.crews.contains_key(&id) {
            return assert_eq!(status, 404, "{id} {body}");
        }
        if own.has_crew(&id, &changed.name) {
            return assert_eq!(status, 409, "{sent} {body}");
        }
        own.crews.insert(id, changed);
        assert_eq!(status, 204, "{sent} {body}");
    }

    async fn delete(&mut self, tenant: usize) {
        let (id, resources) = (self.an_id(tenant), self.pick(&["/Users", "/Groups"]));

        let (status, body) = self.ask(tenant, Method::DELETE, &format!("{resources}/{id}"), None).await;

        let own = &mut self.tenants[tenant];
        let is_there = if resources == "/Users" { own.people.contains_key(&id) } else { own.crews.contains_key(&id) };
        assert_eq!(status, if is_there { 204 } else { 404 }, "{id} {body}");
        if is_there {
            own.remove(&id);
        }
    }

    /// A filter with `or`, which must not lead out of the workspace.
    async fn find(&mut self, tenant: usize) {
        let (id, name, external_id) = (self.an_id(tenant), self.a_name(), self.pick(&EXTERNAL_IDS));
        let filter = format!("id eq \"{id}\" or userName eq \"{name}\" or externalId eq \"{external_id}\"");
        let sent = json!({ "filter": filter });

        let (status, body) = self.ask(tenant, Method::POST, "/Users/.search", Some(&sent)).await;

        let own = &self.tenants[tenant];
        let is_meant = |known: &str, person: &Person| {
            known == id || person.name.eq_ignore_ascii_case(&name) || person.external_id.as_deref() == Some(external_id)
        };
        let meant = own.people.iter().filter(|(known, person)| is_meant(known, person));
        let expected: Vec<Value> = meant.map(|(id, person)| own.person(id, person)).collect();
        let shown: Vec<Value> = body["Resources"].as_array().unwrap().iter().map(plain).collect();
        assert_eq!((status, &body["totalResults"], shown), (200, &json!(expected.len()), expected), "{filter}");
    }

    async fn list(&mut self, tenant: usize) {
        let resources = self.pick(&["/Users", "/Groups"]);

        let (status, body) = self.ask(tenant, Method::GET, resources, None).await;

        let shown: Vec<Value> = body["Resources"].as_array().unwrap().iter().map(plain).collect();
        assert_eq!((status, shown), (200, self.tenants[tenant].all(resources)));
    }

    /// After all of it: every directory, trail, the log and the metrics.
    async fn finish(&mut self, installation: &Installation) {
        for tenant in 0..TENANTS {
            self.list(tenant).await;
            let export = ["audit", "export", &self.tenants[tenant].id];
            let trail = installation.site.output(Program::Provisioner, &export, &[]).await.unwrap();
            assert!(trail.status.success() && !trail.stdout.is_empty());
            self.is_about_nobody_else(tenant, &String::from_utf8_lossy(&trail.stdout), "its trail");
        }
        let metrics =
            reqwest::get(format!("{}/metrics", installation.provisioner.ops_url())).await.unwrap().text().await.unwrap();
        let log = installation.provisioner.log();
        for counted in
            ["lockstep_scim_operations_total{action=\"user.create\",outcome=\"done\"}", "lockstep_barrier_seconds_count"]
        {
            let count = metrics.lines().find_map(|line| line.strip_prefix(counted)?.trim().parse::<u64>().ok());
            assert!(count.is_some_and(|count| count > 0), "{counted}: {metrics}");
        }
        for tenant in &self.tenants {
            assert!(!metrics.contains(&tenant.mark) && !log.contains(&tenant.mark), "{}", tenant.mark);
            assert!(!metrics.contains(&tenant.id), "{metrics}");
            assert!(!tenant.people.keys().any(|id| metrics.contains(id)), "{metrics}");
        }
    }
}

on_each_database! {
    async fn p19_twenty_workspaces_of_the_same_names_stay_apart(company: &Company) {
        let steps = if is_long() { 500_000 } else { 1_500 };
        let mut walk = Walk::start(company.installation, &format!("{}-t", company.id), random_seed("p19")).await;

        for _ in 0..steps {
            walk.step().await;
        }

        walk.finish(company.installation).await;
        let (people, gone) =
            walk.tenants.iter().fold((0, 0), |(people, gone), tenant| (people + tenant.people.len(), gone + tenant.gone.len()));
        assert!(people > 20 && gone > 20, "{people} people, {gone} gone: too little happened");
    }
}
