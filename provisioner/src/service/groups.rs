//! `/Groups`: members are rows, so a change of one costs the same in a group of any size, and a PATCH answers without the list. Where
//! the list is answered, it is written while it is read.

use lockstep_shared::{
    id::{GroupId, WorkspaceId},
    model::{
        definitions::has_own_schemas,
        group::{Group, GroupProfile, MemberChange},
        members::Members,
        revocation::Seq,
    },
    store::{GroupDeletion, GroupMatch, Settlement, Store, StoreError},
};
use serde_json::Value;

use super::{
    ScimService,
    answer::Answer,
    caller::Caller,
    failure::Failure,
    listing::{Looks, Source},
    members::{MembersToWrite, show_member},
    records::{group_document, group_envelope, group_profile},
    request::{Preconditions, Query},
};
use crate::scim::{
    Document, Filter, PatchRequest, ResourceKind, ResourceSchema, ScimError,
    filter::{AttributeRef, Questions},
    normalise::{self, Current, MemberRef},
    patch::{self, MemberOp},
    project::{Projection, assemble},
    write::Shown,
};

/// The most members that the groups of one page are shown with: each takes some fifty bytes of memory until it is written. A page
/// ends before the group that has more, but the first group of a page is shown with all of its own.
pub(super) const LISTED_AT_MOST: usize = 400_000;
/// Up to here, members that a filter names are asked for by themselves.
const ASKED_AT_MOST: usize = 16;

impl ScimService {
    /// RFC 7644, section 3.3.
    pub(super) async fn create_group(
        &self,
        caller: &Caller,
        query: &Query,
        id: Option<&str>,
        body: Value,
    ) -> Result<Answer, Failure> {
        let id = id.map_or_else(|| Ok(GroupId::new()), group_id)?;
        let workspace = &caller.workspace.id;
        let mut read = normalise::group(body, &caller.policy.context(ResourceKind::Group), None)?;
        let members = read.members.take().unwrap_or_default();
        let named = names(&members);
        let members = ids(members);
        caller.line.members(&members);
        caller.line.external_id(read.external_id.as_deref());
        caller.line.notes(&read.notes);
        let members: Vec<MemberChange> = named.into_iter().chain([MemberChange::Add(members)]).collect();
        let profile = group_profile(read);
        let created = self.store.create_group_as(workspace, id, profile.clone(), &members, &caller.actor()).await;
        if let Err(StoreError::Conflict(_)) = &created {
            self.settle_namesakes(workspace, profile).await?;
        }
        let (group, settlement) = created?;
        caller.line.about(group.id.as_str());
        self.barrier.settle(workspace, settlement).await?;
        let (body, etag, location) = self.show_group(caller, query, &group).await?;
        Ok(Answer::Created { body, etag: Some(etag), location })
    }

    /// A group that is there already may be what an earlier request made, whose answer was lost: the refusal waits as that answer did.
    async fn settle_namesakes(&self, workspace: &WorkspaceId, profile: GroupProfile) -> Result<(), Failure> {
        let GroupProfile { display_name, external_id, .. } = profile;
        let by = [Some(GroupMatch::DisplayName(display_name)), external_id.map(GroupMatch::ExternalId)];
        let mut through = Seq::default();
        for by in by.into_iter().flatten() {
            let found = self.store.groups_matching(workspace, &by).await?;
            through = found.iter().map(|group| group.changed_seq).max().unwrap_or_default().max(through);
        }
        self.barrier.settle(workspace, Settlement::of_earlier(through)).await?;
        Ok(())
    }

    /// RFC 7644, section 3.4.1.
    pub(super) async fn get_group(
        &self,
        caller: &Caller,
        query: &Query,
        id: &str,
        wanted: &Preconditions,
    ) -> Result<Answer, Failure> {
        let group = self.store.group(&caller.workspace.id, &group_id(id)?).await?.ok_or(ScimError::NotFound)?;
        // The members are others' records: this version is as old as it was when one of them was renamed or deleted; and as old as it
        // was when a schema came or went by which something of the group is seen.
        let shows_others = projection(caller, query).wants(Groups::ROWS, caller.policy.schemas().of(ResourceKind::Group));
        if !shows_others && !has_own_schemas(&group.profile.attributes) && wanted.has(group.version) {
            return Ok(Answer::NotModified { etag: group_envelope(&group, "").etag() });
        }
        let (body, etag, location) = self.show_group(caller, query, &group).await?;
        Ok(Answer::Resource { body, etag: Some(etag), location })
    }

    /// RFC 7644, section 3.5.1. A body that does not speak of members leaves them as they are.
    pub(super) async fn put_group(
        &self,
        caller: &Caller,
        query: &Query,
        id: &str,
        wanted: &Preconditions,
        body: Value,
    ) -> Result<Answer, Failure> {
        let group = self
            .change_group(caller, id, |group, document| {
                wanted.permit(group.version)?;
                let current = Current { id: group.id.as_str(), document };
                let mut read = normalise::group(body, &caller.policy.context(ResourceKind::Group), Some(current))?;
                caller.line.notes(&read.notes);
                let steps = read.members.take().map(|members| steps_of(MemberOp::ReplaceAll(members), &[]));
                Ok((group_profile(read), steps.unwrap_or_default()))
            })
            .await?;
        let (body, etag, location) = self.show_group(caller, query, &group).await?;
        Ok(Answer::Resource { body, etag: Some(etag), location })
    }

    /// RFC 7644, section 3.5.2: 204, unless the request asks for attributes; so members are never read to be answered.
    pub(super) async fn patch_group(
        &self,
        caller: &Caller,
        query: &Query,
        id: &str,
        wanted: &Preconditions,
        body: Value,
    ) -> Result<Answer, Failure> {
        let context = caller.policy.context(ResourceKind::Group);
        let request = PatchRequest::parse(body, caller.policy.profile())?;
        let selected = self.select_members(caller, id, &request).await?;
        let group = self
            .change_group(caller, id, |group, document| {
                wanted.permit(group.version)?;
                let patched = patch::group(request, &context, Current { id: group.id.as_str(), document })?;
                caller.line.notes(&patched.group.notes);
                let steps = patched.members.into_iter().flat_map(|step| steps_of(step, &selected)).collect();
                Ok((group_profile(patched.group), steps))
            })
            .await?;
        if query.attributes.is_some() {
            let (body, etag, location) = self.show_group(caller, query, &group).await?;
            return Ok(Answer::Resource { body, etag: Some(etag), location });
        }
        Ok(Answer::Done { etag: Some(group_envelope(&group, "").etag()) })
    }

    /// RFC 7644, section 3.6.
    pub(super) async fn delete_group(&self, caller: &Caller, id: &str, wanted: &Preconditions) -> Result<Answer, Failure> {
        let (workspace, permit) = (&caller.workspace.id, |group: &Group| wanted.permit(group.version));
        match self.store.delete_group_if(workspace, &group_id(id)?, &caller.actor(), permit).await? {
            GroupDeletion::Now(settlement) => {
                self.barrier.settle(workspace, settlement).await?;
                Ok(Answer::Done { etag: None })
            }
            GroupDeletion::Before(_) | GroupDeletion::Never => Err(ScimError::NotFound.into()),
        }
    }

    async fn change_group(
        &self,
        caller: &Caller,
        id: &str,
        edit: impl FnOnce(&Group, &Document) -> Result<(GroupProfile, Vec<MemberChange>), ScimError>,
    ) -> Result<Group, Failure> {
        let workspace = &caller.workspace.id;
        let edit = |group: &Group| {
            caller.line.was_at(group.version);
            let before = group_document(&group.profile);
            let (profile, steps) = edit(group, &before)?;
            caller.line.group(&before, &group_document(&profile), &steps);
            Ok((profile, steps))
        };
        let (group, settlement) = self.store.update_group(workspace, &group_id(id)?, &caller.actor(), edit).await?;
        caller.line.is_at(group.version);
        self.barrier.settle(workspace, settlement).await?;
        Ok(group)
    }

    /// Whom the filters of a PATCH select that say more than an identifier (`members[display eq "x"]`), which is rare: only then
    /// are members read.
    async fn select_members(
        &self,
        caller: &Caller,
        id: &str,
        request: &PatchRequest,
    ) -> Result<Vec<(Filter, Vec<String>)>, Failure> {
        let may_select = |path: &String| path.to_ascii_lowercase().contains("members[");
        if !request.operations().iter().any(|operation| operation.path.as_ref().is_some_and(may_select)) {
            return Ok(Vec::new());
        }
        let workspace = &caller.workspace.id;
        let group = self.store.group(workspace, &group_id(id)?).await?.ok_or(ScimError::NotFound)?;
        let document = group_document(&group.profile);
        let current = Current { id: group.id.as_str(), document: &document };
        let steps = patch::group(request.clone(), &caller.policy.context(ResourceKind::Group), current)?.members;
        let mut selected: Vec<(Filter, Vec<String>)> = Vec::new();
        for step in steps {
            let MemberOp::RemoveWhere(filter) = step else { continue };
            if filter.as_one_of("value").is_none() && !selected.iter().any(|(known, _)| *known == filter) {
                let mut ids = Vec::new();
                let base_url = self.base_url(workspace);
                for member in self.store.members(workspace, &group.id).await? {
                    if filter.matches(&show_member(&member, &base_url)) {
                        ids.push(member.id);
                    }
                }
                selected.push((filter, ids));
            }
        }
        Ok(selected)
    }

    /// The record was read before its members are: where somebody changes them in between, the entity tag is the older one, by which
    /// nobody can overwrite what they have not seen.
    async fn show_group(&self, caller: &Caller, query: &Query, group: &Group) -> Result<(Shown, String, String), Failure> {
        let (schema, base_url) = (caller.policy.schemas().of(ResourceKind::Group), self.base_url(&caller.workspace.id));
        let projection = projection(caller, query);
        let envelope = group_envelope(group, &base_url);
        let (etag, location) = (envelope.etag(), envelope.location(ResourceKind::Group));
        let (store, workspace) = (&self.store, &caller.workspace.id);
        let groups = Groups { store, workspace, schema, base_url: base_url.clone(), room: LISTED_AT_MOST };
        let members = if groups.shows_members(&projection) { Some(store.members(workspace, &group.id).await?) } else { None };
        Ok((groups.as_answered(group, members, &projection), etag, location))
    }
}

fn projection(caller: &Caller, query: &Query) -> Projection {
    let schema = caller.policy.schemas().of(ResourceKind::Group);
    Projection::parse(query.attributes.as_deref(), query.excluded_attributes.as_deref(), schema)
}

pub(super) fn group_id(text: &str) -> Result<GroupId, ScimError> {
    GroupId::parse(text).map_err(|_| ScimError::NotFound)
}

fn ids(members: Vec<MemberRef>) -> Vec<String> {
    members.into_iter().map(|member| member.value).collect()
}

/// What the provider calls these members, if it says so.
fn names(members: &[MemberRef]) -> Option<MemberChange> {
    let named = members.iter().filter_map(|member| Some((member.value.clone(), member.display.clone()?)));
    let named: Vec<_> = named.collect();
    (!named.is_empty()).then_some(MemberChange::Name(named))
}

fn steps_of(step: MemberOp, selected: &[(Filter, Vec<String>)]) -> Vec<MemberChange> {
    match step {
        MemberOp::Add(members) => names(&members).into_iter().chain([MemberChange::Add(ids(members))]).collect(),
        MemberOp::ReplaceAll(members) => names(&members).into_iter().chain([MemberChange::Replace(ids(members))]).collect(),
        MemberOp::Remove(members) => vec![MemberChange::Remove(members)],
        MemberOp::RemoveWhere(filter) => vec![MemberChange::Remove(match filter.as_one_of("value") {
            Some(values) => values.into_iter().map(str::to_owned).collect(),
            None => selected.iter().find(|(known, _)| *known == filter).map(|(_, ids)| ids.clone()).unwrap_or_default(),
        })],
        MemberOp::Clear => vec![MemberChange::Replace(Vec::new())],
    }
}

/// The groups of a workspace, as a list reads them.
pub(super) struct Groups<'s> {
    pub(super) store: &'s Store,
    pub(super) workspace: &'s WorkspaceId,
    pub(super) schema: &'s ResourceSchema,
    pub(super) base_url: String,
    /// How many members one page has room for.
    pub(super) room: usize,
}

impl Source for Groups<'_> {
    type Record = Group;
    type Id = GroupId;
    type Match = GroupMatch;

    const KIND: ResourceKind = ResourceKind::Group;
    const ROWS: &'static str = "members";

    fn schema(&self) -> &ResourceSchema {
        self.schema
    }

    fn id(record: &Group) -> GroupId {
        record.id.clone()
    }

    fn index(attribute: &AttributeRef, text: &str) -> Option<GroupMatch> {
        let text = text.to_owned();
        match (attribute.name.as_str(), attribute.sub.as_deref()) {
            ("id", None) => Some(GroupMatch::Id(text)),
            ("displayName", None) => Some(GroupMatch::DisplayName(text)),
            ("externalId", None) => Some(GroupMatch::ExternalId(text)),
            ("members", None | Some("value")) => Some(GroupMatch::Member(text)),
            _ => None,
        }
    }

    async fn matching(&self, by: &GroupMatch, after: Option<&GroupId>, limit: u32) -> Result<Vec<Group>, StoreError> {
        self.store.groups_matching_after(self.workspace, by, after, limit).await
    }

    async fn after(&self, after: Option<&GroupId>, limit: u32) -> Result<Vec<Group>, StoreError> {
        self.store.groups_after(self.workspace, after, limit).await
    }

    async fn page(&self, offset: u64, limit: u32) -> Result<Vec<Group>, StoreError> {
        self.store.groups_page(self.workspace, offset, limit).await
    }

    async fn named(&self, ids: &[GroupId]) -> Result<Vec<Group>, StoreError> {
        self.store.groups_named(self.workspace, ids).await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.store.count_groups(self.workspace).await
    }

    async fn judged(&self, groups: &[Group], looks: &Looks) -> Result<Vec<Document>, Failure> {
        let mut whole = Vec::with_capacity(groups.len());
        for group in groups {
            let rows = if looks.at_rows() { Some(self.looked_at(group, looks).await?) } else { None };
            whole.push(self.whole(group, rows));
        }
        Ok(whole)
    }

    async fn shown(&self, groups: &[Group], projection: &Projection) -> Result<Vec<Shown>, Failure> {
        let (mut shown, mut room) = (Vec::with_capacity(groups.len()), self.room);
        for group in groups {
            let members = if !self.shows_members(projection) {
                None
            } else if shown.is_empty() {
                Some(self.store.members(self.workspace, &group.id).await?)
            } else {
                let Some(members) = self.store.members_within(self.workspace, &group.id, room).await? else { break };
                Some(members)
            };
            room = room.saturating_sub(members.as_ref().map_or(0, Members::len));
            shown.push(self.as_answered(group, members, projection));
        }
        Ok(shown)
    }
}

impl Groups<'_> {
    fn whole(&self, group: &Group, members: Option<Vec<Value>>) -> Document {
        let rows = members.map(|members| (Self::ROWS, members));
        assemble(self.schema, &group_document(&group.profile), &group_envelope(group, &self.base_url), rows)
    }

    fn shows_members(&self, projection: &Projection) -> bool {
        projection.wants(Self::ROWS, self.schema)
    }

    /// A group as it is answered, with the members if they are shown: they have been read and are written later.
    fn as_answered(&self, group: &Group, members: Option<Members>, projection: &Projection) -> Shown {
        let document = projection.apply(self.whole(group, members.as_ref().map(|_| Vec::new())), self.schema);
        let Some(members) = members else { return document.into() };
        let entries = MembersToWrite::new(members, Self::ROWS, projection, self.schema, self.base_url.clone());
        Shown::with_rows(document, Self::ROWS, entries)
    }

    /// The members by which a filter and an order judge the group: of a large one, a few.
    async fn looked_at(&self, group: &Group, looks: &Looks) -> Result<Vec<Value>, StoreError> {
        let named = looks.questions.as_ref().filter(|_| !looks.at_first).and_then(Questions::values);
        let show = |member| show_member(&member, &self.base_url);
        let mut members: Box<dyn Iterator<Item = Value> + Send> = match named {
            Some(values) if values.len() <= ASKED_AT_MOST => {
                Box::new(self.store.members_named(self.workspace, &group.id, values).await?.into_iter().map(show))
            }
            Some(_) | None => Box::new(self.store.members(self.workspace, &group.id).await?.into_iter().map(show)),
        };
        let first: Vec<Value> = members.next().into_iter().collect();
        let deciding = looks.questions.as_ref().map(|questions| questions.deciding(first.iter().cloned().chain(members)));
        Ok(first.into_iter().filter(|_| looks.at_first).chain(deciding.into_iter().flatten()).collect())
    }
}
