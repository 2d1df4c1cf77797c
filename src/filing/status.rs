//! Status of filing, for operators and monitoring.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::identifier::Prefix;
use crate::model::limits::SET_ASIDE_MAX;
use crate::model::position::Position;
use crate::store::Store;

//----------- FilingStatus ---------------------------------------------------

/// Status of filing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilingStatus {
    /// Name of the upper node.
    pub upper: String,
    /// Present state of filing.
    pub state: FilingState,
    /// The last position that the upper node confirmed.
    pub confirmed: Option<Position>,
    /// Journal entries that the upper node has not confirmed.
    pub lag_entries: u64,
    /// Age in milliseconds of the oldest journal entry that is not confirmed.
    pub lag_ms: u64,
    /// When the last message of the upper node arrived, in milliseconds since 1970.
    pub last_contact_ms: Option<u64>,
    /// The last error; none after filing works again.
    pub last_error: Option<String>,
    /// Counts since the node started.
    pub counts: FilingCounts,
    /// Prefixes that are not filed, and why; at most a hundred of them.
    pub set_aside: Vec<SetAside>,
}

/// A state of filing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilingState {
    /// The upper node was not reached yet.
    Starting,
    /// The present state is being filed.
    Resynchronizing,
    /// The journal is followed.
    Filing,
    /// The upper node is unreachable or refuses; filing is retried.
    Away,
    /// Filing has ended; only a restart of the node starts it again.
    Ended,
}

impl FilingState {
    /// Returns the name for operators and clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Resynchronizing => "resynchronizing",
            Self::Filing => "filing",
            Self::Away => "away",
            Self::Ended => "ended",
        }
    }

    /// Returns whether the last call to the upper node succeeded.
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Resynchronizing | Self::Filing)
    }
}

/// Counts of filing since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilingCounts {
    /// Changes of prefixes that the upper node accepted.
    pub filed: u64,
    /// Changes of identifiers that the bookmark advanced past.
    pub identifiers: u64,
    /// Times that the present state was filed.
    pub resynchronizations: u64,
    /// Prefixes that are set aside.
    pub set_aside: u64,
    /// Times that filing was interrupted.
    pub interruptions: u64,
}

/// A prefix that is not filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The prefix.
    pub prefix: Prefix,
    /// Why the prefix is not filed, and what would help.
    pub message: String,
}

//----------- FilingWatch ----------------------------------------------------

/// Shared status of filing: filing updates it, others read it. Clones share it.
#[derive(Clone)]
pub struct FilingWatch {
    store: Store,
    upper: Arc<str>,
    noted: Arc<Mutex<Noted>>,
}

struct Noted {
    state: FilingState,
    confirmed: Option<Position>,
    oldest_ms: Option<u64>,
    last_contact_ms: Option<u64>,
    last_error: Option<String>,
    counts: FilingCounts,
    set_aside: BTreeMap<Prefix, String>,
}

impl FilingWatch {
    pub(super) fn new(store: Store, upper: String) -> Self {
        let noted = Noted {
            state: FilingState::Starting,
            confirmed: None,
            oldest_ms: None,
            last_contact_ms: None,
            last_error: None,
            counts: FilingCounts::default(),
            set_aside: BTreeMap::new(),
        };
        Self { store, upper: upper.into(), noted: Arc::new(Mutex::new(noted)) }
    }

    /// Returns the present status. Does not block and reads no files.
    pub fn status(&self) -> FilingStatus {
        let head = self.store.head();
        let now_ms = self.store.now_ms();
        let noted = self.lock();
        let lag_entries = match noted.confirmed {
            Some(confirmed) => head.entries_after(confirmed).unwrap_or(0),
            None => self.store.journal_entries(),
        };
        let oldest_ms = noted.oldest_ms.filter(|_| lag_entries > 0);
        let set_aside = noted.set_aside.iter().take(SET_ASIDE_MAX);
        FilingStatus {
            upper: self.upper.to_string(),
            state: noted.state,
            confirmed: noted.confirmed,
            lag_entries,
            lag_ms: oldest_ms.map_or(0, |oldest_ms| now_ms.saturating_sub(oldest_ms)),
            last_contact_ms: noted.last_contact_ms,
            last_error: noted.last_error.clone(),
            counts: FilingCounts { set_aside: noted.set_aside.len() as u64, ..noted.counts },
            set_aside: set_aside
                .map(|(prefix, message)| SetAside { prefix: prefix.clone(), message: message.clone() })
                .collect(),
        }
    }

    /// Records a new state with a working connection.
    pub(super) fn entered(&self, state: FilingState) {
        let now_ms = self.store.now_ms();
        let mut noted = self.lock();
        (noted.state, noted.last_error, noted.last_contact_ms) = (state, None, Some(now_ms));
    }

    /// Records an error; returns whether it differs from the last one.
    pub(super) fn broke(&self, state: FilingState, error: String) -> bool {
        let mut noted = self.lock();
        let is_news = noted.state != state || noted.last_error.as_ref() != Some(&error);
        if noted.state.is_connected() {
            noted.counts.interruptions += 1;
        }
        (noted.state, noted.last_error) = (state, Some(error));
        is_news
    }

    pub(super) fn contacted(&self) {
        let now_ms = self.store.now_ms();
        self.lock().last_contact_ms = Some(now_ms);
    }

    pub(super) fn confirmed(&self, position: Option<Position>) {
        self.lock().confirmed = position;
    }

    pub(super) fn oldest(&self, oldest_ms: Option<u64>) {
        self.lock().oldest_ms = oldest_ms;
    }

    /// Records that a part of the journal was delivered; accepted prefixes are no longer set aside. A reader sees the
    /// position and the outcome change together.
    pub(super) fn filed(&self, delivered: Delivered) {
        let Delivered { position, filed, identifiers, prefixes, aside } = delivered;
        let mut noted = self.lock();
        noted.confirmed = Some(position);
        noted.counts.filed += filed as u64;
        noted.counts.identifiers += identifiers;
        noted.release(|prefix| prefixes.contains(prefix), &aside);
        noted.set_aside(aside);
    }

    /// Records that the present state was delivered, of which some is not filed; position and outcome change together.
    pub(super) fn resynchronized(&self, position: Position, filed: usize, aside: Vec<SetAside>) {
        let mut noted = self.lock();
        noted.confirmed = Some(position);
        noted.counts.filed += filed as u64;
        noted.counts.resynchronizations += 1;
        noted.release(|_| true, &aside);
        noted.set_aside(aside);
    }

    /// Records prefixes that are not filed.
    pub(super) fn set_aside(&self, aside: Vec<SetAside>) {
        self.lock().set_aside(aside);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Outcome of the delivery of a part of the journal.
pub(super) struct Delivered {
    /// The confirmed position.
    pub(super) position: Position,
    /// Filings that were accepted.
    pub(super) filed: usize,
    /// Changes of identifiers up to the position.
    pub(super) identifiers: u64,
    /// The prefixes that were filed.
    pub(super) prefixes: BTreeSet<Prefix>,
    /// Filings that were refused.
    pub(super) aside: Vec<SetAside>,
}

impl Noted {
    /// Removes what was filed and is not set aside again.
    fn release(&mut self, is_filed: impl Fn(&Prefix) -> bool, aside: &[SetAside]) {
        let again: BTreeSet<&Prefix> = aside.iter().map(|aside| &aside.prefix).collect();
        self.set_aside.retain(|prefix, _| !is_filed(prefix) || again.contains(prefix));
    }

    /// Sets prefixes aside; each is logged once per reason.
    fn set_aside(&mut self, aside: Vec<SetAside>) {
        for SetAside { prefix, message } in aside {
            if self.set_aside.get(&prefix) != Some(&message) {
                tracing::warn!(%prefix, reason = %message, "the upper node does not accept this prefix; it is not \
                    filed");
                self.set_aside.insert(prefix, message);
            }
        }
    }
}
