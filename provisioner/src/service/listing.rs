//! Lists (RFC 7644, section 3.4.2): an indexed value where the filter has one, else the resources in the order of their
//! creation, a stretch at a time. What an index finds is judged by the whole filter again, so an index only saves work.

use lockstep_shared::store::StoreError;
use serde_json::Value;

use super::{failure::Failure, request::Query};
use crate::scim::{
    Document, Filter, Profile, ResourceSchema, ScimError,
    filter::{AttributeRef, Literal},
    list::{ListResponse, PageSizes, Paging},
    project::Projection,
    sort::Sort,
};

/// The page sizes that we announce.
pub(super) const PAGES: PageSizes = PageSizes { default: 100, max: 1_000 };
/// How many resources are read at a time.
const STRETCH: u32 = 500;
/// The most resources that are sorted for one answer.
const SORTED_AT_MOST: usize = 100_000;

/// Resources of one type in one workspace, as a list reads them.
pub(super) trait Source: Sync {
    /// The store's record.
    type Record: Send;
    /// Names a record, and the place behind it.
    type Id: Send + Sync;
    /// What the store can look up.
    type Match: Send + Sync;

    /// The attribute that the store keeps as rows beside the record.
    const ROWS: &'static str;

    /// The record's name.
    fn id(record: &Self::Record) -> Self::Id;
    /// What the store can look up of an equality.
    fn index(attribute: &AttributeRef, text: &str) -> Option<Self::Match>;
    /// The records that a look-up names, in the order of ids.
    fn matching(&self, by: &Self::Match) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// The records behind `after` in the order of ids.
    fn after(&self, after: Option<&Self::Id>, limit: u32) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// The records of a page in the order of ids.
    fn page(&self, offset: u64, limit: u32) -> impl Future<Output = Result<Vec<Self::Record>, StoreError>> + Send;
    /// How many there are.
    fn count(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;
    /// The whole resources, with their rows or without.
    fn assemble(
        &self,
        records: Vec<Self::Record>,
        with_rows: bool,
    ) -> impl Future<Output = Result<Vec<Document>, StoreError>> + Send;
}

/// A list request, read.
#[derive(Debug)]
struct Request {
    filter: Option<Filter>,
    sort: Option<Sort>,
    paging: Paging,
    projection: Projection,
    /// Whether the answer, the filter or the order needs the rows.
    needs_rows: bool,
}

impl Request {
    fn read(query: &Query, schema: &ResourceSchema, profile: Profile, rows: &str) -> Result<Self, ScimError> {
        let filter = query.filter.as_deref().map(|text| Filter::parse(text, schema, profile)).transpose()?;
        let sort = Sort::parse(query.sort_by.as_deref(), query.sort_order.as_deref(), schema, profile)?;
        let paging = Paging::parse(query.start_index.as_deref(), query.count.as_deref(), PAGES)?;
        let projection = Projection::parse(query.attributes.as_deref(), query.excluded_attributes.as_deref(), schema);
        let needs_rows = projection.wants(rows, schema) || sort.as_ref().is_some_and(|sort| sort.by.name == rows);
        Ok(Self { filter: None, sort, paging, projection, needs_rows }.filtered(filter, rows))
    }

    fn filtered(self, filter: Option<Filter>, rows: &str) -> Self {
        let needs_rows = self.needs_rows || filter.as_ref().is_some_and(|filter| mentions(filter, rows));
        Self { filter, needs_rows, ..self }
    }

    fn is_on_page(&self, place: u64) -> bool {
        (self.paging.offset()..self.paging.offset().saturating_add(self.paging.count.into())).contains(&place)
    }
}

/// Answers a list request.
pub(super) async fn list<S: Source>(
    source: &S,
    query: &Query,
    schema: &ResourceSchema,
    profile: Profile,
) -> Result<Value, Failure> {
    let request = Request::read(query, schema, profile, S::ROWS)?;
    let (total, resources) = page(source, &request, schema).await?;
    Ok(ListResponse::page(total, request.paging, resources).into_value())
}

/// Answers a search in two resource types: those of the first come before those of the second.
pub(super) async fn list_both<A: Source, B: Source>(
    (first, first_schema): (&A, &ResourceSchema),
    (second, second_schema): (&B, &ResourceSchema),
    both: &ResourceSchema,
    query: &Query,
    profile: Profile,
) -> Result<Value, Failure> {
    if query.sort_by.is_some() {
        return Err(ScimError::NotImplemented("an order over several resource types").into());
    }
    // RFC 7644, section 3.4.2.1: an attribute that a type does not have is one without a value.
    let filter = query.filter.as_deref().map(|text| Filter::parse(text, both, profile)).transpose()?;
    let unfiltered = Query { filter: None, ..query.clone() };
    let request = Request::read(&unfiltered, first_schema, profile, A::ROWS)?.filtered(filter.clone(), A::ROWS);
    let (mut total, mut resources) = page(first, &request, first_schema).await?;
    let rest = request.paging.behind(total, resources.len());
    let request = Request::read(&unfiltered, second_schema, profile, B::ROWS)?.filtered(filter, B::ROWS);
    let paging = request.paging;
    let (more, others) = page(second, &Request { paging: rest, ..request }, second_schema).await?;
    total += more;
    resources.extend(others);
    Ok(ListResponse::page(total, paging, resources).into_value())
}

/// How many there are, and those of the page as they are shown.
async fn page<S: Source>(source: &S, request: &Request, schema: &ResourceSchema) -> Result<(u64, Vec<Value>), Failure> {
    let (total, page) = match (&request.filter, &request.sort) {
        (None, None) => plain_page(source, request).await?,
        (_, Some(sort)) => sorted_page(source, request, sort).await?,
        (Some(filter), None) => filtered_page(source, request, filter).await?,
    };
    Ok((total, page.into_iter().map(|resource| Value::Object(request.projection.apply(resource, schema))).collect()))
}

async fn plain_page<S: Source>(source: &S, request: &Request) -> Result<(u64, Vec<Document>), Failure> {
    let total = source.count().await?;
    if request.paging.count == 0 {
        return Ok((total, Vec::new()));
    }
    let records = source.page(request.paging.offset(), request.paging.count).await?;
    Ok((total, source.assemble(records, request.needs_rows).await?))
}

async fn filtered_page<S: Source>(source: &S, request: &Request, filter: &Filter) -> Result<(u64, Vec<Document>), Failure> {
    let (mut total, mut page) = (0, Vec::new());
    each_match(source, request, Some(filter), |resource| {
        if request.is_on_page(total) {
            page.push(resource);
        }
        total += 1;
        Ok(())
    })
    .await?;
    Ok((total, page))
}

async fn sorted_page<S: Source>(source: &S, request: &Request, sort: &Sort) -> Result<(u64, Vec<Document>), Failure> {
    let mut all: Vec<Value> = Vec::new();
    each_match(source, request, request.filter.as_ref(), |resource| {
        if all.len() == SORTED_AT_MOST {
            return Err(ScimError::TooMany(format!(
                "an order is given to at most {SORTED_AT_MOST} resources: filter, or leave sortBy out"
            )));
        }
        all.push(Value::Object(resource));
        Ok(())
    })
    .await?;
    // A stable sort: resources that compare alike keep the order of their creation on every page.
    all.sort_by(|left, right| sort.compare(left, right));
    let total = u64::try_from(all.len()).unwrap_or(u64::MAX);
    let offset = usize::try_from(request.paging.offset()).unwrap_or(usize::MAX);
    let count = usize::try_from(request.paging.count).unwrap_or(usize::MAX);
    let page = all.into_iter().skip(offset).take(count).filter_map(|resource| match resource {
        Value::Object(resource) => Some(resource),
        _ => None,
    });
    Ok((total, page.collect()))
}

/// Hands over each resource that satisfies the filter, in the order of ids.
async fn each_match<S: Source>(
    source: &S,
    request: &Request,
    filter: Option<&Filter>,
    mut hand_over: impl FnMut(Document) -> Result<(), ScimError> + Send,
) -> Result<(), Failure> {
    let mut judge = |resources: Vec<Document>| -> Result<(), ScimError> {
        for resource in resources {
            let whole = Value::Object(resource);
            let matches = filter.is_none_or(|filter| filter.matches(&whole));
            if let (true, Value::Object(resource)) = (matches, whole) {
                hand_over(resource)?;
            }
        }
        Ok(())
    };
    if let Some(by) = filter.and_then(indexed::<S>) {
        let records = source.matching(&by).await?;
        judge(source.assemble(records, request.needs_rows).await?)?;
        return Ok(());
    }
    let mut last = None;
    loop {
        let records = source.after(last.as_ref(), STRETCH).await?;
        let is_end = u32::try_from(records.len()).is_ok_and(|read| read < STRETCH);
        last = records.last().map(S::id);
        judge(source.assemble(records, request.needs_rows).await?)?;
        if is_end {
            return Ok(());
        }
    }
}

/// An indexed value that every resource which satisfies the filter must have.
fn indexed<S: Source>(filter: &Filter) -> Option<S::Match> {
    filter.conjuncts().iter().find_map(|part| match part {
        Filter::Element { list, filter } => {
            let (attribute, literal) = filter.conjuncts().iter().find_map(Filter::as_equality)?;
            let whole = AttributeRef { name: list.name.clone(), sub: Some(attribute.name.clone()), ..attribute.clone() };
            by_text::<S>(&whole, literal)
        }
        Filter::And(_) | Filter::Or(_) | Filter::Not(_) | Filter::Present(_) | Filter::Compare { .. } => {
            let (attribute, literal) = part.as_equality()?;
            by_text::<S>(attribute, literal)
        }
    })
}

fn by_text<S: Source>(attribute: &AttributeRef, literal: &Literal) -> Option<S::Match> {
    match literal {
        Literal::Text(text) if attribute.extension.is_none() => S::index(attribute, text),
        Literal::Text(_) | Literal::Boolean(_) | Literal::Number(_) | Literal::Instant(_) => None,
    }
}

/// Whether a filter looks at a core attribute.
fn mentions(filter: &Filter, name: &str) -> bool {
    let is_it = |attribute: &AttributeRef| attribute.extension.is_none() && attribute.name == name;
    match filter {
        Filter::And(parts) | Filter::Or(parts) => parts.iter().any(|part| mentions(part, name)),
        Filter::Not(part) => mentions(part, name),
        Filter::Present(attribute) | Filter::Compare { attribute, .. } => is_it(attribute),
        Filter::Element { list, .. } => is_it(list),
    }
}
