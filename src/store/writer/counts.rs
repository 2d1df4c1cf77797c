//! Counts: numbers of live identifiers by literal prefix, in memory as of the last durable block.

use std::collections::BTreeMap;

use crate::model::identifier::Prefix;
use crate::store::directory::Directory;
use crate::store::engine::{WriteId, Writes};
use crate::store::entry::count::PrefixCount;
use crate::store::entry::prefix::CanonicalPrefix;

//----------- Counts ---------------------------------------------------------

/// Numbers of live identifiers by literal prefix.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Counts(BTreeMap<String, u64>);

impl Counts {
    /// Sets a count read from disk.
    pub(in crate::store) fn load(&mut self, prefix: String, count: u64) {
        self.0.insert(prefix, count);
    }

    /// Sets counts that have become durable.
    pub(in crate::store) fn take_up(&mut self, counts: Self) {
        self.0.extend(counts.0);
    }

    /// Follows an identifier that was created or removed. `known` returns the count of a prefix that occurs for the first time.
    pub(in crate::store) fn follow(
        &mut self,
        prefix: &Prefix,
        known: impl FnOnce() -> u64,
        was_live: bool,
        is_live: bool,
    ) {
        let count = self.0.entry(prefix.canonical()).or_insert_with(known);
        *count = match (was_live, is_live) {
            (false, true) => count.saturating_add(1),
            (true, false) => count.saturating_sub(1),
            _ => *count,
        };
    }

    /// The count of exactly this prefix, if it is among them.
    pub(in crate::store) fn known(&self, prefix: &Prefix) -> Option<u64> {
        self.0.get(&prefix.canonical()).copied()
    }

    /// The count of a prefix in canonical form.
    pub(in crate::store) fn get(&self, prefix: &str) -> u64 {
        self.0.get(prefix).copied().unwrap_or(0)
    }

    /// The count of exactly this prefix.
    pub(in crate::store) fn of(&self, prefix: &Prefix) -> u64 {
        self.get(&prefix.canonical())
    }

    /// Each prefix and its count.
    pub(in crate::store) fn each(&self, mut show: impl FnMut(&str, u64)) {
        self.0.iter().for_each(|(prefix, count)| show(prefix, *count));
    }

    /// Whether there is any at or below this prefix.
    pub(in crate::store) fn any_within(&self, prefix: &Prefix) -> bool {
        let below = format!("{}.", prefix.canonical());
        let mut from = self.0.range(below.clone()..).take_while(|(own, _)| own.starts_with(&below));
        self.of(prefix) > 0 || from.any(|(_, count)| *count > 0)
    }

    /// Whether there is any at or below this prefix that no entry below it governs.
    pub(in crate::store) fn any_governed_above(&self, prefix: &Prefix, directory: &Directory) -> bool {
        let below = format!("{}.", prefix.canonical());
        let mut from = self.0.range(below.clone()..).take_while(|(own, _)| own.starts_with(&below));
        let is_governed_above = |own: &str| {
            let governing = Prefix::parse(own).ok().and_then(|own| directory.governing(&own).cloned());
            governing.is_none_or(|entry| !prefix.covers(&entry.prefix))
        };
        self.of(prefix) > 0 || from.any(|(own, count)| *count > 0 && is_governed_above(own))
    }

    /// Puts all of them.
    pub(in crate::store) fn put_into(&self, writes: &mut Writes) {
        self.each(|prefix, count| {
            let prefix = CanonicalPrefix(prefix.to_owned());
            writes.put(&prefix.clone(), &PrefixCount { prefix, count }, WriteId::SMALL);
        });
    }

    /// All identifiers.
    pub(in crate::store) fn total(&self) -> u64 {
        self.0.values().sum()
    }
}
