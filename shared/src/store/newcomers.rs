//! People who were never given a way to sign in. No session of theirs can exist, so nobody has to be told what becomes of their groups;
//! a first synchronisation consists of little else, and each row of the revocation log makes all others wait.

use std::{collections::HashSet, sync::LazyLock};

use sqlx::AssertSqlSafe;

use super::{
    StoreError,
    batch::{filled, places},
    row::Columns,
    tx::Tx,
};
use crate::{
    id::{UserId, WorkspaceId},
    model::group::{MemberChange, named},
};

/// People in one statement.
const BATCH: usize = 100;

/// Built once, out of constants alone.
static ONE: LazyLock<Texts> = LazyLock::new(|| Texts::of(1));
static SOME: LazyLock<Texts> = LazyLock::new(|| Texts::of(BATCH));

struct Texts {
    alone: String,
    /// Whoever wants to give one of them a way to sign in waits for the end of the transaction, and reads their groups after it.
    among_others: String,
}

impl Texts {
    fn of(people: usize) -> Self {
        // A gateway of the version before links people without raising the flag: the link says so as well.
        let alone = format!(
            "SELECT id FROM users WHERE workspace_id = $1 AND may_have_sessions = 0 AND id IN ({})
                 AND NOT EXISTS (SELECT 1 FROM links WHERE links.workspace_id = $1 AND links.user_id = users.id)
             ORDER BY id",
            places(2, people)
        );
        Self { among_others: format!("{alone} FOR SHARE"), alone }
    }
}

/// Those whom the steps name, if they are at most so many and name everybody whom they move, who have never been given a way to sign in;
/// until the end of the transaction they are not. To be called before a membership is touched: whoever deletes a user takes the
/// user's lock before those of the memberships, too.
pub(super) async fn hold(
    tx: &mut Tx,
    workspace: &WorkspaceId,
    steps: &[MemberChange],
    most: usize,
) -> Result<HashSet<String>, StoreError> {
    let mut held = HashSet::new();
    let Some(mut ids) = named(steps) else { return Ok(held) };
    ids.retain(|id| UserId::parse(id).is_ok());
    // In one order, so that two requests cannot lock each other out.
    ids.sort_unstable();
    ids.dedup();
    if ids.len() > most {
        return Ok(held);
    }
    for some in ids.chunks(BATCH) {
        let (texts, length) = if some.len() == 1 { (&ONE, 1) } else { (&SOME, BATCH) };
        let text = if tx.is_alone() { &texts.alone } else { &texts.among_others };
        let query = sqlx::query(AssertSqlSafe(text.as_str())).bind(workspace.as_str());
        let query = filled(some, length).fold(query, |query, id| query.bind(id.to_owned()));
        for row in &query.fetch_all(tx.on()).await? {
            held.insert(Columns::of(row, "user").text("id")?);
        }
    }
    Ok(held)
}
