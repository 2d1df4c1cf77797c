//! Restore: builds a new data directory from backups, up to the end, a position or a time.
//!
//! The store is built beside the data directory, in `NAME.restoring`, and renamed when it has been opened and checked:
//! a restore that fails or is interrupted leaves the data directory as it was. The restored store starts a new
//! incarnation.
//!
//! All that a verification checks of a backup is checked while it is read, as far as it is read. When a backup turns out to
//! be damaged, the restore begins again without it, if others hold the same; else it is refused, unless the request accepts
//! an older state.

use std::path::{Path, PathBuf};

use super::blocking::off_the_reactor;
use super::error::Error;
use super::finding::Finding;
use super::manifest::Manifest;
use super::plan::{Plan, Source};
use super::progress::Progress;
use super::put::{Put, put_chain};
use super::sibling::Sibling;
use super::until::Until;
use crate::model::environment::{Clock, Entropy};
use crate::store::EngineKind;
use crate::store::copy::restore::{Restored, Restorer};
use crate::store::open::StoreOptions;

//----------- RestoreRequest -------------------------------------------------

/// Parameters of a restore.
#[derive(Clone)]
pub struct RestoreRequest {
    /// The folder of a backup; or a directory of backups, of which the most suitable ones are used.
    pub from: PathBuf,
    /// The data directory: empty or absent.
    pub data: PathBuf,
    /// The engine of the new store; none for the engine of the backup.
    pub engine: Option<EngineKind>,
    /// The point up to which the journal is restored.
    pub until: Until,
    /// Whether a directory of backups is restored to less than it holds, or may hold, when a part cannot be used.
    pub damage: Damage,
    /// The key file of an encrypted backup. With it, only what the key proves is used.
    pub key_file: Option<PathBuf>,
    /// Size of the engine's cache in bytes.
    pub cache_bytes: u64,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
}

/// What a restore does when the newest state in a directory of backups cannot be restored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Damage {
    /// It is refused, and what is wrong is named.
    #[default]
    Refuse,
    /// An older state is restored, and what is lost is named.
    AcceptOlder,
}

/// Result of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backups that were read, the full one first, the newest last.
    pub backups: Vec<String>,
    /// The engine of the restored store.
    pub engine: EngineKind,
    /// Positions at which the restored store ends and continues.
    pub restored: Restored,
    /// What the directory holds, or may hold, beyond the restored state.
    pub lost: Vec<Finding>,
    /// Folders that look like a backup and could not be used.
    pub unused: Vec<Finding>,
}

//----------- restore --------------------------------------------------------

/// Restores into an empty data directory. When this returns a report, all of it is on disk and was opened and
/// checked; else the data directory is as it was.
pub async fn restore(
    request: RestoreRequest,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<RestoreReport, Error> {
    let opened = off_the_reactor({
        let (from, key_file) = (request.from.clone(), request.key_file.clone());
        move || Source::open(&from, key_file.as_deref())
    });
    let mut source = opened.await?;
    loop {
        let until = request.until;
        let planned = off_the_reactor(move || Ok((source.plan(until)?, source)));
        let (plan, present) = planned.await?;
        source = present;
        if request.damage == Damage::Refuse && !plan.lost.is_empty() {
            return Err(refused(&plan));
        }
        let sibling = off_the_reactor({
            let data = request.data.clone();
            move || Sibling::create(&data)
        });
        let sibling = sibling.await?;
        match build(&request, &source.directory, &plan, sibling.path.clone(), on_progress).await? {
            Ok((engine, restored)) => {
                off_the_reactor(move || sibling.complete()).await?;
                let backups = plan.parts.into_iter().map(|part| part.name).collect();
                return Ok(RestoreReport {
                    backups,
                    engine,
                    restored,
                    lost: plan.lost,
                    unused: source.unusable(),
                });
            }
            Err(Damaged { backup, finding }) => {
                let removed = move || {
                    drop(sibling);
                    Ok(())
                };
                off_the_reactor(removed).await?;
                tracing::warn!(%backup, %finding, "a backup is damaged");
                if !source.set_aside(&backup, finding.clone()) {
                    return Err(Error::NotWhole { found: vec![finding] });
                }
            }
        }
    }
}

fn refused(plan: &Plan) -> Error {
    let end = plan.parts.last().map_or("nothing".to_owned(), |tip| tip.to.position().to_string());
    Error::Older { end, lost: plan.lost.clone() }
}

/// A backup that was found to be damaged while it was read.
pub(super) struct Damaged {
    /// Name of the backup.
    pub(super) backup: String,
    /// The damage, with the file's name within the directory.
    pub(super) finding: Finding,
}

async fn build(
    request: &RestoreRequest,
    directory: &Path,
    plan: &Plan,
    data: PathBuf,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Result<(EngineKind, Restored), Damaged>, Error> {
    let Some((full, image)) = plan.parts.first().and_then(|full| Some((full, full.image?))) else {
        return Err(Error::Absent { name: request.from.display().to_string() });
    };
    let engine = request.engine.unwrap_or(full.engine);
    let options = StoreOptions {
        directory: data.clone(),
        engine,
        cache_bytes: request.cache_bytes,
        folding: full.folding,
        clock: request.clock.clone(),
        entropy: request.entropy.clone(),
    };
    let target = request.until.target();
    let restorer = Restorer::begin(options, image.from.sequence, image.to.sequence, target).await;
    let mut restorer = restorer.map_err(Error::store("cannot begin the restored store"))?;
    let put = Put {
        directory: directory.to_owned(),
        data,
        key_file: request.key_file.clone(),
        until: request.until,
        total_bytes: plan.parts.iter().map(Manifest::raw_bytes).sum(),
        done_bytes: 0,
        entries: 0,
    };
    let done = put_chain(put, &plan.parts, &mut restorer, on_progress).await;
    // When it fails, the files are removed; an error while closing them does not matter any more.
    match done {
        Ok(Ok(())) => {}
        Ok(Err(damaged)) => {
            let _closed = restorer.abandon().await;
            return Ok(Err(damaged));
        }
        Err(error) => {
            let _closed = restorer.abandon().await;
            return Err(error);
        }
    }
    let restored = restorer.finish().await.map_err(Error::store("cannot complete the restored store"))?;
    Ok(Ok((engine, restored)))
}
