//! The storage engine behind the store: typed operations on entries and on the journal. Only this folder uses the crates fjall and sled.
//!
//! ```text
//!   store: rules ─▶ get · next · last · walk · image ─▶ tables/  keys, envelopes, pieces, batches, blocking threads ─▶ fjall, sled
//!                   commit (Writes) · deletions
//! ```
//! | operation | answer |
//! |---|---|
//! | [`Engine::get`], [`Engine::get_one`], [`Engine::fact`] | entries by key |
//! | [`Engine::next`] | entries of a [`Span`], in the order of their keys |
//! | [`Engine::list`], [`Engine::cursor_after`], [`Engine::cursor`] | the span of a prefix, in an order of the engine's own, and cursors into it |
//! | [`Engine::last`], [`Engine::first_sequence`] | the ends of the journal |
//! | [`Walk`] | every entry of a kind, also past one part that cannot be read |
//! | [`Engine::is_empty`], [`Engine::entries_at_most`] | sizes, as far as they are known without reading |
//! | [`Engine::commit`] | all of [`Writes`], durable when it returns |
//! | [`Engine::recover`] | the files opened again after a failed commit |
//! | [`Engine::deletions`] | writes that delete the next entries of a span |
//! | [`Engine::image`] | every entry of one kind after another, while commits go on |
//! | [`Engine::disk_bytes`], [`Engine::write_in_flight`], [`Engine::close`] | files |
//!
//! Every engine guarantees:
//!
//! - An entry is read whole, and at least as new as every receipt that was given before the call. There is **no** instant across
//!   entries: two entries of one call may come from different commits. The committer does not need one: it knows what the block
//!   under way leads to, and reads only other entries.
//! - A commit is atomic and on disk when it returns. What is not on disk is not read, with one exception: an earlier process left a
//!   failed write, and the files could not be written anew at opening. After a failed commit no other is accepted until the engine
//!   has recovered; only then is it known whether the failed one is there, and that does not change any more.
//! - Damage is an error that names the entry or the file, and the remedy. A panic inside an engine is caught and becomes one.
//! - A read or a commit returns within 30 s, closing within 60 s. A commit that takes longer counts as failed. Opening,
//!   [`Engine::recover`] and [`Engine::renew`] have no limit: they take as long as reading and copying the files.
//! - No call blocks the reactor, but for short reads as long as they come from memory. Dropping a call's future does not undo it:
//!   a commit runs to its end.

mod cursor;
mod error;
mod tables;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use self::cursor::Cursor;
pub use self::error::{EngineError, Lack};
pub(in crate::store) use self::tables::envelope::StoredAs;
pub(in crate::store) use self::tables::image::{EngineImage, ImageCursor};
pub(in crate::store) use self::tables::list::List;
pub(in crate::store) use self::tables::scan::PageLimit;
#[cfg(test)]
pub(crate) use self::tables::simulated;
pub(in crate::store) use self::tables::span::Span;
pub(in crate::store) use self::tables::survey;
pub(in crate::store) use self::tables::walk::{Step, Walk, Walked};
pub(in crate::store) use self::tables::write::{PreparedWrites, WriteId, Writes};

/// Bytes of a key, whatever its kind.
pub(in crate::store) use self::tables::batch::KEY_BYTES_MAX;

/// The engine of a store. There is one family of engines, those with ordered tables on this machine; with a second one, this
/// becomes an enum of both.
pub(in crate::store) type Engine = tables::Tables;

//----------- EngineKind ----------------------------------------------------------------------------------------------

/// The kind of engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EngineKind {
    /// A log-structured tree: the default; handles bursts of registrations well.
    #[default]
    Fjall,
    /// A tree over a log, synced by us.
    Sled,
    /// Tables in memory over a disk that fails when a test asks for it.
    #[cfg(test)]
    Simulated,
}

impl EngineKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::Fjall, Self::Sled];
}

impl fmt::Display for EngineKind {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str(match self {
            Self::Fjall => "fjall",
            Self::Sled => "sled",
            #[cfg(test)]
            Self::Simulated => "simulated",
        })
    }
}

/// A name that is not an engine's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a storage engine; it is \"fjall\" or \"sled\"")]
pub struct UnknownEngine(pub String);

impl FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(name: &str) -> Result<Self, UnknownEngine> {
        #[cfg(test)]
        if name == Self::Simulated.to_string() {
            return Ok(Self::Simulated);
        }
        let known = Self::ALL.into_iter().find(|kind| kind.to_string() == name);
        known.ok_or_else(|| UnknownEngine(name.to_owned()))
    }
}
