//! Pages by number: how a page deep in the list of a prefix is found without reading all that is before it.
//!
//! A page by number skips names, and skipping costs the reading of every one. So the cursors behind every 250th name
//! are remembered as they are passed, for the prefixes that were listed last, and a page begins to read at the one
//! before it. Names are read in portions, by few requests at a time, and the runtime looks at its sockets before each, so that
//! other questions are answered in between.
//!
//! Remembered positions hold while the prefix has as many identifiers and few changes were made anywhere: pages that
//! are read one after another meet without a gap, even when an identifier before them comes and another goes.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Semaphore;
use tokio::task;

use super::Resolver;
use super::answer::Page;
use crate::authority::unread;
use crate::model::identifier::{Identifier, Prefix};
use crate::model::refusal::Problem;
use crate::store::Cursor;
use crate::store::names::{ListPage, NameRange};

/// Names between two remembered positions.
const STEP: usize = 250;
/// Positions remembered of one prefix: five million names.
const POSITIONS_MAX: usize = 20_000;
/// Prefixes whose positions are remembered.
const PREFIXES_MAX: usize = 16;
/// Changes anywhere after which positions are forgotten.
const CHANGES_MAX: u64 = 10_000;
/// Requests that skip names for the first time, at a time.
const SKIPPING_MAX: usize = 2;
/// Requests that read a portion of names, at a time.
const READING_MAX: usize = 4;

//----------- Paging ---------------------------------------------------------

/// The remembered positions, and the turns of those that have to skip.
#[derive(Debug)]
pub(super) struct Paging {
    remembered: Mutex<Vec<Positions>>,
    skipping: Semaphore,
    pub(super) reading: Semaphore,
}

/// Positions in the list of one prefix.
#[derive(Debug)]
struct Positions {
    prefix: Prefix,
    state: ListState,
    /// The cursor behind every 250th name.
    cursors: Vec<Cursor>,
}

/// By what a list is taken for unchanged.
#[derive(Clone, Copy, Debug)]
struct ListState {
    count: u64,
    journal_entries: u64,
}

impl ListState {
    fn is_still(self, now: Self) -> bool {
        self.count == now.count && now.journal_entries.saturating_sub(self.journal_entries) <= CHANGES_MAX
    }
}

/// Where a page begins.
#[derive(Debug, Default)]
pub(super) struct PageStart {
    /// Cursor after which to read; none at the beginning.
    pub(super) after: Option<Cursor>,
    /// Names that are still to be skipped.
    pub(super) skip: usize,
}

impl Paging {
    /// Remembers nothing yet.
    pub(super) fn new() -> Self {
        Self {
            remembered: Mutex::default(),
            skipping: Semaphore::new(SKIPPING_MAX),
            reading: Semaphore::new(READING_MAX),
        }
    }

    /// The last remembered position that is not behind so many names.
    fn nearest(&self, prefix: &Prefix, skip: usize, now: ListState) -> PageStart {
        let mut remembered = self.remembered();
        let Some(position) = remembered.iter().position(|positions| positions.prefix == *prefix) else {
            return PageStart { after: None, skip };
        };
        let positions = remembered.remove(position);
        if !positions.state.is_still(now) {
            return PageStart { after: None, skip };
        }
        let steps = (skip / STEP).min(positions.cursors.len());
        let after = steps.checked_sub(1).and_then(|last| positions.cursors.get(last)).cloned();
        // The prefix listed last comes first.
        remembered.insert(0, positions);
        PageStart { after, skip: skip - steps * STEP }
    }

    /// Remembers the cursor behind so many steps, when it is the next one.
    fn remember(&self, prefix: &Prefix, steps: usize, cursor: &Cursor, now: ListState) {
        let mut remembered = self.remembered();
        let known = remembered.iter_mut().find(|positions| positions.prefix == *prefix);
        match known {
            Some(positions) if positions.cursors.len() + 1 == steps && steps <= POSITIONS_MAX => {
                positions.cursors.push(cursor.clone());
            }
            None if steps == 1 => {
                let cursors = vec![cursor.clone()];
                remembered.insert(0, Positions { prefix: prefix.clone(), state: now, cursors });
                remembered.truncate(PREFIXES_MAX);
            }
            Some(_) | None => {}
        }
    }

    fn remembered(&self) -> MutexGuard<'_, Vec<Positions>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver {
    /// Finds where the page behind so many names begins; none when the list ends before.
    pub(super) async fn find_page(&self, prefix: &Prefix, skip: usize) -> Result<Option<PageStart>, Problem> {
        if skip < STEP {
            return Ok(Some(PageStart { after: None, skip }));
        }
        let now =
            ListState { count: self.store.count_of(prefix), journal_entries: self.store.journal_entries() };
        let start = self.paging.nearest(prefix, skip, now);
        if start.skip < STEP {
            return Ok(Some(start));
        }
        // The semaphore is never closed.
        let _turn = self.paging.skipping.acquire().await.ok();
        // Another request may have passed here meanwhile.
        let mut start = self.paging.nearest(prefix, skip, now);
        while start.skip >= STEP {
            let range = NameRange { after: start.after.as_ref(), skip: STEP - 1, limit: 1 };
            let Some(cursor) = self.portion(prefix, range).await?.next else { return Ok(None) };
            start.skip -= STEP;
            self.counters.names_skipped.fetch_add(STEP as u64, Ordering::Relaxed);
            self.paging.remember(prefix, (skip - start.skip) / STEP, &cursor, now);
            start.after = Some(cursor);
        }
        Ok(Some(start))
    }

    /// The names of a page, at most so many; at least one is asked for.
    pub(super) async fn page_from(
        &self,
        prefix: &Prefix,
        start: PageStart,
        limit: usize,
    ) -> Result<Page<Identifier>, Problem> {
        let PageStart { mut after, mut skip } = start;
        let mut items = Vec::new();
        loop {
            let wanted = (limit - items.len()).min(STEP);
            let range = NameRange { after: after.as_ref(), skip, limit: wanted };
            let portion = self.portion(prefix, range).await?;
            items.extend(portion.items);
            (after, skip) = (portion.next, 0);
            if after.is_none() || items.len() >= limit {
                return Ok(Page { items, next: after });
            }
        }
    }

    /// Reads some names when it is this request's turn.
    async fn portion(&self, prefix: &Prefix, range: NameRange<'_>) -> Result<ListPage<Identifier>, Problem> {
        // The semaphore is never closed.
        let _turn = self.paging.reading.acquire().await.ok();
        task::yield_now().await;
        Ok(self.store.names(prefix, range).await.map_err(|error| unread(&error))?)
    }
}
