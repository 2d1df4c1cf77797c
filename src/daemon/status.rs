//! How the node is, for the administration service of the gRPC door.

use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::backup::newest;
use super::core::Core;
use super::federation_setup;
use crate::backup::Backups;
use crate::filing::status::FilingWatch;
use crate::front::grpc::{StatusPort, StatusReport};
use crate::model::prefix::Homing;
use crate::store::Store;
use crate::telemetry::Chain;

/// Tells how the node is.
pub(super) struct Status {
    store: Store,
    backups: Backups,
    filing: Option<FilingWatch>,
    started: Instant,
}

impl Status {
    /// A status of a node that starts now.
    pub(super) fn new(core: &Core) -> Self {
        let filing = core.filing.as_ref().map(|filing| filing.watch.clone());
        Self { store: core.store.clone(), backups: core.backups.clone(), filing, started: Instant::now() }
    }
}

impl StatusPort for Status {
    fn report(&self) -> BoxFuture<'_, StatusReport> {
        async {
            let directory = self.store.directory();
            let homed = directory.prefixes().filter(|entry| entry.homing == Homing::Here).count() as u64;
            let disk_bytes = self.store.disk_bytes().await.unwrap_or_else(|error| {
                tracing::warn!(error = %Chain(&error), "the size of the store is not known");
                0
            });
            StatusReport {
                version: env!("IDNODE_VERSION").into(),
                engine: self.store.engine_kind().to_string(),
                position: self.store.head(),
                identifiers: self.store.count(),
                prefixes_homed: homed,
                prefixes_delegated: directory.prefixes().count() as u64 - homed,
                filing: self.filing.as_ref().map(federation_setup::filing_report),
                read_only_reason: self.store.read_only_reason(),
                uptime: self.started.elapsed(),
                disk_bytes,
                last_backup: newest(&self.backups).await,
            }
        }
        .boxed()
    }
}
