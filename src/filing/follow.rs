//! Following the journal: prefix changes are filed one by one, in order; identifier changes only advance the bookmark.
//!
//! Headers are read in large steps, and bodies for prefix changes only, so that a million identifier changes take a
//! hundred steps. A step with a prefix change is sent at once; one without waits a second for more entries.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::{self, Instant};

use crate::federation::filing_message::FiledPrefix;
use crate::model::identifier::Prefix;
use crate::model::limits::FILING_STEP_ENTRIES;
use crate::model::position::Position;
use crate::store::entry::Change;
use crate::store::journal::{Header, JournalEntry, Subject};

use super::error::FilingError;
use super::present::filed;
use super::{Filing, FilingStream, after};

/// How long changes of identifiers are delayed when there is nothing to file.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// The part of the journal that was read and not sent yet.
struct Unsent {
    /// The last entry read.
    read_to: Position,
    /// The last entry delivered.
    sent_to: Position,
    /// Changes of identifiers in between.
    identifiers: u64,
    /// Filings in between.
    filings: Vec<FiledPrefix>,
    /// Time at which this part must be sent.
    due: Instant,
}

impl Unsent {
    fn is_due(&self) -> bool {
        let entries = self.read_to.entries_after(self.sent_to).unwrap_or(0);
        let is_long = entries >= u64::try_from(FILING_STEP_ENTRIES).unwrap_or(u64::MAX);
        entries > 0 && (!self.filings.is_empty() || is_long || Instant::now() >= self.due)
    }
}

impl Filing {
    /// Follows the journal after a position until the stream breaks.
    pub(super) async fn follow(
        &self,
        stream: &mut FilingStream,
        from: Position,
    ) -> Result<Infallible, FilingError> {
        let mut end = self.store.follow();
        let mut unsent = Unsent {
            read_to: from,
            sent_to: from,
            identifiers: 0,
            filings: Vec::new(),
            due: after(Duration::ZERO),
        };
        loop {
            let durable = end.borrow_and_update().end.position();
            if unsent.read_to < durable {
                self.read_step(stream, &mut unsent).await?;
            }
            if unsent.is_due() {
                self.send(stream, &mut unsent).await?;
            }
            if unsent.read_to < durable {
                continue;
            }
            let is_waiting = unsent.read_to > unsent.sent_to;
            if !is_waiting && stream.refused.due().is_some_and(|due| Instant::now() >= due) {
                self.file_refused(stream, unsent.sent_to).await?;
            }
            let refused_due = stream.refused.due().filter(|_| !is_waiting);
            tokio::select! {
                // The sender of this channel lives as long as the store.
                _ = end.changed() => {}
                () = time::sleep_until(unsent.due), if is_waiting => {}
                () = time::sleep_until(refused_due.unwrap_or(unsent.due)), if refused_due.is_some() => {}
                received = stream.receive_unprompted() => received?,
            }
        }
    }

    /// Reads the next step of the journal.
    async fn read_step(&self, stream: &FilingStream, unsent: &mut Unsent) -> Result<(), FilingError> {
        let headers = self.store.headers_after(Some(unsent.read_to), FILING_STEP_ENTRIES).await?;
        let next = |header: &&Header| header.position.entries_after(unsent.read_to) == Some(1);
        let (Some(first), Some(last)) = (headers.first().filter(next), headers.last()) else {
            return Err(FilingError::Pruned);
        };
        if unsent.read_to == unsent.sent_to {
            self.watch.oldest(Some(first.time_ms));
        }
        unsent.read_to = last.position;
        let is_identifier = |header: &&Header| matches!(header.subject, Subject::Identifier(_));
        unsent.identifiers += headers.iter().filter(is_identifier).count() as u64;
        let mut changes = headers;
        changes.retain(|header| matches!(header.subject, Subject::Prefix(_)));
        for entry in self.store.with_bodies(changes).await? {
            let Some(filing) = self.filing(entry) else {
                continue;
            };
            if stream.covers(&filing.prefix) {
                unsent.filings.push(filing);
            } else {
                self.watch.set_aside(vec![stream.beyond_scope(&filing.prefix)]);
            }
        }
        Ok(())
    }

    /// Returns the filing for a change of a prefix. When the body is no longer retained, the present state is filed.
    fn filing(&self, entry: JournalEntry) -> Option<FiledPrefix> {
        let JournalEntry { header, body } = entry;
        match body.map(|body| body.change) {
            Some(Change::Prefix(entry)) => Some(filed(&entry, header.position)),
            _ => {
                let Subject::Prefix(prefix) = &header.subject else {
                    return None;
                };
                let prefix = Prefix::parse(prefix).ok()?;
                let directory = self.store.directory();
                directory.get(&prefix).map(|entry| filed(entry, header.position))
            }
        }
    }

    /// Delivers the unsent part.
    async fn send(&self, stream: &mut FilingStream, unsent: &mut Unsent) -> Result<(), FilingError> {
        let filings = std::mem::take(&mut unsent.filings);
        let identifier_changes = std::mem::take(&mut unsent.identifiers);
        self.deliver(stream, filings, identifier_changes, unsent.read_to).await?;
        unsent.sent_to = unsent.read_to;
        unsent.due = after(PROGRESS_EVERY);
        self.watch.oldest(None);
        Ok(())
    }
}
