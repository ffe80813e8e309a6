//! Lists and searches (RFC 7644, sections 3.4.2 and 3.4.3), by index unless the request names a cursor (RFC 9865).

use std::sync::{Arc, Mutex, PoisonError};

use lockstep_shared::{
    clock::SharedClock,
    id::WorkspaceId,
    secret::{Sealer, sha256_hex},
    store::{KeyPurpose, Store, StoreError},
};

use super::{
    ScimService,
    answer::Answer,
    caller::Caller,
    failure::Failure,
    groups::{Groups, LISTED_AT_MOST},
    listing::{Listing, PAGES},
    record::note_filter,
    request::Query,
    users::Users,
};
use crate::scim::{
    ResourceKind, ScimError,
    cursor::{self, Cursor, Place},
    list::{ListResponse, Paging},
    write::Shown,
};

impl ScimService {
    /// A list of one resource type, or of all.
    pub(super) async fn search(&self, caller: &Caller, kind: Option<ResourceKind>, query: &Query) -> Result<Answer, Failure> {
        let (store, workspace, base_url) = (&self.store, &caller.workspace.id, self.base_url(&caller.workspace.id));
        let schemas = caller.policy.schemas();
        let (of_users, of_groups) = (schemas.of(ResourceKind::User), schemas.of(ResourceKind::Group));
        let users = Users { store, workspace, schema: of_users, base_url: base_url.clone() };
        let groups = Groups { store, workspace, schema: of_groups, base_url, room: LISTED_AT_MOST };
        let listing = Listing::read(kind, (users, groups), query, schemas, caller.policy.profile())?;
        note_filter(caller, listing.filter());
        let list = if let Some(cursor) = query.cursor.as_deref().map(str::trim) {
            self.walk(&listing, &purpose(workspace, kind, query), cursor, query).await?
        } else {
            let paging = Paging::parse(query.start_index.as_deref(), query.count.as_deref(), PAGES)?;
            listing.by_index(paging).await?
        };
        Ok(Answer::List(list))
    }

    async fn walk(
        &self,
        listing: &Listing<'_>,
        purpose: &str,
        cursor: &str,
        query: &Query,
    ) -> Result<ListResponse<Shown>, Failure> {
        let asked = cursor::count(query.count.as_deref(), PAGES.max)?;
        let (count, from) = if cursor.is_empty() {
            (asked.unwrap_or(PAGES.default), None)
        } else {
            let (count, place) = self.cursors.open(purpose, cursor, asked).await?;
            (count, Some(place))
        };
        if count == 0 {
            // Nothing but the total is asked for, and a walk that never moves has no next page.
            let all = listing.by_index(Paging { start_index: 1, count: 0 }).await?;
            return Ok(ListResponse { start_index: None, ..all });
        }
        let total_results = if from.is_none() { listing.cheap_total().await? } else { None };
        let (resources, next) = listing.by_cursor(from, count).await?;
        let next_cursor = match next {
            Some(place) => Some(self.cursors.seal(purpose, count, place).await?),
            None => None,
        };
        Ok(ListResponse { total_results, next_cursor, resources, ..ListResponse::default() })
    }
}

/// For what a cursor is sealed: whatever must be the same on every page. A GET and a search by POST that ask for the same may follow
/// each other.
fn purpose(workspace: &WorkspaceId, kind: Option<ResourceKind>, query: &Query) -> String {
    let asked: [&Option<String>; 5] =
        [&query.filter, &query.sort_by, &query.sort_order, &query.attributes, &query.excluded_attributes];
    // As JSON no two requests are written alike.
    let whole = serde_json::json!([workspace.as_str(), kind.map(ResourceKind::name), asked]);
    format!("scim-cursor {}", sha256_hex(whole.to_string().as_bytes()))
}

/// Seals and opens cursors. Clones share the keys.
#[derive(Debug, Clone)]
pub(super) struct Cursors {
    store: Store,
    clock: SharedClock,
    sealer: Arc<Mutex<Option<Sealer>>>,
}

impl Cursors {
    pub(super) fn new(store: Store, clock: SharedClock) -> Self {
        Self { store, clock, sealer: Arc::default() }
    }

    async fn seal(&self, purpose: &str, count: u32, place: Place) -> Result<String, Failure> {
        let sealer = match self.known() {
            Some(sealer) => sealer,
            None => self.read().await?,
        };
        let cursor = Cursor::new(self.clock.now().0, count, place);
        Ok(sealer.seal(purpose, &cursor.to_bytes()).map_err(StoreError::from)?)
    }

    async fn open(&self, purpose: &str, cursor: &str, count: Option<u32>) -> Result<(u32, Place), Failure> {
        let opened = match self.known().map(|sealer| sealer.open(purpose, cursor)) {
            Some(Ok(opened)) => opened,
            // Another replica may have sealed it by a key that is newer than those known here.
            Some(Err(_)) | None => self.read().await?.open(purpose, cursor).map_err(|_| ScimError::InvalidCursor)?,
        };
        Ok(Cursor::read(&opened, self.clock.now().0, count)?)
    }

    fn known(&self) -> Option<Sealer> {
        self.sealer.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn read(&self) -> Result<Sealer, Failure> {
        let sealer = Sealer::new(self.store.keys(KeyPurpose::ScimCursor).await?).map_err(StoreError::from)?;
        *self.sealer.lock().unwrap_or_else(PoisonError::into_inner) = Some(sealer.clone());
        Ok(sealer)
    }
}
