//! What a failed transaction of sled has replaced, retained in a file for the next opening.
//!
//! ```text
//!   transaction fails in the trees ─▶ save: keys, and their values before it ─▶ no more changes
//!   next opening ─▶ load ─▶ put back, as one commit ─▶ remove
//! ```
//! Sled does not take back a transaction that fails while it enters the trees; its own thread brings the part that entered to
//! disk. The file has the values of all its keys, so that it does not matter which part that was.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::batch::{KEY_BYTES_MAX, VALUE_BYTES_MAX, WriteBatch};
use super::error::EngineError;
use super::files::{replace_file, sync_directory};
use super::pending::Pending;
use super::table::Table;
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The file, beside sled's own.
const FILE: &str = "undo";
/// Its name when it could not be read.
const UNREADABLE: &str = "undo.unreadable";
/// The form of its content.
const FORMAT: u8 = 1;
/// Keys of one file at most: far more than a commit has.
const KEYS_MAX: usize = 10_000_000;
/// Bytes of a key at least: table, length of the key, whether there was a value.
const KEY_BYTES_MIN: usize = 6;

/// When the values before a transaction were retained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retained {
    /// Now.
    Now,
    /// Before: the transaction was to put them back.
    Earlier,
}

/// Retains the values before a failed transaction; on disk when this returns. What was retained earlier stays: it is older.
pub(super) fn save(folder: &Path, before: &Pending) -> Result<Retained, EngineError> {
    if path(folder).exists() {
        return Ok(Retained::Earlier);
    }
    let entries: Vec<_> = before.entries().collect();
    let mut writer = Writer::default();
    writer.u8(FORMAT).count(entries.len());
    for (table, key, value) in entries {
        writer.u8(table.code()).bytes(key);
        match value {
            Some(value) => writer.u8(1).bytes(value),
            None => writer.u8(0),
        };
    }
    let content = writer.into_vec();
    let mut file = crc32c::crc32c(&content).to_be_bytes().to_vec();
    file.extend_from_slice(&content);
    replace_file(&path(folder), &file)?;
    Ok(Retained::Now)
}

/// The changes that put back what was retained; none where nothing was.
pub(super) fn load(folder: &Path) -> Result<Option<WriteBatch>, EngineError> {
    let path = path(folder);
    match fs::read(&path) {
        Ok(file) => decode(&file).map(Some).map_err(|error| EngineError::damaged(&path, error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(EngineError::from_io(&path, error)),
    }
}

/// Removes the file; durable when this returns.
pub(super) fn remove(folder: &Path) -> Result<(), EngineError> {
    let path = path(folder);
    fs::remove_file(&path).map_err(|error| EngineError::from_io(&path, error))?;
    sync_directory(folder)
}

/// Sets aside a file that cannot be read, so that the database opens. Returns what was done.
pub(super) fn mend(folder: &Path) -> Result<Vec<String>, EngineError> {
    match load(folder) {
        Err(EngineError::Damaged { path, .. }) => {
            let aside = folder.join(UNREADABLE);
            fs::rename(&path, &aside).map_err(|error| EngineError::from_io(&path, error))?;
            sync_directory(folder)?;
            Ok(vec![format!(
                "{} cannot be read and is {} now: a part of a change that had failed may be there",
                path.display(),
                aside.display()
            )])
        }
        loaded => loaded.map(|_| Vec::new()),
    }
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

fn decode(file: &[u8]) -> Result<WriteBatch, DecodeError> {
    let mut reader = Reader::new(file);
    let checksum = reader.u32("checksum")?;
    let content = reader.rest();
    if crc32c::crc32c(content) != checksum {
        return Err(reader.refuse("checksum"));
    }
    let mut reader = Reader::new(content);
    if reader.u8("format")? != FORMAT {
        return Err(reader.refuse("format"));
    }
    let mut batch = WriteBatch::new();
    for _ in 0..reader.count("keys", KEYS_MAX, KEY_BYTES_MIN)? {
        let table = Table::from_code(reader.u8("table")?).ok_or_else(|| reader.refuse("table"))?;
        let key = reader.bytes("key", KEY_BYTES_MAX)?.to_vec();
        match reader.u8("value there")? {
            0 => batch.delete(table, key),
            1 => batch.put(table, key, reader.bytes("value", VALUE_BYTES_MAX)?.to_vec()),
            _ => return Err(reader.refuse("value there")),
        }
    }
    reader.finish("undo file")?;
    Ok(batch)
}
