//! `attribute`: what a workspace asks of single attributes. A rule that comes later breaks nobody who is there.

use lockstep_shared::id::WorkspaceId;
use serde_json::{Value, json};

use super::{
    Context, OpsError, Output,
    policy::{self, Violations, plural, resource},
};
use crate::{
    policy::{EditRefusal, Edited, PolicyDocument, RuleChange},
    scim::{
        ResourceKind,
        normalise::{AttributeRule, AttributeRules},
    },
};

/// The commands on attributes.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Say what attributes must have; what is not named stays as it is
    Set(Box<Set>),
    /// List the rules
    List {
        /// The workspace
        workspace: WorkspaceId,
        /// Look through everybody and tell who breaks them today
        #[arg(long)]
        violations: bool,
    },
}

/// What is to change.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "one for each word of the command line")]
#[command(group(clap::ArgGroup::new("of_attributes").multiple(true)))]
#[command(group(clap::ArgGroup::new("of_name")))]
#[command(group(clap::ArgGroup::new("change").required(true).multiple(true).args([
    "required", "optional", "allowed", "allow_any", "default", "no_default", "unset", "user_name_is_email", "user_name_is_free",
])))]
pub struct Set {
    /// The workspace
    workspace: WorkspaceId,
    /// Attributes: userType, name.givenName, roles, URN:attribute
    #[arg(value_name = "ATTRIBUTE", requires = "of_attributes")]
    paths: Vec<String>,
    /// There must be a value
    #[arg(long, group = "of_attributes", requires = "paths", conflicts_with = "optional")]
    required: bool,
    /// There need not be a value
    #[arg(long, group = "of_attributes", requires = "paths")]
    optional: bool,
    /// The only values, spelled exactly so
    #[arg(
        long = "allow", group = "of_attributes", requires = "paths", value_name = "A,B", value_delimiter = ',',
        value_parser = value, conflicts_with = "allow_any",
    )]
    allowed: Vec<String>,
    /// Any value is good
    #[arg(long, group = "of_attributes", requires = "paths")]
    allow_any: bool,
    /// What is kept where the provider sends nothing, or null
    #[arg(
        long, group = "of_attributes", requires = "paths", value_name = "VALUE", value_parser = value, conflicts_with = "no_default",
    )]
    default: Option<String>,
    /// Where the provider sends nothing there is nothing
    #[arg(long, group = "of_attributes", requires = "paths")]
    no_default: bool,
    /// No rule at all
    #[arg(
        long, group = "of_attributes", requires = "paths",
        conflicts_with_all = ["required", "optional", "allowed", "allow_any", "default", "no_default"],
    )]
    unset: bool,
    /// The user name must be an e-mail address: the person's primary one, wherever the provider sends any
    #[arg(long, group = "of_name", alias = "email-is-user-name", conflicts_with = "paths")]
    user_name_is_email: bool,
    /// The user name may be anything
    #[arg(long, group = "of_name", conflicts_with = "paths")]
    user_name_is_free: bool,
    /// Attributes of what: User or Group
    #[arg(long, value_name = "TYPE", default_value = "User", value_parser = resource)]
    resource: ResourceKind,
}

fn value(text: &str) -> Result<String, &'static str> {
    let value = text.trim();
    if value.is_empty() || value.chars().any(char::is_control) { Err("expected text") } else { Ok(value.to_owned()) }
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Set(set) => change(context, &set).await,
        Command::List { workspace, violations } => list(context, &workspace, violations).await,
    }
}

impl Set {
    fn rule(&self) -> RuleChange {
        if self.unset {
            return RuleChange { required: Some(false), allowed: Some(Vec::new()), default: Some(None) };
        }
        RuleChange {
            required: self.required.then_some(true).or_else(|| self.optional.then_some(false)),
            allowed: (self.allow_any || !self.allowed.is_empty()).then(|| self.allowed.clone()),
            default: (self.no_default || self.default.is_some()).then(|| self.default.clone()),
        }
    }

    fn applied_to(&self, document: PolicyDocument) -> Result<Edited, EditRefusal> {
        if self.paths.is_empty() {
            return document.with_email_as_user_name(self.user_name_is_email);
        }
        let mut edited = Edited { document, before: json!({}), after: json!({}) };
        for path in &self.paths {
            let Edited { document, before, after } = edited.document.with_rule(self.resource, path, &self.rule())?;
            let (mut all_before, mut all_after) = (edited.before, edited.after);
            if let (Value::Object(all_before), Value::Object(all_after)) = (&mut all_before, &mut all_after) {
                all_before.insert(path.clone(), before);
                all_after.insert(path.clone(), after);
            }
            edited = Edited { document, before: all_before, after: all_after };
        }
        Ok(edited)
    }
}

async fn change(context: &Context, set: &Set) -> Result<Output, OpsError> {
    let (workspace, resource) = (&set.workspace, set.resource);
    let target = json!({ "resource": resource, "attributes": set.paths });
    let edited = policy::edit(context, workspace, "scim.attribute_set", target, |document| set.applied_to(document)).await?;
    let policy = policy::read(context, workspace).await?;
    let violations = policy::violations(context.store().await?, workspace, &policy, resource).await?;
    let program = context.program();
    let output = shown(workspace, policy.document())
        .member("violations", violations.describe())
        .heading(if edited.is_some() {
            format!("The rules of workspace {workspace} are changed.")
        } else {
            format!("The rules of workspace {workspace} were so already.")
        })
        .warn_if(violations.broken > 0, || breaks(&violations, resource));
    Ok(if violations.broken > 0 {
        output.next(format!("See who: {program} attribute list {workspace} --violations"))
    } else {
        output
    })
}

fn breaks(violations: &Violations, resource: ResourceKind) -> String {
    let Violations { broken, looked_at, has_more, .. } = violations;
    let of = match resource {
        ResourceKind::User => "users with access",
        ResourceKind::Group => "groups",
    };
    let first = if *has_more { "the first " } else { "" };
    format!(
        "{broken} of {first}{looked_at} {of} break a rule now. They stay as they are; the provider is refused only when it brings in \
         what is not allowed"
    )
}

async fn list(context: &Context, workspace: &WorkspaceId, with_violations: bool) -> Result<Output, OpsError> {
    let policy = policy::read(context, workspace).await?;
    let mut output = shown(workspace, policy.document()).heading(format!("What workspace {workspace} asks of attributes"));
    if !with_violations {
        return Ok(output);
    }
    let mut described = serde_json::Map::new();
    for kind in [ResourceKind::User, ResourceKind::Group] {
        let found = policy::violations(context.store().await?, workspace, &policy, kind).await?;
        let lines = found.by_path.iter().flat_map(|(path, (count, examples))| {
            examples.iter().map(move |(id, sentence)| vec![path.clone(), count.to_string(), id.clone(), sentence.clone()])
        });
        output = output
            .rows([(plural(kind), format!("{} of {} break a rule", found.broken, found.looked_at))])
            .table(&["ATTRIBUTE", "HOW MANY", "FOR EXAMPLE", "WHAT A PROVIDER WOULD BE TOLD"], lines);
        described.insert(plural(kind).to_owned(), found.describe());
    }
    Ok(output.member("violations", Value::Object(described)))
}

/// The rules, as the commands answer them.
fn shown(workspace: &WorkspaceId, document: &PolicyDocument) -> Output {
    let email = document.users.user_name_is_email;
    let both = [(ResourceKind::User, &document.users), (ResourceKind::Group, &document.groups)];
    let lines = both.into_iter().flat_map(|(kind, rules)| lines(kind, rules));
    let output = Output::of(describe(workspace, document));
    let output = if email { output.rows([("userName", "an e-mail address, the primary one".to_owned())]) } else { output };
    output.table(&["OF", "ATTRIBUTE", "REQUIRED", "ALLOWED", "DEFAULT"], lines)
}

fn describe(workspace: &WorkspaceId, document: &PolicyDocument) -> Value {
    json!({
        "workspace": workspace,
        "users": document.users.attributes,
        "groups": document.groups.attributes,
        "user_name_is_email": document.users.user_name_is_email,
    })
}

fn lines(kind: ResourceKind, rules: &AttributeRules) -> impl Iterator<Item = Vec<String>> {
    rules.attributes.iter().map(move |rule: &AttributeRule| {
        vec![
            plural(kind).to_owned(),
            rule.path.clone(),
            if rule.required { "yes" } else { "no" }.to_owned(),
            if rule.allowed.is_empty() { "any".to_owned() } else { rule.allowed.join(", ") },
            rule.default.clone().unwrap_or_default(),
        ]
    })
}
