//! Recovering from a failed write without a restart.
//!
//! ```text
//!   Unsure ─ wait ─▶ prove the files, try the disk ─▶ open again ─▶ where does the journal end? ─▶ take up what is there ─▶ Open
//!     ▲ ▲               │ refused                         │ failed      │ neither before nor after the failed block         │
//!     │ └──── longer ◀──┴─────────────────────────────────┴─────────────┘          six failures ─▶ Stopped                  │
//!     └─────────────────────────── a write fails; within ten minutes this is one more failure ◀─────────────────────────────┘
//! ```
//! The engine's files are written anew before they are opened, so that the answer to "is the block there?" is final. What is lacking,
//! space on a full disk, file descriptors or an answer of the disk, is waited for as long as it is. After another error it is tried
//! again, six times in all; then the store stops until a process opens it again.
//!
//! An opening does not prove that the error has passed: the engine may meet it again only at the next write. So the failures are
//! counted until the store has been open for ten minutes, and each attempt waits longer than the one before.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::model::limits::WRITE_SECONDS_MAX;
use crate::store::Store;
use crate::store::engine::Lack;
use crate::store::error::Error;
use crate::store::open::redo::{CheckedTail, Redo, repair_tail, take_up_again};
use crate::store::open::{doubt, high_water_saved, proof};
use crate::store::writer::{End, JournalWriter, Standing};
use crate::telemetry::Chain;

/// Attempts against an error that may be lasting.
const ATTEMPTS_MAX: u32 = 6;
/// A write that has been under way for longer is waited for.
const WRITE_MAX: Duration = Duration::from_secs(WRITE_SECONDS_MAX);

/// The times of recovery.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Pauses {
    /// Time between the first attempt, which is made at once, and the second; each further one waits twice as long.
    pub(in crate::store) first: Duration,
    /// Time between two attempts at most, and while something is lacking.
    pub(in crate::store) max: Duration,
    /// How long the store is open until earlier failures are forgotten.
    pub(in crate::store) forget_after: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { first: seconds(1), max: seconds(10), forget_after: seconds(600) }
    }
}

//----------- Recovery -------------------------------------------------------

/// When to try to recover.
pub struct Recovery {
    store: Store,
    pauses: Pauses,
    /// Failed attempts, without those that are waited for. A write that fails soon after a recovery is one of them.
    failed: u32,
    /// When the next attempt is due; none while none is needed.
    due: Option<Instant>,
    /// When the store last recovered; none when it has failed since.
    recovered: Option<Instant>,
}

impl Recovery {
    /// Watches this store.
    pub fn new(store: Store) -> Self {
        Self::with(store, Pauses::default())
    }

    /// As [`Recovery::new`], with other times.
    pub(in crate::store) fn with(store: Store, pauses: Pauses) -> Self {
        Self { store, pauses, failed: 0, due: None, recovered: None }
    }

    /// Waits until an attempt is due. Safe to drop.
    pub async fn due(&mut self) {
        let mut standing = self.store.inner.standing.subscribe();
        let due = loop {
            // The sender lives as long as the store.
            let unsure = standing.wait_for(|standing| matches!(standing, Standing::Unsure { .. })).await;
            let unsure = unsure.map(|standing| standing.clone());
            if self.due.is_none()
                && let Ok(Standing::Unsure { cause, lacks, .. }) = unsure
            {
                self.begin(&cause, lacks);
            }
            if let Some(due) = self.due {
                break due;
            }
        };
        sleep_until(due).await;
        self.store.resumed().await;
    }

    /// A write has failed: the first attempt is due at once, or later when the last recovery did not last. Then the store may stop.
    fn begin(&mut self, cause: &str, lacks: Option<Lack>) {
        let recovered = self.recovered.take();
        if recovered.is_none_or(|since| since.elapsed() >= self.pauses.forget_after) {
            (self.failed, self.due) = (0, Some(Instant::now()));
        } else if let Some(pause) = self.pause(lacks) {
            self.due = Some(Instant::now() + pause);
        } else {
            self.store.stop_writing(&format!(
                "writes fail again after the files were opened again ({cause}): check the disk, then restart the node"
            ));
        }
    }

    /// Tries once. When that fails, the next attempt is due later, or the store stops.
    pub async fn attempt(&mut self, writer: &mut JournalWriter) {
        if self.store.write_in_flight().is_some_and(|since| since >= WRITE_MAX) {
            self.due = Some(Instant::now() + self.pauses.max);
            return;
        }
        let Err(error) = writer.recover().await else {
            (self.due, self.recovered) = (None, Some(Instant::now()));
            return;
        };
        let Some(pause) = self.pause(error.lacks()) else {
            self.store.stop_writing(&format!(
                "after a failed write the files could not be opened again ({}): check the disk, then restart the node",
                Chain(&error)
            ));
            return;
        };
        tracing::warn!(error = %Chain(&error), "the store has not recovered yet; it is tried again");
        self.due = Some(Instant::now() + pause);
    }

    /// Counts a failure. Returns how long to wait; none after the last one.
    fn pause(&mut self, lacks: Option<Lack>) -> Option<Duration> {
        if lacks.is_some() {
            return Some(self.pauses.max);
        }
        self.failed += 1;
        let longer = self.pauses.first * 2_u32.pow(self.failed - 1);
        (self.failed < ATTEMPTS_MAX).then(|| longer.min(self.pauses.max))
    }
}

//----------- Recovering -----------------------------------------------------

impl JournalWriter {
    /// Opens the engine's files again after a failed write and takes up what is on disk; then changes are accepted again. What was
    /// acknowledged is there, and whether the failed block is there does not change any more. States that the last journal entries
    /// lead to are redone, as at an opening.
    ///
    /// After an error the store stays [`Standing::Unsure`]. The files may be as before, closed, or open again; another attempt begins
    /// from the start.
    pub async fn recover(&mut self) -> Result<(), Error> {
        self.settle().await;
        let store = self.store.clone();
        proof::prove_again(&store).await?;
        store.inner.engine.recover().await?;
        let settled = store.end();
        let found = store.last_header().await?.map(|header| End::at(&header));
        let is_there = found.is_some() && found == self.doubtful;
        if found != Some(settled) && !is_there {
            let detail = "the journal does not end where the last acknowledged change is, nor with the one that failed";
            return Err(store.journal_damage(settled.sequence, detail.to_owned()));
        }
        take_up_again(&store).await?;
        let CheckedTail { checked, behind, repaired } = repair_tail(&store, Redo::Handful).await?;
        if behind > repaired {
            let detail =
                format!("of the last {checked} entries, {behind} lead to a state that is missing or older");
            return Err(store.journal_damage(settled.sequence, detail));
        }
        high_water_saved(&store).await?;
        doubt::clear(&store.inner.files)?;
        (self.end, self.directory, self.doubtful) = (store.end(), store.directory(), None);
        if store.accept_again() {
            tracing::warn!(
                failed_block_is_there = is_there,
                position = %store.head(),
                "the files were opened again after a failed write; changes are accepted again"
            );
        }
        Ok(())
    }
}
