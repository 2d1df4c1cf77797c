//! Lists: the identifiers of a prefix in the order of their keys, which is canonical order, and the cursors into them.
//!
//! The bytes of a cursor are the last name of a page, as it was spelled. Clients hold such bytes from every release, so that they
//! are frozen. The name need not be there any more: the list goes on at the first one behind it.

use super::Tables;
use super::span::Span;
use crate::model::identifier::{CanonicalIdentifier, Folding, Identifier, Prefix};
use crate::store::engine::Cursor;
use crate::store::entry::Readable;

/// The list of the identifiers whose own prefix is exactly this one.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct List<'a> {
    /// The prefix.
    pub(in crate::store) prefix: &'a Prefix,
    /// Which letters of the names are folded.
    pub(in crate::store) folding: Folding,
}

impl Tables {
    /// The part of a list behind a cursor, or all of it; none when the cursor belongs to another list.
    pub(in crate::store) fn list<R: Readable<Key = CanonicalIdentifier>>(
        &self,
        list: List<'_>,
        after: Option<&Cursor>,
    ) -> Option<Span<R>> {
        let Some(cursor) = after else { return Some(Span::of_prefix(list.prefix, None)) };
        let name = name_in(list.prefix, cursor.as_bytes())?;
        Some(Span::of_prefix(list.prefix, Some(&name.canonical(list.folding))))
    }

    /// The cursor behind a name, in the list of its prefix.
    pub(in crate::store) fn cursor_after(&self, name: &Identifier) -> Cursor {
        Cursor::new(name.to_string().into_bytes())
    }

    /// The cursor of which a client has the bytes; none when they are not one of the list of this prefix.
    pub(in crate::store) fn cursor(&self, prefix: &Prefix, bytes: &[u8]) -> Option<Cursor> {
        name_in(prefix, bytes).map(|_| Cursor::new(bytes))
    }
}

/// The name in the bytes of a cursor, when it has this prefix.
fn name_in(prefix: &Prefix, bytes: &[u8]) -> Option<Identifier> {
    let name = Identifier::parse(str::from_utf8(bytes).ok()?).ok()?;
    (name.prefix() == prefix).then_some(name)
}
