//! Expiring map: entries that are valid for a time, each paid for by a [`QuotaGrant`] of a quota, so that no table grows beyond
//! its bounds.
//!
//! ```text
//!   insert(key, value, grant, until) ─▶ get, touch ─▶ expired, evicted or removed: the grant is given back
//! ```
//!
//! Entries are ordered by the time at which they expire; finding the first costs a logarithm of their number. Time is that of
//! whoever keeps the map: an [`Instant`], or milliseconds since 1970.

use std::collections::hash_map::Entry as MapEntry;
use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::time::Instant;

use super::quota::QuotaGrant;

//----------- Expiring -------------------------------------------------------

/// Entries by their key and by their expiry.
#[derive(Debug)]
pub(in crate::front) struct Expiring<K, V, T = Instant> {
    entries: HashMap<K, Entry<V, T>>,
    /// Keys in the order in which they expire; the number keeps entries of one instant apart, the older first.
    order: BTreeMap<(T, u64), K>,
    made: u64,
}

#[derive(Debug)]
struct Entry<V, T> {
    value: V,
    grant: QuotaGrant,
    position: (T, u64),
}

impl<K, V, T> Default for Expiring<K, V, T> {
    fn default() -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), made: 0 }
    }
}

impl<K: Copy + Eq + Hash, V, T: Copy + Ord> Expiring<K, V, T> {
    /// Adds an entry, or replaces the one of this key. It is valid before `until`.
    pub(in crate::front) fn insert(&mut self, key: K, value: V, grant: QuotaGrant, until: T) {
        self.remove(&key);
        self.made += 1;
        let position = (until, self.made);
        self.order.insert(position, key);
        self.entries.insert(key, Entry { value, grant, position });
    }

    /// The value of a key. Expired entries are found until [`Expiring::expire`] has removed them.
    pub(in crate::front) fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// The value of a key and the grant that pays for it.
    pub(in crate::front) fn get_mut(&mut self, key: &K) -> Option<(&mut V, &mut QuotaGrant)> {
        self.entries.get_mut(key).map(|entry| (&mut entry.value, &mut entry.grant))
    }

    /// Extends the validity of an entry; does nothing when there is none.
    pub(in crate::front) fn touch(&mut self, key: K, until: T) {
        if let MapEntry::Occupied(mut occupied) = self.entries.entry(key) {
            self.made += 1;
            self.order.remove(&occupied.get().position);
            occupied.get_mut().position = (until, self.made);
            self.order.insert(occupied.get().position, key);
        }
    }

    /// Removes an entry and gives its grant back.
    pub(in crate::front) fn remove(&mut self, key: &K) -> Option<V> {
        let Entry { value, position, .. } = self.entries.remove(key)?;
        self.order.remove(&position);
        Some(value)
    }

    /// Removes the entries whose time is over, and returns them.
    pub(in crate::front) fn expire(&mut self, now: T) -> Vec<(K, V)> {
        let mut expired = Vec::new();
        while let Some(((until, _), _)) = self.order.first_key_value() {
            if *until > now {
                break;
            }
            expired.extend(self.evict());
        }
        expired
    }

    /// Removes the entry that would expire first.
    pub(in crate::front) fn evict(&mut self) -> Option<(K, V)> {
        let (_, key) = self.order.pop_first()?;
        self.entries.remove(&key).map(|entry| (key, entry.value))
    }

    /// The values, in no order.
    pub(in crate::front) fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values().map(|entry| &entry.value)
    }

    /// Number of entries.
    pub(in crate::front) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::{Duration, Instant};

    use super::super::quota::{Quota, QuotaBounds};
    use super::super::source::Source;
    use super::Expiring;

    #[test]
    fn entries_expire_in_order_and_give_their_grants_back() {
        let quota = Quota::new(QuotaBounds { total: 100, per_source: 100 });
        let source = Source::of(IpAddr::from([127, 0, 0, 1]));
        let now = Instant::now();
        let at = |seconds| now + Duration::from_secs(seconds);
        let mut map = Expiring::default();
        for (key, until) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            map.insert(key, "value", quota.take(source, 5).expect("within bounds"), at(until));
        }
        assert_eq!((map.len(), quota.used()), (4, 20));
        map.touch(2, at(40));
        assert_eq!(map.expire(at(9)), []);
        assert_eq!(map.expire(at(20)), [(4, "value"), (3, "value")]);
        assert_eq!(quota.used(), 10);
        assert_eq!(map.evict(), Some((1, "value")), "the one that was touched stays");
        map.insert(2, "other", quota.take(source, 7).expect("within bounds"), at(50));
        assert_eq!((map.get(&2), map.len(), quota.used()), (Some(&"other"), 1, 7));
        assert_eq!(map.remove(&2), Some("other"));
        assert_eq!((map.evict(), map.order.len(), quota.used()), (None, 0, 0));
    }
}
