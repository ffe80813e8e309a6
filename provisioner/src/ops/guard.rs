//! `scim guard`: how many people the provider may take access from within an hour before somebody has to say that it is meant.

use std::{num::NonZeroU32, time::Duration};

use lockstep_shared::{
    config::parse_duration,
    id::WorkspaceId,
    model::{
        audit::Actor,
        guard::{Guard, Limits},
        notice::{MOST_RECIPIENTS, NoticeRecord, NoticeState, Recipient},
    },
};
use serde_json::{Value, json};

use super::{Context, OpsError, Output, mail};

/// The longest approval.
const LONGEST: Duration = Duration::from_hours(24 * 30);

/// The newest notices that are looked at: one to everybody.
const MOST_SHOWN: u32 = MOST_RECIPIENTS;

/// The mass-change guard. Alone it is shown; with limits it is set, and on, also where it was off.
#[derive(Debug, Clone, clap::Args)]
#[command(disable_help_subcommand = true)]
pub struct GuardCommand {
    /// The workspace
    workspace: WorkspaceId,
    /// Never hold up to this many people an hour (500 unless set); a guard that is off is on again with it
    #[arg(long, value_name = "N")]
    max: Option<NonZeroU32>,
    /// Nor up to this share of the workspace's active people, from 0 to 100 (20 unless set); the same
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u8).range(0..=100))]
    percent: Option<u8>,
    #[command(subcommand)]
    order: Option<Order>,
}

/// What else may be ordered.
#[derive(Debug, Clone, clap::Subcommand)]
enum Order {
    /// Hold again what is over the limits as they were set; takes an approval back
    On,
    /// Hold nothing, until it is switched on
    Off,
    /// Let everything pass for a while: what was held passes when the provider sends it again
    Approve {
        /// For how long, such as 30m or 24h
        #[arg(long = "for", default_value = "24h", value_name = "DURATION", value_parser = lasting)]
        lasting: Duration,
    },
}

fn lasting(text: &str) -> Result<Duration, &'static str> {
    let lasting = parse_duration(text).ok_or("expected a whole number and a unit of s, m, h or d, such as 30m or 24h")?;
    if lasting.is_zero() || lasting > LONGEST { Err("must be longer than nothing and at most 30d") } else { Ok(lasting) }
}

pub(super) async fn run(command: GuardCommand, context: &Context) -> Result<Output, OpsError> {
    let GuardCommand { workspace, max, percent, order } = command;
    context.workspace(&workspace).await?;
    let (store, actor) = (context.store().await?, Actor::operator());
    if max.is_some() || percent.is_some() {
        let was = store.guard(&workspace).await?.limits;
        let limits = Limits { max: max.unwrap_or(was.max), percent: percent.unwrap_or(was.percent) };
        store.set_guard(&workspace, limits, &actor).await?;
    }
    match order {
        None => {}
        Some(Order::On) => store.switch_guard_on(&workspace, &actor).await?,
        Some(Order::Off) => store.switch_guard_off(&workspace, &actor).await?,
        Some(Order::Approve { lasting }) => drop(store.approve_mass_change(&workspace, lasting, &actor).await?),
    }
    let guard = store.guard(&workspace).await?;
    let (recipients, notices) = (store.recipients(&workspace).await?, store.notices(&workspace, MOST_SHOWN).await?);
    let is_mailed = context.config().mail.is_some();
    Ok(show(&workspace, &guard, context, Told { is_mailed, recipients: &recipients, notices: &notices }))
}

/// Who is told of a held change, and how that went.
#[derive(Debug, Clone, Copy)]
struct Told<'a> {
    is_mailed: bool,
    recipients: &'a [Recipient],
    notices: &'a [NoticeRecord],
}

impl Told<'_> {
    fn count(&self) -> usize {
        self.recipients.iter().filter(|recipient| recipient.is_told).count()
    }

    fn in_words(&self) -> String {
        match (self.is_mailed, self.count()) {
            (false, _) => "nobody: the configuration has no [mail]".to_owned(),
            (true, 0) => "nobody".to_owned(),
            (true, 1) => "1 address".to_owned(),
            (true, count) => format!("{count} addresses"),
        }
    }

    /// Those whose person has lost access.
    fn silent(&self) -> usize {
        self.recipients.len().saturating_sub(self.count())
    }

    /// Whether somebody did not get the newest one.
    fn has_failed(&self) -> bool {
        let newest = self.notices.first().map(|notice| notice.created_at);
        let failed = |notice: &NoticeRecord| match notice.state {
            NoticeState::Refused | NoticeState::GivenUp => true,
            NoticeState::Waiting => !notice.answer.is_empty(),
            NoticeState::Sent | NoticeState::Unwanted => false,
        };
        self.notices.iter().any(|notice| Some(notice.created_at) == newest && failed(notice))
    }
}

fn show(workspace: &WorkspaceId, guard: &Guard, context: &Context, told: Told<'_>) -> Output {
    let (program, (written, newest)) = (context.program(), mail::in_short(told.notices));
    let Guard { is_on: _, limits, released_until, departed, held } = guard;
    let held_in_words = held.map_or_else(String::new, |held| format!("{} requests, the last at {}", held.requests, held.at));
    let is_holding = holds(guard);
    Output::of(describe(workspace, guard))
        .member("mail", json!({ "on": told.is_mailed, "recipients": told.count(), "newest": newest }))
        .heading(heading(workspace, guard))
        .rows([
            ("passes always, an hour", format!("{} people, or {} % if that is more", limits.max, limits.percent)),
            ("lost access in the last hour", format!("{departed} people")),
            ("approved until", released_until.map_or_else(String::new, |until| until.to_string())),
            ("held in the last hour", held_in_words),
            ("told by mail", told.in_words()),
            ("the last mail", written),
        ])
        .warn_if(told.has_failed(), || format!("mail has not arrived: see {program} mail list {workspace}"))
        .warn_if(told.silent() > 0, || {
            let (addresses, are) = if told.silent() == 1 { ("address", "is") } else { ("addresses", "are") };
            format!(
                "{} {addresses} {are} not told, as whoever they belong to has no access any more: see {program} workspace notify {workspace}",
                told.silent()
            )
        })
        .next_if(is_holding, || {
            format!("If it is meant: {program} scim guard {workspace} approve. If not: mend it at the provider; nothing of it was done.")
        })
        .next_if(told.is_mailed && told.count() == 0, || {
            format!("Have somebody told by mail when something is held: {program} workspace notify {workspace} --add ADDRESS")
        })
        .next_if(released_until.is_some(), || {
            "What was held passes when the provider sends it again: Entra and Okta do so by themselves, sooner by \
             Provision on demand or Tasks > Retry."
                .to_owned()
        })
}

/// Whether something is held that nobody has approved.
pub(super) fn holds(guard: &Guard) -> bool {
    guard.is_on && guard.released_until.is_none() && guard.held.is_some()
}

fn heading(workspace: &WorkspaceId, guard: &Guard) -> String {
    match (guard.is_on, guard.released_until, guard.held) {
        (false, ..) => format!("The mass-change guard of workspace {workspace} is off."),
        (true, Some(_), _) => format!("The mass-change guard of workspace {workspace} lets everything pass for a while."),
        (true, None, Some(_)) => format!("The mass-change guard of workspace {workspace} HOLDS changes of its provider."),
        (true, None, None) => format!("The mass-change guard of workspace {workspace} is on."),
    }
}

/// The guard as the commands answer it.
pub(super) fn describe(workspace: &WorkspaceId, guard: &Guard) -> Value {
    json!({
        "workspace": workspace,
        "on": guard.is_on,
        "max": guard.limits.max,
        "percent": guard.limits.percent,
        "departed": guard.departed,
        "approved_until": guard.released_until.map(|until| until.to_string()),
        "held": guard.held.map(|held| json!({ "at": held.at.to_string(), "requests": held.requests })),
    })
}
