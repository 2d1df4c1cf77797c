//! Datagrams: pieces put together to messages, answers cut into pieces.
//!
//! ```text
//!   datagrams ─ reassembly ─▶ messages ─┬─ plain questions: one batch ─▶ answers ─ cut ─▶ datagrams
//!                                       └─ others: a task each, bounded
//! ```
//! An answer of several datagrams leaves only when its source's allowance pays for it.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::front::listen::channel::Channel;
use crate::front::listen::datagram::{Datagram, Datagrams};
use crate::front::listen::drain::Draining;
use crate::front::listen::source::Source;
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};
use crate::wire::handle::packet::{PIECE_BYTES, Piece, cut};

use super::allowance::Allowances;
use super::answer::{Answerer, Received, Said};
use super::counters::count;
use super::exchange::{Origin, Way};
use super::kept::{Begun, KeptKey, KeptReplies, Ticket, Weight};
use super::reassembly::{Reassembly, ReassemblyBounds, Taken};

/// Questions that are answered as one batch at most.
const BATCH_QUESTIONS_MAX: usize = 256;
/// Messages that are under way at one address beside the plain questions.
const UNDER_WAY_MAX: u32 = 1_024;
/// Memory for replies that may have to be told again.
const KEPT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Memory for messages of which pieces are missing.
const REASSEMBLY: ReassemblyBounds =
    ReassemblyBounds { bytes_max: 16 * 1024 * 1024, source_bytes_max: 2 * 1024 * 1024 };

//----------- UdpSide --------------------------------------------------------

/// A bound socket, what its system can do, and what is remembered of its askers.
pub(super) struct UdpSide {
    datagrams: Datagrams,
    local: SocketAddr,
    reassembly: Mutex<Reassembly>,
    allowances: Allowances,
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
        let datagrams = Datagrams::new(socket)?;
        Ok(Self {
            local: datagrams.local_addr()?,
            datagrams,
            reassembly: Mutex::new(Reassembly::new(REASSEMBLY)),
            allowances: Allowances::new(Instant::now()),
            kept: KeptReplies::new(KEPT_BYTES_MAX),
            hasher: RandomState::new(),
            under_way: Arc::new(Semaphore::new(usize::try_from(UNDER_WAY_MAX).unwrap_or(1))),
        })
    }

    /// Answers datagrams until the drain begins; what was received by then is answered.
    pub(super) async fn serve(self: Arc<Self>, answerer: Arc<Answerer>, mut drain: Draining) {
        let mut buffers = Datagrams::buffers();
        loop {
            let datagrams = tokio::select! {
                biased;
                () = drain.begins() => break,
                received = self.datagrams.receive(&mut buffers) => match received {
                    Ok(datagrams) => datagrams,
                    // An asker that went away shows up as an error of our socket; the next read is unharmed.
                    Err(error) => {
                        tracing::debug!(%error, "receiving datagrams failed");
                        tokio::task::yield_now().await;
                        continue;
                    }
                },
            };
            let messages: Vec<Whole> =
                datagrams.into_iter().filter_map(|datagram| self.put_together(&answerer, datagram)).collect();
            for batch in messages.chunks(BATCH_QUESTIONS_MAX) {
                self.answer(&answerer, batch).await;
            }
        }
        // Every place is free again when nothing is under way.
        let _all_done = self.under_way.acquire_many(UNDER_WAY_MAX).await;
    }

    /// Makes a message of a datagram, when it is one or the last piece of one.
    fn put_together(&self, answerer: &Answerer, datagram: Datagram) -> Option<Whole> {
        let Datagram { bytes, asker, own } = datagram;
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

    async fn answer(self: &Arc<Self>, answerer: &Arc<Answerer>, batch: &[Whole]) {
        let received: Vec<Received<'_>> = batch.iter().map(Whole::received).collect();
        let answers = answerer.answer_plain(&received).await;
        for (whole, answer) in batch.iter().zip(answers) {
            count(&answerer.counters.udp_messages);
            match answer {
                Some(answer) => self.send(answerer, whole, &answer).await,
                None => self.answer_apart(answerer, whole).await,
            }
        }
    }

    /// Answers a message in a task of its own, unless it was answered before.
    async fn answer_apart(self: &Arc<Self>, answerer: &Arc<Answerer>, whole: &Whole) {
        let place = Arc::clone(&self.under_way).try_acquire_owned().ok();
        let begun = if Answerer::is_repeatable(&whole.received()) { None } else { Some(self.begin(whole)) };
        let (place, ticket) = match (place, begun) {
            (_, Some(Begun::Running)) => return count(&answerer.counters.repeated),
            (_, Some(Begun::Again(reply))) => {
                count(&answerer.counters.repeated);
                return self.send(answerer, whole, &reply).await;
            }
            (Some(place), None) => (place, None),
            (Some(place), Some(Begun::First(ticket))) => (place, Some(ticket)),
            (None, _) | (_, Some(Begun::Full)) => {
                count(&answerer.counters.busy);
                if let Some(answer) = answerer.refuse_busy(whole.received()) {
                    self.send(answerer, whole, &answer).await;
                }
                return;
            }
        };
        let (side, answerer, whole) = (Arc::clone(self), Arc::clone(answerer), whole.copy());
        // The place is given back when the answer was sent; the drain waits for all of them.
        tokio::spawn(async move {
            side.run(&answerer, &whole, ticket).await;
            drop(place);
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
        let origin =
            Origin { asker: whole.asker, own: Some(own), way: Way::Datagrams, channel: Channel::Plain };
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
        self.send(answerer, whole, &answer).await;
    }

    /// Sends an answer, cut into datagrams, when its source's allowance pays for it.
    async fn send(&self, answerer: &Answerer, whole: &Whole, answer: &[u8]) {
        let sent = whole.message.len() + ENVELOPE_BYTES;
        if !self.allowances.allows(Source::of(whole.asker.ip()), sent, answer.len(), Instant::now()) {
            count(&answerer.counters.withheld);
            return;
        }
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
        if let Err(error) = self.datagrams.send(whole.asker, whole.own, contents).await {
            count(&answerer.counters.unsent);
            tracing::debug!(%error, "sending an answer failed");
        }
    }
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
