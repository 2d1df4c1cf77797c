//! What is written beside the journal while a node runs: the bookmarks of followers, and what is pruned or forgotten.
//!
//! Only the [`JournalWriter`](super::JournalWriter) hands it out. Its clones write beside the block that is being written, and never to
//! the journal.

use crate::model::position::Bookmark;
use crate::store::Store;
use crate::store::engine::{WriteId, Writes};
use crate::store::error::Error;

/// Writes beside the journal. Clones write to the same store.
#[derive(Clone)]
pub struct UpkeepWriter {
    pub(in crate::store) store: Store,
}

impl UpkeepWriter {
    /// Sets the bookmark of a follower; when this returns, it is on disk.
    ///
    /// [`Error::ReadOnly`] while the store is paused, unsure or stopped. A write that fails makes the store unsure.
    pub async fn set_bookmark(&self, name: &str, bookmark: &Bookmark) -> Result<(), Error> {
        self.store.check_writable()?;
        let mut writes = Writes::default();
        writes.put(&name.to_owned(), bookmark, WriteId::SMALL);
        self.store.write(writes).await
    }
}
