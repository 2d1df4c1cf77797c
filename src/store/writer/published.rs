//! What readers see of the journal: its end, prefixes and tokens, and counts, as of one durable block.

use std::sync::Arc;

use crate::store::directory::Directory;
use crate::store::writer::End;
use crate::store::writer::counts::Counts;

/// The durable journal as every reader sees it. Its end does not go back while the store is open.
#[derive(Debug)]
pub struct Published {
    /// The end of the durable journal.
    pub end: End,
    /// Prefixes and tokens.
    pub(in crate::store) directory: Arc<Directory>,
    /// Numbers of live identifiers.
    pub(in crate::store) counts: Counts,
}
