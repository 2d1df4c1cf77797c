//! Resolution: requests become questions to the resolver, and its answers become replies.

use crate::authority::caller::Caller;
use crate::front::handle_semantics::name;
use crate::front::handle_semantics::question::{self, Elsewhere, Hidden, QuestionOutcome, Wanted};
use crate::front::handle_semantics::referral::{self, Direction, ReferralWish, Service};
use crate::model::identifier::{Identifier, IdentifierError};
use crate::model::value::{Index, Permissions, Value, ValueType};
use crate::resolver::answer::{Absence, Answer, Found, Question};
use crate::resolver::recursion::{Recursion, Unanswered};
use crate::wire::handle::body::{Resolution, encode_handle_and_values};
use crate::wire::handle::code::{OpFlags, Version};
use crate::wire::handle::message::Message;

use super::opened_message::OpenedMessage;
use super::origin::Origin;
use super::outcome::RequestOutcome;
use super::reply::{self, Provenance, Reply, Secrecy};
use super::responder::Responder;

//----------- ResolutionRequest ----------------------------------------------

/// A request to resolve a handle, decoded.
#[derive(Clone, Debug)]
pub(super) struct ResolutionRequest<'a> {
    /// The handle as sent; the reply repeats it.
    pub(super) handle: &'a [u8],
    /// The question.
    pub(super) question: Question,
    selection: Selection,
}

/// Whether the indexes and types of a request can select any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    Some,
    /// Types were given, and no value can have any of them.
    None,
}

impl<'a> ResolutionRequest<'a> {
    /// Decodes the body of a request.
    pub(super) fn decode(body: &'a [u8]) -> Result<Self, Reply> {
        let Resolution { handle, indexes, types } =
            Resolution::decode(body).map_err(|error| reply::unreadable(&error))?;
        let identifier = identifier(handle).map_err(|malformed| malformed.in_question())?;
        let is_selective = !indexes.is_empty() || !types.is_empty();
        let indexes: Vec<Index> = indexes.into_iter().filter_map(|index| Index::new(index).ok()).collect();
        let named = |text: &[u8]| core::str::from_utf8(text).ok().and_then(|text| ValueType::new(text).ok());
        let types: Vec<ValueType> = types.into_iter().filter_map(named).collect();
        let selection = if is_selective && indexes.is_empty() && types.is_empty() {
            Selection::None
        } else {
            Selection::Some
        };
        Ok(Self { handle, question: Question { identifier, indexes, types }, selection })
    }
}

/// Which values the flags of a request want: public ones only, or all of them.
pub(super) fn wanted(flags: OpFlags) -> Wanted {
    if flags.has(OpFlags::PUBLIC_ONLY) { Wanted::Public } else { Wanted::All }
}

impl ResolutionRequest<'_> {
    /// What a caller is shown of an answer to this request.
    pub(super) fn outcome(&self, answer: Answer, wanted: Wanted, caller: &Caller) -> QuestionOutcome {
        match answer {
            Answer::Values(_) | Answer::Absent(Absence::Values(_)) if self.selection == Selection::None => {
                QuestionOutcome::NoValues
            }
            answer => question::outcome(answer, wanted, caller),
        }
    }

    /// The reply that shows values.
    pub(super) fn values(&self, found: &Found) -> Reply {
        let is_public = |value: &Value| value.permissions.has(Permissions::PUBLIC_READ);
        let secrecy = if found.values.iter().all(is_public) { Secrecy::Public } else { Secrecy::Restricted };
        let provenance = if found.authoritative { Provenance::Own } else { Provenance::Relayed };
        let body = encode_handle_and_values(self.handle, &found.values);
        Reply { provenance, secrecy, ..Reply::success(body) }
    }
}

/// Whether this node asks other nodes: the client wants it, or is too old to follow referrals.
pub(super) fn wants_recursion(flags: OpFlags, version: Version) -> bool {
    flags.has(OpFlags::RECURSIVE) || version < Version::V2_10
}

//----------- Resolving ------------------------------------------------------

impl Responder {
    /// Resolves a handle as the caller of a request.
    pub(super) async fn resolve(
        &self,
        origin: &Origin,
        opened: &OpenedMessage,
        message: &Message<'_>,
    ) -> RequestOutcome {
        let request = match ResolutionRequest::decode(message.body) {
            Ok(request) => request,
            Err(reply) => return RequestOutcome::Reply(reply),
        };
        let wanted = wanted(message.header.flags);
        let caller = match wanted {
            Wanted::Public => &Caller::Anonymous,
            Wanted::Permitted | Wanted::All => &opened.caller,
        };
        let version = opened.envelope.to_reply().version;
        let answer = match self.answer_question(origin, version, message, (caller, &request.question)).await {
            Ok(answer) => answer,
            Err(Unanswered::Here(problem)) => return RequestOutcome::refused(caller, &problem),
            Err(unanswered) => return RequestOutcome::Reply(reply::unanswered(&unanswered)),
        };
        let reply = match request.outcome(answer, wanted, caller) {
            QuestionOutcome::Hidden(Hidden::UntilProof) => return RequestOutcome::ProofNeeded,
            QuestionOutcome::Elsewhere(elsewhere) => {
                self.resolve_elsewhere(origin, version, message, &request, elsewhere).await
            }
            QuestionOutcome::Values(found) => request.values(&found),
            QuestionOutcome::NoValues => reply::no_values(),
            QuestionOutcome::NoIdentifier => reply::absent(),
            QuestionOutcome::Hidden(hidden) => reply::hidden(hidden),
        };
        RequestOutcome::Reply(reply)
    }

    /// What this node answers itself; the record of a delegated prefix with what its site adds, where the client wants that.
    async fn answer_question(
        &self,
        origin: &Origin,
        version: Version,
        message: &Message<'_>,
        (caller, question): (&Caller, &Question),
    ) -> Result<Answer, Unanswered> {
        if !wants_recursion(message.header.flags, version) || !self.resolver.is_completed_below(question) {
            return Ok(self.resolver.answer(caller, question).await?);
        }
        let recursion = Recursion { unnamed: message.header.recursion.into(), ..origin.recursion() };
        self.resolver.recurse(caller, question, recursion).await
    }

    /// Asks other nodes for a client that cannot or does not want to do so itself; refers any other client.
    async fn resolve_elsewhere(
        &self,
        origin: &Origin,
        version: Version,
        message: &Message<'_>,
        request: &ResolutionRequest<'_>,
        elsewhere: Elsewhere,
    ) -> Reply {
        if !wants_recursion(message.header.flags, version) {
            return self.refer(message, request, version, elsewhere).await;
        }
        let recursion = Recursion { unnamed: message.header.recursion.into(), ..origin.recursion() };
        let caller = Caller::Anonymous;
        let answer = match self.resolver.recurse(&caller, &request.question, recursion).await {
            Ok(answer) => answer,
            Err(error) => return reply::unanswered(&error),
        };
        match request.outcome(answer, Wanted::Public, &caller) {
            QuestionOutcome::Values(found) => request.values(&found),
            QuestionOutcome::NoValues => reply::no_values(),
            QuestionOutcome::NoIdentifier => reply::absent(),
            QuestionOutcome::Hidden(hidden) => reply::hidden(hidden),
            QuestionOutcome::Elsewhere(elsewhere) => self.refer(message, request, version, elsewhere).await,
        }
    }

    async fn refer(
        &self,
        message: &Message<'_>,
        request: &ResolutionRequest<'_>,
        version: Version,
        elsewhere: Elsewhere,
    ) -> Reply {
        // Clients before 2.10 do not follow referrals: they get the reason why there is no answer.
        let is_unanswered = matches!(&elsewhere, Elsewhere::Below(referral) if referral.unanswered.is_some());
        let declined =
            message.header.flags.has(OpFlags::NO_REFERRAL) || (is_unanswered && version < Version::V2_10);
        let wish = if declined { ReferralWish::Decline } else { ReferralWish::Follow };
        match referral::direct(&self.resolver, elsewhere, wish).await {
            Ok(Direction::Service(Service { identifier, sites })) => {
                let body = encode_handle_and_values(identifier.to_string().as_bytes(), &sites);
                reply::referral(&request.question.identifier, version, body)
            }
            Ok(Direction::NotResponsible { upper }) => reply::not_responsible(upper.as_deref()),
            Ok(Direction::Unanswered(unanswered)) => reply::unanswered(&unanswered),
            Err(problem) => reply::problem(&problem),
        }
    }
}

//----------- Names ----------------------------------------------------------

/// Why a handle is not an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// The handle is not UTF-8.
    NotUtf8,
    /// Not of the form that identifiers have.
    Form(IdentifierError),
}

impl Malformed {
    /// The reply to a question: what is not text cannot be registered.
    pub(super) fn in_question(&self) -> Reply {
        match self {
            Self::NotUtf8 => reply::absent_for_form(),
            Self::Form(error) => reply::malformed(error),
        }
    }

    /// The reply to a command.
    pub(super) fn in_command(&self) -> Reply {
        match self {
            Self::NotUtf8 => reply::not_text(),
            Self::Form(error) => reply::malformed(error),
        }
    }
}

/// The identifier that a handle names.
pub(super) fn identifier(handle: &[u8]) -> Result<Identifier, Malformed> {
    let text = core::str::from_utf8(handle).map_err(|_| Malformed::NotUtf8)?;
    name::identifier_of(text).map_err(Malformed::Form)
}
