//! The mass-change guard, in the transaction that takes access away: who writes holds the workspace's row of the guard to the
//! commit, so that two replicas cannot both slip under the limit. People are counted only when the allowance of the last count is
//! used up. Operators and people are never held.

use std::{num::NonZeroU32, sync::LazyLock, time::Duration};

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, any::AnyRow};

use super::{
    Store, StoreError,
    access::OwnRoles,
    batch::filled,
    outbox::{Mailing, enqueue},
    row::Columns,
    tx::Tx,
};
use crate::{
    clock::Timestamp,
    id::{GroupId, UserId, WorkspaceId},
    model::{
        access::AccessName,
        audit::{Actor, ActorKind},
        guard::{Excess, Guard, Held, Limits, WINDOW},
        notice::{Hold, Notice},
    },
};

/// Takes the row's lock and as many people out of the allowance; a workspace's first departure makes the row.
const TAKE: &str = "
    INSERT INTO guards (workspace_id, is_on, max_people, percent, allowance, released_until, held_at, held_requests, told_at)
    VALUES ($1, 1, $2, $3, $4, 0, 0, 0, 0)
    ON CONFLICT (workspace_id) DO UPDATE SET allowance = guards.allowance + $4
    RETURNING is_on, max_people, percent, allowance, released_until";
const SET_ALLOWANCE: &str = "UPDATE guards SET allowance = $2 WHERE workspace_id = $1";
const LEFT: &str = "
    INSERT INTO departures (workspace_id, user_id, group_id, at) VALUES ($1, $2, $4, $3)
    ON CONFLICT (workspace_id, user_id, group_id) DO UPDATE SET at = excluded.at";
const FORGET_OLD: &str = "DELETE FROM departures WHERE workspace_id = $1 AND at <= $2";
/// Who lost something within the window and does not have it back; of a group, if they have access at all. Each person is looked up by
/// themselves: joined, a planner that knows nothing of the tables would go through whole groups.
macro_rules! departed {
    () => {
        "SELECT d.user_id FROM departures d
        WHERE d.workspace_id = $1 AND d.at > $2 AND CASE
            WHEN d.group_id = ''
            THEN COALESCE((SELECT u.active FROM users u WHERE u.workspace_id = $1 AND u.id = d.user_id), 0) = 0
            ELSE (SELECT u.active FROM users u WHERE u.workspace_id = $1 AND u.id = d.user_id) = 1
                AND (SELECT m.member_id FROM group_members m
                    WHERE m.workspace_id = $1 AND m.group_id = d.group_id AND m.member_id = d.user_id) IS NULL END"
    };
}
const DEPARTED: &str = concat!("SELECT COUNT(DISTINCT user_id) AS total FROM (", departed!(), ") AS departed");
/// Who has access, and who had it before they left.
const PEOPLE: &str = concat!(
    "SELECT (SELECT COUNT(*) FROM users WHERE workspace_id = $1 AND active = 1) + (SELECT COUNT(*) FROM (",
    departed!(),
    " AND d.group_id = '') AS departed) AS total"
);
/// Those of this change who had not left before by another one.
const NEWLY_DEPARTED: &str = concat!(
    "SELECT COUNT(*) AS total FROM departures o
    WHERE o.workspace_id = $1 AND o.group_id = $3 AND o.at = $4
        AND ($3 = '' OR (SELECT u.active FROM users u WHERE u.workspace_id = $1 AND u.id = o.user_id) = 1)
        AND o.user_id NOT IN (",
    departed!(),
    " AND d.group_id <> $3)"
);
const RECOUNT: &str = "UPDATE guards SET allowance = 0 WHERE workspace_id = $1 AND allowance > 0";
const ONE: &str = "
    SELECT is_on, max_people, percent, allowance, released_until, held_at, held_requests FROM guards WHERE workspace_id = $1";
const SET: &str = "
    INSERT INTO guards (workspace_id, is_on, max_people, percent, allowance, released_until, held_at, held_requests, told_at)
    VALUES ($1, $2, $3, $4, 0, 0, 0, 0, 0)
    ON CONFLICT (workspace_id) DO UPDATE SET is_on = excluded.is_on, max_people = excluded.max_people, percent = excluded.percent,
        allowance = 0";
const SWITCH_ON: &str = "
    INSERT INTO guards (workspace_id, is_on, max_people, percent, allowance, released_until, held_at, held_requests, told_at)
    VALUES ($1, 1, $2, $3, 0, 0, 0, 0, 0)
    ON CONFLICT (workspace_id) DO UPDATE SET is_on = 1, allowance = 0, released_until = 0";
const RELEASE: &str = "
    INSERT INTO guards (workspace_id, is_on, max_people, percent, allowance, released_until, held_at, held_requests, told_at)
    VALUES ($1, 1, $2, $3, 0, $4, 0, 0, 0)
    ON CONFLICT (workspace_id) DO UPDATE SET released_until = excluded.released_until, allowance = 0, held_at = 0,
        held_requests = 0, told_at = 0";
const NOTE_HELD: &str = "
    INSERT INTO guards (workspace_id, is_on, max_people, percent, allowance, released_until, held_at, held_requests, told_at)
    VALUES ($1, 1, $2, $3, 0, 0, $4, 1, 0)
    ON CONFLICT (workspace_id) DO UPDATE SET held_at = $4,
        held_requests = CASE WHEN guards.held_at > $5 THEN guards.held_requests + 1 ELSE 1 END";
const TELL: &str = "UPDATE guards SET told_at = $2 WHERE workspace_id = $1 AND told_at <= $3";
const HAVE_OLD: &str = "SELECT DISTINCT workspace_id FROM departures WHERE at <= $1";
/// What of the roles that their own record gave them somebody has lost and not got back.
const LOST_ROLES: &str =
    "SELECT group_id FROM departures WHERE workspace_id = $1 AND user_id = $2 AND group_id > '' ORDER BY group_id";
const BACK: &str = "DELETE FROM departures WHERE workspace_id = $1 AND user_id = $2 AND group_id = $3";
/// Takes the row's lock alone, under which departures are written.
const HOLD: &str = "UPDATE guards SET allowance = allowance WHERE workspace_id = $1";

/// What stands where a group would, before the names of the roles that a person lost by their own record. No group's id begins so, so
/// that nobody is in it: who is back is taken out.
const ROLES: &str = "roles:";
/// No name of a role has one.
const BETWEEN: &str = ",";

/// People in one statement; what is left over repeats its last, so that two texts do for every number.
const BATCH: usize = 256;

static LEFT_GROUP: LazyLock<String> = LazyLock::new(|| left_group_text(BATCH));
static ONE_LEFT_GROUP: LazyLock<String> = LazyLock::new(|| left_group_text(1));

/// Built out of constants alone. Both engines call the first column of a list `column1`.
fn left_group_text(people: usize) -> String {
    let places: Vec<String> = (0..people).map(|person| format!("(${})", person + 4)).collect();
    format!(
        "INSERT INTO departures (workspace_id, user_id, group_id, at)
         SELECT DISTINCT $1, column1, $2, $3 FROM (VALUES {}) AS people WHERE true
         ON CONFLICT (workspace_id, user_id, group_id) DO UPDATE SET at = excluded.at",
        places.join(", ")
    )
}

/// What people lose by a change that has been written and is not committed yet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Loss<'a> {
    /// This person their account.
    Account(&'a UserId),
    /// These of its members the group. Not each need be a person; who is one with access, a count looks up.
    Group(&'a GroupId, &'a [&'a str]),
    /// This person roles that their own record gave; as they are noted.
    Roles(&'a UserId, &'a str),
}

impl Loss<'_> {
    fn people(&self) -> usize {
        match self {
            Self::Account(_) | Self::Roles(..) => 1,
            Self::Group(_, members) => members.len(),
        }
    }

    fn group(&self) -> &str {
        match self {
            Self::Account(_) => "",
            Self::Group(group, _) => group.as_str(),
            Self::Roles(_, roles) => roles,
        }
    }

    async fn note(&self, tx: &mut Tx, workspace: &WorkspaceId) -> Result<(), StoreError> {
        let now = tx.now().0;
        match self {
            Self::Account(user) | Self::Roles(user, _) => {
                let query = sqlx::query(LEFT).bind(workspace.as_str()).bind(user.as_str()).bind(now).bind(self.group());
                query.execute(tx.on()).await?;
            }
            Self::Group(group, members) => {
                for some in members.chunks(BATCH) {
                    let (text, length) = if some.len() == 1 { (&*ONE_LEFT_GROUP, 1) } else { (&*LEFT_GROUP, BATCH) };
                    let query = sqlx::query(AssertSqlSafe(text.as_str())).bind(workspace.as_str()).bind(group.as_str()).bind(now);
                    filled(some, length).fold(query, sqlx::query::Query::bind).execute(tx.on()).await?;
                }
            }
        }
        Ok(())
    }
}

/// Lets a change pass or holds it. It comes after everything else that takes a lock but the numbering in the revocation log, which
/// is the same order for all, and whoever is held drops the transaction.
pub(super) async fn pass(tx: &mut Tx, workspace: &WorkspaceId, actor: &Actor, loss: Loss<'_>) -> Result<(), StoreError> {
    if actor.kind != ActorKind::Provider || loss.people() == 0 {
        return Ok(());
    }
    let (limits, people) = (Limits::default(), i64::try_from(loss.people()).unwrap_or(i64::MAX));
    let row = sqlx::query(TAKE)
        .bind(workspace.as_str())
        .bind(i64::from(limits.max.get()))
        .bind(i64::from(limits.percent))
        .bind(-people)
        .fetch_one(tx.on())
        .await?;
    let columns = Columns::of(&row, "guard");
    if !columns.flag("is_on")? || columns.time("released_until")? > tx.now() {
        return Ok(());
    }
    loss.note(tx, workspace).await?;
    if columns.number("allowance")? >= 0 {
        return Ok(());
    }
    let allowance = count(tx, workspace, read_limits(&row)?, loss.group()).await?;
    sqlx::query(SET_ALLOWANCE)
        .bind(workspace.as_str())
        .bind(i64::try_from(allowance).unwrap_or(i64::MAX))
        .execute(tx.on())
        .await?;
    Ok(())
}

/// The same for the roles that somebody's own record gives: to lose one is to be taken out of a group, and to get it back is to be
/// back, whoever gives it.
pub(super) async fn pass_roles(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    actor: &Actor,
    user: &UserId,
    roles: &OwnRoles,
) -> Result<(), StoreError> {
    if !roles.after.is_subset(&roles.before) {
        sqlx::query(HOLD).bind(workspace.as_str()).execute(tx.on()).await?;
        let rows = sqlx::query(LOST_ROLES).bind(workspace.as_str()).bind(user.as_str()).fetch_all(tx.on()).await?;
        for row in &rows {
            let noted = Columns::of(row, "departure").text("group_id")?;
            let is_there = |name: &str| roles.after.iter().any(|role| role.as_str() == name);
            if noted.strip_prefix(ROLES).is_some_and(|lost| lost.split(BETWEEN).all(is_there)) {
                sqlx::query(BACK).bind(workspace.as_str()).bind(user.as_str()).bind(&noted).execute(tx.on()).await?;
            }
        }
    }
    let lost: Vec<&str> = roles.before.difference(&roles.after).map(AccessName::as_str).collect();
    if lost.is_empty() {
        return Ok(());
    }
    pass(tx, workspace, actor, Loss::Roles(user, &format!("{ROLES}{}", lost.join(BETWEEN)))).await
}

/// Has people counted again at the next departure: somebody is back who may have lost a group while they were away.
pub(super) async fn recount(tx: &mut Tx, workspace: &WorkspaceId, actor: &Actor) -> Result<(), StoreError> {
    if actor.kind == ActorKind::Provider {
        sqlx::query(RECOUNT).bind(workspace.as_str()).execute(tx.on()).await?;
    }
    Ok(())
}

/// Counts who has left, and says how many more may.
async fn count(tx: &mut Tx, workspace: &WorkspaceId, limits: Limits, group: &str) -> Result<u64, StoreError> {
    let (now, since) = (tx.now().0, tx.now().minus(WINDOW).0);
    sqlx::query(FORGET_OLD).bind(workspace.as_str()).bind(since).execute(tx.on()).await?;
    let departed = total(&sqlx::query(DEPARTED).bind(workspace.as_str()).bind(since).fetch_one(tx.on()).await?)?;
    if let Some(allowance) = u64::from(limits.max.get()).checked_sub(departed) {
        return Ok(allowance);
    }
    let people = total(&sqlx::query(PEOPLE).bind(workspace.as_str()).bind(since).fetch_one(tx.on()).await?)?;
    if let Some(allowance) = limits.most(people).checked_sub(departed) {
        return Ok(allowance);
    }
    let newly = sqlx::query(NEWLY_DEPARTED).bind(workspace.as_str()).bind(since).bind(group).bind(now);
    // Whoever has left already may lose the rest.
    let is_news = total(&newly.fetch_one(tx.on()).await?)? > 0;
    if is_news { Err(StoreError::Held(Excess { departed, people, limits })) } else { Ok(0) }
}

impl Store {
    /// The guard of a workspace, as it stands.
    pub async fn guard(&self, workspace: &WorkspaceId) -> Result<Guard, StoreError> {
        let now = self.clock.now();
        let since = now.minus(WINDOW);
        let departed = total(&sqlx::query(DEPARTED).bind(workspace.as_str()).bind(since.0).fetch_one(&self.pool).await?)?;
        let row = sqlx::query(ONE).bind(workspace.as_str()).fetch_optional(&self.pool).await?;
        let Some(row) = row else {
            return Ok(Guard { is_on: true, limits: Limits::default(), released_until: None, departed, held: None });
        };
        let columns = Columns::of(&row, "guard");
        let (until, at) = (columns.time("released_until")?, columns.time("held_at")?);
        let requests = u64::try_from(columns.number("held_requests")?).unwrap_or_default();
        Ok(Guard {
            is_on: columns.flag("is_on")?,
            limits: read_limits(&row)?,
            released_until: (until > now).then_some(until),
            departed,
            held: (at > since).then_some(Held { at, requests }),
        })
    }

    /// Sets what passes, and switches the guard on.
    pub async fn set_guard(&self, workspace: &WorkspaceId, limits: Limits, actor: &Actor) -> Result<(), StoreError> {
        self.change_guard(workspace, true, limits, actor, ("guard.set", json!(limits))).await
    }

    /// Switches the guard off; its limits are kept.
    pub async fn switch_guard_off(&self, workspace: &WorkspaceId, actor: &Actor) -> Result<(), StoreError> {
        let limits = self.guard(workspace).await?.limits;
        self.change_guard(workspace, false, limits, actor, ("guard.switched_off", json!({}))).await
    }

    /// Switches the guard on with the limits that it had, and takes an approval back.
    pub async fn switch_guard_on(&self, workspace: &WorkspaceId, actor: &Actor) -> Result<(), StoreError> {
        let limits = Limits::default();
        let mut tx = self.begin().await?;
        sqlx::query(SWITCH_ON)
            .bind(workspace.as_str())
            .bind(i64::from(limits.max.get()))
            .bind(i64::from(limits.percent))
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, "guard.switched_on", workspace.as_str(), &json!({})).await?;
        tx.commit().await
    }

    async fn change_guard(
        &self,
        workspace: &WorkspaceId,
        is_on: bool,
        limits: Limits,
        actor: &Actor,
        (action, detail): (&'static str, Value),
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(SET)
            .bind(workspace.as_str())
            .bind(i64::from(is_on))
            .bind(i64::from(limits.max.get()))
            .bind(i64::from(limits.percent))
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, action, workspace.as_str(), &detail).await?;
        tx.commit().await
    }

    /// Lets everything pass for a while: what was held, when the provider sends it again, and what else belongs to it. Who leaves in
    /// that time is not counted afterwards.
    pub async fn approve_mass_change(
        &self,
        workspace: &WorkspaceId,
        lasting: Duration,
        actor: &Actor,
    ) -> Result<Timestamp, StoreError> {
        let mut tx = self.begin().await?;
        let (until, limits) = (tx.now().plus(lasting), Limits::default());
        sqlx::query(RELEASE)
            .bind(workspace.as_str())
            .bind(i64::from(limits.max.get()))
            .bind(i64::from(limits.percent))
            .bind(until.0)
            .execute(tx.on())
            .await?;
        tx.audit(workspace, actor, "guard.approved", workspace.as_str(), &json!({ "until": until.to_string() })).await?;
        tx.commit().await?;
        Ok(until)
    }

    /// Notes that a request was held, and tells the admins once within the window, in the trail and by mail; the answer says whether it
    /// did so now.
    pub async fn note_held(
        &self,
        workspace: &WorkspaceId,
        actor: &Actor,
        excess: &Excess,
        mailing: Mailing,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let (now, since, limits) = (tx.now().0, tx.now().minus(WINDOW).0, Limits::default());
        sqlx::query(NOTE_HELD)
            .bind(workspace.as_str())
            .bind(i64::from(limits.max.get()))
            .bind(i64::from(limits.percent))
            .bind(now)
            .bind(since)
            .execute(tx.on())
            .await?;
        let told = sqlx::query(TELL).bind(workspace.as_str()).bind(now).bind(since).execute(tx.on()).await?;
        let is_news = told.rows_affected() == 1;
        if is_news {
            if mailing == Mailing::On {
                let hold = Hold { credential: actor.id.clone(), excess: *excess, since: tx.now() };
                enqueue(&mut tx, workspace, &Notice::GuardHeld(hold)).await?;
            }
            tx.audit(workspace, actor, "guard.held", workspace.as_str(), &json!(excess)).await?;
        }
        tx.commit().await?;
        Ok(is_news)
    }

    /// Forgets departures at which no count looks any more.
    pub async fn sweep_departures(&self) -> Result<(), StoreError> {
        let before = self.clock.now().minus(WINDOW).0;
        let rows = sqlx::query(HAVE_OLD).bind(before).fetch_all(&self.pool).await?;
        for row in &rows {
            let workspace: WorkspaceId = Columns::of(row, "departure").parsed("workspace_id")?;
            let mut tx = self.begin().await?;
            sqlx::query(HOLD).bind(workspace.as_str()).execute(tx.on()).await?;
            sqlx::query(FORGET_OLD).bind(workspace.as_str()).bind(before).execute(tx.on()).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

fn read_limits(row: &AnyRow) -> Result<Limits, StoreError> {
    let columns = Columns::of(row, "guard");
    let max = u32::try_from(columns.number("max_people")?).map_err(|error| columns.corrupt(error))?;
    let percent = u8::try_from(columns.number("percent")?).map_err(|error| columns.corrupt(error))?;
    Ok(Limits { max: NonZeroU32::new(max).unwrap_or(NonZeroU32::MIN), percent })
}

fn total(row: &AnyRow) -> Result<u64, StoreError> {
    Ok(u64::try_from(Columns::of(row, "count").number("total")?).unwrap_or_default())
}
