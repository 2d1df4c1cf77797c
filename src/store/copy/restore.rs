//! Rebuilding a store from copies: an image, and journal entries that are redone onto it.
//!
//! ```text
//!   begin ─ put_entries … ─ put_changes … (checked, redone up to the target) ─ finish ─▶ a new incarnation, reopened
//! ```
//! Journal entries are copied unchanged; those after the start of the image are also redone onto the states, by version.
//! An image cannot be undone: a target is at or after its end. The resulting store is complete only when
//! [`Restorer::finish`] has returned; after a failure before that, its directory has to be deleted.

use crate::model::limits::GROUP_ITEMS_MAX;
use crate::model::position::Position;
use crate::store::Store;
use crate::store::copy::image::{CopiedChange, CopiedEntry};
use crate::store::engine::{PageLimit, Span, WriteId, Writes};
use crate::store::entry::digest::put_digest;
use crate::store::entry::meta::FactName;
use crate::store::entry::{Change, EntryKind, IdentifierEntry};
use crate::store::error::Error;
use crate::store::journal::check::JournalCheck;
use crate::store::journal::lineage::Lineage;
use crate::store::journal::retention::{RetainedFrom, Seal};
use crate::store::journal::{Body, Hash, JournalEntry};
use crate::store::open::redo;
use crate::store::open::{Attached, Opened, StoreOptions, attach, begin_incarnation, open};
use crate::store::writer::counts::Counts;
use crate::store::writer::{End, JournalWriter};

/// Why the incarnation of a restored store began, as its first entry says.
pub const RESTORED: &str = "restored";
/// Bytes after which a batch is written.
const GROUP_BYTES: usize = 4 * 1024 * 1024;
/// Size of one step through the states.
const STEP: PageLimit = PageLimit { entries: 1_000, bytes: GROUP_BYTES };

//----------- RestoreTarget --------------------------------------------------

/// The target of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreTarget {
    /// The end of the copies.
    End,
    /// The entry of this sequence.
    Sequence(u64),
    /// The last entry not after this time, in milliseconds since 1970.
    Time(u64),
}

impl RestoreTarget {
    /// Whether an entry of this sequence and time is to be redone.
    pub fn includes(self, sequence: u64, time_ms: u64) -> bool {
        match self {
            Self::End => true,
            Self::Sequence(last) => sequence <= last,
            Self::Time(last_ms) => time_ms <= last_ms,
        }
    }
}

//----------- Restorer -------------------------------------------------------

/// A store being rebuilt, from entries in the order of the copy.
pub struct Restorer {
    options: StoreOptions,
    store: Store,
    target: RestoreTarget,
    /// Entries after this sequence are redone.
    image_from: u64,
    image_to: u64,
    lineage: Lineage,
    retained: RetainedFrom,
    journal: Option<JournalCheck>,
    end: Option<End>,
    live: u64,
}

/// The result of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The last entry that was restored.
    pub continues: Position,
    /// Time of the last restored entry, in milliseconds since 1970.
    pub time_ms: u64,
    /// The first entry of the new incarnation.
    pub present: Position,
    /// Live identifiers.
    pub identifiers: u64,
}

impl Restorer {
    /// Starts in an empty directory; the image spans these sequences.
    pub async fn begin(
        options: StoreOptions,
        image_from: u64,
        image_to: u64,
        target: RestoreTarget,
    ) -> Result<Self, Error> {
        let Attached { store, fresh, .. } = attach(options.clone()).await?;
        if !fresh {
            store.inner.engine.close().await?;
            return Err(store.format("holds data already; a restore needs an empty directory".to_owned()));
        }
        let (lineage, retained) = (Lineage::default(), RetainedFrom::default());
        Ok(Self {
            options,
            store,
            target,
            image_from,
            image_to,
            lineage,
            retained,
            journal: None,
            end: None,
            live: 0,
        })
    }

    /// Puts entries of the image; when this returns, they are on disk.
    pub async fn put_entries(&mut self, entries: Vec<CopiedEntry>) -> Result<(), Error> {
        for group in groups(entries, CopiedEntry::bytes) {
            let mut writes = Writes::default();
            for entry in group {
                self.put_entry(entry, &mut writes)?;
            }
            self.store.write(writes).await?;
        }
        Ok(())
    }

    fn put_entry(&mut self, entry: CopiedEntry, writes: &mut Writes) -> Result<(), Error> {
        let folding = self.options.folding;
        let in_place = |error: String| {
            damaged(format!("table {}, key {}: {error}", entry.kind(), entry.key.escape_ascii()))
        };
        let identifier = entry.check(folding).map_err(|error| in_place(error.to_string()))?;
        let fact = FactName::from_bytes(&entry.key).filter(|_| entry.kind == EntryKind::Meta);
        match fact {
            // The new store has its own header; the others are written when the journal has been put.
            Some(FactName::Header) => return Ok(()),
            Some(FactName::Lineage) => {
                self.lineage = entry.read().map_err(|error| in_place(error.to_string()))?;
                return Ok(());
            }
            Some(FactName::Retained) => {
                self.retained = entry.read().map_err(|error| in_place(error.to_string()))?;
                return Ok(());
            }
            None => {}
        }
        if let Some(identifier) = identifier {
            self.live += 1;
            put_digest(writes, &identifier, &identifier.canonical(folding));
        }
        let id = write_id(&entry);
        writes.put_body(entry.kind, entry.key, &entry.body, id);
        Ok(())
    }

    /// Puts journal entries, in order; redoes those after the image began. When this returns, they are on disk.
    /// Returns whether more are needed: not once the target is reached.
    pub async fn put_changes(&mut self, changes: Vec<CopiedChange>) -> Result<bool, Error> {
        self.prepare().await?;
        let given = changes.len();
        let target = self.target;
        let wanted = changes
            .into_iter()
            .take_while(|change| target.includes(change.header.position.sequence, change.header.time_ms));
        let wanted: Vec<CopiedChange> = wanted.collect();
        let more = wanted.len() == given;
        for group in groups(wanted, CopiedChange::bytes) {
            self.put_group(group).await?;
        }
        Ok(more)
    }

    /// Before the first journal entry: what redoing compares with.
    async fn prepare(&mut self) -> Result<(), Error> {
        if self.journal.is_some() {
            return Ok(());
        }
        if self.lineage.present().is_none() {
            return Err(damaged("the image does not hold the incarnations of the store".to_owned()));
        }
        self.journal = Some(JournalCheck::starting_at(self.retained.headers_from));
        redo::load_directory(&self.store).await
    }

    async fn put_group(&mut self, group: Vec<CopiedChange>) -> Result<(), Error> {
        let mut writes = Writes::default();
        let mut redone = Vec::new();
        for change in group {
            if let Some(journal) = &mut self.journal {
                journal.follow(&change).map_err(|error| damaged(error.to_string()))?;
            }
            let entry = self.put_change(change, &mut writes)?;
            if entry.header.position.sequence > self.image_from {
                redone.push(entry);
            }
        }
        redo::redo_into(&self.store, &redone, &mut writes).await?;
        self.store.write(writes).await
    }

    /// Puts one journal entry unchanged, and a seal when it completes a segment.
    fn put_change(&mut self, change: CopiedChange, writes: &mut Writes) -> Result<JournalEntry, Error> {
        let CopiedChange { header, body } = change;
        let sequence = header.position.sequence;
        let decoded = body.as_deref().map(Body::decode).transpose();
        let decoded = decoded.map_err(|error| damaged(format!("journal entry {sequence}: {error}")))?;
        match (&body, &decoded) {
            (Some(body), Some(decoded)) => writes.put_journal(&header, body, decoded.write_id()),
            _ if sequence > self.image_from || sequence >= self.retained.bodies_from => {
                return Err(damaged(format!("journal entry {sequence}: its body is missing")));
            }
            _ => writes.put_header(&header),
        }
        let end = End::at(&header);
        if let Some(seal) = Seal::at(end) {
            writes.put(&seal.key(), &seal, WriteId::SMALL);
        }
        self.end = Some(end);
        let entry = JournalEntry { header, body: decoded };
        self.follow_incarnations(&entry)?;
        Ok(entry)
    }

    /// Records an incarnation that begins after the image, and checks that each entry belongs to its incarnation.
    fn follow_incarnations(&mut self, entry: &JournalEntry) -> Result<(), Error> {
        let position = entry.header.position;
        let present = self.lineage.present().map(|entry| entry.incarnation);
        if let Some(Body { change: Change::Incarnation(begun), .. }) = &entry.body
            && present.is_some_and(|present| present < position.incarnation)
        {
            self.lineage.begin(begun.at(position));
        }
        if self.lineage.position_of(position.sequence) == Some(position) {
            return Ok(());
        }
        Err(damaged(format!(
            "journal entry {}: it belongs to an incarnation that the store did not have",
            position.sequence
        )))
    }

    /// Live identifiers in the image, as far as it was put.
    pub fn live_entries(&self) -> u64 {
        self.live
    }

    /// The last entry put so far.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Completes the store: counts, begins a new incarnation, closes, opens again and checks. When this returns, all of
    /// it is on disk and closed.
    pub async fn finish(self) -> Result<Restored, Error> {
        let Some(end) = self.end.filter(|end| end.sequence >= self.image_to) else {
            self.abandon().await?;
            return Err(damaged("its journal ends before its image does".to_owned()));
        };
        let identifiers = self.recount(end).await?;
        let mut writes = Writes::default();
        writes.put_fact(&self.lineage);
        writes.put_fact(&self.retained);
        self.store.write(writes).await?;
        self.store.inner.engine.close().await?;
        begin_restored(self.options.clone()).await?;
        self.reopen(end, identifiers).await
    }

    /// Releases the files, so that the directory can be deleted.
    pub async fn abandon(&self) -> Result<(), Error> {
        Ok(self.store.inner.engine.close().await?)
    }

    /// Counts the live identifiers of each prefix, reading every state once.
    async fn recount(&self, end: End) -> Result<u64, Error> {
        let mut counts = Counts::default();
        let mut span = Span::<IdentifierEntry>::all();
        loop {
            let page = self.store.inner.engine.next(&mut span, STEP).await;
            let page = page.map_err(|error| match error {
                Error::Damaged { detail, .. } => damaged(detail),
                error => error,
            })?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                if entry.sequence > end.sequence {
                    let detail = format!("{} changed after the journal's end", entry.identifier);
                    return Err(damaged(detail));
                }
                counts.follow(entry.identifier.prefix(), || 0, false, entry.is_live());
            }
        }
        let mut writes = Writes::default();
        counts.put_into(&mut writes);
        self.store.write(writes).await?;
        Ok(counts.total())
    }

    /// Opens the rebuilt store as a node would, and checks the result.
    async fn reopen(self, end: End, identifiers: u64) -> Result<Restored, Error> {
        let Opened { store, writer, report } = open(self.options).await?;
        let present = store.head();
        let continues = store.lineage().present().and_then(|entry| entry.continues);
        let found = (report.repaired, store.count(), continues, store.read_only_reason());
        store.close(writer).await?;
        if found != (0, identifiers, Some((end.position(), end.chain)), None) {
            return Err(damaged(format!("what was restored does not read back: {found:?}")));
        }
        Ok(Restored { continues: end.position(), time_ms: end.time_ms, present, identifiers })
    }
}

/// Begins a new incarnation on a store whose last one ended elsewhere.
async fn begin_restored(options: StoreOptions) -> Result<(), Error> {
    let Attached { store, .. } = attach(options).await?;
    let mut writer = JournalWriter::new(store.clone());
    begin_incarnation(&mut writer, RESTORED).await?;
    store.close(writer).await
}

fn damaged(detail: String) -> Error {
    Error::CopyDamaged { detail }
}

/// What the write of an entry of an image is called: the same for the same content only.
fn write_id(entry: &CopiedEntry) -> WriteId {
    use sha2::{Digest as _, Sha256};
    let digest: Hash = Sha256::new().chain_update(&entry.key).chain_update(&entry.body).finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    WriteId(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
}

/// Splits a long list into groups of one write each.
fn groups<T>(items: Vec<T>, bytes_of: impl Fn(&T) -> usize) -> Vec<Vec<T>> {
    let mut groups = Vec::new();
    let (mut group, mut bytes) = (Vec::new(), 0);
    for item in items {
        bytes += bytes_of(&item);
        group.push(item);
        if bytes >= GROUP_BYTES || group.len() >= GROUP_ITEMS_MAX {
            groups.push(std::mem::take(&mut group));
            bytes = 0;
        }
    }
    if !group.is_empty() {
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests;
