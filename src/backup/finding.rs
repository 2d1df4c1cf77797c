//! Findings of a verification.

use core::fmt;

/// Damage of a backup, in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Name of the file within the backup; for a file of another backup, preceded by the name of that backup.
    pub file: String,
    /// What is wrong with the file.
    pub message: String,
}

impl Finding {
    pub(super) fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), message: message.into() }
    }

    /// Returns the same finding, as one in a backup that another one continues.
    pub(super) fn within(self, backup: &str) -> Self {
        Self { file: format!("{backup}/{}", self.file), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

/// Result of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The damage that was found; empty when the backup is complete and correct.
    pub findings: Vec<Finding>,
    /// Number of entries and journal entries that were read.
    pub entries: u64,
    /// Number of bytes that were read.
    pub bytes: u64,
}

impl Verdict {
    /// Returns whether everything was read back and is correct.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}
