//! Row: one identifier of an input file, as far as it could be read.

use super::super::error::Reason;
use crate::wire::proto;

/// One row of a file, or one line of JSON lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Number of the row as a spreadsheet or an editor shows it, from 1.
    pub(super) number: u64,
    /// The identifier as in the file; empty when it could not be read.
    pub(super) identifier: String,
    /// The registration, or why the row could not be read.
    pub(super) content: Result<Vec<proto::Value>, Reason>,
    /// Approximate bytes of the file up to this row.
    pub(super) read_bytes: u64,
}

/// Code of a malformed row.
pub(super) fn malformed(message: impl Into<String>) -> Reason {
    Reason::new("ROW_MALFORMED", message)
}

/// Code of a row with bytes that are invalid in the encoding.
pub(super) fn undecodable(message: impl Into<String>) -> Reason {
    Reason::new("ENCODING_INVALID", message)
}

/// How identifiers are written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Complete, under the name `identifier`.
    Whole,
    /// Without the prefix, under the name `suffix`.
    Under {
        /// The prefix of all identifiers.
        prefix: String,
    },
}

impl Naming {
    /// Name of the column or key.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Whole => "identifier",
            Self::Under { .. } => "suffix",
        }
    }

    /// The identifier of a cell.
    pub(super) fn identifier(&self, cell: &str) -> String {
        match self {
            Self::Whole => cell.to_owned(),
            Self::Under { prefix } => format!("{prefix}/{cell}"),
        }
    }
}
