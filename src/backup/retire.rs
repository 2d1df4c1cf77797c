//! Retention: removes old backups, a full one with all that continue it, and never the newest undamaged full one.
//!
//! Whether a backup is undamaged is judged by its manifest and the sizes of its files, and, before anything is removed, by the
//! content of the full ones that are retained instead: at most as many as are to be retained, one at least.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use super::blocking::off_the_reactor;
use super::chain;
use super::error::Error;
use super::finding::Finding;
use super::folder::LockedDirectory;
use super::key::Key;
use super::kind::Kind;
use super::list::{self, Held};
use super::manifest::Manifest;
use super::options::Options;
use crate::store::Store;

const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

/// Removes the backups that are beyond retention; returns their names. Backups of other stores are not touched, nor are
/// folders that cannot be read; these are named in the log. Their age is judged by `trusted_ms`. Before anything is removed,
/// the full backups on which that rests are read back; dropping the future then ends the reading.
pub(super) async fn retire(
    store: &Store,
    options: &Options,
    directory: &Path,
    trusted_ms: u64,
) -> Result<Vec<String>, Error> {
    let opened = off_the_reactor({
        let (store, options, directory) = (store.clone(), options.clone(), directory.to_owned());
        move || Opened::open(&store, &options, directory)
    });
    let mut opened = opened.await?;
    let keep = Keep { count: options.keep_count, days: options.keep_days };
    let mut read = HashSet::new();
    let gone = loop {
        let gone = choose(&opened.held, &opened.whole, keep, trusted_ms);
        let mut counted = opened.counted(keep, &gone).into_iter();
        let unread = counted.find(|full| !gone.is_empty() && !read.contains(&full.id));
        let Some(full) = unread.cloned() else { break gone };
        read.insert(full.id);
        if let Err(finding) = read_back(&opened.directory, &full).await? {
            tracing::warn!(%finding, "a full backup is damaged; retention does not count it. Make another one");
            opened.whole.remove(&full.id);
        }
    };
    if gone.is_empty() {
        return Ok(gone);
    }
    let (store, options) = (store.clone(), options.clone());
    off_the_reactor(move || opened.remove(&store, &options, gone)).await
}

/// Compares every chunk of a backup with its SHA-256, each in a blocking task of its own.
async fn read_back(directory: &Path, manifest: &Manifest) -> Result<Result<(), Finding>, Error> {
    for chunk in &manifest.chunks {
        let (folder, chunk) = (directory.join(&manifest.name), chunk.clone());
        let checked = off_the_reactor(move || Ok(chunk.check_stored(&folder))).await?;
        if let Err(finding) = checked {
            return Ok(Err(finding.within(&manifest.name)));
        }
    }
    Ok(Ok(()))
}

//----------- Opened ---------------------------------------------------------

/// A directory of backups, locked, with the backups of one store.
struct Opened {
    directory: PathBuf,
    locked: LockedDirectory,
    /// The backups of the store, the newest first.
    held: Vec<Manifest>,
    /// Ids of the backups that the key proves, if there is one, and whose files are there.
    whole: HashSet<[u8; 16]>,
}

impl Opened {
    fn open(store: &Store, options: &Options, directory: PathBuf) -> Result<Self, Error> {
        let locked = LockedDirectory::open(&directory)?;
        let origin = store.lineage().entries().first().map(|entry| entry.incarnation);
        let held = list::scan(&directory, None)?;
        let whole = whole(&held, options, &directory)?;
        let held = held.manifests.into_iter().filter(|manifest| Some(manifest.origin) == origin).collect();
        Ok(Self { directory, locked, held, whole })
    }

    /// Returns the full backups that are retained and on which the removal of the others rests, the newest first.
    fn counted(&self, keep: Keep, gone: &[String]) -> Vec<&Manifest> {
        let full = self.held.iter().filter(|manifest| manifest.kind() == Kind::Full);
        let counted = full.filter(|full| self.whole.contains(&full.id) && !gone.contains(&full.name));
        counted.take(usize::try_from(keep.count).unwrap_or(usize::MAX).max(1)).collect()
    }

    fn remove(self, store: &Store, options: &Options, gone: Vec<String>) -> Result<Vec<String>, Error> {
        let directory = &self.directory;
        // Before they are removed: an interruption must not leave a catalog that lists what is not there.
        let key = options.key_file.as_deref().map(Key::load).transpose()?;
        let mut catalog = list::scan(directory, key.as_ref())?.catalog(directory);
        catalog.listed.retain(|listed| !gone.contains(&listed.name));
        let mut nonce = [0; 24];
        store.fill_random(&mut nonce);
        catalog.save(directory, key.as_ref().map(|key| (key, nonce)))?;
        for name in &gone {
            self.locked.remove(name)?;
            tracing::info!(%name, directory = %directory.display(), "backup retired");
        }
        Ok(gone)
    }
}

/// Returns the ids of the backups that the key proves, if there is one, and whose files are there. What is wrong with the
/// others is logged.
fn whole(held: &Held, options: &Options, directory: &Path) -> Result<HashSet<[u8; 16]>, Error> {
    for finding in held.listing(directory).findings {
        tracing::warn!(%finding, "a backup is damaged or incomplete; retention does not count it");
    }
    let key = options.key_file.as_deref().map(Key::load).transpose()?;
    let proved = list::scan(directory, key.as_ref())?.manifests.into_iter();
    let whole = proved.filter(|manifest| chain::missing_files(manifest, directory).is_empty());
    Ok(whole.map(|manifest| manifest.id).collect())
}

//----------- Choosing -------------------------------------------------------

/// Limits of retention.
#[derive(Clone, Copy)]
struct Keep {
    /// Number of full backups to retain; 0 for all.
    count: u32,
    /// Days to retain a backup; 0 for no limit.
    days: u32,
}

/// Returns the names of the backups to remove, given all backups, the newest first. A full backup and all that continue
/// it are retained or removed together: they are removed when enough newer whole full ones are retained, or when the
/// newest of them is too old. The newest whole full one is always retained. Increments are removed before the backup that
/// they continue, so that an interruption leaves no increment without its base.
fn choose(held: &[Manifest], whole: &HashSet<[u8; 16]>, keep: Keep, now_ms: u64) -> Vec<String> {
    let groups = group(held);
    let mut gone = Vec::new();
    let mut newer = 0;
    for full in held.iter().filter(|manifest| manifest.kind() == Kind::Full) {
        let group = groups.get(&full.id).map_or(&[][..], Vec::as_slice);
        let newest_ms = group.iter().map(|member| made_ms(member)).max().unwrap_or_else(|| made_ms(full));
        let too_many = keep.count > 0 && newer >= keep.count;
        let too_old = keep.days > 0 && now_ms.saturating_sub(newest_ms) > u64::from(keep.days) * DAY_MS;
        if newer > 0 && (too_many || too_old) {
            gone.extend(group.iter().map(|member| member.name.clone()));
        }
        newer += u32::from(whole.contains(&full.id));
    }
    gone
}

/// Returns when a backup was made, not before its last entry: the clock may have been behind when it was completed.
fn made_ms(manifest: &Manifest) -> u64 {
    manifest.created_ms.max(manifest.to.time_ms)
}

/// Groups the backups by the full one that each is based on, the newest first.
fn group(held: &[Manifest]) -> HashMap<[u8; 16], Vec<&Manifest>> {
    let bases: HashMap<[u8; 16], [u8; 16]> =
        held.iter().filter_map(|manifest| Some((manifest.id, manifest.base.as_ref()?.id))).collect();
    let mut groups: HashMap<[u8; 16], Vec<&Manifest>> = HashMap::new();
    for manifest in held {
        let mut root = manifest.id;
        let mut steps = 0;
        while let Some(base) = bases.get(&root)
            && steps < held.len()
        {
            root = *base;
            steps += 1;
        }
        groups.entry(root).or_default().push(manifest);
    }
    groups
}
