//! Restore: builds a new data directory from a chain of backups, up to the end, a position or a time.
//!
//! The store is built beside the data directory, in `NAME.restoring`, and renamed when it has been opened and checked:
//! a restore that fails or is interrupted leaves the data directory as it was. The restored store starts a new
//! incarnation.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::blocking::off_the_reactor;
use super::chunk::{self, Content};
use super::error::Error;
use super::file::RestoredFile;
use super::finding::Finding;
use super::folder::{create_directory, sync_directory};
use super::list::{chain, manifests};
use super::manifest::{self, Manifest};
use super::manifest_v1::time;
use super::progress::Progress;
use crate::model::environment::{Clock, Entropy};
use crate::model::position::Position;
use crate::store::EngineKind;
use crate::store::commit::End;
use crate::store::open::StoreOptions;
use crate::store::restore::{RestoreTarget, Restored, Restorer};

//----------- RestoreRequest -------------------------------------------------

/// Parameters of a restore.
#[derive(Clone)]
pub struct RestoreRequest {
    /// The folder of a backup; or a directory of backups, of which the most suitable one is used.
    pub from: PathBuf,
    /// The data directory: empty or absent.
    pub data: PathBuf,
    /// The engine of the new store; none for the engine of the backup.
    pub engine: Option<EngineKind>,
    /// The point up to which the journal is restored.
    pub until: Until,
    /// The key file of an encrypted backup.
    pub key_file: Option<PathBuf>,
    /// Size of the engine's cache in bytes.
    pub cache_bytes: u64,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of randomness.
    pub entropy: Entropy,
}

/// The point up to which a restore goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The end of the backup.
    End,
    /// The entry at this position.
    Position(Position),
    /// The entry of this sequence.
    Sequence(u64),
    /// The last entry not after this time, in milliseconds since 1970.
    Time(u64),
}

impl Until {
    /// Parses a position as it is shown, `incarnation:stream:sequence`, or its sequence alone.
    pub fn parse_position(text: &str) -> Option<Self> {
        let sequence = text.parse().ok().map(Self::Sequence);
        sequence.or_else(|| Position::parse(text).map(Self::Position))
    }

    fn target(self) -> RestoreTarget {
        match self {
            Self::End => RestoreTarget::End,
            Self::Position(position) => RestoreTarget::Sequence(position.sequence),
            Self::Sequence(sequence) => RestoreTarget::Sequence(sequence),
            Self::Time(time_ms) => RestoreTarget::Time(time_ms),
        }
    }

    /// Returns whether a chain of backups reaches this point: its image ends before, and its journal does not.
    fn is_reached_by(self, chain: &[Manifest]) -> bool {
        let (Some(start), Some(tip)) = (start(chain), chain.last()) else {
            return false;
        };
        let reached = match self.target() {
            RestoreTarget::Sequence(sequence) => tip.to.sequence >= sequence,
            RestoreTarget::End | RestoreTarget::Time(_) => true,
        };
        reached && self.target().includes(start.sequence, start.time_ms)
    }

    fn display(self) -> String {
        match self {
            Self::End => "the end".to_owned(),
            Self::Position(position) => format!("position {position}"),
            Self::Sequence(sequence) => format!("position {sequence}"),
            Self::Time(time_ms) => format!("time {}", time(time_ms)),
        }
    }
}

/// Returns the first point to which a chain of backups can be restored: the end of its image.
fn start(chain: &[Manifest]) -> Option<End> {
    chain.first().and_then(|full| full.image.as_ref()).map(|image| image.to)
}

/// Result of a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreReport {
    /// The backups that were read, the full one first.
    pub backups: Vec<String>,
    /// The engine of the restored store.
    pub engine: EngineKind,
    /// Positions at which the restored store ends and continues.
    pub restored: Restored,
}

//----------- restore --------------------------------------------------------

/// Restores into an empty data directory. When this returns a report, all of it is on disk and was opened and
/// checked; else the data directory is as it was.
pub async fn restore(
    request: RestoreRequest,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<RestoreReport, Error> {
    let chosen = off_the_reactor({
        let (from, until) = (request.from.clone(), request.until);
        move || choose(&from, until)
    });
    let (directory, chain) = chosen.await?;
    let sibling = off_the_reactor({
        let data = request.data.clone();
        move || Sibling::create(&data)
    });
    let sibling = sibling.await?;
    let report = build(&request, &directory, &chain, sibling.path.clone(), on_progress).await?;
    off_the_reactor(move || sibling.complete()).await?;
    Ok(report)
}

async fn build(
    request: &RestoreRequest,
    directory: &Path,
    chain: &[Manifest],
    data: PathBuf,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<RestoreReport, Error> {
    let Some((full, image)) = chain.first().and_then(|full| Some((full, full.image?))) else {
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
    let put = put_chain(request, (directory, &data), chain, &mut restorer, on_progress).await;
    if let Err(error) = put {
        // The files are removed; an error while closing them does not matter any more.
        let _closed = restorer.abandon().await;
        return Err(error);
    }
    let restored = restorer.finish().await.map_err(Error::store("cannot complete the restored store"))?;
    let backups = chain.iter().map(|manifest| manifest.name.clone()).collect();
    Ok(RestoreReport { backups, engine, restored })
}

/// Reads chunk after chunk and stores the content, until the target is reached.
async fn put_chain(
    request: &RestoreRequest,
    (directory, data): (&Path, &Path),
    chain: &[Manifest],
    restorer: &mut Restorer,
    on_progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<(), Error> {
    let total = chain.iter().map(Manifest::raw_bytes).sum();
    let (mut done_bytes, mut entries, mut more) = (0, 0, true);
    for manifest in chain {
        let folder = directory.join(&manifest.name);
        let key_file = request.key_file.clone();
        let opened = off_the_reactor({
            let folder = folder.clone();
            move || Manifest::load_with_key(&folder, key_file.as_deref())
        });
        let not_whole = |finding: Finding| Error::NotWhole { found: vec![finding.within(&manifest.name)] };
        let (loaded, key) = opened.await?.map_err(not_whole)?;
        for (number, chunk) in (1_u64..).zip(loaded.chunks) {
            if !more {
                break;
            }
            done_bytes += chunk.raw_bytes;
            entries += chunk.entries;
            let (folder, key) = (folder.clone(), key.clone());
            let content =
                off_the_reactor(move || Ok(chunk::read(&folder, &chunk, number, key.as_ref()))).await?;
            let put = match content.map_err(not_whole)? {
                Content::Files(files) => {
                    put_files(data.to_owned(), files).await?;
                    Ok(())
                }
                Content::Entries(page) => restorer.put_entries(page).await,
                Content::Changes(page) => restorer.put_changes(page).await.map(|wanted| more = wanted),
            };
            put.map_err(Error::store("cannot store the content of the backup"))?;
            on_progress(Progress { stage: "restore", done_bytes, total_bytes: Some(total), entries });
        }
    }
    match (request.until, restorer.end()) {
        (Until::Position(wanted), Some(end)) if end.position() != wanted => {
            let reach = vec![format!("the entry of that sequence has position {}", end.position())];
            Err(Error::Unreachable { target: request.until.display(), reach })
        }
        _ => Ok(()),
    }
}

/// Writes small files beside the store; those of a later backup replace those of an earlier one.
async fn put_files(data: PathBuf, files: Vec<RestoredFile>) -> Result<(), Error> {
    off_the_reactor(move || {
        files
            .iter()
            .try_for_each(|file| file.put(&data))
            .map_err(Error::file("cannot write a file to", &data))
    })
    .await
}

//----------- Choosing -------------------------------------------------------

/// Returns the directory and the chain of backups to restore from.
fn choose(from: &Path, until: Until) -> Result<(PathBuf, Vec<Manifest>), Error> {
    let absent = || Error::Absent { name: from.display().to_string() };
    let from = fs::canonicalize(from).map_err(|_| absent())?;
    let is_backup = from.join(manifest::FILE).exists();
    let directory = if is_backup { from.parent().unwrap_or(Path::new("/")).to_owned() } else { from.clone() };
    let chains = if is_backup { vec![one_chain(&from)?] } else { chains(&from)? };
    if chains.is_empty() {
        return Err(absent());
    }
    let mut reach: Vec<String> = Vec::new();
    let mut best: Option<Vec<Manifest>> = None;
    for chain in chains {
        reach.extend(reach_of(&chain));
        if until.is_reached_by(&chain) && best.as_ref().is_none_or(|best| is_better(until, &chain, best)) {
            best = Some(chain);
        }
    }
    let chain = best.ok_or_else(|| Error::Unreachable { target: until.display(), reach })?;
    Ok((directory, chain))
}

fn one_chain(folder: &Path) -> Result<Vec<Manifest>, Error> {
    chain(folder).map_err(|finding| Error::NotWhole { found: vec![finding] })
}

/// Returns the chains in a directory, one for each backup. All must be of one store.
fn chains(directory: &Path) -> Result<Vec<Vec<Manifest>>, Error> {
    let held = manifests(directory)?;
    let first = held.first().map(|manifest| manifest.origin);
    if held.iter().any(|manifest| Some(manifest.origin) != first) {
        let message = "it holds backups of several stores; name the folder of one backup";
        let finding = Finding::new(directory.display().to_string(), message);
        return Err(Error::NotWhole { found: vec![finding] });
    }
    let mut chains = Vec::new();
    for manifest in &held {
        match chain(&directory.join(&manifest.name)) {
            Ok(chain) => chains.push(chain),
            Err(finding) => {
                tracing::warn!(backup = %manifest.name, %finding, "this backup is not used: nothing can \
                be restored from it")
            }
        }
    }
    Ok(chains)
}

/// Returns whether `one` is the better of two chains that reach a target. For the end, the newest chain is better. For an
/// earlier target, the chain with the newest image is better, and of those the shorter.
fn is_better(until: Until, one: &[Manifest], other: &[Manifest]) -> bool {
    let rank = |chain: &[Manifest]| {
        let tip = chain.last().map_or((0, 0), |tip| (tip.created_ms, tip.to.sequence));
        let start = start(chain).map_or(0, |start| start.sequence);
        let reaches_beyond = match until.target() {
            RestoreTarget::Time(time_ms) => chain.last().is_some_and(|tip| tip.to.time_ms > time_ms),
            RestoreTarget::Sequence(_) => true,
            RestoreTarget::End => false,
        };
        let shorter = usize::MAX - chain.len();
        if reaches_beyond { (true, (start, 0), shorter) } else { (false, tip, shorter) }
    };
    rank(one) > rank(other)
}

/// Describes the range to which a chain can be restored.
fn reach_of(chain: &[Manifest]) -> Option<String> {
    let (start, tip) = (start(chain)?, chain.last()?);
    Some(format!(
        "{} reaches from {} ({}) to {} ({})",
        tip.name,
        start.position(),
        time(start.time_ms),
        tip.to.position(),
        time(tip.to.time_ms)
    ))
}

//----------- Sibling --------------------------------------------------------

/// The directory beside the data directory in which the store is built. Dropping it before it is complete removes it.
struct Sibling {
    path: PathBuf,
    data: PathBuf,
    complete: bool,
}

impl Sibling {
    fn create(data: &Path) -> Result<Self, Error> {
        let data = std::path::absolute(data).map_err(Error::file("cannot find", data))?;
        if is_occupied(&data)? {
            return Err(Error::DataNotEmpty { directory: data });
        }
        let mut name = data.file_name().unwrap_or_default().to_owned();
        name.push(".restoring");
        let path = data.with_file_name(name);
        if let Some(parent) = path.parent() {
            create_directory(parent).map_err(Error::file("cannot make", parent))?;
        }
        match DirBuilder::new().mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path, data, complete: false }),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                Err(Error::RestoreUnderWay { directory: path })
            }
            Err(error) => Err(Error::file("cannot make", &path)(error)),
        }
    }

    /// Renames the directory to the data directory; when this returns, that is durable.
    fn complete(mut self) -> Result<(), Error> {
        let parent = self.data.parent().unwrap_or(Path::new("/"));
        let named = sync_directory(&self.path)
            .and_then(|()| fs::rename(&self.path, &self.data))
            .and_then(|()| sync_directory(parent));
        named.map_err(Error::file("cannot put the restored store at", &self.data))?;
        self.complete = true;
        Ok(())
    }
}

impl Drop for Sibling {
    fn drop(&mut self) {
        if self.complete {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "the directory of a failed restore could not be removed; remove it by hand");
        }
    }
}

/// Returns whether a directory is not empty.
fn is_occupied(directory: &Path) -> Result<bool, Error> {
    match fs::read_dir(directory) {
        Ok(mut files) => Ok(files.next().is_some()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file("cannot read", directory)(error)),
    }
}
