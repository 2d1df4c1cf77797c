//! Messages that have been opened, and requests that wait for a proof of their caller.

use std::sync::Arc;

use crate::front::listen::source::Source;
use crate::registry::caller::Caller;
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};

use super::origin::Origin;
use super::session::Session;

//----------- Exchange -----------------------------------------------------

/// A message that may be read.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// What stood in front of it.
    pub(super) envelope: Envelope,
    /// Header, body and credential, in the clear.
    pub(super) message: Vec<u8>,
    /// Its session, when its key was used.
    pub(super) session: Option<Arc<Session>>,
    /// Whether the session vouches for it.
    pub(super) voucher: Voucher,
    /// Who sent it, as far as that was proved before.
    pub(super) caller: Caller,
}

impl Exchange {
    /// Whether it came encrypted and nothing says that it was not altered.
    pub(super) fn is_malleable(&self) -> bool {
        self.envelope.flags.has(EnvelopeFlags::ENCRYPTED) && self.voucher == Voucher::Nobody
    }

    /// Forgets the login under whose id it came; false when there is none.
    pub(super) fn forget_login(&self, origin: &Origin) -> bool {
        origin.connection().is_some_and(|connection| connection.log_out(self.envelope.session))
    }

    /// The same from nobody in particular, which is what its session is from now on.
    pub(super) fn forgotten(&self) -> Self {
        if let Some(session) = &self.session {
            session.disprove();
        }
        Self { caller: Caller::Anonymous, ..self.clone() }
    }
}

/// Whether a session vouches for a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voucher {
    /// It carries a code of the session's key.
    Session,
    /// It does not.
    Nobody,
}

//----------- Challenged ---------------------------------------------------

/// A request that waits for its caller to prove who it is.
#[derive(Debug)]
pub(super) struct Challenged {
    /// The request.
    pub(super) exchange: Exchange,
    /// Nonce and digest: what an answer is made of.
    pub(super) challenge: Vec<u8>,
    /// Where the challenge was sent.
    pub(super) source: Source,
}
