//! Rows read ahead: a thread of its own reads the file, as far as the number and the bytes of the rows that wait allow.

use std::sync::Arc;
use std::thread;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::super::error::Error;
use super::row::Row;
use crate::model::limits::MESSAGE_BYTES_MAX;

/// Rows that wait.
const ROWS_MAX: usize = 1_000;
/// Bytes of the rows that wait, beside those of one.
const BYTES_MAX: usize = 4 * MESSAGE_BYTES_MAX;
/// Bytes for which a row takes one permit.
const PERMIT_BYTES: usize = 1_024;

//----------- Rows -----------------------------------------------------------

/// The rows of a file, in order; an error is the last item.
pub(super) struct Rows {
    waiting: mpsc::Receiver<Waiting>,
    /// Permits for the bytes of rows that wait.
    #[cfg(test)]
    space: Arc<Semaphore>,
}

/// A row that waits, and the permits for its bytes.
struct Waiting {
    row: Result<Row, Error>,
    _permits: Option<OwnedSemaphorePermit>,
}

impl Rows {
    /// Starts to read, until there are no more rows, or an error, or nobody receives them.
    pub(super) fn read_ahead(mut next: impl FnMut() -> Result<Option<Row>, Error> + Send + 'static) -> Self {
        let (sender, waiting) = mpsc::channel(ROWS_MAX);
        let runtime = Handle::current();
        let space = Arc::new(Semaphore::new(BYTES_MAX / PERMIT_BYTES));
        let rows = Self {
            waiting,
            #[cfg(test)]
            space: Arc::clone(&space),
        };
        thread::spawn(move || {
            while let Some(row) = next().transpose() {
                let is_last = row.is_err();
                let permits = row.as_ref().map_or(1, permits);
                // It is never closed; what waits gives its permits back when it is received or dropped.
                let permits = runtime.block_on(Arc::clone(&space).acquire_many_owned(permits)).ok();
                let waiting = Waiting { row, _permits: permits };
                if sender.blocking_send(waiting).is_err() || is_last {
                    return;
                }
            }
        });
        rows
    }

    /// The next row; none at the end. Safe to drop.
    pub(super) async fn recv(&mut self) -> Option<Result<Row, Error>> {
        self.waiting.recv().await.map(|waiting| waiting.row)
    }

    /// Bytes for which there is space.
    #[cfg(test)]
    pub(super) fn space_bytes(&self) -> usize {
        self.space.available_permits() * PERMIT_BYTES
    }
}

/// The permits that a row takes: at most all, so that every row passes.
fn permits(row: &Row) -> u32 {
    let permits = (row.bytes() / PERMIT_BYTES + 1).min(BYTES_MAX / PERMIT_BYTES);
    u32::try_from(permits).unwrap_or(u32::MAX)
}
