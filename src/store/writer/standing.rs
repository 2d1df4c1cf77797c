//! Whether the store accepts changes, and why not.
//!
//! ```text
//!   Open ──a write fails──▶ Unsure ──files opened again, journal's end known──▶ Open
//!    │                        └──the disk fails lastingly, writes fail again and again, closed──▶ Stopped
//!    └──damage, files gone, closed──▶ Stopped (until the process opens the store again)
//! ```
//! A pause, by the free space of the disk, is beside it: nothing has failed, and no outcome is unknown.

use crate::store::Store;
use crate::store::engine::{EngineError, Lack};
use crate::store::error::Error;
use crate::store::open::doubt;
use crate::telemetry::Chain;

/// Whether the store accepts changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It accepts them.
    Open,
    /// A write has failed, and its outcome is unknown. Changes are rejected; questions are answered, except while the files are opened
    /// again, which the node does by itself when the disk allows it.
    Unsure {
        /// What failed, and what follows.
        reason: String,
        /// What failed.
        cause: String,
        /// What was lacking; none when the error may be a lasting one.
        lacks: Option<Lack>,
    },
    /// It accepts none until a process opens it again. Questions are still answered, unless a recovery has closed the files and could
    /// not open them.
    Stopped {
        /// Why, and the remedy.
        reason: String,
    },
}

impl Store {
    /// Whether the store accepts changes; a pause is not part of it.
    pub fn standing(&self) -> Standing {
        self.inner.standing.borrow().clone()
    }

    /// Returns when the store has recovered, or has stopped for good. Safe to drop.
    pub async fn recovered(&self) -> Standing {
        let mut standing = self.inner.standing.subscribe();
        // The sender lives as long as the store.
        let ended = standing.wait_for(|standing| !matches!(standing, Standing::Unsure { .. })).await;
        ended.map_or(Standing::Open, |standing| standing.clone())
    }

    /// Why the store is read-only: paused, unsure or stopped. None while it accepts changes.
    pub fn read_only_reason(&self) -> Option<String> {
        self.stop_reason().or_else(|| self.pause_reason())
    }

    /// Why the store accepts no changes after a failure: until it has recovered, or until it is opened again.
    pub fn stop_reason(&self) -> Option<String> {
        match &*self.inner.standing.borrow() {
            Standing::Open => None,
            Standing::Unsure { reason, .. } | Standing::Stopped { reason } => Some(reason.clone()),
        }
    }

    /// Returns an error when the store is read-only.
    pub fn check_writable(&self) -> Result<(), Error> {
        self.read_only_reason().map_or(Ok(()), |reason| Err(Error::ReadOnly { reason }))
    }

    /// Returns an error when a failure has stopped changes. What makes space is done while the store is paused.
    pub(in crate::store) fn check_not_stopped(&self) -> Result<(), Error> {
        self.stop_reason().map_or(Ok(()), |reason| Err(Error::ReadOnly { reason }))
    }

    /// Accepts no more changes after a failed write, until the store has recovered; damage stops it for good.
    pub(in crate::store) fn doubt(&self, error: &EngineError) {
        match error {
            // While the files are being opened again there is no engine.
            EngineError::NotOpen if self.standing() != Standing::Open => {}
            EngineError::Damaged { .. } | EngineError::NotOpen => {
                let reason =
                    format!("a write failed ({}): check the disk, then restart the node", Chain(error));
                self.stop_writing(&reason);
                self.note_doubt();
            }
            EngineError::Full { .. }
            | EngineError::NoDescriptors { .. }
            | EngineError::Io { .. }
            | EngineError::Poisoned
            | EngineError::Reopened
            | EngineError::Stalled { .. } => self.be_unsure(&Chain(error), error.lacks()),
        }
    }

    /// Accepts no more changes after a failed write, until the store has recovered.
    pub(in crate::store) fn be_unsure(&self, cause: &dyn std::fmt::Display, lacks: Option<Lack>) {
        let advice = match lacks {
            Some(Lack::Descriptors) => {
                "when a file can be opened: too many files and connections are open; raise LimitNOFILE in the unit, or ulimit -n"
            }
            Some(Lack::Space | Lack::Time) | None => {
                "when the disk can be written: check the disk and its free space"
            }
        };
        let reason = format!(
            "a write failed ({cause}); what is on disk is not known until the files have been opened again, which the node does \
             by itself {advice}"
        );
        let is_new = self.inner.standing.send_if_modified(|standing| {
            let is_open = *standing == Standing::Open;
            if is_open {
                *standing = Standing::Unsure { reason: reason.clone(), cause: cause.to_string(), lacks };
            }
            is_open
        });
        if is_new {
            tracing::error!(reason, "the store accepts no changes for now");
            self.note_doubt();
        }
    }

    /// Notes for a later start that a write has failed, off the reactor: the disk may not answer.
    fn note_doubt(&self) {
        let store = self.clone();
        tokio::task::spawn_blocking(move || {
            if let Err(error) = doubt::note(&store.inner.files) {
                tracing::error!(error = %Chain(&error), "a later start may not learn of the failed write");
            }
        });
    }

    /// Accepts changes again after a recovery. Returns whether it does: not when it has stopped meanwhile.
    pub(in crate::store) fn accept_again(&self) -> bool {
        self.inner.standing.send_if_modified(|standing| {
            let was_unsure = matches!(standing, Standing::Unsure { .. });
            if was_unsure {
                *standing = Standing::Open;
            }
            was_unsure
        })
    }

    /// Makes the store read-only; the first reason remains.
    pub(in crate::store) fn stop_writing(&self, reason: &str) {
        let is_first = self.note_stop(reason);
        if is_first {
            tracing::error!(reason, "the store accepts no more changes");
        }
    }

    /// Records why the store is read-only. Returns whether it is the first reason.
    pub(in crate::store) fn note_stop(&self, reason: &str) -> bool {
        self.inner.standing.send_if_modified(|standing| {
            let is_first = !matches!(standing, Standing::Stopped { .. });
            if is_first {
                *standing = Standing::Stopped { reason: reason.to_owned() };
            }
            is_first
        })
    }
}
