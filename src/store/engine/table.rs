//! The tables of every engine, and their stable codes.

/// One ordered table of keys and values.
///
/// A code is written into backups and never given to another table; a name is the engine's own name of the table on
/// disk. Neither may change once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) enum Table {
    /// Facts about the store itself: format, incarnation, folding, streams.
    Meta,
    /// Present states of identifiers.
    Identifier,
    /// Present states of prefixes.
    Prefix,
    /// Tokens of callers.
    Token,
    /// The memory of request ids.
    Request,
    /// Counts stored beside the entries.
    Count,
    /// Last confirmed places of followers.
    Bookmark,
    /// Headers of the journal, by stream and sequence.
    Header,
    /// Bodies of the journal, by stream and sequence.
    Body,
    /// Pieces of states and bodies too large for one value.
    Piece,
    /// Long suffixes by their digest.
    Digest,
}

impl Table {
    /// Every table, in the order of their codes.
    pub(in crate::store) const ALL: [Self; 11] = [
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

    /// The table's name inside an engine.
    pub(in crate::store) const fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Identifier => "identifier",
            Self::Prefix => "prefix",
            Self::Token => "token",
            Self::Request => "request",
            Self::Count => "count",
            Self::Bookmark => "bookmark",
            Self::Header => "header",
            Self::Body => "body",
            Self::Piece => "piece",
            Self::Digest => "digest",
        }
    }

    /// The table's code in backups.
    pub(in crate::store) const fn code(self) -> u8 {
        match self {
            Self::Meta => 1,
            Self::Identifier => 2,
            Self::Prefix => 3,
            Self::Token => 4,
            Self::Request => 5,
            Self::Count => 6,
            Self::Bookmark => 7,
            Self::Header => 8,
            Self::Body => 9,
            Self::Piece => 10,
            Self::Digest => 11,
        }
    }

    /// The table of a code, if there is one.
    pub(in crate::store) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|table| table.code() == code)
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
