//! Resynchronizing: filing the present state as a whole. One procedure for every reason to do so.

use crate::federation::filing_message::{FiledPrefix, FilingMessage};
use crate::model::position::{Bookmark, Position};
use crate::model::prefix::PrefixEntry;

use super::error::FilingError;
use super::status::FilingState;
use super::{BASIS, Conversation, Filing};

impl Filing {
    /// Files every prefix as it stands; the place it stands for. What the upper node holds from us beyond that, it
    /// revokes.
    ///
    /// The basis is stored last: an interruption anywhere before leads here again.
    pub(super) async fn resynchronize(
        &self,
        conversation: &mut Conversation,
        basis: &Bookmark,
    ) -> Result<Position, FilingError> {
        self.watch.entered(FilingState::Resynchronizing);
        // The place is read first: what changes in between is filed again when the journal is followed from it.
        let as_of = self.store.head();
        let directory = self.store.directory();
        let (taken, beyond): (Vec<_>, Vec<_>) =
            directory.prefixes().partition(|entry| conversation.takes(&entry.prefix));
        self.watch.clear_aside();
        self.watch.set_aside(beyond.iter().map(|entry| conversation.beyond_scope(&entry.prefix)).collect());
        tracing::info!(upper = %self.upper.name(), prefixes = taken.len(), as_of = %as_of, "filing the present state");
        let filings = taken.iter().map(|entry| FilingMessage::Filed(filed(entry, as_of)));
        let messages: Vec<FilingMessage> = [FilingMessage::Begin(as_of)]
            .into_iter()
            .chain(filings)
            .chain([FilingMessage::End(as_of)])
            .collect();
        let count = taken.len();
        let aside = conversation.deliver(messages, as_of).await?;
        self.watch.resynchronized(as_of, count - aside.len().min(count), aside);
        self.keep(as_of).await?;
        self.store.set_bookmark(BASIS, basis).await?;
        Ok(as_of)
    }
}

/// A prefix entry as it is filed.
pub(super) fn filed(entry: &PrefixEntry, position: Position) -> FiledPrefix {
    FiledPrefix {
        prefix: entry.prefix.clone(),
        registrant: entry.registrant.clone(),
        standing: entry.standing,
        homing: entry.homing.clone(),
        position,
    }
}
