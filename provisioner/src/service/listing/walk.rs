//! Pages by cursor (RFC 9865). A walk goes on behind the last resource that was looked at, in the order of ids, so whoever is
//! deleted or made meanwhile neither hides anybody else nor shows them twice; who is made later comes at the end. Where not all have
//! room in one answer, it goes on behind the last that was shown.

use super::{Listing, Part, STRETCH, Scan, Source};
use crate::{
    scim::{ResourceKind, ScimError, cursor::Place, write::Shown},
    service::failure::Failure,
};

/// The most resources that are looked at for one page: where few of them satisfy the filter, the page is short, or empty, and the
/// walk goes on.
const LOOKED_AT_MOST: u32 = 10_000;

/// Where a walk through one resource type goes on.
enum Next<Id> {
    Behind(Option<Id>),
    Nowhere,
}

impl Listing<'_> {
    /// A page of at most `count` resources, and where the next one begins.
    pub(in crate::service) async fn by_cursor(
        &self,
        from: Option<Place>,
        count: u32,
    ) -> Result<(Vec<Shown>, Option<Place>), Failure> {
        if let Some(sort) = &self.sort {
            return self.sorted_behind(sort, from, count).await;
        }
        let (mut left, mut resources) = (Left { count, looks: LOOKED_AT_MOST }, Vec::new());
        let is_among_groups = from.as_ref().is_some_and(|from| from.kind == ResourceKind::Group);
        if let Some(users) = self.users.as_ref().filter(|_| !is_among_groups) {
            let (page, next) = users.walk(from.as_ref(), &mut left).await?;
            resources = page;
            if next.is_some() {
                return Ok((resources, next));
            }
        }
        let Some(groups) = &self.groups else { return Ok((resources, None)) };
        let (page, next) = groups.walk(from.as_ref().filter(|_| is_among_groups), &mut left).await?;
        resources.extend(page);
        Ok((resources, next))
    }

    /// Whether the number of all is had without looking at each.
    pub(in crate::service) async fn cheap_total(&self) -> Result<Option<u64>, Failure> {
        if self.filter().is_some() {
            return Ok(None);
        }
        let mut total = 0;
        if let Some(users) = &self.users {
            total += users.source.count().await?;
        }
        if let Some(groups) = &self.groups {
            total += groups.source.count().await?;
        }
        Ok(Some(total))
    }
}

/// What is left of a page.
struct Left {
    /// Resources that it may still have.
    count: u32,
    /// Resources that may still be looked at.
    looks: u32,
}

impl<S: Source> Part<S> {
    async fn walk(&self, from: Option<&Place>, left: &mut Left) -> Result<(Vec<Shown>, Option<Place>), Failure> {
        let after = from.and_then(|from| from.after.as_deref());
        let after: Option<S::Id> = after.map(str::parse).transpose().map_err(|_| ScimError::InvalidCursor)?;
        let (records, next) = self.look(after, left).await?;
        left.count = left.count.saturating_sub(u32::try_from(records.len()).unwrap_or(u32::MAX));
        let shown = self.shown(&records).await?;
        let last = records.iter().take(shown.len()).next_back().map(S::id);
        let next = if shown.len() < records.len() { Next::Behind(last) } else { next };
        let next = match next {
            Next::Behind(id) => Some(Place { kind: S::KIND, after: id.map(|id| id.to_string()), key: None }),
            Next::Nowhere => None,
        };
        Ok((shown, next))
    }

    async fn look(&self, after: Option<S::Id>, left: &mut Left) -> Result<(Vec<S::Record>, Next<S::Id>), Failure> {
        let wanted = usize::try_from(left.count).unwrap_or(usize::MAX);
        let (mut page, mut last) = (Vec::new(), after.clone());
        let mut scan = Scan::behind(self, after);
        while left.looks > 0 {
            let limit = if self.filter.is_some() { STRETCH } else { left.count.saturating_add(1) }.min(left.looks);
            let Some(records) = scan.next(limit).await? else { return Ok((page, Next::Nowhere)) };
            left.looks -= u32::try_from(records.len()).unwrap_or(u32::MAX).min(left.looks);
            for record in self.matching(records).await? {
                // One more than the page has room for: so there is a next one.
                if page.len() == wanted {
                    return Ok((page, Next::Behind(last)));
                }
                last = Some(S::id(&record));
                page.push(record);
            }
            last.clone_from(&scan.last);
        }
        let next = if scan.is_over { Next::Nowhere } else { Next::Behind(last) };
        Ok((page, next))
    }
}
