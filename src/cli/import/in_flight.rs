//! Rows in flight: read, and not settled yet; bounded by number and bytes.
//!
//! Rows are settled from the front, in their order. A row that could not be read waits between the others, so that its
//! refusal is reported in its turn.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::error::Reason;
use super::row::Original;
use crate::model::limits::{MESSAGE_BYTES_MAX, STREAM_UNACKNOWLEDGED_MAX};
use crate::wire::proto;

/// Maximum number of rows in flight.
const ROWS_MAX: usize = 8_000;
/// Bytes of data in flight at which no further row is read.
const BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;

const _: () = assert!(ROWS_MAX <= STREAM_UNACKNOWLEDGED_MAX);

//----------- InFlight -------------------------------------------------------

/// A row whose outcome is unknown yet.
pub(super) struct RowInFlight {
    /// Number of the row in the file.
    pub(super) number: u64,
    /// Identifier of the row, as spelled in the file.
    pub(super) identifier: String,
    /// The row as in the file.
    pub(super) original: Original,
    /// Approximate bytes of the file up to this row.
    pub(super) read_bytes: u64,
    /// Size of the row in memory.
    pub(super) bytes: usize,
    /// Item to send, or why none is sent.
    pub(super) item: Result<proto::Item, Reason>,
    /// What ended a stream on which the row was sent, so that it may have been carried out.
    pub(super) unknown: Option<Arc<str>>,
}

/// Rows in the order of the file.
#[derive(Default)]
pub(super) struct InFlight {
    rows: VecDeque<RowInFlight>,
    bytes: usize,
    /// Number of rows, from the front, that were sent on the present stream.
    sent: usize,
}

impl InFlight {
    /// Whether all rows are settled.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether there is capacity for another row.
    pub(super) fn has_capacity(&self) -> bool {
        self.rows.len() < ROWS_MAX && self.bytes < BYTES_MAX
    }

    /// Adds a row at the end.
    pub(super) fn push(&mut self, row: RowInFlight) {
        self.bytes += row.bytes;
        self.rows.push_back(row);
    }

    /// Marks the rows that were sent on the present stream: it ended without their outcomes, for this cause.
    pub(super) fn lose(&mut self, cause: &str) {
        let cause: Arc<str> = cause.into();
        for row in self.rows.iter_mut().take(self.sent).filter(|row| row.item.is_ok()) {
            row.unknown = Some(Arc::clone(&cause));
        }
    }

    /// Number of rows that may have been carried out, and the last cause why that is unknown.
    pub(super) fn unknown(&self) -> Option<(usize, Arc<str>)> {
        let causes: Vec<&Arc<str>> = self.rows.iter().filter_map(|row| row.unknown.as_ref()).collect();
        causes.last().map(|cause| (causes.len(), Arc::clone(cause)))
    }

    /// Starts a new stream, on which no row was sent yet.
    pub(super) fn send_again(&mut self) {
        self.sent = 0;
    }

    /// Whether a row is still to be sent on this stream.
    pub(super) fn has_unsent(&self) -> bool {
        self.next_unsent().is_some()
    }

    /// Takes a copy of the next item to send.
    pub(super) fn take_unsent(&mut self) -> Option<proto::Item> {
        let position = self.next_unsent()?;
        self.sent = position + 1;
        self.rows.get(position)?.item.as_ref().ok().cloned()
    }

    fn next_unsent(&self) -> Option<usize> {
        let unsent = self.rows.iter().enumerate().skip(self.sent);
        unsent.into_iter().find(|(_, row)| row.item.is_ok()).map(|(position, _)| position)
    }

    /// The row that is settled next.
    pub(super) fn first(&self) -> Option<&RowInFlight> {
        self.rows.front()
    }

    /// Removes the row that is settled.
    pub(super) fn pop(&mut self) -> Option<RowInFlight> {
        let row = self.rows.pop_front()?;
        self.bytes -= row.bytes;
        self.sent = self.sent.saturating_sub(1);
        Some(row)
    }
}
