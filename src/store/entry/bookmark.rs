//! Bookmarks: the last positions that a follower has confirmed. The key is the name of the follower.

use super::position::{read_position, write_position};
use super::{Entry, EntryKind, Readable};
use crate::model::position::{Bookmark, Position};
use crate::store::engine::StoredAs;
use crate::store::error::Unreadable;
use crate::wire::cursor::{Reader, Writer};

/// Positions of a bookmark at most.
const POSITIONS_MAX: usize = 65_536;

impl Readable for Bookmark {
    type Key = String;
    const KIND: EntryKind = EntryKind::Bookmark;

    fn decode(_key: &[u8], body: &[u8], _stored: StoredAs) -> Result<Self, Unreadable> {
        let mut reader = Reader::new(body);
        let count = reader.count("positions", POSITIONS_MAX, 26)?;
        let positions = (0..count).map(|_| read_position(&mut reader)).collect::<Result<_, _>>();
        Ok(positions?)
    }
}

impl Entry for Bookmark {
    fn encode(&self) -> Vec<u8> {
        let positions: Vec<Position> = self.positions().collect();
        let mut writer = Writer::default();
        writer.count(positions.len());
        for position in positions {
            write_position(&mut writer, position);
        }
        writer.into_vec()
    }
}
