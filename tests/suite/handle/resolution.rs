//! Questions over both transports: what is answered, how it is cut, and in which order.

use idnode::store::EngineKind;
use idnode::wire::handle::code::{OpCode, OpFlags};
use idnode::wire::handle::envelope::EnvelopeFlags;
use idnode::wire::handle::site::SiteRecord;

use crate::support::clients::GrpcClient;
use crate::support::handle::{Request, TcpClient, UdpClient};
use crate::support::node::TestNode;

/// A node with one identifier of a short and one of a long value.
async fn node() -> (TestNode, GrpcClient) {
    let node = TestNode::start(EngineKind::Fjall).await;
    let client = node.client().await;
    client.home("88.118.8").await.expect("homed");
    client.register("88.118.8/SN1", "https://example.com/1").await.expect("registered");
    client.register("88.118.8/long", &"x".repeat(5_000)).await.expect("registered");
    (node, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_answered_alike_over_udp_and_tcp() {
    let (node, _) = node().await;
    let udp = UdpClient::connect(node.handle());
    let mut tcp = TcpClient::connect(node.handle());
    let expected = ("88.118.8/sn1".to_owned(), vec![(1, "https://example.com/1".to_owned())]);
    let questions = [
        Request::resolve("88.118.8/sn1"),
        Request::select("88.118.8/sn1", &[1], &[]),
        Request::select("88.118.8/sn1", &[7], &["url"]),
        // A client that wants everything it may see, and one that asks for its request's digest.
        Request::resolve("88.118.8/sn1").without(OpFlags::PUBLIC_ONLY),
    ];
    for question in questions {
        assert_eq!(udp.ask(&question).values(), expected, "{question:?}");
        assert_eq!(tcp.ask(&question).values(), expected, "{question:?}");
    }
    let codes = [
        (Request::resolve("88.118.8/absent"), 100),
        (Request::select("88.118.8/sn1", &[7], &[]), 200),
        (Request::select("88.118.8/sn1", &[0], &[""]), 200),
        (Request::resolve("77.7/x"), 301),
        (Request::resolve("a_b/x"), 102),
        (Request::new(OpCode::RESOLUTION, b"\0\0\0\x02\xff/\0\0\0\0\0\0\0\0".to_vec()), 100),
        (Request::new(OpCode::RESOLUTION, vec![0xff; 4]), 4),
        (Request::new(OpCode::RETRIEVE_TRANSACTIONS, Vec::new()), 5),
    ];
    for (question, code) in codes {
        let (by_udp, by_tcp) = (udp.ask(&question), tcp.ask(&question));
        assert_eq!((by_udp.code(), by_tcp.code()), (code, code), "{question:?}");
        assert!(!by_udp.sentence().is_empty(), "{question:?}");
        assert_eq!(by_udp.decoded().header.op, question.header.op);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digest_of_the_request_comes_back_when_asked_for() {
    let (node, _) = node().await;
    let request = Request::resolve("88.118.8/SN1").with(OpFlags::REQUEST_DIGEST);
    let response = TcpClient::connect(node.handle()).ask(&request);
    let message = response.message.clone();
    let signed = request.message();
    let digest = idnode::key::digest::DigestAlgorithm::Sha256.digest(&[&signed[..signed.len() - 4]]);
    assert!(response.decoded().header.flags.has(OpFlags::REQUEST_DIGEST));
    assert_eq!(message[24..24 + 33], [&[3], digest.as_slice()].concat());
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_messages_are_cut_and_put_together() {
    let (node, _) = node().await;
    // An answer of several datagrams is sent to an address that proved itself: by a connection.
    TcpClient::connect(node.handle()).ask(&Request::resolve("88.118.8/long"));
    let udp = UdpClient::connect(node.handle());
    let response = udp.ask(&Request::resolve("88.118.8/long"));
    assert_eq!(response.values().1, [(1, "x".repeat(5_000))]);
    // A question of three datagrams, in every order.
    let many: Vec<u32> = (1..300).collect();
    for order in [[0, 1, 2], [2, 1, 0], [1, 0, 2], [2, 0, 1]] {
        let mut question = Request::select("88.118.8/SN1", &many, &[]);
        question.envelope.flags = EnvelopeFlags::TRUNCATED;
        let packets = question.packets();
        assert_eq!(packets.len(), 3);
        let shuffled: Vec<Vec<u8>> = order.iter().map(|place| packets[*place].clone()).collect();
        udp.send(&shuffled);
        let response = udp.receive_answer(&question);
        assert_eq!(response.values().1.len(), 1);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_their_order() {
    let (node, client) = node().await;
    for number in 0..50 {
        client.register(&format!("88.118.8/P{number}"), &format!("u{number}")).await.expect("registered");
    }
    let mut tcp = TcpClient::connect(node.handle());
    let requests: Vec<Request> = (0..100)
        .map(|number| match number % 4 {
            0 => Request::new(OpCode::GET_SITE_INFO, vec![0, 0, 0, 1, b'/']),
            _ => Request::resolve(&format!("88.118.8/P{}", number % 50)),
        })
        .collect();
    tcp.send(&requests.iter().flat_map(Request::bytes).collect::<Vec<u8>>());
    for (number, request) in requests.iter().enumerate() {
        let response = tcp.receive();
        assert_eq!(response.envelope.request, request.envelope.request);
        if number % 4 != 0 {
            assert_eq!(response.values().1, [(1, format!("u{}", number % 50))]);
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_site_names_the_address_that_was_asked() {
    let (node, _) = node().await;
    let request = Request::new(OpCode::GET_SITE_INFO, vec![0, 0, 0, 1, b'/']);
    let address = node.handle();
    for response in [TcpClient::connect(address).ask(&request), UdpClient::connect(address).ask(&request)] {
        let message = response.message;
        let body = &message[24..message.len() - 4];
        let site = SiteRecord::decode(body).expect("a site");
        let server = site.servers.first().expect("a server");
        assert_eq!(server.address[12..], [127, 0, 0, 1]);
        let ports: Vec<u32> = server.interfaces.iter().map(|interface| interface.port).collect();
        assert_eq!(ports, [u32::from(address.port()); 2]);
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_read_is_refused_and_ends_the_connection() {
    let (node, _) = node().await;
    let mut tcp = TcpClient::connect(node.handle());
    let whole = Request::resolve("88.118.8/SN1");
    tcp.send(&whole.envelope.enclose(b"short"));
    let response = tcp.receive();
    assert_eq!((response.code(), response.envelope.request), (4, whole.envelope.request));
    assert!(tcp.try_receive().is_none(), "closed");
    let mut tcp = TcpClient::connect(node.handle());
    let mut bytes = whole.bytes();
    bytes[16..20].copy_from_slice(&0x7fff_ffff_u32.to_be_bytes());
    tcp.send(&bytes[..20]);
    assert_eq!(tcp.receive().code(), 4);
    assert!(tcp.try_receive().is_none(), "closed");
    node.stop().await;
}
