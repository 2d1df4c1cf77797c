//! Changes: what a journal entry records, and which operation led to it. The changes of a kind stand in its file; here is the
//! list of all of them.

use super::identifier::IdentifierChange;
use crate::model::identifier::Folding;
use crate::model::prefix::{PrefixEntry, PrefixNote};
use crate::model::token::TokenEntry;
use crate::store::journal::Subject;
use crate::store::journal::lineage::IncarnationBegun;
use crate::wire::cursor::{DecodeError, Reader, Writer};

//----------- Change ---------------------------------------------------------

/// A change of one kind, as a journal entry records it.
pub(in crate::store) trait Recorded: Sized {
    /// The code of the kind in a body. It never changes once released.
    const CODE: u8;

    /// Writes the change.
    fn write(&self, writer: &mut Writer);

    /// Reads a change.
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// What the journal calls the changed thing.
    fn subject(&self, folding: Folding) -> Subject;
}

/// Defines the changes of every kind, and what is done with any of them.
macro_rules! changes {
    ($($(#[$headline:meta])* $name:ident($change:ty),)+) => {
        /// A complete change, sufficient to redo it.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Change {
            $($(#[$headline])* $name($change),)+
        }

        impl Change {
            /// Writes the code of the kind, and the change.
            pub(in crate::store) fn write(&self, writer: &mut Writer) {
                match self {
                    $(Self::$name(change) => change.write(writer.u8(<$change>::CODE)),)+
                }
            }

            /// Reads a change of any kind.
            pub(in crate::store) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                match reader.u8("change")? {
                    $(<$change>::CODE => Ok(Self::$name(<$change>::read(reader)?)),)+
                    _ => Err(reader.refuse("change")),
                }
            }

            /// What the journal calls the changed thing.
            pub(in crate::store) fn subject(&self, folding: Folding) -> Subject {
                match self {
                    $(Self::$name(change) => change.subject(folding),)+
                }
            }
        }
    };
}

changes! {
    /// An identifier's new state; without values, a removal.
    Identifier(IdentifierChange),
    /// A prefix entry's new state.
    Prefix(PrefixEntry),
    /// A token entry's new state.
    Token(TokenEntry),
    /// A new incarnation of the store begins.
    Incarnation(IncarnationBegun),
    /// The new state of a note on a prefix; without text, a removal.
    Note(PrefixNote),
}

//----------- Operation ------------------------------------------------------

/// The kind of change that an entry records. Code points are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An incarnation of the store began.
    Begun,
    /// An identifier was registered.
    Registered,
    /// All values of a live identifier were replaced.
    Overwritten,
    /// Single values were added, replaced or removed.
    Amended,
    /// An identifier was removed.
    Removed,
    /// A prefix was homed here.
    PrefixHomed,
    /// A prefix was delegated to another site.
    PrefixDelegated,
    /// A prefix was suspended.
    PrefixSuspended,
    /// A prefix was revoked.
    PrefixRevoked,
    /// A token was created.
    TokenCreated,
    /// A token was revoked.
    TokenRevoked,
    /// A state without journal entry was found after a loss, and recorded again.
    Adopted,
    /// The order of a peer's incarnations was reset.
    PeerReset,
    /// A note on a prefix was set, replaced or removed.
    PrefixNoted,
}

impl Operation {
    /// Every operation, with its code on disk and its name for people.
    const TABLE: [(Self, u8, &'static str); 14] = [
        (Self::Begun, 1, "begun"),
        (Self::Registered, 2, "registered"),
        (Self::Overwritten, 3, "overwritten"),
        (Self::Amended, 4, "amended"),
        (Self::Removed, 5, "removed"),
        (Self::PrefixHomed, 6, "prefix_homed"),
        (Self::PrefixDelegated, 7, "prefix_delegated"),
        (Self::PrefixSuspended, 8, "prefix_suspended"),
        (Self::PrefixRevoked, 9, "prefix_revoked"),
        (Self::TokenCreated, 10, "token_created"),
        (Self::TokenRevoked, 11, "token_revoked"),
        (Self::Adopted, 12, "adopted"),
        (Self::PeerReset, 13, "peer_reset"),
        (Self::PrefixNoted, 14, "prefix_noted"),
    ];

    /// The code on disk.
    pub fn code(self) -> u8 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// The operation of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// The stable name for people and clients.
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }
}

/// Reads an operation.
pub(in crate::store) fn read_operation(reader: &mut Reader<'_>) -> Result<Operation, DecodeError> {
    let code = reader.u8("operation")?;
    Operation::from_code(code).ok_or_else(|| reader.refuse("operation"))
}
