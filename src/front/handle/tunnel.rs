//! The tunnel: Handle messages that HTTP carries.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::front::listen::channel::Channel;
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};

use super::answer::Received;
use super::origin::{Origin, Transport};
use super::outcome::Outgoing;
use super::responder::Responder;

/// Bytes of the messages of one list; a longer list has to be requested over TCP.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Answers Handle messages that another front end carries.
#[derive(Clone)]
pub struct HandleTunnel(pub(super) Arc<Responder>);

/// Where a message came from before the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunneled {
    /// The address of the client.
    pub client: SocketAddr,
    /// The address of this node that was asked.
    pub own: SocketAddr,
    /// How its bytes travel.
    pub channel: Channel,
}

impl HandleTunnel {
    /// Answers an envelope and its message. The answer to a list is several messages, one after the other; the answer to
    /// bytes that are not a request is empty.
    pub async fn answer(&self, bytes: &[u8], from: Tunneled) -> Vec<u8> {
        let Ok(envelope) = Envelope::decode(&mut Reader::new(bytes)) else { return Vec::new() };
        let end = ENVELOPE_BYTES.saturating_add(envelope.message_length());
        let Some(message) = bytes.get(ENVELOPE_BYTES..end) else { return Vec::new() };
        let received = Received { envelope, message };
        let Tunneled { client, own, channel } = from;
        let origin = Origin { client, own: Some(own), transport: Transport::Tunnel, channel };
        if let Some(answer) = self.0.answer_plain(&[received]).await.into_iter().next().flatten() {
            return answer;
        }
        match self.0.answer(&origin, received).await {
            Outgoing::Nothing => Vec::new(),
            Outgoing::Message(answer, _) | Outgoing::Last(answer) => answer,
            Outgoing::List(mut messages) => {
                let mut answers = Vec::new();
                while let Some(message) = messages.next(&self.0).await {
                    answers.extend_from_slice(&message);
                    if answers.len() > LIST_BYTES_MAX {
                        return self.0.refuse_long(received).unwrap_or_default();
                    }
                }
                answers
            }
        }
    }
}
