//! Memory budgets: the bytes that clients make a front end hold, bounded before they are held.
//!
//! A front end takes a [`Grant`] before it decodes a message or produces an answer, resizes it as the true size becomes
//! known, and drops it when the answer has left or the client has. Three bounds hold at once: for the connection, for
//! its source, and for the front end. Whoever exceeds one is refused at once, so that a spent budget never becomes a
//! queue.
//!
//! ```text
//!   request bytes ─▶ take ─▶ decode ─▶ resize ─▶ answer ─▶ resize ─▶ sent, or the client is gone ─▶ drop
//! ```

use std::collections::HashMap;
use std::hash::Hash;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::source::Source;

/// The bounds of the gRPC front end.
pub(in crate::front) const GRPC_MEMORY: MemoryLimits =
    MemoryLimits { total: 256 * 1024 * 1024, source: 128 * 1024 * 1024, connection: 64 * 1024 * 1024 };

/// The bounds of the Handle front end over TCP.
pub(in crate::front) const HANDLE_MEMORY: MemoryLimits =
    MemoryLimits { total: 256 * 1024 * 1024, source: 64 * 1024 * 1024, connection: 8 * 1024 * 1024 };

/// The bounds of the HTTP front end.
pub(in crate::front) const HTTP_MEMORY: MemoryLimits =
    MemoryLimits { total: 128 * 1024 * 1024, source: 64 * 1024 * 1024, connection: 32 * 1024 * 1024 };

//----------- MemoryBudget ---------------------------------------------------

/// The memory of one front end that clients may occupy.
#[derive(Debug)]
pub struct MemoryBudget {
    limits: MemoryLimits,
    held: Mutex<Held>,
    refused: [AtomicU64; Bound::ALL.len()],
}

/// How many bytes may be held at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) struct MemoryLimits {
    /// For the whole front end.
    pub(in crate::front) total: usize,
    /// For one source.
    pub(in crate::front) source: usize,
    /// For one connection.
    pub(in crate::front) connection: usize,
}

/// The client for which memory is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) struct Holder {
    source: Source,
    connection: SocketAddr,
}

impl Holder {
    /// The holder behind the remote address of a connection.
    pub(in crate::front) fn of(address: SocketAddr) -> Self {
        Self { source: Source::of(address.ip()), connection: address }
    }
}

/// A bound of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Bound {
    /// That of one connection.
    Connection,
    /// That of one source.
    Source,
    /// That of the front end.
    Total,
}

impl Bound {
    const ALL: [Self; 3] = [Self::Connection, Self::Source, Self::Total];

    /// The name of the bound in metrics and messages.
    pub(in crate::front) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Source => "source",
            Self::Total => "total",
        }
    }
}

/// A budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the memory for requests and answers is in use ({})", .bound.name())]
pub(in crate::front) struct BudgetSpent {
    /// The bound that was met.
    pub(in crate::front) bound: Bound,
}

#[derive(Debug, Default)]
struct Held {
    total: usize,
    sources: HashMap<Source, usize>,
    connections: HashMap<SocketAddr, usize>,
}

impl MemoryBudget {
    /// A budget of which nothing is used.
    pub(in crate::front) fn new(limits: MemoryLimits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default(), refused: Default::default() })
    }

    /// Bytes held now.
    pub fn bytes_in_use(&self) -> u64 {
        self.held().total as u64
    }

    /// Bytes that may be held.
    pub fn bytes_max(&self) -> u64 {
        self.limits.total as u64
    }

    /// Refusals, by the bound that was met.
    pub fn refusals(&self) -> [(&'static str, u64); 3] {
        let [connection, source, total] = &self.refused;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            (Bound::Connection.name(), read(connection)),
            (Bound::Source.name(), read(source)),
            (Bound::Total.name(), read(total)),
        ]
    }

    /// Takes bytes for a holder. They are given back when the grant is dropped.
    pub(in crate::front) fn take(
        self: &Arc<Self>,
        holder: Holder,
        bytes: usize,
    ) -> Result<Grant, BudgetSpent> {
        self.add(&holder, bytes)?;
        Ok(Grant { budget: Arc::clone(self), holder, bytes })
    }

    fn add(&self, holder: &Holder, bytes: usize) -> Result<(), BudgetSpent> {
        let mut held = self.held();
        if let Some(bound) = held.exceeded(&self.limits, holder, bytes) {
            drop(held);
            let [connection, source, total] = &self.refused;
            let counter = match bound {
                Bound::Connection => connection,
                Bound::Source => source,
                Bound::Total => total,
            };
            counter.fetch_add(1, Ordering::Relaxed);
            return Err(BudgetSpent { bound });
        }
        held.add(holder, bytes);
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn exceeded(&self, limits: &MemoryLimits, holder: &Holder, bytes: usize) -> Option<Bound> {
        let of_connection = self.connections.get(&holder.connection).copied().unwrap_or(0);
        let of_source = self.sources.get(&holder.source).copied().unwrap_or(0);
        if of_connection.saturating_add(bytes) > limits.connection {
            Some(Bound::Connection)
        } else if of_source.saturating_add(bytes) > limits.source {
            Some(Bound::Source)
        } else if self.total.saturating_add(bytes) > limits.total {
            Some(Bound::Total)
        } else {
            None
        }
    }

    fn add(&mut self, holder: &Holder, bytes: usize) {
        self.total += bytes;
        *self.sources.entry(holder.source).or_default() += bytes;
        *self.connections.entry(holder.connection).or_default() += bytes;
    }

    fn remove(&mut self, holder: &Holder, bytes: usize) {
        self.total -= bytes;
        subtract(&mut self.sources, &holder.source, bytes);
        subtract(&mut self.connections, &holder.connection, bytes);
    }
}

/// Subtracts from an entry, and removes it when nothing is left: the maps hold only those that hold something.
fn subtract<K: Eq + Hash>(map: &mut HashMap<K, usize>, key: &K, bytes: usize) {
    if let Some(held) = map.get_mut(key) {
        *held -= bytes;
        if *held == 0 {
            map.remove(key);
        }
    }
}

//----------- Grant ----------------------------------------------------------

/// Bytes that are held for a client. Dropping it gives them back.
#[derive(Debug)]
pub(in crate::front) struct Grant {
    budget: Arc<MemoryBudget>,
    holder: Holder,
    bytes: usize,
}

impl Grant {
    /// Holds so many bytes from now on. Fewer always succeed; when more are refused, the grant stays as it was.
    pub(in crate::front) fn resize(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.budget.add(&self.holder, more)?,
            None => self.budget.held().remove(&self.holder, self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Holds so many bytes whatever the bounds say, for what cannot be refused any more: the outcome of a change that
    /// is on disk. Callers bound such answers by what they took for the request.
    pub(in crate::front) fn force(&mut self, bytes: usize) {
        let mut held = self.budget.held();
        match bytes.checked_sub(self.bytes) {
            Some(more) => held.add(&self.holder, more),
            None => held.remove(&self.holder, self.bytes - bytes),
        }
        drop(held);
        self.bytes = bytes;
    }

    /// Another grant for the same client.
    pub(in crate::front) fn beside(&self, bytes: usize) -> Result<Self, BudgetSpent> {
        self.budget.take(self.holder, bytes)
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.held().remove(&self.holder, self.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::{Bound, BudgetSpent, Holder, MemoryBudget, MemoryLimits};

    const LIMITS: MemoryLimits = MemoryLimits { total: 100, source: 60, connection: 40 };

    fn holder(address: &str) -> Holder {
        Holder::of(address.parse::<SocketAddr>().expect("an address"))
    }

    fn spent(bound: Bound) -> BudgetSpent {
        BudgetSpent { bound }
    }

    #[test]
    fn each_bound_holds_and_is_counted() {
        let budget = MemoryBudget::new(LIMITS);
        let first = budget.take(holder("192.0.2.1:1"), 40).expect("the share of a connection");
        assert_eq!(budget.take(holder("192.0.2.1:1"), 1).expect_err("beyond"), spent(Bound::Connection));
        let second = budget.take(holder("192.0.2.1:2"), 20).expect("the share of a source");
        assert_eq!(budget.take(holder("192.0.2.1:3"), 1).expect_err("beyond"), spent(Bound::Source));
        let third = budget.take(holder("192.0.2.2:1"), 40).expect("all that is left");
        assert_eq!(budget.take(holder("192.0.2.3:1"), 1).expect_err("beyond"), spent(Bound::Total));
        assert_eq!(budget.refusals(), [("connection", 1), ("source", 1), ("total", 1)]);
        assert_eq!((budget.bytes_in_use(), budget.bytes_max()), (100, 100));
        drop((first, second, third));
        assert_eq!(budget.bytes_in_use(), 0);
        assert!(budget.held().sources.is_empty() && budget.held().connections.is_empty());
    }

    #[test]
    fn a_grant_changes_its_size_and_stays_as_it_was_when_refused() {
        let budget = MemoryBudget::new(LIMITS);
        let mut grant = budget.take(holder("[2001:db8::1]:1"), 10).expect("free");
        grant.resize(40).expect("within the share");
        assert_eq!(grant.resize(41).expect_err("beyond"), spent(Bound::Connection));
        assert_eq!(budget.bytes_in_use(), 40);
        grant.resize(5).expect("fewer");
        let beside = grant.beside(35).expect("the rest of the share");
        assert_eq!(grant.beside(1).expect_err("beyond").bound.name(), "connection");
        grant.force(50);
        assert_eq!(budget.bytes_in_use(), 85);
        drop((grant, beside));
        assert_eq!(budget.bytes_in_use(), 0);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_a_source() {
        let budget = MemoryBudget::new(LIMITS);
        let _first = budget.take(holder("[2001:db8::1]:1"), 40).expect("free");
        let refused = budget.take(holder("[2001:db8::2]:1"), 21).expect_err("beyond");
        assert_eq!(refused, spent(Bound::Source));
    }
}
