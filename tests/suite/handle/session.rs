//! Sessions, as the stock client opens one for every administrator's request.

use idnode::authority::caller::Caller;
use idnode::key::session::{Cipher, SessionKey};
use idnode::wire::handle::body::session::{Exchange, ExchangeKey, SessionReply};
use idnode::wire::handle::code::{OpCode, OpFlags, Version};
use idnode::wire::handle::credential::Credential;
use idnode::wire::handle::envelope::EnvelopeFlags;

use crate::support::handle::{
    Request, Response, Signer, TcpClient, UdpClient, administered, random, rsa_key, value, with_handle,
    with_values, withdrawal,
};
use crate::support::session::{ClientSession, Sealed, setup};

const ADMIN: &[u8] = b"\x0f\xff\0\0\0\x0d0.NA/88.118.8\0\0\0\0";

fn create(handle: &str) -> Request {
    with_values(OpCode::CREATE, handle, vec![value(1, "URL", b"u"), value(100, "HS_ADMIN", ADMIN)])
}

/// Sends a sealed request and receives its response, opened.
trait Tell {
    fn tell(&mut self, session: &ClientSession, sealed: &Sealed) -> Response;

    /// The same with the next request of a session.
    fn go_on(&mut self, session: &mut ClientSession, request: Request) -> Response {
        let sealed = session.next(request);
        self.tell(session, &sealed)
    }
}

impl Tell for TcpClient {
    fn tell(&mut self, session: &ClientSession, sealed: &Sealed) -> Response {
        self.send(&sealed.bytes());
        session.open(self.receive())
    }
}

impl Tell for UdpClient {
    fn tell(&mut self, session: &ClientSession, sealed: &Sealed) -> Response {
        self.send(&sealed.packets());
        session.open(self.receive_answer(&sealed.request))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_proved_once_over_both_transports() {
    let node = administered().await;
    let mut udp = UdpClient::connect(node.handle());
    let mut tcp = TcpClient::connect(node.handle());
    // As the stock client does: set up over UDP, go on over TCP.
    let mut session = ClientSession::agree(&mut udp);
    let challenge = tcp.go_on(&mut session, create("88.118.8/s1"));
    assert_eq!((challenge.code(), challenge.envelope.session), (402, session.id));
    let done = tcp.ask(&Signer::rsa().answer(&challenge));
    assert_eq!((done.code(), done.decoded().header.op), (1, OpCode::CREATE));
    // From now on the session's code is enough, whichever way.
    let add = with_values(OpCode::ADD_VALUE, "88.118.8/s1", vec![value(2, "NOTE", b"n")]);
    assert_eq!(udp.go_on(&mut session, add).code(), 1);
    let exists = create("88.118.8/s1").with(OpFlags::CERTIFY);
    let exists = tcp.go_on(&mut session, exists);
    assert_eq!(exists.code(), 101);
    assert_eq!(exists.decoded().credential.expect("a code").kind, Credential::MAC);
    // What is hidden comes encrypted, though nobody asked for that.
    let secret = Request::select("0.NA/88.118.8", &[301], &[]).without(OpFlags::PUBLIC_ONLY);
    let sealed = session.next(secret);
    tcp.send(&sealed.bytes());
    let response = tcp.receive();
    assert!(response.envelope.flags.has(EnvelopeFlags::ENCRYPTED));
    assert_eq!(session.open(response).values().1, [(301, "test-secret-key-1".to_owned())]);
    // Ended by whoever has its key; the reply is the server's.
    let end = with_handle(OpCode::SESSION_TERMINATE, "/").with(OpFlags::CERTIFY);
    let sealed = session.next(end);
    tcp.send(&sealed.bytes());
    let response = tcp.receive();
    assert_eq!(response.code(), 1);
    assert_eq!(response.decoded().credential.expect("a signature").kind, Credential::SIGNED);
    let late = session.next(create("88.118.8/s2"));
    tcp.send(&late.bytes());
    assert_eq!(tcp.receive().code(), 500);
    node.stop().await;
}

/// A key that is withdrawn takes the sessions with it that it proved; who has another key goes on in them.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_nobodys_once_its_key_is_withdrawn() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let mut session = ClientSession::agree(&mut tcp);
    let challenge = tcp.go_on(&mut session, create("88.118.8/k"));
    assert_eq!(tcp.ask(&Signer::sm2().answer(&challenge)).code(), 1);
    let add = |index: u32| with_values(OpCode::ADD_VALUE, "88.118.8/k", vec![value(index, "N", b"n")]);
    assert_eq!(tcp.go_on(&mut session, add(2)).code(), 1);

    let registry = node.node().registry();
    registry.apply_one(&Caller::Node, withdrawal(302)).await.expect("withdrawn");
    let hidden = Request::select("0.NA/88.118.8", &[301], &[]).without(OpFlags::PUBLIC_ONLY);
    let list = with_handle(OpCode::LIST_HANDLES, "0.NA/88.118.8");
    let homed = with_handle(OpCode::LIST_HOMED_PREFIXES, "/");
    let home = with_handle(OpCode::HOME_PREFIX, "0.NA/88.200");
    for request in [add(3), hidden.clone(), list, homed, home] {
        let challenge = tcp.go_on(&mut session, request);
        assert_eq!((challenge.code(), challenge.envelope.session), (402, session.id));
        let code = tcp.ask(&Signer::sm2().answer(&challenge)).code();
        assert!([400, 403].contains(&code), "its key opens nothing: {code}");
    }
    assert_eq!(tcp.go_on(&mut session, Request::resolve("88.118.8/k")).code(), 1, "reading is for all");
    let challenge = tcp.go_on(&mut session, add(3));
    assert_eq!(tcp.ask(&Signer::rsa().answer(&challenge)).code(), 1, "another key of theirs");
    assert_eq!(tcp.go_on(&mut session, hidden).values().1.len(), 1, "proved again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_may_be_encrypted() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let mut session = ClientSession::agree(&mut tcp);
    let sealed = session.next(create("88.118.8/e")).encrypted(&session);
    tcp.send(&sealed.bytes());
    let raw = tcp.receive();
    assert!(raw.envelope.flags.has(EnvelopeFlags::ENCRYPTED), "a reply to what was encrypted is, too");
    let challenge = session.open(raw);
    // An answer without a code, which proves nothing, is answered like noise, byte for byte, and changes nothing.
    let encrypted = |answer: Request| {
        let mut request = answer;
        request.envelope.request = 4_711;
        Sealed { message: request.message(), request }.encrypted(&session)
    };
    let another = encrypted(Signer { index: 301, ..Signer::sm2() }.answer(&challenge));
    let garbled = encrypted(Request { body: b"no answer".to_vec(), ..Signer::sm2().answer(&challenge) });
    let mut noise = another.clone();
    noise.message.iter_mut().for_each(|byte| *byte ^= 0xff);
    let mut replies = [&another, &garbled, &noise].map(|sealed| {
        tcp.send(&sealed.bytes());
        tcp.receive()
    });
    for response in &mut replies {
        assert_eq!((response.code(), response.envelope.flags), (502, EnvelopeFlags::NONE));
        // But for the time of the answer.
        response.message.get_mut(16..20).expect("a header").fill(0);
    }
    let [first, rest @ ..] = &replies;
    assert!(rest.iter().all(|other| (other.envelope, &other.message) == (first.envelope, &first.message)));
    let answer = encrypted(Signer::sm2().answer(&challenge));
    assert_eq!(tcp.tell(&session, &answer).code(), 1);
    let delete = session.next(with_handle(OpCode::DELETE, "88.118.8/e")).encrypted(&session);
    assert_eq!(tcp.tell(&session, &delete).code(), 1);
    // Encrypted is not authenticated: without a code it is answered like what cannot be decrypted.
    let mut bare = Request::select("88.118.8/e", &[], &[]);
    bare.envelope.session = session.id;
    let bare = Sealed { message: bare.message(), request: bare }.encrypted(&session);
    tcp.send(&bare.bytes());
    assert_eq!(tcp.receive().code(), 502);
    // What was not encrypted with the key is no message of the session, and the reasons cannot be distinguished.
    let mut broken = session.next(with_handle(OpCode::DELETE, "88.118.8/e")).encrypted(&session);
    for position in [0, 20, broken.message.len() - 1] {
        let byte = broken.message.get_mut(position).expect("within");
        *byte ^= 1;
        tcp.send(&broken.bytes());
        assert_eq!(tcp.receive().code(), 502, "{position}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_counts_once_and_only_with_the_key() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let mut session = ClientSession::agree(&mut tcp);
    let challenge = tcp.go_on(&mut session, create("88.118.8/r"));
    assert_eq!(tcp.ask(&Signer::rsa().answer(&challenge)).code(), 1);
    let add = |index: u32| with_values(OpCode::ADD_VALUE, "88.118.8/r", vec![value(index, "N", b"n")]);
    let sealed = session.next(add(2));
    assert_eq!(tcp.tell(&session, &sealed).code(), 1);
    tcp.send(&sealed.bytes());
    assert_eq!(tcp.receive().code(), 505, "replayed on a connection");
    // Within the window counts come in any order, each once; behind it none.
    for (count, code) in [(300, 1), (250, 1), (250, 505), (101, 1), (100, 505)] {
        let sealed = session.seal(add(1_000 + count), count);
        tcp.send(&sealed.bytes());
        assert_eq!(tcp.receive().code(), code, "{count}");
    }
    let mut forged = session.seal(add(9), 301);
    let last = forged.message.len() - 1;
    *forged.message.get_mut(last).expect("a byte") ^= 1;
    tcp.send(&forged.bytes());
    assert_eq!(tcp.receive().code(), 502);
    let mut altered = session.seal(add(9), 301);
    *altered.message.get_mut(60).expect("a byte") ^= 1;
    tcp.send(&altered.bytes());
    assert_eq!(tcp.receive().code(), 502);
    // Without a code the session's caller is nobody.
    let mut bare = add(9);
    bare.envelope.session = session.id;
    assert_eq!(tcp.ask(&bare).code(), 402);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_datagram_of_a_session_gets_its_reply_again() {
    let node = administered().await;
    let mut udp = UdpClient::connect(node.handle());
    let mut session = ClientSession::agree(&mut udp);
    let challenge = udp.go_on(&mut session, create("88.118.8/u"));
    assert_eq!(udp.ask(&Signer::rsa().answer(&challenge)).code(), 1);
    let add = session.next(with_values(OpCode::ADD_VALUE, "88.118.8/u", vec![value(2, "N", b"n")]));
    let first = udp.tell(&session, &add);
    let again = udp.tell(&session, &add);
    assert_eq!((first.code(), &first.message), (1, &again.message));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_also_be_sealed_to_rsa_keys() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let request = setup(Exchange::ServerKey);
    let response = tcp.ask(&request);
    assert_eq!(response.code(), 1, "{}", response.sentence());
    let body = response.decoded().body;
    let reply = SessionReply::decode(body.get(33..).expect("a body")).expect("a reply");
    let server = idnode::key::PublicKey::decode(reply.data).expect("the server's key");
    let key = SessionKey::generate(Cipher::Aes, &random);
    let sealed = key.seal(&server, Version::V2_10, &random).expect("sealed");
    let mut exchange = Request::new(OpCode::SESSION_EXCHANGE_KEY, ExchangeKey(&sealed).encode());
    exchange.envelope.session = response.envelope.session;
    assert_eq!(tcp.ask(&exchange).code(), 1);
    assert_eq!(tcp.ask(&exchange).code(), 500, "it has its key");
    let mut session = ClientSession::with(response.envelope.session, key);
    assert_eq!(tcp.go_on(&mut session, create("88.118.8/k")).code(), 402);

    let public = rsa_key().public().encode_blob();
    let response = tcp.ask(&setup(Exchange::ClientKey(&public)));
    let sealed = SessionReply::decode(response.decoded().body.get(33..).expect("a body")).expect("a reply");
    let key = SessionKey::unseal(&rsa_key(), Version::V2_10, sealed.data, &random).expect("a key");
    let mut session = ClientSession::with(response.envelope.session, key);
    assert_eq!(tcp.go_on(&mut session, create("88.118.8/k")).code(), 402);

    let response = tcp.ask(&setup(Exchange::KeyInHandle { handle: b"0.NA/88.118.8", index: 300 }));
    assert_eq!(response.code(), 1, "{}", response.sentence());
    let absent = tcp.ask(&setup(Exchange::KeyInHandle { handle: b"0.NA/88.118.8", index: 7 }));
    assert_eq!(absent.code(), 501);
    assert_eq!(tcp.ask(&setup(Exchange::DiffieHellman(b"nonsense"))).code(), 501);
    assert_eq!(tcp.ask(&setup(Exchange::Unknown(9))).code(), 504);
    node.stop().await;
}
