//! The tables of every engine.

use crate::store::entry::EntryKind;

/// One ordered table of keys and values: the entries of a kind, or the pieces of large ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    // Each of these holds the entries of the kind of the same name.
    Meta,
    Identifier,
    Prefix,
    Token,
    Request,
    Count,
    Bookmark,
    Header,
    Body,
    Digest,
    /// Pieces of states and bodies too large for one value.
    Piece,
}

/// The code of the table of pieces; those of the others are their kinds'.
const PIECE_CODE: u8 = 10;

impl Table {
    /// Every table, in the order of their codes.
    pub(super) const ALL: [Self; 11] = [
        Self::Meta,
        Self::Identifier,
        Self::Prefix,
        Self::Token,
        Self::Request,
        Self::Count,
        Self::Bookmark,
        Self::Header,
        Self::Body,
        Self::Piece,
        Self::Digest,
    ];

    /// The kind of the entries; none for the table of pieces.
    const fn kind(self) -> Option<EntryKind> {
        Some(match self {
            Self::Meta => EntryKind::Meta,
            Self::Identifier => EntryKind::Identifier,
            Self::Prefix => EntryKind::Prefix,
            Self::Token => EntryKind::Token,
            Self::Request => EntryKind::Request,
            Self::Count => EntryKind::Count,
            Self::Bookmark => EntryKind::Bookmark,
            Self::Header => EntryKind::Header,
            Self::Body => EntryKind::Body,
            Self::Digest => EntryKind::Digest,
            Self::Piece => return None,
        })
    }

    /// The table's name inside an engine. It never changes once released.
    pub(super) fn name(self) -> &'static str {
        self.kind().map_or("piece", EntryKind::name)
    }

    /// The table's code in the keys of pieces and in sled's undo file. It never changes once released.
    pub(super) fn code(self) -> u8 {
        self.kind().map_or(PIECE_CODE, EntryKind::code)
    }

    /// The table of a code, if there is one.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.code() == code)
    }
}

impl From<EntryKind> for Table {
    fn from(kind: EntryKind) -> Self {
        match kind {
            EntryKind::Meta => Self::Meta,
            EntryKind::Identifier => Self::Identifier,
            EntryKind::Prefix => Self::Prefix,
            EntryKind::Token => Self::Token,
            EntryKind::Request => Self::Request,
            EntryKind::Count => Self::Count,
            EntryKind::Bookmark => Self::Bookmark,
            EntryKind::Header => Self::Header,
            EntryKind::Body => Self::Body,
            EntryKind::Digest => Self::Digest,
        }
    }
}

//----------- PerTable ------------------------------------------------------------------------------------------------

/// One item per table.
pub(super) struct PerTable<T> {
    meta: T,
    identifier: T,
    prefix: T,
    token: T,
    request: T,
    count: T,
    bookmark: T,
    header: T,
    body: T,
    piece: T,
    digest: T,
}

impl<T> PerTable<T> {
    /// Creates one item per table; ends at the first failure.
    pub(super) fn try_new<E>(mut make: impl FnMut(Table) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            meta: make(Table::Meta)?,
            identifier: make(Table::Identifier)?,
            prefix: make(Table::Prefix)?,
            token: make(Table::Token)?,
            request: make(Table::Request)?,
            count: make(Table::Count)?,
            bookmark: make(Table::Bookmark)?,
            header: make(Table::Header)?,
            body: make(Table::Body)?,
            piece: make(Table::Piece)?,
            digest: make(Table::Digest)?,
        })
    }

    /// The thing of one table.
    pub(super) const fn of(&self, table: Table) -> &T {
        match table {
            Table::Meta => &self.meta,
            Table::Identifier => &self.identifier,
            Table::Prefix => &self.prefix,
            Table::Token => &self.token,
            Table::Request => &self.request,
            Table::Count => &self.count,
            Table::Bookmark => &self.bookmark,
            Table::Header => &self.header,
            Table::Body => &self.body,
            Table::Piece => &self.piece,
            Table::Digest => &self.digest,
        }
    }
}
