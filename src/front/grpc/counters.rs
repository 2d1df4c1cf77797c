//! Counters of the gRPC front end, which telemetry reads. They never hold an identifier or an address.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::count;

//----------- GrpcCounters ---------------------------------------------------

/// Counts since the start of the server.
#[derive(Debug, Default)]
pub struct GrpcCounters {
    /// Calls by service, in the order of [`GrpcCounters::SERVICES`].
    calls: [AtomicU64; Self::SERVICES.len()],
    /// Tokens that were not accepted.
    pub tokens_refused: AtomicU64,
    /// Connections that were closed because an answer on them was not read.
    pub unread: AtomicU64,
}

/// The services of this front end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Service {
    Registration,
    Resolution,
    Prefix,
    Backup,
    Federation,
    Administration,
}

impl GrpcCounters {
    /// Names of the services that are counted apart.
    pub const SERVICES: [&'static str; 6] =
        ["registration", "resolution", "prefix", "backup", "federation", "administration"];

    /// Calls by service.
    pub fn calls(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.calls.iter().map(|count| count.load(Ordering::Relaxed));
        Self::SERVICES.into_iter().zip(counts)
    }

    /// Counts a call.
    pub(super) fn count_call(&self, service: Service) {
        let position = match service {
            Service::Registration => 0,
            Service::Resolution => 1,
            Service::Prefix => 2,
            Service::Backup => 3,
            Service::Federation => 4,
            Service::Administration => 5,
        };
        if let Some(counter) = self.calls.get(position) {
            count(counter);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GrpcCounters, Service};

    #[test]
    fn calls_are_counted_by_service() {
        let counters = GrpcCounters::default();
        counters.count_call(Service::Registration);
        counters.count_call(Service::Administration);
        counters.count_call(Service::Administration);
        let counted: Vec<(&str, u64)> = counters.calls().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("registration", 1), ("administration", 2)]);
    }
}
