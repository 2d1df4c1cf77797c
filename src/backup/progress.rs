//! How far a long operation has come.

/// How far a long operation has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What is being done, in a word or two.
    pub stage: &'static str,
    /// Bytes done.
    pub done_bytes: u64,
    /// Bytes there are; none when that is not known.
    pub total_bytes: Option<u64>,
    /// Entries done.
    pub entries: u64,
}
