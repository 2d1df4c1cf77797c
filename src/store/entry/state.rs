//! States: the present states of identifiers, prefixes, tokens and notes. Every change of one is a journal entry. Counts, digests and the
//! memory of requests follow from the journal too, but have no changes of their own.
//!
//! ```text
//!   Change ─ after ─▶ state: written with its journal entry, redone by version, checked against the entry that it names,
//!                            recorded again when that entry was lost, and held in the directory where the kind is small
//! ```
//! What is the same for all states is written once, for every kind of the list at the end.

use super::{Change, Entry, Mark};
use crate::model::identifier::{Folding, Prefix};
use crate::store::directory::Directory;
use crate::store::engine::{StoredAs, Writes};
use crate::store::journal::{Header, Subject};
use crate::store::writer::view::Unsettled;

/// An entry of which every change is a journal entry.
pub(in crate::store) trait State: Entry + Clone {
    /// Whether the [`Directory`], prefixes with their notes and tokens in memory, holds all entries of the kind.
    const IS_HELD: bool;

    /// The state that a journal entry leads to; returns the change when it belongs to another kind.
    #[expect(clippy::result_large_err, reason = "a change of another kind is no error: it is given back")]
    fn after(header: &Header, change: Change) -> Result<Self, Change>;

    /// The change that records this state again.
    fn record_again(self) -> Change;

    /// The key of the entry.
    fn key(&self, folding: Folding) -> Self::Key;

    /// The key of the entry that a subject names; none when that is of another kind.
    fn key_of(subject: &Subject) -> Option<Self::Key>;

    /// What the journal calls it.
    fn subject(&self, folding: Folding) -> Subject;

    /// The count of its changes.
    fn version(&self) -> u64;

    /// Sequence of its last change.
    fn sequence(&self) -> u64;

    /// The mark that a later commit needs to replace it; none for kinds whose old pieces are not deleted. Those of a long token
    /// stay: it changes only once or twice.
    fn replaceable(&self) -> Option<Mark> {
        None
    }

    /// The prefix among whose identifiers it is counted, and whether it is live; none for what is not counted.
    fn counted(&self) -> Option<(&Prefix, bool)> {
        None
    }

    /// Puts what follows from it and is stored beside it.
    fn put_derived(&self, _key: &Self::Key, _writes: &mut Writes) {}

    /// Takes it up into the directory, when the kind is held there.
    fn hold(self, _directory: &mut Directory) {}

    /// Takes it up among the states that are not known to be on disk, when the kind is not held in the directory.
    fn note_unsettled(self, _subject: Subject, _stored: StoredAs, _unsettled: &mut Unsettled) {}
}

/// Repeats a block for each kind of state, in this order. Within the block, the name before the arrow is the type.
macro_rules! for_every_state {
    ($state:ident => $block:block) => {{
        {
            type $state = $crate::store::entry::IdentifierEntry;
            $block
        }
        {
            type $state = $crate::store::entry::prefix::PrefixState;
            $block
        }
        {
            type $state = $crate::store::entry::token::TokenState;
            $block
        }
        {
            type $state = $crate::store::entry::note::NoteState;
            $block
        }
    }};
}
pub(in crate::store) use for_every_state;
