//! Federation: everything this node asks of other nodes; the only module that calls them.
//!
//! ```text
//!   resolver ─▶ Federation.ask ─▶ cache ─▶ in flight already? ─▶ Peer ─▶ a delegated site, or the upper node
//!   filing   ─▶ Federation.upper ─▶ Upper: announce, file                   (with the token that it gave us)
//! ```
//! - Questions are asked anonymously: what comes back is public, and only that is cached.
//! - Every call has a deadline. A peer that does not answer is left alone for a while, longer each time.
//! - What goes wrong is a [`PeerError`], which says which peer.
//!
//! Who is asked first is decided by the resolver; [`follow`] goes from there to the sites that answers refer to.

pub mod follow;
pub mod question;

mod cache;
mod flight;

pub mod filing_message;
pub mod peer;
pub mod upper;

mod backoff;
mod message;

pub mod counters;
pub mod error;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_util::FutureExt;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::model::environment::{Clock, Jitter};
use crate::model::limits::PEERS_MAX;

use self::cache::AnswerCache;
use self::counters::FederationCounters;
use self::error::PeerError;
use self::flight::Flights;
use self::peer::{Endpoint, Peer, Trust};
use self::question::{PeerAnswer, PeerQuestion, PeerTarget};
use self::upper::{Upper, UpperOptions};

pub use self::backoff::Backoff;

/// Rounds over a site's addresses at most, for one question.
const ROUNDS_MAX: u32 = 2;

//----------- Federation -----------------------------------------------------

/// What the federation needs to know.
#[derive(Clone)]
pub struct FederationOptions {
    /// The node above; none at the top.
    pub upper: Option<UpperOptions>,
    /// PEM text of the authorities that sign the certificates of delegated sites.
    pub authorities: Option<Vec<u8>>,
    /// Answers of other nodes cached at most; 0 for none.
    pub cache_answers: u64,
    /// The time.
    pub clock: Clock,
    /// Randomness for waiting times.
    pub jitter: Jitter,
}

/// Asks other nodes.
pub struct Federation {
    upper: Option<Arc<Upper>>,
    authorities: Option<Vec<u8>>,
    peers: Cache<Endpoint, Arc<Peer>>,
    answers: AnswerCache,
    flights: Flights,
    clock: Clock,
    jitter: Jitter,
    counters: Arc<FederationCounters>,
}

impl Federation {
    /// Makes no connection yet. Fails when the configuration of the upper node cannot be used.
    pub fn new(options: FederationOptions) -> Result<Self, PeerError> {
        let FederationOptions { upper, authorities, cache_answers, clock, jitter } = options;
        let upper = upper.map(|upper| Upper::new(upper, &clock, &jitter)).transpose()?.map(Arc::new);
        Ok(Self {
            upper,
            authorities,
            peers: Cache::new(PEERS_MAX),
            answers: AnswerCache::new(cache_answers),
            flights: Flights::default(),
            clock,
            jitter,
            counters: Arc::new(FederationCounters::default()),
        })
    }

    /// The node above; none at the top.
    pub fn upper(&self) -> Option<&Arc<Upper>> {
        self.upper.as_ref()
    }

    /// Counts since the start.
    pub fn counters(&self) -> Arc<FederationCounters> {
        Arc::clone(&self.counters)
    }

    /// Asks another node, unless its answer is cached or under way. Ends by the deadline. Safe to drop.
    pub async fn ask(
        self: &Arc<Self>,
        target: &PeerTarget,
        asked: &PeerQuestion,
        deadline: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let key = asked.key(target);
        if let Some(answer) = self.answers.get(&key, (self.clock)()) {
            self.counters.cached.fetch_add(1, Ordering::Relaxed);
            return Ok(answer);
        }
        let asking = || {
            let (federation, target, asked) = (Arc::clone(self), target.clone(), asked.clone());
            async move { federation.ask_anew(&target, &asked, deadline).await }.boxed()
        };
        // Those that passed the question on are part of the name of a flight: two nodes that wait for each other
        // would else wait for the deadline, where the loop is to be found.
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
        counter.fetch_add(1, Ordering::Relaxed);
        let answer = answer?;
        self.answers.put(asked.key(target), &answer, (self.clock)());
        Ok(answer)
    }

    /// Asks one address after the other, and all once more when none could be reached and there is time.
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
            Peer::new(endpoint.clone(), &trust, &self.clock, &self.jitter).map(Arc::new)
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

/// When to give up one of several addresses: the last gets all the time that is left, the others their part.
fn share(deadline: Instant, left: usize) -> Instant {
    let now = Instant::now();
    let left = u32::try_from(left).unwrap_or(u32::MAX).max(1);
    now + deadline.saturating_duration_since(now) / left
}
