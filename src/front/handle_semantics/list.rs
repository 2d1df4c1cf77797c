//! Lists: the handles of a prefix, read page by page, and the prefixes homed here as handles.

use crate::authority::caller::Caller;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::refusal::Problem;
use crate::resolver::answer::NamesAsked;
use crate::resolver::{Cursor, Resolver};

/// Names that are read from the store at once when a whole list is asked for.
pub(in crate::front) const CHUNK_NAMES: usize = 1_000;

/// Reads the handles of a prefix in the order of the store, for a caller that may list them.
///
/// A list of any length takes the memory of one page. Identifiers that are registered or removed meanwhile may be in
/// the list or not. Each page checks again whether the caller may list.
#[derive(Debug)]
pub(in crate::front) struct HandlePages {
    caller: Caller,
    prefix: Prefix,
    after: Option<Cursor>,
    has_more: bool,
}

impl HandlePages {
    /// Begins before the first handle.
    pub(in crate::front) fn new(caller: Caller, prefix: Prefix) -> Self {
        Self { caller, prefix, after: None, has_more: true }
    }

    /// The prefix whose handles are listed.
    pub(in crate::front) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// Whether more handles follow those that were read.
    pub(in crate::front) fn has_more(&self) -> bool {
        self.has_more
    }

    /// Reads up to `limit` handles after passing over `skip`; with a limit of 0 it only checks the caller.
    pub(in crate::front) async fn next(
        &mut self,
        resolver: &Resolver,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<String>, Problem> {
        let asked = NamesAsked { after: self.after.as_ref(), skip, limit };
        let page = resolver.names(&self.caller, &self.prefix, asked).await?;
        self.has_more = page.next.is_some();
        self.after = page.next;
        Ok(page.items.iter().map(ToString::to_string).collect())
    }
}

/// Prefixes as the handles of their records.
pub(in crate::front) fn prefix_handles(prefixes: &[Prefix]) -> impl Iterator<Item = String> {
    prefixes.iter().map(|prefix| Identifier::of_prefix(prefix).to_string())
}
