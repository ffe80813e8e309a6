//! Lists in an order (RFC 7644, section 3.4.2.3). There is no index for it, so all that satisfies the filter is looked at; what is kept
//! meanwhile is what the page and all before it are ordered by, by a walk the page alone; the page's resources are read once it is known.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
};

use super::{Listing, Part, STRETCH, Scan, Source};
use crate::{
    scim::{
        ResourceKind, ScimError,
        cursor::Place,
        list::{ListResponse, Paging},
        sort::{Sort, SortKey},
        write::Shown,
    },
    service::failure::Failure,
};

/// The most resources that are put in order for one answer.
const SORTED_AT_MOST: u64 = 100_000;

/// Whom a record is of, and what it is ordered by: those that compare alike stand in the order of their creation, users before groups.
struct Entry {
    key: Option<SortKey>,
    kind: ResourceKind,
    id: String,
}

impl Entry {
    fn compare(&self, sort: &Sort, key: Option<&SortKey>, kind: ResourceKind, id: Option<&str>) -> Ordering {
        let place = |kind| match kind {
            ResourceKind::User => 0,
            ResourceKind::Group => 1,
        };
        let by_key = sort.compare(self.key.as_ref(), key);
        by_key.then_with(|| place(self.kind).cmp(&place(kind))).then_with(|| Some(self.id.as_str()).cmp(&id))
    }
}

/// The first so many of all that are shown to it.
struct Top<'s> {
    sort: &'s Sort,
    /// Who stands up to here is not of interest.
    behind: Option<Place>,
    keep: usize,
    kept: Vec<Entry>,
    seen: u64,
}

impl Top<'_> {
    fn show(&mut self, entry: Entry) -> Result<(), ScimError> {
        self.seen += 1;
        if self.seen > SORTED_AT_MOST {
            return Err(ScimError::TooMany(format!(
                "an order is given to at most {SORTED_AT_MOST} resources: filter, or leave sortBy out"
            )));
        }
        let is_behind = self.behind.as_ref().is_none_or(|place| {
            entry.compare(self.sort, place.key.as_ref(), place.kind, place.after.as_deref()) == Ordering::Greater
        });
        if is_behind {
            self.kept.push(entry);
        }
        // Twice as many at the most: so each is compared a few times, and none is moved for every one that comes.
        if self.kept.len() > self.keep.saturating_mul(2).saturating_add(1_000) {
            self.order();
        }
        Ok(())
    }

    fn order(&mut self) {
        self.kept.sort_by(|left, right| left.compare(self.sort, right.key.as_ref(), right.kind, Some(&right.id)));
        self.kept.truncate(self.keep);
    }
}

/// The resources of one type on a page, by their ids.
#[derive(Default)]
struct Named {
    shown: HashMap<String, Shown>,
    /// The first that the answer has no room for.
    without: Option<String>,
}

impl Listing<'_> {
    /// A page by index.
    pub(super) async fn sorted_page(&self, sort: &Sort, paging: Paging) -> Result<ListResponse<Shown>, Failure> {
        let offset = usize::try_from(paging.offset()).unwrap_or(usize::MAX);
        let count = usize::try_from(paging.count).unwrap_or(usize::MAX);
        let top = self.top(sort, None, offset.saturating_add(count)).await?;
        let page: Vec<Entry> = top.kept.into_iter().skip(offset).collect();
        let (resources, _) = self.show(&page).await?;
        Ok(ListResponse::page(top.seen, paging, resources))
    }

    /// A page by cursor, and where the next one begins.
    pub(super) async fn sorted_behind(
        &self,
        sort: &Sort,
        from: Option<Place>,
        count: u32,
    ) -> Result<(Vec<Shown>, Option<Place>), Failure> {
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        // One more than the page has room for: so there is a next one.
        let mut page = self.top(sort, from, count.saturating_add(1)).await?.kept;
        let is_last = page.len() <= count;
        page.truncate(count);
        let place = |entry: &Entry| Place { kind: entry.kind, after: Some(entry.id.clone()), key: entry.key.clone() };
        let (resources, done) = self.show(&page).await?;
        let is_last = is_last && done == page.len();
        Ok((resources, page.iter().take(done).next_back().filter(|_| !is_last).map(place)))
    }

    async fn top<'s>(&self, sort: &'s Sort, behind: Option<Place>, keep: usize) -> Result<Top<'s>, Failure> {
        let mut top = Top { sort, behind, keep, kept: Vec::new(), seen: 0 };
        if let Some(users) = &self.users {
            users.each(&mut top).await?;
        }
        if let Some(groups) = &self.groups {
            groups.each(&mut top).await?;
        }
        top.order();
        Ok(top)
    }

    /// The resources of a page, and of how many entries: the answer may not have room for all. One that was deleted since it was
    /// looked at is not among them.
    async fn show(&self, page: &[Entry]) -> Result<(Vec<Shown>, usize), Failure> {
        let of = |kind| page.iter().filter(move |entry| entry.kind == kind).map(|entry| entry.id.as_str());
        let mut users = match &self.users {
            Some(part) => part.named(of(ResourceKind::User)).await?,
            None => Named::default(),
        };
        let mut groups = match &self.groups {
            Some(part) => part.named(of(ResourceKind::Group)).await?,
            None => Named::default(),
        };
        let mut resources = Vec::with_capacity(page.len());
        for (at, entry) in page.iter().enumerate() {
            let named = match entry.kind {
                ResourceKind::User => &mut users,
                ResourceKind::Group => &mut groups,
            };
            if named.without.as_ref() == Some(&entry.id) {
                return Ok((resources, at));
            }
            resources.extend(named.shown.remove(&entry.id));
        }
        Ok((resources, page.len()))
    }
}

impl<S: Source> Part<S> {
    async fn each(&self, top: &mut Top<'_>) -> Result<(), Failure> {
        let mut scan = Scan::behind(self, None);
        while let Some(records) = scan.next(STRETCH).await? {
            for (record, resource) in self.judged(records).await? {
                let (key, id) = (self.sort.as_ref().and_then(|sort| sort.key(&resource)), S::id(&record).to_string());
                top.show(Entry { key, kind: S::KIND, id })?;
            }
        }
        Ok(())
    }

    /// The resources with these ids, of which the answer has room for the first.
    async fn named(&self, ids: impl Iterator<Item = &str>) -> Result<Named, Failure> {
        let ids: Vec<S::Id> = ids.filter_map(|id| id.parse().ok()).collect();
        let mut records = self.source.named(&ids).await?;
        let places: BTreeMap<&S::Id, usize> = ids.iter().zip(0..).collect();
        records.sort_by_cached_key(|record| places.get(&S::id(record)).copied());
        let shown = self.shown(&records).await?;
        let without = records.get(shown.len()).map(|record| S::id(record).to_string());
        let names = records.iter().map(|record| S::id(record).to_string());
        Ok(Named { shown: names.zip(shown).collect(), without })
    }
}
