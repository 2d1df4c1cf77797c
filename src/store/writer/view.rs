//! The state at the end of the journal as the writer sees it, with the block that is being written.
//!
//! ```text
//!   identifiers, requests ─▶ what the block leads to ─ not there ─▶ engine: what is on disk
//! ```
//! Readers do not see a block before it is on disk. The next block is decided on it all the same. If it fails, the next one is not
//! written.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use crate::model::identifier::{CanonicalIdentifier, Prefix};
use crate::store::Store;
use crate::store::directory::Directory;
use crate::store::entry::{IdentifierEntry, RequestKey, RequestMemory};
use crate::store::error::Error;
use crate::store::writer::End;
use crate::store::writer::counts::Counts;

//----------- Unsettled ------------------------------------------------------

/// States and memories that a block leads to, as long as the block is not known to be on disk.
#[derive(Debug, Default)]
pub(in crate::store) struct Unsettled {
    /// States of identifiers.
    pub(in crate::store) identifiers: HashMap<CanonicalIdentifier, IdentifierEntry>,
    /// The memory of requests.
    pub(in crate::store) requests: HashMap<RequestKey, RequestMemory>,
    /// Counts of the prefixes whose identifiers the block changes.
    pub(in crate::store) counts: Counts,
}

impl Unsettled {
    /// With space for what so many changes lead to.
    pub(in crate::store) fn for_changes(count: usize) -> Self {
        Self {
            identifiers: HashMap::with_capacity(count),
            requests: HashMap::with_capacity(count),
            counts: Counts::default(),
        }
    }
}

//----------- View -----------------------------------------------------------

/// The state at one end of the journal, for decisions. Clones are the same view.
#[derive(Clone)]
pub struct View {
    store: Store,
    end: End,
    directory: Arc<Directory>,
    unsettled: Option<Arc<Unsettled>>,
}

impl View {
    pub(in crate::store) fn new(
        store: Store,
        end: End,
        directory: Arc<Directory>,
        unsettled: Option<Arc<Unsettled>>,
    ) -> Self {
        Self { store, end, directory, unsettled }
    }

    /// The store. It shows what is on disk, not the block that is being written.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The end of the journal.
    pub fn end(&self) -> End {
        self.end
    }

    /// Prefixes and tokens.
    pub fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory)
    }

    /// The states of identifiers, tombstones included, in the order of the question.
    pub async fn identifiers(
        &self,
        asked: &[CanonicalIdentifier],
    ) -> Result<Vec<Option<IdentifierEntry>>, Error> {
        let Some(unsettled) = &self.unsettled else { return self.store.identifiers(asked).await };
        let on_disk = self.store.inner.engine.get(missing(asked, &unsettled.identifiers)).await?;
        Ok(joined(asked, &unsettled.identifiers, on_disk))
    }

    /// The memories of request items, in the order of the keys.
    pub async fn requests(&self, asked: &[RequestKey]) -> Result<Vec<Option<RequestMemory>>, Error> {
        let Some(unsettled) = &self.unsettled else { return self.store.requests(asked).await };
        let on_disk = self.store.inner.engine.get(missing(asked, &unsettled.requests)).await?;
        Ok(joined(asked, &unsettled.requests, on_disk))
    }

    /// Whether a live identifier of this prefix, or of one below it, is governed by an entry above the prefix.
    pub fn holds_for_entry_above(&self, prefix: &Prefix, directory: &Directory) -> bool {
        let mut counts = self.store.counts();
        if let Some(unsettled) = &self.unsettled {
            counts.take_up(unsettled.counts.clone());
        }
        counts.any_governed_above(prefix, directory)
    }

    /// Number of live identifiers with exactly this prefix.
    pub(in crate::store) fn count_of(&self, prefix: &Prefix) -> u64 {
        let unsettled = self.unsettled.as_ref().and_then(|unsettled| unsettled.counts.known(prefix));
        unsettled.unwrap_or_else(|| self.store.count_of(prefix))
    }
}

/// The keys that are not among these, in the order of the question.
fn missing<'a, K: Eq + Hash, V>(asked: &'a [K], among: &'a HashMap<K, V>) -> impl Iterator<Item = &'a K> {
    asked.iter().filter(|key| !among.contains_key(key))
}

/// The values among these, and for the other keys the next of `rest`.
fn joined<K: Eq + Hash, V: Clone>(
    asked: &[K],
    among: &HashMap<K, V>,
    rest: Vec<Option<V>>,
) -> Vec<Option<V>> {
    let mut rest = rest.into_iter();
    let value = |key| among.get(key).cloned().or_else(|| rest.next().flatten());
    asked.iter().map(value).collect()
}
