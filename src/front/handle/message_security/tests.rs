//! Replies that cannot be signed.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::{Closed, Message, PrivateKey, Responder, Source};
use crate::front::handle::challenge::Challenges;
use crate::front::handle::frame::Frame;
use crate::front::handle::reply::Reply;
use crate::front::handle::session::Sessions;
use crate::front::listen::bounds::{CRYPTO_WORK, HANDLE_CHALLENGES, HANDLE_SESSIONS};
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::source::Exemptions;
use crate::front::listen::udp_rate_limit::{UdpRateLimit, UdpRateLimitOptions};
use crate::registry::tests::fixture::Fixture;
use crate::resolver::{Resolver, ResolverOptions};
use crate::store::EngineKind;
use crate::wire::cursor::Reader;
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Header, encode_message};

fn responder(fixture: &Fixture, crypto_pool: &Arc<CryptoPool>) -> Responder {
    let server_key = PrivateKey::generate_sm2(&|bytes: &mut [u8]| bytes.fill(7));
    let resolver =
        Resolver::new(fixture.store.clone(), fixture.authority.clone(), ResolverOptions::default());
    Responder {
        registry: Arc::clone(&fixture.registry),
        authority: fixture.authority.clone(),
        resolver: Arc::new(resolver),
        public_key: Vec::new(),
        server_key: Arc::new(server_key),
        sessions: Sessions::new(HANDLE_SESSIONS),
        challenges: Challenges::new(HANDLE_CHALLENGES),
        crypto_pool: Arc::clone(crypto_pool),
        exemptions: Exemptions::default(),
        rate_limit: UdpRateLimit::new(&UdpRateLimitOptions::default(), Instant::now()),
        counters: Arc::default(),
    }
}

/// The frame of replies to a request that wants them signed.
fn certified_frame() -> Frame {
    let envelope = Envelope {
        version: Version::V2_10,
        suggested: Version::V2_10,
        flags: EnvelopeFlags::NONE,
        session: 0,
        request: 7,
        sequence: 0,
        message_bytes: 0,
    };
    let header = Header {
        op: OpCode::RESOLUTION,
        response: ResponseCode::NONE,
        flags: OpFlags::CERTIFY,
        serial: Header::SERIAL_UNKNOWN,
        recursion: 0,
        expires: u32::MAX,
    };
    let message = encode_message(&header, b"", None);
    Frame::new(envelope, &Message::decode(&message).expect("a message"))
}

/// The response code of a message, and whether it is signed.
fn read(bytes: &[u8]) -> (ResponseCode, bool) {
    Envelope::decode(&mut Reader::new(bytes)).expect("an envelope");
    let message = Message::decode(bytes.get(ENVELOPE_BYTES..).expect("a message")).expect("a message");
    (message.header.response, message.credential.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_cannot_be_signed_is_a_failure_unless_it_reports_a_change() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let crypto_pool = Arc::new(CryptoPool::default());
    let (responder, frame) = (responder(&fixture, &crypto_pool), certified_frame());
    let source = Source::of(IpAddr::from([127, 0, 0, 1]));
    let close = async |reply: &Reply| responder.close(source, &frame, None, reply).await;

    let (open, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let work = || {
        let gate = Arc::clone(&gate);
        Box::pin(crypto_pool.run(source, move || {
            let _open = gate.lock().map(|gate| gate.recv());
        }))
    };
    let mut queued: Vec<_> = (0..CRYPTO_WORK.per_source).map(|_| work()).collect();
    assert!(queued.iter_mut().all(|one| one.now_or_never().is_none()), "the share of the source is queued");

    match close(&Reply::success(Vec::new())).await {
        Closed::Failed(bytes) => assert_eq!(read(&bytes), (ResponseCode::SERVER_BUSY, false)),
        Closed::Reported(bytes) => panic!("{:?}", read(&bytes)),
    }
    match close(&Reply::changed(Vec::new())).await {
        Closed::Reported(bytes) => assert_eq!(read(&bytes), (ResponseCode::SUCCESS, false)),
        Closed::Failed(bytes) => panic!("{:?}", read(&bytes)),
    }
    drop(open);
    assert!(join_all(queued).await.iter().all(Result::is_ok));
    match close(&Reply::success(Vec::new())).await {
        Closed::Reported(bytes) => assert_eq!(read(&bytes), (ResponseCode::SUCCESS, true)),
        Closed::Failed(bytes) => panic!("{:?}", read(&bytes)),
    }
}
