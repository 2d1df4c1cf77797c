//! An image of the entries, kind by kind, while commits go on.

use std::ops::Bound;

use super::Tables;
use super::backend::Snapshot;
use super::envelope::{self, Opened};
use super::scan::{Order, PageLimit, ScanRange};
use super::span::Span;
use super::table::Table;
use crate::store::entry::{EntryKind, Readable as _};
use crate::store::error::Error;
use crate::store::journal::Header;

/// An image of the entries. Dropping it ends it.
pub(in crate::store) struct EngineImage {
    tables: Tables,
    snapshot: Snapshot,
}

/// Where the reading of a kind goes on.
#[derive(Default)]
pub(in crate::store) struct ImageCursor(Option<Vec<u8>>);

/// The bytes of an entry's key, and its body.
pub(in crate::store) type KeyBody = (Vec<u8>, Vec<u8>);

impl Tables {
    /// Begins an image of the present entries.
    pub(in crate::store) async fn image(&self) -> Result<EngineImage, Error> {
        Ok(EngineImage { tables: self.clone(), snapshot: self.backend.snapshot().await? })
    }
}

impl EngineImage {
    /// Whether everything read from it belongs to one instant. Otherwise each entry is whole, and some are later than others.
    pub(in crate::store) fn is_exact(&self) -> bool {
        self.snapshot.is_exact()
    }

    /// The last header of the journal in the image.
    pub(in crate::store) async fn last_header(&self) -> Result<Option<Header>, Error> {
        let range = Span::<Header>::of_stream().range;
        let limit = PageLimit { entries: 1, bytes: 1 };
        let page = self.snapshot.scan(Table::from(Header::KIND), range, Order::Backward, limit).await?;
        let Some((key, stored)) = page.into_iter().next() else { return Ok(None) };
        let joined = self.tables.join(Table::from(Header::KIND), &key, stored).await?;
        joined.map(|joined| self.tables.decode(&key, &joined)).transpose()
    }

    /// The next entries of a kind; none at its end.
    pub(in crate::store) async fn next(
        &self,
        kind: EntryKind,
        cursor: &mut ImageCursor,
        limit: PageLimit,
    ) -> Result<Vec<KeyBody>, Error> {
        let table = Table::from(kind);
        loop {
            let start = cursor.0.clone().map_or(Bound::Unbounded, Bound::Excluded);
            let range = ScanRange { start, end: Bound::Unbounded };
            let page = self.snapshot.scan(table, range, Order::Forward, limit).await?;
            if page.is_empty() {
                return Ok(Vec::new());
            }
            let (mut found, mut bytes) = (Vec::with_capacity(page.len()), 0);
            for (key, stored) in page {
                cursor.0 = Some(key.clone());
                let Some(body) = self.join(table, &key, stored).await? else { continue };
                bytes += body.len();
                found.push((key, body));
                if bytes >= limit.bytes {
                    break;
                }
            }
            if !found.is_empty() {
                return Ok(found);
            }
        }
    }

    async fn join(&self, table: Table, key: &[u8], stored: Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        if !self.snapshot.is_exact() {
            return Ok(self.tables.join(table, key, stored).await?.map(|joined| joined.body));
        }
        let damaged = |error| self.tables.damaged(table, key, &error);
        let mark = match envelope::open(key, &stored).map_err(damaged)? {
            Opened::Whole(body) => return Ok(Some(body)),
            Opened::Cut(mark) => mark,
        };
        let range = ScanRange::starting_with(&super::key::pieces(table.code(), mark.cut.name));
        let limit = PageLimit { entries: usize::from(mark.cut.pieces), bytes: usize::MAX };
        let pieces = self.snapshot.scan(Table::Piece, range, Order::Forward, limit).await?;
        let pieces: Vec<Option<Vec<u8>>> = pieces.into_iter().map(|(_, piece)| Some(piece)).collect();
        mark.join(key, &pieces).map(Some).map_err(damaged)
    }
}
