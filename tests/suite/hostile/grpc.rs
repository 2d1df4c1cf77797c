//! Damaged messages and foreign protocols at a running gRPC front end: each gets a status or an end, and it goes on
//! answering others.

use std::time::Duration;

use idnode::wire::proto;
use prost::Message;
use prost::bytes::{Buf, BufMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::grpc::front_end::{FrontEnd, item, question, registration};

/// How long an unknown client waits for the node to end a connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// A small generator, so that a failure repeats: xorshift.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(bound).expect("small")).expect("small")
    }
}

//----------- Raw messages ---------------------------------------------------

/// Sends bytes as they are, and takes bytes as they come.
#[derive(Clone, Copy)]
struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, bytes: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&bytes);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

async fn call(
    front_end: &FrontEnd,
    channel: &Channel,
    path: &'static str,
    bytes: Vec<u8>,
) -> Result<Vec<u8>, Status> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.expect("the connection stands");
    let mut request = Request::new(bytes);
    let bearer = MetadataValue::try_from(format!("Bearer {}", front_end.admin.0)).expect("ASCII");
    request.metadata_mut().insert("authorization", bearer);
    let path = path.parse().expect("a path");
    client.unary(request, path, Raw).await.map(tonic::Response::into_inner)
}

fn batch() -> Vec<u8> {
    let amendment = proto::Amendment {
        identifier: "88.118.8/a".to_owned(),
        remove: vec![1, 2, 3],
        precondition: Some(proto::amendment::Precondition::Version(9)),
        ..Default::default()
    };
    let amend = proto::Item { number: 3, command: Some(proto::item::Command::Amend(amendment)) };
    let items = vec![item(1, "a"), item(2, "b"), amend];
    proto::ApplyBatchRequest { request_id: String::new(), items }.encode_to_vec()
}

fn damaged(dice: &mut Dice, sound: &[u8]) -> Vec<u8> {
    let mut bytes = sound.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len() * 8);
        *bytes.get_mut(at / 8).expect("a byte") ^= 1 << (at % 8);
    }
    if dice.below(3) == 0 {
        bytes.truncate(dice.below(bytes.len()));
    }
    bytes
}

/// Flipped bits and cut ends: a status of the caller's, or an outcome for every item that is left to be seen.
#[tokio::test(flavor = "multi_thread")]
async fn damaged_messages_are_the_callers_fault() {
    let front_end = FrontEnd::open().await;
    let channel = front_end.channel().await;
    let sound = batch();
    let seed = 0x1d0d_e5ee_d000_0007;
    let mut dice = Dice(seed);
    let (mut answered, mut refused) = (0, 0);
    for round in 0..1_500 {
        let bytes = damaged(&mut dice, &sound);
        let items = proto::ApplyBatchRequest::decode(bytes.as_slice()).map(|request| request.items.len());
        let path = "/idnode.v1.RegistrationService/ApplyBatch";
        match call(&front_end, &channel, path, bytes).await {
            Ok(response) => {
                let response = proto::ApplyBatchResponse::decode(response.as_slice()).expect("it decodes");
                assert_eq!(Ok(response.outcomes.len()), items, "seed {seed:#x}, round {round}");
                answered += 1;
            }
            // What does not decode, tonic answers as INTERNAL; a request id that is none, we as INVALID_ARGUMENT.
            Err(status) => {
                let code = status.code();
                assert!(
                    matches!(code, Code::Internal | Code::InvalidArgument),
                    "seed {seed:#x}, round {round}: {status:?}"
                );
                assert!(items.is_err() || code == Code::InvalidArgument, "seed {seed:#x}, round {round}");
                refused += 1;
            }
        }
    }
    assert!(answered > 100 && refused > 100, "{answered} answered, {refused} refused");
    let request = proto::RegisterRequest { registration: Some(registration("after")), ..Default::default() };
    front_end.registration().await.register(request).await.expect("the front end is sound");
    front_end.close().await;
}

/// Other protocols, torn frames and noise end their connection and no other.
#[tokio::test(flavor = "multi_thread")]
async fn foreign_protocols_end_their_own_connection() {
    let front_end = FrontEnd::open().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".as_slice();
    let mut dice = Dice(0x1d0d_e5ee_d000_0008);
    let mut noise =
        || (0..2_000).map(|_| u8::try_from(dice.below(256)).expect("a byte")).collect::<Vec<u8>>();
    let unknown_clients = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        noise(),
        [preface, &noise()].concat(),
        // A frame of 16,777,215 bytes.
        [preface, b"\xff\xff\xff\x00\x00\x00\x00\x00\x01"].concat(),
        // HEADERS on stream 0, where no stream is.
        [preface, b"\x00\x00\x00\x04\x00\x00\x00\x00\x00", b"\x00\x00\x01\x01\x04\x00\x00\x00\x00\x82"]
            .concat(),
    ];
    for (number, bytes) in unknown_clients.iter().enumerate() {
        let mut stream = TcpStream::connect(front_end.address).await.expect("connected");
        stream.write_all(bytes).await.expect("sent");
        // The node may have ended the connection already.
        let _said = stream.shutdown().await;
        let mut received = Vec::new();
        // A reset is an end as good as any.
        let ended = timeout(PATIENCE, stream.read_to_end(&mut received)).await;
        assert!(ended.is_ok(), "client {number} was not disconnected");
        assert!(received.len() < 4_096, "client {number} received {} bytes", received.len());
    }
    let request = proto::ResolveRequest { question: Some(question("a")), recursion: None };
    front_end.resolution().await.resolve(request).await.expect("the front end goes on answering");
    front_end.close().await;
}
