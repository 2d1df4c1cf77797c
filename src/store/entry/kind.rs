//! The kinds of entries that an engine keeps apart.

/// A kind of entry.
///
/// A code is written into backups, the witness, keys of pieces and sled's undo file. It is never given to another kind, not even
/// after its own is gone: a file of any age may still hold it, and would be read as something that it is not. A name is that of
/// the engine's own table on disk. Neither may change once released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) enum EntryKind {
    /// Facts about the store itself, one small entry each.
    Meta,
    /// Present states of identifiers.
    Identifier,
    /// Present states of prefixes.
    Prefix,
    /// Tokens of callers.
    Token,
    /// The memory of request ids.
    Request,
    /// Numbers of live identifiers by prefix.
    Count,
    /// Last confirmed positions of followers.
    Bookmark,
    /// Headers of the journal, by stream and sequence.
    Header,
    /// Bodies of the journal, by stream and sequence.
    Body,
    /// Identifiers of long suffixes by their digest.
    Digest,
    /// Notes of operators on prefixes.
    Note,
}

impl EntryKind {
    /// Every kind with its code and name, in the order of the codes. The code 10 belongs to the pieces of large entries.
    const TABLE: [(Self, u8, &'static str); 11] = [
        (Self::Meta, 1, "meta"),
        (Self::Identifier, 2, "identifier"),
        (Self::Prefix, 3, "prefix"),
        (Self::Token, 4, "token"),
        (Self::Request, 5, "request"),
        (Self::Count, 6, "count"),
        (Self::Bookmark, 7, "bookmark"),
        (Self::Header, 8, "header"),
        (Self::Body, 9, "body"),
        (Self::Digest, 11, "digest"),
        (Self::Note, 12, "note"),
    ];

    /// The code in backups.
    pub(in crate::store) fn code(self) -> u8 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// The name for people, and of the engine's table.
    pub(in crate::store) fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }

    /// The kind of a code, if there is one.
    pub(in crate::store) fn from_code(code: u8) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.1 == code).map(|row| row.0)
    }
}
