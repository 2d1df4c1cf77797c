//! Datagrams: each is one message. Every datagram of a burst is answered or counted.

use std::io;
use std::sync::Arc;

use crate::front::listen::datagram::threads::DatagramThreads;
use crate::front::listen::datagram::{Datagram, DatagramSocket};
use crate::front::listen::drain::Draining;
use crate::telemetry::count;

use super::answer::{Received, Responder};
use super::request::Transport;

/// A bound socket.
#[derive(Debug)]
pub(super) struct UdpSide {
    socket: Arc<DatagramSocket>,
}

impl UdpSide {
    /// Takes a bound socket.
    pub(super) fn new(socket: std::net::UdpSocket) -> io::Result<Self> {
        Ok(Self { socket: Arc::new(DatagramSocket::new(socket)?) })
    }

    /// Starts the threads that answer datagrams.
    pub(super) fn start(self, responder: Arc<Responder>, draining: &Draining) -> io::Result<DatagramThreads> {
        let socket = Arc::clone(&self.socket);
        DatagramThreads::start("dns-udp", self.socket, draining, move |datagrams| {
            answer(Arc::clone(&socket), Arc::clone(&responder), datagrams)
        })
    }
}

async fn answer(socket: Arc<DatagramSocket>, responder: Arc<Responder>, datagrams: Vec<Datagram>) {
    let messages: Vec<Received<'_>> = datagrams.iter().map(received).collect();
    let answers = responder.answer_batch(&messages, Transport::Udp).await;
    for (datagram, answer) in datagrams.iter().zip(answers) {
        let Some(contents) = answer else { continue };
        if let Err(error) = socket.send(datagram.client, datagram.own, &contents).await {
            count(&responder.counters().unsent);
            tracing::debug!(%error, "sending an answer failed");
        }
    }
}

fn received(datagram: &Datagram) -> Received<'_> {
    Received { bytes: &datagram.bytes, client: datagram.client.ip() }
}
