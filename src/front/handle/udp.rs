//! Datagrams: pieces are reassembled into messages, answers are divided into pieces.
//!
//! ```text
//!   datagrams ─ reassembly ─▶ messages ─┬─ plain questions: one batch ─▶ answers ─ cut ─▶ datagrams
//!                                       └─ others: a task each, bounded
//! ```
//! An answer leaves only within the limit of its source (`listen::udp_rate_limit`). Beyond it a short answer leads the client
//! to TCP, at most 48 octets larger than the request. An answer that reports a change is sent in any case: its client has to
//! learn what was done, and would run the request again over TCP.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::front::listen::bounds::{HANDLE_PIECES, HANDLE_REPLIES};
use crate::front::listen::channel::Channel;
use crate::front::listen::datagram::threads::DatagramThreads;
use crate::front::listen::datagram::{Datagram, DatagramSocket};
use crate::front::listen::drain::Draining;
use crate::front::listen::udp_rate_limit::{AddressProof, Exchanged, UdpDecision};
use crate::telemetry::{bug, count};
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};
use crate::wire::handle::packet::{PIECE_BYTES, Piece, cut};

use super::answer::Received;
use super::origin::{DatagramState, Origin, Transport};
use super::outcome::Outgoing;
use super::reassembly::{Reassembly, Taken};
use super::reply_cache::{Admission, Effect, ReplyCache, ReplyKey, Ticket};
use super::responder::Responder;

/// Messages in flight at one address, besides plain questions.
const IN_FLIGHT_MAX: usize = 256;
/// Octets by which a short answer may be larger than its request: a digest of the request, if it is asked for.
const SHORT_EXTRA_BYTES: usize = 48;

//----------- UdpSide --------------------------------------------------------

/// A bound socket, and what is remembered of its clients.
pub(super) struct UdpSide {
    socket: Arc<DatagramSocket>,
    local: SocketAddr,
    reassembly: Mutex<Reassembly>,
    replies: Arc<ReplyCache>,
    hasher: RandomState,
    in_flight: Arc<Semaphore>,
}

/// A complete message, and the addresses for its answer.
struct Whole {
    envelope: Envelope,
    message: Bytes,
    client: SocketAddr,
    own: Option<IpAddr>,
}

impl UdpSide {
    /// Makes a server of a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        let socket = DatagramSocket::new(socket)?;
        Ok(Self {
            local: socket.local_addr()?,
            socket: Arc::new(socket),
            reassembly: Mutex::new(Reassembly::new(HANDLE_PIECES)),
            replies: ReplyCache::new(HANDLE_REPLIES),
            hasher: RandomState::new(),
            in_flight: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
        })
    }

    /// Starts the threads that answer datagrams.
    pub(super) fn start(
        self: &Arc<Self>,
        responder: &Arc<Responder>,
        draining: &Draining,
    ) -> io::Result<DatagramThreads> {
        let (side, responder, held) = (Arc::clone(self), Arc::clone(responder), draining.clone());
        DatagramThreads::start("handle-udp", Arc::clone(&self.socket), draining, move |datagrams| {
            Arc::clone(&side).answer_all(Arc::clone(&responder), held.clone(), datagrams)
        })
    }

    async fn answer_all(
        self: Arc<Self>,
        responder: Arc<Responder>,
        draining: Draining,
        datagrams: Vec<Datagram>,
    ) {
        let messages: Vec<Whole> =
            datagrams.into_iter().filter_map(|datagram| self.reassemble(&responder, datagram)).collect();
        self.answer(&responder, &draining, &messages).await;
    }

    /// The message of a datagram, if the datagram is a message or completes one.
    fn reassemble(&self, responder: &Responder, datagram: Datagram) -> Option<Whole> {
        let Datagram { bytes, client, own } = datagram;
        let Ok(piece) = Piece::decode(&bytes) else {
            count(&responder.counters.dropped);
            return None;
        };
        let whole = |message| Whole { envelope: piece.envelope, message, client, own };
        if piece.is_whole() {
            return Some(whole(bytes.slice_ref(piece.bytes)));
        }
        let mut reassembly = self.reassembly.lock().unwrap_or_else(PoisonError::into_inner);
        let before = reassembly.lost();
        let source = responder.exemptions.source_of(client.ip());
        let taken = reassembly.take(client, source, &piece, Instant::now());
        let lost = reassembly.lost() - before;
        drop(reassembly);
        responder.counters.incomplete.fetch_add(lost, std::sync::atomic::Ordering::Relaxed);
        match taken {
            Taken::Whole(message) => Some(whole(message.into())),
            Taken::Waiting => None,
            Taken::Dropped => {
                count(&responder.counters.dropped);
                None
            }
        }
    }

    async fn answer(self: &Arc<Self>, responder: &Arc<Responder>, draining: &Draining, batch: &[Whole]) {
        let received: Vec<Received<'_>> = batch.iter().map(Whole::received).collect();
        let answers = responder.answer_plain(&received).await;
        for (whole, answer) in batch.iter().zip(answers) {
            count(&responder.counters.udp_messages);
            match answer {
                Some(answer) => self.send(responder, whole, &Outcome::light(&answer)).await,
                None => self.answer_apart(responder, draining, whole).await,
            }
        }
    }

    /// Answers a message in a separate task, unless it was answered before.
    async fn answer_apart(self: &Arc<Self>, responder: &Arc<Responder>, draining: &Draining, whole: &Whole) {
        let slot = Arc::clone(&self.in_flight).try_acquire_owned().ok();
        let admission = if Responder::is_repeatable(&whole.received()) {
            None
        } else {
            Some(self.begin(responder, whole))
        };
        let (slot, ticket) = match (slot, admission) {
            (_, Some(Admission::InFlight)) => return count(&responder.counters.repeated),
            (_, Some(Admission::Repeated(reply, effect))) => {
                count(&responder.counters.repeated);
                let outcome = Outcome { effect, ..Outcome::light(&reply) };
                return self.send(responder, whole, &outcome).await;
            }
            (Some(slot), None) => (slot, None),
            (Some(slot), Some(Admission::First(ticket))) => (slot, Some(ticket)),
            (None, _) | (_, Some(Admission::Full)) => {
                count(&responder.counters.busy);
                if let Some(answer) = responder.refuse_busy(whole.received()) {
                    self.send(responder, whole, &Outcome::light(&answer)).await;
                }
                return;
            }
        };
        let (side, responder, whole) = (Arc::clone(self), Arc::clone(responder), whole.copy());
        let draining = draining.clone();
        // The drain waits until the answer has been sent.
        tokio::spawn(async move {
            side.run(&responder, &whole, ticket).await;
            drop((slot, draining));
        });
    }

    fn begin(&self, responder: &Responder, whole: &Whole) -> Admission {
        let key = ReplyKey {
            client: whole.client,
            session: whole.envelope.session,
            request: whole.envelope.request,
            content: self.hasher.hash_one(&whole.message),
        };
        self.replies.begin(key, responder.exemptions.source_of(whole.client.ip()), Instant::now())
    }

    async fn run(&self, responder: &Responder, whole: &Whole, ticket: Option<Ticket>) {
        let own = whole.own.map_or(self.local, |own| SocketAddr::new(own, self.local.port()));
        let state = Arc::new(DatagramState::default());
        let transport = Transport::Datagrams(Arc::clone(&state));
        let source = responder.exemptions.source_of(whole.client.ip());
        let origin =
            Origin { client: whole.client, source, own: Some(own), transport, channel: Channel::Plain };
        let (answer, effect) = match responder.answer(&origin, whole.received()).await {
            Outgoing::Nothing => return count(&responder.counters.dropped),
            Outgoing::Message(answer, effect) => (answer, effect),
            Outgoing::Last(answer) => (answer, Effect::None),
            // Over datagrams, a list is a single message.
            Outgoing::List(mut messages) => match messages.next(responder).await {
                Some(answer) => (answer, Effect::None),
                None => return,
            },
        };
        let answer: Arc<[u8]> = answer.into();
        if let Some(ticket) = ticket {
            ticket.finish(Arc::clone(&answer), effect, Instant::now());
        }
        self.send(responder, whole, &Outcome { bytes: &answer, effect, proof: state.proof() }).await;
    }

    /// Sends an answer, within the limit of its source. The outcome of a change is sent beyond the limit too: only a caller
    /// who has proved an identity or holds a session changes anything, and the reply is short.
    async fn send(&self, responder: &Responder, whole: &Whole, outcome: &Outcome<'_>) {
        let exchanged =
            Exchanged { request: carried(whole.message.len()), answer: carried(outcome.message().len()) };
        let (client, limit) = (whole.client.ip(), &responder.rate_limit);
        let verdict = match outcome.effect {
            Effect::Changed => limit.send_always(),
            Effect::None => limit.decide(client, outcome.proof, exchanged, Instant::now()),
        };
        match verdict {
            UdpDecision::Send => self.send_pieces(responder, whole, outcome.bytes).await,
            UdpDecision::Slip => {
                count(&responder.counters.withheld);
                let short = responder.refuse_datagram(whole.received());
                let fits = |short: &Vec<u8>| short.len() <= exchanged.request + SHORT_EXTRA_BYTES;
                if let Some(short) = short.filter(fits) {
                    self.send_one(responder, whole, &short).await;
                }
            }
            UdpDecision::Drop => count(&responder.counters.withheld),
        }
    }

    /// Sends a message, cut into datagrams.
    async fn send_pieces(&self, responder: &Responder, whole: &Whole, answer: &[u8]) {
        let Ok(envelope) = Envelope::decode(&mut Reader::new(answer)) else {
            // Nothing can be sent; the client asks again.
            let _logged = bug("an answer begins with an envelope");
            return;
        };
        let message = answer.get(ENVELOPE_BYTES..).unwrap_or_default();
        if message.len() <= PIECE_BYTES {
            self.send_one(responder, whole, answer).await;
            return;
        }
        for packet in cut(&envelope, message) {
            self.send_one(responder, whole, &packet).await;
        }
    }

    async fn send_one(&self, responder: &Responder, whole: &Whole, contents: &[u8]) {
        if let Err(error) = self.socket.send(whole.client, whole.own, contents).await {
            count(&responder.counters.unsent);
            tracing::debug!(%error, "sending an answer failed");
        }
    }
}

/// A message to send, with what its limit depends on.
struct Outcome<'a> {
    /// The message: envelope, header, body and credential.
    bytes: &'a [u8],
    effect: Effect,
    proof: AddressProof,
}

impl<'a> Outcome<'a> {
    /// The answer to a request that changed nothing and proved nothing.
    fn light(bytes: &'a [u8]) -> Self {
        Self { bytes, effect: Effect::None, proof: AddressProof::Missing }
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

    /// A copy that does not keep the receive buffer while the message is answered.
    fn copy(&self) -> Self {
        Self { message: Bytes::copy_from_slice(&self.message), ..*self }
    }
}
