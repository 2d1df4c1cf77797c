//! The upper node as filing sees it: announcing this node, and one stream of filings with its acknowledgements.
//!
//! The token is read from its file for each announcement, so that a new one needs no restart. It is never sent in plain
//! text beyond this machine unless the configuration says so.

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
use crate::model::identifier::Prefix;
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::position::{Incarnation, Position};
use crate::model::prefix::{Homing, Registrant, Standing};
use crate::model::site::Site;
use crate::wire::proto;
use crate::wire::proto::federation_service_client::FederationServiceClient;

use super::error::PeerError;
use super::message;
use super::peer::{Endpoint, Peer, Trust, failure};

/// How long an announcement may take.
const ANNOUNCE_MAX: Duration = Duration::from_secs(10);
/// Messages of a stream that wait to be sent.
const WAITING_MAX: usize = 256;

//----------- Upper ----------------------------------------------------------

/// What is known of the upper node.
#[derive(Clone, Debug)]
pub struct UpperOptions {
    /// Its gRPC door: `https://host:port`, or `http://host:port` for plain text.
    pub address: String,
    /// File that holds the peer token it gave us; none when nothing is filed.
    pub token_file: Option<PathBuf>,
    /// PEM text of the authority that signed its certificate.
    pub authority: Option<Vec<u8>>,
    /// The name its certificate carries, when the address does not.
    pub tls_host_name: Option<String>,
    /// Whether our token is sent over plain text beyond this machine.
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
                         upper.allow_token_in_plain_text = true on a network where nobody listens"
                    .to_owned(),
            });
        }
        let trust = Trust { authorities: options.authority, key: "upper.tls_ca" };
        let anonymous = Arc::new(Peer::new(endpoint.clone(), &trust, clock, jitter)?);
        Ok(Self { endpoint, trust, token_file: options.token_file, anonymous })
    }

    /// Its name for people.
    pub fn name(&self) -> String {
        self.endpoint.name()
    }

    /// The same node, asked as nobody in particular.
    pub(super) fn anonymous(&self) -> &Arc<Peer> {
        &self.anonymous
    }

    /// Announces where this node answers and which life of its store it lives.
    pub async fn announce(&self, site: &Site, incarnation: Incarnation) -> Result<Line, PeerError> {
        let token = self.token().await?;
        // A connection of its own, made anew each time: an upper node that moved is found again.
        let channel = self.endpoint.channel(&self.trust)?;
        let mut line = Line { name: self.name(), token, channel, announced: Announced::default() };
        let mut request = line.request(message::announce(site, incarnation));
        request.set_timeout(ANNOUNCE_MAX);
        let answered = time::timeout(ANNOUNCE_MAX, line.client().announce(request)).await;
        let answered = answered.map_err(|_| PeerError::DeadlinePassed { peer: self.name() })?;
        let response = answered.map_err(|status| failure(self.name(), &status))?.into_inner();
        line.announced = message::announced(response).map_err(|detail| line.unintelligible(detail))?;
        Ok(line)
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

/// What the upper node answers to an announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Its own incarnation.
    pub incarnation: Incarnation,
    /// The last place that it confirmed.
    pub bookmark: Option<Position>,
    /// Whether it wants the present state.
    pub resynchronize: bool,
    /// The prefixes that our token names: nothing else is to be filed.
    pub scope: Vec<Prefix>,
}

impl Default for Announced {
    fn default() -> Self {
        let incarnation = Incarnation([0; 16]);
        Self { incarnation, bookmark: None, resynchronize: false, scope: Vec::new() }
    }
}

//----------- Line -----------------------------------------------------------

/// A connection to an upper node that knows us.
pub struct Line {
    name: String,
    token: MetadataValue<Ascii>,
    channel: Channel,
    announced: Announced,
}

impl Line {
    /// What the upper node answered to our announcement.
    pub fn announced(&self) -> &Announced {
        &self.announced
    }

    /// Opens the stream of filings.
    pub async fn file(&self) -> Result<(Speaker, Listener), PeerError> {
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let request = self.request(ReceiverStream::new(waiting));
        let opened = time::timeout(ANNOUNCE_MAX, self.client().file(request)).await;
        let opened = opened.map_err(|_| PeerError::DeadlinePassed { peer: self.name.clone() })?;
        let responses = opened.map_err(|status| failure(self.name.clone(), &status))?.into_inner();
        Ok((Speaker { sender }, Listener { name: self.name.clone(), responses }))
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

/// One message to the upper node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Say {
    /// The present state follows, as of this place or later.
    Begin(Position),
    /// One prefix as it stands.
    Filed(Filed),
    /// The present state is complete.
    End(Position),
    /// Nothing more to file up to a place.
    Progress {
        /// The place.
        position: Position,
        /// Changes of identifiers since the last progress.
        identifier_changes: u64,
    },
}

/// One prefix as it stands here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filed {
    /// The prefix.
    pub prefix: Prefix,
    /// For whom it is registered.
    pub registrant: Option<Registrant>,
    /// Whether it may be used.
    pub standing: Standing,
    /// Who answers for it, as seen from here.
    pub homing: Homing,
    /// Where it changed in the journal.
    pub position: Position,
}

/// What the upper node acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// Everything up to here is on its disk; none while present state is filed.
    pub position: Option<Position>,
    /// Its own incarnation.
    pub incarnation: Incarnation,
    /// What it did not take.
    pub refused: Vec<Refused>,
}

/// A filing that the upper node did not take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The prefix.
    pub prefix: Prefix,
    /// The stable reason.
    pub code: String,
    /// The sentence.
    pub message: String,
}

/// The speaking end of a stream of filings.
pub struct Speaker {
    sender: mpsc::Sender<proto::FileRequest>,
}

impl Speaker {
    /// Sends a message; waits while too many wait before it. Fails when the stream is gone: the listener knows why.
    pub async fn say(&self, said: Say) -> Result<(), StreamGone> {
        self.sender.send(message::say(said)).await.map_err(|_| StreamGone)
    }
}

/// The stream is gone; its listening end tells why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamGone;

/// The listening end of a stream of filings.
pub struct Listener {
    name: String,
    responses: Streaming<proto::FileResponse>,
}

impl Listener {
    /// Waits for the next acknowledgement. Safe to drop between two.
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
