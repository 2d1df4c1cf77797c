//! How many bytes of UDP answers an address is sent: the one policy of every front end that answers datagrams.
//!
//! The source address of a datagram can be forged, so that answers larger than their requests could be aimed at a victim.
//! An answer costs its source the bytes by which it is larger than its request, from a token bucket:
//!
//! | The source | Its bucket |
//! |---|---|
//! | proves its address in this very datagram: a DNS cookie of ours, the code of a Handle session set up from there, an answered challenge; or is in an exempt network | none |
//! | proved its address in the last ten minutes: also by a TCP connection | `proven_bytes_per_second`, `proven_burst_bytes` |
//! | any other | `bytes_per_second`, `burst_bytes`; no answer larger than `answer_bytes_max` |
//!
//! A proof of the last minutes is not enough for an exemption, since datagrams with that address may be forged all the
//! same. Beyond the limit, the front end sends a short answer instead that makes an honest client repeat its
//! request over TCP, or nothing: the short answer to every `slip`-th request of an unproven source, and to each request of
//! a proven one.
//!
//! An unproven source is therefore sent at most `burst_bytes` and then `bytes_per_second` beyond what came from it; short answers
//! are no larger than their requests but for a few octets, which each front end states. Sources are counted in a table of
//! fixed size, by a hash that no client can predict; sources that fall on one entry share its buckets.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;

use crate::front::listen::source::{Exemptions, Source};
use crate::telemetry::count;

/// Entries of the table.
const TABLE_SIZE: usize = 65_536;
/// How long a proof of an address counts.
const PROVEN_FOR: Duration = Duration::from_secs(600);

//----------- UdpRateLimitOptions ----------------------------------------------

/// How many bytes beyond those received a source of datagrams is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpRateLimitOptions {
    /// Bytes of the largest answer to a source that has not proved its address.
    pub answer_bytes_max: u32,
    /// Bytes a second to such a source.
    pub bytes_per_second: u32,
    /// Bytes at once to such a source after a pause.
    pub burst_bytes: u32,
    /// Bytes a second to a source that proved its address lately.
    pub proven_bytes_per_second: u32,
    /// Bytes at once to such a source after a pause.
    pub proven_burst_bytes: u32,
    /// Every how many requests beyond the limit get a short answer that leads to TCP; the others get none. 0 for none.
    pub slip: u32,
    /// Networks that are not limited.
    pub exempt_networks: Vec<IpNet>,
}

impl Default for UdpRateLimitOptions {
    fn default() -> Self {
        Self {
            answer_bytes_max: 1_280,
            bytes_per_second: 64 * 1024,
            burst_bytes: 128 * 1024,
            proven_bytes_per_second: 2 * 1024 * 1024,
            proven_burst_bytes: 8 * 1024 * 1024,
            slip: 2,
            exempt_networks: Vec::new(),
        }
    }
}

//----------- UdpRateLimit -----------------------------------------------------

/// What each source may still be sent.
#[derive(Debug)]
pub(in crate::front) struct UdpRateLimit {
    options: UdpRateLimitOptions,
    exemptions: Exemptions,
    table: Box<[Mutex<Allowance>]>,
    hasher: RandomState,
    since: Instant,
    counters: Arc<UdpAnswerCounters>,
}

/// Whether a datagram itself proves that its source address is not forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum AddressProof {
    /// The datagram carries something that only a receiver of earlier answers can know.
    Given,
    /// The datagram carries no proof.
    Missing,
}

/// Bytes of a request and of the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) struct Exchanged {
    /// Bytes received.
    pub(in crate::front) request: usize,
    /// Bytes to be sent.
    pub(in crate::front) answer: usize,
}

/// What becomes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::front) enum UdpDecision {
    /// The answer is sent.
    Send,
    /// A short answer is sent instead, which leads the client to TCP.
    Slip,
    /// Nothing is sent.
    Drop,
}

/// Answers over UDP by what became of them.
#[derive(Debug, Default)]
pub struct UdpAnswerCounters {
    /// Answers sent whole.
    pub sent: AtomicU64,
    /// Short answers sent instead, because the source was over its limit.
    pub slipped: AtomicU64,
    /// Answers not sent, because the source was over its limit.
    pub dropped: AtomicU64,
}

impl UdpRateLimit {
    /// Every source begins with full buckets and unproven.
    pub(in crate::front) fn new(options: &UdpRateLimitOptions, now: Instant) -> Self {
        let full = Allowance {
            unproven: Bucket { bytes: options.burst_bytes, filled_ms: 0 },
            proven: Bucket { bytes: options.proven_burst_bytes, filled_ms: 0 },
            proven_tag: None,
            proven_ms: 0,
            over_limit: 0,
        };
        Self {
            options: options.clone(),
            exemptions: Exemptions::new(&options.exempt_networks),
            table: std::iter::repeat_with(|| Mutex::new(full)).take(TABLE_SIZE).collect(),
            hasher: RandomState::new(),
            since: now,
            counters: Arc::default(),
        }
    }

    /// Answers counted so far.
    pub(in crate::front) fn counters(&self) -> Arc<UdpAnswerCounters> {
        Arc::clone(&self.counters)
    }

    /// Decides about an answer to a client, and counts it.
    pub(in crate::front) fn decide(
        &self,
        client: IpAddr,
        proof: AddressProof,
        exchanged: Exchanged,
        now: Instant,
    ) -> UdpDecision {
        let verdict = self.judge(client, proof, exchanged, now);
        let counter = match verdict {
            UdpDecision::Send => &self.counters.sent,
            UdpDecision::Slip => &self.counters.slipped,
            UdpDecision::Drop => &self.counters.dropped,
        };
        count(counter);
        verdict
    }

    /// Counts an answer that is sent whatever the limit says: the outcome of a change.
    pub(in crate::front) fn send_always(&self) -> UdpDecision {
        count(&self.counters.sent);
        UdpDecision::Send
    }

    fn judge(&self, client: IpAddr, proof: AddressProof, exchanged: Exchanged, now: Instant) -> UdpDecision {
        let source = self.exemptions.source_of(client);
        if source.is_exempt() {
            return UdpDecision::Send;
        }
        if proof == AddressProof::Given {
            self.prove(client, now);
            return UdpDecision::Send;
        }
        // An answer no larger than its request gives an attacker no amplification.
        if exchanged.answer <= exchanged.request {
            return UdpDecision::Send;
        }
        let (allowance, tag) = self.allowance(source);
        let mut allowance = allowance.lock().unwrap_or_else(PoisonError::into_inner);
        allowance.judge(&self.options, tag, exchanged, self.milliseconds(now))
    }

    /// Notes that a client proved its address just now, such as by a connection.
    pub(in crate::front) fn prove(&self, client: IpAddr, now: Instant) {
        let (allowance, tag) = self.allowance(self.exemptions.source_of(client));
        let mut allowance = allowance.lock().unwrap_or_else(PoisonError::into_inner);
        (allowance.proven_tag, allowance.proven_ms) = (Some(tag), self.milliseconds(now));
    }

    /// What a source may be sent, and what tells the source from most others that share the entry.
    fn allowance(&self, source: Source) -> (&Mutex<Allowance>, u32) {
        let hash = self.hasher.hash_one(source);
        let [t0, t1, t2, t3, _, _, low @ ..] = hash.to_be_bytes();
        let position = usize::from(u16::from_be_bytes(low));
        // TABLE_SIZE is the number of values of 16 bits.
        let allowance = self.table.get(position).or(self.table.first());
        (allowance.expect("the table is not empty"), u32::from_be_bytes([t0, t1, t2, t3]))
    }

    /// The present in milliseconds, modulo 2³²: differences are right within 24 days.
    fn milliseconds(&self, now: Instant) -> u32 {
        let elapsed = now.saturating_duration_since(self.since).as_millis() % (1 << 32);
        u32::try_from(elapsed).unwrap_or(0)
    }
}

//----------- Allowance -------------------------------------------------------------

#[derive(Clone, Copy, Debug)]
struct Allowance {
    unproven: Bucket,
    proven: Bucket,
    /// Which source proved its address last, and when.
    proven_tag: Option<u32>,
    proven_ms: u32,
    /// Answers beyond the limit to unproven sources.
    over_limit: u32,
}

impl Allowance {
    fn judge(
        &mut self,
        options: &UdpRateLimitOptions,
        tag: u32,
        exchanged: Exchanged,
        now_ms: u32,
    ) -> UdpDecision {
        let proven_for = Duration::from_millis(u64::from(elapsed(self.proven_ms, now_ms)));
        let is_proven = self.proven_tag == Some(tag) && proven_for < PROVEN_FOR;
        let (bucket, rate, burst) = if is_proven {
            (&mut self.proven, options.proven_bytes_per_second, options.proven_burst_bytes)
        } else {
            (&mut self.unproven, options.bytes_per_second, options.burst_bytes)
        };
        let answer_max = usize::try_from(options.answer_bytes_max).unwrap_or(usize::MAX);
        let is_small = is_proven || exchanged.answer <= answer_max;
        let cost = exchanged.answer.saturating_sub(exchanged.request);
        if is_small && bucket.pays(cost, rate, burst, now_ms) {
            return UdpDecision::Send;
        }
        if options.slip == 0 {
            return UdpDecision::Drop;
        }
        if is_proven {
            return UdpDecision::Slip;
        }
        // The first one slips, so that an honest client changes to TCP at once, and its address is proved by that.
        let is_turn = self.over_limit.is_multiple_of(options.slip);
        self.over_limit = self.over_limit.wrapping_add(1);
        if is_turn { UdpDecision::Slip } else { UdpDecision::Drop }
    }
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    bytes: u32,
    filled_ms: u32,
}

impl Bucket {
    fn pays(&mut self, cost: usize, rate: u32, burst: u32, now_ms: u32) -> bool {
        let idle_ms = elapsed(self.filled_ms, now_ms);
        let earned = u64::from(idle_ms) * u64::from(rate) / 1_000;
        if earned > 0 {
            self.filled_ms = now_ms;
            let filled = u64::from(self.bytes).saturating_add(earned).min(u64::from(burst));
            self.bytes = u32::try_from(filled).unwrap_or(burst);
        }
        match u32::try_from(cost).ok().and_then(|cost| self.bytes.checked_sub(cost)) {
            Some(left) => {
                self.bytes = left;
                true
            }
            None => false,
        }
    }
}

/// Milliseconds from one moment to a later one. Threads look at the clock on their own: a moment that seems to lie ahead
/// is this one.
fn elapsed(from_ms: u32, to_ms: u32) -> u32 {
    let elapsed = to_ms.wrapping_sub(from_ms);
    if elapsed > u32::MAX / 2 { 0 } else { elapsed }
}

#[cfg(test)]
mod tests;
