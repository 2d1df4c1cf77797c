//! Lists: names in messages of fifty, one behind the other; all but the last say that more follow.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::front::handle_semantics::list::{CHUNK_NAMES, HandlePages, prefix_handles};
use crate::front::listen::source::Source;
use crate::model::identifier::Prefix;
use crate::registry::caller::Caller;
use crate::registry::refusal::{Problem, Refusal};
use crate::wire::handle::body::Names;
use crate::wire::handle::code::OpFlags;

use super::answerer::Answerer;
use super::frame::Frame;
use super::reply::{self, Reply};
use super::session::Session;

//----------- Listing --------------------------------------------------------

/// A list that is being told.
#[derive(Debug)]
pub(super) struct Listing {
    waiting: VecDeque<String>,
    /// The pages that are not read yet; none when all names wait.
    unread: Option<HandlePages>,
}

impl Listing {
    /// A list of the identifiers of a prefix, its first page read.
    pub(super) async fn of_prefix(
        answerer: &Answerer,
        caller: Caller,
        prefix: Prefix,
    ) -> Result<Self, Problem> {
        let unread = Some(HandlePages::new(caller, prefix));
        let mut listing = Self { waiting: VecDeque::new(), unread };
        listing.read(answerer).await?;
        Ok(listing)
    }

    /// A list of prefixes, as the handles that name them.
    pub(super) fn of_prefixes(prefixes: &[Prefix]) -> Self {
        Self { waiting: prefix_handles(prefixes).collect(), unread: None }
    }

    /// Whether one message holds what is left.
    pub(super) fn is_short(&self) -> bool {
        self.unread.is_none() && self.waiting.len() <= Names::ITEMS_MAX
    }

    /// Reads names until there are more than one message holds, or no more at all.
    async fn read(&mut self, answerer: &Answerer) -> Result<(), Problem> {
        while self.waiting.len() <= Names::ITEMS_MAX {
            let Some(pages) = &mut self.unread else { return Ok(()) };
            self.waiting.extend(pages.next(&answerer.resolver, 0, CHUNK_NAMES).await?);
            if !pages.has_more() {
                self.unread = None;
            }
        }
        Ok(())
    }

    /// The next message of the list; none when it was told to its end.
    async fn next(&mut self, answerer: &Answerer) -> (Reply, Course) {
        match self.read(answerer).await {
            Ok(()) => {}
            // In the middle of a list nobody answers challenges.
            Err(Problem::Refused(Refusal::Unauthenticated)) => return (reply::key_withdrawn(), Course::End),
            Err(problem) => return (reply::problem(&problem), Course::End),
        }
        let count = self.waiting.len().min(Names::ITEMS_MAX);
        let names: Vec<String> = self.waiting.drain(..count).collect();
        let body = Names(names.iter().map(String::as_bytes).collect()).encode();
        if self.waiting.is_empty() {
            return (Reply::success(body), Course::End);
        }
        (Reply { flags: OpFlags::CONTINUOUS, ..Reply::success(body) }, Course::On)
    }
}

/// Whether more messages follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Course {
    On,
    End,
}

//----------- Stream ---------------------------------------------------------

/// The messages of a list, each closed as its request asked for.
#[derive(Debug)]
pub(super) struct Stream {
    listing: Listing,
    source: Source,
    frame: Frame,
    session: Option<Arc<Session>>,
    course: Course,
}

impl Stream {
    /// The messages of a list.
    pub(super) fn new(listing: Listing, source: Source, frame: Frame, session: Option<Arc<Session>>) -> Self {
        Self { listing, source, frame, session, course: Course::On }
    }

    /// The next message; none after the last.
    pub(super) async fn next(&mut self, answerer: &Answerer) -> Option<Vec<u8>> {
        if self.course == Course::End {
            return None;
        }
        let (reply, course) = self.listing.next(answerer).await;
        self.course = course;
        Some(answerer.close(self.source, &self.frame, self.session.as_deref(), &reply).await)
    }
}
