//! Quotas: how much of a bounded resource is in use, in total and by each source. The unit is the caller's: connections,
//! bytes, jobs.
//!
//! ```text
//!   take ─▶ QuotaGrant ─ grow ─▶ dropped: given back
//!     └─▶ Exceeded: the total is used up, or the share of this source
//! ```
//!
//! A [`QuotaGrant`] lives beside what it pays for, so that nothing has to remember to give back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::source::Source;

/// Bounds of one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) struct QuotaBounds {
    /// Units in use by all sources together.
    pub(in crate::front) total: usize,
    /// Units in use by one source that is not exempt.
    pub(in crate::front) per_source: usize,
}

/// Which bound does not allow more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Exceeded {
    /// The bound of all sources together.
    Total,
    /// The bound of this source.
    Source,
}

//----------- Quota ----------------------------------------------------------

/// What is in use of one resource.
#[derive(Debug)]
pub(in crate::front) struct Quota {
    bounds: QuotaBounds,
    used: Mutex<Used>,
}

#[derive(Debug, Default)]
struct Used {
    total: usize,
    sources: HashMap<Source, usize>,
}

impl Quota {
    /// A quota of which nothing is in use.
    pub(in crate::front) fn new(bounds: QuotaBounds) -> Arc<Self> {
        Arc::new(Self { bounds, used: Mutex::default() })
    }

    /// Takes units for a source.
    pub(in crate::front) fn take(
        self: &Arc<Self>,
        source: Source,
        units: usize,
    ) -> Result<QuotaGrant, Exceeded> {
        self.add(source, units, self.bounds)?;
        Ok(QuotaGrant { quota: Arc::clone(self), source, units })
    }

    /// Units in use.
    pub(in crate::front) fn used(&self) -> usize {
        self.used_now().total
    }

    fn add(&self, source: Source, units: usize, bounds: QuotaBounds) -> Result<(), Exceeded> {
        let mut used = self.used_now();
        let of_source = used.sources.get(&source).copied().unwrap_or_default().saturating_add(units);
        if of_source > source.share(bounds.per_source) {
            return Err(Exceeded::Source);
        }
        let total = used.total.saturating_add(units);
        if total > bounds.total {
            return Err(Exceeded::Total);
        }
        used.total = total;
        if of_source > 0 {
            used.sources.insert(source, of_source);
        }
        Ok(())
    }

    fn give_back(&self, source: Source, units: usize) {
        let mut used = self.used_now();
        used.total = used.total.saturating_sub(units);
        if let Some(of_source) = used.sources.get_mut(&source) {
            *of_source = of_source.saturating_sub(units);
            if *of_source == 0 {
                used.sources.remove(&source);
            }
        }
    }

    fn used_now(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//----------- QuotaGrant -----------------------------------------------------

/// Units in use by one source; given back when dropped.
#[derive(Debug)]
pub(in crate::front) struct QuotaGrant {
    quota: Arc<Quota>,
    source: Source,
    units: usize,
}

impl QuotaGrant {
    /// Takes more units for the same source.
    pub(in crate::front) fn grow(&mut self, units: usize) -> Result<(), Exceeded> {
        self.quota.add(self.source, units, self.quota.bounds)?;
        self.units += units;
        Ok(())
    }

    /// Takes more units even beyond the bounds, for what cannot be refused any more.
    pub(in crate::front) fn grow_beyond(&mut self, units: usize) {
        let unbounded = QuotaBounds { total: usize::MAX, per_source: usize::MAX };
        if self.quota.add(self.source, units, unbounded).is_ok() {
            self.units += units;
        }
    }
}

impl Drop for QuotaGrant {
    fn drop(&mut self) {
        self.quota.give_back(self.source, self.units);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::{Exceeded, Quota, QuotaBounds, QuotaGrant, Source};

    use crate::front::listen::source::Exemptions;

    const BOUNDS: QuotaBounds = QuotaBounds { total: 10, per_source: 6 };

    fn source(last: u8) -> Source {
        Source::of(IpAddr::from([127, 0, 0, last]))
    }

    #[test]
    fn a_quota_is_bounded_in_total_and_by_source() {
        let quota = Quota::new(BOUNDS);
        let mut first = quota.take(source(1), 4).expect("within both bounds");
        assert_eq!(quota.take(source(1), 3).expect_err("seven of one source"), Exceeded::Source);
        assert_eq!(first.grow(3).expect_err("seven of one source"), Exceeded::Source);
        first.grow(2).expect("six of one source");
        let second: QuotaGrant = quota.take(source(2), 4).expect("ten in total");
        assert_eq!(quota.take(source(3), 1).expect_err("eleven in total"), Exceeded::Total);
        drop(second);
        quota.take(source(3), 1).expect("some were given back");
        drop(first);
        assert_eq!(quota.used(), 0);
        assert!(quota.used_now().sources.is_empty(), "a source without units takes no memory");
    }

    #[test]
    fn an_exempt_source_is_bounded_by_the_total_alone() {
        let quota = Quota::new(BOUNDS);
        let proxy =
            Exemptions::new(&[IpAddr::from([127, 0, 0, 1]).into()]).source_of(IpAddr::from([127, 0, 0, 1]));
        let mut all = quota.take(proxy, 9).expect("more than the share of a source");
        all.grow(1).expect("the whole total");
        assert_eq!(quota.take(proxy, 1).expect_err("eleven in total"), Exceeded::Total);
        all.grow_beyond(5);
        assert_eq!(quota.used(), 15);
        drop(all);
        assert_eq!(quota.used(), 0);
    }
}
