//! Checks that copied journal entries follow each other and have their bodies; used by a restore, and where backups are created
//! and verified.

use crate::store::copy::image::CopiedChange;
use crate::store::journal::Hash;
use crate::store::writer::End;

//----------- JournalCheck ---------------------------------------------------

/// Checks that copied journal entries follow each other: without gap, hash by hash, never backwards in time.
#[derive(Clone, Debug)]
pub struct JournalCheck {
    next: u64,
    chain: Option<Hash>,
    time_ms: u64,
    /// Whether an entry before had its body: bodies are pruned from the beginning only.
    has_bodies: bool,
}

/// A position at which copied journal entries do not follow each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal entry {sequence}: {detail}")]
pub struct JournalBreak {
    /// The entry.
    pub sequence: u64,
    /// The inconsistency.
    pub detail: String,
}

impl JournalCheck {
    /// Expects the first entry at this sequence; entry 1 has no predecessor.
    pub fn starting_at(first: u64) -> Self {
        Self { next: first, chain: (first == 1).then_some([0; 32]), time_ms: 0, has_bodies: false }
    }

    /// Expects the entry after this end.
    pub fn after(end: &End) -> Self {
        Self { next: end.sequence + 1, chain: Some(end.chain), time_ms: end.time_ms, has_bodies: false }
    }

    /// Expects the entry after this one, without a check of earlier ones.
    pub fn resuming_after(change: &CopiedChange) -> Self {
        Self::after(&End::at(&change.header))
    }

    /// Skips a number of unreadable entries; the hash after them is unknown.
    pub fn skipping(self, entries: u64) -> Self {
        Self { next: self.next + entries, chain: None, ..self }
    }

    /// The sequence expected next.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The chained hash of the last entry.
    pub fn chain(&self) -> Option<Hash> {
        self.chain
    }

    /// Checks the next entry.
    pub fn follow(&mut self, change: &CopiedChange) -> Result<(), JournalBreak> {
        let header = &change.header;
        let sequence = header.position.sequence;
        let broken = |sequence, detail: String| Err(JournalBreak { sequence, detail });
        if sequence != self.next {
            return broken(self.next, format!("it is missing; entry {sequence} follows"));
        }
        if self.chain.is_some_and(|before| header.chain_after(&before) != header.chain) {
            return broken(sequence, "its chained hash does not follow from the entry before".to_owned());
        }
        if header.time_ms < self.time_ms {
            return broken(sequence, "its time lies before that of the entry before".to_owned());
        }
        if self.has_bodies && !change.has_body() {
            return broken(sequence, "its body is missing".to_owned());
        }
        let has_bodies = change.has_body();
        *self = Self { next: sequence + 1, chain: Some(header.chain), time_ms: header.time_ms, has_bodies };
        Ok(())
    }
}
