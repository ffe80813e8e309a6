//! `user adopt`: takes somebody who was invited into the directory, where the provider may not do so by itself.

use lockstep_shared::{
    id::WorkspaceId,
    model::{
        audit::Actor,
        user::{LoginMethod, Origin},
    },
    store::Adoption,
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, receipt, user::find};

pub(super) async fn adopt(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<Output, OpsError> {
    let road = context.road().await?;
    let found = find(context, workspace, name).await?;
    let store = context.store().await?;
    let (user, settlement) = store.adopt_user(workspace, &found.id, &Actor::operator()).await?;
    let settled = road.settle(workspace, settlement).await?;
    let adoption = store.adoption(workspace, &user.id).await?;
    let heading = match (found.login_method, user.login_method, found.origin) {
        (LoginMethod::Password, LoginMethod::Sso, _) => {
            format!("User {} belongs to the directory and signs in by SSO from now on: {}.", user.id, receipt::in_short(&settled))
        }
        (_, _, Origin::Invited) => format!("User {} belongs to the directory from now on.", user.id),
        (_, _, Origin::Provisioned) => format!("User {} belonged to the directory already.", user.id),
    };
    let waits = adoption.as_ref().is_some_and(|adoption| adoption.waits);
    Ok(Output::of(json!({
        "id": user.id,
        "workspace": workspace,
        "origin": user.origin,
        "login_method": user.login_method,
        "adoption": describe(adoption.as_ref()),
        "receipt": receipt::describe(&settled),
    }))
    .heading(heading)
    .warn_if(waits, || {
        "the workspace has no connection in use, so they keep their password until there is one and the provider writes to them"
            .to_owned()
    }))
}

/// Where a person came from, in words.
pub(super) fn in_words(origin: Origin, adoption: Option<&Adoption>) -> String {
    match adoption {
        None => origin.to_string(),
        Some(Adoption { at, actor, waits }) => {
            let waits = if *waits { ", keeps their password until a connection is in use" } else { "" };
            format!("{origin}: invited, and adopted at {at} by the {}{waits}", actor.kind)
        }
    }
}

/// The adoption as the commands answer it.
pub(super) fn describe(adoption: Option<&Adoption>) -> Value {
    adoption.map_or(
        Value::Null,
        |adoption| json!({ "at": adoption.at.to_string(), "by": adoption.actor, "waits_for_connection": adoption.waits }),
    )
}
