//! Federation: everything this node asks of other nodes, and the only module that calls them.
//!
//! ```text
//!   resolver ─▶ Federation.ask ─▶ cache ─▶ in flight already? ─▶ Peer ─▶ a delegated site, over gRPC or the Handle
//!                                                                        protocol, or the upper node, over gRPC
//!   filing   ─▶ Federation.upper ─▶ Upper: announce, file                   (with the token that it issued)
//! ```
//! - Questions are sent without credentials: the answers are public, and only they are cached.
//! - A site whose public key is known: its answers over the Handle protocol are accepted only when signed with that key.
//! - A site that a prefix is delegated to is contacted only within the allowed [`networks`]; the upper node is the operator's
//!   own setting.
//! - Every call has a deadline. A peer that does not answer is not called again for a while, longer each time.
//! - Every error is a [`PeerError`], which names the peer.
//!
//! The resolver decides which node is asked first; [`follow`] then follows the referrals in the answers.

pub mod follow;
pub mod question;

mod cache;
mod flight;

pub mod filing_message;
pub mod networks;
pub mod peer;
pub mod upper;

mod backoff;
mod handle_client;
mod handle_question;
mod message;

pub mod counters;
pub mod error;

use std::sync::Arc;

use futures_util::FutureExt;
use quick_cache::sync::Cache;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::model::environment::{Clock, Jitter};
use crate::model::limits::PEERS_MAX;
use crate::telemetry::count;

use self::cache::AnswerCache;
use self::counters::FederationCounters;
use self::error::PeerError;
use self::flight::Flights;
use self::handle_client::{HandleClient, HandleSetup};
use self::networks::AllowedNetworks;
use self::peer::{Access, Peer, Transport, Trust};
use self::question::{PeerAnswer, PeerQuestion, PeerTarget};
use self::upper::{Upper, UpperOptions};

pub use self::backoff::Backoff;

/// Attempts over all addresses of a site, at most, for one question.
const ROUNDS_MAX: u32 = 2;
/// Signatures of other nodes that are verified at a time: each takes up to some milliseconds of a processor.
const VERIFICATIONS_MAX: usize = 4;

//----------- Federation -----------------------------------------------------

/// Settings of the federation.
#[derive(Clone)]
pub struct FederationOptions {
    /// The upper node; none at the top of the hierarchy.
    pub upper: Option<UpperOptions>,
    /// PEM text of the certificate authorities that sign the certificates of delegated sites.
    pub authorities: Option<Vec<u8>>,
    /// The networks in which delegated sites are contacted.
    pub networks: AllowedNetworks,
    /// Most remote answers in the cache; 0 disables the cache.
    pub cache_answers: u64,
    /// Source of the current time.
    pub clock: Clock,
    /// Source of the randomness in waiting times.
    pub jitter: Jitter,
}

/// Client of other nodes, with a cache of their answers.
pub struct Federation {
    upper: Option<Arc<Upper>>,
    authorities: Option<Vec<u8>>,
    networks: AllowedNetworks,
    handle: HandleSetup,
    peers: Cache<Access, Arc<Peer>>,
    answers: AnswerCache,
    flights: Flights,
    clock: Clock,
    jitter: Jitter,
    counters: Arc<FederationCounters>,
}

impl Federation {
    /// Prepares the calls and opens no connection yet. Fails when the settings of the upper node cannot be used.
    pub fn new(options: FederationOptions) -> Result<Self, PeerError> {
        let FederationOptions { upper, authorities, networks, cache_answers, clock, jitter } = options;
        let upper = upper.map(|upper| Upper::new(upper, &clock, &jitter)).transpose()?.map(Arc::new);
        let handle = HandleSetup {
            networks: networks.clone(),
            verifications: Arc::new(Semaphore::new(VERIFICATIONS_MAX)),
            clock: clock.clone(),
            jitter: jitter.clone(),
        };
        Ok(Self {
            upper,
            authorities,
            networks,
            handle,
            peers: Cache::new(PEERS_MAX),
            answers: AnswerCache::new(cache_answers),
            flights: Flights::default(),
            clock,
            jitter,
            counters: Arc::new(FederationCounters::default()),
        })
    }

    /// Returns the upper node; none at the top of the hierarchy.
    pub fn upper(&self) -> Option<&Arc<Upper>> {
        self.upper.as_ref()
    }

    /// Returns the counts since the node started.
    pub fn counters(&self) -> Arc<FederationCounters> {
        Arc::clone(&self.counters)
    }

    /// Asks another node, unless its answer is cached or the same question is in flight. Ends by the deadline. Safe to
    /// drop.
    pub async fn ask(
        self: &Arc<Self>,
        target: &PeerTarget,
        asked: &PeerQuestion,
        deadline: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let key = asked.key(target);
        if let Some(answer) = self.answers.get(&key, (self.clock)()) {
            count(&self.counters.cached);
            return Ok(answer);
        }
        let asking = || {
            let (federation, target, asked) = (Arc::clone(self), target.clone(), asked.clone());
            async move { federation.ask_anew(&target, &asked, deadline).await }.boxed()
        };
        // The nodes that passed the question on are part of the key. Otherwise two nodes that ask each other the same
        // question would both wait until the deadline, and the loop would not be detected.
        let flight = self.flights.join((key, asked.path.clone()), asking);
        let late = || PeerError::DeadlinePassed { peer: self.name(target) };
        tokio::time::timeout_at(deadline, flight).await.map_err(|_| late())?
    }

    async fn ask_anew(
        &self,
        target: &PeerTarget,
        asked: &PeerQuestion,
        deadline: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let Candidates { peers, unusable } = self.peers_of(target)?;
        let answer = self.ask_each(&peers, asked, deadline).await;
        let answer = answer.map_err(|error| match unusable {
            // What keeps this node from a better way to ask is what an operator can change.
            Some(unusable) if error.is_absence() => unusable,
            _ => error,
        });
        let counter = if answer.is_ok() { &self.counters.asked } else { &self.counters.failed };
        count(counter);
        let answer = answer?;
        self.answers.put(asked.key(target), &answer, (self.clock)());
        Ok(answer)
    }

    /// Asks one address after the other, and all of them once more when none was reachable and time remains.
    async fn ask_each(
        &self,
        peers: &[Arc<Peer>],
        asked: &PeerQuestion,
        deadline: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let mut backoff = Backoff::of_questions();
        let mut last = None;
        for round in 0..ROUNDS_MAX {
            if round > 0 {
                let pause = Instant::now() + backoff.next((self.jitter)());
                if pause >= deadline {
                    break;
                }
                tokio::time::sleep_until(pause).await;
            }
            for (position, peer) in peers.iter().enumerate() {
                let until = share(deadline, peers.len() - position);
                match peer.ask(asked, until, &self.counters).await {
                    Err(error) if error.is_absence() => last = Some(error),
                    answer => return answer,
                }
            }
        }
        Err(last.unwrap_or_else(|| PeerError::Nowhere { peer: "the site".to_owned() }))
    }

    fn peers_of(&self, target: &PeerTarget) -> Result<Candidates, PeerError> {
        let mut candidates = Candidates::default();
        match (target, &self.upper) {
            (PeerTarget::Upper, Some(upper)) => candidates.peers.push(Arc::clone(upper.anonymous())),
            (PeerTarget::Upper, None) => {}
            (PeerTarget::Site(site), _) => {
                for access in Access::of_site(site) {
                    match self.peer(&access) {
                        Ok(peer) => candidates.peers.push(peer),
                        Err(error) => candidates.unusable = candidates.unusable.or(Some(error)),
                    }
                }
            }
        }
        if candidates.peers.is_empty() {
            let nowhere = || PeerError::Nowhere { peer: self.name(target) };
            return Err(candidates.unusable.unwrap_or_else(nowhere));
        }
        Ok(candidates)
    }

    fn peer(&self, access: &Access) -> Result<Arc<Peer>, PeerError> {
        let prepare = || {
            let (name, transport) = match access {
                Access::Grpc(endpoint) => {
                    let trust = Trust { authorities: self.authorities.clone(), key: "recursion.tls_ca" };
                    let channel = endpoint.channel_within(&self.networks, &trust)?;
                    (endpoint.name(), Transport::Grpc(channel))
                }
                Access::Handle(endpoint) => {
                    let client = HandleClient::new(endpoint, self.handle.clone())?;
                    (endpoint.address.to_string(), Transport::Handle(client))
                }
            };
            Ok(Arc::new(Peer::new(name, transport, &self.clock, &self.jitter)))
        };
        self.peers.get_or_insert_with(access, prepare)
    }

    fn name(&self, target: &PeerTarget) -> String {
        match (target, &self.upper) {
            (PeerTarget::Upper, Some(upper)) => upper.anonymous().name(),
            (PeerTarget::Upper, None) => "the upper node".to_owned(),
            (PeerTarget::Site(site), _) => peer::name_of(site),
        }
    }
}

/// The ways to ask a target, and the first that cannot be used as this node is configured.
#[derive(Default)]
struct Candidates {
    peers: Vec<Arc<Peer>>,
    unusable: Option<PeerError>,
}

/// Returns when to give up one of several addresses: the remaining time is divided evenly among those that are left.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / left
}
