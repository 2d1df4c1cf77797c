//! Opening a store: create it or open it, check its consistency, and repair what can be repaired.
//!
//! ```text
//!   files proven ─▶ engine opens ─▶ header ─▶ incarnations ─▶ journal's end ─▶ high water, contents compared ─▶ tail
//!   checked and repaired ─▶ ready
//! ```
//! A store that differs from what is known of it opens read-only, and nothing is repaired in it. A journal found behind the high-water file opens read-only: what was acknowledged is missing, and only the
//! operator may accept that, by [`accept_loss`] or by a restore.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::caller::CallerName;
use crate::model::identifier::Folding;
use crate::model::position::Stream;

use super::commit::{Appender, Block, End, Proposed};
use super::directory::Directory;
use super::engine::survey;
use super::engine::table::Table;
use super::engine::{Engine, EngineError, EngineKind};
use super::entry::{Change, Operation};
use super::error::Error;
use super::findings::WAY_BACK;
use super::header_v1::StoreHeader;
use super::high_water::{HighWater, HighWaterFile, LAG_MS};
use super::lineage::{Lineage, LineageEntry, name_incarnation};
use super::proof::Proof;
use super::recovery::{Redo, Tail};
use super::retention::RetainedFrom;
use super::writes::{Counts, Writes};
use super::{Inner, Store, key};
use crate::model::environment::{Clock, Entropy};
use crate::telemetry::Chain;

/// How often the witness is compared with the files of a store that changes.
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
    pub appender: Appender,
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

/// The error of a data directory whose engine's files are gone.
pub fn gone(directory: &Path, engine: EngineKind) -> Error {
    let folder = directory.join(engine_folder(engine));
    Error::Gone { directory: directory.to_owned(), folder, engine: engine.to_string() }
}

/// Opens a store, or creates it where there is none.
///
/// What is known of the store is compared with what is there before anything is written. A store with a difference opens
/// read-only, or not at all when the engine would delete or hide what is left; see [`Store::read_only_reason`].
pub async fn open(options: StoreOptions) -> Result<Opened, Error> {
    let Attached { store, fresh, proof } = attach(options).await?;
    let mut appender = Appender::new(store.clone(), store.end());
    let mut report = OpenReport { created: fresh, ..OpenReport::default() };
    if fresh {
        begin_incarnation(&mut appender, "created").await?;
        store.save_high_water()?;
    } else {
        report = store.compare_and_repair(&proof).await?;
    }
    if store.stop_reason().is_none() {
        store.warn_unless_noted(store.note_witness().await);
    }
    Ok(Opened { store, appender, report })
}

/// Accepts that a journal ends before its high-water mark: a new incarnation begins at its present end.
///
/// Entries that outlived their journal entries are recorded again, so that followers see them.
pub async fn accept_loss(options: StoreOptions) -> Result<AcceptedLoss, Error> {
    let Attached { store, .. } = attach(options).await?;
    let found = store.end();
    let lost = store.acknowledged()?.map_or(0, |mark| mark.position.sequence.saturating_sub(found.sequence));
    let mut appender = Appender::new(store.clone(), found);
    store.repair_tail(Redo::All).await?;
    begin_incarnation(&mut appender, "loss accepted").await?;
    let adopted = store.adopt_ahead_of(found.sequence, &mut appender).await?;
    store.save_high_water()?;
    store.close(appender).await?;
    Ok(AcceptedLoss { lost, adopted })
}

/// What [`accept_loss`] accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AcceptedLoss {
    /// Acknowledged journal entries that are lost.
    pub lost: u64,
    /// Entries that outlived their journal entries and were recorded again.
    pub adopted: u64,
}

/// Begins a new incarnation of the store: the first entry names what it continues.
pub(super) async fn begin_incarnation(appender: &mut Appender, reason: &str) -> Result<(), Error> {
    let before = appender.end();
    let store = appender.store().clone();
    let mut random = [0; 10];
    store.fill_random(&mut random);
    let present = store.lineage().present().map(|entry| entry.incarnation);
    let incarnation = name_incarnation(store.now_ms(), random, present);
    let continues = present.map(|_| (before.position(), before.chain));
    let mut lineage = (*store.lineage()).clone();
    lineage.begin(LineageEntry { incarnation, first_sequence: before.sequence + 1, continues });
    let change = Change::Incarnation {
        continues: continues.map(|(position, _)| position),
        chain: before.chain,
        reason: reason.to_owned(),
    };
    appender.begin(incarnation);
    let proposed = Proposed {
        change,
        operation: Operation::Begun,
        caller: CallerName::Node,
        version: lineage.entries().len() as u64,
        replaces: None,
        request: None,
        named: false,
    };
    appender
        .commit(Block { since: before.sequence, changes: vec![proposed], remembered: Vec::new() })
        .await?;
    let mut writes = Writes::default();
    writes.put_lineage(&lineage);
    store.write(writes.into_batch()).await?;
    store.inner.lineage.store(Arc::new(lineage));
    Ok(())
}

//----------- Taking up a store ----------------------------------------------

/// A store whose engine is open, with everything in memory that is held there.
pub(super) struct Attached {
    /// The store.
    pub(super) store: Store,
    /// Whether the store is new.
    pub(super) fresh: bool,
    /// What was found before the engine opened its files.
    pub(super) proof: Proof,
}

/// Proves the engine's files, opens the engine and reads everything that is held in memory.
pub(super) async fn attach(options: StoreOptions) -> Result<Attached, Error> {
    let proof = tokio::task::spawn_blocking({
        let (directory, engine) = (options.directory.clone(), options.engine);
        move || Proof::of(&directory, engine)
    });
    let proof = proof.await.unwrap_or(Err(Error::Engine(EngineError::Stopped)))?;
    attach_as(options, proof).await
}

/// Opens the engine and reads everything that is held in memory.
pub(super) async fn attach_as(options: StoreOptions, proof: Proof) -> Result<Attached, Error> {
    let folder = options.directory.join(engine_folder(options.engine));
    let engine = Engine::open(options.engine, &folder, options.cache_bytes).await?;
    let (high_water, _) = HighWaterFile::open(&options.directory)?;
    let empty =
        End { incarnation: name_incarnation(0, [0; 10], None), sequence: 0, chain: [0; 32], time_ms: 0 };
    let store = Store {
        inner: Arc::new(Inner {
            engine,
            kind: options.engine,
            path: options.directory,
            folding: options.folding,
            clock: options.clock,
            entropy: options.entropy,
            directory: ArcSwap::default(),
            lineage: ArcSwap::default(),
            retained: ArcSwap::default(),
            counts: Arc::new(Mutex::new(Counts::default())),
            end: watch::Sender::new(empty),
            stopped: watch::Sender::new(None),
            paused: watch::Sender::new(None),
            high_water: Mutex::new(high_water),
            witness: Mutex::new(None),
            held: Arc::default(),
        }),
    };
    let fresh = match store.take_up_header(proof.was_complete).await {
        Ok(fresh) => fresh,
        Err(error) => return Err(store.release_after(error).await),
    };
    if !fresh && let Err(error) = store.take_up().await {
        return Err(store.release_after(error).await);
    }
    Ok(Attached { store, fresh, proof })
}

impl Store {
    /// Releases the engine's files after an error.
    async fn release_after(&self, error: Error) -> Error {
        // The first error says more than one of closing.
        let _closed = self.inner.engine.clone().close().await;
        error
    }

    /// Compares the store with what is known of it; without a difference, repairs what a crash may have left.
    async fn compare_and_repair(&self, proof: &Proof) -> Result<OpenReport, Error> {
        self.compare_high_water().await?;
        let mut findings = proof.differences.clone();
        findings.extend(self.findings(proof.witness()).await?);
        if !findings.is_empty() {
            self.stop_writing(&format!("{}; {WAY_BACK}", findings.join("; ")));
        }
        let redo = if self.read_only_reason().is_some() { Redo::Nothing } else { Redo::Handful };
        match self.repair_tail(redo).await {
            Ok(Tail { checked, behind, repaired }) => {
                if behind > repaired && self.read_only_reason().is_none() {
                    self.stop_writing(&format!(
                        "of the last {checked} journal entries, {behind} lead to a state that is missing or older; \
                         {WAY_BACK}"
                    ));
                }
                Ok(OpenReport { created: false, checked, repaired })
            }
            Err(error @ (Error::Damaged { .. } | Error::JournalDamaged { .. } | Error::Engine(_))) => {
                self.stop_writing(&Chain(&error).to_string());
                Ok(OpenReport::default())
            }
            Err(error) => Err(error),
        }
    }

    /// Checks the store header, or writes it where the store is empty. Returns whether it was written.
    async fn take_up_header(&self, was_complete: bool) -> Result<bool, Error> {
        let mine = StoreHeader { folding: self.folding(), streams: 1 };
        let Some(body) = self.meta(key::meta::HEADER).await? else {
            if was_complete {
                return Err(self.format(format!("has lost its header; {WAY_BACK}")));
            }
            let mut writes = Writes::default();
            writes.put(Table::Meta, key::meta::HEADER.to_vec(), &mine.encode(), 0);
            self.write(writes.into_batch()).await?;
            return Ok(true);
        };
        let found = StoreHeader::decode(&body).map_err(|error| {
            self.format(format!("was written by a version of idnode that this one does not know ({error})"))
        })?;
        if found.folding != mine.folding {
            let case = if found.folding == Folding::SuffixSensitive { "true" } else { "false" };
            return Err(self.format(format!(
                "was created with store.case_sensitive_suffix = {case}, which cannot change"
            )));
        }
        if found.streams != 1 {
            return Err(
                self.format(format!("has {} journal streams; this engine writes exactly one", found.streams))
            );
        }
        // A crash between the header and the first entry leaves a store that has not begun.
        let begun = self.meta(key::meta::LINEAGE).await?.is_some() || self.last_header().await?.is_some();
        Ok(!begun && !was_complete)
    }

    /// Reads incarnations, what is retained, the journal's end, prefixes, tokens and counts.
    async fn take_up(&self) -> Result<(), Error> {
        if let Some(body) = self.meta(key::meta::RETAINED).await? {
            let retained =
                RetainedFrom::decode(&body).map_err(|error| self.meta_damage(key::meta::RETAINED, &error))?;
            self.inner.retained.store(Arc::new(retained));
        }
        let body = self.meta(key::meta::LINEAGE).await?;
        let lineage = body.map(|body| Lineage::decode(&body)).transpose();
        let lineage =
            lineage.map_err(|error| self.meta_damage(key::meta::LINEAGE, &error))?.unwrap_or_default();
        let lineage = self.mend_lineage(lineage).await?;
        self.inner.lineage.store(Arc::new(lineage));
        let last = self.last_header().await?;
        let Some(last) = last else {
            return Err(self.format(format!("has no journal entry left; {WAY_BACK}")));
        };
        self.inner.end.send_replace(End::at(&last));
        self.load_directory().await?;
        self.load_counts().await
    }

    pub(super) async fn load_directory(&self) -> Result<(), Error> {
        let mut directory = Directory::default();
        self.for_each(Table::Prefix, &mut |entry| {
            super::entry_v1::read_prefix_state(entry)
                .map(|(entry, sequence)| directory.put_prefix(entry, sequence))
        })
        .await?;
        self.for_each(Table::Token, &mut |entry| {
            super::entry_v1::read_token_state(entry)
                .map(|(entry, sequence)| directory.put_token(entry, sequence))
        })
        .await?;
        self.inner.directory.store(Arc::new(directory));
        Ok(())
    }

    /// Closes the store: writes the high-water file and releases the engine's files.
    ///
    /// It takes the appender, so that nothing can be committed afterwards.
    pub async fn close(&self, appender: Appender) -> Result<(), Error> {
        drop(appender);
        // A store that is behind its high-water mark retains the mark: it is the only evidence of the loss.
        let is_whole = self.stop_reason().is_none();
        if is_whole {
            self.save_high_water()?;
            self.warn_unless_noted(self.note_witness().await);
        }
        self.note_stop("the store is closed");
        self.inner.engine.clone().close().await?;
        if is_whole {
            self.warn_unless_noted(self.list_closed_files().await);
        }
        Ok(())
    }

    /// Logs that the witness could not be written. An older one is no difference, so that this needs no more.
    fn warn_unless_noted(&self, noted: Result<(), Error>) {
        if let Err(error) = noted {
            tracing::warn!(error = %Chain(&error), "what the store holds could not be noted for the next start");
        }
    }
}

//----------- High water -----------------------------------------------------

impl Store {
    /// Compares the journal with what the high-water file says was acknowledged; behind it, writing stops.
    pub(super) async fn compare_high_water(&self) -> Result<(), Error> {
        let Some(mark) = self.acknowledged()? else {
            return self.save_high_water();
        };
        let end = self.end();
        let acknowledged = mark.position.sequence;
        let way_back = "restore the latest backup with `idnode backup restore`, \
                        or accept the loss with `idnode store accept-loss`";
        if end.sequence < acknowledged {
            let lost = acknowledged - end.sequence;
            self.stop_writing(&format!(
                "the journal ends at entry {} but entry {acknowledged} was acknowledged: {lost} changes are missing; {way_back}",
                end.sequence
            ));
            return Ok(());
        }
        let there = self.headers_at(&[acknowledged]).await?.into_iter().flatten().next();
        if there.is_some_and(|header| header.chain != mark.chain) {
            self.stop_writing(&format!(
                "journal entry {acknowledged} is not the one that was acknowledged: files of two stores were mixed; {way_back}"
            ));
        }
        Ok(())
    }

    fn acknowledged(&self) -> Result<Option<HighWater>, Error> {
        HighWaterFile::open(&self.inner.path).map(|(_, mark)| mark)
    }

    /// Writes the end of the journal to the high-water file; blocks for one disk write.
    pub(super) fn save_high_water(&self) -> Result<(), Error> {
        let end = self.end();
        let mark = HighWater { position: end.position(), chain: end.chain };
        self.inner.high_water.lock().unwrap_or_else(std::sync::PoisonError::into_inner).save(&mark)
    }

    /// Keeps the high-water file up to date, at most 200 ms behind, and the witness, until the store is closed or `stop`
    /// resolves.
    pub fn spawn_high_water(&self, mut stop: watch::Receiver<bool>) -> JoinHandle<()> {
        let store = self.clone();
        tokio::spawn(async move {
            let mut end = store.follow();
            let mut noted = Instant::now();
            loop {
                tokio::select! {
                    changed = end.changed() => if changed.is_err() { return },
                    _ = stop.wait_for(|stopped| *stopped) => return,
                }
                tokio::time::sleep(Duration::from_millis(LAG_MS)).await;
                end.borrow_and_update();
                if store.stop_reason().is_some() {
                    return;
                }
                let saved = tokio::task::spawn_blocking({
                    let store = store.clone();
                    move || store.save_high_water()
                });
                if let Ok(Err(error)) = saved.await {
                    store.stop_writing(&format!("{error}: check the disk, then restart the node"));
                    return;
                }
                if noted.elapsed() >= NOTE_EVERY {
                    noted = Instant::now();
                    store.warn_unless_noted(store.note_witness().await);
                }
            }
        })
    }

    pub(super) fn format(&self, detail: String) -> Error {
        Error::Format { directory: self.inner.path.clone(), detail }
    }

    fn meta_damage(&self, key: &[u8], error: &crate::wire::cursor::DecodeError) -> Error {
        self.damaged(Table::Meta, key, &error.clone().into())
    }

    async fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let loaded = self.load(Table::Meta, vec![key.to_vec()]).await?;
        Ok(loaded.into_iter().flatten().next().map(|loaded| loaded.body))
    }

    /// The last header; it is durable, since the store has just been opened.
    pub(super) async fn last_header(&self) -> Result<Option<super::journal::Header>, Error> {
        use super::engine::scan::{Order, ScanLimit, ScanRange};
        let range = ScanRange::starting_with(&Stream::ONLY.0.to_be_bytes());
        let limit = ScanLimit { entries: 1, bytes: 1 };
        let page = self.inner.engine.scan(Table::Header, range, Order::Backward, limit).await?;
        Ok(self.decode_headers(page).await?.pop())
    }
}
