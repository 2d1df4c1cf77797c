//! A client of the Handle protocol: asks the Handle server of a site one question over a connection of its own, as that
//! protocol's servers expect.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{Instant, timeout, timeout_at};

use crate::key::PublicKey;
use crate::model::environment::{Clock, Jitter};
use crate::wire::cursor::Reader;
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};

use super::error::PeerError;
use super::handle_question::{HandleRequest, HandleResponse};
use super::networks::AllowedNetworks;
use super::peer::CONNECT_MAX;
use super::question::{PeerAnswer, PeerQuestion};

//----------- HandleEndpoint -------------------------------------------------

/// Address of the Handle server of a site, and the key that it signs with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct HandleEndpoint {
    /// The address.
    pub(super) address: SocketAddr,
    /// The key, as HS_PUBKEY data; none where it is not known; then answers are accepted without a signature.
    pub(super) public_key: Option<Box<[u8]>>,
}

//----------- HandleClient ---------------------------------------------------

/// What all clients of the Handle protocol share.
#[derive(Clone)]
pub(super) struct HandleSetup {
    /// The networks in which sites are contacted.
    pub(super) networks: AllowedNetworks,
    /// Signatures that are verified at a time.
    pub(super) verifications: Arc<Semaphore>,
    /// Source of the current time.
    pub(super) clock: Clock,
    /// Source of the numbers of requests, which others should not guess.
    pub(super) jitter: Jitter,
}

/// Asks one Handle server.
pub(super) struct HandleClient {
    address: SocketAddr,
    key: Option<Arc<PublicKey>>,
    setup: HandleSetup,
}

impl HandleClient {
    /// A client of a server; fails when the key of the site cannot be read, since its answers could not be verified.
    pub(super) fn new(endpoint: &HandleEndpoint, setup: HandleSetup) -> Result<Self, PeerError> {
        let key = endpoint.public_key.as_deref().map(PublicKey::decode).transpose();
        let key = key.map_err(|error| PeerError::Configured {
            peer: endpoint.address.to_string(),
            detail: format!("the public key of its site cannot be used: {error}"),
        })?;
        Ok(Self { address: endpoint.address, key: key.map(Arc::new), setup })
    }

    /// Asks a question; ends by the deadline. Safe to drop.
    pub(super) async fn ask(&self, asked: &PeerQuestion, deadline: Instant) -> Result<PeerAnswer, PeerError> {
        let peer = || self.address.to_string();
        let [_, _, _, _, a, b, c, d] = (self.setup.jitter)().to_be_bytes();
        let request = HandleRequest::new(asked, u32::from_be_bytes([a, b, c, d]), (self.setup.clock)());
        let response = timeout_at(deadline, self.exchange(&request.encode())).await;
        let response = response.map_err(|_| PeerError::DeadlinePassed { peer: peer() })?;
        let response =
            response.map_err(|error| PeerError::Unreachable { peer: peer(), detail: error.to_string() })?;
        let Some(key) = &self.key else {
            return request.answer(&response, None).map_err(|flaw| flaw.of(peer()));
        };
        let key = Arc::clone(key);
        let verify = move || request.answer(&response, Some(&key));
        let verified = timeout_at(deadline, compute(Arc::clone(&self.setup.verifications), verify)).await;
        let verified = verified.map_err(|_| PeerError::DeadlinePassed { peer: peer() })?;
        let broken = |error: JoinError| PeerError::Unreachable { peer: peer(), detail: error.to_string() };
        verified.map_err(broken)?.map_err(|flaw| flaw.of(peer()))
    }

    /// Sends a request and receives the response, which is one message. Its length is bounded by the envelope's decoder.
    async fn exchange(&self, request: &[u8]) -> io::Result<HandleResponse> {
        let connected = timeout(CONNECT_MAX, self.setup.networks.connect(self.address)).await;
        let mut stream = connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        stream.write_all(request).await?;
        let mut head = [0; ENVELOPE_BYTES];
        stream.read_exact(&mut head).await?;
        let envelope = Envelope::decode(&mut Reader::new(&head))
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))?;
        let mut message = Vec::new();
        let length = u64::from(envelope.message_bytes);
        // Memory grows with what arrives, not with what is announced.
        if stream.take(length).read_to_end(&mut message).await? != envelope.message_length() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(HandleResponse { envelope, message })
    }
}

/// Verifies a signature, when there is a permit for it. That takes up to some milliseconds, for which no other task should
/// wait.
async fn compute<T: Send + 'static>(
    permits: Arc<Semaphore>,
    verify: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let permit = permits.acquire_owned().await;
    // The computation goes on when its question has ended, and so the permit is its own.
    let computation = move || {
        let verified = verify();
        drop(permit);
        verified
    };
    spawn_blocking(computation).await
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use tokio::sync::{Semaphore, oneshot};
    use tokio::time::timeout;

    use super::compute;

    /// A question that has ended by its deadline leaves its verification behind, which computes on.
    #[tokio::test]
    async fn a_verification_has_its_permit_until_it_has_ended() {
        let permits = Arc::new(Semaphore::new(1));
        let (begun, has_begun) = oneshot::channel();
        let (end, is_ended) = mpsc::channel::<()>();
        let verify = move || {
            begun.send(()).expect("the test waits");
            is_ended.recv()
        };
        tokio::select! {
            _ = compute(Arc::clone(&permits), verify) => panic!("it has not ended"),
            begun = has_begun => begun.expect("it began"),
        }
        assert_eq!(permits.available_permits(), 0, "it computes on");
        end.send(()).expect("it computes");
        let free = timeout(Duration::from_secs(60), permits.acquire()).await;
        let _free = free.expect("the permit is given back").expect("the semaphore is open");
    }
}
