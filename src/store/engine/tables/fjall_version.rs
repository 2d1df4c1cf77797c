//! The file of a keyspace's version, as far as it lists tables: little-endian sections, a table of contents, a trailer.
//!
//! ```text
//!   sections … ─ "TOC!" count { position length name } … ─ "SFA!" version checksum position of the contents, length
//!   section "tables":  levels { runs { tables { id, kind of checksum, checksum, sequence number } } }
//! ```

use std::collections::BTreeSet;

/// How the table of contents begins.
const CONTENTS_MARK: &[u8] = b"TOC!";
/// How the trailer begins.
const TRAILER_MARK: &[u8] = b"SFA!";
/// Bytes of the trailer.
const TRAILER_BYTES: usize = 38;
/// Bytes before the position of the contents in the trailer.
const TRAILER_HEAD_BYTES: usize = 22;
/// Bytes of a table after its number: kind of checksum, checksum, sequence number.
const TABLE_REST_BYTES: usize = 25;

/// The numbers of the tables that a version lists; none when it cannot be decoded.
pub(super) fn tables(file: &[u8]) -> Option<BTreeSet<u64>> {
    let mut section = Cursor(section(file, b"tables")?);
    let mut found = BTreeSet::new();
    let levels = section.u8()?;
    if levels == 0 {
        return None;
    }
    for _ in 0..levels {
        for _ in 0..section.u8()? {
            for _ in 0..section.u32()? {
                found.insert(section.u64()?);
                section.take(TABLE_REST_BYTES)?;
            }
        }
    }
    Some(found)
}

fn section<'a>(file: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    let mut trailer = Cursor(file.get(file.len().checked_sub(TRAILER_BYTES)?..)?);
    if trailer.take(TRAILER_HEAD_BYTES)?.get(..TRAILER_MARK.len())? != TRAILER_MARK {
        return None;
    }
    let contents = usize::try_from(trailer.u64()?).ok()?;
    let mut contents = Cursor(file.get(contents..)?);
    if contents.take(CONTENTS_MARK.len())? != CONTENTS_MARK {
        return None;
    }
    for _ in 0..contents.u32()? {
        let (position, length) = (contents.u64()?, contents.u64()?);
        let name_bytes = usize::from(contents.u16()?);
        if contents.take(name_bytes)? == wanted {
            let position = usize::try_from(position).ok()?;
            let end = position.checked_add(usize::try_from(length).ok()?)?;
            return file.get(position..end);
        }
    }
    None
}

/// Bytes that are read from their beginning.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
