//! Why one person has no account: whether they are here, were refused, were deleted, or were never sent.

use lockstep_shared::{
    check::Finding,
    clock::Timestamp,
    id::{UserId, WorkspaceId},
    model::{
        provisioning::Entry,
        user::{Origin, User},
    },
    store::{LogDeletion, Store},
};

use super::{
    Context, OpsError,
    lines::Words,
    not_created,
    refusals::{Standing, each_once, is_harmless},
    successes::STRETCH,
};
use crate::{
    journal::{NAME_DIGEST, Names},
    ops::user,
};

/// How many attempts to create the person are looked at.
const ATTEMPTS: u32 = 1_000;

/// Whom the question is about.
#[derive(Debug)]
pub(super) struct Person {
    pub(super) is: Is,
    /// The attempts to create somebody of that name that were not carried out, newest first.
    pub(super) attempts: Vec<Entry>,
}

/// Where the person is.
#[derive(Debug)]
pub(super) enum Is {
    /// Here.
    Here(Box<User>),
    /// Deleted, under this id, at that moment.
    Deleted(String, Timestamp),
    /// Nobody has this name.
    Unknown,
}

pub(super) async fn look_up(context: &Context, id: &WorkspaceId, name: &str) -> Result<Person, OpsError> {
    let store = context.store().await?;
    let (is, name) = match user::find(context, id, name).await {
        Ok(user) => {
            let name = user.profile.user_name.clone();
            (Is::Here(Box::new(user)), name)
        }
        Err(OpsError::UnknownUser { .. }) => (gone(context, id, name).await?, name.to_owned()),
        Err(error) => return Err(error),
    };
    Ok(Person { is, attempts: not_created(store, id, &name, ATTEMPTS).await? })
}

/// Who is not here, by their id as the audit trail has it, or by their name as the log has it.
async fn gone(context: &Context, id: &WorkspaceId, name: &str) -> Result<Is, OpsError> {
    let store = context.store().await?;
    if let Ok(user) = UserId::parse(name) {
        let trail = store.audit_trail(id, Some(user.as_str()), ATTEMPTS).await?;
        let deleted = trail.into_iter().find(|record| record.action == "user.deleted");
        return Ok(deleted.map_or(Is::Unknown, |record| Is::Deleted(user.to_string(), record.at)));
    }
    let found = deleted(store, id, name, 1).await?.pop();
    Ok(found.map_or(Is::Unknown, |found| Is::Deleted(found.target, found.at)))
}

/// Who had this name and was deleted, newest first, by the name as the log has it; no more than so many.
pub(super) async fn deleted(store: &Store, id: &WorkspaceId, name: &str, most: usize) -> Result<Vec<LogDeletion>, OpsError> {
    let span = store.log_span(id, Timestamp(0), super::READ).await?;
    let digests = Names::new(store.clone()).digests(id, name).await?;
    let is_theirs = |deletion: &LogDeletion| deletion.text.as_ref().is_some_and(|digest| digests.contains(digest));
    let (mut found, mut before) = (Vec::new(), None);
    loop {
        let deletions = store.log_of_deletions(id, &span, NAME_DIGEST, before.as_ref(), STRETCH).await?;
        let last = deletions.last().map(|deletion| deletion.entry.clone());
        found.extend(deletions.into_iter().filter(is_theirs));
        if last.is_none() || found.len() >= most {
            found.truncate(most);
            return Ok(found);
        }
        before = last;
    }
}

impl Person {
    /// What is found of the person.
    pub(super) fn findings(&self, workspace: &WorkspaceId, words: Words, since: Timestamp) -> Vec<Finding> {
        const AGAIN: &str = "assign the person, or a group that the person is in directly, to the application at the identity \
                             provider: it then sends a new user";
        let last_attempt = self.attempts.first().map(|entry| entry.at);
        let mut findings = vec![match &self.is {
            Is::Here(user) => here(user, workspace, words),
            Is::Deleted(id, at) if last_attempt.is_none_or(|attempt| attempt < *at) => Finding::problem(
                "person",
                format!("user {id} was deleted at {at}, and nobody of this name was sent since"),
                AGAIN,
            ),
            Is::Deleted(id, at) => Finding::problem(
                "person",
                format!("user {id} was deleted at {at}; a new user of this name was sent since, and not created"),
                "mend what is told next; the identity provider sends them again by itself",
            ),
            Is::Unknown if last_attempt.is_some() => Finding::problem(
                "person",
                "nobody of this name is here: they were sent, and not created",
                "mend what is told next; the identity provider sends them again by itself",
            ),
            Is::Unknown => Finding::problem(
                "person",
                "nobody of this name is here, and the log has nobody of this name who was sent, refused or deleted: they were never \
                 sent, or longer ago than the log is kept",
                format!("{AGAIN}; look there which userName it sends for the person, if it is another"),
            ),
        }];
        findings.extend(each_once("person", &self.attempts, words, |entry| self.standing(entry, since)));
        findings
    }

    /// Whoever is here was created after all; of those who are not, whatever was refused is a reason.
    fn standing(&self, entry: &Entry, since: Timestamp) -> Option<Standing> {
        match &self.is {
            Is::Here(user) if user.created_at > entry.at => Some(Standing::Solved),
            // The identity provider sends somebody anew whom it has not found: they are here all the same.
            Is::Here(_) => (entry.at >= since).then_some(Standing::Remark),
            Is::Deleted(_, at) if entry.at < *at => None,
            Is::Deleted(..) | Is::Unknown if is_harmless(entry) => Some(Standing::Remark),
            Is::Deleted(..) | Is::Unknown => Some(Standing::Open),
        }
    }

    /// Whether an entry is about the person.
    pub(super) fn is_concerned(&self, entry: &Entry) -> bool {
        let id = match &self.is {
            Is::Here(user) => user.id.as_str(),
            Is::Deleted(id, _) => id.as_str(),
            Is::Unknown => "",
        };
        self.attempts.iter().any(|attempt| attempt.id == entry.id)
            || !id.is_empty() && (entry.target == id || entry.people.iter().any(|person| person == id))
    }
}

fn here(user: &User, workspace: &WorkspaceId, words: Words) -> Finding {
    let (id, at) = (&user.id, user.created_at);
    if !user.profile.active {
        return Finding::problem(
            "person",
            format!("user {id} is here since {at}, and is deactivated"),
            "assign the person to the application at the identity provider again",
        );
    }
    match user.origin {
        Origin::Provisioned => Finding::passed("person", format!("user {id} is here since {at}, and is active")),
        Origin::Invited => Finding::warning(
            "person",
            format!("user {id} was invited at {at}, is active, and does not belong to the directory"),
            format!("to take them into the directory, run `{} user adopt {workspace} {id}`", words.program),
        ),
    }
}
