//! What a client may send on its streams before it is read: the windows of HTTP/2, which the budget holds before a byte
//! comes.
//!
//! ```text
//!   connection ── window of all its streams ──────────────────────────────▶ held at most
//!     stream ── window ─▶ held      stream ── window ─▶ held      stream: its window is within what is held
//! ```
//!
//! HTTP/2 takes from a client what the window of the stream and that of the connection allow, whether anything is read or
//! not. So the first streams of a connection hold their windows each, and more of them hold nothing beyond the window of
//! the connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES};
use crate::front::listen::budget::{BudgetSpent, MemoryAccount, MemoryGrant};

//----------- Windows --------------------------------------------------------

/// The windows of the streams of one connection.
#[derive(Debug)]
pub(in crate::front::grpc) struct Windows(Mutex<Open>);

#[derive(Debug)]
struct Open {
    streams: usize,
    grant: MemoryGrant,
}

impl Windows {
    /// No stream is open.
    pub(in crate::front::grpc) fn new(account: &Arc<MemoryAccount>) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Open { streams: 0, grant: account.take_forced(0) })))
    }

    /// Takes what another stream may make us hold.
    pub(super) fn open(self: &Arc<Self>) -> Result<Window, BudgetSpent> {
        let mut open = self.lock();
        let streams = open.streams + 1;
        open.grant.resize(held_max(streams))?;
        open.streams = streams;
        drop(open);
        Ok(Window(Arc::clone(self)))
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that so many streams of one connection make us hold at most, unread.
fn held_max(streams: usize) -> usize {
    streams.saturating_mul(STREAM_WINDOW_BYTES as usize).min(CONNECTION_WINDOW_BYTES as usize)
}

//----------- Window ---------------------------------------------------------

/// The window of one stream. Dropping it gives back what no other stream of the connection needs.
#[derive(Debug)]
pub(super) struct Window(Arc<Windows>);

impl Drop for Window {
    fn drop(&mut self) {
        let mut open = self.0.lock();
        open.streams -= 1;
        let held = held_max(open.streams);
        // Fewer bytes are never refused.
        let _never = open.grant.resize(held);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, Windows};
    use crate::front::listen::budget::{Bound, Holder, MemoryBudget, MemoryLimits};

    const STREAM: usize = STREAM_WINDOW_BYTES as usize;

    /// The windows of a connection that may hold so much.
    fn windows(connection: usize) -> (Arc<MemoryBudget>, Arc<Windows>) {
        let limits = MemoryLimits { total: usize::MAX, source: usize::MAX, connection };
        let budget = MemoryBudget::new(limits);
        let windows = Windows::new(&budget.account(Holder::of(([127, 0, 0, 1], 80).into())));
        (budget, windows)
    }

    #[test]
    fn the_streams_of_a_connection_hold_no_more_than_its_window() {
        let (budget, windows) = windows(usize::MAX);
        let mut open = Vec::new();
        for streams in 1..=256 {
            open.push(windows.open().expect("free"));
            let held = (streams * STREAM).min(CONNECTION_WINDOW_BYTES as usize);
            assert_eq!(budget.bytes_in_use(), held as u64, "{streams} streams");
        }
        open.truncate(2);
        assert_eq!(budget.bytes_in_use(), 2 * STREAM as u64);
        open.clear();
        assert_eq!(budget.bytes_in_use(), 0);
    }

    #[test]
    fn a_stream_without_memory_for_its_window_is_refused_and_holds_nothing() {
        let (budget, windows) = windows(3 * STREAM / 2);
        let first = windows.open().expect("free");
        assert_eq!(windows.open().expect_err("no memory").bound, Bound::Connection);
        assert_eq!(budget.bytes_in_use(), STREAM as u64);
        drop(first);
        assert_eq!(budget.bytes_in_use(), 0);
        windows.open().expect("free again");
    }
}
