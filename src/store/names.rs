//! Names: the live identifiers of a prefix in order, without their values.
//!
//! A state begins with its name and whether it is live; the values after that are not decoded. A skipped state costs
//! reading its bytes and their checksum.

use std::ops::Bound;

use crate::model::identifier::{CanonicalIdentifier, Identifier, Prefix};
use crate::wire::cursor::Reader;

use super::Store;
use super::engine::scan::{KeyValue, Order, ScanLimit, ScanRange};
use super::engine::table::Table;
use super::error::Error;
use super::{entry_v1, key};

/// Maximum bytes of one step.
const STEP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// States that one step reads at least, where there are so many: tombstones stand among them.
const STEP_ENTRIES_MIN: usize = 64;

/// A selection of the names of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameRange<'a> {
    /// Name after which the page begins; none for the first page.
    pub after: Option<&'a CanonicalIdentifier>,
    /// Names that are skipped first.
    pub skip: usize,
    /// Names wanted at most.
    pub limit: usize,
}

impl Store {
    /// Names of live identifiers whose own prefix is exactly this one, in canonical order.
    pub async fn names(&self, prefix: &Prefix, range: NameRange<'_>) -> Result<Vec<Identifier>, Error> {
        let NameRange { after, mut skip, limit } = range;
        let mut walk = Walk::of(prefix, after);
        let mut names = Vec::new();
        while names.len() < limit {
            let page = walk.step(self, skip.saturating_add(limit - names.len())).await?;
            if page.is_empty() {
                break;
            }
            for (key, stored) in page {
                let Some(loaded) = self.join_one(Table::Identifier, &key, stored).await? else { continue };
                let damaged = |error| self.damaged(Table::Identifier, &key, &error);
                let mut reader = Reader::new(&loaded.body);
                let Some(spelled) = entry_v1::read_live_name(&mut reader).map_err(|e| damaged(e.into()))?
                else {
                    continue;
                };
                if skip > 0 {
                    skip -= 1;
                    continue;
                }
                let name =
                    Identifier::parse(spelled).map_err(|_| damaged(reader.refuse("identifier").into()))?;
                names.push(name);
            }
        }
        names.truncate(limit);
        Ok(names)
    }
}

//----------- Walk -----------------------------------------------------------

/// The stored states of a prefix's identifiers, step by step.
pub(super) struct Walk {
    start: Bound<Vec<u8>>,
    end: Vec<u8>,
}

impl Walk {
    /// Over those of a prefix, from behind one of them or from the first.
    pub(super) fn of(prefix: &Prefix, after: Option<&CanonicalIdentifier>) -> Self {
        let (from, end) = key::identifiers_of(prefix);
        let after = after.map(|identifier| identifier.as_bytes().to_vec()).filter(|after| *after >= from);
        Self { start: after.map_or(Bound::Included(from), Bound::Excluded), end }
    }

    /// The next states, about as many as are wanted; none at the end.
    pub(super) async fn step(&mut self, store: &Store, wanted: usize) -> Result<Vec<KeyValue>, Error> {
        let range = ScanRange { start: self.start.clone(), end: Bound::Excluded(self.end.clone()) };
        let limit = ScanLimit { entries: wanted.max(STEP_ENTRIES_MIN), bytes: STEP_BYTES_MAX };
        let page = store.inner.engine.scan(Table::Identifier, range, Order::Forward, limit).await?;
        if let Some((last, _)) = page.last() {
            self.start = Bound::Excluded(last.clone());
        }
        Ok(page)
    }
}
