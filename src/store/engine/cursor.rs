//! Cursors: where a list goes on, as bytes that clients hold and only the engine understands.

/// The end of a page of a list, after which the next page begins.
///
/// Only the store makes one. Its bytes belong to the engine: whoever holds them neither reads nor compares them. They are valid for
/// ever, in the list of the prefix that they were made for: after restarts, after changes, and after the entry before the end of
/// the page was removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Box<[u8]>);

impl Cursor {
    /// A cursor of an engine.
    pub(super) fn new(bytes: impl Into<Box<[u8]>>) -> Self {
        Self(bytes.into())
    }

    /// The bytes that a client gets, and with which it asks for the next page.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
