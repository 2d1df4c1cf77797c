//! The upper node: announcements of this node, and one stream of filings with its acknowledgements.
//!
//! The token is read from its file for each announcement, so that a new token needs no restart. It is never sent in
//! plain text to another machine unless the configuration allows it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use crate::model::environment::{Clock, Jitter};
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::position::Incarnation;
use crate::model::site::Site;
use crate::wire::proto;
use crate::wire::proto::federation_service_client::FederationServiceClient;

use super::error::PeerError;
use super::filing_message::{Acknowledged, Announced, FilingMessage};
use super::message;
use super::peer::{Endpoint, Peer, Transport, Trust, failure};

/// How long an announcement may take.
const ANNOUNCE_MAX: Duration = Duration::from_secs(10);
/// Messages of a stream that wait to be sent.
const WAITING_MAX: usize = 256;

//----------- Upper ----------------------------------------------------------

/// Settings of the upper node.
#[derive(Clone, Debug)]
pub struct UpperOptions {
    /// Address of the gRPC listener: `https://host:port`, or `http://host:port` for plain text.
    pub address: String,
    /// File that holds the peer token that the upper node issued; none when nothing is filed.
    pub token_file: Option<PathBuf>,
    /// PEM text of the authority that signed the upper node's certificate.
    pub authority: Option<Vec<u8>>,
    /// The name in the certificate, when it differs from the host in the address.
    pub tls_host_name: Option<String>,
    /// Whether the token may be sent in plain text to another machine.
    pub allow_token_in_plain_text: bool,
}

/// The upper node.
pub struct Upper {
    endpoint: Endpoint,
    trust: Trust,
    token_file: Option<PathBuf>,
    anonymous: Arc<Peer>,
}

impl Upper {
    pub(super) fn new(options: UpperOptions, clock: &Clock, jitter: &Jitter) -> Result<Self, PeerError> {
        let endpoint = Endpoint::parse(&options.address, options.tls_host_name.as_deref())?;
        let files = options.token_file.is_some();
        if files && endpoint.is_overheard() && !options.allow_token_in_plain_text {
            return Err(PeerError::Configured {
                peer: endpoint.name(),
                detail: "the token would travel in plain text; write https:// in upper.address, or set \
                         upper.allow_token_in_plain_text = true on a network that nobody can eavesdrop on"
                    .to_owned(),
            });
        }
        let trust = Trust { authorities: options.authority, key: "upper.tls_ca" };
        let channel = endpoint.channel(&trust)?;
        let anonymous = Arc::new(Peer::new(endpoint.name(), Transport::Grpc(channel), clock, jitter));
        Ok(Self { endpoint, trust, token_file: options.token_file, anonymous })
    }

    /// Returns the name for logs and messages.
    pub fn name(&self) -> String {
        self.endpoint.name()
    }

    /// Returns the same node, called without credentials.
    pub(super) fn anonymous(&self) -> &Arc<Peer> {
        &self.anonymous
    }

    /// Announces the site of this node, the incarnation of its store, and those that the store has had.
    pub async fn announce(
        &self,
        site: &Site,
        incarnation: Incarnation,
        lineage: &[Incarnation],
    ) -> Result<UpperConnection, PeerError> {
        let token = self.token().await?;
        // Each announcement opens a new connection, so that an upper node with a new address is found again.
        let channel = self.endpoint.channel(&self.trust)?;
        let mut connection =
            UpperConnection { name: self.name(), token, channel, announced: Announced::default() };
        let mut request = connection.request(message::announce(site, incarnation, lineage));
        request.set_timeout(ANNOUNCE_MAX);
        let answered = time::timeout(ANNOUNCE_MAX, connection.client().announce(request)).await;
        let answered = answered.map_err(|_| PeerError::DeadlinePassed { peer: self.name() })?;
        let response = answered.map_err(|status| failure(self.name(), &status))?.into_inner();
        connection.announced =
            message::announced(response).map_err(|detail| connection.unintelligible(detail))?;
        Ok(connection)
    }

    async fn token(&self) -> Result<MetadataValue<Ascii>, PeerError> {
        let path = self.token_file.clone().unwrap_or_default();
        let problem = |detail: String| PeerError::Token { peer: self.name(), path: path.clone(), detail };
        if self.token_file.is_none() {
            return Err(problem("no file is named in upper.token_file".to_owned()));
        }
        let text = tokio::fs::read_to_string(&path).await.map_err(|error| problem(error.to_string()))?;
        let header = format!("Bearer {}", text.trim());
        header.parse().map_err(|_| problem("it holds more than the one line of a token".to_owned()))
    }
}

//----------- UpperConnection -----------------------------------------------------------

/// A connection to an upper node that accepted the announcement of this node.
pub struct UpperConnection {
    name: String,
    token: MetadataValue<Ascii>,
    channel: Channel,
    announced: Announced,
}

impl UpperConnection {
    /// Returns the upper node's answer to the announcement.
    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    /// Opens a stream of filings.
    pub async fn file(&self) -> Result<(FilingSender, AcknowledgementReceiver), PeerError> {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let request = self.request(ReceiverStream::new(waiting));
        let opened = time::timeout(ANNOUNCE_MAX, self.client().file(request)).await;
        let opened = opened.map_err(|_| PeerError::DeadlinePassed { peer: self.name.clone() })?;
        let responses = opened.map_err(|status| failure(self.name.clone(), &status))?.into_inner();
        Ok((FilingSender { sender }, AcknowledgementReceiver { name: self.name.clone(), responses }))
    }

    fn client(&self) -> FederationServiceClient<Channel> {
        FederationServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.token.clone());
        request
    }

    fn unintelligible(&self, detail: String) -> PeerError {
        PeerError::Unintelligible { peer: self.name.clone(), detail }
    }
}

/// The sending half of a stream of filings.
pub struct FilingSender {
    sender: mpsc::Sender<proto::FileRequest>,
}

impl FilingSender {
    /// Sends a message; waits while the queue is full. Fails when the stream has ended: the receiving half
    /// has the cause.
    pub async fn send(&self, filed: FilingMessage) -> Result<(), StreamEnded> {
        self.sender.send(message::filing_message_of(filed)).await.map_err(|_| StreamEnded)
    }
}

/// The stream of filings has ended; its receiving half returns the cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamEnded;

/// The receiving half of a stream of filings.
pub struct AcknowledgementReceiver {
    name: String,
    responses: Streaming<proto::FileResponse>,
}

impl AcknowledgementReceiver {
    /// Waits for the next acknowledgement. Safe to drop.
    pub async fn next(&mut self) -> Result<Acknowledged, PeerError> {
        let peer = || self.name.clone();
        match self.responses.message().await {
            Ok(Some(message)) => message::acknowledged(message)
                .map_err(|detail| PeerError::Unintelligible { peer: peer(), detail }),
            Ok(None) => {
                let detail = "it ended the stream of filings".to_owned();
                Err(PeerError::Unreachable { peer: peer(), detail })
            }
            Err(status) => Err(failure(peer(), &status)),
        }
    }
}
