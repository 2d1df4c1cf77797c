//! Resolutions in datagrams, of random identifiers, every tenth absent: DNS (NAPTR), and the asking for others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType};
use tokio::net::UdpSocket;

use crate::handle;
use crate::process::NodeProcess;
use crate::resolve::Numbers;
use crate::stats::Line;
use crate::{Error, line};

/// How long an answer may take before its query counts as lost.
const LOST_AFTER: Duration = Duration::from_secs(2);

/// Who is asked.
#[derive(Clone, Copy)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) count: u64,
    pub(crate) language: Language,
}

/// What is spoken.
#[derive(Clone, Copy)]
pub(crate) enum Language {
    /// DNS to an echo: its answers are not looked at.
    Echo,
    /// DNS.
    Dns,
    /// The Handle protocol.
    Handle,
}

impl Language {
    fn query(self, id: u16, identifier: &str) -> Result<Vec<u8>, Error> {
        match self {
            Self::Echo | Self::Dns => query(id, identifier),
            Self::Handle => Ok(handle::query(u32::from(id), identifier)),
        }
    }

    fn check(self, bytes: &[u8], id: u16, there: bool) -> Result<(), Error> {
        match self {
            Self::Echo => Ok(()),
            Self::Dns => check(bytes, id, there),
            Self::Handle => handle::check(bytes, u32::from(id), there),
        }
    }
}

/// Queries to a node, so many in flight.
pub(crate) async fn queries(
    node: &NodeProcess,
    count: u64,
    in_flight: u64,
    time: Duration,
) -> Result<Line, Error> {
    let address = *node.addresses.dns.first().ok_or("DNS is off")?;
    let what = format!("DNS resolutions over UDP, {in_flight} in flight");
    ask(&what, Target { address, count, language: Language::Dns }, in_flight, time).await
}

/// Asks from so many sockets, one query in flight on each.
pub(crate) async fn ask(what: &str, target: Target, in_flight: u64, time: Duration) -> Result<Line, Error> {
    let start = Instant::now();
    let mut running = Vec::new();
    for seed in 0..in_flight {
        running.push(tokio::spawn(ask_alone(target, seed, start, time)));
    }
    let (mut latencies, mut lost) = (Vec::new(), 0_u64);
    for one in running {
        let (times, missed) = one.await??;
        latencies.extend(times);
        lost += missed;
    }
    let what = if lost == 0 { what.to_owned() } else { format!("{what} ({lost} lost)") };
    Ok(line(&what, latencies.len() as u64, start.elapsed(), &mut latencies))
}

async fn ask_alone(
    target: Target,
    seed: u64,
    start: Instant,
    time: Duration,
) -> Result<(Vec<Duration>, u64), Error> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(target.address).await?;
    let (mut numbers, mut latencies, mut lost) = (Numbers(seed), Vec::new(), 0);
    let mut buffer = [0; 4_096];
    let mut id = 0_u16;
    while start.elapsed() < time {
        id = id.wrapping_add(1);
        let (identifier, there) = numbers.asked(target.count);
        let query = target.language.query(id, &identifier)?;
        let begun = Instant::now();
        socket.send(&query).await?;
        let received = tokio::time::timeout(LOST_AFTER, socket.recv(&mut buffer)).await;
        let Ok(received) = received else {
            lost += 1;
            continue;
        };
        let bytes = buffer.get(..received?).unwrap_or_default();
        latencies.push(begun.elapsed());
        target.language.check(bytes, id, there)?;
    }
    Ok((latencies, lost))
}

fn query(id: u16, identifier: &str) -> Result<Vec<u8>, Error> {
    let (prefix, suffix) = identifier.split_once('/').ok_or("no identifier")?;
    let segments: Vec<&str> = prefix.rsplit('.').collect();
    let name = format!("{}.{}.id.internal.", suffix.to_ascii_lowercase(), segments.join("."));
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(Name::from_ascii(name)?, RecordType::NAPTR));
    Ok(message.to_vec()?)
}

fn check(bytes: &[u8], id: u16, there: bool) -> Result<(), Error> {
    let message = Message::from_vec(bytes)?;
    let expected = if there { (ResponseCode::NoError, 1) } else { (ResponseCode::NXDomain, 0) };
    if message.metadata.id == id && (message.metadata.response_code, message.answers.len()) == expected {
        return Ok(());
    }
    Err(format!("registered: {there}, answered: {message}").into())
}
