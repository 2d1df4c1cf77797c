//! The tunnel: Handle messages that HTTP carries.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::Instant;

use crate::front::listen::budget::MemoryGrant;
use crate::front::listen::channel::Channel;
use crate::telemetry::count;
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};

use super::answer::Received;
use super::list::Stream as ListStream;
use super::origin::{Origin, Transport};
use super::outcome::Outgoing;
use super::responder::Responder;

/// Bytes of the messages of one list; a longer list has to be requested over TCP.
const LIST_BYTES_MAX: usize = 8 * 1024 * 1024;

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
    /// Whether the client's connection is plain text or TLS.
    pub channel: Channel,
    /// When the answer has to be there.
    pub deadline: Instant,
}

impl HandleTunnel {
    /// Answers an envelope and its message. The answer to a list is several messages, one after the other; the answer to
    /// bytes that are not a request is empty. The memory is what the message takes; a list takes more of it as it grows, and
    /// is refused as too busy when there is none.
    pub async fn answer(&self, bytes: &[u8], from: Tunneled, memory: MemoryGrant) -> Vec<u8> {
        let Ok(envelope) = Envelope::decode(&mut Reader::new(bytes)) else { return Vec::new() };
        let end = ENVELOPE_BYTES.saturating_add(envelope.message_length());
        let Some(message) = bytes.get(ENVELOPE_BYTES..end) else { return Vec::new() };
        let received = Received { envelope, message };
        let Tunneled { client, own, channel, deadline } = from;
        let source = self.0.exemptions.source_of(client.ip());
        let origin =
            Origin { client, source, own: Some(own), transport: Transport::Tunnel(deadline), channel };
        if let Some(answer) = self.0.answer_plain(&[received]).await.into_iter().next().flatten() {
            return answer;
        }
        match self.0.answer(&origin, received).await {
            Outgoing::Nothing => Vec::new(),
            Outgoing::Message(answer, _) | Outgoing::Last(answer) => answer,
            Outgoing::List(messages) => {
                let list = List { held: bytes.len(), memory, bytes: Vec::new() };
                self.collect(received, *messages, list).await
            }
        }
    }

    /// The messages of a list, or the refusal of a list that is too long or finds no memory.
    async fn collect(&self, asked: Received<'_>, mut messages: ListStream, mut list: List) -> Vec<u8> {
        while let Some(message) = messages.next(&self.0).await {
            let refusal = match list.add(&message) {
                Ok(()) => continue,
                Err(Uncollected::TooLong) => self.0.refuse_long(asked),
                Err(Uncollected::NoMemory) => {
                    count(&self.0.counters.busy);
                    self.0.refuse_busy(asked)
                }
            };
            return refusal.unwrap_or_else(|| self.0.refuse_unread(&asked.envelope));
        }
        list.bytes
    }
}

//----------- List -----------------------------------------------------------

/// The messages of a list that were made.
struct List {
    /// Bytes that the request takes.
    held: usize,
    memory: MemoryGrant,
    bytes: Vec<u8>,
}

/// Why a message is not added to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uncollected {
    TooLong,
    NoMemory,
}

impl List {
    fn add(&mut self, message: &[u8]) -> Result<(), Uncollected> {
        let whole = self.bytes.len() + message.len();
        if whole > LIST_BYTES_MAX {
            return Err(Uncollected::TooLong);
        }
        self.memory.resize(self.held + whole).map_err(|_| Uncollected::NoMemory)?;
        self.bytes.extend_from_slice(message);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{LIST_BYTES_MAX, List, Uncollected};
    use crate::front::listen::budget::{Holder, MemoryBudget, MemoryLimits};

    #[test]
    fn a_list_takes_memory_before_it_grows_and_has_an_end() {
        let limit = LIST_BYTES_MAX + 100;
        let limits = MemoryLimits { total: limit, source: limit, connection: limit };
        let budget = MemoryBudget::new(limits);
        let holder = Holder::of(([127, 0, 0, 1], 80).into());
        let list = |held| List { held, memory: budget.take(holder, held).expect("free"), bytes: Vec::new() };
        let half = vec![0; LIST_BYTES_MAX / 2];
        let mut long = list(100);
        assert_eq!(
            [&half, &half, &vec![0]].map(|message| long.add(message)),
            [Ok(()), Ok(()), Err(Uncollected::TooLong)]
        );
        assert_eq!(budget.bytes_in_use(), limit as u64);
        drop(long);
        let mut large = list(101);
        assert_eq!([&half, &half].map(|message| large.add(message)), [Ok(()), Err(Uncollected::NoMemory)]);
        assert_eq!(large.bytes.len(), half.len());
    }
}
