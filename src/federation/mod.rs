//! Federation: everything this node asks of other nodes, and the only module that calls them.
//!
//! ```text
//!   resolver ─▶ Federation.ask ─▶ cache ─▶ in flight already? ─▶ Peer ─▶ a delegated site, or the upper node
//!   filing   ─▶ Federation.upper ─▶ Upper: announce, file                   (with the token that it issued)
//! ```
//! - Questions are sent without credentials: the answers are public, and only they are cached.
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
mod message;

pub mod counters;
pub mod error;

use std::sync::Arc;

use futures_util::FutureExt;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::model::environment::{Clock, Jitter};
use crate::model::limits::PEERS_MAX;
use crate::telemetry::count;

use self::cache::AnswerCache;
use self::counters::FederationCounters;
use self::error::PeerError;
use self::flight::Flights;
use self::networks::AllowedNetworks;
use self::peer::{Endpoint, Peer, Trust};
use self::question::{PeerAnswer, PeerQuestion, PeerTarget};
use self::upper::{Upper, UpperOptions};

pub use self::backoff::Backoff;

/// Attempts over all addresses of a site, at most, for one question.
const ROUNDS_MAX: u32 = 2;

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
    peers: Cache<Endpoint, Arc<Peer>>,
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
        Ok(Self {
            upper,
            authorities,
            networks,
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
        let peers = self.peers_of(target)?;
        let answer = self.ask_each(&peers, asked, deadline).await;
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

    fn peers_of(&self, target: &PeerTarget) -> Result<Vec<Arc<Peer>>, PeerError> {
        match target {
            PeerTarget::Upper => match &self.upper {
                Some(upper) => Ok(vec![Arc::clone(upper.anonymous())]),
                None => Err(PeerError::Nowhere { peer: self.name(target) }),
            },
            PeerTarget::Site(site) => {
                let endpoints = Endpoint::of_site(site)?;
                endpoints.into_iter().map(|endpoint| self.peer(endpoint)).collect()
            }
        }
    }

    fn peer(&self, endpoint: Endpoint) -> Result<Arc<Peer>, PeerError> {
        let connect = || {
            let trust = Trust { authorities: self.authorities.clone(), key: "recursion.tls_ca" };
            let channel = endpoint.channel_within(&self.networks, &trust)?;
            Ok(Arc::new(Peer::new(endpoint.clone(), channel, &self.clock, &self.jitter)))
        };
        self.peers.get_or_insert_with(&endpoint, connect)
    }

    fn name(&self, target: &PeerTarget) -> String {
        match (target, &self.upper) {
            (PeerTarget::Upper, Some(upper)) => upper.anonymous().name(),
            (PeerTarget::Upper, None) => "the upper node".to_owned(),
            (PeerTarget::Site(site), _) => peer::name_of(site),
        }
    }
}

/// Returns when to give up one of several addresses: the remaining time is divided evenly among those that are left.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / left
}
