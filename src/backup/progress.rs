//! Progress reports of a long operation.

/// Progress of a long operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Name of the present stage.
    pub stage: &'static str,
    /// Bytes processed.
    pub done_bytes: u64,
    /// Total number of bytes; none when it is not known.
    pub total_bytes: Option<u64>,
    /// Entries processed.
    pub entries: u64,
}
