//! Row: one identifier of an input file, as far as it could be read.

use super::super::error::Reason;
use crate::wire::proto;

//----------- Row ------------------------------------------------------------

/// One row of a file, or one line of JSON lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Number of the row as a spreadsheet or an editor shows it, from 1.
    pub(super) number: u64,
    /// The identifier as in the file; empty when it could not be read.
    pub(super) identifier: String,
    /// What the row asks for, or why it cannot be taken.
    pub(super) content: Result<Content, Reason>,
    /// The row as in the file, for the result file.
    pub(super) original: Original,
    /// Approximate bytes of the file up to this row.
    pub(super) read_bytes: u64,
}

impl Row {
    /// Approximate bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let content = self.content.as_ref().map_or(0, Content::bytes);
        self.identifier.len() + self.original.bytes() + content
    }
}

/// What a row asks for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// An identifier with these values.
    Values(Vec<proto::Value>),
    /// Changes of an identifier.
    Changes(Changes),
    /// The removal of an identifier.
    Removal,
}

/// Changes of the values of an identifier.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Values to add.
    pub(super) add: Vec<proto::Value>,
    /// Values to replace.
    pub(super) replace: Vec<proto::Value>,
    /// Indexes of values to remove.
    pub(super) remove: Vec<u32>,
}

impl Content {
    /// The values that are sent.
    pub(super) fn values(&self) -> impl Iterator<Item = &proto::Value> {
        let (first, second): (&[proto::Value], &[proto::Value]) = match self {
            Self::Values(values) => (values, &[]),
            Self::Changes(changes) => (&changes.add, &changes.replace),
            Self::Removal => (&[], &[]),
        };
        first.iter().chain(second)
    }

    /// Approximate bytes in memory.
    fn bytes(&self) -> usize {
        let removed = match self {
            Self::Changes(changes) => size_of_val(changes.remove.as_slice()),
            Self::Values(_) | Self::Removal => 0,
        };
        let bytes = |value: &proto::Value| size_of_val(value) + value.data.len() + value.r#type.len();
        self.values().map(bytes).sum::<usize>() + removed
    }
}

/// A row as in the file, decoded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Original {
    /// The cells of a CSV row, without those that an earlier result file added.
    Cells(Vec<String>),
    /// A line of JSON lines, without its end.
    Line(String),
}

impl Original {
    /// Approximate bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Cells(cells) => cells.iter().map(|cell| cell.len() + size_of::<String>()).sum(),
            Self::Line(line) => line.len(),
        }
    }
}

//----------- Reasons --------------------------------------------------------

/// The reason of a malformed row.
pub(super) fn malformed(message: impl Into<String>) -> Reason {
    Reason::new("ROW_MALFORMED", message)
}

/// The reason of a row with bytes that are invalid in the encoding.
pub(super) fn undecodable(message: impl Into<String>) -> Reason {
    Reason::new("ENCODING_INVALID", message)
}
