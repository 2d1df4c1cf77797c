//! Positions in the journal, and the bookmarks of followers.

use core::cmp::Ordering;
use core::fmt;
use std::collections::BTreeMap;

//----------- Position -------------------------------------------------------

/// A position in the journal: incarnation of the store, stream, entry.
///
/// Positions of one incarnation and stream are ordered, others are not: an entry that was lost and the one that took its sequence
/// are neither before nor after each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// The incarnation that wrote the entry.
    pub incarnation: Incarnation,
    /// The stream of the entry.
    pub stream: Stream,
    /// The entry's number in that stream, dense from 1.
    pub sequence: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.incarnation, self.stream.0, self.sequence)
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let are_comparable = (self.incarnation, self.stream) == (other.incarnation, other.stream);
        are_comparable.then(|| self.sequence.cmp(&other.sequence))
    }
}

impl Position {
    /// Number of entries after an earlier position, up to this one, in a journal that has both: sequences go on from one
    /// incarnation to the next. None for a later position, and for one in another stream.
    pub fn entries_after(self, earlier: Self) -> Option<u64> {
        if self.stream != earlier.stream {
            return None;
        }
        self.sequence.checked_sub(earlier.sequence)
    }

    /// Whether an entry can be there. Sequences begin at 1; 0 is before the first entry.
    pub fn is_entry(self) -> bool {
        self.sequence > 0
    }

    /// Parses what `Display` writes: `incarnation:stream:sequence`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ':');
        let incarnation = Incarnation::parse(parts.next()?)?;
        let stream = Stream(parts.next()?.parse().ok()?);
        let sequence = parts.next()?.parse().ok()?;
        Some(Self { incarnation, stream, sequence })
    }
}

//----------- Incarnation ----------------------------------------------------

/// One history of a store, renewed by a restore or an accepted loss.
///
/// It is a UUIDv7 (RFC 9562 section 5.7), so that the later of two incarnations is the greater: a peer that has
/// seen the later one refuses the earlier one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub [u8; 16]);

impl Incarnation {
    /// Parses 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u128::from_str_radix(text, 16).ok().filter(|_| well_formed)?;
        Some(Self(number.to_be_bytes()))
    }

    /// Time at which the incarnation began by its node's clock, in milliseconds since 1970.
    pub fn began_ms(self) -> u64 {
        let [a, b, c, d, e, f, ..] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An ordered part of the journal; embedded engines have exactly one, number 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream(pub u16);

impl Stream {
    /// The only stream of an embedded engine.
    pub const ONLY: Self = Self(0);
}

//----------- Bookmark -------------------------------------------------------

/// A follower's last confirmed positions, one per stream. Clients treat it as opaque.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bookmark(BTreeMap<Stream, (Incarnation, u64)>);

impl Bookmark {
    /// The confirmed position in a stream.
    pub fn at(&self, stream: Stream) -> Option<Position> {
        self.0.get(&stream).map(|(incarnation, sequence)| Position {
            incarnation: *incarnation,
            stream,
            sequence: *sequence,
        })
    }

    /// Moves to a position in its stream.
    pub fn advance(&mut self, position: Position) {
        self.0.insert(position.stream, (position.incarnation, position.sequence));
    }

    /// The positions, by stream.
    pub fn positions(&self) -> impl Iterator<Item = Position> {
        self.0.iter().map(|(stream, (incarnation, sequence))| Position {
            incarnation: *incarnation,
            stream: *stream,
            sequence: *sequence,
        })
    }
}

impl FromIterator<Position> for Bookmark {
    fn from_iter<T: IntoIterator<Item = Position>>(positions: T) -> Self {
        let mut bookmark = Self::default();
        for position in positions {
            bookmark.advance(position);
        }
        bookmark
    }
}

#[cfg(test)]
mod tests {
    use super::{Bookmark, Incarnation, Position, Stream};

    #[test]
    fn a_position_parses_as_displayed() {
        let position = Position { incarnation: Incarnation([7; 16]), stream: Stream::ONLY, sequence: 42 };
        assert_eq!(Position::parse(&position.to_string()), Some(position));
        assert_eq!(Position::parse("07:0:1"), None);
    }

    #[test]
    fn positions_of_one_incarnation_and_stream_are_ordered_and_others_are_not() {
        let at = |incarnation, stream, sequence| Position {
            incarnation: Incarnation([incarnation; 16]),
            stream: Stream(stream),
            sequence,
        };
        assert!(at(1, 0, 3) < at(1, 0, 4) && at(1, 0, 4) <= at(1, 0, 4) && at(1, 0, 5) > at(1, 0, 4));
        assert_eq!(at(1, 0, 3).partial_cmp(&at(2, 0, 4)), None);
        assert_eq!(at(1, 0, 3).partial_cmp(&at(1, 1, 4)), None);
        assert_eq!(at(1, 0, 9).entries_after(at(1, 0, 4)), Some(5));
        assert_eq!(at(2, 0, 9).entries_after(at(1, 0, 9)), Some(0));
        assert_eq!(at(1, 0, 3).entries_after(at(1, 0, 4)), None);
        assert_eq!(at(1, 1, 9).entries_after(at(1, 0, 4)), None);
    }

    #[test]
    fn a_bookmark_holds_one_place_a_stream() {
        let place = |sequence| Position { incarnation: Incarnation([1; 16]), stream: Stream::ONLY, sequence };
        let bookmark: Bookmark = [place(3), place(9)].into_iter().collect();
        assert_eq!(bookmark.at(Stream::ONLY), Some(place(9)));
        assert_eq!(bookmark.positions().count(), 1);
    }
}
