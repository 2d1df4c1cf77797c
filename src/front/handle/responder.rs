//! What all transports share: the core, the keys of this server, sessions, challenges and counters.

use std::sync::Arc;

use crate::authority::Authority;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::source::Exemptions;
use crate::front::listen::udp_rate_limit::UdpRateLimit;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::resolver::Resolver;

use super::challenge::Challenges;
use super::counters::HandleCounters;
use super::frame::Frame;
use super::opened_message::PendingRequest;
use super::reply::Reply;
use super::session::Sessions;

/// Answers Handle messages of all transports.
pub(super) struct Responder {
    pub(super) registry: Arc<Registry>,
    pub(super) authority: Authority,
    pub(super) resolver: Arc<Resolver>,
    /// The key with which this server signs.
    pub(super) server_key: Arc<PrivateKey>,
    /// The public half of that key, encoded as HS_PUBKEY data.
    pub(super) public_key: Vec<u8>,
    pub(super) sessions: Sessions,
    pub(super) challenges: Challenges<PendingRequest>,
    pub(super) exemptions: Exemptions,
    pub(super) crypto_pool: Arc<CryptoPool>,
    pub(super) rate_limit: UdpRateLimit,
    pub(super) counters: Arc<HandleCounters>,
}

impl Responder {
    /// The bytes of a reply that is neither certified nor encrypted.
    pub(super) fn write(&self, frame: &Frame, reply: &Reply, now_ms: u64) -> Vec<u8> {
        self.counters.count_reply(reply.code);
        frame.write_plain(reply, now_ms)
    }

    /// A random id for a session or challenge; positive also for clients that read it as signed.
    pub(super) fn random_id(&self) -> u32 {
        let mut bytes = [0; 4];
        self.resolver.fill_random(&mut bytes);
        (u32::from_be_bytes(bytes) >> 1).max(1)
    }
}
