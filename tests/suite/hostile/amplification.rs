//! Datagrams with forged addresses: what an address is sent that never proved itself, and what proofs change.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::EdnsOption;
use idnode::front::dns::DnsOptions;
use idnode::front::listen::udp_rate_limit::UdpRateLimitOptions;
use idnode::wire::handle::code::{OpCode, OpFlags};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::conformance::zone::{Zone, options, question, with_edns};
use crate::support::clients::http_get;
use crate::support::handle::{
    Ask, Request, Signer, TcpClient, UdpClient, administered_with, value, with_values,
};
use crate::support::node::TestNode;
use crate::support::session::{ClientSession, Sealed};

/// Sixty values in some 1,100 octets.
const WIDE: &str = "mid.8.118.88.id.internal.";
/// An address that is not where other clients of this test are.
const VICTIM: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 66);

/// A limit without a rate: what is left is the burst, however long a test takes.
fn burst_only(burst_bytes: u32, proven_burst_bytes: u32) -> UdpRateLimitOptions {
    UdpRateLimitOptions {
        bytes_per_second: 0,
        burst_bytes,
        proven_bytes_per_second: 0,
        proven_burst_bytes,
        ..UdpRateLimitOptions::default()
    }
}

async fn zone(udp: UdpRateLimitOptions) -> Zone {
    let zone = Zone::start_with(DnsOptions { is_top: false, udp, ..options() }).await;
    let values = (1..=10).map(|n| crate::conformance::zone::value(n, "NOTE", &[b'n'; 80])).collect();
    zone.register("88.118.8/mid", values).await;
    zone
}

fn victim(server: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((VICTIM, 0)).expect("a socket");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a deadline");
    socket
}

/// Connects over TCP from the address of the victim: a proof that it takes part.
fn connect_as_victim(server: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::from(SocketAddr::from((VICTIM, 0)))).expect("bound");
    socket.connect(&SockAddr::from(server)).expect("connected");
    socket
}

/// Sends a message and receives its answer, again and again; the answers, none where none came.
fn ask_many(socket: &UdpSocket, message: &[u8], times: u32) -> Vec<Vec<u8>> {
    let mut answers = Vec::new();
    let mut buffer = [0; 2_048];
    for _ in 0..times {
        socket.send(message).expect("sent");
        if let Ok(length) = socket.recv(&mut buffer) {
            answers.push(buffer.get(..length).expect("within").to_vec());
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_answers_to_an_unproven_address_are_bounded_and_lead_to_tcp() {
    let zone = zone(burst_only(10_000, 100_000)).await;
    let asked = with_edns(question(WIDE, RecordType::TXT), 1_232).to_vec().expect("it encodes");
    let answers = ask_many(&victim(zone.address), &asked, 60);
    let received: usize = answers.iter().map(Vec::len).sum();
    assert!(received <= 60 * asked.len() + 10_000, "{received} octets for {} sent", 60 * asked.len());
    let decoded: Vec<Message> =
        answers.iter().map(|bytes| Message::from_vec(bytes).expect("it decodes")).collect();
    let (short, whole): (Vec<&Message>, Vec<&Message>) = decoded.iter().partition(|found| found.truncation);
    assert!(whole.len() >= 9 && whole.iter().all(|found| found.answers.len() == 10), "{}", whole.len());
    assert!(short.len() >= 20 && short.iter().all(|found| found.answers.is_empty()), "{}", short.len());
    for (found, bytes) in decoded.iter().zip(&answers) {
        assert!(
            !found.truncation || bytes.len() <= asked.len(),
            "a short answer is no larger than its question"
        );
    }
    // Over TCP the answer is whole, and other addresses have limits of their own.
    assert_eq!(zone.ask_tcp(WIDE, RecordType::TXT).await.answers.len(), 10);
    assert_eq!(zone.ask_edns(WIDE, RecordType::TXT).await.answers.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returned_dns_cookie_exempts_and_a_guessed_one_does_not() {
    let zone = zone(burst_only(0, 0)).await;
    let with_cookie = |cookie: &[u8]| {
        let mut message = with_edns(question(WIDE, RecordType::TXT), 1_232);
        let edns = message.edns.as_mut().expect("an OPT record");
        edns.options_mut().insert(EdnsOption::Unknown(10, cookie.to_vec()));
        message.to_vec().expect("it encodes")
    };
    let socket = victim(zone.address);
    // The short answer to a question with a client cookie completes it: 16 octets more than came.
    let asked = with_cookie(b"a cookie");
    let short = ask_many(&socket, &asked, 2).pop().expect("the first of two questions is answered");
    assert_eq!(short.len(), asked.len() + 16);
    let found = Message::from_vec(&short).expect("it decodes");
    assert!(found.truncation);
    let options = &found.edns.as_ref().expect("an OPT record").options().options;
    let completed = options.iter().find_map(|(_, option)| match option {
        EdnsOption::Unknown(10, data) => Some(data.clone()),
        _ => None,
    });
    let completed = completed.expect("a cookie");
    let whole = ask_many(&socket, &with_cookie(&completed), 10);
    assert_eq!(whole.len(), 10);
    assert!(whole.iter().all(|bytes| Message::from_vec(bytes).expect("it decodes").answers.len() == 10));
    let mut guessed = completed.clone();
    *guessed.last_mut().expect("octets") ^= 1;
    // Shown from another address it proves nothing either.
    let other = UdpSocket::bind("127.0.0.67:0").expect("a socket");
    other.connect(zone.address).expect("connected");
    other.set_read_timeout(Some(Duration::from_millis(300))).expect("a deadline");
    for (socket, cookie) in [(&socket, &guessed), (&other, &completed)] {
        for bytes in ask_many(socket, &with_cookie(cookie), 4) {
            assert!(Message::from_vec(&bytes).expect("it decodes").truncation);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dns_connection_raises_the_limit_of_its_address_and_does_not_lift_it() {
    let zone = zone(burst_only(0, 10_000)).await;
    let asked = with_edns(question(WIDE, RecordType::TXT), 1_232).to_vec().expect("it encodes");
    let socket = victim(zone.address);
    let whole = |answers: &[Vec<u8>]| {
        answers.iter().filter(|bytes| !Message::from_vec(bytes).expect("it decodes").truncation).count()
    };
    assert_eq!(whole(&ask_many(&socket, &asked, 4)), 0);
    let mut connection = connect_as_victim(zone.address);
    // The connection counts once it has begun to ask.
    let length = u16::try_from(asked.len()).expect("short").to_be_bytes();
    connection.write_all(&[length.as_slice(), &asked].concat()).expect("sent");
    let mut sent = 0;
    crate::support::eventually::eventually("the address is proved", || {
        sent = whole(&ask_many(&socket, &asked, 1));
        (sent > 0).then_some(())
    });
    let answers = ask_many(&socket, &asked, 20);
    let count = whole(&answers) + sent;
    assert!((9..=11).contains(&count), "{count} whole answers of 10,000 octets in all");
    assert_eq!(answers.len(), 20, "a proved address is always led to TCP");
}

/// Counts of the Handle protocol's answers over UDP, by outcome.
fn udp_answers(node: &TestNode, outcome: &str) -> u64 {
    let (_, page) = http_get(node.http(), "/metrics");
    let name = format!("idnode_handle_udp_answers_total{{outcome=\"{outcome}\"}} ");
    page.lines().find_map(|line| line.strip_prefix(&name)).expect("a counter").parse().expect("a number")
}

async fn handle_node(udp: UdpRateLimitOptions) -> TestNode {
    let node = administered_with(|config| config.udp = udp).await;
    node.client().await.register("88.118.8/large", &"x".repeat(60_000)).await.expect("registered");
    node
}

/// The code that Handle.Net's client takes for a reason to repeat its request over TCP.
const USE_TCP: u32 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn handle_answers_to_an_unproven_address_are_bounded_and_lead_to_tcp() {
    let node = handle_node(burst_only(100_000, 0)).await;
    let udp = UdpClient::connect(node.handle());
    let request = || Request::resolve("88.118.8/large");
    for _ in 0..4 {
        let request = request();
        let short = udp.ask(&request);
        assert_eq!((short.code(), short.sentence().as_str()), (USE_TCP, "use TCP"));
        assert!(short.message.len() <= request.message().len() + 48);
    }
    assert_eq!(udp_answers(&node, "sent"), 0, "no large answer, though nothing was sent before");
    let counted = ["slipped", "dropped"].map(|outcome| udp_answers(&node, outcome));
    assert!(counted.iter().all(|count| *count >= 3), "every second request is not answered: {counted:?}");
    assert_eq!(TcpClient::connect(node.handle()).ask(&request()).code(), 1);
    node.stop().await;
}

/// An answer of one datagram is many times as large as a request can be.
#[tokio::test(flavor = "multi_thread")]
async fn small_handle_answers_are_limited_as_well() {
    let node = handle_node(burst_only(0, 0)).await;
    let small = Request::select("0.NA/88.118.8", &[], &["HS_ADMIN"]);
    assert_eq!(UdpClient::connect(node.handle()).ask(&small).code(), USE_TCP);
    node.stop().await;
}

/// The caller has proved an identity; the signature makes its reply larger than its request.
#[tokio::test(flavor = "multi_thread")]
async fn the_outcome_of_a_change_is_sent_beyond_the_limit() {
    // Enough for the challenge; the answer to it proves the address, which may then be sent nothing more.
    let node = handle_node(UdpRateLimitOptions { slip: 1, ..burst_only(3_000, 0) }).await;
    let mut udp = UdpClient::connect(node.handle());
    let values = vec![value(1, "URL", b"https://example.com")];
    let create = with_values(OpCode::CREATE, "88.118.8/new", values).with(OpFlags::CERTIFY);
    let proof = Signer::secret().answer(&udp.ask(&create)).with(OpFlags::CERTIFY);
    let created = Ask::ask(&mut udp, &proof);
    assert_eq!(created.code(), 1);
    assert!(created.message.len() > proof.message().len());
    udp.send(&proof.packets());
    assert_eq!(udp.receive_answer(&proof).message, created.message, "repeated, it is reported again");
    assert_eq!(udp.ask(&Request::resolve("0.NA/88.118.8")).code(), USE_TCP);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_code_of_a_session_exempts_its_own_address() {
    // Enough for setting up a session.
    let node = handle_node(UdpRateLimitOptions { slip: 1, ..burst_only(3_000, 0) }).await;
    let mut udp = UdpClient::connect(node.handle());
    let mut session = ClientSession::agree(&mut udp);
    let large = || Request::resolve("88.118.8/large");
    let ask = |udp: &UdpClient, sealed: &Sealed| {
        udp.send(&sealed.packets());
        udp.receive_answer(&sealed.request).code()
    };
    for _ in 0..5 {
        let sealed = session.next(large());
        assert_eq!(ask(&udp, &sealed), 1);
    }
    assert_eq!(udp.ask(&large()).code(), USE_TCP, "without the code there is no exemption");
    // A forged address is not exempt either, even from the owner of a session.
    let forged = UdpClient::connect_from(VICTIM, node.handle());
    let sealed = session.next(large());
    assert_eq!(ask(&forged, &sealed), USE_TCP);
    node.stop().await;
}
