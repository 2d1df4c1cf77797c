//! The tables of every engine.

use crate::store::entry::EntryKind;

/// The code of the table of pieces; those of the others are their kinds'.
const PIECE_CODE: u8 = 10;

/// Defines the tables, in the order of their codes, and one item for each of them. After the arrow stands the kind of the entries.
macro_rules! tables {
    ($($(#[$headline:meta])* $table:ident $field:ident $(=> $kind:ident)?,)+) => {
        /// One ordered table of keys and values: the entries of a kind, or the pieces of large ones.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(super) enum Table {
            $($(#[$headline])* $table,)+
        }

        impl Table {
            /// Every table, in the order of their codes.
            pub(super) const ALL: [Self; [$(stringify!($table)),+].len()] = [$(Self::$table),+];

            /// The kind of the entries; none for the table of pieces.
            fn kind(self) -> Option<EntryKind> {
                match self {
                    $(Self::$table => [$(EntryKind::$kind)?].first().copied(),)+
                }
            }
        }

        impl From<EntryKind> for Table {
            fn from(kind: EntryKind) -> Self {
                match kind {
                    $($(EntryKind::$kind => Self::$table,)?)+
                }
            }
        }

        /// One item per table.
        pub(super) struct PerTable<T> {
            $($field: T,)+
        }

        impl<T> PerTable<T> {
            /// Creates one item per table, in their order; ends at the first failure.
            pub(super) fn try_new<E>(mut make: impl FnMut(Table) -> Result<T, E>) -> Result<Self, E> {
                Ok(Self { $($field: make(Table::$table)?,)+ })
            }

            /// The item of one table.
            pub(super) const fn of(&self, table: Table) -> &T {
                match table {
                    $(Table::$table => &self.$field,)+
                }
            }
        }
    };
}

tables! {
    Meta meta => Meta,
    Identifier identifier => Identifier,
    Prefix prefix => Prefix,
    Token token => Token,
    Request request => Request,
    Count count => Count,
    Bookmark bookmark => Bookmark,
    Header header => Header,
    Body body => Body,
    /// Pieces of states and bodies too large for one value.
    Piece piece,
    Digest digest => Digest,
    Note note => Note,
}

impl Table {
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
