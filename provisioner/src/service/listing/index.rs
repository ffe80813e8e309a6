//! Pages by index (RFC 7644, section 3.4.2.4).
//!
//! Whoever asks for a page far behind makes the database step over all before it: a cursor does not. A page may have fewer resources
//! than were asked for: the next one begins behind those that it says it has (`itemsPerPage`).

use super::{Listing, Part, STRETCH, Scan, Source};
use crate::{
    scim::{
        list::{ListResponse, Paging},
        write::Shown,
    },
    service::failure::Failure,
};

impl Listing<'_> {
    /// The page, and how many there are in all.
    pub(in crate::service) async fn by_index(&self, paging: Paging) -> Result<ListResponse<Shown>, Failure> {
        if let Some(sort) = &self.sort {
            return self.sorted_page(sort, paging).await;
        }
        let (mut total, mut resources) = (0, Vec::new());
        if let Some(users) = &self.users {
            (total, resources) = users.page(paging).await?;
        }
        if let Some(groups) = &self.groups {
            let (more, others) = groups.page(paging.behind(total, resources.len())).await?;
            total += more;
            resources.extend(others);
        }
        Ok(ListResponse::page(total, paging, resources))
    }
}

impl<S: Source> Part<S> {
    async fn page(&self, paging: Paging) -> Result<(u64, Vec<Shown>), Failure> {
        let (total, records) = match (&self.filter, paging.count) {
            (None, 0) => (self.source.count().await?, Vec::new()),
            (None, count) => (self.source.count().await?, self.source.page(paging.offset(), count).await?),
            (Some(_), _) => self.filtered_page(paging).await?,
        };
        Ok((total, self.shown(&records).await?))
    }

    async fn filtered_page(&self, paging: Paging) -> Result<(u64, Vec<S::Record>), Failure> {
        let (mut total, mut page) = (0, Vec::new());
        let on_page = paging.offset()..paging.offset().saturating_add(paging.count.into());
        let mut scan = Scan::behind(self, None);
        while let Some(records) = scan.next(STRETCH).await? {
            for record in self.matching(records).await? {
                if on_page.contains(&total) {
                    page.push(record);
                }
                total += 1;
            }
        }
        Ok((total, page))
    }
}
