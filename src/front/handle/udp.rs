//! Datagrams: pieces put together to messages, answers cut into pieces.
//!
//! ```text
//!   datagrams ─ reassembly ─▶ messages ─┬─ plain questions: one batch ─▶ answers ─ cut ─▶ datagrams
//!                                       └─ others: a task each, bounded
//! ```
//! An answer leaves only within the limit of its source (`listen::udp_rate_limit`). Beyond it a short answer leads the client
//! to TCP, at most 48 octets larger than the request; an answer that reports a change is never replaced by it, since the
//! request would be run again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::front::listen::channel::Channel;
use crate::front::listen::datagram::threads::DatagramThreads;
use crate::front::listen::datagram::{Datagram, DatagramSocket};
use crate::front::listen::drain::Draining;
use crate::front::listen::udp_rate_limit::{AddressProof, Exchanged, Verdict};
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};
use crate::wire::handle::packet::{PIECE_BYTES, Piece, cut};

use super::answer::Received;
use super::answerer::Answerer;
use super::counters::count;
use super::kept::{Begun, KeptKey, KeptReplies, Ticket, Weight};
use super::origin::{DatagramState, Origin, Way};
use super::outcome::Said;
use super::reassembly::{Reassembly, ReassemblyBounds, Taken};

/// Messages that are under way at one address beside the plain questions.
const UNDER_WAY_MAX: usize = 256;
/// Octets by which a short answer may be larger than its request: a digest of the request, if it is asked for.
const SHORT_EXTRA_BYTES: usize = 48;
/// Memory for replies that may have to be told again.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Memory for messages of which pieces are missing.
const REASSEMBLY: ReassemblyBounds =
    ReassemblyBounds { bytes_max: 16 * 1024 * 1024, source_bytes_max: 2 * 1024 * 1024 };

//----------- UdpSide --------------------------------------------------------

/// A bound socket, what its system can do, and what is remembered of its askers.
pub(super) struct UdpSide {
    socket: Arc<DatagramSocket>,
    local: SocketAddr,
    reassembly: Mutex<Reassembly>,
    kept: Arc<KeptReplies>,
    hasher: RandomState,
    under_way: Arc<Semaphore>,
}

/// A message put together: its envelope, its bytes, and how its answer travels.
struct Whole {
    envelope: Envelope,
    message: Bytes,
    asker: SocketAddr,
    own: Option<IpAddr>,
}

impl UdpSide {
    /// Takes a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let socket = DatagramSocket::new(socket)?;
        Ok(Self {
            local: socket.local_addr()?,
            socket: Arc::new(socket),
            reassembly: Mutex::new(Reassembly::new(REASSEMBLY)),
            kept: KeptReplies::new(KEPT_BYTES_MAX),
            hasher: RandomState::new(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY_MAX)),
        })
    }

    /// Starts the threads that answer datagrams.
    pub(super) fn start(
        self: &Arc<Self>,
        answerer: &Arc<Answerer>,
        draining: &Draining,
    ) -> io::Result<DatagramThreads> {
        let (side, answerer, held) = (Arc::clone(self), Arc::clone(answerer), draining.clone());
        DatagramThreads::start("handle-udp", Arc::clone(&self.socket), draining, move |datagrams| {
            Arc::clone(&side).answer_all(Arc::clone(&answerer), held.clone(), datagrams)
        })
    }

    async fn answer_all(
        self: Arc<Self>,
        answerer: Arc<Answerer>,
        draining: Draining,
        datagrams: Vec<Datagram>,
    ) {
        let messages: Vec<Whole> =
            datagrams.into_iter().filter_map(|datagram| self.put_together(&answerer, datagram)).collect();
        self.answer(&answerer, &draining, &messages).await;
    }

    /// Makes a message of a datagram, when it is one or the last piece of one.
    fn put_together(&self, answerer: &Answerer, datagram: Datagram) -> Option<Whole> {
        let Datagram { bytes, client: asker, own } = datagram;
        let Ok(piece) = Piece::decode(&bytes) else {
            count(&answerer.counters.dropped);
            return None;
        };
        let whole = |message| Whole { envelope: piece.envelope, message, asker, own };
        if piece.is_whole() {
            return Some(whole(bytes.slice_ref(piece.bytes)));
        }
        let mut reassembly = self.reassembly.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reassembly.lost();
        let taken = reassembly.take(asker, &piece, Instant::now());
        let lost = reassembly.lost() - before;
        drop(reassembly);
        answerer.counters.incomplete.fetch_add(lost, std::sync::atomic::Ordering::Relaxed);
        match taken {
            Taken::Whole(message) => Some(whole(message.into())),
            Taken::Waiting => None,
            Taken::Dropped => {
                count(&answerer.counters.dropped);
                None
            }
        }
    }

    async fn answer(self: &Arc<Self>, answerer: &Arc<Answerer>, draining: &Draining, batch: &[Whole]) {
        let received: Vec<Received<'_>> = batch.iter().map(Whole::received).collect();
        let answers = answerer.answer_plain(&received).await;
        for (whole, answer) in batch.iter().zip(answers) {
            count(&answerer.counters.udp_messages);
            match answer {
                Some(answer) => self.send(answerer, whole, &Outcome::light(&answer)).await,
                None => self.answer_apart(answerer, draining, whole).await,
            }
        }
    }

    /// Answers a message in a task of its own, unless it was answered before.
    async fn answer_apart(self: &Arc<Self>, answerer: &Arc<Answerer>, draining: &Draining, whole: &Whole) {
        let place = Arc::clone(&self.under_way).try_acquire_owned().ok();
        let begun = if Answerer::is_repeatable(&whole.received()) { None } else { Some(self.begin(whole)) };
        let (place, ticket) = match (place, begun) {
            (_, Some(Begun::Running)) => return count(&answerer.counters.repeated),
            (_, Some(Begun::Again(reply))) => {
                count(&answerer.counters.repeated);
                // What it reports may be a change: it is sent again or not at all.
                let outcome = Outcome { weight: Weight::Changed, ..Outcome::light(&reply) };
                return self.send(answerer, whole, &outcome).await;
            }
            (Some(place), None) => (place, None),
            (Some(place), Some(Begun::First(ticket))) => (place, Some(ticket)),
            (None, _) | (_, Some(Begun::Full)) => {
                count(&answerer.counters.busy);
                if let Some(answer) = answerer.refuse_busy(whole.received()) {
                    self.send(answerer, whole, &Outcome::light(&answer)).await;
                }
                return;
            }
        };
        let (side, answerer, whole) = (Arc::clone(self), Arc::clone(answerer), whole.copy());
        let draining = draining.clone();
        // The drain waits until the answer has been sent.
        tokio::spawn(async move {
            side.run(&answerer, &whole, ticket).await;
            drop((place, draining));
        });
    }

    fn begin(&self, whole: &Whole) -> Begun {
        let key = KeptKey {
            asker: whole.asker,
            session: whole.envelope.session,
            request: whole.envelope.request,
            content: self.hasher.hash_one(&whole.message),
        };
        self.kept.begin(key, Instant::now())
    }

    async fn run(&self, answerer: &Answerer, whole: &Whole, ticket: Option<Ticket>) {
        let own = whole.own.map_or(self.local, |own| SocketAddr::new(own, self.local.port()));
        let state = Arc::new(DatagramState::default());
        let way = Way::Datagrams(Arc::clone(&state));
        let origin = Origin { asker: whole.asker, own: Some(own), way, channel: Channel::Plain };
        let (answer, weight) = match answerer.answer(&origin, whole.received()).await {
            Said::Nothing => return count(&answerer.counters.dropped),
            Said::Message(answer, weight) => (answer, weight),
            Said::Last(answer) => (answer, Weight::Light),
            // A list that goes over datagrams is one message.
            Said::Stream(mut messages) => match messages.next(answerer).await {
                Some(answer) => (answer, Weight::Light),
                None => return,
            },
        };
        let answer: Arc<[u8]> = answer.into();
        if let Some(ticket) = ticket {
            ticket.finish(Arc::clone(&answer), weight, Instant::now());
        }
        self.send(answerer, whole, &Outcome { bytes: &answer, weight, proof: state.proof() }).await;
    }

    /// Sends an answer as far as the limit of its source allows.
    async fn send(&self, answerer: &Answerer, whole: &Whole, outcome: &Outcome<'_>) {
        let exchanged =
            Exchanged { request: carried(whole.message.len()), answer: carried(outcome.message().len()) };
        let client = whole.asker.ip();
        match answerer.rate_limit.decide(client, outcome.proof, exchanged, Instant::now()) {
            Verdict::Send => self.send_pieces(answerer, whole, outcome.bytes).await,
            Verdict::Slip if outcome.weight == Weight::Light => {
                count(&answerer.counters.withheld);
                let short = answerer.refuse_datagram(whole.received());
                let fits = |short: &Vec<u8>| short.len() <= exchanged.request + SHORT_EXTRA_BYTES;
                if let Some(short) = short.filter(fits) {
                    self.send_one(answerer, whole, &short).await;
                }
            }
            Verdict::Slip | Verdict::Drop => count(&answerer.counters.withheld),
        }
    }

    /// Sends a message, cut into datagrams.
    async fn send_pieces(&self, answerer: &Answerer, whole: &Whole, answer: &[u8]) {
        let Ok(envelope) = Envelope::decode(&mut Reader::new(answer)) else { return };
        let message = answer.get(ENVELOPE_BYTES..).unwrap_or_default();
        if message.len() <= PIECE_BYTES {
            self.send_one(answerer, whole, answer).await;
            return;
        }
        for packet in cut(&envelope, message) {
            self.send_one(answerer, whole, &packet).await;
        }
    }

    async fn send_one(&self, answerer: &Answerer, whole: &Whole, contents: &[u8]) {
        if let Err(error) = self.socket.send(whole.asker, whole.own, contents).await {
            count(&answerer.counters.unsent);
            tracing::debug!(%error, "sending an answer failed");
        }
    }
}

/// A message to be sent, and what decides whether it is.
struct Outcome<'a> {
    /// Its envelope, header, body and credential.
    bytes: &'a [u8],
    weight: Weight,
    proof: AddressProof,
}

impl<'a> Outcome<'a> {
    /// Of a request that changes nothing and proves nothing.
    fn light(bytes: &'a [u8]) -> Self {
        Self { bytes, weight: Weight::Light, proof: AddressProof::Missing }
    }

    fn message(&self) -> &[u8] {
        self.bytes.get(ENVELOPE_BYTES..).unwrap_or_default()
    }
}

/// Bytes of the datagrams that carry a message.
fn carried(message_bytes: usize) -> usize {
    message_bytes + message_bytes.div_ceil(PIECE_BYTES).max(1) * ENVELOPE_BYTES
}

impl Whole {
    fn received(&self) -> Received<'_> {
        Received { envelope: self.envelope, message: &self.message }
    }

    /// A copy with bytes of its own, so that a receive buffer is not held while it is answered.
    fn copy(&self) -> Self {
        Self { message: Bytes::copy_from_slice(&self.message), ..*self }
    }
}
