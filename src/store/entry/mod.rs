//! Entries: what the store keeps under one key, one file per kind.
//!
//! ```text
//!   kind         key                      entry                          follows from the journal
//!   identifier   canonical identifier     state, tombstones included     yes
//!   prefix       canonical prefix         state                          yes
//!   token        token id                 state                          yes
//!   request      request id, caller, item      memory of the outcome          yes, of items that changed something
//!   count        canonical prefix         number of live identifiers     yes
//!   note         canonical prefix         state, tombstones included     yes
//!   digest       prefix, digest           identifier of a long suffix    yes
//!   bookmark     name of a follower       positions                      no
//!   meta         a name                   facts about the store          all but the store header
//!   header, body stream, sequence         the journal itself
//! ```
//! A file holds the bytes of the key and the stored forms with their versions, and the type where it is not one of `model` or of
//! `journal`. A form is frozen once released; a new one stands beside it. The bytes of keys are frozen too: backups hold them, and
//! every engine orders entries by them.
//!
//! # A new kind
//!
//! One whose every change is a journal entry: a file here with its key, its form, [`state::State`] and [`change::Recorded`]; a line
//! in the list of `state.rs` and one in that of `change.rs`; an operation; a subject of its own, because the check compares states
//! by their subjects. Writing, redo, comparison, check and adoption follow. One that follows from nothing, such as a bookmark, has
//! a key and a form only, and is written by an `UpkeepWriter` at once. Either needs a row in `kind.rs`, and then the compiler points at the
//! engine's tables and at what a copy checks. It does not point at the kinds that are copied (`copy/image.rs`) and at those that
//! never become empty again (`open/proof.rs`). A store that was written before gets the table when it is opened. Earlier releases
//! open it with the table as long as that is empty; they refuse a backup with a kind or a fact that they do not know, and a
//! journal with an operation that they do not know.
//!
//! Integers are big-endian. Checksums, and cutting large entries into pieces, are the engine's.

pub(in crate::store) mod change;
mod kind;

pub(in crate::store) mod bookmark;
pub(in crate::store) mod count;
pub(in crate::store) mod digest;
pub(in crate::store) mod identifier;
pub(in crate::store) mod journaled;
pub(in crate::store) mod meta;
pub(in crate::store) mod note;
pub(in crate::store) mod position;
pub(in crate::store) mod prefix;
pub(in crate::store) mod request;
pub(in crate::store) mod state;
pub(in crate::store) mod token;

pub use self::change::{Change, Operation};
pub use self::identifier::{IdentifierChange, IdentifierEntry, Mark};
pub(in crate::store) use self::kind::EntryKind;
pub use self::request::{RequestKey, RequestMemory};

use super::engine::StoredAs;
use super::error::Unreadable;

//----------- EntryKey, Readable, Entry ---------------------------------------

/// The key of an entry.
pub(in crate::store) trait EntryKey: Sized + Send + Sync + 'static {
    /// The bytes by which entries of the kind are ordered. They are frozen.
    fn to_bytes(&self) -> Vec<u8>;
}

/// What can be read of an entry: all of it, or a part.
pub(in crate::store) trait Readable: Sized + Send + 'static {
    /// The key of the entry.
    type Key: EntryKey;

    /// The kind of the entry.
    const KIND: EntryKind;

    /// Decodes the body found under a key. `stored` is handed back to the engine when the entry is replaced.
    fn decode(key: &[u8], body: &[u8], stored: StoredAs) -> Result<Self, Unreadable>;
}

/// An entry that is written whole.
pub(in crate::store) trait Entry: Readable {
    /// Encodes the body.
    fn encode(&self) -> Vec<u8>;
}

/// The checksum of an entry: of its key and its uncut body.
pub(in crate::store) fn checksum(key: &[u8], body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(key), body)
}

impl EntryKey for String {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}
