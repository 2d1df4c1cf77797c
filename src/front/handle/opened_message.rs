//! Messages that have been opened, and requests that wait until their caller has proved who it is.

use std::sync::Arc;

use crate::authority::caller::Caller;
use crate::front::listen::source::Source;
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};

use super::origin::Origin;
use super::session::Session;

//----------- OpenedMessage --------------------------------------------------

/// A message that has been decrypted and whose session has been verified.
#[derive(Clone, Debug)]
pub(super) struct OpenedMessage {
    /// The envelope in front of the message.
    pub(super) envelope: Envelope,
    /// Header, body and credential, decrypted.
    pub(super) message: Vec<u8>,
    /// Session whose key protects the message.
    pub(super) session: Option<Arc<Session>>,
    /// Whether a code of the session's key protects the message.
    pub(super) integrity: Integrity,
    /// The caller, as proved before by the session or a login.
    pub(super) caller: Caller,
}

impl OpenedMessage {
    /// Whether the message was encrypted, but may have been altered without notice.
    pub(super) fn is_malleable(&self) -> bool {
        self.envelope.flags.has(EnvelopeFlags::ENCRYPTED) && self.integrity == Integrity::Unverified
    }

    /// Ends the login under its session id; false when there is none.
    pub(super) fn forget_login(&self, origin: &Origin) -> bool {
        origin.connection().is_some_and(|connection| connection.log_out(self.envelope.session))
    }

    /// The same message without proof of a caller; its session has none from now on.
    pub(super) fn forgotten(&self) -> Self {
        if let Some(session) = &self.session {
            session.disprove();
        }
        Self { caller: Caller::Anonymous, ..self.clone() }
    }
}

/// Whether a message is known to be unaltered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Integrity {
    /// The message carries a valid code of the session's key.
    Verified,
    /// The message carries no code.
    Unverified,
}

//----------- PendingRequest -------------------------------------------------

/// A request that waits until its caller has proved who it is.
#[derive(Debug)]
pub(super) struct PendingRequest {
    /// The request.
    pub(super) opened: OpenedMessage,
    /// Nonce and digest, which the answer signs.
    pub(super) challenge: Vec<u8>,
    /// The source to which the challenge was sent.
    pub(super) source: Source,
}
