//! The bounds of what clients may take of this node, all in one place.
//!
//! Connections are the one resource whose bounds are configured; see [`super::slots::ConnectionLimits`]. Time limits stand
//! beside the code that waits. The metrics show what is in use of each resource, and how often a bound refused.

use super::budget::MemoryLimits;
use super::quota::QuotaBounds;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

//----------- Memory ---------------------------------------------------------

/// Bytes that messages and answers of DNS over TCP occupy: the latter have up to 64 KiB each.
pub(in crate::front) const DNS_MEMORY: MemoryLimits =
    MemoryLimits { total: 256 * MIB, source: 64 * MIB, connection: 2 * MIB };

/// Bytes that requests and answers over gRPC occupy.
pub(in crate::front) const GRPC_MEMORY: MemoryLimits =
    MemoryLimits { total: 256 * MIB, source: 128 * MIB, connection: 64 * MIB };

/// Bytes that requests and answers of the Handle protocol over TCP occupy.
pub(in crate::front) const HANDLE_MEMORY: MemoryLimits =
    MemoryLimits { total: 256 * MIB, source: 64 * MIB, connection: 8 * MIB };

/// Bytes that requests and answers over HTTP occupy.
pub(in crate::front) const HTTP_MEMORY: MemoryLimits =
    MemoryLimits { total: 128 * MIB, source: 64 * MIB, connection: 32 * MIB };

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
