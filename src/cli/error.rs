//! Errors of commands, with their messages and exit codes.
//!
//! The exit codes are those of `cli`; an error of the daemon has them from the same list.

use core::fmt;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use super::contact::Responder;
use super::display::escape;
use crate::wire::proto;

/// Reasons that report a failure of the node rather than a fault of the caller.
const FAILURES: &[&str] =
    &["OUTCOME_UNKNOWN", "READ_ONLY", "OVERLOADED", "STOPPING", "STORE", "MEMORY_BUDGET_SPENT"];
/// Reasons that leave open whether the change was made.
const UNKNOWN: &[&str] = &["OUTCOME_UNKNOWN", "INTERNAL"];
/// Reasons by which the node says that it did nothing, and may take the same change a little later.
const NOT_TAKEN: &[&str] = &["OVERLOADED", "STOPPING", "CONTENDED", "MEMORY_BUDGET_SPENT", "REQUEST_TIMEOUT"];

//----------- Error ----------------------------------------------------------

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Error {
    /// The node refused.
    Refused(Reason),
    /// The node has no such thing; the message says what.
    Missing(String),
    /// The command completed, but found or left something wrong; the message says what.
    Incomplete(String),
    /// The arguments are wrong.
    Usage(String),
    /// An input file cannot be used as it is.
    Input(String),
    /// No node answers there.
    Unreachable {
        /// The address of the attempt.
        node: String,
        /// The network error.
        cause: String,
    },
    /// A server answers, but TLS with it fails, mostly because of its certificate.
    Distrusted {
        /// The address of the attempt.
        node: String,
        /// The TLS error.
        cause: String,
    },
    /// A server answers, but in another protocol than asked for.
    Misaddressed {
        /// Host and port.
        address: String,
        /// The protocol that answers.
        found: Responder,
    },
    /// The node failed.
    Failed(Reason),
    /// A command was sent and its outcome is unknown.
    OutcomeUnknown {
        /// Request id with which to repeat the command.
        request_id: String,
        /// The error of the last attempt.
        cause: String,
    },
    /// The node stopped answering before the end; the message says how to continue.
    BrokenOff(String),
    /// A file could not be read or written.
    File {
        /// Path of the file.
        path: String,
        /// The error of the operating system.
        cause: String,
    },
    /// The operating system refused what the command needs; the message says what.
    System(String),
    /// Standard output was closed by its reader.
    OutputClosed,
    /// The user interrupted the command; the message says what to do.
    Interrupted(String),
}

/// A stable code, its message, and the facts in the message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Reason {
    /// The stable code, such as `ALREADY_EXISTS`.
    pub(super) code: String,
    /// What is wrong, and what to do instead.
    pub(super) message: String,
    /// The facts for programs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) facts: BTreeMap<String, String>,
}

impl Error {
    /// A file could not be read or written.
    pub(super) fn file(path: &Path, cause: &io::Error) -> Self {
        Self::File { path: path.display().to_string(), cause: cause.to_string() }
    }

    /// Converts a status that is not worth another attempt.
    pub(super) fn of_status(status: &Status) -> Self {
        let reason = Reason::of_status(status);
        let is_failure = FAILURES.contains(&reason.code.as_str())
            || matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable | Code::DataLoss);
        if is_failure { Self::Failed(reason) } else { Self::Refused(reason) }
    }

    /// The same error with another part of its sentence.
    pub(super) fn followed_by(mut self, more: &str) -> Self {
        match &mut self {
            Self::Refused(Reason { message: sentence, .. })
            | Self::Failed(Reason { message: sentence, .. })
            | Self::Missing(sentence)
            | Self::Incomplete(sentence)
            | Self::Usage(sentence)
            | Self::Input(sentence)
            | Self::Unreachable { cause: sentence, .. }
            | Self::Distrusted { cause: sentence, .. }
            | Self::OutcomeUnknown { cause: sentence, .. }
            | Self::BrokenOff(sentence)
            | Self::File { cause: sentence, .. }
            | Self::System(sentence)
            | Self::Interrupted(sentence) => {
                sentence.push_str("; ");
                sentence.push_str(more);
            }
            Self::Misaddressed { .. } | Self::OutputClosed => {}
        }
        self
    }

    /// The exit code of the program.
    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::OutputClosed => 0,
            Self::Refused(_) | Self::Missing(_) | Self::Incomplete(_) => 1,
            Self::Usage(_) => 2,
            Self::Input(_) => 65,
            Self::Unreachable { .. } | Self::Distrusted { .. } | Self::Misaddressed { .. } => 69,
            Self::Failed(_) => 70,
            Self::System(_) => 71,
            Self::File { .. } => 74,
            Self::OutcomeUnknown { .. } | Self::BrokenOff(_) => 75,
            Self::Interrupted(_) => 130,
        })
    }

    /// The stable code: the node's, if it sent one.
    fn code(&self) -> &str {
        match self {
            Self::Refused(reason) | Self::Failed(reason) => &reason.code,
            Self::Missing(_) => "MISSING",
            Self::Incomplete(_) => "INCOMPLETE",
            Self::Usage(_) => "USAGE",
            Self::Input(_) => "INPUT",
            Self::Unreachable { .. } | Self::Distrusted { .. } | Self::Misaddressed { .. } => "UNREACHABLE",
            Self::OutcomeUnknown { .. } => "OUTCOME_UNKNOWN",
            Self::BrokenOff(_) => "BROKEN_OFF",
            Self::File { .. } => "FILE",
            Self::System(_) => "SYSTEM",
            Self::OutputClosed => "OUTPUT_CLOSED",
            Self::Interrupted(_) => "INTERRUPTED",
        }
    }

    /// The error for programs: `{"error": {"code": ..., "message": ..., "facts": ...}}`.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let facts = match self {
            Self::Refused(reason) | Self::Failed(reason) => reason.facts.clone(),
            Self::OutcomeUnknown { request_id, .. } => {
                BTreeMap::from([("request_id".to_owned(), request_id.clone())])
            }
            _ => BTreeMap::new(),
        };
        let message = match self {
            Self::Refused(reason) | Self::Failed(reason) => reason.message.clone(),
            other => other.to_string(),
        };
        serde_json::json!({ "error": { "code": self.code(), "message": message, "facts": facts } })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => write!(f, "refused: {reason}"),
            Self::Failed(reason) => write!(f, "the node failed: {reason}"),
            Self::Missing(sentence)
            | Self::Incomplete(sentence)
            | Self::Usage(sentence)
            | Self::Input(sentence)
            | Self::System(sentence)
            | Self::BrokenOff(sentence)
            | Self::Interrupted(sentence) => f.write_str(&escape(sentence)),
            Self::Unreachable { node, cause } => write!(
                f,
                "no node answers at {}: {}; start one with `idnode serve`, or name another with --node",
                escape(node),
                escape(cause)
            ),
            Self::Distrusted { node, cause } => write!(
                f,
                "{} answers, but its certificate is not trusted: {}; its certificate must be valid now, name this host \
                 as a DNS name or address (subjectAltName), be signed by the CA in --ca, and not be a CA certificate \
                 itself (basicConstraints CA:FALSE); only where it signed itself, --ca names the certificate",
                escape(node),
                escape(cause)
            ),
            Self::Misaddressed { address, found } => describe(&escape(address), found, f),
            Self::OutcomeUnknown { request_id, cause } => write!(
                f,
                "the command was sent, but its outcome is unknown ({}); repeat it with --request-id {request_id} to \
                 learn the outcome; nothing is done twice",
                escape(cause)
            ),
            Self::File { path, cause } => write!(f, "{}: {}", escape(path), escape(cause)),
            Self::OutputClosed => f.write_str("standard output was closed"),
        }
    }
}

fn describe(address: &str, found: &Responder, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match found {
        Responder::Tls => write!(
            f,
            "the node at {address} speaks TLS: use --node https://{address} with --ca FILE, the PEM file of the \
             authority that signed its certificate"
        ),
        Responder::PlainText => {
            write!(f, "the node at {address} does not speak TLS: use --node http://{address}")
        }
        Responder::OtherProtocol => write!(
            f,
            "the server at {address} does not speak gRPC: use the address that the node prints when it starts, also in \
             the file `addresses` of its data directory"
        ),
    }
}

//----------- Reason ---------------------------------------------------------

impl Reason {
    /// A reason of this program.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), facts: BTreeMap::new() }
    }

    /// The reason that a status carries.
    pub(super) fn of_status(status: &Status) -> Self {
        let info = status.get_details_error_info();
        let code = info.as_ref().map_or_else(|| plain_code(status.code()), |info| info.reason.clone());
        let facts = info.map(|info| info.metadata.into_iter().collect()).unwrap_or_default();
        Self { code, message: status.message().to_owned(), facts }
    }

    /// The reason that one item's refusal carries.
    pub(super) fn of_refusal(refusal: proto::Refusal) -> Self {
        Self { code: refusal.code, message: refusal.message, facts: refusal.facts.into_iter().collect() }
    }

    /// The reason that one item's failure carries.
    pub(super) fn of_failure(failure: proto::Failure) -> Self {
        Self { code: failure.code, message: failure.message, facts: failure.facts.into_iter().collect() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", escape(&self.message), escape(&self.code))
    }
}

/// The name of a gRPC code, as gRPC spells it.
fn plain_code(code: Code) -> String {
    let mut name = String::new();
    for letter in format!("{code:?}").chars() {
        if letter.is_ascii_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_uppercase());
    }
    name
}

//----------- Attempt --------------------------------------------------------

/// What a status says about the change that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The change may have been made.
    Unknown,
    /// The change was not made; another attempt may succeed.
    NotTaken,
    /// The change was not made by this attempt, and another attempt will not succeed either.
    Final,
}

impl Attempt {
    /// Judges a status. Without the node's own reason, the status was made on the way, where nobody knows what the node did.
    pub(super) fn of_status(status: &Status) -> Self {
        if let Some(info) = status.get_details_error_info() {
            return Self::of_code(&info.reason);
        }
        match status.code() {
            Code::Unavailable
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
            | Code::Internal
            | Code::ResourceExhausted
            | Code::DataLoss
            | Code::Aborted => Self::Unknown,
            _ => Self::Final,
        }
    }

    /// Judges a stable code of the node.
    pub(super) fn of_code(code: &str) -> Self {
        match code {
            code if UNKNOWN.contains(&code) => Self::Unknown,
            code if NOT_TAKEN.contains(&code) => Self::NotTaken,
            _ => Self::Final,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::{Attempt, Error, Reason};

    fn status(code: Code, reason: &str) -> Status {
        let facts = HashMap::from([("version".to_owned(), "3".to_owned())]);
        Status::with_error_details(code, "a sentence", ErrorDetails::with_error_info(reason, "idnode", facts))
    }

    #[test]
    fn a_status_speaks_with_the_code_of_its_details() {
        let reason = Reason::of_status(&status(Code::AlreadyExists, "ALREADY_EXISTS"));
        assert_eq!(reason.to_string(), "a sentence [ALREADY_EXISTS]");
        assert_eq!(reason.facts.get("version").map(String::as_str), Some("3"));
        let plain = Reason::of_status(&Status::new(Code::ResourceExhausted, "much"));
        assert_eq!(plain.code, "RESOURCE_EXHAUSTED");
    }

    #[test]
    fn failures_and_refusals_are_distinguished() {
        let failed = Error::of_status(&status(Code::FailedPrecondition, "READ_ONLY"));
        assert!(matches!(&failed, Error::Failed(reason) if reason.code == "READ_ONLY"), "{failed:?}");
        let refused = Error::of_status(&status(Code::NotFound, "PREFIX_ABSENT"));
        assert!(matches!(&refused, Error::Refused(reason) if reason.code == "PREFIX_ABSENT"), "{refused:?}");
    }

    #[test]
    fn an_attempt_is_unknown_unless_the_node_says_that_it_did_nothing() {
        let judge = Attempt::of_status;
        assert_eq!(judge(&status(Code::Unknown, "OUTCOME_UNKNOWN")), Attempt::Unknown);
        assert_eq!(judge(&Status::unavailable("connection reset")), Attempt::Unknown);
        assert_eq!(judge(&Status::resource_exhausted("enhance your calm")), Attempt::Unknown);
        assert_eq!(judge(&status(Code::Unavailable, "OVERLOADED")), Attempt::NotTaken);
        assert_eq!(judge(&status(Code::FailedPrecondition, "READ_ONLY")), Attempt::Final);
        assert_eq!(judge(&Status::not_found("nothing")), Attempt::Final);
    }
}
