//! What the store keeps of an identifier, of a request, and of a change.

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
    /// Count of its changes; never goes back, not even over a removal.
    pub version: u64,
    /// Its values, or none when it was removed and only a tombstone stands.
    pub values: Option<Values>,
    /// When it was last registered anew, in milliseconds since 1970.
    pub created_ms: u64,
    /// When it last changed, in milliseconds since 1970.
    pub changed_ms: u64,
    /// Where in the journal it last changed.
    pub sequence: u64,
    /// How the stored form is cut; none when it is whole.
    pub(in crate::store) cut: Option<Cut>,
}

impl IdentifierEntry {
    /// Whether it is there for questions, lists and counts.
    pub fn is_live(&self) -> bool {
        self.values.is_some()
    }

    /// What a later commit must know of this state.
    pub fn mark(&self) -> Mark {
        Mark { version: self.version, sequence: self.sequence, cut: self.cut, live: self.is_live() }
    }
}

/// What a commit must know of the state it replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The version read.
    pub version: u64,
    /// Where it was written.
    pub sequence: u64,
    /// How it is cut.
    pub(in crate::store) cut: Option<Cut>,
    /// Whether it was live, not a tombstone.
    pub live: bool,
}

//----------- Change ---------------------------------------------------------

/// The whole of one change: enough to redo it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An identifier's new state; none of values means removed.
    Identifier {
        /// As spelled.
        identifier: Identifier,
        /// The state after the change.
        values: Option<Values>,
        /// When it was registered anew, in milliseconds since 1970.
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
        /// Why: created, restored, repaired, loss accepted.
        reason: String,
    },
}

/// What kind of change an entry records. Code points are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// An incarnation of the store began.
    Begun,
    /// An identifier was registered.
    Registered,
    /// A live identifier was registered over.
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
    /// A state without journal entry was found after a loss, and entered again.
    Adopted,
}

impl Operation {
    /// Every operation, with its code on disk and its name for people.
    const TABLE: [(Self, u8, &'static str); 12] = [
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
    ];

    /// Its code on disk.
    pub fn code(self) -> u8 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(0, |row| row.1)
    }

    /// The operation of a code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::TABLE.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// Its stable name for people and clients.
    pub fn name(self) -> &'static str {
        Self::TABLE.iter().find(|row| row.0 == self).map_or("", |row| row.2)
    }
}

//----------- RequestMemory --------------------------------------------------

/// Under which key a request's item is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RequestKey {
    /// The caller's id of the request.
    pub request: RequestId,
    /// SHA-256 of the caller's name, cut: ids are scoped to the caller.
    pub caller: [u8; 16],
    /// The item of the request.
    pub item: u32,
}

/// What was done for an item, so that its repetition gets the same receipt. About 80 bytes on disk with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestMemory {
    /// SHA-256 of the command, cut: the same id with other content is refused.
    pub content: [u8; 16],
    /// What was done; none when it held already.
    pub operation: Option<Operation>,
    /// The version reached.
    pub version: u64,
    /// Where in the journal.
    pub sequence: u64,
    /// The identifier, where the command does not tell it: minted, or registered with another spelling.
    pub identifier: Option<Identifier>,
}
