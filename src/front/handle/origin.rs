//! Where a message comes from: its source, the transport that carried it, and what is remembered of its connection.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

use crate::authority::caller::Caller;
use crate::front::listen::channel::Channel;
use crate::front::listen::slots::SlotUse;
use crate::front::listen::source::Source;
use crate::front::listen::udp_rate_limit::AddressProof;
use crate::resolver::recursion::Recursion;

/// Logins that one connection holds at most.
const LOGINS_MAX: usize = 64;

//----------- Origin ---------------------------------------------------------

/// Where a message came from.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The address of the client.
    pub(super) client: SocketAddr,
    /// The source whose quotas it counts for.
    pub(super) source: Source,
    /// The address of this node that was asked, where that is known.
    pub(super) own: Option<SocketAddr>,
    /// Transport that carried the message.
    pub(super) transport: Transport,
    /// Whether the message came in plain text or under TLS.
    pub(super) channel: Channel,
}

/// A transport of messages.
#[derive(Clone, Debug)]
pub(super) enum Transport {
    /// Datagrams: an answer is one message.
    Datagrams(Arc<DatagramState>),
    /// A connection.
    Connection(Arc<ConnectionState>),
    /// HTTP, which carries each message without regard to others, and waits for its answer until this time.
    Tunnel(Instant),
}

impl Origin {
    /// When its answer has to be there, where that is known.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.transport {
            Transport::Tunnel(deadline) => Some(*deadline),
            Transport::Datagrams(_) | Transport::Connection(_) => None,
        }
    }

    /// Questions to other nodes, asked for its sender.
    pub(super) fn recursion(&self) -> Recursion {
        Recursion { deadline: self.deadline(), ..Recursion::default() }
    }

    /// The connection that carried it.
    pub(super) fn connection(&self) -> Option<&Arc<ConnectionState>> {
        match &self.transport {
            Transport::Connection(connection) => Some(connection),
            Transport::Datagrams(_) | Transport::Tunnel(_) => None,
        }
    }
}

/// What a message that arrived in datagrams has proved.
#[derive(Debug, Default)]
pub(super) struct DatagramState(AtomicBool);

impl DatagramState {
    /// Whether the message itself proves that its source address is not forged.
    pub(super) fn proof(&self) -> AddressProof {
        if self.0.load(Ordering::Relaxed) { AddressProof::Given } else { AddressProof::Missing }
    }

    /// Records that the message proves its source address.
    pub(super) fn note_proof(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What is remembered of a connection: its logins, by the session ids that the client chose.
#[derive(Debug)]
pub(super) struct ConnectionState {
    /// Number of the connection among all connections.
    pub(super) number: u64,
    slot: SlotUse,
    logins: Mutex<Vec<(u32, Caller)>>,
}

impl ConnectionState {
    /// A connection without logins.
    pub(super) fn new(slot: SlotUse) -> Self {
        Self { number: slot.number(), slot, logins: Mutex::default() }
    }

    /// The caller that logged in under a session id.
    pub(super) fn caller(&self, session: u32) -> Option<Caller> {
        let logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.iter().find(|(id, _)| *id == session).map(|(_, caller)| caller.clone())
    }

    /// Logs a caller in under a session id; the oldest login ends when there are too many.
    pub(super) fn log_in(&self, session: u32, caller: Caller) {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        logins.retain(|(id, _)| *id != session);
        if logins.len() >= LOGINS_MAX {
            logins.remove(0);
        }
        logins.push((session, caller));
        self.slot.set_authenticated();
    }

    /// Ends the login under a session id; false when there is none.
    pub(super) fn log_out(&self, session: u32) -> bool {
        let mut logins = self.logins.lock().unwrap_or_else(PoisonError::into_inner);
        let count = logins.len();
        logins.retain(|(id, _)| *id != session);
        logins.len() < count
    }
}
