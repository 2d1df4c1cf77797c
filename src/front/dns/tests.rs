//! The DNS front end over a real socket, with little memory.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use super::{DnsOptions, DnsServer};
use crate::front::listen::budget::MemoryLimits;
use crate::registry::tests::fixture::{Fixture, register};
use crate::resolver::{Resolver, ResolverOptions};
use crate::store::EngineKind;

/// Less than one large answer takes.
const LIMITS: MemoryLimits = MemoryLimits { total: 40_000, source: 40_000, connection: 40_000 };

fn framed(id: u16, name: &str) -> Vec<u8> {
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), RecordType::TXT));
    message.set_edns(Edns::new());
    let bytes = message.to_vec().expect("it encodes");
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes.as_slice()].concat()
}

async fn receive(stream: &mut TcpStream) -> Message {
    let length = stream.read_u16().await.expect("a length");
    let mut bytes = vec![0; usize::from(length)];
    stream.read_exact(&mut bytes).await.expect("a message");
    Message::from_vec(&bytes).expect("it decodes")
}

/// The text of the extended error 0.
fn other_error(message: &Message) -> String {
    let edns = message.edns.as_ref().expect("EDNS");
    match edns.option(hickory_proto::rr::rdata::opt::EdnsCode::Unknown(15)) {
        Some(EdnsOption::Unknown(15, data)) => {
            String::from_utf8(data.strip_prefix(&[0, 0]).expect("error 0").to_vec()).expect("text")
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_for_which_there_is_no_memory_is_servfail() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    for (identifier, data) in [("88.118/large", "x".repeat(50_000)), ("88.118/small", "x".to_owned())] {
        fixture.node(register(identifier, &data)).await.expect("registered");
    }
    let resolver =
        Resolver::new(fixture.store.clone(), fixture.authority.clone(), ResolverOptions::default());
    let options = DnsOptions { listen: vec![SocketAddr::from(([127, 0, 0, 1], 0))], ..DnsOptions::default() };
    let server = DnsServer::bind_within(LIMITS, options, Arc::new(resolver)).expect("bound");
    let (memory, address) = (server.memory(), server.local_addrs().expect("bound").remove(0));
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(server.run(async move { stopped.await.unwrap_or(()) }));

    let mut stream = TcpStream::connect(address).await.expect("connected");
    let names = ["large.118.88.id.internal.", "small.118.88.id.internal.", "large.118.88.id.internal."];
    let asked: Vec<u8> = (1..).zip(names).flat_map(|(id, name)| framed(id, name)).collect();
    stream.write_all(&asked).await.expect("sent");
    for (id, code) in [(1, ResponseCode::ServFail), (2, ResponseCode::NoError), (3, ResponseCode::ServFail)] {
        let answer = receive(&mut stream).await;
        assert_eq!((answer.metadata.id, answer.metadata.response_code), (id, code));
        if code == ResponseCode::ServFail {
            assert_eq!(other_error(&answer), "the node is too busy");
        }
    }
    assert_eq!(memory.refusals(), [("connection", 2), ("source", 0), ("total", 0)]);

    // A message of 65,535 octets that is not whole finds no memory either.
    stream.write_all(&[0xff, 0xff, 0]).await.expect("sent");
    assert_eq!(stream.read(&mut [0]).await.ok().unwrap_or_default(), 0, "closed");
    stop.send(()).expect("still serving");
    serving.await.expect("served").expect("drained");
    assert_eq!(memory.bytes_in_use(), 0);
}
