//! File descriptors: how many this process may open, and how many of them connections may use.
//!
//! ```text
//!   limit ─┬─ the store: its open table files, its journals and backups
//!          ├─ other nodes, sockets that listen, the log
//!          └─ connections: what is left bounds the total of all front ends
//! ```
//!
//! A store that cannot open a file stops taking changes, so its descriptors come first. The soft limit is raised to the
//! hard limit at start; where that is still too low for the configured connections, these are bounded lower, and the log
//! says so.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::config::Config;
use crate::front::listen::reserved::RESERVED_SLOTS;
use crate::telemetry::{Metrics, Page};

/// Assumed limit where the system does not report one.
const UNKNOWN_LIMIT: usize = 1_024;
/// Of so many descriptors, one may be an open table file of the store.
const TABLES_SHARE: usize = 4;
/// Open table files at most.
const TABLES_MAX: usize = 900;
/// Descriptors of everything else: journals, flushes, backups, listening sockets, connections to other nodes.
const OTHERS: usize = 256;
/// What scaled bounds may take beyond their share, since they are whole numbers.
const ROUNDING: usize = 8;
/// Connections that each front end may have however low the limit is.
const CONNECTIONS_MIN: usize = 8;

//----------- Descriptors ----------------------------------------------------

/// How many file descriptors this process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Descriptors {
    limit: usize,
}

impl Descriptors {
    /// Raises the soft limit to the hard limit, and returns the resulting limit.
    pub(super) fn raise() -> Self {
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return Self { limit: UNKNOWN_LIMIT };
        };
        let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
            Ok(()) => hard,
            Err(error) => {
                tracing::warn!(%error, soft, hard, "the limit of open files cannot be raised");
                soft
            }
        };
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX) }
    }

    /// Lowers the bounds of connections so that all of them fit beside what the store needs.
    pub(super) fn bound(self, config: &mut Config) {
        let available = self.for_connections();
        let reserved = 2 * RESERVED_SLOTS + ROUNDING;
        let wanted: usize = config.connection_limits().into_iter().map(|limits| limits.descriptors(0)).sum();
        let wanted = wanted + reserved;
        if wanted <= available {
            tracing::debug!(limit = self.limit, connections = wanted, "file descriptors suffice");
            return;
        }
        for limits in config.connection_limits() {
            let scaled = |count: usize| {
                let share = count.saturating_mul(available.saturating_sub(reserved)) / wanted.max(1);
                share.max(CONNECTIONS_MIN).min(count)
            };
            limits.max = scaled(limits.max);
            limits.per_source_max = scaled(limits.per_source_max);
        }
        tracing::warn!(
            limit = self.limit,
            wanted = wanted + self.reserved(),
            grpc = config.grpc.connections.max,
            dns = config.dns.connections.max,
            handle = config.handle.connections.max,
            http = config.http.connections.max,
            "the limit of open files is too low for the configured connections, which are bounded lower; raise it \
             (LimitNOFILE in the unit, or ulimit -n)"
        );
    }

    /// Descriptors that are not for connections.
    fn reserved(self) -> usize {
        (self.limit / TABLES_SHARE).min(TABLES_MAX) + OTHERS
    }

    fn for_connections(self) -> usize {
        self.limit.saturating_sub(self.reserved())
    }

    /// Adds the limit and how many descriptors are open.
    pub(super) fn add_metrics(self, metrics: &Metrics) {
        metrics.add(move |page: &mut Page| {
            let limit = u64::try_from(self.limit).unwrap_or(u64::MAX);
            page.gauge("idnode_file_descriptors_max", "File descriptors that the process may open.", limit);
            let open = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
            let open = u64::try_from(open).unwrap_or(u64::MAX);
            page.gauge("idnode_file_descriptors_open", "File descriptors that are open.", open);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{Config, Descriptors};

    #[test]
    fn connections_fit_beside_the_store_whatever_the_limit_is() {
        for limit in [1_024, 4_096, 65_536] {
            let mut config = Config::default();
            Descriptors { limit }.bound(&mut config);
            let connections: usize =
                config.connection_limits().into_iter().map(|limits| limits.descriptors(0)).sum();
            assert!(connections + 32 <= limit - 256 - (limit / 4).min(900), "{limit}: {connections}");
        }
        let mut config = Config::default();
        Descriptors { limit: 65_536 }.bound(&mut config);
        assert_eq!(config, Config::default(), "enough for what is configured");
        Descriptors { limit: 1_024 }.bound(&mut config);
        let [grpc, dns, ..] = config.connection_limits();
        assert!(grpc.max > 100 && dns.max >= 8 && dns.per_source_max < dns.max, "{grpc:?} {dns:?}");
    }
}
