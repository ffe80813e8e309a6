//! `log`: what the identity provider asked for and what came of it, and the answers to the two questions that admins ask.

mod accounts;
mod by_attribute;
mod lines;
mod person;
mod refusals;
mod role;
mod successes;

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    time::Duration,
};

use lockstep_shared::{
    clock::Timestamp,
    config::parse_duration,
    id::{EntryId, GroupId, UserId, WorkspaceId},
    model::{connection::Connection, provisioning::Entry},
    store::{GroupMatch, LogQuery, Store},
};
use serde_json::{Value, json};

use self::lines::Words;
use super::{Context, OpsError, Output, user};
use crate::journal::{NAME_DIGEST, Names};

/// How often `--follow` looks for news.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Entries are written behind the answers and by several processes: one may come after another that is newer.
const LATECOMERS: Duration = Duration::from_secs(30);
/// How far back the questions look.
const PERIOD: Duration = Duration::from_hours(7 * 24);
/// How many of the newest entries are counted, which takes a second or two.
const READ: u32 = 1_000_000;
/// How many refusals of each action are looked at.
const FAULTS: u32 = 10_000;
/// How many are shown who had one name in turn and were deleted.
const FORMER: usize = 20;
/// Entries that `--follow` remembers having printed.
const REMEMBERED: usize = 20_000;

/// The commands on the provisioning log.
#[derive(Debug, Clone, clap::Subcommand)]
pub enum Command {
    /// Print the newest entries, the oldest of them first
    Tail(Tail),
    /// Show one entry, or everything about a user or a group
    Show(Show),
    /// Say in plain words why accounts are not created, or why a role did not change
    Explain {
        /// The workspace
        workspace: WorkspaceId,
        /// The question
        question: Question,
        /// Whom it is about: an id, a user name or an e-mail address; of somebody who is not there, the user name as it was sent
        #[arg(long)]
        user: Option<String>,
    },
}

/// Which entries to print.
#[derive(Debug, Clone, clap::Args)]
pub struct Tail {
    /// The workspace
    workspace: WorkspaceId,
    /// Go on until interrupted
    #[arg(long, short)]
    follow: bool,
    /// Only what was refused, held or failed
    #[arg(long)]
    refused: bool,
    /// Only this far back, such as 1h or 7d
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    since: Option<Duration>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// What to show.
#[derive(Debug, Clone, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true)))]
pub struct Show {
    /// The workspace
    workspace: WorkspaceId,
    /// An entry's id
    #[arg(group = "what")]
    id: Option<EntryId>,
    /// Everything about a user: an id, a user name or an e-mail address; of somebody who was not created, or is deleted,
    /// the user name as it was sent
    #[arg(long, group = "what")]
    user: Option<String>,
    /// Everything about a group: an id or a display name
    #[arg(long, group = "what")]
    group: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

/// The questions that admins ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Question {
    /// Accounts are not created
    AccountsNotCreated,
    /// Somebody changed group but the role did not
    RoleDidNotChange,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("expected a whole number and a unit of s, m, h or d, such as 30m or 7d")
}

pub(super) async fn run(command: Command, context: &Context) -> Result<Output, OpsError> {
    match command {
        Command::Tail(tail) => self::tail(context, &tail).await,
        Command::Show(show) => self::show(context, show).await,
        Command::Explain { workspace, question: Question::AccountsNotCreated, user } => {
            accounts::explain(context, &workspace, user.as_deref()).await
        }
        Command::Explain { workspace, question: Question::RoleDidNotChange, user } => {
            role::explain(context, &workspace, user.as_deref()).await
        }
    }
}

async fn tail(context: &Context, tail: &Tail) -> Result<Output, OpsError> {
    let words = words(context, &tail.workspace).await?;
    let since = tail.since.map_or(Timestamp(0), |since| context.clock().now().minus(since));
    let query = LogQuery { after: None, since, at_fault: tail.refused, limit: tail.limit };
    let mut entries = context.store().await?.log_entries(&tail.workspace, query).await?;
    entries.reverse();
    Ok(list(&entries, words, format!("Provisioning log of workspace {}", tail.workspace)))
}

fn list(entries: &[Entry], words: Words, heading: String) -> Output {
    let described: Vec<Value> = entries.iter().map(|entry| lines::describe(entry, words)).collect();
    Output::of(json!({ "entries": described }))
        .heading(heading)
        .table(&lines::HEADER, entries.iter().map(|entry| lines::line(entry, words)))
}

async fn show(context: &Context, show: Show) -> Result<Output, OpsError> {
    let Show { workspace, id, user, group, limit } = show;
    let (words, store) = (words(context, &workspace).await?, context.store().await?);
    if let Some(id) = id {
        let entry = store.log_entry(&workspace, &id).await?;
        let entry = entry.ok_or_else(|| OpsError::UnknownEntry { workspace: workspace.clone(), id: id.clone() })?;
        return Ok(Output::of(lines::describe(&entry, words))
            .heading(format!("Entry {id} of workspace {workspace}"))
            .rows(lines::rows(&entry, words)));
    }
    let (whom, mut entries) = match (user, group) {
        (Some(name), _) => match user_id(context, &workspace, &name).await {
            Ok(id) => (format!("user {id}"), of_user(store, &workspace, &id, limit).await?),
            Err(unknown @ OpsError::UnknownUser { .. }) => of_nobody(store, &workspace, &name, limit).await?.ok_or(unknown)?,
            Err(error) => return Err(error),
        },
        (None, group) => {
            let id = group_id(context, &workspace, &group.unwrap_or_default()).await?;
            (format!("group {id}"), store.log_of_target(&workspace, id.as_str(), limit).await?)
        }
    };
    entries.sort_by(|left, right| left.id.cmp(&right.id));
    entries.dedup_by(|left, right| left.id == right.id);
    let surplus = entries.len().saturating_sub(usize::try_from(limit).unwrap_or(usize::MAX));
    entries.drain(..surplus);
    Ok(list(&entries, words, format!("Provisioning log of {whom} of workspace {workspace}")))
}

/// Everything about a user, with the attempts to create one of the same name.
async fn of_user(store: &Store, workspace: &WorkspaceId, id: &UserId, limit: u32) -> Result<Vec<Entry>, OpsError> {
    let mut entries = store.log_of_target(workspace, id.as_str(), limit).await?;
    entries.extend(store.log_of_member(workspace, id, limit).await?);
    if let Some(user) = store.user(workspace, id).await? {
        entries.extend(not_created(store, workspace, &user.profile.user_name, limit).await?);
    }
    Ok(entries)
}

/// Everything about those of a name that nobody has: who had it and was deleted, and the attempts to create somebody.
async fn of_nobody(
    store: &Store,
    workspace: &WorkspaceId,
    name: &str,
    limit: u32,
) -> Result<Option<(String, Vec<Entry>)>, OpsError> {
    let mut entries = not_created(store, workspace, name, limit).await?;
    let deleted = person::deleted(store, workspace, name, FORMER).await?;
    for former in deleted.iter().filter_map(|deletion| UserId::parse(&deletion.target).ok()) {
        entries.extend(of_user(store, workspace, &former, limit).await?);
    }
    let whom = match &*deleted {
        [] if entries.is_empty() => return Ok(None),
        [] => "somebody of that name, who is not there,".to_owned(),
        [one] => format!("user {}, deleted at {},", one.target, one.at),
        several => format!("{} users of that name, all deleted,", several.len()),
    };
    Ok(Some((whom, entries)))
}

/// Why nobody of this name was created, each time that it was tried.
async fn not_created(store: &Store, workspace: &WorkspaceId, name: &str, limit: u32) -> Result<Vec<Entry>, OpsError> {
    let mut entries = Vec::new();
    for digest in Names::new(store.clone()).digests(workspace, name).await? {
        entries.extend(store.log_of_detail(workspace, NAME_DIGEST, &digest, limit).await?);
    }
    Ok(entries)
}

/// Whom an operator means; somebody who was deleted can still be named by id.
async fn user_id(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<UserId, OpsError> {
    match (user::find(context, workspace, name).await, UserId::parse(name)) {
        (Ok(user), _) => Ok(user.id),
        (Err(OpsError::UnknownUser { .. }), Ok(id)) => Ok(id),
        (Err(error), _) => Err(error),
    }
}

async fn group_id(context: &Context, workspace: &WorkspaceId, name: &str) -> Result<GroupId, OpsError> {
    if let Ok(id) = GroupId::parse(name) {
        return Ok(id);
    }
    let found = context.store().await?.groups_matching(workspace, &GroupMatch::DisplayName(name.to_owned())).await?;
    let unknown = || OpsError::UnknownGroup { workspace: workspace.clone(), name: name.to_owned() };
    found.into_iter().next().map(|group| group.id).ok_or_else(unknown)
}

/// How the provider is called in a workspace that has to be there, and the program that is asked.
async fn words(context: &Context, workspace: &WorkspaceId) -> Result<Words, OpsError> {
    context.workspace(workspace).await?;
    let connections: Vec<Connection> = context.store().await?.connections(workspace).await?;
    let presets: Vec<_> = connections.iter().map(|connection| connection.preset).collect();
    Ok(Words { provider: lines::provider(&presets), program: context.program() })
}

/// Prints each new entry as it comes, as a line of text or of JSON, until nobody reads on.
pub(super) async fn follow(context: &Context, tail: &Tail, as_json: bool, out: &mut impl Write) -> Result<(), OpsError> {
    let words = words(context, &tail.workspace).await?;
    let mut feed = Feed::default();
    let since = tail.since.map_or(Timestamp(0), |since| context.clock().now().minus(since));
    let mut query = LogQuery { after: None, since, at_fault: tail.refused, limit: tail.limit };
    loop {
        let entries = context.store().await?.log_entries(&tail.workspace, query).await?;
        if print(&feed.news(entries), words, as_json, out).is_err() {
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
        query = LogQuery { since: context.clock().now().minus(LATECOMERS), limit: 10_000, ..query };
    }
}

/// Whether the command goes on until it is interrupted.
pub(super) fn follows(command: &super::Command) -> Option<Tail> {
    match command {
        super::Command::Log(Command::Tail(tail)) if tail.follow => Some(tail.clone()),
        _ => None,
    }
}

fn print(entries: &[Entry], words: Words, as_json: bool, out: &mut impl Write) -> io::Result<()> {
    for entry in entries {
        if as_json {
            writeln!(out, "{}", lines::describe(entry, words))?;
        } else {
            writeln!(out, "{}", lines::line(entry, words).join("  "))?;
        }
    }
    out.flush()
}

/// What was printed already.
#[derive(Debug, Default)]
struct Feed {
    known: HashSet<EntryId>,
    order: VecDeque<EntryId>,
}

impl Feed {
    /// Those that were not printed yet, oldest first, out of some that are newest first.
    fn news(&mut self, newest_first: Vec<Entry>) -> Vec<Entry> {
        let mut news = Vec::new();
        for entry in newest_first.into_iter().rev() {
            if self.known.insert(entry.id.clone()) {
                self.order.push_back(entry.id.clone());
                news.push(entry);
            }
        }
        while self.order.len() > REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
        news
    }
}

#[cfg(test)]
mod tests {
    use lockstep_shared::{
        config::Program,
        model::{
            provisioning::Outcome,
            revocation::Seq,
            user::{LoginMethod, Origin, Profile, User},
            workspace::{Enforcement, Plan, Stage, Workspace, WorkspaceState},
        },
        store::LogCount,
    };

    use super::*;
    use crate::journal::OAUTH_CLIENT;

    pub(super) const OKTA: Words = Words { provider: "Okta", program: Program::Provisioner };

    /// One entry with this outcome, counted.
    pub(super) fn count(action: &str, outcome: Outcome) -> LogCount {
        LogCount {
            action: action.to_owned(),
            outcome,
            client: String::new(),
            grantee: String::new(),
            in_vain: false,
            is_listing: false,
            entries: 1,
            last_at: Timestamp(1_767_225_600_000),
        }
    }

    /// A workspace that may be provisioned.
    pub(super) fn workspace() -> Workspace {
        Workspace {
            id: WorkspaceId::parse("acme").unwrap(),
            name: "Acme".to_owned(),
            plan: Plan::Enterprise,
            state: WorkspaceState::Active,
            enforcement: Enforcement::Off,
            stage: Stage::default(),
            scim_enabled: true,
            scim_version: 0,
            created_at: Timestamp(0),
        }
    }

    /// Somebody of it.
    pub(super) fn person(active: bool) -> User {
        let profile = Profile { user_name: "ada".to_owned(), external_id: None, active, attributes: serde_json::Map::new() };
        User {
            workspace: workspace().id,
            id: UserId::new(),
            profile,
            origin: Origin::Provisioned,
            login_method: LoginMethod::Sso,
            may_have_sessions: false,
            version: 1,
            ended_seq: Seq::default(),
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
        }
    }

    pub(super) fn entry(action: &str, outcome: Outcome, sentence: Option<&str>) -> Entry {
        Entry {
            id: EntryId::new(),
            workspace: WorkspaceId::parse("acme").unwrap(),
            at: Timestamp(1_767_225_600_000),
            request: "r".to_owned(),
            credential: "c".to_owned(),
            client: String::new(),
            action: action.to_owned(),
            target: String::new(),
            status: if outcome == Outcome::Refused { 400 } else { 200 },
            outcome,
            sentence: sentence.map(ToOwned::to_owned),
            detail: serde_json::Map::new(),
            people: Vec::new(),
        }
    }

    #[test]
    fn a_latecomer_is_printed_and_nothing_twice() {
        let (first, late, last) =
            (entry("a", Outcome::Done, None), entry("b", Outcome::Done, None), entry("c", Outcome::Done, None));
        let mut feed = Feed::default();

        assert_eq!(feed.news(vec![last.clone(), first.clone()]), [first.clone(), last.clone()]);
        assert_eq!(feed.news(vec![last.clone(), late.clone(), first.clone()]), std::slice::from_ref(&late));
        assert_eq!(feed.news(vec![last, late, first]), []);
    }

    #[test]
    fn what_nobody_reads_ends_the_command() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }

        assert!(print(&[entry("a", Outcome::Done, None)], OKTA, false, &mut Gone).is_err());
    }

    #[test]
    fn a_sentence_names_the_client_by_what_the_admin_knows() {
        let refused =
            entry("user.create", Outcome::Refused, Some("sent a new user, which is held: run `scim guard WORKSPACE approve`"));
        let by_name = Entry { client: "Okta SCIM Client 1.0.0".to_owned(), ..refused.clone() };
        let stranger = Entry { action: "turned_away".to_owned(), status: 401, ..refused.clone() };
        let no_token = Entry { action: "token.grant".to_owned(), ..by_name.clone() };
        let mut of_client = Entry { client: String::new(), ..no_token.clone() };
        of_client.detail.insert(OAUTH_CLIENT.to_owned(), json!("acme.1"));

        let entra = Words { provider: "Microsoft Entra ID", ..OKTA };
        let told = |entry: &Entry| lines::sentence(entry, entra).unwrap();
        assert_eq!(
            told(&refused),
            "Microsoft Entra ID sent a new user, which is held: run `provisioner scim guard acme approve`"
        );
        assert!(told(&by_name).starts_with("Okta sent a new user"));
        assert!(told(&stranger).starts_with("Somebody sent"));
        assert!(told(&no_token).starts_with("Somebody sent"), "who names no client says nothing that is believed");
        assert!(told(&of_client).starts_with("Microsoft Entra ID sent"));
    }
}
