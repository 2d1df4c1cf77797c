//! Entries of the store: states of identifiers, changes, and the memory of requests.

use crate::model::identifier::Identifier;
use crate::model::position::Position;
use crate::model::prefix::PrefixEntry;
use crate::model::request::RequestId;
use crate::model::token::TokenEntry;
use crate::model::value::Values;

use super::envelope::Cut;

//----------- IdentifierEntry ------------------------------------------------

/// The present state of one identifier, tombstones included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentifierEntry {
    /// The identifier as spelled when it was registered.
    pub identifier: Identifier,
    /// Version of the identifier: the count of its changes; never decreases, not even by a removal.
    pub version: u64,
    /// Values of the identifier; none for a tombstone, after a removal.
    pub values: Option<Values>,
    /// Time of the last registration of the identifier, in milliseconds since 1970.
    pub created_ms: u64,
    /// Time of the last change of the identifier, in milliseconds since 1970.
    pub changed_ms: u64,
    /// Sequence of the last change of the identifier.
    pub sequence: u64,
    /// How the stored form is cut; none when it is in one piece.
    pub(in crate::store) cut: Option<Cut>,
}

impl IdentifierEntry {
    /// Whether questions, lists and counts include it.
    pub fn is_live(&self) -> bool {
        self.values.is_some()
    }

    /// The properties of this state that a later commit needs.
    pub fn mark(&self) -> Mark {
        Mark { version: self.version, sequence: self.sequence, cut: self.cut, live: self.is_live() }
    }
}

/// The properties of a replaced state that a commit needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version read.
    pub version: u64,
    /// Sequence of the change that wrote the entry.
    pub sequence: u64,
    /// How the stored form is cut; none when it is in one piece.
    pub(in crate::store) cut: Option<Cut>,
    /// Whether the entry was live, not a tombstone.
    pub live: bool,
}

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

//----------- RequestMemory --------------------------------------------------

/// The key of a remembered request item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The caller's id of the request.
    pub request: RequestId,
    /// Truncated SHA-256 of the caller's name: ids are scoped to the caller.
    pub caller: [u8; 16],
    /// The item of the request.
    pub item: u32,
}

/// The outcome of an item, so that its repetition gets the same receipt. About 80 bytes on disk with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMemory {
    /// Truncated SHA-256 of the command: the same id with other content is refused.
    pub content: [u8; 16],
    /// The operation; none when the command changed nothing.
    pub operation: Option<Operation>,
    /// The resulting version.
    pub version: u64,
    /// Position in the journal.
    pub sequence: u64,
    /// The identifier, where the command does not tell it: minted, or registered with another spelling.
    pub identifier: Option<Identifier>,
}
