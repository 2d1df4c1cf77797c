//! The store header, version 1: properties that are fixed when a store is created.

use crate::model::identifier::Folding;
use crate::store::engine::StoredAs;
use crate::store::entry::meta::{Fact, FactName};
use crate::store::entry::{Entry, EntryKind, Readable};
use crate::store::error::Unreadable;
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// The format of every table written today.
const FORMAT: u8 = 1;
/// The codes of the tables that it lists, each with its format. A kind that is added later does not change the list.
const TABLES: [u8; 11] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
/// The hash that chains the journal: 1 is SHA-256.
const HASH: u8 = 1;

/// Properties that are fixed when a store is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct StoreHeader {
    /// Which letters of a suffix are folded.
    pub(in crate::store) folding: Folding,
    /// Number of streams of the journal.
    pub(in crate::store) streams: u16,
}

impl Readable for StoreHeader {
    type Key = FactName;
    const KIND: EntryKind = EntryKind::Meta;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        Ok(Self::read(body)?)
    }
}

impl Entry for StoreHeader {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(FORMAT).u8(HASH).u16(self.streams);
        writer.u8(u8::from(self.folding == Folding::SuffixSensitive));
        writer.count(TABLES.len());
        for table in TABLES {
            writer.u8(table).u8(FORMAT);
        }
        writer.into_vec()
    }
}

impl Fact for StoreHeader {
    const NAME: FactName = FactName::Header;
}

/// A header that may be of a form that this program does not know.
pub(in crate::store) struct EncodedHeader(pub(in crate::store) Vec<u8>);

impl Readable for EncodedHeader {
    type Key = FactName;
    const KIND: EntryKind = EntryKind::Meta;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        Ok(Self(body.to_vec()))
    }
}

impl StoreHeader {
    /// Decodes a header; an unknown format or hash is an error.
    pub(in crate::store) fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        if reader.u8("store format")? != FORMAT {
            return Err(reader.refuse("store format"));
        }
        if reader.u8("journal hash")? != HASH {
            return Err(reader.refuse("journal hash"));
        }
        let streams = reader.u16("streams")?;
        let folding = match reader.u8("folding")? {
            0 => Folding::Insensitive,
            1 => Folding::SuffixSensitive,
            _ => return Err(reader.refuse("folding")),
        };
        for _ in 0..reader.count("tables", 64, 2)? {
            let table = reader.u8("table")?;
            if !TABLES.contains(&table) || reader.u8("table format")? != FORMAT {
                return Err(reader.refuse("table format"));
            }
        }
        reader.finish("store header")?;
        Ok(Self { folding, streams })
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry as _, Folding, StoreHeader};

    #[test]
    fn a_header_reads_back_and_an_unknown_format_does_not() {
        let header = StoreHeader { folding: Folding::SuffixSensitive, streams: 1 };
        let mut bytes = header.encode();
        assert_eq!(StoreHeader::read(&bytes), Ok(header));
        bytes[0] = 9;
        assert_eq!(StoreHeader::read(&bytes).map_err(|error| error.what), Err("store format"));
    }
}
