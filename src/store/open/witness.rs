//! The witness: a small file beside the engine's folder with numbers that never fall (of prefixes, of tokens, in names of files). A
//! store that shows less at opening has lost files.
//!
//! ```text
//!   first start    incomplete ─▶ engine's files made ─▶ first entry on disk ─▶ complete
//!   running        rewritten after a commit when something in it has changed, at most once a second
//!   stop           engine closed ─▶ a second file lists all files of the engine
//!   start          numbers of files and the list compared before the engine opens, the rest after it; without a difference,
//!                  the list is removed
//! ```
//! It is replaced atomically. What it holds is a lower bound: a witness that is older than the store does no harm, so a loss
//! of power never makes a whole store look damaged. A store without one is an older release's, or lost it: then the files
//! are compared with each other only, and a new witness is written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::store::engine::EngineKind;
use crate::store::engine::survey::{Earlier, FileFacts, FileList, Rising};
use crate::store::entry::EntryKind;
use crate::store::error::Error;
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The format written today.
const FORMAT: u8 = 1;
/// The name of the file.
const NAME: &str = "witness";
/// The name of the list of files.
const CLOSED: &str = "closed-files";
/// Bytes of a name in it.
const NAME_BYTES_MAX: usize = 512;
/// Files of an engine that are listed at most.
const FILES_MAX: usize = 1_000_000;

//----------- Witness --------------------------------------------------------

/// What a store is known to have held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct Witness {
    /// The engine that wrote the store.
    pub(in crate::store) engine: EngineKind,
    /// Whether the store has had its first journal entry.
    pub(in crate::store) stage: Stage,
    /// Numbers that the engine's files have shown.
    pub(in crate::store) rising: Rising,
    /// Kinds that had an entry and never become empty again.
    pub(in crate::store) filled: Vec<EntryKind>,
    /// Prefix entries, none of which is ever deleted.
    pub(in crate::store) prefixes: u64,
    /// Token entries, none of which is ever deleted.
    pub(in crate::store) tokens: u64,
}

/// How far the making of a store came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Stage {
    /// The engine's files are being made; nothing was acknowledged.
    Incomplete,
    /// The first journal entry is on disk.
    Complete,
}

/// The outcome of reading the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum FoundWitness {
    /// There is no such file.
    Absent,
    /// It cannot be decoded: cut, or changed.
    Unreadable,
    /// What it holds.
    Witness(Box<Witness>),
}

impl Witness {
    /// The witness of a store that is being made.
    pub(in crate::store) fn incomplete(engine: EngineKind) -> Self {
        Self {
            engine,
            stage: Stage::Incomplete,
            rising: Rising::new(),
            filled: Vec::new(),
            prefixes: 0,
            tokens: 0,
        }
    }

    /// The path of the file in a data directory.
    pub(in crate::store) fn path(directory: &Path) -> PathBuf {
        directory.join(NAME)
    }

    /// Reads the witness of a data directory.
    pub(in crate::store) fn load(directory: &Path) -> Result<FoundWitness, Error> {
        let path = Self::path(directory);
        match fs::read(&path) {
            Ok(bytes) => Ok(Self::decode(&bytes)
                .map_or(FoundWitness::Unreadable, |witness| FoundWitness::Witness(Box::new(witness)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(FoundWitness::Absent),
            Err(source) => Err(Error::File { action: "cannot read", path, source }),
        }
    }

    /// Replaces the witness of a data directory; when this returns, it is on disk.
    pub(in crate::store) fn save(&self, directory: &Path) -> Result<(), Error> {
        save(directory, NAME, &self.encode())
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(FORMAT).text(&self.engine.to_string());
        writer.u8(u8::from(self.stage == Stage::Complete));
        writer.count(self.rising.len());
        for (name, number) in &self.rising {
            writer.text(name).u64(*number);
        }
        writer.count(self.filled.len());
        for kind in &self.filled {
            writer.u8(kind.code());
        }
        writer.u64(self.prefixes).u64(self.tokens);
        with_checksum(writer)
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("witness format")? != FORMAT {
            return Err(reader.refuse("witness format"));
        }
        let engine = reader.text("engine", NAME_BYTES_MAX)?.parse().map_err(|_| reader.refuse("engine"))?;
        let stage = if reader.u8("stage")? == 1 { Stage::Complete } else { Stage::Incomplete };
        let mut rising = Rising::new();
        for _ in 0..reader.count("numbers", FILES_MAX, 10)? {
            rising.insert(reader.text("name", NAME_BYTES_MAX)?.to_owned(), reader.u64("number")?);
        }
        let mut filled = Vec::new();
        for _ in 0..reader.count("kinds", 64, 1)? {
            // A kind that a later release added is not compared.
            filled.extend(EntryKind::from_code(reader.u8("kind")?));
        }
        let (prefixes, tokens) = (reader.u64("prefixes")?, reader.u64("tokens")?);
        check_checksum(bytes, reader)?;
        Ok(Self { engine, stage, rising, filled, prefixes, tokens })
    }
}

impl FoundWitness {
    /// The engine that the witness names.
    pub(in crate::store) fn engine(&self) -> Option<EngineKind> {
        match self {
            Self::Witness(witness) => Some(witness.engine),
            Self::Absent | Self::Unreadable => None,
        }
    }

    /// The witness of a complete store.
    pub(in crate::store) fn complete(&self) -> Option<&Witness> {
        match self {
            Self::Witness(witness) if witness.stage == Stage::Complete => Some(witness),
            Self::Witness(_) | Self::Absent | Self::Unreadable => None,
        }
    }

    /// What is known of the files of an engine, given whether anything else shows that the store was complete.
    pub(in crate::store) fn earlier(&self, was_complete: bool) -> Earlier<'_> {
        match self {
            Self::Witness(witness) if witness.stage == Stage::Complete => Earlier::Noted(&witness.rising),
            _ if was_complete => Earlier::Complete,
            Self::Witness(_) | Self::Absent => Earlier::Incomplete,
            Self::Unreadable => Earlier::Complete,
        }
    }
}

//----------- ClosedFiles ----------------------------------------------------

/// The files of an engine after an ordered stop, at this end of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct ClosedFiles {
    /// The last sequence of the journal; a list for another end is out of date.
    pub(in crate::store) sequence: u64,
    /// Every file of the engine.
    pub(in crate::store) files: FileList,
}

impl ClosedFiles {
    /// Reads the list; none when there is none, or none that can be decoded.
    pub(in crate::store) fn load(directory: &Path) -> Option<Self> {
        Self::decode(&fs::read(directory.join(CLOSED)).ok()?).ok()
    }

    /// Writes the list; when this returns, it is on disk.
    pub(in crate::store) fn save(&self, directory: &Path) -> Result<(), Error> {
        let mut writer = Writer::default();
        writer.u8(FORMAT).u64(self.sequence).count(self.files.len());
        for (name, facts) in &self.files {
            writer.text(name).u64(facts.bytes).u32(facts.checksum);
        }
        save(directory, CLOSED, &with_checksum(writer))
    }

    /// Removes the list, because the engine is about to change its files. It is gone from the disk when this returns.
    pub(in crate::store) fn remove(directory: &Path) -> Result<(), Error> {
        let path = directory.join(CLOSED);
        let removed = match fs::remove_file(&path) {
            Ok(()) => File::open(directory).and_then(|directory| directory.sync_all()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|source| Error::File { action: "cannot remove", path, source })
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("list format")? != FORMAT {
            return Err(reader.refuse("list format"));
        }
        let sequence = reader.u64("sequence")?;
        let mut files = FileList::new();
        for _ in 0..reader.count("files", FILES_MAX, 14)? {
            let name = reader.text("file", NAME_BYTES_MAX)?.to_owned();
            files.insert(name, FileFacts { bytes: reader.u64("bytes")?, checksum: reader.u32("checksum")? });
        }
        check_checksum(bytes, reader)?;
        Ok(Self { sequence, files })
    }
}

//----------- Files ----------------------------------------------------------

/// Replaces a small file atomically: to a temporary name, synced, renamed, the directory synced.
fn save(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), Error> {
    let path = directory.join(name);
    let beside = directory.join(format!("{name}.new"));
    let save = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        File::open(directory)?.sync_all()
    };
    save().map_err(|source| Error::File { action: "cannot write", path: path.clone(), source })
}

fn with_checksum(mut writer: Writer) -> Vec<u8> {
    let checksum = crc32c::crc32c(writer.as_slice());
    writer.u32(checksum);
    writer.into_vec()
}

/// Checks the checksum at the end, which covers everything read before it.
fn check_checksum(bytes: &[u8], mut reader: Reader<'_>) -> Result<(), DecodeError> {
    let covered = bytes.get(..reader.position()).unwrap_or_default();
    if reader.u32("checksum")? != crc32c::crc32c(covered) {
        return Err(reader.refuse("checksum"));
    }
    reader.finish("small file")
}

#[cfg(test)]
mod tests {
    use super::{ClosedFiles, EngineKind, EntryKind, FileFacts, FoundWitness, Stage, Witness};

    #[test]
    fn a_witness_reads_back_and_a_changed_one_does_not() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(Witness::load(directory.path()).expect("readable"), FoundWitness::Absent);
        let mut witness = Witness::incomplete(EngineKind::Sled);
        witness.save(directory.path()).expect("space on disk");
        witness.stage = Stage::Complete;
        witness.rising.insert("keyspaces/2/current".to_owned(), 7);
        witness.filled = vec![EntryKind::Meta, EntryKind::Header];
        (witness.prefixes, witness.tokens) = (3, 1);
        witness.save(directory.path()).expect("space on disk");
        let found = Witness::load(directory.path()).expect("readable");
        assert_eq!(found, FoundWitness::Witness(Box::new(witness)));
        let path = Witness::path(directory.path());
        let whole = std::fs::read(&path).expect("the file");
        for position in 0..whole.len() {
            let mut changed = whole.clone();
            changed[position] ^= 0x10;
            std::fs::write(&path, &changed).expect("space on disk");
            assert_eq!(
                Witness::load(directory.path()).expect("readable"),
                FoundWitness::Unreadable,
                "{position}"
            );
            std::fs::write(&path, &whole[..position]).expect("space on disk");
            assert_eq!(
                Witness::load(directory.path()).expect("readable"),
                FoundWitness::Unreadable,
                "{position}"
            );
        }
    }

    #[test]
    fn a_list_of_files_reads_back_until_it_is_removed() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(ClosedFiles::load(directory.path()), None);
        let files = [("db".to_owned(), FileFacts { bytes: 9, checksum: 5 })].into();
        let closed = ClosedFiles { sequence: 11, files };
        closed.save(directory.path()).expect("space on disk");
        assert_eq!(ClosedFiles::load(directory.path()), Some(closed));
        for _ in 0..2 {
            ClosedFiles::remove(directory.path()).expect("removed");
            assert_eq!(ClosedFiles::load(directory.path()), None);
        }
    }
}
