//! Datagrams: a message each, an answer each.
//!
//! Several tasks share one socket; each takes up to 32 buffers at once, answers them as one batch, and goes back.
//! Each datagram of a burst is answered or counted.

use std::io;
use std::sync::Arc;

use crate::front::listen::datagram::{Datagram, Datagrams};
use crate::front::listen::drain::Draining;

use super::answer::{Answerer, Received};
use super::counters::count;
use super::request::Transport;

/// Questions that are answered as one batch at most.
const BATCH_QUESTIONS_MAX: usize = 256;

//----------- UdpSide --------------------------------------------------------

/// A bound socket.
#[derive(Debug)]
pub(super) struct UdpSide {
    datagrams: Datagrams,
}

fn received(datagram: &Datagram) -> Received<'_> {
    Received { bytes: &datagram.bytes, asker: datagram.asker.ip() }
}

impl UdpSide {
    /// Takes a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self { datagrams: Datagrams::new(socket)? })
    }

    /// Answers datagrams until the drain begins; what was received by then is answered.
    pub(super) async fn serve(self: Arc<Self>, answerer: Arc<Answerer>, mut drain: Draining) {
        let mut buffers = Datagrams::buffers();
        loop {
            let datagrams = tokio::select! {
                biased;
                () = drain.begins() => return,
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
            for batch in datagrams.chunks(BATCH_QUESTIONS_MAX) {
                self.answer(&answerer, batch).await;
            }
        }
    }

    async fn answer(&self, answerer: &Answerer, batch: &[Datagram]) {
        let messages: Vec<Received<'_>> = batch.iter().map(received).collect();
        let answers = answerer.answer_batch(&messages, Transport::Udp).await;
        for (datagram, answer) in batch.iter().zip(answers) {
            let Some(contents) = answer else { continue };
            if let Err(error) = self.datagrams.send(datagram.asker, datagram.own, &contents).await {
                count(&answerer.counters().unsent);
                tracing::debug!(%error, "sending an answer failed");
            }
        }
    }
}
