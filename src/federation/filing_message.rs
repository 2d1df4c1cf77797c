//! Messages between a node and its upper node about filed prefixes, in types of the model.

use crate::model::identifier::Prefix;
use crate::model::position::{Incarnation, Position};
use crate::model::prefix::{Homing, PrefixStatus, Registrant};

/// The answer of the upper node to an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Incarnation of the upper node's store.
    pub incarnation: Incarnation,
    /// The last position that the upper node confirmed.
    pub bookmark: Option<Position>,
    /// Whether the upper node requests the present state.
    pub resynchronize: bool,
    /// The prefixes that this node's token covers; others are not accepted.
    pub scope: Vec<Prefix>,
}

impl Default for Announced {
    fn default() -> Self {
        let incarnation = Incarnation([0; 16]);
        Self { incarnation, bookmark: None, resynchronize: false, scope: Vec::new() }
    }
}

/// One message to the upper node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilingMessage {
    /// The present state follows, as of this position or later.
    Begin(Position),
    /// The present state of one prefix.
    Filed(FiledPrefix),
    /// The present state is complete.
    End(Position),
    /// There is nothing more to file up to a position.
    Progress {
        /// The position.
        position: Position,
        /// Changes of identifiers since the last progress.
        identifier_changes: u64,
    },
}

/// The present state of one prefix at this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiledPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// The party that the prefix is registered for.
    pub registrant: Option<Registrant>,
    /// Whether the prefix may be used.
    pub status: PrefixStatus,
    /// Which node answers for the prefix, as seen from this node.
    pub homing: Homing,
    /// Position of the change in the journal.
    pub position: Position,
}

/// An acknowledgement of the upper node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The position up to which everything is on the upper node's disk; none while the present state is filed.
    pub position: Option<Position>,
    /// Incarnation of the upper node's store.
    pub incarnation: Incarnation,
    /// Filings that the upper node refused.
    pub refused: Vec<RefusedFiling>,
}

/// A filing that the upper node refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFiling {
    /// The prefix.
    pub prefix: Prefix,
    /// The stable reason code.
    pub code: String,
    /// The explanation for people.
    pub message: String,
}
