//! The values that a commit in progress replaces, so that readers of sled see durable values only.
//!
//! Sled shows a commit to readers as soon as it is in memory, before it is on disk. So the commit saves here, for
//! each key that it changes, the previous value, and readers use that value until the commit is on disk. If the commit
//! fails, the saved values stay: a value that may be lost is never shown.

use std::{collections::BTreeMap, ops::Bound};

use ::sled::IVec;

use super::{
    scan::{Order, holds_nothing},
    table::Table,
};

/// The values before the commit in progress; none for a key that was absent.
#[derive(Default)]
pub(super) struct Pending {
    before: BTreeMap<Table, BTreeMap<IVec, Option<IVec>>>,
}

impl Pending {
    /// Whether no commit is in progress.
    pub(super) fn is_empty(&self) -> bool {
        self.before.is_empty()
    }

    /// Records the value before the first change of a key.
    pub(super) fn note(&mut self, table: Table, key: &[u8], before: Option<IVec>) {
        self.before.entry(table).or_default().entry(IVec::from(key)).or_insert(before);
    }

    /// Each key, with its value before the commit.
    pub(super) fn entries(&self) -> impl Iterator<Item = (Table, &IVec, Option<&IVec>)> {
        self.before
            .iter()
            .flat_map(|(table, keys)| keys.iter().map(|(key, before)| (*table, key, before.as_ref())))
    }

    /// The value that readers see, given what the tree holds.
    pub(super) fn seen(&self, table: Table, key: &[u8], in_tree: Option<IVec>) -> Option<IVec> {
        match self.before.get(&table).and_then(|keys| keys.get(key)) {
            Some(before) => before.clone(),
            None => in_tree,
        }
    }

    /// The entries that readers still see between two neighboring keys of the tree: what the commit in progress removes there.
    pub(super) fn between<'a>(
        &'a self,
        table: Table,
        gap: Gap<'a>,
        order: Order,
    ) -> impl Iterator<Item = (&'a IVec, &'a IVec)> {
        let keys = self.before.get(&table).filter(|_| !holds_nothing(gap.start, gap.end));
        let mut rest = keys.map(|keys| keys.range::<[u8], _>((gap.start, gap.end)));
        let removed = std::iter::from_fn(move || match order {
            Order::Forward => rest.as_mut()?.next(),
            Order::Backward => rest.as_mut()?.next_back(),
        });
        removed.filter_map(|(key, before)| before.as_ref().map(|value| (key, value)))
    }
}

//----------- Gap -----------------------------------------------------------------------------------------------------

/// The keys between two adjacent keys of a scan, from low to high.
pub(super) struct Gap<'a> {
    start: Bound<&'a [u8]>,
    end: Bound<&'a [u8]>,
}

impl<'a> Gap<'a> {
    /// The gap a scan crosses from `last` to `next`, which may be the ends of its range.
    pub(super) const fn crossed(order: Order, last: Bound<&'a [u8]>, next: Bound<&'a [u8]>) -> Self {
        match order {
            Order::Forward => Self { start: last, end: next },
            Order::Backward => Self { start: next, end: last },
        }
    }
}
