//! What all transports share: the core, the keys of this server, sessions, challenges and counters.

use std::sync::Arc;

use crate::authority::Authority;
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::udp_rate_limit::UdpRateLimit;
use crate::key::PrivateKey;
use crate::registry::Registry;
use crate::resolver::Resolver;

use super::challenge::Challenges;
use super::counters::HandleCounters;
use super::frame::Frame;
use super::opened::Challenged;
use super::reply::Reply;
use super::session::Sessions;

/// What every way into the door shares.
pub(super) struct Answerer {
    pub(super) registry: Arc<Registry>,
    pub(super) authority: Authority,
    pub(super) resolver: Arc<Resolver>,
    /// The key that this server signs with.
    pub(super) server_key: Arc<PrivateKey>,
    /// Its public half, as HS_PUBKEY.
    pub(super) public_key: Vec<u8>,
    pub(super) sessions: Sessions,
    pub(super) challenges: Challenges<Challenged>,
    pub(super) crypto_pool: Arc<CryptoPool>,
    pub(super) rate_limit: UdpRateLimit,
    pub(super) counters: Arc<HandleCounters>,
}

impl Answerer {
    /// The bytes of a reply that is neither certified nor encrypted.
    pub(super) fn write(&self, frame: &Frame, reply: &Reply, now_ms: u64) -> Vec<u8> {
        self.counters.count_reply(reply.code);
        frame.write_plain(reply, now_ms)
    }

    /// A number for a session or challenge: positive to clients that count it as signed.
    pub(super) fn random_id(&self) -> u32 {
        let mut bytes = [0; 4];
        self.resolver.fill_random(&mut bytes);
        (u32::from_be_bytes(bytes) >> 1).max(1)
    }
}
