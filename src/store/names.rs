//! Lists: the live identifiers of a prefix, page by page, with their values or as names alone.
//!
//! The order of a list is the engine's own, and the same for every page: both embedded engines list in canonical order. Each page
//! comes with the [`Cursor`] after which the next one begins. A name that is there from the first page to the last is met once,
//! whatever comes and goes meanwhile.
//!
//! A state begins with its name and whether it is live; where only names are wanted, the values after that are not decoded. A
//! skipped state costs reading its bytes, their checksum and its name.

use crate::model::identifier::{CanonicalIdentifier, Identifier, Prefix};
use crate::store::Store;
use crate::store::engine::{Cursor, List, PageLimit, Span};
use crate::store::entry::identifier::LiveName;
use crate::store::entry::{IdentifierEntry, Readable};
use crate::store::error::Error;

/// Maximum bytes of one step.
const STEP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// States that one step reads at least, where there are so many: tombstones stand among them.
const STEP_ENTRIES_MIN: usize = 64;

/// A selection of the names of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameRange<'a> {
    /// Cursor after which the page begins; none for the first page.
    pub after: Option<&'a Cursor>,
    /// Names that are skipped first.
    pub skip: usize,
    /// Names wanted at most.
    pub limit: usize,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListPage<T> {
    /// The items.
    pub items: Vec<T>,
    /// Cursor after which the next page begins; none when nothing follows.
    pub next: Option<Cursor>,
}

impl Store {
    /// Live identifiers whose own prefix is exactly this one, after a cursor; at most `limit`.
    pub async fn list(
        &self,
        prefix: &Prefix,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<ListPage<IdentifierEntry>, Error> {
        let mut span = self.span(prefix, after)?;
        let mut found = Vec::new();
        // One more than the page holds tells whether another page follows.
        while found.len() <= limit {
            let page =
                self.inner.engine.next(&mut span, step_of(limit.saturating_add(1) - found.len())).await?;
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().filter(IdentifierEntry::is_live));
        }
        Ok(self.page(found, limit, |entry| &entry.identifier))
    }

    /// Names of live identifiers whose own prefix is exactly this one.
    pub async fn names(&self, prefix: &Prefix, range: NameRange<'_>) -> Result<ListPage<Identifier>, Error> {
        let NameRange { after, mut skip, limit } = range;
        let mut span = self.span(prefix, after)?;
        let mut names = Vec::new();
        while names.len() <= limit {
            let wanted = skip.saturating_add(limit.saturating_add(1) - names.len());
            let page = self.inner.engine.next(&mut span, step_of(wanted)).await?;
            if page.is_empty() {
                break;
            }
            let live: Vec<Identifier> = page.into_iter().filter_map(|LiveName(name)| name).collect();
            let skipped = skip.min(live.len());
            skip -= skipped;
            names.extend(live.into_iter().skip(skipped));
        }
        Ok(self.page(names, limit, |name| name))
    }

    /// The cursor behind an identifier that a list has shown, for a page that ends before its last item. An engine whose order
    /// does not follow from the names reads for it; the embedded engines do not.
    pub async fn cursor_after(&self, identifier: &Identifier) -> Result<Cursor, Error> {
        Ok(self.inner.engine.cursor_after(identifier))
    }

    /// The cursor of which a client has the bytes; none when they are not one of the list of this prefix.
    pub fn cursor(&self, prefix: &Prefix, bytes: &[u8]) -> Option<Cursor> {
        self.inner.engine.cursor(prefix, bytes)
    }

    fn span<R>(&self, prefix: &Prefix, after: Option<&Cursor>) -> Result<Span<R>, Error>
    where
        R: Readable<Key = CanonicalIdentifier>,
    {
        let list = List { prefix, folding: self.inner.folding };
        let span = self.inner.engine.list(list, after);
        span.ok_or_else(|| Error::OtherList { prefix: prefix.clone() })
    }

    /// A page of what was found, with the cursor behind its last item when more was found than it holds.
    fn page<T>(&self, mut found: Vec<T>, limit: usize, name: impl Fn(&T) -> &Identifier) -> ListPage<T> {
        let more = found.len() > limit;
        found.truncate(limit);
        let last = found.last().filter(|_| more);
        let next = last.map(|last| self.inner.engine.cursor_after(name(last)));
        ListPage { items: found, next }
    }
}

/// A step that reads about as many states as are wanted.
fn step_of(wanted: usize) -> PageLimit {
    PageLimit { entries: wanted.max(STEP_ENTRIES_MIN), bytes: STEP_BYTES_MAX }
}
