//! The point up to which a restore goes.

use super::manifest_v1::time;
use crate::model::position::Position;
use crate::store::copy::restore::RestoreTarget;

//----------- Until ----------------------------------------------------------

/// The point up to which a restore goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// The end of the backup.
    End,
    /// The entry at this position.
    Position(Position),
    /// The entry of this sequence.
    Sequence(u64),
    /// The last entry not after this time, in milliseconds since 1970.
    Time(u64),
}

impl Until {
    /// Parses a position as it is shown, `incarnation:stream:sequence`, or its sequence alone.
    pub fn parse_position(text: &str) -> Option<Self> {
        let sequence = text.parse().ok().map(Self::Sequence);
        sequence.or_else(|| Position::parse(text).map(Self::Position))
    }

    pub(super) fn target(self) -> RestoreTarget {
        match self {
            Self::End => RestoreTarget::End,
            Self::Position(position) => RestoreTarget::Sequence(position.sequence),
            Self::Sequence(sequence) => RestoreTarget::Sequence(sequence),
            Self::Time(time_ms) => RestoreTarget::Time(time_ms),
        }
    }

    pub(super) fn display(self) -> String {
        match self {
            Self::End => "the end".to_owned(),
            Self::Position(position) => format!("position {position}"),
            Self::Sequence(sequence) => format!("position {sequence}"),
            Self::Time(time_ms) => format!("time {}", time(time_ms)),
        }
    }
}
