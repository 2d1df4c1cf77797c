//! A walk through a whole table, also past a part that cannot be read: what lies after it is read from the end.
//!
//! ```text
//!   first ──forward──▶ │ unreadable │ ◀──backward── last
//! ```

use std::ops::Bound;

use super::Store;
use super::engine::EngineError;
use super::engine::scan::{KeyValue, Order, ScanLimit, ScanRange};
use super::engine::table::Table;

/// A walk through a table.
pub(super) struct TableWalk {
    table: Table,
    limit: ScanLimit,
    step: ScanLimit,
    start: Bound<Vec<u8>>,
    end: Bound<Vec<u8>>,
    order: Order,
    is_broken: bool,
}

/// One step of a walk.
pub(super) enum Step {
    /// The next entries.
    Page(Vec<KeyValue>),
    /// A part cannot be read; the walk goes on behind it where it can.
    Unreadable(EngineError),
    /// Nothing is left.
    End,
}

impl TableWalk {
    /// A walk through all of a table, in steps of this size.
    pub(super) fn of(table: Table, limit: ScanLimit) -> Self {
        let (start, end) = (Bound::Unbounded, Bound::Unbounded);
        Self { table, limit, step: limit, start, end, order: Order::Forward, is_broken: false }
    }

    /// Whether a part could not be read.
    pub(super) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The next step. What is written meanwhile may be met or not.
    pub(super) async fn next(&mut self, store: &Store) -> Step {
        loop {
            let range = ScanRange { start: self.start.clone(), end: self.end.clone() };
            let error = match store.inner.engine.scan(self.table, range, self.order, self.step).await {
                Ok(page) => return self.advance(page),
                Err(error) => error,
            };
            // A page is read whole or not at all: entry by entry, the walk comes up to the part itself.
            if self.step.entries > 1 {
                self.step.entries /= 2;
                continue;
            }
            match self.order {
                Order::Forward => {
                    (self.order, self.step, self.is_broken) = (Order::Backward, self.limit, true);
                    return Step::Unreadable(error);
                }
                // From both ends the walk has come to a part that cannot be read.
                Order::Backward => return Step::End,
            }
        }
    }

    fn advance(&mut self, page: Vec<KeyValue>) -> Step {
        let Some((last, _)) = page.last() else { return Step::End };
        match self.order {
            Order::Forward => self.start = Bound::Excluded(last.clone()),
            Order::Backward => self.end = Bound::Excluded(last.clone()),
        }
        Step::Page(page)
    }
}
