//! The bounds of what clients may take of this node, all in one place.
//!
//! Only the bounds of connections and of answers over UDP are configured; see [`super::slots::ConnectionLimits`] and
//! [`super::udp_rate_limit::UdpRateLimitOptions`]. Time limits stand beside the code that waits. The metrics show
//! what is in use of each resource, and how often a bound refused.

use super::budget::MemoryLimits;
use super::quota::QuotaBounds;
use crate::model::limits::{
    BATCH_ITEMS_MAX, BATCH_WARNINGS_MAX, MESSAGE_BYTES_MAX, MESSAGE_MEMORY_MAX, WARNING_BYTES_MAX,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

//----------- Memory ---------------------------------------------------------

/// Sources that together spend a whole budget: one of them alone leaves most of it to others.
const SHARES: usize = 8;

/// Bytes that messages and answers of DNS over TCP occupy: the latter have up to 64 KiB each.
pub(in crate::front) const DNS_MEMORY: MemoryLimits =
    MemoryLimits { total: 64 * MIB, source: 8 * MIB, connection: 2 * MIB };

/// Bytes that requests and answers over gRPC occupy. The share of a source holds the largest message, decoded, and the
/// outcomes of its items.
pub(in crate::front) const GRPC_MEMORY: MemoryLimits =
    MemoryLimits { total: 384 * MIB, source: 48 * MIB, connection: 48 * MIB };

/// Bytes that requests and answers of the Handle protocol over TCP occupy.
pub(in crate::front) const HANDLE_MEMORY: MemoryLimits =
    MemoryLimits { total: 128 * MIB, source: 16 * MIB, connection: 8 * MIB };

/// Bytes that requests and answers over HTTP occupy.
pub(in crate::front) const HTTP_MEMORY: MemoryLimits =
    MemoryLimits { total: 128 * MIB, source: 16 * MIB, connection: 16 * MIB };

/// Bytes that pages of metrics occupy, beside [`HTTP_MEMORY`]: they are served while that is spent.
pub(in crate::front) const HTTP_STATUS_MEMORY: MemoryLimits =
    MemoryLimits { total: 16 * MIB, source: 2 * MIB, connection: MIB };

const _: () = {
    let budgets = [DNS_MEMORY, GRPC_MEMORY, HANDLE_MEMORY, HTTP_MEMORY, HTTP_STATUS_MEMORY];
    let mut rest: &[MemoryLimits] = &budgets;
    let mut total = 0;
    while let [MemoryLimits { total: all, source, connection }, others @ ..] = rest {
        assert!(*source * SHARES <= *all, "one source cannot spend more than its share");
        assert!(*connection <= *source);
        total += *all;
        rest = others;
    }
    assert!(total <= 720 * MIB, "the front ends together, as docs/threats.md says");
    // The bytes of a message are there twice while it is decoded; beside them a call holds a little.
    let outcomes = BATCH_ITEMS_MAX * 512 + BATCH_WARNINGS_MAX * WARNING_BYTES_MAX;
    assert!(MESSAGE_MEMORY_MAX + 2 * MESSAGE_BYTES_MAX + outcomes + MIB <= GRPC_MEMORY.source);
};

//----------- Handle protocol ------------------------------------------------

/// Sessions: a client opens one, and one more for each identity that it acts as.
pub(in crate::front) const HANDLE_SESSIONS: QuotaBounds = QuotaBounds { total: 32_768, per_source: 8_192 };

/// Bytes of requests that wait until their callers have proved who they are.
pub(in crate::front) const HANDLE_CHALLENGES: QuotaBounds =
    QuotaBounds { total: 64 * MIB, per_source: 8 * MIB };

/// Bytes of replies over UDP that are cached for repeated requests, at each address.
pub(in crate::front) const HANDLE_REPLIES: QuotaBounds =
    QuotaBounds { total: 64 * MIB, per_source: 16 * MIB };

/// Bytes of messages over UDP of which pieces are missing, at each address.
pub(in crate::front) const HANDLE_PIECES: QuotaBounds = QuotaBounds { total: 16 * MIB, per_source: 2 * MIB };

//----------- HTTP -----------------------------------------------------------

/// Sessions of the JSON API that are proved, or that were ended and could be answered again.
pub(in crate::front) const HTTP_SESSIONS: QuotaBounds = QuotaBounds { total: 10_000, per_source: 2_500 };

//----------- Cryptography ---------------------------------------------------

/// Signatures, key agreements and their like that are done or queued, at all front ends together.
pub(in crate::front) const CRYPTO_WORK: QuotaBounds = QuotaBounds { total: 256, per_source: 64 };
