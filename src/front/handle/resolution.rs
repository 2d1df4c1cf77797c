//! Resolution: a question of the protocol → a question of ours, and the answer back.

use crate::front::handle_semantics::name;
use crate::front::handle_semantics::question::{self, Elsewhere, Hidden, QuestionOutcome, Wanted};
use crate::front::handle_semantics::referral::{self, Direction, ReferralWish, Service};
use crate::model::identifier::{Identifier, IdentifierError};
use crate::model::limits::RECURSION_DEPTH_MAX;
use crate::model::value::{Index, Permissions, Value, ValueType};
use crate::registry::caller::Caller;
use crate::resolver::answer::{Absence, Answer, Found, Question};
use crate::resolver::recursion::{Recursion, Unanswered};
use crate::wire::handle::body::{Resolution, encode_handle_and_values};
use crate::wire::handle::code::{OpFlags, ResponseCode, Version};
use crate::wire::handle::message::Message;

use super::answerer::Answerer;
use super::opened::Exchange;
use super::outcome::Done;
use super::reply::{self, Reply, Secrecy, Standing};

//----------- Asking ---------------------------------------------------------

/// What a message asks for.
#[derive(Clone, Debug)]
pub(super) struct Asking<'a> {
    /// The handle as sent: the answer repeats it.
    pub(super) handle: &'a [u8],
    /// The question.
    pub(super) question: Question,
    selection: Selection,
}

/// Whether any value can be meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Selection {
    Some,
    /// Indexes and types were given, and none of them can exist.
    None,
}

impl<'a> Asking<'a> {
    /// Decodes the body of a question.
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

/// What a question's flags want: public values only, or all of them.
pub(super) fn wanted(flags: OpFlags) -> Wanted {
    if flags.has(OpFlags::PUBLIC_ONLY) { Wanted::Public } else { Wanted::All }
}

impl Asking<'_> {
    /// What a caller is shown of an answer to this question.
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
        let standing = if found.authoritative { Standing::Authoritative } else { Standing::Retold };
        let body = encode_handle_and_values(self.handle, &found.values);
        Reply { standing, secrecy, ..Reply::success(body) }
    }
}

/// Whether other nodes are to be asked: the client says so, or is too old to go there itself.
fn wants_recursion(message: &Message<'_>, version: Version) -> bool {
    message.header.flags.has(OpFlags::RECURSIVE) || version < Version::V2_10
}

//----------- Resolving ----------------------------------------------------

impl Answerer {
    /// Answers a question, as its caller.
    pub(super) async fn resolve(&self, exchange: &Exchange, message: &Message<'_>) -> Done {
        let asking = match Asking::decode(message.body) {
            Ok(asking) => asking,
            Err(reply) => return Done::Reply(reply),
        };
        let wanted = wanted(message.header.flags);
        let caller = match wanted {
            Wanted::Public => &Caller::Anonymous,
            Wanted::Permitted | Wanted::All => &exchange.caller,
        };
        let answer = match self.resolver.answer(caller, &asking.question).await {
            Ok(answer) => answer,
            Err(problem) => return Done::refused(caller, &problem),
        };
        let reply = match asking.outcome(answer, wanted, caller) {
            QuestionOutcome::Hidden(Hidden::UntilProof) => return Done::Prove,
            QuestionOutcome::Elsewhere(elsewhere) => {
                let version = exchange.envelope.to_reply().version;
                self.go_on(version, message, &asking, elsewhere).await
            }
            QuestionOutcome::Values(found) => asking.values(&found),
            QuestionOutcome::NoValues => reply::no_values(),
            QuestionOutcome::NoIdentifier => reply::absent(),
            QuestionOutcome::Hidden(hidden) => reply::hidden(hidden),
        };
        Done::Reply(reply)
    }

    /// Asks other nodes for a caller that cannot or does not want to go there itself; refers others.
    async fn go_on(
        &self,
        version: Version,
        message: &Message<'_>,
        asking: &Asking<'_>,
        elsewhere: Elsewhere,
    ) -> Reply {
        if !wants_recursion(message, version) {
            return self.refer(message, asking, version, elsewhere).await;
        }
        if u32::from(message.header.recursion) >= RECURSION_DEPTH_MAX {
            return reply::unanswered(&Unanswered::TooDeep);
        }
        let recursion = Recursion::default();
        let caller = Caller::Anonymous;
        let answer = match self.resolver.recurse(&caller, &asking.question, recursion).await {
            Ok(answer) => answer,
            Err(error) => return reply::unanswered(&error),
        };
        match asking.outcome(answer, Wanted::Public, &caller) {
            QuestionOutcome::Values(found) => asking.values(&found),
            QuestionOutcome::NoValues => reply::no_values(),
            QuestionOutcome::NoIdentifier => reply::absent(),
            QuestionOutcome::Hidden(hidden) => reply::hidden(hidden),
            QuestionOutcome::Elsewhere(elsewhere) => self.refer(message, asking, version, elsewhere).await,
        }
    }

    async fn refer(
        &self,
        message: &Message<'_>,
        asking: &Asking<'_>,
        version: Version,
        elsewhere: Elsewhere,
    ) -> Reply {
        let declined = message.header.flags.has(OpFlags::NO_REFERRAL);
        let wish = if declined { ReferralWish::Decline } else { ReferralWish::Follow };
        match referral::direct(&self.resolver, elsewhere, wish).await {
            Ok(Direction::Service(Service { identifier, sites })) => {
                let body = encode_handle_and_values(identifier.to_string().as_bytes(), &sites);
                reply::referral(&asking.question.identifier, version, body)
            }
            Ok(Direction::NotResponsible { upper }) => reply::not_responsible(upper.as_deref()),
            Err(problem) => reply::problem(&problem),
        }
    }
}

//----------- Names ----------------------------------------------------------

/// A handle that is no identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Malformed {
    /// Not UTF-8.
    NotUtf8,
    /// Not of the form that identifiers have.
    Form(IdentifierError),
}

impl Malformed {
    /// As a question hears it: what is no text cannot be registered.
    pub(super) fn in_question(&self) -> Reply {
        match self {
            Self::NotUtf8 => Reply::refuse(ResponseCode::HANDLE_NOT_FOUND, "the handle is not UTF-8"),
            Self::Form(error) => reply::malformed(error),
        }
    }

    /// As a command hears it.
    pub(super) fn in_command(&self) -> Reply {
        match self {
            Self::NotUtf8 => Reply::refuse(ResponseCode::INVALID_HANDLE, "the handle is not UTF-8"),
            Self::Form(error) => reply::malformed(error),
        }
    }
}

/// The identifier that a handle names.
pub(super) fn identifier(handle: &[u8]) -> Result<Identifier, Malformed> {
    let text = core::str::from_utf8(handle).map_err(|_| Malformed::NotUtf8)?;
    name::identifier_of(text).map_err(Malformed::Form)
}
