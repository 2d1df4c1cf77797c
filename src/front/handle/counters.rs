//! Counters of the Handle front end, which telemetry reads. They never hold an identifier.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::count;
use crate::wire::handle::code::ResponseCode;

//----------- HandleCounters -------------------------------------------------

/// Counts since the start of the server.
#[derive(Debug, Default)]
pub struct HandleCounters {
    /// Whole messages received over UDP.
    pub udp_messages: AtomicU64,
    /// Messages received over TCP, plain or TLS.
    pub tcp_messages: AtomicU64,
    /// Replies by the group of their code, in the order of [`HandleCounters::OUTCOMES`].
    replies: [AtomicU64; Self::OUTCOMES.len()],
    /// Datagrams that are not part of a request.
    pub dropped: AtomicU64,
    /// Messages of several datagrams that were given up.
    pub incomplete: AtomicU64,
    /// Answers not sent, or replaced by a short one, because their source was over its limit.
    pub withheld: AtomicU64,
    /// Repeated requests over UDP, which were not performed again.
    pub repeated: AtomicU64,
    /// Messages that were refused as too busy.
    pub busy: AtomicU64,
    /// Answers that the system failed to send.
    pub unsent: AtomicU64,
}

impl HandleCounters {
    /// The groups of response codes that are counted.
    pub const OUTCOMES: [&'static str; 9] = [
        "success",
        "protocol_error",
        "not_supported",
        "identifier",
        "value",
        "elsewhere",
        "authentication",
        "session",
        "failure",
    ];

    /// Replies by the group of their code.
    pub fn replies(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.replies.iter().map(|count| count.load(Ordering::Relaxed));
        Self::OUTCOMES.into_iter().zip(counts)
    }

    /// Counts a reply.
    pub(super) fn count_reply(&self, code: ResponseCode) {
        let position = match code.0 {
            1 => 0,
            4 => 1,
            5 => 2,
            100..200 => 3,
            200..300 => 4,
            300..400 => 5,
            400..500 => 6,
            500..600 => 7,
            _ => 8,
        };
        if let Some(counter) = self.replies.get(position) {
            count(counter);
        }
    }
}
