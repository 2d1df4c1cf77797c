//! The lives of a store, and which life wrote which entry.

use crate::model::position::{Incarnation, Position, Stream};
use crate::wire::cursor::{DecodeError, Reader, Writer};

use super::entry_v1;
use super::journal::Hash;

/// Lives a store may have had; far beyond what restores and repairs bring.
const LIVES_MAX: usize = 10_000;

/// All lives of a store, the first at the beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lineage(Vec<Life>);

/// One life: which, from which sequence on, and what it continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its name.
    pub incarnation: Incarnation,
    /// The sequence of its first entry.
    pub first_sequence: u64,
    /// The last position of the life before, and the chained hash there.
    pub continues: Option<(Position, Hash)>,
}

impl Lineage {
    /// The present life; none only before a store was created.
    pub fn present(&self) -> Option<&Life> {
        self.0.last()
    }

    /// The lives, in order.
    pub fn lives(&self) -> &[Life] {
        &self.0
    }

    /// The position of a sequence: the life that wrote it is the last that began at or before it.
    pub fn position_of(&self, sequence: u64) -> Option<Position> {
        let life = self.0.iter().rev().find(|life| life.first_sequence <= sequence)?;
        Some(Position { incarnation: life.incarnation, stream: Stream::ONLY, sequence })
    }

    /// Adds a life at the end.
    pub(super) fn begin(&mut self, life: Life) {
        self.0.push(life);
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.count(self.0.len());
        for life in &self.0 {
            writer.raw(&life.incarnation.0).u64(life.first_sequence);
            match &life.continues {
                None => writer.u8(0),
                Some((position, chain)) => entry_v1::write_position(writer.u8(1), *position).raw(chain),
            };
        }
        writer.into_vec()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let count = reader.count("lives", LIVES_MAX, 25)?;
        let lives = (0..count).map(|_| read_life(&mut reader)).collect::<Result<Vec<_>, _>>()?;
        reader.finish("lineage")?;
        Ok(Self(lives))
    }
}

fn read_life(reader: &mut Reader<'_>) -> Result<Life, DecodeError> {
    let incarnation = Incarnation(reader.array("incarnation")?);
    let first_sequence = reader.u64("first sequence")?;
    let continues = match reader.u8("continues")? {
        0 => None,
        _ => Some((entry_v1::read_position(reader)?, reader.array("chain")?)),
    };
    Ok(Life { incarnation, first_sequence, continues })
}

/// A new incarnation's name: a UUIDv7 of this time and these random bytes, later than `after`.
pub(super) fn name_incarnation(now_ms: u64, random: [u8; 10], after: Option<Incarnation>) -> Incarnation {
    let time_of =
        |Incarnation([a, b, c, d, e, f, ..]): Incarnation| u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
    let now_ms = after.map_or(now_ms, |after| now_ms.max(time_of(after) + 1));
    Incarnation(uuid::Builder::from_unix_timestamp_millis(now_ms, &random).into_uuid().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Life, Lineage, name_incarnation};

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
        lineage.begin(Life { incarnation: first, first_sequence: 1, continues: None });
        let end = lineage.position_of(9).expect("the first life");
        lineage.begin(Life { incarnation: second, first_sequence: 10, continues: Some((end, [3; 32])) });
        assert_eq!(lineage.position_of(9).map(|p| p.incarnation), Some(first));
        assert_eq!(lineage.position_of(10).map(|p| p.incarnation), Some(second));
        assert_eq!(Lineage::decode(&lineage.encode()), Ok(lineage));
    }
}
