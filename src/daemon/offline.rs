//! Work on a store at rest: what may only be done while no node uses the data directory.

use super::core::{check_engine, store_options};
use super::directory::DataDirectory;
use super::error::DaemonError;
use crate::config::Config;
use crate::store::check::{self, CheckReport};
use crate::store::loss;
use crate::store::repair::{self, RepairReport};

/// The outcome of accepting a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Nothing is missing; nothing was done.
    None,
    /// A new incarnation has begun without what is missing.
    Accepted {
        /// Number of acknowledged journal entries that are lost; none where it is not known.
        lost: Option<u64>,
        /// States that outlived their entries and were entered again.
        adopted: u64,
    },
}

/// Accepts that the end of the journal is missing, so that the store takes changes again. On disk when it returns. A store that
/// lacks anything else is an error that names it, and stays as it is.
pub async fn accept_loss(config: &Config) -> Result<Loss, DaemonError> {
    let directory = take(config)?;
    let options = store_options(&config.store, directory.path());
    if !loss::find_loss(options.clone()).await.map_err(DaemonError::Store)? {
        return Ok(Loss::None);
    }
    let accepted = loss::accept_loss(options).await.map_err(DaemonError::Store)?;
    Ok(Loss::Accepted { lost: accepted.lost, adopted: accepted.adopted })
}

/// Reads a whole store and checks its parts against each other. Nothing is repaired.
pub async fn check(config: &Config) -> Result<CheckReport, DaemonError> {
    let directory = take(config)?;
    check::check(store_options(&config.store, directory.path())).await.map_err(DaemonError::Store)
}

/// Rebuilds what the journal still holds, and says what cannot be rebuilt. On disk when it returns.
pub async fn repair(config: &Config) -> Result<RepairReport, DaemonError> {
    let directory = lock(config)?;
    repair::repair(store_options(&config.store, directory.path())).await.map_err(DaemonError::Store)
}

/// Locks an existing data directory that holds the data of the configured engine.
fn take(config: &Config) -> Result<DataDirectory, DaemonError> {
    let directory = lock(config)?;
    check_engine(&config.store, &directory)?;
    Ok(directory)
}

/// Locks an existing data directory, so that no node uses it meanwhile.
fn lock(config: &Config) -> Result<DataDirectory, DaemonError> {
    let path = &config.store.directory;
    if !path.is_dir() {
        let source = std::io::ErrorKind::NotFound.into();
        return Err(DaemonError::Directory { action: "find the data directory", path: path.clone(), source });
    }
    DataDirectory::open(path)
}
