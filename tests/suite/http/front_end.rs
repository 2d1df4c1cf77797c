//! A node with an HTTP front end, and a client that returns all of a reply.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use idnode::authority::caller::Caller;
use idnode::config::Config;
use idnode::daemon::{Node, RunningNode};
use idnode::model::identifier::{Identifier, Prefix};
use idnode::model::value::Values;
use idnode::registry::command::{
    Batch, Command, Existing, Item, Precondition, PrefixCommand, Register, Target,
};
use idnode::store::EngineKind;
use rcgen::{CertifiedKey, KeyPair};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::support::node::{admin_token, config, give_server_key};

/// How long a client waits for an answer.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(60);

//----------- FrontEnd -------------------------------------------------------

/// A node whose HTTP front end accepts plain text and TLS.
pub(crate) struct FrontEnd {
    running: RunningNode,
    certificate: CertificateDer<'static>,
    _directory: TempDir,
}

impl FrontEnd {
    /// Starts a node that homes 88.118.8.
    pub(crate) async fn open() -> Self {
        Self::open_with(|_| ()).await
    }

    /// The same, with a configuration changed beforehand.
    pub(crate) async fn open_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
        let mut config = config(&directory.path().join("data"), EngineKind::Fjall);
        for (place, name, text) in [
            (&mut config.tls.certificate, "node.crt", cert.pem()),
            (&mut config.tls.key, "node.key", signing_key.serialize_pem()),
        ] {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("written");
            *place = Some(path);
        }
        change(&mut config);
        give_server_key(&config.store.directory);
        let running = Node::start(config).await.expect("the node starts");
        let front_end = Self { running, certificate: cert.der().clone(), _directory: directory };
        let prefix = Prefix::parse("88.118.8").expect("a prefix");
        let home = Command::Prefix(PrefixCommand::Home { prefix, registrant: None });
        front_end.running.registry().apply_one(&Caller::Node, home).await.expect("homed");
        front_end
    }

    /// Registers so many identifiers directly in the registry; returns their names, in order.
    pub(crate) async fn fill_quickly(&self, count: u32) -> Vec<String> {
        let names: Vec<String> = (0..count).map(|number| format!("88.118.8/{number:06}")).collect();
        let item = |(number, name): (u32, &String)| {
            let target = Target::Named(Identifier::parse(name).expect("an identifier"));
            let (values, existing, precondition) = (Values::default(), Existing::Refuse, Precondition::None);
            Item { number, command: Command::Register(Register { target, values, existing, precondition }) }
        };
        let batch = Batch { request: None, items: (0..).zip(&names).map(item).collect(), deadline: None };
        let outcomes = self.running.registry().apply(&Caller::Node, batch).await.expect("applied");
        assert!(outcomes.iter().all(Result::is_ok), "{:?}", outcomes.first());
        names
    }

    /// The node behind it.
    pub(crate) fn node(&self) -> &RunningNode {
        &self.running
    }

    /// Its certificate, as PEM text.
    pub(crate) fn certificate_pem(&self) -> String {
        let text = data_encoding::BASE64.encode(&self.certificate);
        format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
    }

    /// Its address.
    pub(crate) fn address(&self) -> SocketAddr {
        self.running.http_addr().expect("an HTTP address")
    }

    /// The admin token of the first start.
    pub(crate) fn token(&self) -> String {
        admin_token(self.running.data_dir())
    }

    /// A client in plain text.
    pub(crate) fn plain(&self) -> Client {
        Client::of(self.address())
    }

    /// A client under TLS.
    pub(crate) fn tls(&self) -> Client {
        self.tls_with(None)
    }

    /// A client under TLS that shows a certificate.
    pub(crate) fn tls_with(&self, shown: Option<(CertificateDer<'static>, &KeyPair)>) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => {
                let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
                builder.with_client_auth_cert(vec![certificate], key).expect("a certificate")
            }
        };
        let tls = Some(TlsConnector::from(Arc::new(config)));
        Client { address: self.address(), tls, headers: Vec::new() }
    }

    /// Stops the node in order.
    pub(crate) async fn close(self) {
        self.running.stop().await.expect("the node stops");
    }
}

//----------- Client ---------------------------------------------------------

/// An HTTP client with one connection per request.
#[derive(Clone)]
pub(crate) struct Client {
    address: SocketAddr,
    tls: Option<TlsConnector>,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A plain text client of the front end at an address.
    pub(crate) fn of(address: SocketAddr) -> Self {
        Self { address, tls: None, headers: Vec::new() }
    }

    /// With one more header.
    pub(crate) fn with(&self, name: &str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// With a token.
    pub(crate) fn bearer(&self, token: &str) -> Self {
        self.with("Authorization", &format!("Bearer {token}"))
    }

    /// GET.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.ask("GET", path, None).await
    }

    /// PUT of JSON.
    pub(crate) async fn put(&self, path: &str, body: Json) -> Reply {
        self.ask("PUT", path, Some(body.to_string().as_bytes())).await
    }

    /// POST of JSON.
    pub(crate) async fn post(&self, path: &str, body: Option<Json>) -> Reply {
        let body = body.map(|body| body.to_string().into_bytes());
        self.ask("POST", path, body.as_deref()).await
    }

    /// DELETE.
    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.ask("DELETE", path, None).await
    }

    /// Sends a request and reads its reply. A body is JSON unless a header says otherwise.
    pub(crate) async fn ask(&self, verb: &str, path: &str, body: Option<&[u8]>) -> Reply {
        let mut head = format!("{verb} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(body) = body {
            if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
                head.push_str("Content-Type: application/json\r\n");
            }
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let request = [head.as_bytes(), b"\r\n", body.unwrap_or_default()].concat();
        Reply::parse(&self.send(&request).await)
    }

    /// Sends bytes as they are; returns all bytes that arrive until the connection closes.
    pub(crate) async fn send(&self, bytes: &[u8]) -> Vec<u8> {
        let stream = TcpStream::connect(self.address).await.expect("connected");
        match &self.tls {
            None => exchange(stream, bytes).await,
            Some(tls) => {
                let name = ServerName::try_from("localhost").expect("a name");
                exchange(tls.connect(name, stream).await.expect("a handshake"), bytes).await
            }
        }
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Vec<u8> {
    // The node may reply before it has read everything, and close.
    let _sent = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let read = timeout(ANSWER_MAX, stream.read_to_end(&mut answer)).await.expect("an answer in time");
    assert!(read.is_ok() || !answer.is_empty(), "no answer: {read:?}");
    answer
}

//----------- Reply ----------------------------------------------------------

/// All of a reply.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// The status.
    pub(crate) status: u16,
    /// The headers, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Reply {
    /// Takes apart what came over the connection.
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let (head, body) = bytes.split_at(end);
        let head = String::from_utf8(head.to_vec()).expect("text");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).expect("a status");
        let header = |line: &str| {
            let (name, value) = line.split_once(':').expect("a header");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        let headers: Vec<(String, String)> = lines.map(header).collect();
        let mut body = body.get(4..).expect("a body").to_vec();
        if headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked") {
            body = unchunk(&body);
        }
        Self { status, headers, body }
    }

    /// A header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every header of a name.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(crate) fn text(&self) -> &str {
        core::str::from_utf8(&self.body).expect("text")
    }

    /// The body as JSON.
    pub(crate) fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The response code in the body.
    pub(crate) fn code(&self) -> u64 {
        self.json()
            .get("responseCode")
            .and_then(Json::as_u64)
            .unwrap_or_else(|| panic!("no response code: {self:?}"))
    }

    /// Status and response code.
    pub(crate) fn verdict(&self) -> (u16, u64) {
        (self.status, self.code())
    }
}

fn unchunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n").expect("a length");
        let (length, rest) = bytes.split_at(end);
        let length = core::str::from_utf8(length).expect("text");
        let length = usize::from_str_radix(length, 16).expect("a length");
        if length == 0 {
            return body;
        }
        body.extend_from_slice(rest.get(2..2 + length).expect("a chunk"));
        bytes = rest.get(4 + length..).expect("more chunks");
    }
}
