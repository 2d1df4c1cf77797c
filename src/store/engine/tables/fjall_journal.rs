//! A journal of fjall, read without fjall: which stretches of it are whole batches.
//!
//! ```text
//!   journal   batch … ─ zeros up to the size that was allocated
//!   batch     start { items, sequence number } ─ items … ─ end { XXH3 of the items, mark }       all numbers little-endian
//! ```
//! Where a batch is not whole, fjall cuts the journal when it opens it, as after a crash in the middle of writing. With whole
//! batches behind it that is no torn end: it would delete changes that can be read.
//!
//! Values are whatever callers have stored, also bytes that look like batches. Behind a batch that is not whole the search
//! therefore goes on where its items end, or, where those cannot be followed, behind the last item that could be. A damaged
//! length is the one thing that can still lead into a value.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;

use super::batch::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
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
    /// The bytes up to the end of the last step of reading that is not all zero; zeros may end them.
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

/// Bytes up to the end of the last step that is not all zero: the rest was allocated and never written.
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
    let mut search = Search { bytes, last: None, items_left: bytes.len() };
    let mut position = 0;
    loop {
        let start = position;
        let mut followed = Batch::follow(bytes, position);
        while let (Some(sequence), true) = (followed.whole, search.is_expected(followed.whole)) {
            position = followed.end;
            search.last = Some(sequence);
            followed = Batch::follow(bytes, position);
        }
        if position > start {
            found.push(start..position);
        }
        let Some(next) = search.next_batch(followed.end.max(position + 1)) else {
            return found;
        };
        position = next;
    }
}

/// The search for whole batches behind one that is not.
struct Search<'a> {
    bytes: &'a [u8],
    /// The sequence number of the last whole batch.
    last: Option<u64>,
    /// Items that may still be followed, so that the work is bounded whatever the bytes are.
    items_left: usize,
}

impl Search<'_> {
    /// Where the next whole batch begins.
    fn next_batch(&mut self, from: usize) -> Option<usize> {
        let mut from = from;
        loop {
            let rest = self.bytes.get(from..)?;
            let start = from + rest.iter().position(|byte| *byte == START)?;
            let followed = Batch::follow(self.bytes, start);
            if followed.whole.is_some() && self.is_expected(followed.whole) {
                return Some(start);
            }
            self.items_left = self.items_left.checked_sub(followed.items)?;
            from = start + 1;
        }
    }

    /// Whether a batch with this number can be written behind those that were found.
    fn is_expected(&self, sequence: Option<u64>) -> bool {
        self.last.is_none() || sequence > self.last
    }
}

/// What follows the beginning of a batch.
struct Batch {
    /// The sequence number of a batch that is whole.
    whole: Option<u64>,
    /// Items that could be followed.
    items: usize,
    /// Where the batch ends, or the last item that could be followed.
    end: usize,
}

impl Batch {
    /// Follows a batch from where it begins.
    fn follow(bytes: &[u8], start: usize) -> Self {
        let mut batch = Self { whole: None, items: 0, end: start };
        let mut rest = Cursor(bytes.get(start..).unwrap_or_default());
        batch.whole = batch.follow_items(bytes, &mut rest);
        batch
    }

    fn follow_items(&mut self, bytes: &[u8], rest: &mut Cursor<'_>) -> Option<u64> {
        let position = |rest: &Cursor<'_>| bytes.len() - rest.0.len();
        if rest.u8()? != START {
            return None;
        }
        let count = rest.u32()?;
        let sequence = rest.u64()?;
        let first = position(rest);
        for _ in 0..count {
            skip_item(rest)?;
            self.items += 1;
            self.end = position(rest);
        }
        let items = bytes.get(first..position(rest))?;
        let has_end = count > 0 && rest.u8()? == END;
        let checksum = rest.u64()?;
        let mark = rest.take(MARK.len())?;
        if !has_end || mark != MARK {
            return None;
        }
        self.end = position(rest);
        (checksum == xxhash_rust::xxh3::xxh3_64(items)).then_some(sequence)
    }
}

/// Skips an item. A value that the bytes end within is skipped to their end: that is a batch that was not written to its end.
fn skip_item(rest: &mut Cursor<'_>) -> Option<()> {
    match rest.u8()? {
        ITEM => {
            rest.take(ITEM_HEAD_BYTES)?;
            let key_bytes = usize::from(rest.u16()?);
            rest.take(4)?;
            let value_bytes = usize::try_from(rest.u32()?).ok()?;
            if key_bytes > KEY_BYTES_MAX || value_bytes > VALUE_BYTES_MAX {
                return None;
            }
            rest.take(key_bytes)?;
            rest.take(value_bytes.min(rest.0.len()))?;
        }
        CLEAR => {
            rest.take(8)?;
        }
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::iter::once;

    use super::{CLEAR, END, ITEM, ITEM_HEAD_BYTES, MARK, START, whole_batches};

    /// Bytes of a batch of one item before the key: mark, count, sequence number; mark, head, three lengths.
    const BYTES_BEFORE_KEY: usize = 13 + 1 + ITEM_HEAD_BYTES + 10;

    /// A batch of one item with this value.
    fn batch(sequence: u64, value: &[u8]) -> Vec<u8> {
        let mut item = vec![ITEM];
        item.extend_from_slice(&[0; ITEM_HEAD_BYTES]);
        item.extend_from_slice(&3_u16.to_le_bytes());
        item.extend_from_slice(&[0; 4]);
        item.extend_from_slice(&u32::try_from(value.len()).expect("a small value").to_le_bytes());
        item.extend_from_slice(b"key");
        item.extend_from_slice(value);
        let mut bytes = vec![START, 1, 0, 0, 0];
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&item);
        bytes.push(END);
        bytes.extend_from_slice(&xxhash_rust::xxh3::xxh3_64(&item).to_le_bytes());
        bytes.extend_from_slice(MARK);
        bytes
    }

    #[test]
    fn a_value_that_looks_like_a_batch_is_none() {
        let first = batch(7, b"value");
        let imitation = [b"....".as_slice(), &batch(9, b"imitated"), b"...."].concat();
        let second = batch(8, &imitation);
        let whole = [first.as_slice(), &second].concat();
        assert_eq!(whole_batches(&whole), once(0..whole.len()).collect::<Vec<_>>());
        // Not written to its end, wherever that is; with zeros behind it, as journals have.
        for length in first.len() + 1..whole.len() {
            let torn = [&whole[..length], &[0; 64]].concat();
            assert_eq!(whole_batches(&torn), once(0..first.len()).collect::<Vec<_>>(), "{length} bytes");
            assert_eq!(
                whole_batches(&torn[..length]),
                once(0..first.len()).collect::<Vec<_>>(),
                "{length} bytes"
            );
        }
        // A flipped bit in its key, its value or its end, with another batch behind it: that one alone is found.
        let end = whole.len();
        let behind = batch(9, b"behind");
        for position in end - second.len() + BYTES_BEFORE_KEY..end {
            let mut broken = [whole.as_slice(), &behind].concat();
            broken[position] ^= 0x40;
            let found = whole_batches(&broken);
            assert_eq!(found, [0..first.len(), end..end + behind.len()], "byte {position}");
        }
    }

    #[test]
    fn a_batch_behind_a_broken_one_is_newer() {
        let journal = |behind: u64| [batch(7, b"a"), vec![0; 40], batch(behind, b"b")].concat();
        let first = batch(7, b"a").len();
        assert_eq!(whole_batches(&journal(8)).len(), 2);
        assert_eq!(whole_batches(&journal(7)), once(0..first).collect::<Vec<_>>());
    }

    #[test]
    fn the_search_ends_whatever_the_bytes_are() {
        // Each byte could begin a batch of many items.
        let bytes = [[START, 0xff, 0xff, 0xff, 0xff].as_slice(), &[START; 8], &[CLEAR; 9 * 20_000]].concat();
        assert!(whole_batches(&bytes).is_empty());
        assert!(whole_batches(&[START; 100_000]).is_empty());
    }
}
