//! Lists: the live identifiers of a prefix in order, with their values or as names alone.
//!
//! A state begins with its name and whether it is live; where only names are wanted, the values after that are not decoded. A
//! skipped state costs reading its bytes, their checksum and its name.

use crate::model::identifier::{CanonicalIdentifier, Identifier, Prefix};
use crate::store::Store;
use crate::store::engine::{PageLimit, Span};
use crate::store::entry::IdentifierEntry;
use crate::store::entry::identifier::LiveName;
use crate::store::error::Error;

/// Maximum bytes of one step.
const STEP_BYTES_MAX: usize = 4 * 1024 * 1024;
/// States that one step reads at least, where there are so many: tombstones stand among them.
const STEP_ENTRIES_MIN: usize = 64;

/// A selection of the names of a prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NameRange<'a> {
    /// Name after which the page begins; none for the first page.
    pub after: Option<&'a CanonicalIdentifier>,
    /// Names that are skipped first.
    pub skip: usize,
    /// Names wanted at most.
    pub limit: usize,
}

impl Store {
    /// Live identifiers whose own prefix is exactly this one, in canonical order, after `after`; at most `limit`.
    pub async fn list(
        &self,
        prefix: &Prefix,
        after: Option<&CanonicalIdentifier>,
        limit: usize,
    ) -> Result<Vec<IdentifierEntry>, Error> {
        let mut span = Span::of_prefix(prefix, after);
        let mut found = Vec::new();
        while found.len() < limit {
            let page = self.inner.engine.next(&mut span, step_of(limit - found.len())).await?;
            if page.is_empty() {
                break;
            }
            found.extend(page.into_iter().filter(IdentifierEntry::is_live));
        }
        found.truncate(limit);
        Ok(found)
    }

    /// Names of live identifiers whose own prefix is exactly this one, in canonical order.
    pub async fn names(&self, prefix: &Prefix, range: NameRange<'_>) -> Result<Vec<Identifier>, Error> {
        let NameRange { after, mut skip, limit } = range;
        let mut span = Span::of_prefix(prefix, after);
        let mut names = Vec::new();
        while names.len() < limit {
            let wanted = skip.saturating_add(limit - names.len());
            let page = self.inner.engine.next(&mut span, step_of(wanted)).await?;
            if page.is_empty() {
                break;
            }
            let live: Vec<Identifier> = page.into_iter().filter_map(|LiveName(name)| name).collect();
            let skipped = skip.min(live.len());
            skip -= skipped;
            names.extend(live.into_iter().skip(skipped));
        }
        names.truncate(limit);
        Ok(names)
    }
}

/// A step that reads about as many states as are wanted.
fn step_of(wanted: usize) -> PageLimit {
    PageLimit { entries: wanted.max(STEP_ENTRIES_MIN), bytes: STEP_BYTES_MAX }
}
