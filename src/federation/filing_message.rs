//! What a node and its upper node tell each other about filed prefixes, in the words of the model.

use crate::model::identifier::Prefix;
use crate::model::position::{Incarnation, Position};
use crate::model::prefix::{Homing, Registrant, Standing};

/// Answer of the upper node to an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its own incarnation.
    pub incarnation: Incarnation,
    /// The last position that it confirmed.
    pub bookmark: Option<Position>,
    /// Whether it wants the present state.
    pub resynchronize: bool,
    /// The prefixes that our token names: nothing else is to be filed.
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
    /// The present state follows, as of this place or later.
    Begin(Position),
    /// One prefix as it stands.
    Filed(FiledPrefix),
    /// The present state is complete.
    End(Position),
    /// Nothing more to file up to a place.
    Progress {
        /// The place.
        position: Position,
        /// Changes of identifiers since the last progress.
        identifier_changes: u64,
    },
}

/// One prefix as it stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiledPrefix {
    /// The prefix.
    pub prefix: Prefix,
    /// For whom it is registered.
    pub registrant: Option<Registrant>,
    /// Whether it may be used.
    pub standing: Standing,
    /// Who answers for it, as seen from here.
    pub homing: Homing,
    /// Where it changed in the journal.
    pub position: Position,
}

/// What the upper node acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Everything up to here is on its disk; none while present state is filed.
    pub position: Option<Position>,
    /// Its own incarnation.
    pub incarnation: Incarnation,
    /// What it did not take.
    pub refused: Vec<RefusedFiling>,
}

/// A filing that the upper node did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFiling {
    /// The prefix.
    pub prefix: Prefix,
    /// The stable reason.
    pub code: String,
    /// The sentence.
    pub message: String,
}
