//! Chunks: entries are collected, compressed, encrypted and written, and later read back.
//!
//! ```text
//!   chunk   magic "idnode" · format 1 · holds: image 1, journal 2, files 3 · count (4) · the entries   ─ zstd ─ cipher ─▶ file
//! ```

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::blocking::off_the_reactor;
use super::error::Error;
use super::file::{BackedUpFile, RestoredFile};
use super::finding::Finding;
use super::key::DataKey;
use super::manifest::{Chunk, Holds};
use crate::store::copy::image::{CopiedChange, CopiedEntry};
use crate::wire::cursor::{DecodeError, Reader, Writer};

const MAGIC: &[u8] = b"idnode";
const FORMAT: u8 = 1;
/// Compression level of zstd: its default.
const COMPRESSION: i32 = 3;
/// Largest chunk before compression, in bytes: the largest configurable size and one more entry.
const RAW_BYTES_MAX: u64 = 96 * 1024 * 1024;

//----------- ChunkWriter ----------------------------------------------------

/// Collects entries and writes them as chunks into a folder.
pub(super) struct ChunkWriter {
    folder: PathBuf,
    key: Option<DataKey>,
    chunk_bytes: usize,
    holds: Holds,
    body: Writer,
    count: usize,
    chunks: Vec<Chunk>,
}

impl ChunkWriter {
    /// Starts with the small files.
    pub(super) fn new(folder: &Path, key: Option<DataKey>, chunk_bytes: usize) -> Self {
        let (holds, body) = (Holds::Files, Writer::default());
        Self { folder: folder.to_owned(), key, chunk_bytes, holds, body, count: 0, chunks: Vec::new() }
    }

    /// Closes the present chunk; the next one holds entries of another sort.
    pub(super) async fn turn_to(&mut self, holds: Holds) -> Result<(), Error> {
        self.close().await?;
        self.holds = holds;
        Ok(())
    }

    /// Adds a small file.
    pub(super) async fn add_file(&mut self, file: &BackedUpFile) -> Result<(), Error> {
        file.encode(&mut self.body);
        self.added().await
    }

    /// Adds an entry of the image.
    pub(super) async fn add_entry(&mut self, entry: &CopiedEntry) -> Result<(), Error> {
        entry.encode(&mut self.body);
        self.added().await
    }

    /// Adds a journal entry.
    pub(super) async fn add_change(&mut self, change: &CopiedChange) -> Result<(), Error> {
        change.encode(&mut self.body);
        self.added().await
    }

    async fn added(&mut self) -> Result<(), Error> {
        self.count += 1;
        if self.body.as_slice().len() < self.chunk_bytes {
            return Ok(());
        }
        self.close().await
    }

    /// Returns the bytes before compression, so far.
    pub(super) fn raw_bytes(&self) -> u64 {
        let open = u64::try_from(self.body.as_slice().len()).unwrap_or(u64::MAX);
        self.chunks.iter().map(|chunk| chunk.raw_bytes).sum::<u64>() + open
    }

    /// Closes the last chunk and returns the list of chunks.
    pub(super) async fn finish(mut self) -> Result<Vec<Chunk>, Error> {
        self.close().await?;
        Ok(self.chunks)
    }

    /// Writes the present chunk, unless it is empty; when this returns, its bytes are on disk.
    async fn close(&mut self) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        let start = match self.holds {
            Holds::Image => "image",
            Holds::Journal => "journal",
            Holds::Files => "files",
        };
        let number = self.chunks.iter().filter(|chunk| chunk.holds == self.holds).count() + 1;
        let open = OpenChunk {
            path: self.folder.join(format!("{start}-{number:06}.zst")),
            holds: self.holds,
            number: number_of(&self.chunks),
            count: std::mem::take(&mut self.count),
            body: std::mem::take(&mut self.body),
            key: self.key.clone(),
        };
        let written = off_the_reactor(move || open.write()).await?;
        self.chunks.push(written);
        Ok(())
    }
}

fn number_of(before: &[Chunk]) -> u64 {
    u64::try_from(before.len()).unwrap_or(u64::MAX) + 1
}

/// A complete chunk that is not written yet.
struct OpenChunk {
    path: PathBuf,
    holds: Holds,
    number: u64,
    count: usize,
    body: Writer,
    key: Option<DataKey>,
}

impl OpenChunk {
    fn write(self) -> Result<Chunk, Error> {
        let mut raw = Writer::with_capacity(self.body.as_slice().len() + 16);
        raw.raw(MAGIC).u8(FORMAT).u8(code(self.holds)).count(self.count).raw(self.body.as_slice());
        let raw = raw.into_vec();
        let file = self.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let packed = zstd::bulk::compress(&raw, COMPRESSION);
        let packed = packed.map_err(Error::file("cannot compress", &self.path))?;
        let stored = match &self.key {
            Some(key) => key.seal(self.number, &file, &packed),
            None => packed,
        };
        write_file(&self.path, &stored).map_err(Error::file("cannot write", &self.path))?;
        Ok(Chunk {
            file,
            holds: self.holds,
            entries: u64::try_from(self.count).unwrap_or(u64::MAX),
            raw_bytes: u64::try_from(raw.len()).unwrap_or(u64::MAX),
            stored_bytes: u64::try_from(stored.len()).unwrap_or(u64::MAX),
            sha256: Sha256::digest(&stored).into(),
        })
    }
}

const fn code(holds: Holds) -> u8 {
    match holds {
        Holds::Image => 1,
        Holds::Journal => 2,
        Holds::Files => 3,
    }
}

/// Writes a new file with mode 0600; when this returns, its bytes are on disk.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

//----------- Reading --------------------------------------------------------

/// Decoded content of a chunk.
pub(super) enum Content {
    /// Entries of the image.
    Entries(Vec<CopiedEntry>),
    /// Journal entries.
    Changes(Vec<CopiedChange>),
    /// Small files of the data directory.
    Files(Vec<RestoredFile>),
}

/// Reads one chunk back, all checks included: size, SHA-256, cipher, compression, every entry's own checksum.
/// `number` counts a backup's chunks from 1.
pub(super) fn read(
    folder: &Path,
    chunk: &Chunk,
    number: u64,
    key: Option<&DataKey>,
) -> Result<Content, Finding> {
    let refuse = |message: String| Finding::new(&chunk.file, message);
    let stored = read_stored(folder, chunk).map_err(refuse)?;
    let packed = match key {
        Some(key) => key
            .open(number, &chunk.file, &stored)
            .ok_or_else(|| refuse("it was not encrypted for this position of this backup".to_owned()))?,
        None => stored,
    };
    let raw = unpack(&packed, chunk.raw_bytes).map_err(refuse)?;
    decode(&raw, chunk).map_err(|error| refuse(error.to_string()))
}

impl Chunk {
    /// Reads the file and compares its size and SHA-256 with the manifest.
    pub(super) fn check_stored(&self, folder: &Path) -> Result<(), Finding> {
        read_stored(folder, self).map(drop).map_err(|message| Finding::new(&self.file, message))
    }
}

/// Reads the file and compares its size and SHA-256 with the manifest.
fn read_stored(folder: &Path, chunk: &Chunk) -> Result<Vec<u8>, String> {
    let path = folder.join(&chunk.file);
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "the file is missing".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    let file = File::open(&path).map_err(unreadable)?;
    let mut stored = Vec::new();
    file.take(chunk.stored_bytes + 1).read_to_end(&mut stored).map_err(unreadable)?;
    let found = u64::try_from(stored.len()).unwrap_or(u64::MAX);
    if found < chunk.stored_bytes {
        return Err(format!("it was cut: {found} of {} bytes are there", chunk.stored_bytes));
    }
    if found > chunk.stored_bytes {
        return Err(format!("bytes follow its {} bytes", chunk.stored_bytes));
    }
    if <[u8; 32]>::from(Sha256::digest(&stored)) != chunk.sha256 {
        return Err("its SHA-256 is not the one in the manifest: it was changed".to_owned());
    }
    Ok(stored)
}

fn unpack(packed: &[u8], raw_bytes: u64) -> Result<Vec<u8>, String> {
    let capacity = usize::try_from(raw_bytes.min(RAW_BYTES_MAX)).unwrap_or(usize::MAX);
    let raw = zstd::bulk::decompress(packed, capacity).map_err(|error| format!("zstd: {error}"))?;
    if u64::try_from(raw.len()) == Ok(raw_bytes) {
        return Ok(raw);
    }
    Err(format!("it holds {} bytes, not {raw_bytes}", raw.len()))
}

fn decode(raw: &[u8], chunk: &Chunk) -> Result<Content, DecodeError> {
    let mut reader = Reader::new(raw);
    if reader.take("chunk magic", MAGIC.len())? != MAGIC {
        return Err(reader.refuse("chunk magic"));
    }
    if reader.u8("chunk format")? != FORMAT {
        return Err(reader.refuse("chunk format"));
    }
    if reader.u8("chunk content")? != code(chunk.holds) {
        return Err(reader.refuse("chunk content"));
    }
    let count = reader.count("entries", usize::MAX, 9)?;
    if u64::try_from(count) != Ok(chunk.entries) {
        return Err(reader.refuse("entries"));
    }
    let content = match chunk.holds {
        Holds::Image => {
            let entries = (0..count).map(|_| CopiedEntry::decode(&mut reader));
            Content::Entries(entries.collect::<Result<_, _>>()?)
        }
        Holds::Journal => {
            let changes = (0..count).map(|_| CopiedChange::decode(&mut reader));
            Content::Changes(changes.collect::<Result<_, _>>()?)
        }
        Holds::Files => {
            let files = (0..count).map(|_| RestoredFile::decode(&mut reader));
            Content::Files(files.collect::<Result<_, _>>()?)
        }
    };
    reader.finish("chunk")?;
    Ok(content)
}
