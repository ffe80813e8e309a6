//! `/Users`: each handler is a paragraph of RFC 7644, section 3. Whatever leaves a person without access is answered only after
//! the barrier; for what is refused, the dispatch sees to it.

use std::{collections::HashMap, sync::Arc};

use lockstep_shared::{
    id::{UserId, WorkspaceId},
    model::{
        definitions::has_own_schemas,
        user::{LoginMethod, Origin, User},
    },
    store::{Changed, Deletion, GroupRef, NewUser, Store, StoreError, UserMatch},
};
use serde_json::{Value, json};

use super::{
    ScimService,
    answer::Answer,
    caller::Caller,
    failure::Failure,
    listing::{Looks, Source},
    records::{user_document, user_envelope, user_profile},
    request::{Preconditions, Query},
};
use crate::scim::{
    Document, PatchRequest, ResourceKind, ResourceSchema, ScimError,
    filter::AttributeRef,
    normalise::{self, Current},
    patch,
    project::{Projection, assemble},
    write::Shown,
};

impl ScimService {
    /// RFC 7644, section 3.3.
    pub(super) async fn create_user(
        &self,
        caller: &Caller,
        query: &Query,
        id: Option<&str>,
        body: Value,
    ) -> Result<Answer, Failure> {
        let id = id.map_or_else(|| Ok(UserId::new()), user_id)?;
        let read = normalise::user(body, &caller.policy.context(ResourceKind::User), None)?;
        caller.line.external_id(read.external_id.as_deref());
        caller.line.notes(&read.notes);
        let user_name = read.user_name.clone();
        let new = NewUser { profile: user_profile(read), origin: Origin::Provisioned, login_method: LoginMethod::Sso };
        let created = self.store.create_user_as(&caller.workspace.id, id, new, &caller.actor()).await;
        let user = match created {
            Ok(user) => user,
            Err(error) => return Err(self.not_created(caller, user_name, error).await),
        };
        caller.line.about(user.id.as_str());
        // Nobody can have put a user into a group whose id did not exist.
        let (body, etag, location) = self.show_user_in(caller, query, &user, &[]);
        Ok(Answer::Created { body, etag: Some(etag), location })
    }

    /// RFC 7644, section 3.4.1.
    pub(super) async fn get_user(
        &self,
        caller: &Caller,
        query: &Query,
        id: &str,
        wanted: &Preconditions,
    ) -> Result<Answer, Failure> {
        let user = self.store.user(&caller.workspace.id, &user_id(id)?).await?.ok_or(ScimError::NotFound)?;
        // The groups are others' records: this version is as old as it was when they changed; and as old as it was when a schema came or
        // went by which something of the user is seen.
        let shows_others = projection(caller, query).wants(Users::ROWS, caller.policy.schemas().of(ResourceKind::User));
        if !shows_others && !has_own_schemas(&user.profile.attributes) && wanted.has(user.version) {
            return Ok(Answer::NotModified { etag: user_envelope(&user, "").etag() });
        }
        let (body, etag, location) = self.show_user(caller, query, &user, None).await?;
        Ok(Answer::Resource { body, etag: Some(etag), location })
    }

    /// RFC 7644, section 3.5.1.
    pub(super) async fn put_user(
        &self,
        caller: &Caller,
        query: &Query,
        id: &str,
        wanted: &Preconditions,
        body: Value,
    ) -> Result<Answer, Failure> {
        let (user, groups) = self
            .change_user(caller, id, |user, document| {
                wanted.permit(user.version)?;
                let current = Current { id: user.id.as_str(), document };
                normalise::user(body.clone(), &caller.policy.context(ResourceKind::User), Some(current))
            })
            .await?;
        let (body, etag, location) = self.show_user(caller, query, &user, groups).await?;
        Ok(Answer::Resource { body, etag: Some(etag), location })
    }

    /// RFC 7644, section 3.5.2.
    pub(super) async fn patch_user(
        &self,
        caller: &Caller,
        query: &Query,
        id: &str,
        wanted: &Preconditions,
        body: Value,
    ) -> Result<Answer, Failure> {
        let request = PatchRequest::parse(body, caller.policy.profile())?;
        // In Entra's dialect a change is answered without the user, as Microsoft's own collection asserts, unless a document is asked for.
        let is_brief = request.is_capitalised() && query.takes_anything && query.attributes.is_none();
        let (user, groups) = self
            .change_user(caller, id, |user, document| {
                wanted.permit(user.version)?;
                let current = Current { id: user.id.as_str(), document };
                Ok(patch::user(request.clone(), &caller.policy.context(ResourceKind::User), current)?.user)
            })
            .await?;
        if is_brief {
            return Ok(Answer::Done { etag: Some(user_envelope(&user, "").etag()) });
        }
        let (body, etag, location) = self.show_user(caller, query, &user, groups).await?;
        Ok(Answer::Resource { body, etag: Some(etag), location })
    }

    /// RFC 7644, section 3.6.
    pub(super) async fn delete_user(&self, caller: &Caller, id: &str, wanted: &Preconditions) -> Result<Answer, Failure> {
        let (workspace, permit) = (&caller.workspace.id, |user: &User| wanted.permit(user.version));
        match self.store.delete_user_if(workspace, &user_id(id)?, &caller.actor(), permit).await? {
            Deletion::Now(settlement) => {
                self.barrier.settle(workspace, settlement).await?;
                Ok(Answer::Done { etag: None })
            }
            Deletion::Before(_) | Deletion::Never => Err(ScimError::NotFound.into()),
        }
    }

    /// Changes a user and answers when everybody who lost access by it is out; the groups, where they are known.
    async fn change_user(
        &self,
        caller: &Caller,
        id: &str,
        edit: impl Fn(&User, &Document) -> Result<normalise::User, ScimError>,
    ) -> Result<(Arc<User>, Option<Vec<GroupRef>>), Failure> {
        let workspace = &caller.workspace.id;
        let edit = |user: &User| {
            caller.line.was_at(user.version);
            let before = user_document(&user.profile);
            let read = edit(user, &before)?;
            caller.line.user(&before, &read.document);
            caller.line.notes(&read.notes);
            Ok(user_profile(read))
        };
        let Changed { user, settlement, groups } =
            self.store.update_user(workspace, &user_id(id)?, &caller.actor(), edit).await?;
        caller.line.is_at(user.version);
        self.barrier.settle(workspace, settlement).await?;
        Ok((user, groups))
    }

    async fn show_user(
        &self,
        caller: &Caller,
        query: &Query,
        user: &User,
        groups: Option<Vec<GroupRef>>,
    ) -> Result<(Shown, String, String), Failure> {
        let groups = match groups {
            Some(known) => known,
            None if projection(caller, query).wants(Users::ROWS, caller.policy.schemas().of(ResourceKind::User)) => {
                self.store.groups_of(&caller.workspace.id, &user.id).await?
            }
            None => Vec::new(),
        };
        Ok(self.show_user_in(caller, query, user, &groups))
    }

    /// Shows a user whose groups are known.
    fn show_user_in(&self, caller: &Caller, query: &Query, user: &User, groups: &[GroupRef]) -> (Shown, String, String) {
        let (schema, base_url) = (caller.policy.schemas().of(ResourceKind::User), self.base_url(&caller.workspace.id));
        let envelope = user_envelope(user, &base_url);
        let (etag, location) = (envelope.etag(), envelope.location(ResourceKind::User));
        (projection(caller, query).apply(whole_user(user, schema, &base_url, groups), schema).into(), etag, location)
    }
}

fn projection(caller: &Caller, query: &Query) -> Projection {
    let schema = caller.policy.schemas().of(ResourceKind::User);
    Projection::parse(query.attributes.as_deref(), query.excluded_attributes.as_deref(), schema)
}

/// An id that could not be one of ours names nothing.
pub(super) fn user_id(text: &str) -> Result<UserId, ScimError> {
    UserId::parse(text).map_err(|_| ScimError::NotFound)
}

fn whole_user(user: &User, schema: &ResourceSchema, base_url: &str, groups: &[GroupRef]) -> Document {
    let rows = groups.iter().map(|group| {
        json!({
            "value": group.id,
            "$ref": format!("{base_url}/Groups/{}", group.id),
            "display": group.display_name,
            "type": "direct",
        })
    });
    let rows = (!groups.is_empty()).then(|| (Users::ROWS, rows.collect()));
    assemble(schema, &user_document(&user.profile), &user_envelope(user, base_url), rows)
}

/// The users of a workspace, as a list reads them.
pub(super) struct Users<'s> {
    pub(super) store: &'s Store,
    pub(super) workspace: &'s WorkspaceId,
    pub(super) schema: &'s ResourceSchema,
    pub(super) base_url: String,
}

impl Source for Users<'_> {
    type Record = User;
    type Id = UserId;
    type Match = UserMatch;

    const KIND: ResourceKind = ResourceKind::User;
    const ROWS: &'static str = "groups";

    fn schema(&self) -> &ResourceSchema {
        self.schema
    }

    fn id(record: &User) -> UserId {
        record.id.clone()
    }

    fn index(attribute: &AttributeRef, text: &str) -> Option<UserMatch> {
        let text = text.to_owned();
        match (attribute.name.as_str(), attribute.sub.as_deref()) {
            ("id", None) => Some(UserMatch::Id(text)),
            ("userName", None) => Some(UserMatch::UserName(text)),
            ("externalId", None) => Some(UserMatch::ExternalId(text)),
            ("emails", None | Some("value")) => Some(UserMatch::Email(text)),
            _ => None,
        }
    }

    async fn matching(&self, by: &UserMatch, after: Option<&UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.store.users_matching_after(self.workspace, by, after, limit).await
    }

    async fn after(&self, after: Option<&UserId>, limit: u32) -> Result<Vec<User>, StoreError> {
        self.store.users_after(self.workspace, after, limit).await
    }

    async fn page(&self, offset: u64, limit: u32) -> Result<Vec<User>, StoreError> {
        self.store.users_page(self.workspace, offset, limit).await
    }

    async fn named(&self, ids: &[UserId]) -> Result<Vec<User>, StoreError> {
        self.store.users_named(self.workspace, ids).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.store.count_users(self.workspace).await
    }

    async fn judged(&self, users: &[User], looks: &Looks) -> Result<Vec<Document>, Failure> {
        self.assemble(users, looks.at_rows()).await
    }

    async fn shown(&self, users: &[User], projection: &Projection) -> Result<Vec<Shown>, Failure> {
        let whole = self.assemble(users, projection.wants(Self::ROWS, self.schema)).await?;
        Ok(whole.into_iter().map(|user| projection.apply(user, self.schema).into()).collect())
    }
}

/// Up to here each user's groups are asked for by themselves: users that an index has found may lie far apart.
const FEW: usize = 5;

impl Users<'_> {
    async fn assemble(&self, users: &[User], with_rows: bool) -> Result<Vec<Document>, Failure> {
        let mut groups = if with_rows { self.groups_of(users).await? } else { HashMap::new() };
        let whole = |user: &User| {
            let own = groups.remove(user.id.as_str()).unwrap_or_default();
            whole_user(user, self.schema, &self.base_url, &own)
        };
        Ok(users.iter().map(whole).collect())
    }

    async fn groups_of(&self, users: &[User]) -> Result<HashMap<String, Vec<GroupRef>>, StoreError> {
        let mut groups: HashMap<String, Vec<GroupRef>> = HashMap::new();
        if users.len() <= FEW {
            for user in users {
                groups.insert(user.id.to_string(), self.store.groups_of(self.workspace, &user.id).await?);
            }
            return Ok(groups);
        }
        // They stand in the order that the list is given, which need not be that of their ids.
        let ids = || users.iter().map(|user| &user.id);
        if let (Some(first), Some(last)) = (ids().min(), ids().max()) {
            for (member, group) in self.store.groups_of_range(self.workspace, first, last).await? {
                groups.entry(member).or_default().push(group);
            }
        }
        Ok(groups)
    }
}
