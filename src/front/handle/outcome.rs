//! Outcomes of requests, and the messages that report them.

use std::sync::Arc;

use crate::authority::caller::Caller;
use crate::model::refusal::{Problem, Refusal};

use super::frame::Frame;
use super::list::{Listing, Stream};
use super::origin::{Origin, Transport};
use super::reply::{self, Reply};
use super::reply_cache::Effect;
use super::responder::Responder;
use super::session::Session;

//----------- RequestOutcome -------------------------------------------------

/// The outcome of a request.
#[derive(Debug)]
pub(super) enum RequestOutcome {
    /// One reply.
    Reply(Reply),
    /// A list, of one or more messages.
    Listing(Listing),
    /// The caller has to prove who it is first.
    ProofNeeded,
    /// The key that proved the caller was withdrawn, so that the proof is void.
    KeyWithdrawn,
}

impl RequestOutcome {
    /// The outcome of a request that the core refuses or fails.
    pub(super) fn refused(caller: &Caller, problem: &Problem) -> Self {
        match (problem, caller) {
            (Problem::Refused(Refusal::Unauthenticated), Caller::Anonymous) => Self::ProofNeeded,
            (Problem::Refused(Refusal::Unauthenticated), _) => Self::KeyWithdrawn,
            (problem, _) => Self::Reply(reply::problem(problem)),
        }
    }
}

/// How far a request has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The request was received.
    Received,
    /// The caller has answered the challenge for the request.
    Proved,
}

//----------- Outgoing -------------------------------------------------------

/// What is sent in answer to a message.
#[derive(Debug)]
pub(super) enum Outgoing {
    /// No answer: the message is not a request.
    Nothing,
    /// One message, and whether it reports a change.
    Message(Vec<u8>, Effect),
    /// The messages of a list, one after the other.
    List(Box<Stream>),
    /// One message, after which the connection is closed.
    Last(Vec<u8>),
}

impl Responder {
    /// The messages that report an outcome, closed as the request asked for.
    pub(super) async fn outgoing(
        &self,
        origin: &Origin,
        frame: Frame,
        session: Option<Arc<Session>>,
        outcome: RequestOutcome,
    ) -> Outgoing {
        let reply = match outcome {
            RequestOutcome::Reply(reply) => reply,
            RequestOutcome::Listing(listing) => match origin.transport {
                Transport::Datagrams(_) if !listing.is_short() => {
                    reply::not_offered("the list is longer than one message; ask for it over TCP")
                }
                Transport::Datagrams(_) | Transport::Connection(_) | Transport::Tunnel(_) => {
                    return Outgoing::List(Box::new(Stream::new(listing, origin.source, frame, session)));
                }
            },
            // A caller that has just proved who it is is not challenged again.
            RequestOutcome::ProofNeeded | RequestOutcome::KeyWithdrawn => reply::key_withdrawn(),
        };
        let closed = self.close(origin.source, &frame, session.as_deref(), &reply).await;
        Outgoing::Message(closed.into_bytes(), reply.effect)
    }
}
