//! What becomes of a request, and the messages that report it.

use std::sync::Arc;

use crate::registry::caller::Caller;
use crate::registry::refusal::{Problem, Refusal};

use super::answerer::Answerer;
use super::frame::Frame;
use super::kept::Weight;
use super::list::{Listing, Stream};
use super::origin::{Origin, Way};
use super::reply::{self, Reply};
use super::session::Session;

//----------- Done ---------------------------------------------------------

/// What came of a request.
#[derive(Debug)]
pub(super) enum Done {
    /// This is to be said.
    Reply(Reply),
    /// A list is to be told.
    Listing(Listing),
    /// The caller is to prove who it is first.
    Prove,
    /// The key that proved the caller is withdrawn: it is nobody any more.
    Withdrawn,
}

impl Done {
    /// A caller is not served: nobody is to prove who it is, and so is who was proved and is nobody now.
    pub(super) fn refused(caller: &Caller, problem: &Problem) -> Self {
        match (problem, caller) {
            (Problem::Refused(Refusal::Unauthenticated), Caller::Anonymous) => Self::Prove,
            (Problem::Refused(Refusal::Unauthenticated), _) => Self::Withdrawn,
            (problem, _) => Self::Reply(reply::problem(problem)),
        }
    }
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was received.
    Asked,
    /// Its caller has answered the challenge for it.
    Proved,
}

//----------- Said ---------------------------------------------------------

/// What a message is answered with.
#[derive(Debug)]
pub(super) enum Said {
    /// Nothing: it is no request.
    Nothing,
    /// One message, and what it stands for.
    Message(Vec<u8>, Weight),
    /// Messages, one behind the other.
    Stream(Box<Stream>),
    /// One message; what sent this cannot be trusted to send more.
    Last(Vec<u8>),
}

impl Answerer {
    /// Says what was done.
    pub(super) async fn say(
        &self,
        origin: &Origin,
        frame: Frame,
        session: Option<Arc<Session>>,
        done: Done,
    ) -> Said {
        let reply = match done {
            Done::Reply(reply) => reply,
            Done::Listing(listing) => match origin.way {
                Way::Datagrams(_) if !listing.is_short() => {
                    reply::not_offered("the list is longer than one message; ask for it over TCP")
                }
                Way::Datagrams(_) | Way::Connection(_) | Way::Tunnel => {
                    return Said::Stream(Box::new(Stream::new(listing, origin.source(), frame, session)));
                }
            },
            // Whoever proved who it is is not asked again.
            Done::Prove | Done::Withdrawn => reply::key_withdrawn(),
        };
        Said::Message(self.close(origin.source(), &frame, session.as_deref(), &reply).await, reply.weight)
    }
}
