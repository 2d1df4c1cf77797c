//! Resynchronization: files the whole present state. All reasons to do so use the same procedure.

use std::collections::BTreeSet;

use crate::federation::filing_message::{FiledPrefix, FilingMessage};
use crate::model::identifier::Prefix;
use crate::model::position::Position;
use crate::model::prefix::PrefixEntry;

use super::error::FilingError;
use super::status::FilingState;
use super::{Filing, FilingStream};

impl Filing {
    /// Files the present state of every prefix; returns the position that it stands for. The upper node revokes
    /// everything else that it holds from this node.
    ///
    /// The basis and the position are saved last, so that an interruption before leads to another resynchronization.
    pub(super) async fn resynchronize(&self, stream: &mut FilingStream) -> Result<Position, FilingError> {
        self.watch.entered(FilingState::Resynchronizing);
        // The position is read first: a change in between is filed again when the journal is followed from there.
        let as_of = self.store.head();
        let directory = self.store.directory();
        let (covered, beyond): (Vec<_>, Vec<_>) =
            directory.prefixes().partition(|entry| stream.covers(&entry.prefix));
        tracing::info!(upper = %self.upper.name(), prefixes = covered.len(), as_of = %as_of, "filing the present state");
        let filings = covered.iter().map(|entry| FilingMessage::Filed(filed(entry, as_of)));
        let messages: Vec<FilingMessage> = [FilingMessage::Begin(as_of)]
            .into_iter()
            .chain(filings)
            .chain([FilingMessage::End(as_of)])
            .collect();
        let count = covered.len();
        let refused = stream.deliver(messages, as_of).await?;
        let filed = count - refused.len().min(count);
        let prefixes: BTreeSet<Prefix> = covered.iter().map(|entry| entry.prefix.clone()).collect();
        self.note_refused(stream, &prefixes, &refused);
        let beyond = beyond.iter().map(|entry| stream.beyond_scope(&entry.prefix));
        self.watch.resynchronized(as_of, filed, beyond.chain(refused).collect());
        self.save_basis(stream).await?;
        self.save_confirmed(as_of).await?;
        Ok(as_of)
    }
}

/// Converts a prefix entry to a filing.
pub(super) fn filed(entry: &PrefixEntry, position: Position) -> FiledPrefix {
    FiledPrefix {
        prefix: entry.prefix.clone(),
        registrant: entry.registrant.clone(),
        status: entry.status,
        homing: entry.homing.clone(),
        position,
    }
}
