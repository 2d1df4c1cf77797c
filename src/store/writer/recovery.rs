//! Recovering from a failed write without a restart.
//!
//! ```text
//!   Unsure ─ wait ─▶ prove the files, try the disk ─▶ open again ─▶ where does the journal end? ─▶ take up what is there ─▶ Open
//!     ▲                 │ refused                         │ failed      │ neither before nor after the failed block
//!     └──── longer ◀────┴─────────────────────────────────┴─────────────┘            six failures ─▶ Stopped
//! ```
//! The engine's files are written anew before they are opened, so that the answer to "is the block there?" is final. A full
//! disk, or a call that has not returned, is waited for as long as it lasts. After another error it is tried again, six times in
//! all; then the store stops until a process opens it again.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::model::limits::WRITE_SECONDS_MAX;
use crate::store::Store;
use crate::store::engine::EngineError;
use crate::store::error::Error;
use crate::store::open::redo::{CheckedTail, Redo, repair_tail, take_up_again};
use crate::store::open::{doubt, high_water_saved, proof};
use crate::store::writer::{End, JournalWriter, Standing};
use crate::telemetry::Chain;

/// Attempts against an error that may be lasting.
const ATTEMPTS_MAX: u32 = 6;
/// Time between the first attempt, which is made at once, and the second; each further one waits twice as long, up to 10 s.
const AGAIN_AFTER: Duration = Duration::from_secs(1);
/// A write that has been under way for longer is waited for.
const WRITE_MAX: Duration = Duration::from_secs(WRITE_SECONDS_MAX);
/// Time between two attempts at most, and while the disk is full.
const AGAIN_AFTER_MAX: Duration = Duration::from_secs(10);

//----------- Recovery -------------------------------------------------------

/// When to try to recover.
pub struct Recovery {
    store: Store,
    /// Failed attempts since the store was last open, without those that are waited for.
    failed: u32,
    /// When the next attempt is due; none while none is needed.
    due: Option<Instant>,
}

impl Recovery {
    /// Watches this store.
    pub fn new(store: Store) -> Self {
        Self { store, failed: 0, due: None }
    }

    /// Waits until an attempt is due. Safe to drop.
    pub async fn due(&mut self) {
        let mut standing = self.store.inner.standing.subscribe();
        // The sender lives as long as the store.
        drop(standing.wait_for(|standing| matches!(standing, Standing::Unsure { .. })).await);
        let due = *self.due.get_or_insert_with(Instant::now);
        sleep_until(due).await;
        self.store.resumed().await;
    }

    /// Tries once. When that fails, the next attempt is due later, or the store stops.
    pub async fn attempt(&mut self, writer: &mut JournalWriter) {
        if self.store.write_in_flight().is_some_and(|since| since >= WRITE_MAX) {
            self.due = Some(Instant::now() + AGAIN_AFTER_MAX);
            return;
        }
        let Err(error) = writer.recover().await else {
            (self.failed, self.due) = (0, None);
            return;
        };
        let lasts = may_last(&error);
        if !lasts {
            self.failed += 1;
        }
        if self.failed >= ATTEMPTS_MAX {
            self.store.stop_writing(&format!(
                "after a failed write the files could not be opened again ({}): check the disk, then restart the node",
                Chain(&error)
            ));
            return;
        }
        tracing::warn!(error = %Chain(&error), "the store has not recovered yet; it is tried again");
        let again = if lasts { AGAIN_AFTER_MAX } else { AGAIN_AFTER * 2_u32.pow(self.failed - 1) };
        self.due = Some(Instant::now() + again.min(AGAIN_AFTER_MAX));
    }
}

/// Whether an error is waited for as long as it lasts.
fn may_last(error: &Error) -> bool {
    error.is_full() || matches!(error, Error::Engine(EngineError::Stalled { .. }))
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
