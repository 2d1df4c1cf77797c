//! Rebuilds files of fjall that follow from others, for a repair that an operator has asked for.
//!
//! ```text
//!   version                   always the same
//!   <n>.jnl                   without the stretches that are not whole; an empty one in place of all that are missing
//!   keyspaces/<id>/current    names the latest version that is whole and whose tables are there
//! ```

use std::fs;
use std::path::Path;

use super::error::EngineError;
use super::files::replace_file;
use super::fjall_files::{
    CURRENT, Current, JOURNAL, MAIN_FILE, check_version, has_main_file, journal_numbers, keyspace,
    keyspace_ids, names, read_current,
};
use super::fjall_journal::Journal;
use super::fjall_version;

/// The content of the file by which fjall recognizes a database of its third format.
const MAIN_CONTENT: &[u8] = b"FJL\x03";
/// How the file ends that names the present version: its checksum is an XXH3 of 128 bits.
const CHECKSUM_KIND: u8 = 0;

/// Rebuilds what can be rebuilt. Returns what was done.
pub(super) fn mend(folder: &Path) -> Result<Vec<String>, EngineError> {
    let mut done = Vec::new();
    let ids = keyspace_ids(folder)?;
    if !has_main_file(folder) && !ids.is_empty() {
        done.push(write(&folder.join(MAIN_FILE), MAIN_CONTENT)?);
    }
    let numbers = journal_numbers(folder)?;
    // Without any journal fjall would start to count from the beginning, and hide what is in its tables.
    if numbers.is_empty() {
        done.push(write(&folder.join(format!("1{JOURNAL}")), b"")?);
    }
    for number in numbers {
        done.extend(mend_journal(&folder.join(format!("{number}{JOURNAL}")))?);
    }
    for id in ids {
        done.extend(mend_current(folder, id)?);
    }
    Ok(done)
}

/// Leaves out of a journal what is not whole, so that fjall reads all that is.
fn mend_journal(path: &Path) -> Result<Option<String>, EngineError> {
    let failed = |error| EngineError::from_io(path, error);
    let journal = Journal::read(path).map_err(failed)?;
    let trailing_zeros = journal.bytes.iter().rev().take_while(|byte| **byte == 0).count();
    if journal.broken_bytes() <= trailing_zeros {
        return Ok(None);
    }
    let mut content = Vec::with_capacity(journal.bytes.len());
    for whole in &journal.whole {
        content.extend_from_slice(journal.bytes.get(whole.clone()).unwrap_or_default());
    }
    write(path, &content)?;
    let left_out = journal.broken_bytes() - trailing_zeros;
    Ok(Some(format!("{left_out} bytes that cannot be read were left out of {}", path.display())))
}

/// Names the present version of a keyspace where that is not known: the latest that is whole. A later one that was not written
/// to its end was never in use.
fn mend_current(folder: &Path, id: u64) -> Result<Option<String>, EngineError> {
    let current = read_current(folder, id).ok().flatten();
    if current.is_some_and(|current| check_version(folder, id, &current).is_ok()) {
        return Ok(None);
    }
    let keyspace = keyspace(folder, id);
    let present = names(&keyspace.join("tables"))?;
    let mut versions: Vec<u64> =
        names(&keyspace)?.iter().filter_map(|name| name.strip_prefix('v')?.parse().ok()).collect();
    versions.sort_unstable();
    for version in versions.into_iter().rev() {
        let path = keyspace.join(format!("v{version}"));
        let content = fs::read(&path).map_err(|error| EngineError::from_io(&path, error))?;
        let Some(listed) = fjall_version::tables(&content) else { continue };
        if listed.iter().all(|table| present.contains(&table.to_string())) {
            let checksum = xxhash_rust::xxh3::xxh3_128(&content);
            let content = Current { version, checksum }.encode(CHECKSUM_KIND);
            return write(&keyspace.join(CURRENT), &content).map(Some);
        }
    }
    Ok(None)
}

/// Replaces a file; returns the line for the report.
fn write(path: &Path, content: &[u8]) -> Result<String, EngineError> {
    replace_file(path, content)?;
    Ok(format!("{} was rebuilt", path.display()))
}
