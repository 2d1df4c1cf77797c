//! The tunnel: native messages that another door carries, such as HTTP.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::front::listen::channel::Channel;
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};

use super::answer::Received;
use super::answerer::Answerer;
use super::origin::{Origin, Way};
use super::outcome::Said;

/// Bytes of the messages of one list at most; a longer one is asked for on a connection.
const LIST_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where messages that came by another door are answered.
#[derive(Clone)]
pub struct HandleTunnel(pub(super) Arc<Answerer>);

/// Whence a message came through the tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tunneled {
    /// Who sent it.
    pub asker: SocketAddr,
    /// Where it reached the other door.
    pub own: SocketAddr,
    /// How its bytes travel.
    pub channel: Channel,
}

impl HandleTunnel {
    /// Answers an envelope and its message; several messages, one behind the other, are the answer to a list. Empty
    /// when the bytes are no request.
    pub async fn answer(&self, bytes: &[u8], from: Tunneled) -> Vec<u8> {
        let Ok(envelope) = Envelope::decode(&mut Reader::new(bytes)) else { return Vec::new() };
        let whole = ENVELOPE_BYTES.saturating_add(envelope.message_length());
        let Some(message) = bytes.get(ENVELOPE_BYTES..whole) else { return Vec::new() };
        let received = Received { envelope, message };
        let Tunneled { asker, own, channel } = from;
        let origin = Origin { asker, own: Some(own), way: Way::Tunnel, channel };
        if let Some(answer) = self.0.answer_plain(&[received]).await.into_iter().next().flatten() {
            return answer;
        }
        match self.0.answer(&origin, received).await {
            Said::Nothing => Vec::new(),
            Said::Message(answer, _) | Said::Last(answer) => answer,
            Said::Stream(mut messages) => {
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
