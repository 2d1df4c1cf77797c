//! The incarnations of a store, and which of them wrote which entry.

use crate::model::identifier::Folding;
use crate::model::position::{Incarnation, Position, Stream};
use crate::store::engine::StoredAs;
use crate::store::entry::change::Recorded;
use crate::store::entry::meta::{Fact, FactName};
use crate::store::entry::position::{read_position, write_position};
use crate::store::entry::{Entry, EntryKind, Readable};
use crate::store::error::Unreadable;
use crate::store::journal::{Hash, Subject};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// Incarnations that a store can have had; far more than restores and accepted losses cause.
const INCARNATIONS_MAX: usize = 10_000;
/// Bytes of the reason for an incarnation.
const REASON_BYTES_MAX: usize = 256;

/// All incarnations of a store, the first at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage(Vec<LineageEntry>);

/// One incarnation of a store: its name, its first sequence, and what it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineageEntry {
    /// Name of the incarnation.
    pub incarnation: Incarnation,
    /// Sequence of the first entry of the incarnation.
    pub first_sequence: u64,
    /// The last position of the previous incarnation, and the chained hash there.
    pub continues: Option<(Position, Hash)>,
}

/// The change with which an incarnation begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncarnationBegun {
    /// The last position of the incarnation that it continues; none at the very first.
    pub continues: Option<Position>,
    /// The chained hash at that position; zeros at the very first.
    pub chain: Hash,
    /// Why the incarnation began: created, restored, or loss accepted.
    pub reason: String,
}

impl IncarnationBegun {
    /// The incarnation that it begins, given the position of its journal entry.
    pub(in crate::store) fn at(&self, position: Position) -> LineageEntry {
        LineageEntry {
            incarnation: position.incarnation,
            first_sequence: position.sequence,
            continues: self.continues.map(|position| (position, self.chain)),
        }
    }
}

impl Recorded for IncarnationBegun {
    const CODE: u8 = 4;

    fn write(&self, writer: &mut Writer) {
        writer.text(&self.reason).raw(&self.chain);
        match self.continues {
            Some(position) => write_position(writer.u8(1), position),
            None => writer.u8(0),
        };
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let reason = reader.text("reason", REASON_BYTES_MAX)?.to_owned();
        let chain = reader.array("chain")?;
        let continues = reader.u8("continues")? == 1;
        let continues = continues.then(|| read_position(reader)).transpose()?;
        Ok(Self { continues, chain, reason })
    }

    fn subject(&self, _folding: Folding) -> Subject {
        Subject::Store
    }
}

impl Lineage {
    /// The present incarnation; none only before a store was created.
    pub fn present(&self) -> Option<&LineageEntry> {
        self.0.last()
    }

    /// The incarnations, in order.
    pub fn entries(&self) -> &[LineageEntry] {
        &self.0
    }

    /// The position of a sequence that a stored entry names: its incarnation is the last one that began at or before it, its stream
    /// that of the subject of the entry, of which there is one so far. None before the first entry.
    ///
    /// This is the only way from a sequence to a position.
    pub fn position_of(&self, sequence: u64) -> Option<Position> {
        let entry = self.0.iter().rev().find(|entry| entry.first_sequence <= sequence)?;
        Some(Position { incarnation: entry.incarnation, stream: Stream::ONLY, sequence })
    }

    /// Adds an incarnation at the end.
    pub(in crate::store) fn begin(&mut self, entry: LineageEntry) {
        self.0.push(entry);
    }
}

impl Entry for Lineage {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.count(self.0.len());
        for entry in &self.0 {
            writer.raw(&entry.incarnation.0).u64(entry.first_sequence);
            match &entry.continues {
                None => writer.u8(0),
                Some((position, chain)) => write_position(writer.u8(1), *position).raw(chain),
            };
        }
        writer.into_vec()
    }
}

impl Readable for Lineage {
    type Key = FactName;
    const KIND: EntryKind = EntryKind::Meta;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let count = reader.count("lives", INCARNATIONS_MAX, 25)?;
        let entries = (0..count).map(|_| read_entry(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.finish("lineage")?;
        Ok(Self(entries))
    }
}

impl Fact for Lineage {
    const NAME: FactName = FactName::Lineage;
}

fn read_entry(reader: &mut Reader<'_>) -> Result<LineageEntry, DecodeError> {
    let incarnation = Incarnation(reader.array("incarnation")?);
    let first_sequence = reader.u64("first sequence")?;
    let continues = match reader.u8("continues")? {
        0 => None,
        _ => Some((read_position(reader)?, reader.array("chain")?)),
    };
    Ok(LineageEntry { incarnation, first_sequence, continues })
}

/// A new incarnation's name: a UUIDv7 of this time and these random bytes, later than `after`.
pub(in crate::store) fn name_incarnation(
    now_ms: u64,
    random: [u8; 10],
    after: Option<Incarnation>,
) -> Incarnation {
    let now_ms = after.map_or(now_ms, |after| now_ms.max(after.began_ms() + 1));
    Incarnation(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Entry as _, Lineage, LineageEntry, Readable as _, StoredAs, name_incarnation};

    #[test]
    fn a_later_life_has_a_greater_name_whatever_the_clock_says() {
        let first = name_incarnation(1_000_000, [0xff; 10], None);
        let second = name_incarnation(5, [0; 10], Some(first));
        assert!(second > first);
    }

    #[test]
    fn a_sequence_belongs_to_the_life_that_wrote_it() {
        let (first, second) = (name_incarnation(1, [0; 10], None), name_incarnation(2, [0; 10], None));
        let mut lineage = Lineage::default();
        lineage.begin(LineageEntry { incarnation: first, first_sequence: 1, continues: None });
        let end = lineage.position_of(9).expect("the first incarnation");
        lineage.begin(LineageEntry {
            incarnation: second,
            first_sequence: 10,
            continues: Some((end, [3; 32])),
        });
        assert_eq!(lineage.position_of(9).map(|p| p.incarnation), Some(first));
        assert_eq!(lineage.position_of(10).map(|p| p.incarnation), Some(second));
        assert_eq!(Lineage::decode(&[], &lineage.encode(), StoredAs::default()), Ok(lineage));
    }
}
