//! A process and everything that came from it, as the kernel knows it.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

/// A process by its id and the time at which it started, since ids are used again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    id: Pid,
    started: u64,
}

/// What `/proc/<id>/stat` says of a process.
struct Stat {
    state: char,
    parent: Option<Pid>,
    started: u64,
}

impl Member {
    /// Whether it stands still, or is gone.
    pub(super) fn is_stopped(self) -> bool {
        self.stat().is_none_or(|stat| matches!(stat.state, 'T' | 't' | 'Z' | 'X'))
    }

    /// How it is now, or `None` if it is gone.
    fn stat(self) -> Option<Stat> {
        stat(self.id).filter(|stat| stat.started == self.started)
    }
}

/// A process and all its descendants, parents first.
pub(super) fn family(root: Pid) -> Vec<Member> {
    let everybody: Vec<(Pid, Stat)> = processes().filter_map(|id| Some((id, stat(id)?))).collect();
    let member = |(id, stat): &(Pid, Stat)| Member { id: *id, started: stat.started };
    let mut members: Vec<Member> = everybody.iter().filter(|(id, _)| *id == root).map(member).collect();
    let mut next = 0;
    while let Some(parent) = members.get(next).copied() {
        members.extend(everybody.iter().filter(|(_, stat)| stat.parent == Some(parent.id)).map(member));
        next += 1;
    }
    members
}

/// Every process of the system.
fn processes() -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// Reads `/proc/<id>/stat`; the name in it may hold spaces and brackets, so fields count from the last bracket.
fn stat(id: Pid) -> Option<Stat> {
    let text = fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let parent = Pid::from_raw(fields.next()?.parse().ok()?);
    // proc(5): the state is field 3, the start time field 22.
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { state, parent, started })
}

/// Signals those that still live.
pub(super) fn signal_all(members: &[Member], signal: Signal) {
    for member in members.iter().filter(|member| member.stat().is_some()) {
        let _gone_already = kill_process(member.id, signal);
    }
}
