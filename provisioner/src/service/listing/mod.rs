//! Lists (RFC 7644, section 3.4.2): an indexed value where the filter has one, else the resources in the order of their
//! creation, a stretch at a time. What an index finds is judged by the whole filter again, so an index only saves work.

mod index;
mod sorted;
#[cfg(test)]
mod tests;
mod walk;

use std::{fmt::Display, str::FromStr};

use lockstep_shared::store::StoreError;
use serde_json::Value;

use super::{failure::Failure, groups::Groups, request::Query, users::Users};
use crate::scim::{
    Document, Filter, Names, Profile, ResourceKind, ResourceSchema, SchemaSet, ScimError,
    filter::{AttributeRef, Literal, Questions},
    list::PageSizes,
    project::Projection,
    sort::Sort,
    write::Shown,
};

/// The page sizes that we announce.
pub(super) const PAGES: PageSizes = PageSizes { default: 100, max: 1_000 };
/// How many resources are read at a time.
const STRETCH: u32 = 500;

/// Resources of one type in one workspace, as a list reads them.
pub(super) trait Source: Sync {
    /// The store's record.
    type Record: Send + Sync;
    /// Names a record, and the place behind it.
    type Id: Clone + Display + FromStr + Ord + Send + Sync;
    /// What the store can look up.
    type Match: Send + Sync;

    /// The resource type.
    const KIND: ResourceKind;
    /// The attribute that the store keeps as rows beside the record.
    const ROWS: &'static str;

    /// The schema that an answer follows.
    fn schema(&self) -> &ResourceSchema;
    /// The record's name.
    fn id(record: &Self::Record) -> Self::Id;
    /// What the store can look up of an equality.
    fn index(attribute: &AttributeRef, text: &str) -> Option<Self::Match>;
    /// The records that a look-up names, of those behind `after` in the order of ids.
    fn matching(
        &self,
        by: &Self::Match,
        after: Option<&Self::Id>,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// The records behind `after` in the order of ids.
    fn after(&self, after: Option<&Self::Id>, limit: u32) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// The records of a page in the order of ids.
    fn page(&self, offset: u64, limit: u32) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// Those of these that there are, in the order of ids.
    fn named(&self, ids: &[Self::Id]) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// How many there are.
    fn count(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// The whole resources, one for each record; of the rows, what is looked at suffices.
    fn judged(&self, records: &[Self::Record], looks: &Looks) -> impl Future<Output = Result<Vec<Document>, Failure>> + Send;
    /// The resources as they are answered: of the first records, as many as one answer has room for, and the very first in any case.
    fn shown(
        &self,
        records: &[Self::Record],
        projection: &Projection,
    ) -> impl Future<Output = Result<Vec<Shown>, Failure>> + Send;
}

/// What a filter and an order look at of the rows of a record.
#[derive(Debug)]
pub(super) struct Looks {
    /// What the filter asks of them.
    pub(super) questions: Option<Questions>,
    /// Whether the order goes by the first.
    pub(super) at_first: bool,
}

impl Looks {
    /// Whether they look at rows at all.
    pub(super) fn at_rows(&self) -> bool {
        self.questions.is_some() || self.at_first
    }
}

/// A list request, read: of users, of groups, or of both, and then of users before groups.
pub(super) struct Listing<'l> {
    users: Option<Part<Users<'l>>>,
    groups: Option<Part<Groups<'l>>>,
    /// What is sorted by in one of the types, and so in which direction in each.
    sort: Option<Sort>,
}

impl<'l> Listing<'l> {
    /// Reads what a list of one resource type, or of all, is asked for.
    pub(super) fn read(
        kind: Option<ResourceKind>,
        (users, groups): (Users<'l>, Groups<'l>),
        query: &Query,
        schemas: &SchemaSet,
        profile: Profile,
    ) -> Result<Self, ScimError> {
        let names = |of: ResourceKind| match kind {
            None => Some(schemas.names_among_all(of)),
            Some(kind) => (kind == of).then(|| schemas.of(of).into()),
        };
        let users = names(ResourceKind::User).map(|names| Part::read(users, query, names, profile)).transpose()?;
        let groups = names(ResourceKind::Group).map(|names| Part::read(groups, query, names, profile)).transpose()?;
        let sort = users.as_ref().and_then(|part| part.sort.clone()).or_else(|| groups.as_ref()?.sort.clone());
        Ok(Self { users, groups, sort })
    }

    /// What is filtered by, in the words of one of the types.
    pub(super) fn filter(&self) -> Option<&Filter> {
        let of_users = self.users.as_ref().and_then(|part| part.filter.as_ref());
        of_users.or_else(|| self.groups.as_ref()?.filter.as_ref())
    }
}

/// What a list request asks of one resource type.
struct Part<S> {
    source: S,
    filter: Option<Filter>,
    sort: Option<Sort>,
    projection: Projection,
    /// What the filter and the order need of the rows.
    looks: Looks,
}

impl<S: Source> Part<S> {
    fn read(source: S, query: &Query, names: Names<'_>, profile: Profile) -> Result<Self, ScimError> {
        let filter = query.filter.as_deref().map(|text| Filter::parse(text, names, profile)).transpose()?;
        let sort = Sort::parse(query.sort_by.as_deref(), query.sort_order.as_deref(), names, profile)?;
        let schema = source.schema();
        let projection = Projection::parse(query.attributes.as_deref(), query.excluded_attributes.as_deref(), schema);
        let looks = Looks {
            questions: filter.as_ref().and_then(|filter| filter.questions(S::ROWS)),
            at_first: sort.as_ref().is_some_and(|sort| sort.by.extension.is_none() && sort.by.name == S::ROWS),
        };
        Ok(Self { source, filter, sort, projection, looks })
    }

    /// Those of the records that satisfy the filter.
    async fn matching(&self, records: Vec<S::Record>) -> Result<Vec<S::Record>, Failure> {
        if self.filter.is_none() {
            return Ok(records);
        }
        Ok(self.judged(records).await?.into_iter().map(|(record, _)| record).collect())
    }

    /// The same with the whole resource of each. Rows that only the answer needs are not read for it.
    async fn judged(&self, records: Vec<S::Record>) -> Result<Vec<(S::Record, Value)>, Failure> {
        let resources = self.source.judged(&records, &self.looks).await?;
        let whole = records.into_iter().zip(resources.into_iter().map(Value::Object));
        Ok(whole.filter(|(_, resource)| self.filter.as_ref().is_none_or(|filter| filter.matches(resource))).collect())
    }

    /// The first of these records as they are answered. What an answer has no room for stands at the beginning of the next page.
    async fn shown(&self, records: &[S::Record]) -> Result<Vec<Shown>, Failure> {
        self.source.shown(records, &self.projection).await
    }

    /// An indexed value that every resource which satisfies the filter must have.
    fn indexed(&self) -> Option<S::Match> {
        self.filter.as_ref()?.conjuncts().iter().find_map(|part| match part {
            Filter::Element { list, filter } => {
                // In `emails[type eq "work"].value eq "x"` the second equality is the one that an index knows.
                filter.conjuncts().iter().filter_map(Filter::as_equality).find_map(|(attribute, literal)| {
                    let (extension, name) = (list.extension.clone(), list.name.clone());
                    let whole = AttributeRef { extension, name, sub: Some(attribute.name.clone()), ..attribute.clone() };
                    by_text::<S>(&whole, literal)
                })
            }
            Filter::And(_) | Filter::Or(_) | Filter::Not(_) | Filter::Present(_) | Filter::Compare { .. } => {
                let (attribute, literal) = part.as_equality()?;
                by_text::<S>(attribute, literal)
            }
        })
    }
}

/// A look at the records that may satisfy a filter, a stretch at a time, in the order of ids.
struct Scan<'p, S: Source> {
    part: &'p Part<S>,
    /// Behind whom the next stretch begins.
    last: Option<S::Id>,
    is_over: bool,
}

impl<'p, S: Source> Scan<'p, S> {
    fn behind(part: &'p Part<S>, last: Option<S::Id>) -> Self {
        Self { part, last, is_over: false }
    }

    /// The next stretch, or `None` where there is nothing more.
    async fn next(&mut self, limit: u32) -> Result<Option<Vec<S::Record>>, Failure> {
        if self.is_over {
            return Ok(None);
        }
        let records = match self.part.indexed() {
            Some(by) => self.part.source.matching(&by, self.last.as_ref(), limit).await?,
            None => self.part.source.after(self.last.as_ref(), limit).await?,
        };
        self.is_over = u32::try_from(records.len()).is_ok_and(|count| count < limit);
        self.last = records.last().map(S::id).or_else(|| self.last.take());
        Ok(Some(records))
    }
}

fn by_text<S: Source>(attribute: &AttributeRef, literal: &Literal) -> Option<S::Match> {
    match literal {
        Literal::Text(text) if attribute.extension.is_none() => S::index(attribute, text),
        Literal::Text(_) | Literal::Boolean(_) | Literal::Number(_) | Literal::Instant(_) => None,
    }
}
