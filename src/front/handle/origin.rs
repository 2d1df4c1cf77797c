//! Where a message comes from: its source, the transport that carried it, and what is remembered of its connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::front::listen::channel::Channel;
use crate::front::listen::slots::SlotUse;
use crate::front::listen::source::Source;
use crate::front::listen::udp_rate_limit::AddressProof;
use crate::registry::caller::Caller;

/// Logins that one connection holds at most.
const LOGINS_MAX: usize = 64;

//----------- Origin ---------------------------------------------------------

/// Whence a message came.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// Who sent it.
    pub(super) asker: SocketAddr,
    /// Which of our addresses was asked, where that is known.
    pub(super) own: Option<SocketAddr>,
    /// Which way it came.
    pub(super) way: Way,
    /// How its bytes travel.
    pub(super) channel: Channel,
}

/// Which way a message came.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// In datagrams: an answer is one message.
    Datagrams(Arc<DatagramState>),
    /// On a connection.
    Connection(Arc<ConnectionState>),
    /// Within HTTP: nothing is remembered from one message to the next.
    Tunnel,
}

impl Origin {
    /// Whom it counts for.
    pub(super) fn source(&self) -> Source {
        Source::of(self.asker.ip())
    }

    /// The connection it came on.
    pub(super) fn connection(&self) -> Option<&Arc<ConnectionState>> {
        match &self.way {
            Way::Connection(connection) => Some(connection),
            Way::Datagrams(_) | Way::Tunnel => None,
        }
    }
}

/// What a message in datagrams has proved.
#[derive(Debug, Default)]
pub(super) struct DatagramState(AtomicBool);

impl DatagramState {
    /// Whether the message itself proves that its source address is not forged.
    pub(super) fn proof(&self) -> AddressProof {
        if self.0.load(Ordering::Relaxed) { AddressProof::Given } else { AddressProof::Missing }
    }

    /// Notes that the message proves its source address.
    pub(super) fn note_proof(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is remembered of a connection: who logged in on it, by the session ids that its client chose.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Its number among all connections.
    pub(super) number: u64,
    slot: SlotUse,
    logins: Mutex<Vec<(u32, Caller)>>,
}

impl ConnectionState {
    /// A connection on which nobody logged in.
    pub(super) fn new(slot: SlotUse) -> Self {
        Self { number: slot.number(), slot, logins: Mutex::default() }
    }

    /// Who logged in under a session id.
    pub(super) fn caller(&self, session: u32) -> Option<Caller> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.iter().find(|(id, _)| *id == session).map(|(_, caller)| caller.clone())
    }

    /// Logs somebody in under a session id; the oldest login gives way when there are too many.
    pub(super) fn log_in(&self, session: u32, caller: Caller) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|(id, _)| *id != session);
        if logins.len() >= LOGINS_MAX {
            logins.remove(0);
        }
        logins.push((session, caller));
        self.slot.set_authenticated();
    }

    /// Forgets who logged in under a session id; false when nobody did.
    pub(super) fn log_out(&self, session: u32) -> bool {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let count = logins.len();
        logins.retain(|(id, _)| *id != session);
        logins.len() < count
    }
}
