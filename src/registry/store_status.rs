//! The state of the store, for status reports.

use crate::model::position::Position;
use crate::model::prefix::Homing;
use crate::telemetry::Chain;

use super::Registry;

/// The state of the store at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStatus {
    /// Name of the storage engine.
    pub engine: String,
    /// The last durable position of the journal.
    pub position: Position,
    /// Identifiers that exist.
    pub identifiers: u64,
    /// Prefixes homed here.
    pub prefixes_homed: u64,
    /// Prefixes delegated to other nodes.
    pub prefixes_delegated: u64,
    /// Why changes are not accepted; none when they are.
    pub read_only_reason: Option<String>,
    /// Bytes of the data directory; 0 when they cannot be counted.
    pub disk_bytes: u64,
}

impl Registry {
    /// The state of the store now. Reads the sizes of files.
    pub async fn store_status(&self) -> StoreStatus {
        let directory = self.store.directory();
        let homed = directory.prefixes().filter(|entry| entry.homing == Homing::Here).count() as u64;
        let disk_bytes = self.store.disk_bytes().await.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "the size of the store is not known");
            0
        });
        StoreStatus {
            engine: self.store.engine_kind().to_string(),
            position: self.store.head(),
            identifiers: self.store.count(),
            prefixes_homed: homed,
            prefixes_delegated: directory.prefixes().count() as u64 - homed,
            read_only_reason: self.store.read_only_reason(),
            disk_bytes,
        }
    }
}
