//! Work on a store at rest: what may only be done while no node uses the data directory.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::core::{check_engine, store_options};
use super::directory::DataDirectory;
use super::disk::{self, DiskWatch};
use super::error::DaemonError;
use super::first_token;
use crate::authority::caller::Caller;
use crate::authority::{Authority, AuthorityOptions};
use crate::config::Config;
use crate::model::token::{Scope, TokenEntry};
use crate::registry::command::{Command, TokenCommand};
use crate::registry::{Registry, RegistryOptions, TokenDraft};
use crate::store::copy::check::{self, CheckReport};
use crate::store::copy::repair::{self, RepairReport};
use crate::store::open;
use crate::store::open::loss;
use crate::telemetry::Chain;

/// Label of an admin token that was made offline, in the list of tokens and in the journal.
const REPLACED_TOKEN: &str = "replaced by the operator of the machine";

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

/// Accepts that the end of the journal is missing, so that the store accepts changes again. On disk when it returns. A store
/// that lacks anything other than the end of its journal is an error that names what it lacks, and remains as it is.
pub async fn accept_loss(config: &Config) -> Result<Loss, DaemonError> {
    let directory = take(config)?;
    let options = store_options(&config.store, directory.path());
    if !loss::find_loss(options.clone()).await.map_err(DaemonError::Store)? {
        return Ok(Loss::None);
    }
    let accepted = loss::accept_loss(options).await.map_err(DaemonError::Store)?;
    Ok(Loss::Accepted { lost: accepted.lost, adopted: accepted.adopted })
}

/// The outcome of replacing the admin token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedToken {
    /// The file that holds the new token.
    pub file: PathBuf,
    /// Id of the new token.
    pub id: String,
    /// Ids of the tokens that were revoked.
    pub revoked: Vec<String>,
    /// Id and label of the other valid tokens with the scope admin.
    pub others: Vec<(String, String)>,
}

/// Makes a new admin token in the place of the one that the node made, which is revoked. Both changes are in the journal.
///
/// The file is written first: after a crash in between, the command is repeated.
pub async fn replace_admin_token(config: &Config) -> Result<ReplacedToken, DaemonError> {
    let directory = take(config)?;
    let failed = |reason: String| DaemonError::AdminToken { reason };
    let options = store_options(&config.store, directory.path());
    let opened = open::open_existing(options).await.map_err(DaemonError::Store)?;
    let store = opened.store.clone();
    DiskWatch::new(store.clone(), config.store.disk_reserve_bytes, disk::free_space());
    if let Some(reason) = store.read_only_reason() {
        store.close(opened.writer).await.map_err(DaemonError::Close)?;
        return Err(failed(format!("the store takes no changes: {reason}")));
    }
    let authority = Authority::new(store.clone(), AuthorityOptions::default());
    let (registry, committer) =
        Registry::start(store.clone(), opened.writer, authority, RegistryOptions::default());
    let replaced = replace_token(&registry, &directory).await;
    registry.stop();
    let writer = committer.await.map_err(|error| failed(error.to_string()))?;
    store.close(writer).await.map_err(DaemonError::Close)?;
    replaced
}

async fn replace_token(registry: &Registry, directory: &DataDirectory) -> Result<ReplacedToken, DaemonError> {
    let failed =
        |error: &dyn core::error::Error| DaemonError::AdminToken { reason: Chain(error).to_string() };
    let held = registry.tokens(&Caller::Node).map_err(|refusal| failed(&refusal))?;
    let draft = TokenDraft { label: REPLACED_TOKEN.into(), scopes: vec![Scope::Admin], expires_ms: None };
    let (text, entry) = registry.make_token(draft).map_err(|refusal| failed(&refusal))?;
    let id = entry.id.to_string();
    directory.admin_token_file().save(&text)?;
    let create = Command::Token(TokenCommand::Create(entry));
    registry.apply_one(&Caller::Node, create).await.map_err(|problem| failed(&problem))?;
    let is_admin = |token: &&TokenEntry| token.revoked_ms.is_none() && token.scopes.contains(&Scope::Admin);
    let is_replaced =
        |token: &&TokenEntry| [first_token::LABEL, REPLACED_TOKEN].contains(&token.label.as_str());
    let (old, others): (Vec<_>, Vec<_>) = held.iter().filter(is_admin).partition(is_replaced);
    let mut revoked = Vec::new();
    for token in old {
        let revoke = Command::Token(TokenCommand::Revoke { id: token.id });
        registry.apply_one(&Caller::Node, revoke).await.map_err(|problem| failed(&problem))?;
        revoked.push(token.id.to_string());
    }
    let others = others.iter().map(|token| (token.id.to_string(), token.label.clone())).collect();
    Ok(ReplacedToken { file: directory.admin_token_path(), id, revoked, others })
}

/// Refuses a user other than the owner of the data directory: the node could not read the files that it would leave.
fn check_owner(path: &Path) -> Result<(), DaemonError> {
    let failed = |source| DaemonError::Directory { action: "look at", path: path.to_owned(), source };
    let owner = std::fs::metadata(path).map_err(failed)?.uid();
    // The owner of this directory is the user of this process.
    let ours = std::fs::metadata("/proc/self").map_err(failed)?.uid();
    if owner == ours {
        return Ok(());
    }
    Err(DaemonError::OtherOwner { directory: path.to_owned(), owner, ours })
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
    check_owner(path)?;
    DataDirectory::open(path)
}
