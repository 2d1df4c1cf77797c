//! Clients of the front ends: gRPC as generated from our proto files, DNS by messages of our own making, HTTP by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use idnode::wire::proto::prefix_service_client::PrefixServiceClient;
use idnode::wire::proto::registration_service_client::RegistrationServiceClient;
use idnode::wire::proto::resolution_service_client::ResolutionServiceClient;
use idnode::wire::proto::{
    Answer, ApplyBatchRequest, GetHistoryRequest, GetHistoryResponse, HomePrefixRequest, Item,
    ListIdentifiersRequest, ListIdentifiersResponse, Outcome, Question, Receipt, Recursion, RegisterRequest,
    Registration, ResolveRequest, RevokePrefixRequest, Value, answer, registration,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use uuid::Uuid;

/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// Bytes of the largest DNS message.
const MESSAGE_BYTES_MAX: usize = 65_535;

//----------- GrpcClient -----------------------------------------------------

/// A gRPC client that sends a token with every call.
#[derive(Clone)]
pub(crate) struct GrpcClient {
    channel: InterceptedService<Channel, ShowToken>,
}

/// Puts a token on every call.
#[derive(Clone)]
pub(crate) struct ShowToken(Option<MetadataValue<Ascii>>);

impl Interceptor for ShowToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

impl GrpcClient {
    /// Connects to a URL; without a token it asks as nobody in particular.
    pub(crate) async fn connect(url: &str, token: Option<&str>) -> Self {
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("a URL").timeout(ANSWER_MAX);
        Self::over(endpoint.connect().await.expect("connected"), token)
    }

    /// Takes a channel that is connected.
    pub(crate) fn over(channel: Channel, token: Option<&str>) -> Self {
        let shown = token.map(|token| format!("Bearer {token}").parse().expect("a token"));
        Self { channel: InterceptedService::new(channel, ShowToken(shown)) }
    }

    /// Homes a prefix here.
    pub(crate) async fn home(&self, prefix: &str) -> Result<Receipt, Status> {
        let request = HomePrefixRequest { prefix: prefix.into(), ..HomePrefixRequest::default() };
        let response = PrefixServiceClient::new(self.channel.clone()).home_prefix(request).await?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    /// Revokes a prefix.
    pub(crate) async fn revoke(&self, prefix: &str) -> Result<Receipt, Status> {
        let request = RevokePrefixRequest { prefix: prefix.into(), ..RevokePrefixRequest::default() };
        let response = PrefixServiceClient::new(self.channel.clone()).revoke_prefix(request).await?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    /// Lists the first thousand identifiers of a prefix.
    pub(crate) async fn list(&self, prefix: &str) -> Result<Vec<String>, Status> {
        let request = ListIdentifiersRequest { prefix: prefix.into(), ..ListIdentifiersRequest::default() };
        let response = ResolutionServiceClient::new(self.channel.clone()).list_identifiers(request).await?;
        Ok(response.into_inner().identifiers.into_iter().map(|found| found.identifier).collect())
    }

    /// One page of a list.
    pub(crate) async fn list_page(
        &self,
        request: ListIdentifiersRequest,
    ) -> Result<ListIdentifiersResponse, Status> {
        let response = ResolutionServiceClient::new(self.channel.clone()).list_identifiers(request).await?;
        Ok(response.into_inner())
    }

    /// One page of a history.
    pub(crate) async fn history_page(
        &self,
        request: GetHistoryRequest,
    ) -> Result<GetHistoryResponse, Status> {
        let response = ResolutionServiceClient::new(self.channel.clone()).get_history(request).await?;
        Ok(response.into_inner())
    }

    /// Registers an identifier with one value of type URL.
    pub(crate) async fn register(&self, identifier: &str, url: &str) -> Result<Receipt, Status> {
        self.register_values(identifier, &[(1, "URL", url, None)]).await
    }

    /// Registers an identifier with values: index, type, data, permissions.
    pub(crate) async fn register_values(
        &self,
        identifier: &str,
        values: &[(u32, &str, &str, Option<u32>)],
    ) -> Result<Receipt, Status> {
        let value = |(index, kind, data, permissions): &(u32, &str, &str, Option<u32>)| Value {
            index: *index,
            r#type: (*kind).into(),
            data: data.as_bytes().to_vec(),
            permissions: *permissions,
            ..Value::default()
        };
        let registration = Registration {
            target: Some(registration::Target::Identifier(identifier.into())),
            values: values.iter().map(value).collect(),
            ..Registration::default()
        };
        let request = RegisterRequest { registration: Some(registration), ..RegisterRequest::default() };
        let response = RegistrationServiceClient::new(self.channel.clone()).register(request).await?;
        Ok(response.into_inner().receipt.expect("a receipt"))
    }

    /// Applies a batch under a request id.
    pub(crate) async fn apply(&self, request: Uuid, items: Vec<Item>) -> Result<Vec<Outcome>, Status> {
        let request = ApplyBatchRequest { request_id: request.to_string(), items };
        let response = RegistrationServiceClient::new(self.channel.clone()).apply_batch(request).await?;
        Ok(response.into_inner().outcomes)
    }

    /// Asks what an identifier holds.
    pub(crate) async fn resolve(&self, identifier: &str) -> Result<answer::Answer, Status> {
        let question = Question { identifier: identifier.into(), ..Question::default() };
        self.ask(question, None).await
    }

    /// Asks a question, and says whether other nodes may be asked for it.
    pub(crate) async fn ask(
        &self,
        question: Question,
        recursion: Option<Recursion>,
    ) -> Result<answer::Answer, Status> {
        let request = ResolveRequest { question: Some(question), recursion };
        let response = ResolutionServiceClient::new(self.channel.clone()).resolve(request).await?;
        let Answer { answer } = response.into_inner().answer.expect("an answer");
        Ok(answer.expect("one of the answers"))
    }

    /// Asks what an identifier holds, wishing that other nodes are asked; these have passed the question on.
    pub(crate) async fn recurse(
        &self,
        identifier: &str,
        path: &[[u8; 16]],
    ) -> Result<answer::Answer, Status> {
        let question = Question { identifier: identifier.into(), ..Question::default() };
        let path = path.iter().map(|node| node.to_vec()).collect();
        self.ask(question, Some(Recursion { desired: true, path })).await
    }

    /// The data of the values of an identifier, in order, as bytes; none when there are none.
    pub(crate) async fn data(&self, identifier: &str) -> Vec<Vec<u8>> {
        match self.resolve(identifier).await.expect("an answer") {
            answer::Answer::Values(found) => found.values.into_iter().map(|value| value.data).collect(),
            _ => Vec::new(),
        }
    }

    /// The data of the values of an identifier, in order; panics when there are none.
    pub(crate) async fn values(&self, identifier: &str) -> Vec<String> {
        match self.resolve(identifier).await.expect("an answer") {
            answer::Answer::Values(found) => {
                found.values.into_iter().map(|value| String::from_utf8(value.data).expect("text")).collect()
            }
            other => panic!("{identifier} holds no values: {other:?}"),
        }
    }
}

//----------- DNS ------------------------------------------------------------

/// How a DNS message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One datagram each way.
    Udp,
    /// A connection, with two octets of length before each message.
    Tcp,
}

/// Asks DNS for the records of a name, as a stub resolver does.
pub(crate) fn dns_ask(address: SocketAddr, transport: Transport, name: &str, kind: RecordType) -> Message {
    dns_send(address, transport, &dns_question(name, kind))
}

/// The same with EDNS, so that refusals say why.
pub(crate) fn dns_ask_why(address: SocketAddr, name: &str, kind: RecordType) -> Message {
    let mut question = dns_question(name, kind);
    question.set_edns(Edns::new());
    dns_send(address, Transport::Tcp, &question)
}

fn dns_question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
    message
}

fn dns_send(address: SocketAddr, transport: Transport, message: &Message) -> Message {
    let question = message.to_vec().expect("a message");
    let answer = match transport {
        Transport::Udp => ask_by_udp(address, &question),
        Transport::Tcp => ask_by_tcp(address, &question),
    };
    Message::from_vec(&answer).expect("an answer that decodes")
}

fn ask_by_udp(address: SocketAddr, question: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
    socket.connect(address).expect("connected");
    socket.send(question).expect("sent");
    let mut answer = vec![0; MESSAGE_BYTES_MAX];
    let length = socket.recv(&mut answer).expect("an answer");
    answer.truncate(length);
    answer
}

fn ask_by_tcp(address: SocketAddr, question: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
    let length = u16::try_from(question.len()).expect("a short message");
    stream.write_all(&[&length.to_be_bytes(), question].concat()).expect("sent");
    let mut length = [0; 2];
    stream.read_exact(&mut length).expect("a length");
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).expect("an answer");
    answer
}

//----------- HTTP -----------------------------------------------------------

/// Gets a path over HTTP from `url` (`http://address`); returns status and body.
pub(crate) fn http_get(url: &str, path: &str) -> (u16, String) {
    let address = url.strip_prefix("http://").expect("an http URL");
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(ANSWER_MAX)).expect("a deadline");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, body.to_owned())
}
