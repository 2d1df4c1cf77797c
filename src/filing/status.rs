//! How filing stands, for people and monitors.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::identifier::Prefix;
use crate::model::limits::SET_ASIDE_MAX;
use crate::model::position::Position;
use crate::store::Store;

//----------- FilingStatus ---------------------------------------------------

/// How filing stands now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilingStatus {
    /// The upper node.
    pub upper: String,
    /// What filing is at.
    pub state: FilingState,
    /// The last place that the upper node confirmed.
    pub confirmed: Option<Position>,
    /// Journal entries that it has not confirmed.
    pub lag_entries: u64,
    /// Milliseconds since the oldest of them was made.
    pub lag_ms: u64,
    /// When the upper node was last heard, in milliseconds since 1970.
    pub last_contact_ms: Option<u64>,
    /// What went wrong the last time; none once it goes well again.
    pub last_error: Option<String>,
    /// Counts since the start.
    pub counts: FilingCounts,
    /// Prefixes that are not filed, and why; at most a hundred of them.
    pub set_aside: Vec<SetAside>,
}

/// What filing is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilingState {
    /// It has not reached the upper node yet.
    Starting,
    /// It files the present state.
    Resynchronizing,
    /// It follows the journal.
    Filing,
    /// The upper node is away or refuses; it is tried again.
    Away,
    /// It has ended; only a restart begins it again.
    Ended,
}

impl FilingState {
    /// Its name for people and clients.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Resynchronizing => "resynchronizing",
            Self::Filing => "filing",
            Self::Away => "away",
            Self::Ended => "ended",
        }
    }

    /// Whether the upper node answered the last time.
    pub fn is_connected(self) -> bool {
        matches!(self, Self::Resynchronizing | Self::Filing)
    }
}

/// What filing counts, since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FilingCounts {
    /// Changes of prefixes that the upper node took.
    pub filed: u64,
    /// Changes of identifiers that the bookmark moved over.
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
    /// Why, and what would help.
    pub message: String,
}

//----------- FilingWatch ----------------------------------------------------

/// Where filing tells how it stands. Clones are the same.
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

    /// How filing stands. Neither waits nor reads files.
    pub fn status(&self) -> FilingStatus {
        let head = self.store.head().sequence;
        let now_ms = self.store.now_ms();
        let noted = self.lock();
        let lag_entries = head.saturating_sub(noted.confirmed.map_or(0, |place| place.sequence));
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

    /// The upper node answers again.
    pub(super) fn entered(&self, state: FilingState) {
        let now_ms = self.store.now_ms();
        let mut noted = self.lock();
        (noted.state, noted.last_error, noted.last_contact_ms) = (state, None, Some(now_ms));
    }

    /// Something went wrong. Whether that is news.
    pub(super) fn broke(&self, state: FilingState, error: String) -> bool {
        let mut noted = self.lock();
        let is_news = noted.state != state || noted.last_error.as_ref() != Some(&error);
        if noted.state.is_connected() {
            noted.counts.interruptions += 1;
        }
        (noted.state, noted.last_error) = (state, Some(error));
        is_news
    }

    pub(super) fn heard(&self) {
        let now_ms = self.store.now_ms();
        self.lock().last_contact_ms = Some(now_ms);
    }

    pub(super) fn confirmed(&self, place: Option<Position>) {
        self.lock().confirmed = place;
    }

    pub(super) fn oldest(&self, oldest_ms: Option<u64>) {
        self.lock().oldest_ms = oldest_ms;
    }

    /// A part of the journal was delivered; what was taken is set aside no more. Whoever looks sees the place together
    /// with what came of it.
    pub(super) fn filed(&self, delivered: Delivered) {
        let Delivered { place, filed, identifiers, prefixes, aside } = delivered;
        let mut noted = self.lock();
        noted.confirmed = Some(place);
        noted.counts.filed += filed as u64;
        noted.counts.identifiers += identifiers;
        noted.set_aside.retain(|prefix, _| !prefixes.contains(prefix));
        noted.set_aside(aside);
    }

    /// The present state was delivered, with the same care.
    pub(super) fn resynchronized(&self, place: Position, filed: usize, aside: Vec<SetAside>) {
        let mut noted = self.lock();
        noted.confirmed = Some(place);
        noted.counts.filed += filed as u64;
        noted.counts.resynchronizations += 1;
        noted.set_aside(aside);
    }

    /// Prefixes are not filed.
    pub(super) fn set_aside(&self, aside: Vec<SetAside>) {
        self.lock().set_aside(aside);
    }

    pub(super) fn clear_aside(&self) {
        self.lock().set_aside.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of a part of the journal that was delivered.
pub(super) struct Delivered {
    /// The place that is confirmed.
    pub(super) place: Position,
    /// Filings that were taken.
    pub(super) filed: usize,
    /// Changes of identifiers up to the place.
    pub(super) identifiers: u64,
    /// The prefixes that were filed.
    pub(super) prefixes: BTreeSet<Prefix>,
    /// Those of them that were not taken.
    pub(super) aside: Vec<SetAside>,
}

impl Noted {
    /// Sets prefixes aside. Each is reported once.
    fn set_aside(&mut self, aside: Vec<SetAside>) {
        for SetAside { prefix, message } in aside {
            if self.set_aside.get(&prefix) != Some(&message) {
                tracing::warn!(%prefix, reason = %message, "prefix is set aside and not filed");
                self.set_aside.insert(prefix, message);
            }
        }
    }
}
