//! Connection slots: how many connections a front end holds, in total and of one source, and which of them gives way when
//! there are too many.
//!
//! ```text
//!   source below its quota?  no ─▶ its own longest idle connection is evicted, if idle long enough; else refused
//!   a slot is free?          no ─▶ evicted is, first match:
//!                                    of the source with the most connections, when it holds more than the new one's:
//!                                      the longest idle, unauthenticated; or one idle long enough
//!                                    of all connections idle long enough: unauthenticated first, then the longest idle
//!                                  none: a reserved slot, where the front end has them (see `reserved`); else refused
//! ```
//!
//! A slot is taken before a byte is read and given back when the connection is closed. An evicted connection finishes what
//! it has in flight; of so many slots only a share may be on their way out, so that descriptors stay bounded.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::sync::Notify;

use super::quota::{Quota, QuotaGrant};
use super::reserved;
use super::source::{Exemptions, Source};

/// How long a connection must have been idle to be evicted for one of its own source, or when it is authenticated.
const IDLE_MIN: Duration = Duration::from_secs(10);
/// Of so many slots, one may belong to a connection that was evicted and is not closed yet.
const LEAVING_SHARE: usize = 8;

//----------- ConnectionLimits -----------------------------------------------

/// Bounds of the connections of one front end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections in total.
    pub max: usize,
    /// Connections of one source: one IPv4 address or one IPv6 network of 64 bits.
    pub per_source_max: usize,
    /// Networks whose addresses are bounded by the totals alone, such as those of reverse proxies: not only of connections,
    /// but of everything that the front end bounds by source.
    pub exempt_networks: Vec<IpNet>,
}

impl ConnectionLimits {
    /// Limits without exempt networks.
    pub const fn new(max: usize, per_source_max: usize) -> Self {
        Self { max, per_source_max, exempt_networks: Vec::new() }
    }

    /// File descriptors that connections within these limits use at most, when so many slots are reserved.
    pub const fn descriptors(&self, reserved: usize) -> usize {
        self.max + self.max / LEAVING_SHARE + 1 + reserved
    }
}

/// Why a connection got no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum NoSlot {
    /// All slots are taken by connections that cannot be evicted.
    Total,
    /// The source of the connection has used up its quota.
    Source,
}

//----------- Slots ----------------------------------------------------------

/// The connection slots of one front end.
#[derive(Debug)]
pub(in crate::front) struct Slots {
    limits: ConnectionLimits,
    exemptions: Exemptions,
    reserved: Arc<Quota>,
    since: Instant,
    evicted: AtomicU64,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    sources: HashMap<Source, Members>,
    /// Sources that are not exempt, by the number of their connections.
    sizes: BTreeSet<(usize, Source)>,
    taken: usize,
    leaving: usize,
    numbered: u64,
    /// Before this time no connection can have been idle for long enough.
    none_idle_before_ms: u64,
}

/// The connections of one source.
#[derive(Debug, Default)]
struct Members {
    taken: HashMap<u64, Arc<Presence>>,
    leaving: usize,
    /// Before this time none of them can have been idle for long enough.
    none_idle_before_ms: u64,
}

#[derive(Debug)]
struct Presence {
    number: u64,
    source: Source,
    since: Instant,
    /// Time of the last use of the connection, in milliseconds since the slots were made.
    used_ms: AtomicU64,
    is_authenticated: AtomicBool,
    is_leaving: AtomicBool,
    is_reserved: bool,
    evicted: Notify,
}

impl Slots {
    /// Slots that are all free, and so many reserved ones beside them.
    pub(in crate::front) fn new(limits: ConnectionLimits, reserved: usize, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            exemptions: Exemptions::new(&limits.exempt_networks),
            limits,
            reserved: Quota::new(reserved::bounds(reserved)),
            since: now,
            evicted: AtomicU64::new(0),
            table: Mutex::default(),
        })
    }

    /// Takes a slot for a connection from an address.
    pub(in crate::front) fn take(self: &Arc<Self>, address: IpAddr, now: Instant) -> Result<Slot, NoSlot> {
        let (source, now_ms) = (self.exemptions.source_of(address), ms_between(self.since, now));
        let mut table = self.table();
        let of_source = table.sources.get(&source).map(|members| members.taken.len()).unwrap_or_default();
        let evict = if of_source >= source.share(self.limits.per_source_max) {
            let leaving_max = self.limits.per_source_max.div_ceil(LEAVING_SHARE);
            let evicted = table.evict_of(source, now_ms, Eviction::Idle, leaving_max);
            if !evicted {
                return Err(NoSlot::Source);
            }
            true
        } else if table.taken >= self.limits.max {
            let leaving_max = self.limits.max.div_ceil(LEAVING_SHARE);
            if table.leaving >= leaving_max || !table.evict_for(of_source, now_ms) {
                drop(table);
                return self.take_reserved(source, now_ms);
            }
            true
        } else {
            false
        };
        self.evicted.fetch_add(u64::from(evict), Ordering::Relaxed);
        table.numbered += 1;
        let presence = self.presence(table.numbered, source, now_ms, false);
        table.add(&presence);
        Ok(Slot { slots: Arc::clone(self), presence, _reserved: None })
    }

    fn take_reserved(self: &Arc<Self>, source: Source, now_ms: u64) -> Result<Slot, NoSlot> {
        // Not even an exempt source takes all of them: others would find no way in.
        let grant = self.reserved.take(source.bounded(), 1).map_err(|_| NoSlot::Total)?;
        let mut table = self.table();
        table.numbered += 1;
        let presence = self.presence(table.numbered, source, now_ms, true);
        Ok(Slot { slots: Arc::clone(self), presence, _reserved: Some(grant) })
    }

    fn presence(&self, number: u64, source: Source, now_ms: u64, is_reserved: bool) -> Arc<Presence> {
        Arc::new(Presence {
            number,
            source,
            since: self.since,
            used_ms: AtomicU64::new(now_ms),
            is_authenticated: AtomicBool::new(false),
            is_leaving: AtomicBool::new(false),
            is_reserved,
            evicted: Notify::new(),
        })
    }

    /// Connections that are open.
    pub(in crate::front) fn open(&self) -> usize {
        let table = self.table();
        table.taken + table.leaving + self.reserved.used()
    }

    /// Connections that are open in reserved slots.
    pub(in crate::front) fn reserved(&self) -> usize {
        self.reserved.used()
    }

    /// Connections that were evicted so far.
    pub(in crate::front) fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// The bounds of these slots.
    pub(in crate::front) fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ms_between(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
}

//----------- Table ----------------------------------------------------------

/// Which connections of a source may be evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Eviction {
    /// Those that were idle for long enough.
    Idle,
    /// Unauthenticated ones too, however short they were idle.
    Unauthenticated,
}

impl Table {
    fn add(&mut self, presence: &Arc<Presence>) {
        let members = self.sources.entry(presence.source).or_default();
        let before = members.taken.len();
        members.taken.insert(presence.number, Arc::clone(presence));
        let resized = (before, before + 1, presence.source);
        self.taken += 1;
        self.resize(resized);
    }

    /// Evicts a connection for one of a source that has this many; false if none may be evicted.
    fn evict_for(&mut self, of_source: usize, now_ms: u64) -> bool {
        let largest = self.sizes.last().copied().filter(|(size, _)| *size > of_source + 1);
        if largest
            .is_some_and(|(_, source)| self.evict_of(source, now_ms, Eviction::Unauthenticated, usize::MAX))
        {
            return true;
        }
        self.evict_idle(now_ms)
    }

    /// Evicts the connection of a source that is worth least.
    fn evict_of(&mut self, source: Source, now_ms: u64, which: Eviction, leaving_max: usize) -> bool {
        let Some(members) = self.sources.get_mut(&source).filter(|found| found.leaving < leaving_max) else {
            return false;
        };
        if which == Eviction::Idle && now_ms < members.none_idle_before_ms {
            return false;
        }
        let may_go = |presence: &&Arc<Presence>| {
            presence.is_idle(now_ms) || (which == Eviction::Unauthenticated && !presence.is_authenticated())
        };
        let least = members.taken.values().filter(may_go).min_by_key(|presence| presence.worth());
        let Some(least) = least.map(Arc::clone) else {
            members.none_idle_before_ms = idle_after_ms(members.taken.values());
            return false;
        };
        self.evict(&least);
        true
    }

    /// Evicts the connection that is worth least among all that were idle for long enough.
    fn evict_idle(&mut self, now_ms: u64) -> bool {
        if now_ms < self.none_idle_before_ms {
            return false;
        }
        let all = || self.sources.values().flat_map(|members| members.taken.values());
        let least = all().filter(|presence| presence.is_idle(now_ms)).min_by_key(|presence| presence.worth());
        let Some(least) = least.map(Arc::clone) else {
            self.none_idle_before_ms = idle_after_ms(all());
            return false;
        };
        self.evict(&least);
        true
    }

    fn evict(&mut self, presence: &Presence) {
        let Some(members) = self.sources.get_mut(&presence.source) else { return };
        if members.taken.remove(&presence.number).is_none() {
            return;
        }
        members.leaving += 1;
        let after = members.taken.len();
        self.taken -= 1;
        self.leaving += 1;
        self.resize((after + 1, after, presence.source));
        presence.is_leaving.store(true, Ordering::Release);
        presence.evicted.notify_waiters();
    }

    fn remove(&mut self, presence: &Presence) {
        let Some(members) = self.sources.get_mut(&presence.source) else { return };
        let mut resized = None;
        if members.taken.remove(&presence.number).is_some() {
            self.taken -= 1;
            resized = Some((members.taken.len() + 1, members.taken.len(), presence.source));
        } else {
            members.leaving -= 1;
            self.leaving -= 1;
        }
        if members.taken.is_empty() && members.leaving == 0 {
            self.sources.remove(&presence.source);
        }
        if let Some(resized) = resized {
            self.resize(resized);
        }
    }

    /// Keeps the order of sources by size: the size before, the size after, the source.
    fn resize(&mut self, (before, after, source): (usize, usize, Source)) {
        if source.is_exempt() {
            return;
        }
        self.sizes.remove(&(before, source));
        if after > 0 {
            self.sizes.insert((after, source));
        }
    }
}

/// When the first of these connections can have been idle for long enough.
fn idle_after_ms<'a>(connections: impl Iterator<Item = &'a Arc<Presence>>) -> u64 {
    let first = connections.map(|presence| presence.used_ms.load(Ordering::Relaxed)).min();
    first.unwrap_or_default().saturating_add(idle_min_ms())
}

fn idle_min_ms() -> u64 {
    u64::try_from(IDLE_MIN.as_millis()).unwrap_or(u64::MAX)
}

impl Presence {
    fn is_idle(&self, now_ms: u64) -> bool {
        now_ms.saturating_sub(self.used_ms.load(Ordering::Relaxed)) >= idle_min_ms()
    }

    fn is_authenticated(&self) -> bool {
        self.is_authenticated.load(Ordering::Relaxed)
    }

    /// What gives way first: unauthenticated connections, then the longest idle.
    fn worth(&self) -> (bool, u64, u64) {
        (self.is_authenticated(), self.used_ms.load(Ordering::Relaxed), self.number)
    }
}

//----------- Slot -----------------------------------------------------------

/// The slot of one connection; given back when dropped.
#[derive(Debug)]
pub(in crate::front) struct Slot {
    slots: Arc<Slots>,
    presence: Arc<Presence>,
    _reserved: Option<QuotaGrant>,
}

impl Slot {
    /// What the connection notes of its use.
    pub(in crate::front) fn usage(&self) -> SlotUse {
        SlotUse(Arc::clone(&self.presence))
    }

    /// Resolves when the connection is evicted. Safe to drop.
    pub(in crate::front) async fn evicted(&self) {
        self.usage().evicted().await;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.presence.is_reserved {
            self.slots.table().remove(&self.presence);
        }
    }
}

//----------- SlotUse --------------------------------------------------------

/// How a connection uses its slot. Clones mean the same connection; they do not hold the slot.
#[derive(Clone, Debug)]
pub(in crate::front) struct SlotUse(Arc<Presence>);

impl SlotUse {
    /// The number of the connection among all of its front end.
    pub(in crate::front) fn number(&self) -> u64 {
        self.0.number
    }

    /// The source of the connection.
    pub(in crate::front) fn source(&self) -> Source {
        self.0.source
    }

    /// Notes that a request of the connection was answered.
    pub(in crate::front) fn touch(&self, now: Instant) {
        self.0.used_ms.store(ms_between(self.0.since, now), Ordering::Relaxed);
    }

    /// Notes that the client has proved who it is: the connection then is evicted after those of unknown clients.
    pub(in crate::front) fn set_authenticated(&self) {
        self.0.is_authenticated.store(true, Ordering::Relaxed);
    }

    /// Whether the client has proved who it is.
    pub(in crate::front) fn is_authenticated(&self) -> bool {
        self.0.is_authenticated()
    }

    /// Whether the slot is a reserved one.
    pub(in crate::front) fn is_reserved(&self) -> bool {
        self.0.is_reserved
    }

    /// Resolves when the connection is evicted. Safe to drop.
    pub(in crate::front) async fn evicted(&self) {
        let evicted = self.0.evicted.notified();
        if !self.0.is_leaving.load(Ordering::Acquire) {
            evicted.await;
        }
    }

    /// The use of a slot that belongs to no front end.
    #[cfg(test)]
    pub(in crate::front) fn detached() -> Self {
        let slots = Slots::new(ConnectionLimits::new(1, 1), 0, Instant::now());
        Self(slots.presence(1, slots.exemptions.source_of(IpAddr::from([127, 0, 0, 1])), 0, false))
    }
}

#[cfg(test)]
mod tests;
