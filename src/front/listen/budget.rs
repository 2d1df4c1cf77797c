//! Memory budgets: the bytes that clients make a front end hold, bounded before they are held.
//!
//! A front end takes a [`MemoryGrant`], resizes it as the true size becomes known, and drops it when the answer has left or
//! the client has. gRPC takes it before it decodes a message and before it produces an answer. DNS and Handle over TCP take
//! it before they read a large message, and for answers before others are made. HTTP takes it before it reads a body, some of
//! it before it answers a request, and the rest of what the answer takes when that is made. Three bounds hold at once: for
//! the connection, for its source, and for the front end. Whoever exceeds one is refused at once, so that a spent budget
//! never becomes a queue. The outcome of a change is reported whatever the bounds say: it takes its memory by
//! [`MemoryGrant::force`].
//!
//! ```text
//!   request bytes ─▶ take ─▶ decode ─▶ resize ─▶ answer ─▶ resize ─▶ sent, or the client is gone ─▶ drop
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::source::Source;

//----------- MemoryBudget ---------------------------------------------------

/// The memory of one front end that clients may occupy.
#[derive(Debug)]
pub struct MemoryBudget {
    limits: MemoryLimits,
    total: AtomicUsize,
    accounts: Mutex<Accounts>,
    refused: [AtomicU64; Bound::ALL.len()],
}

/// The connections and sources that have an account.
#[derive(Debug, Default)]
struct Accounts {
    connections: HashMap<SocketAddr, Weak<MemoryAccount>>,
    sources: HashMap<Source, SourceUse>,
}

/// What one source holds.
#[derive(Debug, Default)]
struct SourceUse {
    connections: usize,
    bytes: Arc<AtomicUsize>,
}

/// The client for which memory is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) struct Holder {
    /// Address of the client.
    pub(in crate::front) client: SocketAddr,
    /// The source that the address belongs to.
    pub(in crate::front) source: Source,
}

#[cfg(test)]
impl Holder {
    /// A client whose source is not exempt.
    pub(in crate::front) fn of(client: SocketAddr) -> Self {
        Self { client, source: Source::of(client.ip()) }
    }
}

/// How many bytes may be held at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) struct MemoryLimits {
    /// Bytes of the whole front end.
    pub(in crate::front) total: usize,
    /// For one source that is not exempt.
    pub(in crate::front) source: usize,
    /// Bytes of one connection.
    pub(in crate::front) connection: usize,
}

impl MemoryLimits {
    /// Half of each.
    fn halved(self) -> Self {
        Self { total: self.total / 2, source: self.source / 2, connection: self.connection / 2 }
    }
}

/// A bound of a budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum Bound {
    /// The budget of one connection.
    Connection,
    /// The budget of one source.
    Source,
    /// The budget of the front end.
    Total,
}

impl Bound {
    const ALL: [Self; 3] = [Self::Connection, Self::Source, Self::Total];

    /// The name of the bound in metrics.
    pub(in crate::front) fn name(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Source => "source",
            Self::Total => "total",
        }
    }

    /// Whose requests and answers the bound counts.
    fn clients(self) -> &'static str {
        match self {
            Self::Connection => "this connection",
            Self::Source => "this address",
            Self::Total => "all clients",
        }
    }
}

/// A budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "too much memory is in use by requests and answers of {}; repeat in a moment, with fewer requests at a time",
    .bound.clients()
)]
pub(in crate::front) struct BudgetSpent {
    /// The bound that was met.
    pub(in crate::front) bound: Bound,
}

impl MemoryBudget {
    /// A budget of which nothing is used.
    pub(in crate::front) fn new(limits: MemoryLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            total: AtomicUsize::new(0),
            accounts: Mutex::default(),
            refused: Default::default(),
        })
    }

    /// Bytes held now.
    pub fn bytes_in_use(&self) -> u64 {
        self.total.load(Ordering::Relaxed) as u64
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

    /// Takes bytes for a holder. They are given back when the grant is dropped. A front end that takes often asks for the
    /// account of a connection once.
    pub(in crate::front) fn take(
        self: &Arc<Self>,
        holder: Holder,
        bytes: usize,
    ) -> Result<MemoryGrant, BudgetSpent> {
        self.account(holder).take(bytes)
    }

    /// The account of a connection: the same as long as anything of it is held.
    pub(in crate::front) fn account(self: &Arc<Self>, holder: Holder) -> Arc<MemoryAccount> {
        let Holder { client, source } = holder;
        let mut accounts = self.accounts();
        if let Some(account) = accounts.connections.get(&client).and_then(Weak::upgrade) {
            return account;
        }
        let in_use = accounts.sources.entry(source).or_default();
        in_use.connections += 1;
        let of_source = Arc::clone(&in_use.bytes);
        let of_connection = AtomicUsize::new(0);
        let budget = Arc::clone(self);
        let account = Arc::new(MemoryAccount { budget, client, source, of_source, of_connection });
        accounts.connections.insert(client, Arc::downgrade(&account));
        account
    }

    fn refuse(&self, bound: Bound) -> BudgetSpent {
        let [connection, source, total] = &self.refused;
        let counter = match bound {
            Bound::Connection => connection,
            Bound::Source => source,
            Bound::Total => total,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        BudgetSpent { bound }
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//----------- MemoryAccount --------------------------------------------------

/// What one connection holds of a budget. Taking and giving back costs three additions and no lock.
#[derive(Debug)]
pub(in crate::front) struct MemoryAccount {
    budget: Arc<MemoryBudget>,
    client: SocketAddr,
    source: Source,
    of_source: Arc<AtomicUsize>,
    of_connection: AtomicUsize,
}

impl MemoryAccount {
    /// Takes bytes. They are given back when the grant is dropped.
    pub(in crate::front) fn take(self: &Arc<Self>, bytes: usize) -> Result<MemoryGrant, BudgetSpent> {
        self.add(bytes)?;
        Ok(MemoryGrant { account: Arc::clone(self), bytes })
    }

    /// Takes bytes whatever the bounds say: see [`MemoryGrant::force`].
    pub(in crate::front) fn take_forced(self: &Arc<Self>, bytes: usize) -> MemoryGrant {
        self.force(bytes);
        MemoryGrant { account: Arc::clone(self), bytes }
    }

    /// Adds to all three counts, or to none.
    fn add(&self, bytes: usize) -> Result<(), BudgetSpent> {
        self.add_under(self.budget.limits, bytes).map_err(|bound| self.budget.refuse(bound))
    }

    /// The same under limits, without counting a refusal.
    fn add_under(&self, limits: MemoryLimits, bytes: usize) -> Result<(), Bound> {
        let MemoryLimits { total, source, connection } = limits;
        if !add_within(&self.of_connection, bytes, connection) {
            return Err(Bound::Connection);
        }
        if !add_within(&self.of_source, bytes, self.source.share(source)) {
            self.of_connection.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Bound::Source);
        }
        if !add_within(&self.budget.total, bytes, total) {
            self.of_connection.fetch_sub(bytes, Ordering::Relaxed);
            self.of_source.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Bound::Total);
        }
        Ok(())
    }

    fn force(&self, bytes: usize) {
        for count in [&self.of_connection, &*self.of_source, &self.budget.total] {
            count.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    fn remove(&self, bytes: usize) {
        for count in [&self.of_connection, &*self.of_source, &self.budget.total] {
            count.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        let mut accounts = self.budget.accounts();
        let Accounts { connections, sources } = &mut *accounts;
        // Another account for the same address may have been opened since nothing held this one.
        if connections.get(&self.client).is_some_and(|account| account.strong_count() == 0) {
            connections.remove(&self.client);
        }
        if let Entry::Occupied(mut in_use) = sources.entry(self.source) {
            in_use.get_mut().connections -= 1;
            if in_use.get().connections == 0 {
                in_use.remove();
            }
        }
    }
}

/// Adds to a count unless it would exceed its bound.
fn add_within(count: &AtomicUsize, bytes: usize, max: usize) -> bool {
    let before = count.fetch_add(bytes, Ordering::Relaxed);
    let fits = before.saturating_add(bytes) <= max;
    if !fits {
        count.fetch_sub(bytes, Ordering::Relaxed);
    }
    fits
}

//----------- MemoryGrant ----------------------------------------------------

/// Bytes that are held for a client. Dropping it gives them back.
#[derive(Debug)]
pub struct MemoryGrant {
    account: Arc<MemoryAccount>,
    bytes: usize,
}

impl MemoryGrant {
    /// Holds so many bytes from now on. Fewer always succeed; when more are refused, the grant stays as it was.
    pub(in crate::front) fn resize(&mut self, bytes: usize) -> Result<(), BudgetSpent> {
        match bytes.checked_sub(self.bytes) {
            Some(0) => {}
            Some(more) => self.account.add(more)?,
            None => self.account.remove(self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Holds so many bytes if half of every bound stays free, for what is of use and not needed. False when it is not;
    /// the grant stays as it was, and that is no refusal.
    pub(in crate::front) fn resize_with_spare(&mut self, bytes: usize) -> bool {
        let limits = self.account.budget.limits.halved();
        let more = bytes.saturating_sub(self.bytes);
        if more > 0 && self.account.add_under(limits, more).is_err() {
            return false;
        }
        self.bytes += more;
        true
    }

    /// Holds so many bytes whatever the bounds say, for what cannot be refused any more: the outcome of a change that
    /// is on disk. Callers bound such answers by what they took for the request.
    pub(in crate::front) fn force(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.account.force(more),
            None => self.account.remove(self.bytes - bytes),
        }
        self.bytes = bytes;
    }

    /// Another grant for the same client.
    pub(in crate::front) fn beside(&self, bytes: usize) -> Result<Self, BudgetSpent> {
        self.account.take(bytes)
    }

    /// Another grant for the same client, whatever the bounds say: see [`MemoryGrant::force`].
    pub(in crate::front) fn beside_forced(&self, bytes: usize) -> Self {
        self.account.take_forced(bytes)
    }
}

impl Drop for MemoryGrant {
    fn drop(&mut self) {
        self.account.remove(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;

    use super::{Bound, BudgetSpent, Holder, MemoryAccount, MemoryBudget, MemoryLimits};

    use crate::front::listen::source::Exemptions;

    const LIMITS: MemoryLimits = MemoryLimits { total: 100, source: 60, connection: 40 };

    fn account(budget: &Arc<MemoryBudget>, client: &str) -> Arc<MemoryAccount> {
        budget.account(holder(client, &Exemptions::default()))
    }

    fn holder(client: &str, exemptions: &Exemptions) -> Holder {
        let client: SocketAddr = client.parse().expect("an address");
        Holder { client, source: exemptions.source_of(client.ip()) }
    }

    fn spent(bound: Bound) -> BudgetSpent {
        BudgetSpent { bound }
    }

    #[test]
    fn each_bound_holds_and_is_counted() {
        let budget = MemoryBudget::new(LIMITS);
        let take = |account: &Arc<MemoryAccount>, bytes| account.take(bytes);
        let one = account(&budget, "192.0.2.1:1");
        let first = take(&one, 40).expect("the share of a connection");
        assert_eq!(take(&one, 1).expect_err("beyond"), spent(Bound::Connection));
        let second = take(&account(&budget, "192.0.2.1:2"), 20).expect("the share of a source");
        let refused = take(&account(&budget, "192.0.2.1:3"), 1).expect_err("beyond");
        assert_eq!(refused, spent(Bound::Source));
        let third = take(&account(&budget, "192.0.2.2:1"), 40).expect("all that is left");
        let refused = take(&account(&budget, "192.0.2.3:1"), 1).expect_err("beyond");
        assert_eq!(refused, spent(Bound::Total));
        assert_eq!(budget.refusals(), [("connection", 1), ("source", 1), ("total", 1)]);
        assert_eq!((budget.bytes_in_use(), budget.bytes_max()), (100, 100));
        drop((first, second, third, one));
        assert_eq!(budget.bytes_in_use(), 0);
        let accounts = budget.accounts();
        assert!(accounts.sources.is_empty() && accounts.connections.is_empty(), "nobody is connected");
    }

    #[test]
    fn a_grant_changes_its_size_and_stays_as_it_was_when_refused() {
        let budget = MemoryBudget::new(LIMITS);
        let mut grant = account(&budget, "[2001:db8::1]:1").take(10).expect("free");
        grant.resize(40).expect("within the share");
        assert_eq!(grant.resize(41).expect_err("beyond"), spent(Bound::Connection));
        assert_eq!(budget.bytes_in_use(), 40);
        grant.resize(5).expect("fewer");
        let beside = grant.beside(35).expect("the rest of the share");
        assert_eq!(grant.beside(1).expect_err("beyond").bound.name(), "connection");
        grant.force(50);
        assert_eq!(budget.bytes_in_use(), 85);
        let forced = grant.beside_forced(20);
        assert_eq!(budget.bytes_in_use(), 105, "beyond every bound");
        drop((grant, beside, forced));
        assert_eq!(budget.bytes_in_use(), 0);
    }

    #[test]
    fn what_is_not_needed_leaves_half_of_every_bound_free() {
        let budget = MemoryBudget::new(LIMITS);
        let mut grants = ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1", "192.0.2.3:1"]
            .map(|client| account(&budget, client).take(0).expect("free"));
        let [one, two, three, four] = &mut grants;
        assert!(!one.resize_with_spare(21), "half of a connection");
        assert!(one.resize_with_spare(20));
        assert!(!two.resize_with_spare(11), "half of a source");
        assert!(two.resize_with_spare(10));
        assert!(three.resize_with_spare(20));
        assert!(!four.resize_with_spare(1), "half of all");
        four.resize(40).expect("what is needed");
        assert!(one.resize_with_spare(5), "nothing more");
        assert_eq!((budget.bytes_in_use(), budget.refusals().map(|(_, count)| count)), (90, [0, 0, 0]));
        drop(grants);
        assert_eq!(budget.bytes_in_use(), 0);
    }

    #[test]
    fn a_connection_has_one_account_while_anything_is_held() {
        let budget = MemoryBudget::new(LIMITS);
        let holder = holder("192.0.2.1:1", &Exemptions::default());
        let first = budget.take(holder, 30).expect("free");
        assert_eq!(budget.take(holder, 11).expect_err("beyond"), spent(Bound::Connection));
        drop(first);
        budget.take(holder, 40).expect("free again");
    }

    #[test]
    fn an_exempt_source_is_bounded_by_connection_and_in_total() {
        let budget = MemoryBudget::new(LIMITS);
        let exemptions = Exemptions::new(&["192.0.2.0/24".parse().expect("a network")]);
        let take = |client: &str, bytes| budget.take(holder(client, &exemptions), bytes);
        let held =
            ["192.0.2.1:1", "192.0.2.1:2"].map(|client| take(client, 40).expect("no share of its own"));
        assert_eq!(take("192.0.2.1:2", 1).expect_err("beyond"), spent(Bound::Connection));
        assert_eq!(take("192.0.2.1:3", 21).expect_err("beyond"), spent(Bound::Total));
        drop(held);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_a_source() {
        let budget = MemoryBudget::new(LIMITS);
        let _first = account(&budget, "[2001:db8::1]:1").take(40).expect("free");
        let refused = account(&budget, "[2001:db8::2]:1").take(21).expect_err("beyond");
        assert_eq!(refused, spent(Bound::Source));
    }
}
