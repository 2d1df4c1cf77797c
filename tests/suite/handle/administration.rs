//! Changes by administrators, each with a challenge: what is done, what is refused, and in which order it is checked.

use idnode::authority::caller::Caller;
use idnode::wire::handle::body::challenge::{Challenge, ChallengeAnswer};
use idnode::wire::handle::body::{HandleAndIndexes, HandleAndValues, HandleOnly, Login, Names};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};

use crate::support::handle::{
    Ask, Request, Response, SECRET, Signer, SignerKey, TcpClient, UdpClient, administered, rsa_key, value,
    with_handle, with_values, withdrawal,
};

fn create(handle: &str) -> Request {
    let values = vec![value(1, "URL", b"https://example.com/1"), value(100, "HS_ADMIN", ADMIN)];
    with_values(OpCode::CREATE, handle, values)
}

/// An HS_ADMIN with every permission for 300:0.NA/88.118.8, then one for the two others.
const ADMIN: &[u8] = b"\x0f\xff\0\0\0\x0d0.NA/88.118.8\0\0\0\0";

fn remove_values(handle: &str, indexes: &[u32]) -> Request {
    let body = HandleAndIndexes { handle: handle.as_bytes(), indexes: indexes.to_vec() };
    Request::new(OpCode::REMOVE_VALUE, body.encode())
}

/// Every change, in a life of an identifier.
fn live(client: &mut impl Ask, signer: &Signer, handle: &str) {
    let done = |client: &mut _, request: &Request| {
        let response = Ask::ask_as(client, signer, request);
        assert_eq!(response.code(), 1, "{}: {}", request.header.op, response.sentence());
        // The success of an answer to a challenge is that of the operation asked for.
        assert_eq!(response.decoded().header.op, request.header.op);
        assert_eq!(response.envelope.session, 0);
        response
    };
    let has_overwritten = |response: &Response| response.decoded().header.flags.has(OpFlags::OVERWRITE);
    let created = done(client, &create(handle));
    assert!(!has_overwritten(&created));
    assert_eq!(HandleOnly::decode(created.decoded().body).expect("a handle"), HandleOnly(handle.as_bytes()));
    assert_eq!(client.ask_as(signer, &create(handle)).code(), 101);
    let overwritten = done(client, &create(handle).with(OpFlags::OVERWRITE));
    assert!(overwritten.decoded().header.flags.has(OpFlags::AUTHORITATIVE) && has_overwritten(&overwritten));
    done(client, &with_values(OpCode::ADD_VALUE, handle, vec![value(2, "EMAIL", b"a@b")]));
    let again = with_values(OpCode::ADD_VALUE, handle, vec![value(2, "EMAIL", b"c@d")]);
    assert_eq!(client.ask_as(signer, &again).code(), 201);
    assert!(has_overwritten(&done(client, &again.with(OpFlags::OVERWRITE))));
    let free = with_values(OpCode::ADD_VALUE, handle, vec![value(3, "NOTE", b"n")]);
    assert!(!has_overwritten(&done(client, &free.with(OpFlags::OVERWRITE))), "nothing was there");
    done(client, &with_values(OpCode::MODIFY_VALUE, handle, vec![value(1, "URL", b"https://example.com/2")]));
    assert!(!has_overwritten(&done(client, &remove_values(handle, &[2]))));
    assert_eq!(client.ask_as(signer, &remove_values(handle, &[2])).code(), 200);
    let (_, values) = client.ask(&Request::select(handle, &[], &["URL", "EMAIL"])).values();
    assert_eq!(values, [(1, "https://example.com/2".to_owned())]);
    done(client, &with_handle(OpCode::DELETE, handle));
    assert_eq!(client.ask(&Request::resolve(handle)).code(), 100);
    assert_eq!(client.ask_as(signer, &with_handle(OpCode::DELETE, handle)).code(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_lives_over_udp_and_tcp_with_every_kind_of_key() {
    let node = administered().await;
    let mut udp = UdpClient::connect(node.handle());
    let mut tcp = TcpClient::connect(node.handle());
    for (number, signer) in [Signer::rsa(), Signer::secret(), Signer::sm2()].iter().enumerate() {
        live(&mut udp, signer, &format!("88.118.8/udp{number}"));
        live(&mut tcp, signer, &format!("88.118.8/tcp{number}"));
    }
    node.stop().await;
}

/// Clients before 2.1 read a challenge without the flag for digests, and answer it by MD5 with a secret key.
#[tokio::test(flavor = "multi_thread")]
async fn clients_of_version_2_0_administer() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let mut udp = UdpClient::connect(node.handle());
    let old_secret = Signer { key: SignerKey::OldSecret(SECRET.to_vec()), ..Signer::secret() };
    for (number, version) in (0..).zip([Version::V2_0, Version::new(5, 0)]) {
        for (name, signer) in [("s", &old_secret), ("r", &Signer::rsa())] {
            let handle = format!("88.118.8/old-{name}{number}");
            let asked = create(&handle).with(OpFlags::REQUEST_DIGEST).in_version(version);
            let challenge = tcp.ask(&asked);
            let message = challenge.decoded();
            assert!(!message.header.flags.has(OpFlags::REQUEST_DIGEST), "{version}");
            let body = Challenge::decode(message.body, version).expect("nonce, then digest");
            assert_eq!((body.nonce.len(), body.digest.digest.len()), (16, 16), "{version}: MD5");
            let created = tcp.ask(&signer.answer(&challenge));
            assert_eq!(created.code(), 1, "{version} {name}: {}", created.sentence());
            assert!(!created.decoded().header.flags.has(OpFlags::REQUEST_DIGEST));
            let found = udp.ask(&Request::select(&handle, &[1], &[]).in_version(version));
            assert_eq!(found.values().1, [(1, "https://example.com/1".to_owned())]);
            let delete = with_handle(OpCode::DELETE, &handle).in_version(version);
            assert_eq!(udp.ask_as(signer, &delete).code(), 1, "{version} {name}");
        }
    }
    let challenge = tcp.ask(&create("88.118.8/new"));
    let refused = tcp.ask(&old_secret.answer(&challenge));
    assert_eq!(refused.code(), 404, "a client that can do better: {}", refused.sentence());
    assert!(refused.sentence().contains("secret keys do not work with MD5"), "{}", refused.sentence());
    let between = create("88.118.8/new").in_version(Version::V2_1);
    assert_eq!(tcp.ask_as(&old_secret, &between).code(), 404);
    assert_eq!(tcp.ask(&Request::resolve("88.118.8/new")).code(), 100, "nothing was created");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_record_is_not_overwritten_by_values_without_administrator() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let values = vec![value(1, "URL", b"https://example.com")];
    let overwrite = with_values(OpCode::CREATE, "0.NA/88.118.8", values).with(OpFlags::OVERWRITE);
    let refused = tcp.ask_as(&Signer::rsa(), &overwrite);
    assert_eq!(refused.code(), 202);
    assert!(
        refused.sentence().contains("name administrators")
            || refused.sentence().contains("names administrators"),
        "{}",
        refused.sentence()
    );
    assert_eq!(tcp.ask_as(&Signer::rsa(), &create("88.118.8/next")).code(), 1, "the administrator stays");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suffix_is_minted() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let request = create("88.118.8/m-").with(OpFlags::MINT);
    let response = tcp.ask_as(&Signer::rsa(), &request);
    assert_eq!(response.code(), 1, "{}", response.sentence());
    let HandleOnly(minted) = HandleOnly::decode(response.decoded().body).expect("a handle");
    let minted = String::from_utf8(minted.to_vec()).expect("UTF-8");
    assert!(minted.starts_with("88.118.8/m-") && minted.len() > 20, "{minted}");
    assert_eq!(tcp.ask(&Request::resolve(&minted)).code(), 1);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_malformed_or_elsewhere_is_refused_before_a_challenge() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let url = || value(1, "URL", b"u");
    let add = |values| with_values(OpCode::ADD_VALUE, "88.118.8/x", values);
    let cases = [
        (create("77.7/x"), 301),
        (with_handle(OpCode::DELETE, "77.7/x"), 301),
        (with_handle(OpCode::LIST_HANDLES, "0.NA/77.7"), 301),
        (with_values(OpCode::CREATE, "77.7/x", vec![value(0, "URL", b"u")]), 301),
        (create("88_1/x"), 102),
        (with_handle(OpCode::HOME_PREFIX, "88.118.8/x"), 102),
        (with_values(OpCode::CREATE, "88.118.8/x", vec![value(0, "URL", b"u")]), 202),
        (with_values(OpCode::CREATE, "88.118.8/x", vec![url(), url()]), 201),
        (add(Vec::new()), 202),
        (add(vec![url(), url()]), 201),
        (remove_values("88.118.8/x", &[0]), 200),
        (create("88.118.8/x"), 402),
        (add(vec![url()]), 402),
        (remove_values("88.118.8/x", &[1]), 402),
        (with_handle(OpCode::DELETE, "88.118.8/x"), 402),
        (with_handle(OpCode::LIST_HANDLES, "0.NA/88.118.8"), 402),
        (with_handle(OpCode::LIST_HOMED_PREFIXES, "/"), 402),
        (with_handle(OpCode::HOME_PREFIX, "0.NA/88.118.9"), 402),
        // Whether a value may be written by anybody is to be seen first.
        (with_values(OpCode::MODIFY_VALUE, "88.118.8/x", vec![url()]), 100),
        (with_values(OpCode::MODIFY_VALUE, "0.NA/88.118.8", vec![url()]), 200),
    ];
    for (request, code) in cases {
        assert_eq!(tcp.ask(&request).code(), code, "{} {:?}", request.header.op, request.body);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_proof_proves_nothing() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let wrong = |index: u32, key: SignerKey| Signer { user: "0.NA/88.118.8".into(), index, key };
    let rsa = || SignerKey::Private(std::sync::Arc::new(rsa_key()));
    let other_party = Signer { user: "0.NA/77.7".into(), index: 300, key: rsa() };
    let cases = [
        (wrong(301, SignerKey::Secret(b"another".to_vec())), 403),
        (wrong(302, rsa()), 403),
        // Not an administrator, which only a proved identity learns.
        (wrong(309, rsa()), 403),
        (other_party, 406),
    ];
    for (signer, code) in cases {
        let response = tcp.ask_as(&signer, &create("88.118.8/x"));
        assert_eq!(response.code(), code, "{}:{} {}", signer.index, signer.user, response.sentence());
        assert_eq!(response.decoded().header.op, OpCode::CREATE);
    }
    let challenge = tcp.ask(&create("88.118.8/x"));
    let answer = ChallengeAnswer { kind: b"HS_OTHER", user: b"0.NA/88.118.8", index: 300, answer: b"" };
    let mut unknown = Request::new(OpCode::CHALLENGE_RESPONSE, answer.encode());
    unknown.envelope.session = challenge.envelope.session;
    assert_eq!(tcp.ask(&unknown).code(), 404);
    assert_eq!(tcp.ask(&Request::resolve("88.118.8/x")).code(), 100, "nothing was created");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_once() {
    let node = administered().await;
    let (mut tcp, mut other) = (TcpClient::connect(node.handle()), TcpClient::connect(node.handle()));
    let challenge = tcp.ask(&create("88.118.8/once"));
    let answer = Signer::rsa().answer(&challenge);
    // A one-shot client answers on another connection.
    assert_eq!(other.ask(&answer).code(), 1);
    assert_eq!(tcp.ask(&answer).code(), 405, "used up");
    let wrong = Signer { key: SignerKey::Secret(b"guess".to_vec()), ..Signer::secret() };
    let challenge = tcp.ask(&create("88.118.8/guess"));
    assert_eq!(tcp.ask(&wrong.answer(&challenge)).code(), 403);
    assert_eq!(tcp.ask(&Signer::secret().answer(&challenge)).code(), 405, "one guess a challenge");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_values_are_for_administrators() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let secret = Request::select("0.NA/88.118.8", &[301], &[]);
    assert_eq!(tcp.ask(&secret).code(), 200, "for the public it is not there");
    let secret = secret.without(OpFlags::PUBLIC_ONLY);
    assert_eq!(tcp.ask(&secret).code(), 402);
    let (_, values) = tcp.ask_as(&Signer::rsa(), &secret).values();
    assert_eq!(values, [(301, "test-secret-key-1".to_owned())]);
    let other_party = Signer { index: 309, ..Signer::rsa() };
    assert_eq!(tcp.ask_as(&other_party, &secret).code(), 403);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_holds_for_its_connection_and_session_id() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    for signer in [Signer::rsa(), Signer::sm2()] {
        let id = 10_000 + signer.index;
        let mut login = Request::new(
            OpCode::LOGIN_KEY,
            Login { user: signer.user.as_bytes(), index: signer.index }.encode(),
        );
        login.header.flags = OpFlags::REQUEST_DIGEST;
        login.envelope.session = id;
        let challenge = tcp.ask(&login);
        assert_eq!(challenge.envelope.session, id, "the client's own id");
        let another = Signer { index: 301, ..Signer::secret() };
        assert_eq!(tcp.ask(&another.answer(&challenge)).code(), 403, "somebody else's proof");
        let response = tcp.ask_as(&signer, &login);
        assert_eq!((response.code(), response.decoded().header.op), (1, OpCode::LOGIN_KEY));
        let handle = format!("88.118.8/login{id}");
        let within = |mut request: Request| {
            request.envelope.session = id;
            request
        };
        assert_eq!(tcp.ask(&within(create(&handle))).code(), 1, "no challenge after a login");
        let secret = Request::select("0.NA/88.118.8", &[301], &[]).without(OpFlags::PUBLIC_ONLY);
        assert_eq!(tcp.ask(&within(secret)).values().1.len(), 1);
        // Neither without the id nor on another connection.
        assert_eq!(tcp.ask(&with_handle(OpCode::DELETE, &handle)).code(), 402);
        let mut other = TcpClient::connect(node.handle());
        assert_eq!(other.ask(&within(with_handle(OpCode::DELETE, &handle))).code(), 402);
        assert_eq!(other.ask(&within(Request::resolve(&handle))).code(), 1, "reading is for all");
        assert_eq!(tcp.ask(&within(with_handle(OpCode::DELETE, &handle))).code(), 1);
    }
    let login = Request::new(OpCode::LOGIN_KEY, Login { user: b"0.NA/88.118.8", index: 300 }.encode());
    assert_eq!(UdpClient::connect(node.handle()).ask(&login).code(), 5, "a datagram has no connection");
    node.stop().await;
}

/// Clients that log in take a challenge to anything else for a success: an error and a closed connection tell them.
#[tokio::test(flavor = "multi_thread")]
async fn a_login_ends_with_its_connection_once_its_key_is_withdrawn() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let log_in = |tcp: &mut TcpClient, signer: &Signer, id: u32| {
        let body = Login { user: signer.user.as_bytes(), index: signer.index }.encode();
        let mut login = Request::new(OpCode::LOGIN_KEY, body);
        login.envelope.session = id;
        tcp.ask_as(signer, &login).code()
    };
    let within = |id: u32, mut request: Request| {
        request.envelope.session = id;
        request
    };
    assert_eq!((log_in(&mut tcp, &Signer::sm2(), 7), log_in(&mut tcp, &Signer::rsa(), 8)), (1, 1));
    assert_eq!(tcp.ask(&within(7, create("88.118.8/k1"))).code(), 1);
    let registry = node.node().registry();
    registry.apply_one(&Caller::Node, withdrawal(302)).await.expect("withdrawn");
    assert_eq!(tcp.ask(&within(8, create("88.118.8/k2"))).code(), 1, "another key still stands");
    assert_eq!(tcp.ask(&within(7, Request::resolve("88.118.8/k1"))).code(), 1, "reading is for all");
    let over = tcp.ask(&within(7, create("88.118.8/k3")));
    assert_eq!((over.code(), over.decoded().header.op), (500, OpCode::CREATE), "{}", over.sentence());
    assert!(tcp.try_receive().is_none(), "the connection is closed");
    let mut again = TcpClient::connect(node.handle());
    assert_eq!(log_in(&mut again, &Signer::sm2(), 7), 403);
    assert_eq!(log_in(&mut again, &Signer::rsa(), 7), 1);
    assert_eq!(again.ask(&Request::resolve("88.118.8/k3")).code(), 100, "nothing was created");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_are_homed_and_unhomed_by_administrators_of_the_node() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let home = with_handle(OpCode::HOME_PREFIX, "0.NA/88.200");
    let unhome = with_handle(OpCode::UNHOME_PREFIX, "0.NA/88.200");
    assert_eq!(tcp.ask(&Request::resolve("88.200/x")).code(), 301);
    assert_eq!(tcp.ask_as(&Signer::secret(), &home).code(), 400, "not one of the node's");
    assert_eq!(tcp.ask_as(&Signer::rsa(), &home).code(), 1);
    assert_eq!(tcp.ask(&Request::resolve("88.200/x")).code(), 100);
    let homed = tcp.ask_as(&Signer::rsa(), &with_handle(OpCode::LIST_HOMED_PREFIXES, "/"));
    let message = homed.decoded();
    let names = Names::decode(message.body).expect("names");
    assert_eq!(names.0, [b"0.NA/88.118.8".as_slice(), b"0.NA/88.200"]);
    let client = node.client().await;
    for identifier in ["0.NA/88.200", "88.200/x"] {
        client.register(identifier, "u").await.expect("registered");
    }
    assert_eq!(tcp.ask_as(&Signer::rsa(), &unhome).code(), 1);
    assert_eq!(tcp.ask(&Request::resolve("88.200/x")).code(), 301);
    // What is left over of the prefix can be removed, and nothing else.
    let remove = with_handle(OpCode::DELETE, "0.NA/88.200");
    assert_eq!(tcp.ask(&Request::resolve("0.NA/88.200")).code(), 301);
    assert_eq!(tcp.ask_as(&Signer::secret(), &remove).code(), 400, "not one of the node's");
    let change = with_values(OpCode::ADD_VALUE, "0.NA/88.200", vec![value(2, "NOTE", b"n")]);
    assert_eq!(tcp.ask(&change).code(), 301);
    assert_eq!(tcp.ask(&with_handle(OpCode::DELETE, "88.200/x")).code(), 301);
    assert_eq!(tcp.ask_as(&Signer::rsa(), &remove).code(), 1);
    assert_eq!(tcp.ask_as(&Signer::rsa(), &remove).code(), 100, "it is not there any more");
    assert_eq!(tcp.ask_as(&Signer::rsa(), &home).code(), 1);
    assert_eq!(tcp.ask(&Request::resolve("0.NA/88.200")).code(), 100);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_comes_in_messages_of_fifty_names() {
    let node = administered().await;
    let client = node.client().await;
    for number in 0..120 {
        client.register(&format!("88.118.8/L{number:03}"), "u").await.expect("registered");
    }
    let mut tcp = TcpClient::connect(node.handle());
    let list = with_handle(OpCode::LIST_HANDLES, "0.NA/88.118.8");
    let challenge = tcp.ask(&list);
    let answer = Signer::rsa().answer(&challenge);
    tcp.send(&answer.bytes());
    let (mut names, mut sizes) = (Vec::new(), Vec::new());
    loop {
        let response = tcp.receive();
        assert_eq!(response.envelope.request, answer.envelope.request);
        let message = response.decoded();
        let part = Names::decode(message.body).expect("names");
        sizes.push(part.0.len());
        names.extend(part.0.iter().map(|name| String::from_utf8_lossy(name).into_owned()));
        if !message.header.flags.has(OpFlags::CONTINUOUS) {
            break;
        }
    }
    assert_eq!(sizes, [50, 50, 20]);
    let expected: Vec<String> = (0..120).map(|number| format!("88.118.8/L{number:03}")).collect();
    assert_eq!(names, expected);
    // The connection goes on, and datagrams say where to ask instead.
    assert_eq!(tcp.ask(&Request::resolve("88.118.8/L000")).code(), 1);
    let mut udp = UdpClient::connect(node.handle());
    assert_eq!(udp.ask_as(&Signer::rsa(), &list).code(), 5);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_for_everybody_is_written_without_a_challenge() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let mut open = value(5, "NOTE", b"first");
    open.permissions = 0x0f;
    let create =
        with_values(OpCode::CREATE, "88.118.8/open", vec![open.clone(), value(100, "HS_ADMIN", ADMIN)]);
    assert_eq!(tcp.ask_as(&Signer::rsa(), &create).code(), 1);
    open.data = b"second";
    assert_eq!(tcp.ask(&with_values(OpCode::MODIFY_VALUE, "88.118.8/open", vec![open])).code(), 1);
    let (_, values) = tcp.ask(&Request::select("88.118.8/open", &[5], &[])).values();
    assert_eq!(values, [(5, "second".to_owned())]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retransmitted_request_runs_once() {
    let node = administered().await;
    let udp = UdpClient::connect(node.handle());
    let signer = Signer::rsa();
    let challenge = udp.ask(&create("88.118.8/twice"));
    let answer = signer.answer(&challenge);
    let first = udp.ask(&answer);
    assert_eq!(first.code(), 1);
    for _ in 0..3 {
        let again = udp.ask(&answer);
        assert_eq!(again.message, first.message, "the cached reply, to the byte");
    }
    // The challenge itself is cached, too: the answer to the first fits the second.
    let add = with_values(OpCode::ADD_VALUE, "88.118.8/twice", vec![value(7, "NOTE", b"n")]);
    let (one, two) = (udp.ask(&add), udp.ask(&add));
    assert_eq!(one.message, two.message);
    let answer = signer.answer(&one);
    udp.send(&[answer.packets(), answer.packets(), answer.packets()].concat());
    assert_eq!(udp.receive_answer(&answer).code(), 1);
    let sequence = node.node().store().head().sequence;
    assert_eq!(udp.ask(&answer).code(), 1);
    assert_eq!(node.node().store().head().sequence, sequence, "nothing ran again");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_transaction_is_reported_and_not_moved() {
    let node = administered().await;
    let mut tcp = TcpClient::connect(node.handle());
    let ask = with_handle(OpCode::NEXT_TRANSACTION_ID, "0.SITE/NEXT-TXN-ID");
    let (one, two) = (tcp.ask(&ask), tcp.ask(&ask));
    assert_eq!(one.decoded().header.response, ResponseCode::SUCCESS);
    assert_eq!(one.decoded().body, two.decoded().body);
    assert_eq!(one.decoded().body, node.node().store().head().sequence.to_be_bytes());
    // An unrelated body is no trouble, nor is one too long.
    let long = HandleAndValues { handle: b"/", values: vec![value(1, "X", b"y")] };
    assert_eq!(tcp.ask(&Request::new(OpCode::NEXT_TRANSACTION_ID, long.encode())).code(), 1);
    node.stop().await;
}
