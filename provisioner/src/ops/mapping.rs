//! `mapping`: which roles and teams people have by their groups. What it says is in force on every gateway when the command answers.

use std::{collections::BTreeSet, path::PathBuf};

use lockstep_shared::{
    id::{GroupId, WorkspaceId},
    model::{
        access::{AccessName, Mapping, RoleAttribute, Rule},
        attribute::AttributePath,
        audit::Actor,
        group::Group,
    },
    revoke::Receipt,
    store::{EditError, GroupMatch},
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, policy, receipt};
use crate::policy::{EditRefusal, Policy};

/// The commands on roles and teams. GROUP is an id or a display name.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say which roles and teams groups give; what is not named stays as it is
    Set(Box<Set>),
    /// Show which roles and teams groups give
    List {
        /// The workspace
        workspace: WorkspaceId,
    },
}

/// What is to change.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true)), group(clap::ArgGroup::new("given").multiple(true)))]
pub struct Set {
    /// The workspace
    workspace: WorkspaceId,
    /// A group; its members have the roles and teams given here, and no others by it
    #[arg(long, group = "change", value_name = "GROUP", requires = "given")]
    group: Option<String>,
    /// A role of the group's members; may be repeated
    #[arg(long = "role", value_name = "ROLE", requires = "group", group = "given")]
    roles: Vec<AccessName>,
    /// A team of the group's members; may be repeated
    #[arg(long = "team", value_name = "TEAM", requires = "group", group = "given")]
    teams: Vec<AccessName>,
    /// A group that gives nothing from now on; may be repeated
    #[arg(long = "remove-group", group = "change", value_name = "GROUP")]
    removed: Vec<String>,
    /// A role of whoever has none by a group; replaces the default roles; may be repeated
    #[arg(long = "default-role", group = "change", value_name = "ROLE")]
    default_roles: Vec<AccessName>,
    /// A team of whoever has none by a group; replaces the default teams; may be repeated
    #[arg(long = "default-team", group = "change", value_name = "TEAM")]
    default_teams: Vec<AccessName>,
    /// Nobody has anything by default
    #[arg(long, group = "change", conflicts_with_all = ["default_roles", "default_teams"])]
    no_default: bool,
    /// Roles from high to low: of these, a person has the highest alone
    #[arg(long, group = "change", value_name = "ROLE,ROLE", value_delimiter = ',')]
    precedence: Vec<AccessName>,
    /// Roles add up, whichever they are
    #[arg(long, group = "change", conflicts_with = "precedence")]
    no_precedence: bool,
    /// An attribute that gives roles as well, such as roles or userType
    #[arg(long, group = "change", value_name = "ATTRIBUTE", requires = "grants")]
    role_attribute: Option<AttributePath>,
    /// The roles that the attribute may give; any other value of it gives nothing
    #[arg(long, value_name = "ROLE,ROLE", value_delimiter = ',', requires = "role_attribute")]
    grants: Vec<AccessName>,
    /// No attribute gives roles
    #[arg(long, group = "change", conflicts_with = "role_attribute")]
    no_role_attribute: bool,
    /// A file with the whole mapping, as `mapping list --json` shows it; groups by id or name
    #[arg(long, group = "change", value_name = "FILE", conflicts_with_all = [
        "group", "removed", "default_roles", "default_teams", "no_default", "precedence", "no_precedence", "role_attribute",
        "no_role_attribute",
    ])]
    file: Option<PathBuf>,
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Set(set) => change(context, *set).await,
        Command::List { workspace } => list(context, &workspace).await,
    }
}

async fn change(context: &Context, set: Set) -> Result<Output, OpsError> {
    let workspace = set.workspace.clone();
    context.workspace(&workspace).await?;
    let (road, store) = (context.road().await?, context.store().await?);
    let change = Change::of(context, set).await?;
    let before = store.mapping(&workspace).await?;
    let unmapped = change.unmapped(&before);
    let edit = |current: &Mapping| change.applied_to(current).checked().map_err(OpsError::Mapping);
    let (_, settlement) = store.update_mapping(&workspace, &Actor::operator(), edit).await.map_err(|error| match error {
        EditError::Refused(refused) => refused,
        EditError::Store(error) => error.into(),
    })?;
    let settled = if settlement.records.is_empty() {
        context.settle_earlier(&workspace).await?
    } else {
        road.settle(&workspace, settlement).await?
    };
    let (shown, unasked) = (list(context, &workspace).await?, unasked(context, &workspace).await?);
    let shown = shown.warn_if(!unasked.is_empty(), || {
        let names = unasked.iter().map(AccessName::as_str).collect::<Vec<_>>().join(", ");
        format!("no app of the configuration asks for {names}: apps are told of it, but it opens none that asks for roles")
    });
    let shown = shown
        .warn_if(!unmapped.is_empty(), || format!("{} gave nothing before: there was nothing to remove", unmapped.join(", ")));
    Ok(shown.member("receipt", receipt::describe(&settled)).heading(in_force(&workspace, &settled)))
}

fn in_force(workspace: &WorkspaceId, receipt: &Receipt) -> String {
    let gateways = receipt.confirmed.len() + receipt.waited_out.len();
    match gateways {
        0 => format!("Roles and teams of workspace {workspace}; no gateway is running."),
        _ => format!("Roles and teams of workspace {workspace}, in force on {gateways} gateways after {} ms.", receipt.took_ms),
    }
}

/// What is to change, with every group found.
struct Change {
    whole: Option<Mapping>,
    rule: Option<Rule>,
    /// Each with the name that the operator has for it.
    removed: Vec<(String, GroupId)>,
    set: Set,
}

impl Change {
    async fn of(context: &Context, set: Set) -> Result<Self, OpsError> {
        let mut set = set;
        let mut whole = match &set.file {
            Some(path) => Some(read(context, &set.workspace, path).await?),
            None => None,
        };
        let from_file = whole.as_mut().and_then(|mapping| mapping.role_attribute.as_mut()).map(|attribute| &mut attribute.path);
        if let Some(path) = set.role_attribute.as_mut().or(from_file) {
            *path = known(&policy::read(context, &set.workspace).await?, &set.workspace, path)?;
        }
        let rule = match &set.group {
            Some(name) => {
                let group = find(context, &set.workspace, name).await?;
                let names = |names: &[AccessName]| names.iter().cloned().collect();
                Some(Rule { group, roles: names(&set.roles), teams: names(&set.teams) })
            }
            None => None,
        };
        let mut removed = Vec::new();
        for name in &set.removed {
            // A rule may outlive its group, and then the id alone is left.
            let group = match GroupId::parse(name) {
                Ok(id) => id,
                Err(_) => find(context, &set.workspace, name).await?,
            };
            removed.push((name.clone(), group));
        }
        Ok(Self { whole, rule, removed, set })
    }

    /// The groups that are to give nothing from now on and gave nothing before: another one may have been meant.
    fn unmapped(&self, before: &Mapping) -> Vec<String> {
        let is_mapped = |group: &GroupId| before.rules.iter().any(|rule| rule.group == *group);
        self.removed.iter().filter(|(_, group)| !is_mapped(group)).map(|(name, _)| name.clone()).collect()
    }

    fn applied_to(&self, current: &Mapping) -> Mapping {
        let mut mapping = self.whole.clone().unwrap_or_else(|| current.clone());
        mapping.rules.retain(|rule| !self.removed.iter().any(|(_, removed)| *removed == rule.group));
        if let Some(rule) = &self.rule {
            match mapping.rules.iter_mut().find(|earlier| earlier.group == rule.group) {
                Some(earlier) => *earlier = rule.clone(),
                None => mapping.rules.push(rule.clone()),
            }
        }
        let Set { default_roles, default_teams, precedence, .. } = &self.set;
        if self.set.no_default || !default_roles.is_empty() {
            mapping.default.roles = default_roles.iter().cloned().collect();
        }
        if self.set.no_default || !default_teams.is_empty() {
            mapping.default.teams = default_teams.iter().cloned().collect();
        }
        if self.set.no_precedence || !precedence.is_empty() {
            mapping.precedence.clone_from(precedence);
        }
        if let Some(path) = &self.set.role_attribute {
            let grants = self.set.grants.iter().cloned().collect();
            mapping.role_attribute = Some(RoleAttribute { path: path.clone(), grants });
        } else if self.set.no_role_attribute {
            mapping.role_attribute = None;
        }
        mapping
    }
}

/// The attribute in the spelling under which people's records have it: any other would give nobody a role, in silence.
fn known(policy: &Policy, workspace: &WorkspaceId, path: &AttributePath) -> Result<AttributePath, OpsError> {
    let named = path.to_string();
    let kept = policy
        .role_attribute(&named)
        .and_then(|kept| kept.parse().map_err(|_| EditRefusal::UnknownAttribute { path: named, nearest: None }));
    kept.map_err(|refusal| OpsError::Policy { workspace: workspace.clone(), refusal })
}

/// Reads a whole mapping, in which groups may be called by their names. A group that is none here may have a rule only if it has it
/// already, since a rule may outlive its group.
async fn read(context: &Context, workspace: &WorkspaceId, path: &PathBuf) -> Result<Mapping, OpsError> {
    let unreadable = |reason: String| OpsError::MappingFile { path: path.clone(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let document: Value = serde_json::from_str(&text).map_err(|error| unreadable(error.to_string()))?;
    let mut document = whole(document, workspace).map_err(|fault| unreadable(fault.to_string()))?;
    let earlier = context.store().await?.mapping(workspace).await?;
    for rule in document.get_mut("rules").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(group) = rule.get_mut("group") else { continue };
        let Some(name) = group.as_str().map(str::to_owned) else { continue };
        let is_kept = |id: &GroupId| earlier.rules.iter().any(|rule| rule.group == *id);
        if !GroupId::parse(&name).is_ok_and(|id| is_kept(&id)) {
            *group = json!(find(context, workspace, &name).await?);
        }
    }
    serde_json::from_value(document).map_err(|error| unreadable(error.to_string()))
}

/// Why a document holds no mapping, or none for this workspace.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum FileFault {
    /// What is no mapping at all would otherwise be read as one that gives nobody anything.
    #[error("a mapping is an object with the member rules, a list; to take every rule away, write \"rules\": []")]
    NoRules,
    /// A list in the place of an object: which of its values means what would be a guess.
    #[error("{0} is to be an object with named members")]
    NoObject(&'static str),
    /// It was printed for another workspace, whose groups are not these.
    #[error(
        "it is the mapping of the workspace {0}; to copy it on purpose, keep what its member mapping has, alone, and write the groups' \
         display names in the place of their ids"
    )]
    OfAnother(String),
}

/// The whole mapping of a file: as it stands, or as `mapping list --json` printed it, as one member among others.
fn whole(mut document: Value, workspace: &WorkspaceId) -> Result<Value, FileFault> {
    if let Some(own) = document.get_mut("mapping").map(Value::take) {
        let other = document.get("workspace").filter(|other| other.as_str() != Some(workspace.as_str()));
        if let Some(other) = other {
            return Err(FileFault::OfAnother(other.as_str().map_or_else(|| other.to_string(), str::to_owned)));
        }
        document = own;
    }
    let rules = document.get("rules").and_then(Value::as_array).ok_or(FileFault::NoRules)?;
    if !rules.iter().all(Value::is_object) {
        return Err(FileFault::NoObject("each of the rules"));
    }
    for name in ["default", "role_attribute"] {
        if document.get(name).is_some_and(Value::is_array) {
            return Err(FileFault::NoObject(name));
        }
    }
    Ok(document)
}

/// Finds the one group that an operator names.
async fn find(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<GroupId, OpsError> {
    let store = context.store().await?;
    for by in [GroupMatch::Id(name.to_owned()), GroupMatch::DisplayName(name.to_owned())] {
        if let Some(group) = store.groups_matching(workspace, &by).await?.pop() {
            return Ok(group.id);
        }
    }
    Err(OpsError::UnknownGroup { workspace: workspace.clone(), name: name.to_owned() })
}

async fn list(context: &Context, workspace: &WorkspaceId) -> Result<Output, OpsError> {
    context.workspace(workspace).await?;
    let store = context.store().await?;
    let mapping = store.mapping(workspace).await?;
    let (mut groups, mut lines) = (Vec::new(), Vec::new());
    for rule in &mapping.rules {
        let group = store.group(workspace, &rule.group).await?;
        let members = store.count_members(workspace, &rule.group).await?;
        groups.push(describe(rule, group.as_ref(), members));
        let name = group.map_or_else(|| format!("{} (deleted)", rule.group), |group| group.profile.display_name);
        lines.push(vec![name, members.to_string(), join(&rule.roles), join(&rule.teams)]);
    }
    let program = context.program();
    let output = Output::of(json!({ "workspace": workspace, "mapping": mapping, "groups": groups }))
        .heading(format!("Roles and teams of workspace {workspace}"))
        .table(&["group", "members", "roles", "teams"], lines)
        .rows(beside_groups(&mapping));
    let asked = asked(context, workspace);
    let output =
        alike(roles(&mapping).chain(asked.iter().map(String::as_str))).into_iter().fold(output, |output, (one, other)| {
            output.warn(format!("the roles {one} and {other} differ in case only, and roles are compared exactly"))
        });
    Ok(if mapping == Mapping::default() {
        output.next(format!("{program} mapping set {workspace} --group GROUP --role ROLE --team TEAM"))
    } else {
        output
    })
}

/// Every role that the mapping names.
fn roles(mapping: &Mapping) -> impl Iterator<Item = &str> {
    let by_rule = mapping.rules.iter().flat_map(|rule| &rule.roles);
    let by_attribute = mapping.role_attribute.iter().flat_map(|attribute| &attribute.grants);
    by_rule.chain(&mapping.default.roles).chain(by_attribute).chain(&mapping.precedence).map(AccessName::as_str)
}

/// The roles that apps ask for of the workspace's people.
fn asked(context: &Context, workspace: &WorkspaceId) -> BTreeSet<String> {
    let apps = context.config().apps.iter();
    let own = apps.filter(|app| app.workspaces.as_ref().is_none_or(|workspaces| workspaces.contains(workspace)));
    own.flat_map(|app| app.roles.iter().cloned()).collect()
}

/// The roles that are given and that no app asks for, where some app asks for any.
async fn unasked(context: &Context, workspace: &WorkspaceId) -> Result<BTreeSet<AccessName>, OpsError> {
    let asked = asked(context, workspace);
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let mapping = context.store().await?.mapping(workspace).await?;
    let given = roles(&mapping).filter(|role| !asked.contains(*role));
    Ok(given.filter_map(|role| role.parse().ok()).collect())
}

/// Names of which two are the same but for their case.
fn alike<'n>(names: impl Iterator<Item = &'n str>) -> Vec<(&'n str, &'n str)> {
    let names: Vec<&str> = names.collect::<BTreeSet<_>>().into_iter().collect();
    let pairs = names.iter().enumerate().flat_map(|(at, one)| names.iter().skip(at + 1).map(move |other| (*one, *other)));
    pairs.filter(|(one, other)| one.eq_ignore_ascii_case(other)).collect()
}

fn beside_groups(mapping: &Mapping) -> [(&'static str, String); 4] {
    let precedence: Vec<&str> = mapping.precedence.iter().map(AccessName::as_str).collect();
    let attribute = mapping.role_attribute.as_ref();
    [
        ("default roles", join(&mapping.default.roles)),
        ("default teams", join(&mapping.default.teams)),
        ("highest alone of", precedence.join(" > ")),
        ("roles by attribute", attribute.map_or_else(String::new, |a| format!("{}: {}", a.path, join(&a.grants)))),
    ]
}

fn describe(rule: &Rule, group: Option<&Group>, members: u64) -> Value {
    json!({
        "id": rule.group,
        "display_name": group.map(|group| &group.profile.display_name),
        "deleted": group.is_none(),
        "members": members,
        "roles": rule.roles,
        "teams": rule.teams,
    })
}

/// Names as people read them.
pub(super) fn join(names: &BTreeSet<AccessName>) -> String {
    names.iter().map(AccessName::as_str).collect::<Vec<_>>().join(", ")
}
