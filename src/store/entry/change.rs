//! Changes: what a journal entry records, and which operation led to it.

use crate::model::identifier::Identifier;
use crate::model::position::Position;
use crate::model::prefix::PrefixEntry;
use crate::model::token::TokenEntry;
use crate::model::value::Values;
use crate::wire::cursor::{DecodeError, Reader};

//----------- Change ---------------------------------------------------------

/// A complete change, sufficient to redo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An identifier's new state; without values, a removal.
    Identifier {
        /// The identifier as spelled.
        identifier: Identifier,
        /// The state after the change.
        values: Option<Values>,
        /// Time of registration of the identifier, in milliseconds since 1970.
        created_ms: u64,
    },
    /// A prefix entry's new state.
    Prefix(PrefixEntry),
    /// A token entry's new state.
    Token(TokenEntry),
    /// A new incarnation of the store begins.
    Incarnation {
        /// The last position of the incarnation it continues; none at the very first.
        continues: Option<Position>,
        /// The chained hash at that position; zeros at the very first.
        chain: [u8; 32],
        /// Why the incarnation began: created, restored, repaired, loss accepted.
        reason: String,
    },
}

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
}

impl Operation {
    /// Every operation, with its code on disk and its name for people.
    const TABLE: [(Self, u8, &'static str); 13] = [
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
