//! Pages of groups that have more members together than one page has room for: by each road they end early and go on, and whoever
//! goes by what a page says of itself sees each group once.

use std::sync::Arc;

use lockstep_shared::{
    clock::TestClock,
    id::{UserId, WorkspaceId},
    model::{audit::Actor, group::GroupProfile, workspace::Plan},
    secret::{Key, Sealer},
    store::{Store, StoreOptions},
};
use serde_json::Map;
use tempfile::TempDir;

use super::*;
use crate::scim::{
    cursor::Place,
    list::{ListResponse, Paging},
    write::Text,
};

/// How many members a page has room for here.
const ROOM: usize = 5;
/// How many members each group has. The names are the places in this list.
const SIZES: [usize; 8] = [2, 3, 0, 1, 7, 0, 5, 1];

struct Directory {
    _folder: TempDir,
    store: Store,
    acme: WorkspaceId,
    schemas: SchemaSet,
}

impl Directory {
    async fn with_groups() -> Self {
        let (folder, clock) = (tempfile::tempdir().unwrap(), TestClock::new());
        let url = format!("sqlite://{}", folder.path().join("lockstep.db").display());
        let sealer = Sealer::new(vec![Key::from_bytes([1; 32])]).unwrap();
        let store = Store::open(&StoreOptions::new(url), Arc::clone(&clock) as _, sealer).unwrap();
        store.migrate().await.unwrap();
        let acme = WorkspaceId::parse("acme").unwrap();
        store.create_workspace(&acme, "Acme", Plan::Enterprise, &Actor::operator()).await.unwrap();
        for (name, size) in SIZES.into_iter().enumerate() {
            let profile = GroupProfile { display_name: name.to_string(), external_id: None, attributes: Map::new() };
            let members = (0..size).map(|_| UserId::new().to_string()).collect();
            drop(store.create_group(&acme, profile, members, &Actor::operator()).await.unwrap());
        }
        Self { _folder: folder, store, acme, schemas: SchemaSet::standard() }
    }

    fn listing(&self, kind: Option<ResourceKind>, query: &str) -> Listing<'_> {
        let (store, workspace) = (&self.store, &self.acme);
        let schema = self.schemas.of(ResourceKind::User);
        let users = Users { store, workspace, schema, base_url: String::new() };
        let schema = self.schemas.of(ResourceKind::Group);
        let groups = Groups { store, workspace, schema, base_url: String::new(), room: ROOM };
        Listing::read(kind, (users, groups), &Query::parse(query), &self.schemas, Profile::Lenient).unwrap()
    }

    /// Pages by index, each behind those that the one before said it had.
    async fn by_index(&self, kind: Option<ResourceKind>, query: &str, count: u32) -> Vec<String> {
        let (listing, mut pages, mut start_index) = (self.listing(kind, query), Vec::new(), 1);
        loop {
            let page = listing.by_index(Paging { start_index, count }).await.unwrap();
            let total = page.total_results.unwrap();
            let (names, items) = read(page);
            assert!(items > 0, "a page behind which there are more is not empty: {query}");
            pages.push(names);
            start_index += items;
            if start_index > total {
                return pages;
            }
        }
    }

    async fn by_cursor(&self, kind: Option<ResourceKind>, query: &str, count: u32) -> Vec<String> {
        let (listing, mut pages, mut from) = (self.listing(kind, query), Vec::new(), None::<Place>);
        loop {
            let (resources, next) = listing.by_cursor(from, count).await.unwrap();
            pages.push(read(ListResponse { resources, ..ListResponse::default() }).0);
            let Some(place) = next else { return pages };
            from = Some(place);
        }
    }
}

/// The names on a page, and how many it says it has. Each group is shown with all its members.
fn read(page: ListResponse<Shown>) -> (String, u64) {
    let text = Text::from(page).collect::<Result<Vec<_>, _>>().unwrap().concat();
    let page: Value = serde_json::from_slice(&text).unwrap();
    let resources = page["Resources"].as_array().unwrap();
    for group in resources.iter().filter(|group| group.get("members").is_some()) {
        let size = SIZES[group["displayName"].as_str().unwrap().parse::<usize>().unwrap()];
        assert_eq!(group["members"].as_array().unwrap().len(), size, "{group}");
    }
    let names = resources.iter().map(|group| group["displayName"].as_str().unwrap()).collect();
    (names, page["itemsPerPage"].as_u64().unwrap())
}

#[tokio::test]
async fn a_page_ends_before_the_group_that_it_has_no_room_for_and_the_next_begins_with_it() {
    let directory = Directory::with_groups().await;
    let of_groups = Some(ResourceKind::Group);
    // Five members and nobody; a group that is too large for what is left of its page; that one, with nobody; five; and the last.
    let by_id = vec!["012", "3", "45", "6", "7"];

    for (kind, query, expected) in [
        (of_groups, "", by_id.clone()),
        (of_groups, "filter=displayName pr", by_id.clone()),
        (of_groups, "sortBy=displayName", by_id.clone()),
        (of_groups, "sortBy=displayName&filter=meta.created pr", by_id.clone()),
        (None, "", by_id.clone()),
        (None, "sortBy=displayName", by_id),
        (of_groups, "filter=displayName ge \"3\" and not (displayName eq \"4\")", vec!["35", "6", "7"]),
        (of_groups, "sortBy=displayName&sortOrder=descending", vec!["7", "65", "4", "321", "0"]),
        (of_groups, "filter=members pr&sortBy=displayName&sortOrder=descending", vec!["7", "6", "4", "31", "0"]),
        (of_groups, "excludedAttributes=members", vec!["01234567"]),
        (of_groups, "attributes=displayName&sortBy=displayName&sortOrder=descending", vec!["76543210"]),
    ] {
        assert_eq!(directory.by_index(kind, query, 100).await, expected, "by index: {query}");
        assert_eq!(directory.by_cursor(kind, query, 100).await, expected, "by cursor: {query}");
    }
}

#[tokio::test]
async fn a_page_ends_by_what_comes_first_the_count_or_the_room() {
    let directory = Directory::with_groups().await;

    for (count, expected) in [(1, vec!["0", "1", "2", "3", "4", "5", "6", "7"]), (2, vec!["01", "23", "45", "6", "7"])] {
        for query in ["", "filter=displayName pr", "sortBy=displayName"] {
            assert_eq!(directory.by_index(Some(ResourceKind::Group), query, count).await, expected, "{count} {query}");
            assert_eq!(directory.by_cursor(Some(ResourceKind::Group), query, count).await, expected, "{count} {query}");
        }
    }
}

#[tokio::test]
async fn an_extensions_list_is_not_looked_up_where_a_core_list_of_its_name_is() {
    let mut directory = Directory::with_groups().await;
    let extension = serde_json::from_value(serde_json::json!({
        "id": "urn:x:y",
        "attributes": [{ "name": "emails", "type": "complex", "multiValued": true, "subAttributes": [{ "name": "value" }] }],
    }));
    directory.schemas = directory.schemas.with_extension(ResourceKind::User, extension.unwrap()).unwrap();
    let is_indexed = |query| directory.listing(Some(ResourceKind::User), query).users.unwrap().indexed().is_some();

    assert!(is_indexed(r#"filter=emails[value eq "a"]"#));
    assert!(!is_indexed(r#"filter=urn:x:y:emails[value eq "a"]"#));
}
