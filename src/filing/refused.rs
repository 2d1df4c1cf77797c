//! What the upper node refused: filed again after a pause and at each new contact, until it is accepted.
//!
//! A refusal ends by a decision at the upper node, such as the end of a suspension or of another node's token, of which
//! this node is not informed. That something was refused is saved beside the basis, before the position is: the next
//! contact, also after a restart, then files the whole present state.

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::federation::filing_message::{FiledPrefix, FilingMessage};
use crate::model::identifier::Prefix;
use crate::model::position::{Bookmark, Position, Stream};

use super::error::FilingError;
use super::present::filed;
use super::status::{Delivered, SetAside};
use super::{BASIS, Filing, FilingStream, after};

/// The prefixes that the upper node refused, and when they are filed again.
pub(super) struct Refused {
    prefixes: BTreeSet<Prefix>,
    due: Instant,
}

impl Refused {
    /// Without any refusal.
    pub(super) fn none() -> Self {
        Self { prefixes: BTreeSet::new(), due: Instant::now() }
    }

    /// When something is filed again; none when nothing was refused.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.prefixes.is_empty()).then_some(self.due)
    }
}

impl Filing {
    /// Files the present state of what was refused, when the journal is filed up to a position.
    pub(super) async fn file_refused(
        &self,
        stream: &mut FilingStream,
        position: Position,
    ) -> Result<(), FilingError> {
        let directory = self.store.directory();
        let entries = stream.refused.prefixes.iter().filter_map(|prefix| directory.get(prefix));
        let filings = entries.map(|entry| filed(entry, position)).collect();
        self.deliver(stream, filings, 0, position).await
    }

    /// Delivers filings and all other changes up to a position, and saves it when it is confirmed.
    pub(super) async fn deliver(
        &self,
        stream: &mut FilingStream,
        filings: Vec<FiledPrefix>,
        identifier_changes: u64,
        position: Position,
    ) -> Result<(), FilingError> {
        let prefixes: BTreeSet<Prefix> = filings.iter().map(|filing| filing.prefix.clone()).collect();
        let count = filings.len();
        let progress = FilingMessage::Progress { position, identifier_changes };
        let messages = filings.into_iter().map(FilingMessage::Filed).chain([progress]).collect();
        let aside = stream.deliver(messages, position).await?;
        let filed = count - aside.len().min(count);
        let had_refusals = !stream.refused.prefixes.is_empty();
        self.note_refused(stream, &prefixes, &aside);
        if had_refusals == stream.refused.prefixes.is_empty() {
            self.save_basis(stream).await?;
        }
        self.watch.filed(Delivered { position, filed, identifiers: identifier_changes, prefixes, aside });
        self.save_confirmed(position).await
    }

    /// Notes which of the filed prefixes were refused.
    pub(super) fn note_refused(
        &self,
        stream: &mut FilingStream,
        filed: &BTreeSet<Prefix>,
        aside: &[SetAside],
    ) {
        let Refused { prefixes, due } = &mut stream.refused;
        prefixes.retain(|prefix| !filed.contains(prefix));
        prefixes.extend(aside.iter().map(|aside| aside.prefix.clone()));
        if Instant::now() >= *due {
            *due = after(self.options.refused_pause);
        }
    }

    /// Saves the basis of what is confirmed, and whether something was refused: then it is not the basis that the next
    /// contact computes.
    pub(super) async fn save_basis(&self, stream: &FilingStream) -> Result<(), FilingError> {
        let mark = u64::from(!stream.refused.prefixes.is_empty());
        let position = stream.basis.at(Stream::ONLY);
        let marked: Bookmark =
            position.map(|basis| Position { sequence: mark, ..basis }).into_iter().collect();
        self.upkeep.set_bookmark(BASIS, &marked).await?;
        Ok(())
    }
}
