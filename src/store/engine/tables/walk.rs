//! A walk through all entries of a kind, also past a part that cannot be read: what lies after it is read from the end. With
//! several such parts, what lies between the first and the last of them is not read.
//!
//! ```text
//!   first ──forward──▶ │ unreadable │ ◀──backward── last
//! ```

use super::Tables;
use super::error::EngineError;
use super::scan::{KeyValue, Order, PageLimit};
use super::span::Span;
use super::table::Table;
use crate::store::entry::Readable;
use crate::store::error::Error;

/// A walk through all entries of a kind.
pub(in crate::store) struct Walk<R> {
    span: Span<R>,
    limit: PageLimit,
    step: PageLimit,
    order: Order,
    is_broken: bool,
}

/// One step of a walk.
pub(in crate::store) enum Step<R> {
    /// The next entries.
    Page(Vec<Walked<R>>),
    /// A part cannot be read; the walk goes on behind it where it can.
    Unreadable(EngineError),
    /// The walk has ended; entries may be missing when [`Walk::is_broken`].
    End,
}

/// One entry that a walk has met.
pub(in crate::store) struct Walked<R> {
    /// The bytes of its key.
    pub(in crate::store) key: Vec<u8>,
    /// The entry, unless it is damaged.
    pub(in crate::store) entry: Result<R, Error>,
}

impl<R: Readable> Walk<R> {
    /// A walk through all entries, in steps of this size.
    pub(in crate::store) fn through_all(limit: PageLimit) -> Self {
        Self { span: Span::all(), limit, step: limit, order: Order::Forward, is_broken: false }
    }

    /// Whether a part could not be read.
    pub(in crate::store) fn is_broken(&self) -> bool {
        self.is_broken
    }

    /// The next step. What is written meanwhile may be met or not.
    pub(in crate::store) async fn next(&mut self, tables: &Tables) -> Step<R> {
        let table = Table::from(R::KIND);
        loop {
            let range = self.span.range.clone();
            let error = match tables.backend.scan(table, range, self.order, self.step).await {
                Ok(page) if page.is_empty() => return Step::End,
                Ok(page) => return Step::Page(self.read(tables, page).await),
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

    /// Reads the entries of a page, up to the bytes of a step. One that has been deleted meanwhile is left out.
    async fn read(&mut self, tables: &Tables, page: Vec<KeyValue>) -> Vec<Walked<R>> {
        let table = Table::from(R::KIND);
        let (mut walked, mut bytes) = (Vec::with_capacity(page.len()), 0);
        for (key, stored) in page {
            self.span.pass(&key, self.order);
            let entry = match tables.join(table, &key, stored).await {
                Ok(None) => continue,
                Ok(Some(joined)) => {
                    bytes += joined.body.len();
                    tables.decode(&key, &joined)
                }
                Err(error) => Err(error),
            };
            walked.push(Walked { key, entry });
            // Long entries are read by their first pieces only: joined, they may be many times as large.
            if bytes >= self.limit.bytes {
                break;
            }
        }
        walked
    }
}
