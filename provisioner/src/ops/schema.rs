//! `schema`: a workspace's own schemas. Taking one away, or changing it, loses nothing that is stored.

use std::path::{Path, PathBuf};

use lockstep_shared::{id::WorkspaceId, revoke::Road, store::Settlement};
use serde_json::{Value, json};

use super::{
    Context, OpsError, Output,
    policy::{self, plural, resource},
};
use crate::{
    policy::{Edited, Extension, notation},
    scim::{
        ResourceKind,
        schema::{Attribute, Schema},
    },
};

/// The commands on schemas.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Define a schema of the workspace's own, by a few words or by a file
    Add(Box<Add>),
    /// List the workspace's own schemas
    List {
        /// The workspace
        workspace: WorkspaceId,
    },
    /// Take a schema away; what is stored under it stays, unseen, and is back with the schema
    Remove {
        /// The workspace
        workspace: WorkspaceId,
        /// The schema's URN
        urn: String,
        /// Only from this resource type: User or Group
        #[arg(long, value_name = "TYPE", value_parser = resource)]
        resource: Option<ResourceKind>,
    },
}

/// What is to be defined.
#[derive(Debug, Clone, clap::Args)]
pub struct Add {
    /// The workspace
    workspace: WorkspaceId,
    /// The schema's URN; one that ends in `:{key}` takes any names, with text as values
    #[arg(conflicts_with = "file", required_unless_present = "file")]
    urn: Option<String>,
    /// An attribute, such as folders:string[] or badge:integer; may be repeated
    #[arg(long = "attribute", value_name = "NAME[:TYPE][[]]", value_parser = notation::attribute)]
    attributes: Vec<Attribute>,
    /// Any other name is an attribute too, and its value is kept as text
    #[arg(long, requires = "urn")]
    free_form: bool,
    /// Schemas in the notation of RFC 7643, section 7: one, a list, or an answer to GET /Schemas
    #[arg(long, value_name = "FILE", conflicts_with_all = ["attributes", "name", "description"])]
    file: Option<PathBuf>,
    /// A short name, for people
    #[arg(long)]
    name: Option<String>,
    /// What the schema is for
    #[arg(long)]
    description: Option<String>,
    /// What it extends: User or Group; may be repeated
    #[arg(long = "resource", value_name = "TYPE", default_value = "User", value_parser = resource)]
    resources: Vec<ResourceKind>,
    /// Change a schema that is defined already
    #[arg(long)]
    replace: bool,
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Add(add) => define(context, *add).await,
        Command::List { workspace } => list(context, &workspace).await,
        Command::Remove { workspace, urn, resource } => remove(context, &workspace, &urn, resource).await,
    }
}

async fn define(context: &Context, add: Add) -> Result<Output, OpsError> {
    let (workspace, resources, replace) = (add.workspace.clone(), add.resources.clone(), add.replace);
    let (schemas, road) = (definitions(add)?, context.road().await?);
    let names: Vec<String> = schemas.iter().map(|schema| schema.id.clone()).collect();
    for schema in &schemas {
        let target = json!({ "schema": schema.id, "resources": resources });
        let edited = policy::edit(context, &workspace, "scim.schema_set", target, |document| {
            document.with_schema(&resources, schema, replace)
        });
        settle(road, &workspace, edited.await?).await?;
    }
    let types: Vec<&str> = resources.iter().copied().map(plural).collect();
    Ok(list(context, &workspace)
        .await?
        .heading(format!("Workspace {workspace} takes {} for {}.", names.join(", "), types.join(" and ")))
        .next("Providers see it in /Schemas with their next request. Map attributes to URN:attribute."))
}

fn definitions(add: Add) -> Result<Vec<Schema>, OpsError> {
    if let Some(path) = &add.file {
        return from_file(path);
    }
    let mut schema = notation::simple(&add.urn.unwrap_or_default(), add.attributes, add.free_form);
    schema.name = add.name.unwrap_or(schema.name);
    schema.description = add.description.unwrap_or_default();
    Ok(vec![schema])
}

fn from_file(path: &Path) -> Result<Vec<Schema>, OpsError> {
    let unusable = |reason: String| OpsError::SchemaFile { path: path.to_owned(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
    notation::schemas(&text).map_err(|error| unusable(error.to_string()))
}

/// Waits until every gateway shows apps what they may see now. Nobody is told of it who has changed nothing.
async fn settle(road: &Road, workspace: &WorkspaceId, edited: Option<(Edited, Settlement)>) -> Result<(), OpsError> {
    if let Some((_, settlement)) = edited.filter(|(_, settlement)| *settlement != Settlement::default()) {
        road.settle(workspace, settlement).await?;
    }
    Ok(())
}

async fn list(context: &Context, workspace: &WorkspaceId) -> Result<Output, OpsError> {
    let policy = policy::read(context, workspace).await?;
    let extensions = &policy.document().extensions;
    Ok(Output::of(json!({ "workspace": workspace, "schemas": extensions.iter().map(describe).collect::<Vec<_>>() }))
        .heading(format!("Schemas of workspace {workspace}'s own"))
        .table(&["URN", "FOR", "ATTRIBUTES"], extensions.iter().map(line)))
}

async fn remove(
    context: &Context,
    workspace: &WorkspaceId,
    urn: &str,
    resource: Option<ResourceKind>,
) -> Result<Output, OpsError> {
    let (policy, road) = (policy::read(context, workspace).await?, context.road().await?);
    let same = |extension: &&Extension| extension.schema.id.eq_ignore_ascii_case(urn);
    let has = policy.document().extensions.iter().filter(same).map(|extension| extension.resource);
    let has: Vec<ResourceKind> = has.filter(|has| resource.is_none_or(|wanted| wanted == *has)).collect();
    // Where there is none, the edit says so.
    let resources = if has.is_empty() { vec![resource.unwrap_or(ResourceKind::User)] } else { has };
    if resources.contains(&ResourceKind::User) {
        let named = context.store().await?.mapping(workspace).await?.role_attribute.map(|attribute| attribute.path);
        if let Some(path) = named.filter(|path| path.is_under(urn)) {
            return Err(OpsError::RolesComeFrom { workspace: workspace.clone(), path });
        }
    }
    for resource in resources {
        let target = json!({ "schema": urn, "resources": [resource] });
        let edited =
            policy::edit(context, workspace, "scim.schema_removed", target, |document| document.without_schema(resource, urn));
        settle(road, workspace, edited.await?).await?;
    }
    Ok(list(context, workspace)
        .await?
        .heading(format!("{urn} is no schema of workspace {workspace} any more."))
        .warn("what providers stored under it is kept, unseen; define the schema again to see it"))
}

pub(super) fn describe(extension: &Extension) -> Value {
    json!({ "resource": extension.resource, "schema": extension.schema })
}

fn line(extension: &Extension) -> Vec<String> {
    let schema = &extension.schema;
    let declared = schema.attributes.iter().map(notation::in_short);
    let any = schema.free_form.then(|| "any name, as text".to_owned());
    vec![schema.id.clone(), plural(extension.resource).to_owned(), declared.chain(any).collect::<Vec<_>>().join(", ")]
}
