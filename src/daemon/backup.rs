//! The backups of a node, as configured.

use super::error::DaemonError;
use super::server_key::ServerKey;
use crate::backup::{self, Backups, CHUNK_BYTES_DEFAULT};
use crate::config::Config;
use crate::store::Store;
use crate::telemetry::Chain;

/// The backups of an open store, as configured.
pub(super) fn backups(
    config: &Config,
    store: &Store,
    server_key: &ServerKey,
) -> Result<Backups, DaemonError> {
    let options = backup::Options {
        directories: config.backup_directories(),
        key_file: config.backup.key_file.clone(),
        keep_count: config.backup.keep_count,
        keep_days: config.backup.keep_days,
        chunk_bytes: CHUNK_BYTES_DEFAULT,
        files: vec![server_key.file.clone()],
        node_version: env!("IDNODE_VERSION").into(),
    };
    Backups::new(store.clone(), options).map_err(|error| DaemonError::Configured {
        key: "backup.key_file",
        reason: Chain(&error).to_string(),
    })
}
