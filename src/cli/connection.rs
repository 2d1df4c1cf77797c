//! Connection: how a command finds the node, authenticates, sends requests, and learns the outcome of changes.
//!
//! A change carries a request id. When its answer is lost, the same change is sent again with the same id, within
//! `--timeout`; the node answers a repetition with the first receipt and does nothing twice. If the outcome is still
//! unknown then, the id is printed, and the command can be repeated later with `--request-id`: whatever a repetition was
//! answered, except a receipt, says nothing about the first attempt.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{fs, io};

use clap::Args;
use tokio::time::{self, Instant};
use tokio_rustls::rustls::{self, AlertDescription, InvalidMessage};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Uri};
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::contact::{self, Responder};
use super::error::{Attempt, Error, Reason};
use super::output::{Form, Output, notice};
use crate::config::Sources;
use crate::daemon::Addresses;

/// File in the data directory that holds the admin token of the first start.
const TOKEN_FILE: &str = "admin-token";
/// Data directory of a node with the default configuration.
const DATA_DEFAULT: &str = "./idnode-data";
/// The variable that names the data directory of a node.
const NODE_DATA_VARIABLE: &str = "IDNODE_STORE_DIRECTORY";
/// Whether the warning about that variable was written.
static DATA_WARNED: AtomicBool = AtomicBool::new(false);
/// Address of a node with the default configuration.
const NODE_DEFAULT: &str = "http://127.0.0.1:7373";
/// Time limit of one attempt.
const ATTEMPT_MAX: Duration = Duration::from_secs(10);
/// Time limit of connecting.
const CONNECT_MAX: Duration = Duration::from_secs(5);
/// Delay before the second attempt; it doubles from attempt to attempt.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
/// Longest delay between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(2);

//----------- ConnectionArguments --------------------------------------------

/// Selects the node and the token.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArguments {
    /// The node's gRPC address, https:// for TLS; by default the node that runs on the data directory, or
    /// http://127.0.0.1:7373
    #[arg(long, env = "IDNODE_NODE", value_name = "URL")]
    node: Option<Uri>,

    /// The token to authenticate with. Everybody on this machine sees it in the list of processes: use --token-file or
    /// the variable instead. By default, for a node on this machine, the one in the file `admin-token` of the data
    /// directory, if it is readable
    #[arg(long, env = "IDNODE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    /// File with the token to authenticate with, alone on one line
    #[arg(long, env = "IDNODE_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// The data directory of a node on this machine, for its address and admin token; by default ./idnode-data
    #[arg(long, env = "IDNODE_DATA", value_name = "DIRECTORY")]
    data: Option<PathBuf>,

    /// PEM file with the CA certificate that signed the node's certificate
    #[arg(long, env = "IDNODE_CA", value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Time limit of the command in seconds, retries included
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,

    /// Send the token in plain text even to a node on another machine
    #[arg(long)]
    allow_plain_text: bool,

    /// Print JSON for scripts, one document per line
    #[arg(long, help_heading = "Output")]
    json: bool,
}

impl ConnectionArguments {
    /// The output for results.
    pub(super) fn output(&self) -> Output {
        Output::new(self.form())
    }

    /// The output format that the arguments ask for.
    pub(super) fn form(&self) -> Form {
        if self.json { Form::Json } else { Form::Text }
    }

    /// The connection that the arguments describe; nothing is sent yet.
    pub(super) fn connection(&self) -> Result<Connection, Error> {
        let environment = Sources::of_process();
        let data = self.data(&environment);
        let node = self.node(&data);
        Ok(Connection {
            endpoint: self.endpoint(&node)?,
            token: self.token(&node, &data, &environment)?,
            node: node.to_string().trim_end_matches('/').to_owned(),
            timeout: Duration::from_secs(self.timeout),
        })
    }

    /// The data directory. The variable that names the node's own directory served for this, too, and does so for one
    /// release more, with a warning.
    fn data(&self, environment: &Sources) -> PathBuf {
        if let Some(data) = &self.data {
            return data.clone();
        }
        let Some(data) = environment.variable(NODE_DATA_VARIABLE) else { return DATA_DEFAULT.into() };
        if !DATA_WARNED.swap(true, Ordering::Relaxed) {
            notice(&format!(
                "idnode: warning: {NODE_DATA_VARIABLE} is the data directory of `idnode serve`; for this command write \
                 IDNODE_DATA={data}: the next release reads that alone"
            ));
        }
        data.into()
    }

    /// The node to call: the one named, the one that runs on the data directory, or the one at the default address.
    fn node(&self, data: &Path) -> Uri {
        let running = || Addresses::load(data)?.grpc.first()?.parse().ok();
        self.node.clone().or_else(running).unwrap_or_else(|| Uri::from_static(NODE_DEFAULT))
    }

    fn endpoint(&self, node: &Uri) -> Result<Endpoint, Error> {
        let wrong = |cause: &dyn core::fmt::Display| {
            Error::Usage(format!("--node {node}: {cause}; expected a URL such as {NODE_DEFAULT}"))
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

    /// The token to authenticate with, if any. The admin token of this machine's node is never sent elsewhere by
    /// default.
    fn token(
        &self,
        node: &Uri,
        data: &Path,
        environment: &Sources,
    ) -> Result<Option<MetadataValue<Ascii>>, Error> {
        let is_near = is_loopback(node.host().unwrap_or_default());
        let text = match self.given_token(environment)? {
            Some(_) if !is_near && node.scheme_str() == Some("http") && !self.allow_plain_text => {
                return Err(Error::Usage(format!(
                    "the token would travel to {node} in plain text; use https://, or --allow-plain-text where \
                     something else protects the connection"
                )));
            }
            Some(token) => token.trim().to_owned(),
            None if is_near => match fs::read_to_string(data.join(TOKEN_FILE)) {
                Ok(token) => token.trim().to_owned(),
                Err(_) => return Ok(None),
            },
            None => return Ok(None),
        };
        let shown = format!("Bearer {text}").parse::<MetadataValue<Ascii>>();
        let mut shown = shown.map_err(|_| {
            Error::Usage(
                "the token contains characters that no token has; copy all of it, on one line".into(),
            )
        })?;
        shown.set_sensitive(true);
        Ok(Some(shown))
    }
}

impl ConnectionArguments {
    /// The token that the arguments or the environment give; an argument overrides a variable.
    fn given_token(&self, environment: &Sources) -> Result<Option<String>, Error> {
        let is_variable = self.token.as_deref() == environment.variable("IDNODE_TOKEN");
        let path = self.token_file.as_deref();
        let is_file_argument = path.and_then(Path::to_str) != environment.variable("IDNODE_TOKEN_FILE");
        match (&self.token, path) {
            (Some(token), None) => Ok(Some(token.clone())),
            (Some(token), Some(_)) if !is_variable => Ok(Some(token.clone())),
            (Some(token), Some(_)) if !is_file_argument => Ok(Some(token.clone())),
            (_, Some(path)) => fs::read_to_string(path).map(Some).map_err(|error| Error::file(path, &error)),
            (None, None) => Ok(None),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

//----------- RequestArguments -----------------------------------------------

/// The request id of a change.
#[derive(Args, Clone, Debug)]
pub(super) struct RequestArguments {
    /// Repeat a command whose outcome is unknown with the id that it printed; by default a new id
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
    found.ok_or_else(|| "a request id is a UUID of version 7, as printed by the command".into())
}

//----------- Connection -----------------------------------------------------

/// A node, and how to call it.
#[derive(Clone)]
pub(super) struct Connection {
    endpoint: Endpoint,
    node: String,
    token: Option<MetadataValue<Ascii>>,
    timeout: Duration,
}

impl Connection {
    /// Connects, or reports that no node answers.
    pub(super) async fn channel(&self) -> Result<Channel, Error> {
        if self.endpoint.uri().scheme_str() == Some("http")
            && let Some(found) = contact::probe(self.endpoint.uri()).await
        {
            return Err(Error::Misaddressed { address: self.address(), found });
        }
        let channel = self.connect().await?;
        if !contact::speaks_grpc(&channel).await {
            return Err(Error::Misaddressed { address: self.address(), found: Responder::OtherProtocol });
        }
        Ok(channel)
    }

    async fn connect(&self) -> Result<Channel, Error> {
        self.endpoint.connect().await.map_err(|error| {
            let (node, deepest) = (self.node.clone(), innermost(&error));
            let cause = deepest.to_string();
            match tls_error(deepest) {
                Some(rustls::Error::InvalidCertificate(_)) => Error::Distrusted { node, cause },
                Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
                    Error::Misaddressed { address: self.address(), found: Responder::PlainText }
                }
                Some(rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol)) => {
                    Error::Misaddressed { address: self.address(), found: Responder::OtherProtocol }
                }
                _ => Error::Unreachable { node, cause },
            }
        })
    }

    /// Host and port of the node.
    fn address(&self) -> String {
        self.node.split_once("://").map_or(self.node.as_str(), |(_, address)| address).to_owned()
    }

    /// Time limit of a command, all attempts together.
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

    /// Sends a request once.
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
    /// time limit has passed. Once an attempt was unknown, only a receipt is the outcome: what the node answers to a
    /// repetition says nothing about the first attempt.
    pub(super) async fn change<T>(
        &self,
        request_id: &str,
        call: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let channel = self.channel().await?;
        tokio::select! {
            outcome = self.attempt(request_id, channel, call) => outcome,
            () = interrupted() => Err(Error::Interrupted(format!(
                "interrupted while the outcome was unknown; repeat the command with --request-id {request_id} to learn \
                 the outcome; nothing is done twice"
            ))),
        }
    }

    async fn attempt<T>(
        &self,
        request_id: &str,
        mut channel: Channel,
        call: impl AsyncFn(Channel) -> Result<Response<T>, Status>,
    ) -> Result<T, Error> {
        let until = Instant::now() + self.timeout;
        let mut pause = PAUSE_FIRST;
        let mut unknown = None;
        loop {
            let attempt = (until - Instant::now()).min(ATTEMPT_MAX);
            let answer = time::timeout(attempt, call(channel.clone())).await;
            let status = match answer {
                Ok(Ok(response)) => return Ok(response.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer in time"),
            };
            let attempt = Attempt::of_status(&status);
            if attempt == Attempt::Unknown {
                unknown = Some(Reason::of_status(&status).to_string());
            }
            if attempt == Attempt::Final || Instant::now() + pause >= until {
                let Some(cause) = unknown else { return Err(self.explain(&status)) };
                let later = Reason::of_status(&status);
                let cause = match attempt {
                    Attempt::Unknown => cause,
                    _ => format!("{cause}; a repetition was answered: {later}"),
                };
                return Err(Error::OutcomeUnknown { request_id: request_id.to_owned(), cause });
            }
            time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
            if let Ok(fresh) = self.channel().await {
                channel = fresh;
            }
        }
    }

    /// Converts a status into an error, with a hint when no token was sent.
    pub(super) fn explain(&self, status: &Status) -> Error {
        let mut explained = Error::of_status(status);
        if let Error::Refused(reason) = &mut explained {
            let wants_token =
                matches!(status.code(), tonic::Code::Unauthenticated | tonic::Code::PermissionDenied);
            if wants_token && self.token.is_none() {
                reason.message.push_str(
                    "; no token was sent: give one with --token-file, IDNODE_TOKEN_FILE or IDNODE_TOKEN, or name \
                     the node's data directory with --data or IDNODE_DATA",
                );
            }
        }
        explained
    }
}

/// Returns when the user interrupts the command; never, when interruption cannot be noticed.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        core::future::pending().await
    }
}

/// Waits; the delay doubles up to its bound.
pub(super) async fn pause_and_double(pause: &mut Option<Duration>) {
    let length = pause.unwrap_or(PAUSE_FIRST);
    time::sleep(length).await;
    *pause = Some((length * 2).min(PAUSE_MAX));
}

/// The innermost source of an error: the transport wraps the system's message several times.
fn innermost<'a>(error: &'a (dyn core::error::Error + 'static)) -> &'a (dyn core::error::Error + 'static) {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest
}

/// The TLS error behind a failure, if there is one.
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
