//! Opening a store: create it or open it, check its consistency, and repair what can be repaired.
//!
//! ```text
//!   files compared ─▶ written anew if a failed write was noted ─▶ engine opens ─▶ header ─▶ incarnations
//!   ─▶ journal's end ─▶ directory, counts ─▶ high water and contents compared
//!   ─▶ the last 20,000 entries (the tail) checked, states redone ─▶ ready
//! ```
//! A store that differs from what is known of it opens read-only, and nothing is repaired in it. A journal found behind the
//! high-water file opens read-only: what was acknowledged is missing, and only the operator may accept that, by
//! [`crate::store::open::loss::accept_loss`] or by a restore. When a failed write was noted and the files could not be written anew, the
//! store opens as [`Standing::Unsure`] and recovers as after a failed write of this process.

pub(in crate::store) mod read_only_image;

pub(in crate::store) mod doubt;
pub(in crate::store) mod header_v1;
pub(in crate::store) mod high_water;
pub(in crate::store) mod proof;
pub(in crate::store) mod witness;

pub(in crate::store) mod findings;
pub mod loss;
pub(in crate::store) mod redo;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::caller::CallerName;
use crate::model::environment::{Clock, Entropy};
use crate::model::identifier::Folding;
use crate::store::copy::meta_rebuild;
use crate::store::engine::{Engine, EngineError, EngineKind, Lack, Writes, survey};
use crate::store::entry::meta::Fact as _;
use crate::store::entry::{Change, Operation};
use crate::store::error::Error;
use crate::store::journal::Header;
use crate::store::journal::lineage::{IncarnationBegun, Lineage, LineageEntry, name_incarnation};
use crate::store::journal::retention::RetainedFrom;
use crate::store::open::findings::WAY_BACK;
use crate::store::open::header_v1::{EncodedHeader, StoreHeader};
use crate::store::open::high_water::{HighWater, HighWaterFile, LAG_MS};
use crate::store::open::proof::FileProof;
use crate::store::open::read_only_image::{Obstacle, ReadOnlyImage};
use crate::store::open::redo::{CheckedTail, Redo};
use crate::store::writer::counts::Counts;
use crate::store::writer::{Block, End, JournalWriter, Proposed, Published, Standing};
use crate::store::{Inner, Store};
use crate::telemetry::Chain;

/// Minimum time between two updates of the witness; an update follows a commit or the closing.
const NOTE_EVERY: Duration = Duration::from_secs(1);

/// Options of a store.
#[derive(Clone)]
pub struct StoreOptions {
    /// The data directory; the engine's files stand in a folder below it.
    pub directory: PathBuf,
    /// The storage engine.
    pub engine: EngineKind,
    /// Bytes of the engine's cache.
    pub cache_bytes: u64,
    /// Which letters of a suffix are folded; must be that of the store when there is one.
    pub folding: Folding,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness.
    pub entropy: Entropy,
}

/// An open store, its only writer, and what opening found.
pub struct Opened {
    /// The store, for readers and followers.
    pub store: Store,
    /// The only writer.
    pub writer: JournalWriter,
    /// The findings of opening.
    pub report: OpenReport,
}

/// The findings of opening.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Whether the store was created.
    pub created: bool,
    /// Journal entries that were checked.
    pub checked: u64,
    /// Entries that were redone from the journal.
    pub repaired: u64,
}

/// The folder of an engine below a data directory.
pub fn engine_folder(kind: EngineKind) -> String {
    kind.to_string()
}

/// Whether a data directory holds data of this engine.
pub fn holds_data(directory: &Path, engine: EngineKind) -> bool {
    survey::has_main_file(engine, &directory.join(engine_folder(engine)))
}

/// Returns an error where there is no folder of the engine's files, so that no command for a store at rest makes a new one.
pub(in crate::store) fn refuse_without_data(options: &StoreOptions) -> Result<(), Error> {
    if options.directory.join(engine_folder(options.engine)).is_dir() {
        return Ok(());
    }
    let detail = format!("holds no data of engine {}; name the engine that wrote it", options.engine);
    Err(Error::Format { directory: options.directory.clone(), detail })
}

/// The error of a data directory whose engine's files are gone.
pub fn gone(directory: &Path, engine: EngineKind) -> Error {
    let folder = directory.join(engine_folder(engine));
    Error::Gone { directory: directory.to_owned(), folder, engine: engine.to_string() }
}

/// Opens a store; an error where there is none.
pub async fn open_existing(options: StoreOptions) -> Result<Opened, Error> {
    refuse_without_data(&options)?;
    open(options).await
}

/// Opens a store, or creates it where there is none.
///
/// Differences are looked for before any entry is repaired. A store with a difference opens read-only, see
/// [`Store::read_only_reason`]. So does an image of a store on a file system that is mounted read-only, or on a disk that is too full
/// to open the files there. A store does not open when the engine would delete or hide what is left, or when the header, the
/// incarnations, prefixes, tokens or counts cannot be read.
pub async fn open(options: StoreOptions) -> Result<Opened, Error> {
    let attached = match attach(options.clone()).await {
        Err(error) if error.lacks() == Some(Lack::Space) => attach_image(options, error).await,
        attached => attached,
    };
    let Attached { store, fresh, proof, .. } = attached?;
    let report = if fresh {
        OpenReport { created: true, ..OpenReport::default() }
    } else {
        compare_and_repair(&store, &proof).await?
    };
    // Its view is that of the store, with all that was redone.
    let mut writer = JournalWriter::new(store.clone());
    if fresh {
        begin_incarnation(&mut writer, "created").await?;
        save_high_water(&store)?;
    }
    if let Some(image) = &store.inner.image {
        store.stop_writing(&image.obstacle().reason(store.path()));
    }
    if store.stop_reason().is_none() {
        warn_unless_noted(proof::note_witness(&store).await);
    }
    Ok(Opened { store, writer, report })
}

/// Begins a new incarnation of the store: the first entry names what it continues.
pub(in crate::store) async fn begin_incarnation(
    writer: &mut JournalWriter,
    reason: &str,
) -> Result<(), Error> {
    let before = writer.end();
    let store = writer.store().clone();
    let mut random = [0; 10];
    store.fill_random(&mut random);
    let present = store.lineage().present().map(|entry| entry.incarnation);
    let incarnation = name_incarnation(store.now_ms(), random, present);
    let continues = present.map(|_| (before.position(), before.chain));
    let mut lineage = (*store.lineage()).clone();
    lineage.begin(LineageEntry { incarnation, first_sequence: before.sequence + 1, continues });
    let change = Change::Incarnation(IncarnationBegun {
        continues: continues.map(|(position, _)| position),
        chain: before.chain,
        reason: reason.to_owned(),
    });
    writer.begin(incarnation);
    let proposed = Proposed {
        change,
        operation: Operation::Begun,
        caller: CallerName::Node,
        version: lineage.entries().len() as u64,
        replaces: None,
        request: None,
        named: false,
    };
    writer
        .commit(Block { since: writer.end().position(), changes: vec![proposed], remembered: Vec::new() })
        .await?;
    let mut writes = Writes::default();
    writes.put_fact(&lineage);
    store.write(writes).await?;
    store.inner.lineage.store(Arc::new(lineage));
    Ok(())
}

//----------- Taking up a store ----------------------------------------------

/// A store whose engine is open, with everything in memory that is held there.
pub(in crate::store) struct Attached {
    /// The store.
    pub(in crate::store) store: Store,
    /// Whether the store is new.
    pub(in crate::store) fresh: bool,
    /// What was found before the engine opened its files.
    pub(in crate::store) proof: FileProof,
    /// What a repair had to rebuild or leave out before the store could be read.
    pub(in crate::store) rebuilt: Vec<String>,
}

/// Proves the engine's files, opens the engine and reads everything that is held in memory.
pub(in crate::store) async fn attach(options: StoreOptions) -> Result<Attached, Error> {
    let proven = tokio::task::spawn_blocking({
        let options = options.clone();
        move || {
            let image = ReadOnlyImage::of(&options)?;
            let files = image.as_ref().map_or(options.directory.as_path(), ReadOnlyImage::path);
            let proof = FileProof::of(files, options.engine)?;
            Ok((image, proof))
        }
    });
    let (image, proof) = proven.await.unwrap_or(Err(Error::Engine(EngineError::NotOpen)))?;
    attach_as(options, image, proof).await
}

/// As [`attach`], from an image of a complete store whose files could not be opened because their disk is full. Returns that error
/// where there is no image.
async fn attach_image(options: StoreOptions, full: Error) -> Result<Attached, Error> {
    let proven = tokio::task::spawn_blocking({
        let options = options.clone();
        move || {
            let image = ReadOnlyImage::because(&options, Obstacle::Full)?;
            let proof = image.as_ref().map(|image| FileProof::of(image.path(), options.engine));
            Ok(image.zip(proof.transpose()?))
        }
    });
    match proven.await.unwrap_or(Err(Error::Engine(EngineError::NotOpen))) {
        Ok(Some((image, proof))) if proof.was_complete => attach_as(options, Some(image), proof).await,
        Ok(_) => Err(full),
        Err(error) => {
            tracing::warn!(error = %Chain(&error), "on a full disk, the store cannot be read from an image either");
            Err(full)
        }
    }
}

/// Opens the engine and reads everything that is held in memory.
pub(in crate::store) async fn attach_as(
    options: StoreOptions,
    image: Option<ReadOnlyImage>,
    proof: FileProof,
) -> Result<Attached, Error> {
    let files = image.as_ref().map_or(options.directory.as_path(), ReadOnlyImage::path).to_owned();
    let folder = files.join(engine_folder(options.engine));
    let unsettled = renew_if_noted(&options, image.as_ref(), &files, &folder).await.err();
    let engine = Engine::open(options.engine, &folder, &options.directory, options.cache_bytes).await?;
    let (high_water, _) = HighWaterFile::open(&files)?;
    let empty =
        End { incarnation: name_incarnation(0, [0; 10], None), sequence: 0, chain: [0; 32], time_ms: 0 };
    let store = Store {
        inner: Arc::new(Inner {
            engine,
            kind: options.engine,
            path: options.directory,
            files,
            image,
            folding: options.folding,
            clock: options.clock,
            entropy: options.entropy,
            published: watch::Sender::new(Published {
                end: empty,
                directory: Arc::default(),
                counts: Counts::default(),
            }),
            lineage: ArcSwap::default(),
            retained: ArcSwap::default(),
            standing: watch::Sender::new(Standing::Open),
            paused: watch::Sender::new(None),
            high_water: Mutex::new(high_water),
            witness: Mutex::new(None),
            held: Arc::default(),
        }),
    };
    if let Some(error) = unsettled {
        store.be_unsure(&Chain(&error), error.lacks());
    }
    let mut rebuilt = Vec::new();
    match take_up(&store, &proof, &mut rebuilt).await {
        Ok(fresh) => Ok(Attached { store, fresh, proof, rebuilt }),
        Err(error) => Err(release_after(&store, error).await),
    }
}

/// Has the engine's files written anew when an earlier process left a write of unknown outcome, and makes the note for this one. An
/// error means that what is read may not be on disk.
async fn renew_if_noted(
    options: &StoreOptions,
    image: Option<&ReadOnlyImage>,
    files: &Path,
    folder: &Path,
) -> Result<(), Error> {
    if image.is_some() {
        return Ok(());
    }
    if doubt::is_noted(files) {
        Engine::renew(options.engine, folder).await?;
        doubt::clear(files)?;
        tracing::warn!(
            directory = %options.directory.display(),
            "a write had failed before; the store's files were written anew, so that what they hold is on disk"
        );
    }
    // Without the note a later start reads a failed write from the page cache, and a loss of power after that may take it away.
    if let Err(error) = doubt::begin(files) {
        tracing::warn!(error = %Chain(&error), "a later start may not learn of a write that fails now");
    }
    Ok(())
}

impl Store {
    /// Closes the store: writes the high-water file and the witness, releases the engine's files and lists them; on disk when this
    /// returns. A store that is unsure or stopped only releases them. Fails after 60 s.
    ///
    /// It takes the writer, so that nothing can be committed afterwards.
    pub async fn close(&self, writer: JournalWriter) -> Result<(), Error> {
        drop(writer);
        // A store that is behind its high-water mark retains the mark: it is the only evidence of the loss.
        let is_whole = self.stop_reason().is_none();
        if is_whole {
            save_high_water(self)?;
            warn_unless_noted(proof::note_witness(self).await);
        }
        self.note_stop("the store is closed");
        self.inner.engine.close().await?;
        if is_whole {
            warn_unless_noted(proof::list_closed_files(self).await);
        }
        Ok(())
    }
}

/// Releases the engine's files after an error.
async fn release_after(store: &Store, error: Error) -> Error {
    // The first error says more than one of closing.
    let _closed = store.inner.engine.close().await;
    error
}

/// Compares the store with what is known of it; without a difference, repairs what a crash may have left.
async fn compare_and_repair(store: &Store, proof: &FileProof) -> Result<OpenReport, Error> {
    loss::compare_high_water(store).await?;
    let mut findings = proof.differences.clone();
    findings.extend(findings::compare(store, proof.witness()).await?.into_sentences());
    if !findings.is_empty() {
        store.stop_writing(&format!("{}; {WAY_BACK}", findings.join("; ")));
    }
    let redo = if store.read_only_reason().is_some() { Redo::Nothing } else { Redo::Handful };
    match redo::repair_tail(store, redo).await {
        Ok(CheckedTail { checked, behind, repaired }) => {
            if behind > repaired && store.read_only_reason().is_none() {
                store.stop_writing(&format!(
                    "of the last {checked} journal entries, {behind} lead to a state that is missing or older; \
                     {WAY_BACK}"
                ));
            }
            Ok(OpenReport { created: false, checked, repaired })
        }
        Err(error) if error.is_damage() => {
            store.stop_writing(&Chain(&error).to_string());
            Ok(OpenReport::default())
        }
        Err(error) => Err(error),
    }
}

/// Reads everything that is held in memory. Returns whether the store is new; then there is nothing to read.
async fn take_up(store: &Store, proof: &FileProof, rebuilt: &mut Vec<String>) -> Result<bool, Error> {
    if take_up_header(store, proof).await? {
        return Ok(true);
    }
    if proof.asks_for_repair && lacks_facts(store).await? {
        meta_rebuild::rebuild_meta(store).await?;
        rebuilt.push("the incarnations and the retention bounds were rebuilt from the journal".to_owned());
    }
    take_up_journal(store).await?;
    for read in [redo::load_directory(store).await, redo::load_counts(store).await] {
        match read {
            // A repair rebuilds them from the journal.
            Err(error) if proof.asks_for_repair && error.is_damage() => {
                rebuilt.push(Chain(&error).to_string());
            }
            read => read?,
        }
    }
    Ok(false)
}

/// Whether the incarnations are missing, or they or what is retained cannot be read: both follow from the journal.
async fn lacks_facts(store: &Store) -> Result<bool, Error> {
    let engine = &store.inner.engine;
    let has_lineage = engine.fact::<Lineage>().await.map(|lineage| lineage.is_some());
    let read = match has_lineage {
        Ok(true) => engine.fact::<RetainedFrom>().await.map(|_| true),
        other => other,
    };
    match read {
        Ok(is_there) => Ok(!is_there),
        Err(error) if error.is_damage() => Ok(true),
        Err(error) => Err(error),
    }
}

/// Checks the store header, or writes it where there is none. Returns whether the store is new.
async fn take_up_header(store: &Store, proof: &FileProof) -> Result<bool, Error> {
    let mine = StoreHeader { folding: store.folding(), streams: 1 };
    let found: Option<EncodedHeader> = store.inner.engine.get_one(&StoreHeader::NAME).await?;
    let Some(EncodedHeader(found)) = found else {
        if proof.was_complete {
            return Err(store.format(format!("has lost its header; {WAY_BACK}")));
        }
        if proof.asks_for_repair && store.last_header().await?.is_none() {
            return Err(without_journal(store));
        }
        let mut writes = Writes::default();
        writes.put_fact(&mine);
        store.write(writes).await?;
        return Ok(!proof.asks_for_repair);
    };
    let found = StoreHeader::read(&found).map_err(|error| {
        store.format(format!("was written by a version of idnode that this one does not know ({error})"))
    })?;
    if found.folding != mine.folding {
        let case = if found.folding == Folding::SuffixSensitive { "true" } else { "false" };
        return Err(store
            .format(format!("was created with store.case_sensitive_suffix = {case}, which cannot change")));
    }
    if found.streams != 1 {
        return Err(
            store.format(format!("has {} journal streams; this engine writes exactly one", found.streams))
        );
    }
    // A crash between the header and the first entry leaves a store that has not begun.
    let begun = store.last_header().await?.is_some() || store.inner.engine.fact::<Lineage>().await?.is_some();
    Ok(!begun && !proof.was_complete)
}

/// Reads incarnations, what is retained, and the journal's end.
pub(in crate::store) async fn take_up_journal(store: &Store) -> Result<(), Error> {
    if let Some(retained) = store.inner.engine.fact::<RetainedFrom>().await? {
        store.inner.retained.store(Arc::new(retained));
    }
    let lineage = store.inner.engine.fact::<Lineage>().await?.unwrap_or_default();
    let lineage = redo::mend_lineage(store, lineage).await?;
    store.inner.lineage.store(Arc::new(lineage));
    let last = store.last_header().await?;
    let Some(last) = last else { return Err(without_journal(store)) };
    store.set_end(End::at(&last));
    Ok(())
}

fn without_journal(store: &Store) -> Error {
    store.format(format!("has no journal entry left; {WAY_BACK}"))
}

/// Logs that the witness could not be written. An older one is no difference, so that this needs no more.
fn warn_unless_noted(noted: Result<(), Error>) {
    if let Err(error) = noted {
        tracing::warn!(error = %Chain(&error), "what the store holds could not be noted for the next start");
    }
}

//----------- High water -----------------------------------------------------

impl Store {
    /// Keeps the high-water file up to date, one write some 200 ms behind, and the witness, until the store is closed, stops for good, or
    /// `stop` resolves. When the high-water file cannot be written, the store is unsure.
    pub fn spawn_high_water(&self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let store = self.clone();
        tokio::spawn(async move {
            let mut noting = Noting::new(store.clone());
            let mut end = store.follow();
            loop {
                tokio::select! {
                    changed = end.changed() => if changed.is_err() { break },
                    _ = stop.wait_for(|stopped| *stopped) => break,
                }
                tokio::time::sleep(Duration::from_millis(LAG_MS)).await;
                end.borrow_and_update();
                match store.standing() {
                    Standing::Open => {}
                    Standing::Unsure { .. } => continue,
                    Standing::Stopped { .. } => break,
                }
                if let Err(error) = high_water_saved(&store).await {
                    store.be_unsure(&Chain(&error), error.lacks());
                }
                noting.note_if_due();
            }
            noting.end().await;
        })
    }

    pub(in crate::store) fn format(&self, detail: String) -> Error {
        Error::Format { directory: self.inner.path.clone(), detail }
    }

    /// The last header; it is durable, since the store has just been opened.
    pub(in crate::store) async fn last_header(&self) -> Result<Option<Header>, Error> {
        self.inner.engine.last().await
    }
}

/// Writes the end of the journal to the high-water file; blocks for one disk write.
pub(in crate::store) fn save_high_water(store: &Store) -> Result<(), Error> {
    let end = store.end();
    let mark = HighWater { position: end.position(), chain: end.chain };
    store.inner.high_water.lock().unwrap_or_else(std::sync::PoisonError::into_inner).save(&mark)
}

/// Writes the end of the journal to the high-water file, off the reactor.
pub(in crate::store) async fn high_water_saved(store: &Store) -> Result<(), Error> {
    let store = store.clone();
    let saved = tokio::task::spawn_blocking(move || save_high_water(&store)).await;
    saved.unwrap_or(Err(Error::Engine(EngineError::NotOpen)))
}

//----------- Noting ---------------------------------------------------------

/// Notes the witness of a store that changes beside the high-water file, which does not wait for it.
struct Noting {
    store: Store,
    began: Instant,
    running: Option<JoinHandle<()>>,
}

impl Noting {
    fn new(store: Store) -> Self {
        Self { store, began: Instant::now(), running: None }
    }

    /// Begins to note, unless that was done lately or is still being done.
    fn note_if_due(&mut self) {
        let is_running = self.running.as_ref().is_some_and(|running| !running.is_finished());
        if is_running || self.began.elapsed() < NOTE_EVERY {
            return;
        }
        self.began = Instant::now();
        let store = self.store.clone();
        self.running =
            Some(tokio::spawn(async move { warn_unless_noted(proof::note_witness(&store).await) }));
    }

    /// Waits for the end of what was begun.
    async fn end(self) {
        if let Some(running) = self.running {
            // A panic in it is logged where it happens; the witness on disk is older then, which is no difference.
            let _ended = running.await;
        }
    }
}
