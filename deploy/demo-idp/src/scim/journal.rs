//! What was sent lately, and a bell that rings when the page has something new to show.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use tokio::sync::watch;

use super::exchange::Exchange;
use crate::{directory::PersonId, provider::lock};

const KEPT: usize = 200;

#[derive(Debug, Default)]
struct Pages {
    count: u64,
    recent: VecDeque<Exchange>,
    last: HashMap<PersonId, Exchange>,
}

/// The latest exchanges, bounded, and the last one about each person.
#[derive(Debug)]
pub(crate) struct Journal {
    pages: Mutex<Pages>,
    bell: watch::Sender<u64>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { pages: Mutex::default(), bell: watch::Sender::new(0) }
    }

    /// Keeps an exchange, and returns it with its number.
    pub(crate) fn note(&self, mut exchange: Exchange) -> Exchange {
        {
            let mut pages = lock(&self.pages);
            pages.count += 1;
            exchange.number = pages.count;
            for person in &exchange.people {
                pages.last.insert(person.clone(), exchange.clone());
            }
            pages.recent.push_front(exchange.clone());
            pages.recent.truncate(KEPT);
        }
        self.changed();
        exchange
    }

    /// Reads the latest exchanges, newest first.
    pub(crate) fn recent(&self) -> Vec<Exchange> {
        lock(&self.pages).recent.iter().cloned().collect()
    }

    /// Reads the last exchange about a person.
    pub(crate) fn last(&self, person: &PersonId) -> Option<Exchange> {
        lock(&self.pages).last.get(person).cloned()
    }

    /// Rings the bell: the page has something new to show.
    pub(crate) fn changed(&self) {
        self.bell.send_modify(|count| *count += 1);
    }

    pub(crate) fn bell(&self) -> watch::Receiver<u64> {
        self.bell.subscribe()
    }
}
