//! One round of provisioning: finds, creates and patches until the server holds what the directory says. It stops at the
//! first request that gets no answer or whose token is refused, as Entra goes into quarantine.

use std::{collections::BTreeSet, sync::Mutex};

use reqwest::Method;
use serde_json::Value;

use super::{
    client::{Answer, Client},
    exchange::{Action, Exchange, SyncReport},
    journal::Journal,
    link::{RemoteGroup, RemoteUser, Target},
    message,
};
use crate::{
    directory::{Directory, Group, GroupId, Person, PersonId},
    provider::{lock, now},
};

/// The server is out of reach or refuses us: the rest waits for the next round.
#[derive(Debug)]
struct Stop;

/// What one request is about.
struct About {
    action: Action,
    subject: String,
    people: Vec<PersonId>,
}

impl About {
    fn person(action: Action, person: &Person) -> Self {
        Self { action, subject: person.name(), people: vec![person.id.clone()] }
    }

    fn group(action: Action, group: &Group, people: &[PersonId]) -> Self {
        Self { action, subject: group.name.clone(), people: people.to_vec() }
    }
}

pub(super) struct Round<'a> {
    target: &'a Target,
    client: &'a Client,
    directory: &'a Mutex<Directory>,
    journal: &'a Journal,
    sent: Vec<Exchange>,
}

impl<'a> Round<'a> {
    pub(super) fn new(target: &'a Target, client: &'a Client, directory: &'a Mutex<Directory>, journal: &'a Journal) -> Self {
        Self { target, client, directory, journal, sent: Vec::new() }
    }

    pub(super) fn into_report(self) -> SyncReport {
        SyncReport { requests: self.sent }
    }

    pub(super) async fn run(&mut self, people: &[PersonId], groups: &[GroupId]) {
        for id in people {
            if self.person(id).await.is_err() {
                return;
            }
        }
        for id in groups {
            if self.group(id).await.is_err() {
                return;
            }
        }
    }

    async fn person(&mut self, id: &PersonId) -> Result<(), Stop> {
        let turn = self.target.turn(id.as_str());
        let _turn = turn.lock().await;
        let Some(person) = lock(self.directory).person(id).cloned() else {
            return Ok(());
        };
        let known = match self.target.user(id) {
            Some(known) => Some(known),
            None => self.join(&person).await?,
        };
        match known {
            Some(known) if known.active != person.active => self.switch(&person, known).await,
            Some(_) | None => Ok(()),
        }
    }

    /// Finds the user by the matching attribute, or creates it. Somebody who is off and was never there stays away.
    async fn join(&mut self, person: &Person) -> Result<Option<RemoteUser>, Stop> {
        let about = About::person(Action::FindUser, person);
        let found = self.send(about, Method::GET, message::find_user(&person.user_name), None).await?;
        let Some(found) = found else { return Ok(None) };
        if let Some(resource) = first(&found.body) {
            return Ok(self.keep_user(&person.id, resource));
        }
        if !person.active {
            return Ok(None);
        }
        let about = About::person(Action::CreateUser, person);
        let created = self.send(about, Method::POST, "/Users".to_owned(), Some(message::user(person))).await?;
        Ok(created.and_then(|answer| self.keep_user(&person.id, &answer.body)))
    }

    async fn switch(&mut self, person: &Person, known: RemoteUser) -> Result<(), Stop> {
        let action = if person.active { Action::Activate } else { Action::Deactivate };
        let path = format!("/Users/{}", known.id);
        let answer = self.send(About::person(action, person), Method::PATCH, path, Some(message::active(person.active))).await?;
        if answer.is_some() {
            self.target.set_user(&person.id, RemoteUser { active: person.active, ..known });
        } else if self.is_gone() {
            self.target.forget_user(&person.id);
        }
        Ok(())
    }

    async fn group(&mut self, id: &GroupId) -> Result<(), Stop> {
        let turn = self.target.turn(id.as_str());
        let _turn = turn.lock().await;
        let Some(group) = lock(self.directory).group(id).cloned() else {
            return Ok(());
        };
        let known = match self.target.group(id) {
            Some(known) => Some(known),
            None => self.join_group(&group).await?,
        };
        match known {
            Some(known) => self.members(&group, known).await,
            None => Ok(()),
        }
    }

    async fn join_group(&mut self, group: &Group) -> Result<Option<RemoteGroup>, Stop> {
        let about = About::group(Action::FindGroup, group, &[]);
        let found = self.send(about, Method::GET, message::find_group(&group.name), None).await?;
        let Some(found) = found else { return Ok(None) };
        if let Some(resource) = first(&found.body) {
            return Ok(self.keep_group(&group.id, resource));
        }
        let about = About::group(Action::CreateGroup, group, &[]);
        let created = self.send(about, Method::POST, "/Groups".to_owned(), Some(message::group(group))).await?;
        Ok(created.and_then(|answer| self.keep_group(&group.id, &answer.body)))
    }

    /// Entra removes only members that it added itself, so what others added stays.
    async fn members(&mut self, group: &Group, mut known: RemoteGroup) -> Result<(), Stop> {
        let wanted: BTreeSet<PersonId> = group.members.iter().filter(|id| self.target.user(id).is_some()).cloned().collect();
        let added: Vec<PersonId> = wanted.difference(&known.members).cloned().collect();
        let removed: Vec<PersonId> = known.members.difference(&wanted).cloned().collect();
        let path = format!("/Groups/{}", known.id);
        if !added.is_empty() {
            let body = message::add_members(&self.remote_ids(&added));
            let about = About::group(Action::AddMembers, group, &added);
            if self.send(about, Method::PATCH, path.clone(), Some(body)).await?.is_some() {
                known.members.extend(added);
                self.target.set_group(&group.id, known.clone());
            } else if self.is_gone() {
                self.target.forget_group(&group.id);
                return Ok(());
            }
        }
        if !removed.is_empty() {
            let body = message::remove_members(&self.remote_ids(&removed));
            let about = About::group(Action::RemoveMembers, group, &removed);
            if self.send(about, Method::PATCH, path, Some(body)).await?.is_some() {
                known.members.retain(|id| !removed.contains(id));
                self.target.set_group(&group.id, known);
            } else if self.is_gone() {
                self.target.forget_group(&group.id);
            }
        }
        Ok(())
    }

    /// Sends one request and notes it; `None` is a refusal that concerns this object alone.
    async fn send(&mut self, about: About, method: Method, path: String, body: Option<Value>) -> Result<Option<Answer>, Stop> {
        let at = now();
        let answer = self.client.send(self.target, &method, &path, body.as_ref()).await;
        let exchange = self.journal.note(Exchange {
            number: 0,
            at,
            action: about.action,
            subject: about.subject,
            method: method.to_string(),
            path,
            body,
            status: answer.status,
            ms: answer.ms,
            failure: answer.failure.clone(),
            people: about.people,
        });
        let (is_confirmed, is_hopeless) = (exchange.is_confirmed(), exchange.is_hopeless());
        tracing::debug!(scim.action = ?exchange.action, http.status = exchange.status, scim.ms = exchange.ms, "sent a SCIM request");
        self.sent.push(exchange);
        if is_hopeless {
            return Err(Stop);
        }
        Ok(is_confirmed.then_some(answer))
    }

    /// The server no longer has the object: the next round looks for it, and creates it, anew.
    fn is_gone(&self) -> bool {
        self.sent.last().is_some_and(|exchange| exchange.status == Some(404))
    }

    fn keep_user(&self, id: &PersonId, resource: &Value) -> Option<RemoteUser> {
        let active = resource.get("active").and_then(Value::as_bool).unwrap_or(true);
        let user = RemoteUser { id: resource_id(resource)?, active };
        self.target.set_user(id, user.clone());
        Some(user)
    }

    fn keep_group(&self, id: &GroupId, resource: &Value) -> Option<RemoteGroup> {
        let group = RemoteGroup { id: resource_id(resource)?, members: BTreeSet::new() };
        self.target.set_group(id, group.clone());
        Some(group)
    }

    fn remote_ids(&self, people: &[PersonId]) -> Vec<String> {
        people.iter().filter_map(|id| self.target.user(id)).map(|user| user.id).collect()
    }
}

fn first(list: &Value) -> Option<&Value> {
    list.get("Resources")?.as_array()?.first()
}

/// An id goes into a path, so one that could leave it is no id.
fn resource_id(resource: &Value) -> Option<String> {
    let id = resource.get("id")?.as_str()?;
    let is_safe = !id.is_empty()
        && !id.starts_with('.')
        && id.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'));
    is_safe.then(|| id.to_owned())
}
