//! Replies: reasons become response codes, sentences and flags; only this file of the front end knows which.

use crate::authority::credential::Unproven;
use crate::front::handle_semantics::proof::sentence_of;
use crate::front::handle_semantics::question::Hidden;
use crate::front::handle_semantics::response_code;
use crate::key::KeyError;
use crate::model::identifier::{Identifier, IdentifierError};
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::resolver::recursion::Unanswered;
use crate::wire::cursor::DecodeError;
use crate::wire::handle::body::ErrorText;
use crate::wire::handle::code::{OpFlags, ResponseCode, Version};

use super::reply_cache::Effect;

//----------- Reply ----------------------------------------------------------

/// A reply to a request, before it is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// The response code.
    pub(super) code: ResponseCode,
    /// The body, without the digest of the request.
    pub(super) body: Vec<u8>,
    /// Flags of the reply beside those that it takes from its request.
    pub(super) flags: OpFlags,
    /// Whether this node holds what the reply reports.
    pub(super) provenance: Provenance,
    /// The session that the reply belongs to.
    pub(super) session: ReplySession,
    /// Whether the reply may travel unencrypted.
    pub(super) secrecy: Secrecy,
    /// The effect of the request.
    pub(super) effect: Effect,
}

/// The session that a reply belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReplySession {
    /// The session of the request.
    OfRequest,
    /// The one with this id: a new session, or an id made for a challenge; 0 for none.
    Id(u32),
    /// The session of the request, which has ended, so that its key is not used any more.
    Ended,
}

/// Whether a reply may travel unencrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Secrecy {
    /// The reply may travel unencrypted.
    Public,
    /// The reply is encrypted where the session can encrypt.
    Restricted,
}

/// Whether this node itself holds what a reply reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provenance {
    /// This node holds what the reply reports.
    Own,
    /// Another node reported what the reply says.
    Relayed,
}

impl Reply {
    /// The reply to a request that was performed.
    pub(super) fn success(body: Vec<u8>) -> Self {
        Self {
            code: ResponseCode::SUCCESS,
            body,
            flags: OpFlags::NONE,
            provenance: Provenance::Own,
            session: ReplySession::OfRequest,
            secrecy: Secrecy::Public,
            effect: Effect::None,
        }
    }

    /// Whether it asks for a proof; then its body contains the digest of the request.
    pub(super) fn is_challenge(&self) -> bool {
        self.code == ResponseCode::AUTHENTICATION_NEEDED
    }

    /// The reply to a request that changed something.
    pub(super) fn changed(body: Vec<u8>) -> Self {
        Self { effect: Effect::Changed, ..Self::success(body) }
    }

    /// A refusal: a code, and a sentence that helps.
    fn refuse(code: ResponseCode, sentence: &str) -> Self {
        Self { code, ..Self::success(ErrorText(sentence.as_bytes()).encode()) }
    }
}

//----------- Reasons --------------------------------------------------------

/// The message cannot be read.
pub(super) fn unreadable(error: &DecodeError) -> Reply {
    Reply::refuse(ResponseCode::PROTOCOL_ERROR, &error.to_string())
}

/// The handle is not a well-formed identifier.
pub(super) fn malformed(error: &IdentifierError) -> Reply {
    Reply::refuse(ResponseCode::INVALID_HANDLE, &error.to_string())
}

/// The handle of a question is not UTF-8: what is not text cannot be registered.
pub(super) fn absent_for_form() -> Reply {
    Reply::refuse(ResponseCode::HANDLE_NOT_FOUND, "the handle is not UTF-8")
}

/// The handle of a command is not UTF-8.
pub(super) fn not_text() -> Reply {
    Reply::refuse(ResponseCode::INVALID_HANDLE, "the handle is not UTF-8")
}

/// The handle does not name a prefix.
pub(super) fn not_a_prefix() -> Reply {
    Reply::refuse(ResponseCode::INVALID_HANDLE, "the handle of a prefix has the form 0.NA/<prefix>")
}

/// The values cannot be stored.
pub(super) fn invalid_values(sentence: &str) -> Reply {
    Reply::refuse(ResponseCode::INVALID_VALUE, sentence)
}

/// No value can have an index that is to be removed.
pub(super) fn no_such_index() -> Reply {
    Reply::refuse(ResponseCode::VALUES_NOT_FOUND, "there is no value at one of the indexes")
}

/// This node is not responsible and refers to no service.
pub(super) fn not_responsible(upper: Option<&str>) -> Reply {
    let sentence = match upper {
        Some(upper) => format!("this node does not serve the prefix; its upper node is {upper}"),
        None => "this node does not serve the prefix".to_owned(),
    };
    Reply::refuse(ResponseCode::SERVER_NOT_RESPONSIBLE, &sentence)
}

/// A question or command was refused or failed.
pub(super) fn problem(problem: &Problem) -> Reply {
    Reply::refuse(response_code::of_problem(problem), &problem.to_string())
}

/// The request was refused.
pub(super) fn refusal(refusal: &Refusal) -> Reply {
    Reply::refuse(response_code::of_refusal(refusal), &refusal.to_string())
}

/// This node failed.
pub(super) fn failure(failure: &Failure) -> Reply {
    Reply::refuse(response_code::of_failure(failure), &failure.to_string())
}

/// A question that was passed on to other nodes has no answer.
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
            "some of the values are visible only to administrators with the permission to read values, and the \
             caller is not one"
        }
        Hidden::FromAll => {
            "some of the values may not be read by anybody; ask for public values, or by index"
        }
    };
    Reply::refuse(response_code::of_hidden(hidden), sentence)
}

/// Another service answers; the body names it.
pub(super) fn referral(asked: &Identifier, version: Version, body: Vec<u8>) -> Reply {
    Reply { code: response_code::of_referral(asked, version), ..Reply::success(body) }
}

//----------- Authentication -------------------------------------------------

/// The caller has to prove who it is, by an answer to this challenge.
pub(super) fn challenge(session: ReplySession, body: Vec<u8>) -> Reply {
    let code = ResponseCode::AUTHENTICATION_NEEDED;
    Reply { code, flags: OpFlags::REQUEST_DIGEST, session, ..Reply::success(body) }
}

/// The caller has not proved the identity that it claims.
pub(super) fn unproven(unproven: &Unproven) -> Reply {
    Reply::refuse(response_code::of_unproven(unproven), &sentence_of(unproven))
}

/// No challenge waits for this answer.
pub(super) fn no_challenge() -> Reply {
    let sentence = "there is no open challenge for this answer: it was answered already, or it expired after 20 seconds; send \
         the request again";
    Reply::refuse(ResponseCode::AUTHENTICATION_TIMEOUT, sentence)
}

/// The proof is of an unknown kind.
pub(super) fn unknown_proof(kind: &[u8]) -> Reply {
    let kind = String::from_utf8_lossy(kind);
    unproven(&Unproven::Unusable {
        reason: format!("kind {kind:?} is not known; HS_PUBKEY and HS_SECKEY are"),
    })
}

/// The claimed identity is not an identifier.
pub(super) fn not_an_identity(user: &[u8]) -> Reply {
    let user = String::from_utf8_lossy(user);
    Reply::refuse(
        ResponseCode::INVALID_ADMIN,
        &format!("{user:?} names no identity, because it is not an identifier"),
    )
}

/// The key that proved the caller was withdrawn afterwards.
pub(super) fn key_withdrawn() -> Reply {
    let sentence = "the key that proved this caller has been withdrawn";
    Reply::refuse(ResponseCode::AUTHENTICATION_FAILED, sentence)
}

/// This node has no site to state.
pub(super) fn no_site() -> Reply {
    Reply::refuse(ResponseCode::ERROR, "this node announces no site")
}

/// The operation is not offered, or not over this transport.
pub(super) fn not_offered(sentence: &str) -> Reply {
    Reply::refuse(ResponseCode::OPERATION_NOT_SUPPORTED, sentence)
}

//----------- Sessions -------------------------------------------------------

/// Why a message is not accepted as one of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unaccepted {
    /// There is no such session.
    Unknown,
    /// The code or the encryption of the message is not the session's.
    Key,
    /// The count of the message was used before.
    Repeated,
}

/// The message is not accepted as one of its session.
pub(super) fn unaccepted(reason: Unaccepted) -> Reply {
    let (code, sentence) = match reason {
        Unaccepted::Unknown => {
            (ResponseCode::SESSION_TIMEOUT, "there is no such session, or it has ended; set up another")
        }
        Unaccepted::Key => {
            (ResponseCode::INVALID_SESSION_KEY, "the message was not protected with the key of its session")
        }
        Unaccepted::Repeated => (
            ResponseCode::SESSION_MESSAGE_REJECTED,
            "the count of this message was used before, or lies too far behind the latest",
        ),
    };
    Reply::refuse(code, sentence)
}

/// The key that proved a login was withdrawn.
pub(super) fn login_over() -> Reply {
    let sentence =
        "the key that proved this login was withdrawn, which ended the login; connect and log in again";
    Reply::refuse(ResponseCode::SESSION_TIMEOUT, sentence)
}

/// Why a session is not set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoSession {
    /// The mode of setup is not known.
    UnknownMode(u16),
    /// The key that the client sent cannot be used.
    Key(KeyError),
    /// The key that the client named does not exist.
    NoKey(Problem),
    /// The session has a key already, or does not exist.
    NotExpected,
}

/// The session is not set up.
pub(super) fn no_session(reason: &NoSession) -> Reply {
    match reason {
        NoSession::UnknownMode(mode) => Reply::refuse(
            ResponseCode::INVALID_SESSION_SETUP,
            &format!("session setup mode {mode} is unknown; use 1 to 4"),
        ),
        NoSession::Key(error) => Reply::refuse(ResponseCode::SESSION_FAILED, &error.to_string()),
        NoSession::NoKey(problem) => Reply::refuse(ResponseCode::SESSION_FAILED, &problem.to_string()),
        NoSession::NotExpected => {
            Reply::refuse(ResponseCode::SESSION_TIMEOUT, "no session with this id is waiting for its key")
        }
    }
}

/// The answer is too large for datagrams to an address that may be forged. Handle.Net's client treats this code over UDP as
/// a failure of the transport and repeats the request over TCP at once; it reports the code for a busy server as an error.
pub(super) fn ask_over_tcp() -> Reply {
    Reply::refuse(ResponseCode::ERROR, "use TCP")
}

/// This node is too busy.
pub(super) fn busy() -> Reply {
    failure(&Failure::Overloaded)
}

/// There is no memory for the request or its answer.
pub(super) fn memory_spent() -> Reply {
    Reply::refuse(
        ResponseCode::SERVER_BUSY,
        "too much memory is in use by requests and answers; repeat in a moment, with fewer requests at a time",
    )
}
