//! Counters of the DNS front end, which telemetry reads. They never hold an identifier.

use std::sync::atomic::{AtomicU64, Ordering};

use hickory_proto::op::ResponseCode;

use crate::telemetry::count;

//----------- DnsCounters ----------------------------------------------------

/// Counts since the start of the server.
#[derive(Debug, Default)]
pub struct DnsCounters {
    /// Messages received over UDP.
    pub udp_messages: AtomicU64,
    /// Messages received over TCP.
    pub tcp_messages: AtomicU64,
    /// Answers by response code, in the order of [`DnsCounters::CODES`]; the last is every other code.
    answers: [AtomicU64; Self::CODES.len()],
    /// Answers over UDP that were truncated.
    pub truncated: AtomicU64,
    /// Messages without an answer: responses, and those shorter than a header.
    pub dropped: AtomicU64,
    /// Answers that the system failed to send.
    pub unsent: AtomicU64,
}

impl DnsCounters {
    /// Names of the response codes that are counted apart.
    pub const CODES: [&'static str; 8] =
        ["noerror", "formerr", "servfail", "nxdomain", "notimp", "refused", "badvers", "other"];

    /// Answers by the name of their response code.
    pub fn answers(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.answers.iter().map(|count| count.load(Ordering::Relaxed));
        Self::CODES.into_iter().zip(counts)
    }

    /// Counts an answer.
    pub(super) fn count_answer(&self, code: ResponseCode) {
        let position = match code {
            ResponseCode::NoError => 0,
            ResponseCode::FormErr => 1,
            ResponseCode::ServFail => 2,
            ResponseCode::NXDomain => 3,
            ResponseCode::NotImp => 4,
            ResponseCode::Refused => 5,
            ResponseCode::BADVERS => 6,
            _ => 7,
        };
        if let Some(counter) = self.answers.get(position) {
            count(counter);
        }
    }
}
