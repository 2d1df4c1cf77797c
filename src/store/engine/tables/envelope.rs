//! The envelope around every stored entry: a checksum, a format, and the cut into pieces.
//!
//! ```text
//!   envelope   crc32c of the key and the uncut body (4) · format = 1 (1) · body kind (1) · body
//!   body       kind 0: the bytes themselves
//!              kind 1: cut: pieces (2) · cut name (8) · the bytes are in the piece table
//! ```
//! The checksum covers the uncut bytes, so that a missing or exchanged piece is detected; it does not cover format, body kind,
//! number of pieces and cut name. Integers are big-endian. The form is frozen.
//!
//! Pieces are stored under the name of their cut, a number that no two writes share: a leftover piece of one write is
//! never used for another.

use super::key;
use super::table::Table;
use crate::model::limits::PIECE_BYTES_MAX;
use crate::store::entry::checksum;
use crate::store::error::Unreadable;
use crate::wire::cursor::{Reader, Writer};

const FORMAT: u8 = 1;
const WHOLE: u8 = 0;
const CUT: u8 = 1;
/// Bytes of the envelope around an uncut entry.
const OVERHEAD: usize = 6;

/// How an engine stores an entry. It is handed back when the entry is replaced, and means nothing to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct StoredAs(Option<Cut>);

impl StoredAs {
    /// In pieces.
    pub(super) const fn cut(cut: Cut) -> Self {
        Self(Some(cut))
    }

    /// The keys of its pieces, in order.
    pub(super) fn piece_keys(self, table: Table) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter().flat_map(move |cut| cut.piece_keys(table))
    }
}

/// How an entry was cut: the name of the cut, and into how many pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    pub(super) name: u64,
    pub(super) pieces: u16,
}

impl Cut {
    /// The keys of its pieces, in order.
    pub(super) fn piece_keys(self, table: Table) -> impl Iterator<Item = Vec<u8>> {
        (0..self.pieces).map(move |piece| key::piece(table.code(), self.name, piece))
    }
}

/// An entry ready to be written: the bytes under its key, and its pieces when it is cut.
pub(super) struct Closed {
    pub(super) stored: Vec<u8>,
    pub(super) pieces: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) stored_as: StoredAs,
}

/// Number of pieces of a body of this size; 0 when it remains uncut.
fn pieces_of(body_bytes: usize) -> u16 {
    if body_bytes + OVERHEAD <= PIECE_BYTES_MAX {
        return 0;
    }
    u16::try_from(body_bytes.div_ceil(PIECE_BYTES_MAX)).unwrap_or(u16::MAX)
}

/// Wraps a body; `name` names the cut, when one is needed.
pub(super) fn close(table: Table, key: &[u8], body: &[u8], name: u64) -> Closed {
    let checksum = checksum(key, body);
    let pieces = pieces_of(body.len());
    let mut writer = Writer::with_capacity(OVERHEAD + if pieces == 0 { body.len() } else { 10 });
    writer.u32(checksum).u8(FORMAT);
    if pieces == 0 {
        writer.u8(WHOLE).raw(body);
        return Closed { stored: writer.into_vec(), pieces: Vec::new(), stored_as: StoredAs::default() };
    }
    writer.u8(CUT).u16(pieces).u64(name);
    let cut = Cut { name, pieces };
    let chunks = body.chunks(PIECE_BYTES_MAX).map(<[u8]>::to_vec);
    let pieces = cut.piece_keys(table).zip(chunks).collect();
    Closed { pieces, stored: writer.into_vec(), stored_as: StoredAs::cut(cut) }
}

/// The entry under a key, before its pieces are read.
pub(super) enum Opened {
    /// The body, verified.
    Whole(Vec<u8>),
    /// The body is cut.
    Cut(CutMark),
}

/// A cut body: its checksum, and where the pieces are.
#[derive(Clone, Copy)]
pub(super) struct CutMark {
    checksum: u32,
    pub(super) cut: Cut,
}

impl CutMark {
    /// Joins the pieces and verifies the result.
    pub(super) fn join(&self, key: &[u8], pieces: &[Option<Vec<u8>>]) -> Result<Vec<u8>, Unreadable> {
        let expected = self.cut.pieces;
        let mut body = Vec::with_capacity(usize::from(expected) * PIECE_BYTES_MAX);
        for (piece, bytes) in (0..expected).zip(pieces) {
            let bytes = bytes.as_ref().ok_or(Unreadable::Piece { piece, pieces: expected })?;
            body.extend_from_slice(bytes);
        }
        verify(self.checksum, key, &body)?;
        Ok(body)
    }
}

/// Unwraps the bytes under a key.
pub(super) fn open(key: &[u8], stored: &[u8]) -> Result<Opened, Unreadable> {
    let mut reader = Reader::new(stored);
    let found = reader.u32("checksum")?;
    let format = reader.u8("format")?;
    if format != FORMAT {
        return Err(Unreadable::Format { found: format });
    }
    if reader.u8("body kind")? == CUT {
        let cut = Cut { pieces: reader.u16("pieces")?, name: reader.u64("cut name")? };
        let mark = CutMark { checksum: found, cut };
        reader.finish("cut entry")?;
        return Ok(Opened::Cut(mark));
    }
    let body = reader.rest();
    verify(found, key, body)?;
    Ok(Opened::Whole(body.to_vec()))
}

fn verify(found: u32, key: &[u8], body: &[u8]) -> Result<(), Unreadable> {
    let expected = checksum(key, body);
    if found == expected { Ok(()) } else { Err(Unreadable::Checksum { found, expected }) }
}
