//! What a verification finds.

use core::fmt;

/// Something wrong with a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file concerned, within the backup; of another backup, with that one's name before it.
    pub file: String,
    /// What is wrong with it.
    pub message: String,
}

impl Finding {
    pub(super) fn new(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self { file: file.into(), message: message.into() }
    }

    /// The same, found in a backup that another one continues.
    pub(super) fn within(self, backup: &str) -> Self {
        Self { file: format!("{backup}/{}", self.file), ..self }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.message)
    }
}

/// What a verification came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// What is wrong; nothing when the backup is whole.
    pub findings: Vec<Finding>,
    /// Entries and journal entries read back.
    pub entries: u64,
    /// Bytes read back.
    pub bytes: u64,
}

impl Verdict {
    /// Whether everything was read back and is right.
    pub fn is_whole(&self) -> bool {
        self.findings.is_empty()
    }
}
