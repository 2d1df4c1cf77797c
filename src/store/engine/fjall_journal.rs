//! A journal of fjall, read without fjall: which stretches of it are whole batches.
//!
//! ```text
//!   journal   batch … ─ zeros up to the size that was allocated
//!   batch     start { items, sequence number } ─ items … ─ end { XXH3 of the items, mark }       all numbers little-endian
//! ```
//! Where a batch is not whole, fjall cuts the journal when it opens it, as after a crash in the middle of writing. With whole
//! batches behind it that is no torn end: it would delete changes that can be read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::fjall_version::Cursor;

/// The tags of entries.
const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
/// The last bytes of a batch.
const MARK: &[u8] = b"FJL\x03";
/// Bytes of an item before its lengths: kind of value, kind of compression, keyspace.
const ITEM_HEAD_BYTES: usize = 10;
/// Bytes that are read together.
const STEP_BYTES: usize = 1024 * 1024;

/// A journal's bytes, and which of them are whole batches.
pub(super) struct Journal {
    /// The bytes up to the last one that is not zero.
    pub(super) bytes: Vec<u8>,
    /// Stretches of whole batches, in order.
    pub(super) whole: Vec<Range<usize>>,
}

impl Journal {
    /// Reads a journal.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let used = used_bytes(&mut file)?;
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        file.take(used).read_to_end(&mut bytes)?;
        let whole = whole_batches(&bytes);
        Ok(Self { bytes, whole })
    }

    /// Where it is broken although whole batches follow, if it is.
    pub(super) fn broken_at(&self) -> Option<usize> {
        match self.whole.as_slice() {
            [] => None,
            [first, ..] if first.start > 0 => Some(0),
            [first, _, ..] => Some(first.end),
            [_] => None,
        }
    }

    /// Bytes that belong to no whole batch.
    pub(super) fn broken_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(self.whole.iter().map(ExactSizeIterator::len).sum())
    }
}

/// Bytes up to the last one that is not zero, rounded up to a step: the rest was allocated and never written.
fn used_bytes(file: &mut File) -> io::Result<u64> {
    let zeros = vec![0; STEP_BYTES];
    let mut step = Vec::with_capacity(STEP_BYTES);
    let (mut used, mut read) = (0, 0);
    loop {
        step.clear();
        let count = file.by_ref().take(STEP_BYTES as u64).read_to_end(&mut step)?;
        if count == 0 {
            return Ok(used);
        }
        read += count as u64;
        if zeros.get(..count) != Some(step.as_slice()) {
            used = read;
        }
    }
}

fn whole_batches(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut position = 0;
    while let Some(start) = next_batch(bytes, position) {
        let mut end = start;
        while let Some(length) = bytes.get(end..).and_then(batch_bytes) {
            end += length;
        }
        found.push(start..end);
        position = end;
    }
    found
}

/// Where the next whole batch begins.
fn next_batch(bytes: &[u8], from: usize) -> Option<usize> {
    let mut from = from;
    loop {
        let rest = bytes.get(from..)?;
        let start = from + rest.iter().position(|byte| *byte == START)?;
        if batch_bytes(bytes.get(start..)?).is_some() {
            return Some(start);
        }
        from = start + 1;
    }
}

/// The length of the whole batch at the beginning of these bytes, if there is one.
fn batch_bytes(bytes: &[u8]) -> Option<usize> {
    let mut rest = Cursor(bytes);
    if rest.u8()? != START {
        return None;
    }
    let count = rest.u32()?;
    rest.take(8)?;
    let items = rest.0;
    for _ in 0..count {
        match rest.u8()? {
            ITEM => {
                rest.take(ITEM_HEAD_BYTES)?;
                let key_bytes = usize::from(rest.u16()?);
                rest.take(4)?;
                let value_bytes = usize::try_from(rest.u32()?).ok()?;
                rest.take(key_bytes)?;
                rest.take(value_bytes)?;
            }
            CLEAR => {
                rest.take(8)?;
            }
            _ => return None,
        }
    }
    let items = items.get(..items.len() - rest.0.len())?;
    let is_whole = count > 0
        && rest.u8()? == END
        && rest.u64()? == xxhash_rust::xxh3::xxh3_64(items)
        && rest.take(MARK.len())? == MARK;
    is_whole.then_some(bytes.len() - rest.0.len())
}
