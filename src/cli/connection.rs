//! Connection: how a command finds the node, shows its token, asks, and makes sure of the outcome.
//!
//! A change carries a request id. When its answer is lost, the same change is sent again under the same id, within
//! `--timeout`; the node answers a repetition with the first receipt and does nothing twice. When that does not help
//! either, the id is printed, and the command can be repeated with `--request-id` later.

use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};

use clap::Args;
use tokio::time::{self, Instant};
use tokio_rustls::rustls::{self, AlertDescription, InvalidMessage};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::contact::{self, Stranger};
use super::error::{self, Error, Reason};
use super::output::{Form, Output};
use crate::daemon::Addresses;

/// The file in the data directory that the first start writes an admin token to.
const TOKEN_FILE: &str = "admin-token";
/// Where a node is that was told nothing else.
const NODE_DEFAULT: &str = "http://127.0.0.1:7373";
/// How long one attempt may take before it counts as lost.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// How long connecting may take.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// The first pause between two attempts; it doubles from there.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

//----------- ConnectionArguments --------------------------------------------

/// Which node, and with which token.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArguments {
    /// The node's gRPC address, https:// for TLS; if not said, the node that runs on the data directory, or
    /// http://127.0.0.1:7373
    #[arg(long, env = "IDNODE_NODE", value_name = "URL")]
    node: Option<Uri>,

    /// The token to show; without one, the file `admin-token` of the data directory is shown to a node on this
    /// machine, when it can be read
    #[arg(long, env = "IDNODE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// The data directory of a node on this machine, for its admin token
    #[arg(long, env = "IDNODE_STORE_DIRECTORY", value_name = "DIRECTORY", default_value = "./idnode-data")]
    data: PathBuf,

    /// PEM file of the authority that signed the node's certificate
    #[arg(long, env = "IDNODE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Seconds until a command is given up, repetitions included
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Show the token in plain text even to a node on another machine
    #[arg(long)]
    allow_plain_text: bool,

    /// Print JSON, one document a line, for scripts
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl ConnectionArguments {
    /// Where the result goes.
    pub(super) fn output(&self) -> Output {
        Output::new(self.form())
    }

    /// For whom results and errors are printed.
    pub(super) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    /// Everything that is needed to call the node; nothing is sent yet.
    pub(super) fn connection(&self) -> Result<Connection, Error> {
        let node = self.node();
        Ok(Connection {
            endpoint: self.endpoint(&node)?,
            token: self.token(&node)?,
            node: node.to_string().trim_end_matches('/').to_owned(),
            timeout: Duration::from_secs(self.timeout),
        })
    }

    /// The node that is meant: the one named, the one that runs on the data directory, or the one at the usual place.
    fn node(&self) -> Uri {
        let running = || Addresses::load(&self.data)?.grpc.first()?.parse().ok();
        self.node.clone().or_else(running).unwrap_or_else(|| Uri::from_static(NODE_DEFAULT))
    }

    fn endpoint(&self, node: &Uri) -> Result<Endpoint, Error> {
        let wrong = |cause: &dyn core::fmt::Display| {
            Error::Usage(format!("--node {node}: {cause}; write it such as {NODE_DEFAULT}"))
        };
        if !matches!(node.scheme_str(), Some("http" | "https")) {
            return Err(wrong(&"it begins with neither http:// nor https://"));
        }
        let endpoint = Endpoint::from(node.clone())
            .connect_timeout(CONNECT_MAX)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(ATTEMPT_MAX)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        if node.scheme_str() == Some("http") {
            return Ok(endpoint);
        }
        let Some(path) = &self.ca else {
            return Err(Error::Usage(
                "an https:// node needs --ca FILE, the PEM file of the authority that signed its certificate"
                    .into(),
            ));
        };
        let pem = fs::read(path).map_err(|error| Error::file(path, &error))?;
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
        endpoint.tls_config(tls).map_err(|error| wrong(&error))
    }

    /// The token to show, if any. The admin token of this machine's node goes nowhere else unasked.
    fn token(&self, node: &Uri) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let is_near = is_loopback(node.host().unwrap_or_default());
        let text = match &self.token {
            Some(_) if !is_near && node.scheme_str() == Some("http") && !self.allow_plain_text => {
                return Err(Error::Usage(format!(
                    "the token would travel to {node} in plain text; use https://, or --allow-plain-text where \
                     something else protects the way"
                )));
            }
            Some(token) => token.trim().to_owned(),
            None if is_near => match fs::read_to_string(self.data.join(TOKEN_FILE)) {
                Ok(token) => token.trim().to_owned(),
                Err(_) => return Ok(None),
            },
            None => return Ok(None),
        };
        let shown = format!("Bearer {text}").parse::<MetadataValue<Ascii>>();
        let mut shown = shown.map_err(|_| {
            Error::Usage("the token holds characters that no token has; copy it whole, on one line".into())
        })?;
        shown.set_sensitive(true);
        Ok(Some(shown))
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

//----------- RequestArguments -----------------------------------------------

/// The name of a change.
#[derive(Args, Clone, Debug)]
pub(super) struct RequestArguments {
    /// Repeat a command whose outcome is unknown under the id that was printed; a new id otherwise
    #[arg(long, value_name = "UUID", value_parser = parse_request_id)]
    request_id: Option<Uuid>,
}

impl RequestArguments {
    /// The id given, or a new one.
    pub(super) fn request_id(&self) -> String {
        self.request_id.unwrap_or_else(Uuid::now_v7).to_string()
    }
}

fn parse_request_id(text: &str) -> Result<Uuid, String> {
    let found = Uuid::parse_str(text).ok().filter(|uuid| uuid.get_version_num() == 7);
    found.ok_or_else(|| "a request id is a UUID of version 7, as it was printed".into())
}

//----------- Connection -----------------------------------------------------

/// A node and how to talk to it.
#[derive(Clone)]
pub(super) struct Connection {
    endpoint: Endpoint,
    node: String,
    token: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Connection {
    /// Connects, or says that nobody is there.
    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        if self.endpoint.uri().scheme_str() == Some("http")
            && let Some(found) = contact::greet(self.endpoint.uri()).await
        {
            return Err(Error::Misaddressed { address: self.address(), found });
        }
        self.endpoint.connect().await.map_err(|error| {
            let (node, deepest) = (self.node.clone(), innermost(&error));
            let cause = deepest.to_string();
            match tls_error(deepest) {
                Some(rustls::Error::InvalidCertificate(_)) => Error::Distrusted { node, cause },
                Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                    Error::Misaddressed { address: self.address(), found: Stranger::PlainText }
                }
                Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                    Error::Misaddressed { address: self.address(), found: Stranger::OtherDoor }
                }
                _ => Error::Unreachable { node, cause },
            }
        })
    }

    /// Host and port of the node.
    fn address(&self) -> String {
        self.node.split_once("://").map_or(self.node.as_str(), |(_, address)| address).to_owned()
    }

    /// How long a command may take, all attempts together.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// A message with our token, without a deadline: for streams.
    pub(super) fn streaming<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            request.metadata_mut().insert("authorization", token.clone());
        }
        request
    }

    /// A message with our token and a deadline.
    pub(super) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = self.streaming(message);
        request.set_timeout(self.timeout.min(ATTEMPT_MAX));
        request
    }

    /// Asks once.
    pub(super) async fn ask<T>(
        &self,
        call: impl AsyncFnOnce(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let channel = self.channel().await?;
        match call(channel).await {
            Ok(response) => Ok(response.into_inner()),
            Err(status) => Err(self.explain(&status)),
        }
    }

    /// Sends a change that carries `request_id`, and again when its answer is lost, until the outcome is known or the
    /// time is over.
    pub(super) async fn change<T>(
        &self,
        request_id: &str,
        call: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let until = Instant::now() + self.timeout;
        let mut channel = self.channel().await?;
        let mut pause = PAUSE_FIRST;
        loop {
            let attempt = (until - Instant::now()).min(ATTEMPT_MAX);
            let answer = time::timeout(attempt, call(channel.clone())).await;
            let cause = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) if !error::is_passing(&status) => return Err(self.explain(&status)),
                Ok(Err(status)) => Reason::of_status(&status).to_string(),
                Err(_) => "no answer came in time".to_owned(),
            };
            if Instant::now() + pause >= until {
                return Err(Error::OutcomeUnknown { request_id: request_id.to_owned(), cause });
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if let Ok(fresh) = self.channel().await {
                channel = fresh;
            }
        }
    }

    /// What a status means, with a hint when no token was shown.
    pub(super) fn explain(&self, status: &Status) -> Error {
        let mut explained = Error::of_status(status);
        if let Error::Refused(reason) = &mut explained {
            let wants_token =
                matches!(status.code(), tonic::Code::Unauthenticated | tonic::Code::PermissionDenied);
            if wants_token && self.token.is_none() {
                reason.message.push_str(
                    "; no token was shown: give one with --token or IDNODE_TOKEN, or name the node's data \
                     directory with --data",
                );
            }
        }
        explained
    }
}

/// A pause that doubles up to its bound; waits it out.
pub(super) async fn pause_and_double(pause: &mut Option<Duration>) {
    let length = pause.unwrap_or(PAUSE_FIRST);
    time::sleep(length).await;
    *pause = Some((length * 2).min(PAUSE_MAX));
}

/// The deepest source of an error: the transport wraps the system's words several times.
fn innermost<'a>(error: &'a (dyn core::error::Error + 'static)) -> &'a (dyn core::error::Error + 'static) {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest
}

/// What TLS says, when it was TLS that failed.
fn tls_error<'a>(error: &'a (dyn core::error::Error + 'static)) -> Option<&'a rustls::Error> {
    let held = || error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    error.downcast_ref().or_else(|| held()?.downcast_ref())
}

#[cfg(test)]
mod tests {
    use super::{is_loopback, parse_request_id};

    #[test]
    fn the_admin_token_is_shown_on_this_machine_only() {
        assert!(is_loopback("127.0.0.1"));
        assert!(is_loopback("127.9.9.9"));
        assert!(is_loopback("[::1]"));
        assert!(is_loopback("localhost"));
        assert!(!is_loopback("127.0.0.1.example"));
        assert!(!is_loopback("192.0.2.1"));
        assert!(!is_loopback(""));
    }

    #[test]
    fn a_request_id_is_of_version_7() {
        parse_request_id("017f22e2-79b0-7cc3-98c4-dc0c0c07398f").expect("the example of RFC 9562");
        let refused = parse_request_id("919108f7-52d1-4320-9bac-f847db4148a8").expect_err("version 4");
        assert!(refused.contains("version 7"), "{refused}");
    }
}
