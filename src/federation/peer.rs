//! One other node at one address: connections, questions, and the pause after failures.
//!
//! ```text
//!   site ─▶ Access: its gRPC listener at each address, else its Handle server ─▶ Peer.ask
//! ```
//! A connection is opened when it is first needed, and again after it broke. TLS is used for every site that has a host
//! name; only the certificate authorities that the configuration names are trusted.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{self, Instant};
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::model::environment::{Clock, Jitter};
use crate::model::limits::MESSAGE_BYTES_MAX;
use crate::model::site::Site;
use crate::telemetry::count;
use crate::wire::proto::resolution_service_client::ResolutionServiceClient;

use super::backoff::Breaker;
use super::counters::FederationCounters;
use super::error::PeerError;
use super::handle_client::{HandleClient, HandleEndpoint};
use super::message;
use super::networks::AllowedNetworks;
use super::question::{PeerAnswer, PeerQuestion};

/// How long connecting may take.
pub(super) const CONNECT_MAX: Duration = Duration::from_millis(1_500);
/// How long a connection in use may be silent before an HTTP/2 ping is sent.
const SILENCE_MAX: Duration = Duration::from_secs(20);
/// How long the answer to an HTTP/2 ping may take.
const PING_MAX: Duration = Duration::from_secs(10);
/// Milliseconds between two lines of the log about one node that gives no answer.
const REPORT_EVERY_MS: u64 = 30_000;

//----------- Endpoint -------------------------------------------------------

/// Address of a node's gRPC listener, and the name to verify with TLS.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Host and port, as in a URL.
    authority: String,
    /// Name in the peer's certificate; none for plain text.
    tls_name: Option<String>,
    /// Address of a delegated site; none for an address that the configuration states.
    site_address: Option<SocketAddr>,
}

impl Endpoint {
    /// Returns the endpoints at all addresses of a site, the preferred first; none where it offers no gRPC.
    fn of_site(site: &Site) -> Vec<Self> {
        let Some(port) = site.ports().grpc else {
            return Vec::new();
        };
        let endpoint = |address: &IpAddr| {
            let address = SocketAddr::new(*address, port);
            let tls_name = site.host_name().map(str::to_owned);
            Self { authority: address.to_string(), tls_name, site_address: Some(address) }
        };
        site.addresses().iter().map(endpoint).collect()
    }

    /// Parses `https://host:port` or `http://host:port`. `tls_name` is the name in the certificate when it is not
    /// the host.
    pub(super) fn parse(url: &str, tls_name: Option<&str>) -> Result<Self, PeerError> {
        let wrong = || PeerError::Configured {
            peer: url.to_owned(),
            detail: "write https://host:port, or http://host:port for plain text".to_owned(),
        };
        let (scheme, authority) = url.trim_end_matches('/').split_once("://").ok_or_else(wrong)?;
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port != 0);
        if host.is_empty() || !is_port {
            return Err(wrong());
        }
        let tls_name = match scheme {
            "https" => Some(tls_name.unwrap_or_else(|| bare(host)).to_owned()),
            "http" => None,
            _ => return Err(wrong()),
        };
        Ok(Self { authority: authority.to_owned(), tls_name, site_address: None })
    }

    /// Returns whether the traffic can be read in transit: plain text to another machine.
    pub(super) fn is_overheard(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or("", |(host, _)| bare(host));
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
        self.tls_name.is_none() && !is_here
    }

    /// Returns the name for logs and messages.
    pub(super) fn name(&self) -> String {
        match &self.tls_name {
            Some(name) if !self.authority.starts_with(name.as_str()) => {
                format!("{name} ({})", self.authority)
            }
            _ => self.authority.clone(),
        }
    }

    /// Returns a channel that connects when it is first used, wherever the address is.
    pub(super) fn channel(&self, trust: &Trust) -> Result<Channel, PeerError> {
        Ok(self.transport(trust)?.connect_lazy())
    }

    /// Returns a channel that connects when it is first used; to a delegated site only within these networks.
    pub(super) fn channel_within(
        &self,
        networks: &AllowedNetworks,
        trust: &Trust,
    ) -> Result<Channel, PeerError> {
        let transport = self.transport(trust)?;
        let connector =
            self.site_address.map(|address| SiteConnector { address, networks: networks.clone() });
        Ok(match connector {
            Some(connector) => transport.connect_with_connector_lazy(connector),
            None => transport.connect_lazy(),
        })
    }

    fn transport(&self, trust: &Trust) -> Result<tonic::transport::Endpoint, PeerError> {
        let configured = |detail: String| PeerError::Configured { peer: self.name(), detail };
        let scheme = if self.tls_name.is_some() { "https" } else { "http" };
        let endpoint = tonic::transport::Endpoint::from_shared(format!("{scheme}://{}", self.authority))
            .map_err(|error| configured(error_text(&error)))?
            .connect_timeout(CONNECT_MAX)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(SILENCE_MAX)
            .keep_alive_timeout(PING_MAX);
        let Some(tls_name) = &self.tls_name else {
            return Ok(endpoint);
        };
        let Some(authorities) = &trust.authorities else {
            return Err(PeerError::NoAuthority { peer: self.name(), key: trust.key });
        };
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authorities))
            .domain_name(tls_name.clone());
        endpoint.tls_config(tls).map_err(|error| configured(error_text(&error)))
    }
}

/// Connects to one address of a delegated site, within the allowed networks.
struct SiteConnector {
    address: SocketAddr,
    networks: AllowedNetworks,
}

impl Service<Uri> for SiteConnector {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<TcpStream>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (networks, address) = (self.networks.clone(), self.address);
        async move { networks.connect(address).await.map(TokioIo::new) }.boxed()
    }
}

/// The certificate authorities that are trusted.
#[derive(Clone, Debug)]
pub(super) struct Trust {
    /// PEM text of the certificate authorities.
    pub(super) authorities: Option<Vec<u8>>,
    /// Configuration key that names the file of certificates.
    pub(super) key: &'static str,
}

/// Returns a host without the brackets of an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// Returns a site's name for logs and messages.
pub(super) fn name_of(site: &Site) -> String {
    let address = site.addresses().first().map(ToString::to_string).unwrap_or_default();
    match (site.host_name(), site.ports().grpc) {
        (Some(name), Some(port)) => format!("{name}:{port}"),
        (Some(name), None) => name.to_owned(),
        (None, Some(port)) => format!("{address}:{port}"),
        (None, None) => address,
    }
}

//----------- Access ---------------------------------------------------------

/// One way to ask a site.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Access {
    /// Over gRPC.
    Grpc(Endpoint),
    /// Over the Handle protocol.
    Handle(HandleEndpoint),
}

impl Access {
    /// Returns the ways to ask a site, the preferred first.
    ///
    /// A site with gRPC and a host name is asked by TLS. The Handle protocol takes its place only if the key of the site is
    /// known, since an attacker who blocks gRPC could otherwise forge the answers.
    pub(super) fn of_site(site: &Site) -> Vec<Self> {
        let mut accesses: Vec<Self> = Endpoint::of_site(site).into_iter().map(Self::Grpc).collect();
        let is_as_safe = accesses.is_empty() || site.host_name().is_none() || site.public_key().is_some();
        if let Some(port) = site.ports().handle.filter(|_| is_as_safe) {
            let endpoint = |address: &IpAddr| HandleEndpoint {
                address: SocketAddr::new(*address, port),
                public_key: site.public_key().map(Into::into),
            };
            accesses.extend(site.addresses().iter().map(endpoint).map(Self::Handle));
        }
        accesses
    }
}

//----------- Peer -----------------------------------------------------------

/// How another node is called.
pub(super) enum Transport {
    /// Over gRPC.
    Grpc(Channel),
    /// Over the Handle protocol.
    Handle(HandleClient),
}

/// Another node, called without credentials.
pub struct Peer {
    name: String,
    transport: Transport,
    breaker: Mutex<Breaker>,
    /// Time before which no line about this node is added to the log: anybody may ask questions that fail.
    silent_until_ms: AtomicU64,
    clock: Clock,
    jitter: Jitter,
}

impl Peer {
    pub(super) fn new(name: String, transport: Transport, clock: &Clock, jitter: &Jitter) -> Self {
        let (clock, jitter) = (clock.clone(), jitter.clone());
        Self { name, transport, breaker: Mutex::default(), silent_until_ms: AtomicU64::new(0), clock, jitter }
    }

    /// Returns the name for logs and messages.
    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    /// Asks one question; ends by the deadline. Over gRPC the node is allowed to ask onward.
    pub(super) async fn ask(
        &self,
        asked: &PeerQuestion,
        deadline: Instant,
        counters: &FederationCounters,
    ) -> Result<PeerAnswer, PeerError> {
        self.breaker().check((self.clock)()).map_err(|open| PeerError::LeftAlone {
            peer: self.name(),
            seconds: open.remaining_ms.div_ceil(1_000),
            detail: open.detail,
        })?;
        let had_time = deadline.saturating_duration_since(Instant::now()) >= CONNECT_MAX;
        let outcome = match &self.transport {
            Transport::Grpc(channel) => self.call(channel, asked, deadline).await,
            Transport::Handle(client) => client.ask(asked, deadline).await,
        };
        match &outcome {
            // A deadline that left no time to connect says nothing about the node.
            Err(PeerError::DeadlinePassed { .. }) if !had_time => {}
            Err(error) if error.is_absence() => {
                count(&counters.unreachable);
                self.breaker().failed(&detail_of(error), (self.clock)(), (self.jitter)());
            }
            _ => self.breaker().succeeded(),
        }
        outcome.inspect_err(|error| self.report(error))
    }

    /// Writes why there is no answer to the log, since callers do not learn it.
    fn report(&self, error: &PeerError) {
        let now_ms = (self.clock)();
        if now_ms < self.silent_until_ms.load(Ordering::Relaxed) {
            tracing::debug!(peer = %self.name(), %error, "a question to another node has failed");
            return;
        }
        self.silent_until_ms.store(now_ms.saturating_add(REPORT_EVERY_MS), Ordering::Relaxed);
        tracing::info!(peer = %self.name(), %error, "a question to another node has failed");
    }

    async fn call(
        &self,
        channel: &Channel,
        asked: &PeerQuestion,
        deadline: Instant,
    ) -> Result<PeerAnswer, PeerError> {
        let mut client = ResolutionServiceClient::new(channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let mut request = Request::new(message::resolve(asked));
        request.set_timeout(deadline.saturating_duration_since(Instant::now()));
        let answered = time::timeout_at(deadline, client.resolve(request)).await;
        let answered = answered.map_err(|_| PeerError::DeadlinePassed { peer: self.name() })?;
        let answer =
            answered.map_err(|status| failure_of_question(self.name(), &status))?.into_inner().answer;
        message::parse_answer(answer, asked)
            .map_err(|detail| PeerError::Unintelligible { peer: self.name(), detail })
    }

    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//----------- Failures -------------------------------------------------------

/// Converts a status: it is the node's own refusal when it carries a reason, else the node counts as unreachable.
pub(super) fn failure(peer: String, status: &Status) -> PeerError {
    if let Some(info) = status.get_details_error_info() {
        let message = status.message().to_owned();
        // A node that reports an error of its own peers is reachable. One that stops or is overloaded counts as
        // unreachable, so that another address is tried.
        let is_unavailable = status.code() == Code::Unavailable && !info.reason.starts_with("PEER_");
        return if is_unavailable {
            PeerError::Unreachable { peer, detail: message }
        } else {
            PeerError::Refused { peer, code: info.reason, message }
        };
    }
    match status.code() {
        Code::DeadlineExceeded | Code::Cancelled => PeerError::DeadlinePassed { peer },
        Code::Unavailable | Code::Unknown | Code::Internal => {
            PeerError::Unreachable { peer, detail: error_text(status) }
        }
        code => {
            let code = format!("{code:?}");
            PeerError::Refused { peer, code, message: status.message().to_owned() }
        }
    }
}

/// Converts the status of a question. One without a reason is not that of a node: another program is at the address.
fn failure_of_question(peer: String, status: &Status) -> PeerError {
    match failure(peer, status) {
        PeerError::Refused { peer, code, message } if status.get_details_error_info().is_none() => {
            PeerError::Unintelligible { peer, detail: format!("{message} ({code})") }
        }
        other => other,
    }
}

fn detail_of(error: &PeerError) -> String {
    match error {
        PeerError::Unreachable { detail, .. } | PeerError::LeftAlone { detail, .. } => detail.clone(),
        _ => "it did not answer in time".to_owned(),
    }
}

/// Returns the innermost cause of a transport error: the outer layers carry no details.
pub(super) fn error_text(error: &dyn core::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[cfg(test)]
mod tests {
    use super::{Access, Endpoint, PeerError};
    use crate::model::site::{Ports, Site};

    #[test]
    fn a_url_names_a_host_a_port_and_plain_text_or_tls() {
        let parse = |url: &str, name: Option<&str>| {
            Endpoint::parse(url, name).map(|endpoint| (endpoint.authority, endpoint.tls_name))
        };
        let plain = parse("http://127.0.0.1:7373", None);
        assert_eq!(plain, Ok(("127.0.0.1:7373".into(), None)));
        let named = parse("https://top.example:7373/", None);
        assert_eq!(named, Ok(("top.example:7373".into(), Some("top.example".into()))));
        let other = parse("https://[2001:db8::1]:7373", Some("top.example"));
        assert_eq!(other, Ok(("[2001:db8::1]:7373".into(), Some("top.example".into()))));
        for wrong in ["top.example:7373", "ftp://top:1", "http://top", "http://top:0", "http://:1"] {
            assert!(matches!(parse(wrong, None), Err(PeerError::Configured { .. })), "{wrong}");
        }
    }

    #[test]
    fn plain_text_beyond_this_machine_is_overheard() {
        let overheard = |url: &str| Endpoint::parse(url, None).expect("a URL").is_overheard();
        assert!(overheard("http://192.0.2.1:7373"));
        assert!(overheard("http://top.example:7373"));
        assert!(!overheard("https://192.0.2.1:7373"));
        assert!(!overheard("http://127.0.0.1:7373"));
        assert!(!overheard("http://[::1]:7373"));
        assert!(!overheard("http://localhost:7373"));
    }

    #[test]
    fn a_site_is_asked_at_every_address_over_grpc_and_then_over_handle() {
        let addresses = vec!["192.0.2.1".parse().expect("v4"), "2001:db8::1".parse().expect("v6")];
        let accesses = |name: Option<&str>, ports: Ports, key: Option<&[u8]>| -> Vec<String> {
            let site = Site::new(addresses.clone(), name, ports).expect("a site");
            let site = key.into_iter().fold(site, |site, key| site.with_public_key(key).expect("a key"));
            let name = |access: &Access| match access {
                Access::Grpc(endpoint) => format!("gRPC {}", endpoint.name()),
                Access::Handle(endpoint) => {
                    format!("Handle {} {:?}", endpoint.address, endpoint.public_key.as_deref())
                }
            };
            Access::of_site(&site).iter().map(name).collect()
        };
        let grpc = Ports { grpc: Some(7373), ..Ports::default() };
        let named = ["gRPC node.example (192.0.2.1:7373)", "gRPC node.example ([2001:db8::1]:7373)"];
        assert_eq!(accesses(Some("node.example"), grpc, None), named);
        let handle = Ports { handle: Some(2641), ..Ports::default() };
        let plain = ["Handle 192.0.2.1:2641 None", "Handle [2001:db8::1]:2641 None"];
        assert_eq!(accesses(None, handle, None), plain);
        assert_eq!(accesses(Some("node.example"), handle, None), plain, "there is nothing better");
        let both = Ports { handle: Some(2641), ..grpc };
        assert_eq!(accesses(Some("node.example"), both, None), named, "TLS is not given up for less");
        let certified = ["Handle 192.0.2.1:2641 Some([7])", "Handle [2001:db8::1]:2641 Some([7])"];
        let all: Vec<&str> = named.into_iter().chain(certified).collect();
        assert_eq!(accesses(Some("node.example"), both, Some(&[7])), all);
        let dns = Ports { dns: Some(53), ..Ports::default() };
        assert_eq!(accesses(None, dns, None), [""; 0]);
    }
}
