//! Row: one identifier of an input file, as far as it could be read.

use super::super::error::Reason;
use crate::wire::proto;

/// One row of a file, or one line of JSON lines.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    /// Its number as a spreadsheet or an editor shows it, from 1.
    pub(super) number: u64,
    /// The identifier as it stands in the file; empty when it could not be read.
    pub(super) identifier: String,
    /// What it is to hold, or why that could not be read.
    pub(super) content: Result<Vec<proto::Value>, Reason>,
    /// Bytes of the file up to about here.
    pub(super) read_bytes: u64,
}

/// Why a row could not be read: its form is wrong.
pub(super) fn malformed(message: impl Into<String>) -> Reason {
    Reason::new("ROW_MALFORMED", message)
}

/// Why a row could not be read: it holds bytes that are no text.
pub(super) fn undecodable(message: impl Into<String>) -> Reason {
    Reason::new("ENCODING_INVALID", message)
}

/// How identifiers are written in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Naming {
    /// Whole, under the name `identifier`.
    Whole,
    /// Without the prefix, under the name `suffix`.
    Under {
        /// The prefix they all have.
        prefix: String,
    },
}

impl Naming {
    /// The name under which they stand.
    pub(super) fn noun(&self) -> &'static str {
        match self {
            Self::Whole => "identifier",
            Self::Under { .. } => "suffix",
        }
    }

    /// The identifier that a cell means.
    pub(super) fn identifier(&self, cell: &str) -> String {
        match self {
            Self::Whole => cell.to_owned(),
            Self::Under { prefix } => format!("{prefix}/{cell}"),
        }
    }
}
