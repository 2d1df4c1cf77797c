//! Receipts: what was done, and where in the journal.

use crate::model::identifier::Identifier;
use crate::model::position::Position;
use crate::store::entry::{Operation, RequestMemory};

use crate::model::refusal::Refusal;

use super::warnings::Warnings;

/// The outcome of a command that was carried out: it is on disk, and the next question sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The identifier, as registered or minted; none for prefixes, tokens and notes.
    pub identifier: Option<Identifier>,
    /// The version reached.
    pub version: u64,
    /// Position of the change in the journal.
    pub position: Position,
    /// What was done.
    pub outcome: Outcome,
    /// Whether values of the identifier were replaced or removed. It is not remembered, so that it is reported only for
    /// commands without a request id: a repeated receipt equals the first.
    pub replaced: bool,
    /// Whether the command was carried out before, for the same request id.
    pub repeated: bool,
    /// What is likely not as meant in the values that the command writes.
    pub warnings: Warnings,
}

impl Receipt {
    /// The first receipt again, from the memory of its request; refused if that was for other content.
    pub(super) fn repeated(
        target: Option<Identifier>,
        memory: &RequestMemory,
        content: [u8; 16],
        position: Position,
    ) -> Result<Self, Refusal> {
        if memory.content != content {
            return Err(Refusal::RequestConflict);
        }
        Ok(Self {
            identifier: memory.identifier.clone().or(target),
            version: memory.version,
            position,
            outcome: memory.operation.map_or(Outcome::Unchanged, Outcome::of),
            replaced: false,
            repeated: true,
            warnings: Warnings::default(),
        })
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The identifier was registered.
    Registered,
    /// The values of the identifier were replaced by others.
    Overwritten,
    /// Some values of the identifier were changed.
    Amended,
    /// The identifier was removed.
    Removed,
    /// Everything was as asked for already; nothing was written.
    Unchanged,
    /// The prefix entry was changed.
    PrefixChanged,
    /// The token was created.
    TokenCreated,
    /// The token was revoked.
    TokenRevoked,
    /// The order of the peer's incarnations was reset.
    PeerReset,
    /// The note on the prefix was set, replaced or removed.
    PrefixNoted,
}

impl Outcome {
    /// The outcome of a journal operation.
    pub(super) fn of(operation: Operation) -> Self {
        match operation {
            Operation::Registered => Self::Registered,
            Operation::Overwritten => Self::Overwritten,
            Operation::Amended => Self::Amended,
            Operation::Removed => Self::Removed,
            Operation::PrefixHomed
            | Operation::PrefixDelegated
            | Operation::PrefixSuspended
            | Operation::PrefixRevoked => Self::PrefixChanged,
            Operation::TokenCreated => Self::TokenCreated,
            Operation::TokenRevoked => Self::TokenRevoked,
            Operation::PeerReset => Self::PeerReset,
            Operation::PrefixNoted => Self::PrefixNoted,
            Operation::Begun | Operation::Adopted => Self::Unchanged,
        }
    }
}
