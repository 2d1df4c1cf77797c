//! What is to be said → response codes, bodies and flags: the only place of this door that knows which is which.

use crate::authority::credential::Unproven;
use crate::front::handle_semantics::question::Hidden;
use crate::front::handle_semantics::response_code;
use crate::key::KeyError;
use crate::model::identifier::{Identifier, IdentifierError};
use crate::registry::refusal::{Failure, Problem, Refusal};
use crate::resolver::recursion::Unanswered;
use crate::wire::cursor::DecodeError;
use crate::wire::handle::body::ErrorText;
use crate::wire::handle::code::{OpFlags, ResponseCode, Version};

use super::kept::Weight;

//----------- Reply ----------------------------------------------------------

/// What is to be said to a request, before it is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// How it went.
    pub(super) code: ResponseCode,
    /// The body, without the digest of the request.
    pub(super) body: Vec<u8>,
    /// Flags that the reply has beside those of its request.
    pub(super) flags: OpFlags,
    /// Whether this node keeps what it tells.
    pub(super) standing: Standing,
    /// In which session it is told.
    pub(super) placement: Placement,
    /// Who may overhear it.
    pub(super) secrecy: Secrecy,
    /// Whether something was changed.
    pub(super) weight: Weight,
}

/// In which session a reply is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// In that of its request.
    Same,
    /// Under this id: a new session, or an id made for a challenge; 0 for none.
    In(u32),
    /// In that of its request, which is over: the session's key is not used any more.
    Over,
}

/// Who may overhear a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// Anybody.
    Public,
    /// Nobody, where the session can encrypt.
    Restricted,
}

/// Whether a reply is of this node's own knowledge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is.
    Authoritative,
    /// Another node told it.
    Retold,
}

impl Reply {
    /// Done.
    pub(super) fn success(body: Vec<u8>) -> Self {
        Self {
            code: ResponseCode::SUCCESS,
            body,
            flags: OpFlags::NONE,
            standing: Standing::Authoritative,
            placement: Placement::Same,
            secrecy: Secrecy::Public,
            weight: Weight::Light,
        }
    }

    /// Done, and something was changed by it.
    pub(super) fn changed(body: Vec<u8>) -> Self {
        Self { weight: Weight::Changed, ..Self::success(body) }
    }

    /// Not done: a code and a sentence that helps.
    pub(super) fn refuse(code: ResponseCode, sentence: &str) -> Self {
        Self { code, ..Self::success(ErrorText(sentence.as_bytes()).encode()) }
    }
}

//----------- Reasons --------------------------------------------------------

/// A message that cannot be read.
pub(super) fn unreadable(error: &DecodeError) -> Reply {
    Reply::refuse(ResponseCode::PROTOCOL_ERROR, &error.to_string())
}

/// A handle that is no identifier.
pub(super) fn malformed(error: &IdentifierError) -> Reply {
    Reply::refuse(ResponseCode::INVALID_HANDLE, &error.to_string())
}

/// No node above knows more, or none is asked for this caller.
pub(super) fn not_responsible(upper: Option<&str>) -> Reply {
    let sentence = match upper {
        Some(upper) => format!("that prefix is not served here; the node above is {upper}"),
        None => "that prefix is not served here".to_owned(),
    };
    Reply::refuse(ResponseCode::SERVER_NOT_RESPONSIBLE, &sentence)
}

/// Why a question or command was refused or failed.
pub(super) fn problem(problem: &Problem) -> Reply {
    Reply::refuse(response_code::of_problem(problem), &problem.to_string())
}

/// The caller's part.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    Reply::refuse(response_code::of_refusal(refusal), &refusal.to_string())
}

/// Our part.
pub(super) fn failure(failure: &Failure) -> Reply {
    Reply::refuse(response_code::of_failure(failure), &failure.to_string())
}

/// Why a question that went onward has no answer.
pub(super) fn unanswered(unanswered: &Unanswered) -> Reply {
    Reply::refuse(response_code::of_unanswered(unanswered), &unanswered.to_string())
}

/// The identifier is not registered.
pub(super) fn absent() -> Reply {
    Reply::refuse(ResponseCode::HANDLE_NOT_FOUND, "identifier is not registered")
}

/// The identifier has no such values, or none that this caller is shown.
pub(super) fn no_values() -> Reply {
    Reply::refuse(ResponseCode::VALUES_NOT_FOUND, "the identifier has no such values, or none for the public")
}

/// Values were asked for that are hidden from the caller.
pub(super) fn hidden(hidden: Hidden) -> Reply {
    let sentence = match hidden {
        Hidden::UntilProof | Hidden::FromCaller => {
            "values were asked for that administrators with the permission to read values see, and this caller is none"
        }
        Hidden::FromAll => "values were asked for that nobody may read; ask for public ones, or by index",
    };
    Reply::refuse(response_code::of_hidden(hidden), sentence)
}

/// Another service answers; the body names it.
pub(super) fn referral(asked: &Identifier, version: Version, body: Vec<u8>) -> Reply {
    Reply { code: response_code::of_referral(asked, version), ..Reply::success(body) }
}

//----------- Authentication -------------------------------------------------

/// Why somebody is not proved to be who he says.
pub(super) fn unproven(unproven: &Unproven) -> Reply {
    let code = match unproven {
        Unproven::NoKey { .. } | Unproven::Wrong { .. } => ResponseCode::AUTHENTICATION_FAILED,
        Unproven::Unusable { .. } => ResponseCode::INVALID_CREDENTIAL,
        Unproven::Unreachable { .. } | Unproven::Failed(_) => ResponseCode::UNABLE_TO_AUTHENTICATE,
    };
    Reply::refuse(code, &unproven.to_string())
}

/// An answer to a challenge that nobody waits for.
pub(super) fn no_challenge() -> Reply {
    let sentence =
        "no challenge waits for this answer: it was answered, or twenty seconds are over; ask again";
    Reply::refuse(ResponseCode::AUTHENTICATION_TIMEOUT, sentence)
}

/// A proof of a kind that is not known.
pub(super) fn unknown_proof(kind: &[u8]) -> Reply {
    let kind = String::from_utf8_lossy(kind);
    let sentence = format!("a proof of kind {kind:?} is not known; HS_PUBKEY and HS_SECKEY are");
    Reply::refuse(ResponseCode::INVALID_CREDENTIAL, &sentence)
}

/// A name that names nobody.
pub(super) fn nobody(user: &[u8]) -> Reply {
    let user = String::from_utf8_lossy(user);
    Reply::refuse(ResponseCode::INVALID_ADMIN, &format!("{user:?} is no identifier, and so nobody's"))
}

/// A caller whose key was withdrawn after it proved itself.
pub(super) fn key_withdrawn() -> Reply {
    let sentence = "the key that proved this caller was withdrawn meanwhile";
    Reply::refuse(ResponseCode::AUTHENTICATION_FAILED, sentence)
}

/// An operation that is not offered, or not so.
pub(super) fn not_offered(sentence: &str) -> Reply {
    Reply::refuse(ResponseCode::OPERATION_NOT_SUPPORTED, sentence)
}

//----------- Sessions -------------------------------------------------------

/// Why a message is not taken as one of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unaccepted {
    /// There is no such session.
    Unknown,
    /// Its code or its encryption is not the session's.
    Key,
    /// Its count was taken before.
    Repeated,
}

/// The same, as told.
pub(super) fn unaccepted(reason: Unaccepted) -> Reply {
    let (code, sentence) = match reason {
        Unaccepted::Unknown => {
            (ResponseCode::SESSION_TIMEOUT, "there is no such session, or it is over; set up another")
        }
        Unaccepted::Key => {
            (ResponseCode::INVALID_SESSION_KEY, "the message was not made with the key of its session")
        }
        Unaccepted::Repeated => (
            ResponseCode::SESSION_MESSAGE_REJECTED,
            "the count of this message was taken before, or lies too far behind the latest",
        ),
    };
    Reply::refuse(code, sentence)
}

/// The key that a login was proved with is withdrawn.
pub(super) fn login_over() -> Reply {
    let sentence = "the key that this login was proved with is withdrawn, and the login is over; connect and log in again";
    Reply::refuse(ResponseCode::SESSION_TIMEOUT, sentence)
}

/// Why no session is set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// A way to a key that is not known.
    Way(u16),
    /// Nothing can be computed with what the client sent.
    Key(KeyError),
    /// The key that was to be used is not there.
    NoKey(Problem),
    /// It has a key already, or there is no such session.
    NotAwaited,
}

/// The same, as told.
pub(super) fn no_session(reason: &NoSession) -> Reply {
    match reason {
        NoSession::Way(mode) => Reply::refuse(
            ResponseCode::INVALID_SESSION_SETUP,
            &format!("mode {mode} of setting up sessions is not known; 1 to 4 are"),
        ),
        NoSession::Key(error) => Reply::refuse(ResponseCode::SESSION_FAILED, &error.to_string()),
        NoSession::NoKey(problem) => Reply::refuse(ResponseCode::SESSION_FAILED, &problem.to_string()),
        NoSession::NotAwaited => {
            Reply::refuse(ResponseCode::SESSION_TIMEOUT, "no session under this id waits for its key")
        }
    }
}

/// The answer is too much for datagrams to an address that may be forged. Handle.Net's client takes this code over UDP for
/// a failure of the transport and repeats its request over TCP at once; of the code for a busy server it makes an error.
pub(super) fn ask_over_tcp() -> Reply {
    Reply::refuse(ResponseCode::ERROR, "use TCP")
}

/// Too much is waiting.
pub(super) fn busy() -> Reply {
    failure(&Failure::Overloaded)
}
