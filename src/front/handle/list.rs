//! Lists: names in messages of fifty, one after the other; all but the last are marked as continued.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::authority::caller::Caller;
use crate::front::handle_semantics::list::{CHUNK_NAMES, HandlePages, prefix_handles};
use crate::front::listen::source::Source;
use crate::model::identifier::Prefix;
use crate::model::refusal::{Problem, Refusal};
use crate::wire::handle::body::Names;
use crate::wire::handle::code::OpFlags;

use super::frame::Frame;
use super::message_security::Closed;
use super::reply::{self, Reply};
use super::responder::Responder;
use super::session::Session;

//----------- Listing --------------------------------------------------------

/// A list that is being sent.
#[derive(Debug)]
pub(super) struct Listing {
    waiting: VecDeque<String>,
    /// The pages that are not read yet; none when all names wait.
    unread: Option<HandlePages>,
}

impl Listing {
    /// A list of the identifiers of a prefix, its first page read.
    pub(super) async fn of_prefix(
        responder: &Responder,
        caller: Caller,
        prefix: Prefix,
    ) -> Result<Self, Problem> {
        let unread = Some(HandlePages::new(caller, prefix));
        let mut listing = Self { waiting: VecDeque::new(), unread };
        listing.read(responder).await?;
        Ok(listing)
    }

    /// A list of prefixes, as the handles that name them.
    pub(super) fn of_prefixes(prefixes: &[Prefix]) -> Self {
        Self { waiting: prefix_handles(prefixes).collect(), unread: None }
    }

    /// Whether one message holds all that is left.
    pub(super) fn is_short(&self) -> bool {
        self.unread.is_none() && self.waiting.len() <= Names::ITEMS_MAX
    }

    /// Reads names until there are more than one message holds, or the list ends.
    async fn read(&mut self, responder: &Responder) -> Result<(), Problem> {
        while self.waiting.len() <= Names::ITEMS_MAX {
            let Some(pages) = &mut self.unread else { return Ok(()) };
            self.waiting.extend(pages.next(&responder.resolver, 0, CHUNK_NAMES).await?);
            if !pages.has_more() {
                self.unread = None;
            }
        }
        Ok(())
    }

    /// The next message of the list, and whether more follow.
    async fn next(&mut self, responder: &Responder) -> (Reply, Continuation) {
        match self.read(responder).await {
            Ok(()) => {}
            // Clients do not answer a challenge in the middle of a list.
            Err(Problem::Refused(Refusal::Unauthenticated)) => {
                return (reply::key_withdrawn(), Continuation::Last);
            }
            Err(problem) => return (reply::problem(&problem), Continuation::Last),
        }
        let count = self.waiting.len().min(Names::ITEMS_MAX);
        let names: Vec<String> = self.waiting.drain(..count).collect();
        let body = Names(names.iter().map(String::as_bytes).collect()).encode();
        if self.waiting.is_empty() {
            return (Reply::success(body), Continuation::Last);
        }
        (Reply { flags: OpFlags::CONTINUOUS, ..Reply::success(body) }, Continuation::More)
    }
}

/// Whether more messages follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Continuation {
    More,
    Last,
}

//----------- Stream ---------------------------------------------------------

/// The messages of a list, each closed as the request asked for.
#[derive(Debug)]
pub(super) struct Stream {
    listing: Listing,
    source: Source,
    frame: Frame,
    session: Option<Arc<Session>>,
    continuation: Continuation,
}

impl Stream {
    /// The messages of a list.
    pub(super) fn new(listing: Listing, source: Source, frame: Frame, session: Option<Arc<Session>>) -> Self {
        Self { listing, source, frame, session, continuation: Continuation::More }
    }

    /// The next message; none after the last.
    pub(super) async fn next(&mut self, responder: &Responder) -> Option<Vec<u8>> {
        if self.continuation == Continuation::Last {
            return None;
        }
        let (reply, continuation) = self.listing.next(responder).await;
        self.continuation = continuation;
        let closed = responder.close(self.source, &self.frame, self.session.as_deref(), &reply).await;
        if matches!(closed, Closed::Failed(_)) {
            self.continuation = Continuation::Last;
        }
        Some(closed.into_bytes())
    }
}
