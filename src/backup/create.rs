//! Creation of a backup: the store is copied, chunk by chunk, while it is in use.

use std::collections::BTreeMap;
use std::path::Path;

use super::blocking::off_the_reactor;
use super::chain;
use super::chunk::{self, ChunkWriter};
use super::error::Error;
use super::file::BackedUpFile;
use super::folder::{LockedDirectory, PartialFolder};
use super::key::{DataKey, Key};
use super::kind::Kind;
use super::list::{self, Held};
use super::manifest::{self, Base, Chunk, Holds, ImageSpan, Lock, Manifest};
use super::options::Options;
use super::progress::Progress;
use super::summary::Summary;
use crate::model::position::Incarnation;
use crate::store::Store;
use crate::store::copy::image::CopiedChange;
use crate::store::error::Error as StoreError;
use crate::store::journal::check::JournalCheck;
use crate::store::writer::End;

/// Key of the journal entries in the counts.
pub(super) const JOURNAL: &str = "journal";
/// Key of the small files in the counts.
pub(super) const FILES: &str = "files";

type Tell<'a> = &'a (dyn Fn(Progress) + Send + Sync);

/// Makes a backup; see [`super::Backups::create`].
pub(super) async fn create(
    store: &Store,
    options: &Options,
    directory: &Path,
    kind: Kind,
    on_progress: Tell<'_>,
) -> Result<Summary, Error> {
    on_progress(Progress { stage: "begin", done_bytes: 0, total_bytes: None, entries: 0 });
    let locked = off_the_reactor({
        let directory = directory.to_owned();
        move || LockedDirectory::open(&directory)
    });
    let locked = locked.await?;
    let _hold = store.hold_journal().await;
    let origin = origin(store)?;
    let (base, note) = match kind {
        Kind::Full => (None, None),
        Kind::Incremental => match find_base(store, options, directory, origin).await? {
            Ok(base) => (Some(base), None),
            Err(reason) => {
                tracing::warn!(directory = %directory.display(), %reason, "no backup can be continued; a full one is made");
                (None, Some(format!("a full backup was made instead: {reason}")))
            }
        },
    };
    let kind = if base.is_some() { Kind::Incremental } else { Kind::Full };
    let folder = locked.begin(&name_start(store.now_ms(), kind))?;
    let mut id = [0; 16];
    store.fill_random(&mut id);
    let (key, lock) = lock(store, options, &id)?.unzip();
    let chunk_bytes = options.chunk_bytes.clamp(1, 64 * 1024 * 1024);
    let writer = ChunkWriter::new(folder.path(), key.clone(), chunk_bytes);
    let mut copying =
        Copying { store, on_progress, writer, counts: BTreeMap::new(), identifiers: 0, entries: 0 };
    copying.copy_files(&options.files).await?;
    let copied = match &base {
        Some(base) => copying.copy_since(base.to).await?,
        None => copying.copy_all().await?,
    };
    let manifest = Manifest {
        id,
        name: folder.name().to_owned(),
        node_version: options.node_version.clone(),
        created_ms: store.now_ms(),
        engine: store.engine_kind(),
        folding: store.folding(),
        origin,
        image: copied.image,
        base: base.map(|base| Base { name: base.name, id: base.id }),
        journal_first: copied.journal_first,
        from: copied.from,
        to: copied.to,
        entries: copied.counts,
        identifiers: copied.identifiers,
        lock,
        chunks: copied.chunks,
    };
    let summary = complete(manifest, key, folder, directory, note).await?;
    list_again(store, options, directory).await?;
    Ok(summary)
}

/// Writes the manifest and renames the folder to its final name.
async fn complete(
    manifest: Manifest,
    key: Option<DataKey>,
    folder: PartialFolder,
    directory: &Path,
    note: Option<String>,
) -> Result<Summary, Error> {
    let directory = directory.to_owned();
    off_the_reactor(move || {
        let path = folder.path().join(manifest::FILE);
        let bytes = manifest.encode(key.as_ref()).map_err(std::io::Error::other);
        let written = bytes.and_then(|bytes| chunk::write_file(&path, &bytes));
        written.map_err(Error::file("cannot write", &path))?;
        folder.complete()?;
        Ok(Summary { note, ..Summary::of(&manifest, &directory) })
    })
    .await
}

/// Writes the catalog again, with what is there: it is on disk when this returns.
async fn list_again(store: &Store, options: &Options, directory: &Path) -> Result<(), Error> {
    let (directory, key_file) = (directory.to_owned(), options.key_file.clone());
    let mut nonce = [0; 24];
    store.fill_random(&mut nonce);
    off_the_reactor(move || {
        let key = key_file.as_deref().map(Key::load).transpose()?;
        let held = list::scan(&directory, key.as_ref())?;
        held.log(&directory);
        held.catalog(&directory).save(&directory, key.as_ref().map(|key| (key, nonce)))
    })
    .await
}

/// Returns the first incarnation of a store, which all its backups share.
fn origin(store: &Store) -> Result<Incarnation, Error> {
    let lineage = store.lineage();
    let first = lineage.entries().first().map(|entry| entry.incarnation);
    first
        .ok_or(StoreError::CopyDamaged { detail: "the store has no incarnation yet".to_owned() })
        .map_err(Error::store("cannot back up the store"))
}

/// Returns the beginning of a backup's name: its time in UTC, and its kind.
fn name_start(now_ms: u64, kind: Kind) -> String {
    let timestamp = i64::try_from(now_ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let time = timestamp.unwrap_or(jiff::Timestamp::UNIX_EPOCH).strftime("%Y-%m-%dT%H%M%SZ");
    format!("{time}-{kind}")
}

/// Returns a new data key, and the same key locked, when a key file is configured.
fn lock(store: &Store, options: &Options, id: &[u8; 16]) -> Result<Option<(DataKey, Lock)>, Error> {
    let Some(path) = &options.key_file else {
        return Ok(None);
    };
    let key = Key::load(path)?;
    let (mut data_key, mut nonce) = ([0; 32], [0; 24]);
    store.fill_random(&mut data_key);
    store.fill_random(&mut nonce);
    let lock = Lock { nonce, data_key: key.lock(id, &nonce, &data_key) };
    Ok(Some((DataKey::new(&data_key, *id), lock)))
}

//----------- Base -----------------------------------------------------------

/// Returns the newest backup of this store in the directory, by position, if an incremental one can continue it; else why
/// not. Its whole chain must be there and whole: an incremental backup is worth nothing without it.
async fn find_base(
    store: &Store,
    options: &Options,
    directory: &Path,
    origin: Incarnation,
) -> Result<Result<Manifest, String>, Error> {
    let (directory, key_file) = (directory.to_owned(), options.key_file.clone());
    let found = off_the_reactor(move || {
        let key = key_file.as_deref().map(Key::load).transpose()?;
        let held = list::scan(&directory, key.as_ref())?;
        held.log(&directory);
        let Some(base) = held.manifests.iter().find(|manifest| manifest.origin == origin) else {
            return Ok(Err(no_base(&held)));
        };
        let whole = chain::check_whole(&directory.join(&base.name), key.as_ref());
        Ok(whole.map(|()| base.clone()).map_err(|finding| format!("{} is not whole: {finding}", base.name)))
    });
    let base = match found.await? {
        Ok(base) => base,
        Err(reason) => return Ok(Err(reason)),
    };
    if base.lock.is_some() != options.key_file.is_some() {
        return Ok(Err(format!("{} differs in whether it is encrypted", base.name)));
    }
    let continued = is_continued(store, &base).await?;
    Ok(continued.map(|()| base))
}

fn no_base(held: &Held) -> String {
    let reason = "there is no earlier backup of this store";
    match held.unusable.last() {
        None => reason.to_owned(),
        Some(newest) => format!("{reason} that can be used: {}", newest.finding),
    }
}

/// Checks that the journal of the store goes on where a backup ends.
async fn is_continued(store: &Store, base: &Manifest) -> Result<Result<(), String>, Error> {
    let name = &base.name;
    let end = base.to.position();
    if !store.has_position(end) {
        return Ok(Err(format!(
            "{name} ends in an incarnation of the store that this one does not continue"
        )));
    }
    if !store.retains_after(end) {
        return Ok(Err(format!("the journal after {name} was pruned")));
    }
    let there = store.header(end).await.map_err(Error::store("cannot read the journal"))?;
    if there.is_some_and(|header| header.chain != base.to.chain) {
        return Ok(Err(format!("{name} ends in another journal")));
    }
    Ok(Ok(()))
}

//----------- Copying --------------------------------------------------------

/// A copy in progress.
struct Copying<'a> {
    store: &'a Store,
    on_progress: Tell<'a>,
    writer: ChunkWriter,
    counts: BTreeMap<String, u64>,
    identifiers: u64,
    entries: u64,
}

impl Copying<'_> {
    /// Copies the small files of the data directory.
    async fn copy_files(&mut self, files: &[BackedUpFile]) -> Result<(), Error> {
        for file in files {
            self.count(FILES);
            self.writer.add_file(file).await?;
        }
        Ok(())
    }

    /// Copies the image, then the journal that the store holds.
    async fn copy_all(mut self) -> Result<Copied, Error> {
        self.writer.turn_to(Holds::Image).await?;
        let mut image = self.store.image().await.map_err(Error::store("cannot begin an image"))?;
        let from = image.from();
        loop {
            let page = image.next().await.map_err(Error::store("cannot read the image"))?;
            if page.is_empty() {
                break;
            }
            for entry in &page {
                let live = entry.check(self.store.folding()).map_err(|error| {
                    let detail = format!("table {}: {error}", entry.kind());
                    Error::store("cannot copy an entry")(StoreError::CopyDamaged { detail })
                })?;
                self.identifiers += u64::from(live.is_some());
                self.count(entry.kind());
                self.writer.add_entry(entry).await?;
            }
            self.report("image");
        }
        let to = image.finish().await.map_err(Error::store("cannot end the image"))?;
        let first = self.store.complete_from().map_or(1, |position| position.sequence);
        let mut check = JournalCheck::starting_at(first);
        let last = self.copy_journal(to.sequence.max(self.store.end().sequence), &mut check).await?;
        self.finish(Some(ImageSpan { from, to }), first, from, last.unwrap_or(to)).await
    }

    /// Copies the journal after the end of another backup.
    async fn copy_since(mut self, from: End) -> Result<Copied, Error> {
        let mut check = JournalCheck::after(&from);
        let last = self.copy_journal(self.store.end().sequence, &mut check).await?;
        self.finish(None, from.sequence + 1, from, last.unwrap_or(from)).await
    }

    /// Copies journal entries from the position of the check to `last`; returns the end of the copy, if any was copied.
    async fn copy_journal(&mut self, last: u64, check: &mut JournalCheck) -> Result<Option<End>, Error> {
        self.writer.turn_to(Holds::Journal).await?;
        let mut end = None;
        while check.next() <= last {
            let page = self.store.copy_journal(check.next(), last).await;
            let page = page.map_err(Error::store("cannot read the journal"))?;
            if page.is_empty() {
                let detail = format!("journal entry {}: it is missing", check.next());
                return Err(Error::store("cannot copy the journal")(StoreError::CopyDamaged { detail }));
            }
            for change in &page {
                self.copy_change(change, check).await?;
                end = Some(End::at(&change.header));
            }
            self.report("journal");
        }
        Ok(end)
    }

    async fn copy_change(&mut self, change: &CopiedChange, check: &mut JournalCheck) -> Result<(), Error> {
        check.follow(change).map_err(|error| {
            let detail = error.to_string();
            Error::store("cannot copy the journal")(StoreError::CopyDamaged { detail })
        })?;
        self.count(JOURNAL);
        self.writer.add_change(change).await
    }

    fn count(&mut self, what: &str) {
        self.entries += 1;
        match self.counts.get_mut(what) {
            Some(count) => *count += 1,
            None => drop(self.counts.insert(what.to_owned(), 1)),
        }
    }

    fn report(&self, stage: &'static str) {
        let done_bytes = self.writer.raw_bytes();
        (self.on_progress)(Progress { stage, done_bytes, total_bytes: None, entries: self.entries });
    }

    async fn finish(
        self,
        image: Option<ImageSpan>,
        journal_first: u64,
        from: End,
        to: End,
    ) -> Result<Copied, Error> {
        let chunks = self.writer.finish().await?;
        let (counts, identifiers) = (self.counts, self.identifiers);
        Ok(Copied { image, journal_first, from, to, counts, identifiers, chunks })
    }
}

/// Result of a copy, for the manifest.
struct Copied {
    image: Option<ImageSpan>,
    journal_first: u64,
    from: End,
    to: End,
    counts: BTreeMap<String, u64>,
    identifiers: u64,
    chunks: Vec<Chunk>,
}
