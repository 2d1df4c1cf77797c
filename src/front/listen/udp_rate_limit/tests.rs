//! What sources are sent by what they proved; the clock is passed in.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{AddressProof, Exchanged, PROVEN_FOR, UdpDecision, UdpRateLimit, UdpRateLimitOptions};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const LARGE: Exchanged = Exchanged { request: 100, answer: 1_100 };
const SECOND: Duration = Duration::from_secs(1);

fn options() -> UdpRateLimitOptions {
    UdpRateLimitOptions {
        answer_bytes_max: 1_280,
        bytes_per_second: 2_000,
        burst_bytes: 10_000,
        proven_bytes_per_second: 20_000,
        proven_burst_bytes: 100_000,
        slip: 2,
        exempt_networks: Vec::new(),
    }
}

/// How many large answers out of a thousand are sent, slipped and dropped.
fn judged(limit: &UdpRateLimit, proof: AddressProof, now: Instant) -> (usize, usize, usize) {
    let verdicts: Vec<UdpDecision> = (0..1_000).map(|_| limit.decide(CLIENT, proof, LARGE, now)).collect();
    let count = |verdict| verdicts.iter().filter(|found| **found == verdict).count();
    (count(UdpDecision::Send), count(UdpDecision::Slip), count(UdpDecision::Drop))
}

#[test]
fn an_unproven_source_is_sent_its_burst_and_its_rate() {
    let start = Instant::now();
    let limit = UdpRateLimit::new(&options(), start);
    assert_eq!(judged(&limit, AddressProof::Missing, start), (10, 495, 495));
    assert_eq!(judged(&limit, AddressProof::Missing, start + SECOND), (2, 499, 499));
    assert_eq!(judged(&limit, AddressProof::Missing, start + 60 * SECOND), (10, 495, 495));
    let counters = limit.counters();
    let counts =
        [&counters.sent, &counters.slipped, &counters.dropped].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counts, [22, 1_489, 1_489]);
}

#[test]
fn what_is_no_larger_than_its_request_is_always_sent() {
    let start = Instant::now();
    let limit = UdpRateLimit::new(&options(), start);
    judged(&limit, AddressProof::Missing, start);
    let equal = Exchanged { request: 60, answer: 60 };
    assert_eq!(limit.decide(CLIENT, AddressProof::Missing, equal, start), UdpDecision::Send);
}

/// However little was sent before: one small request must not draw many datagrams to an address that may be forged.
#[test]
fn an_unproven_source_is_sent_no_large_answer() {
    let start = Instant::now();
    let limit = UdpRateLimit::new(&options(), start);
    let decide =
        |answer| limit.decide(CLIENT, AddressProof::Missing, Exchanged { request: 100, answer }, start);
    assert_eq!(decide(1_281), UdpDecision::Slip, "the first one leads to TCP");
    assert_eq!((decide(1_281), decide(1_281)), (UdpDecision::Drop, UdpDecision::Slip));
    assert_eq!(decide(1_280), UdpDecision::Send, "nothing was paid for what was not sent");
    limit.prove(CLIENT, start);
    assert_eq!(decide(60_000), UdpDecision::Send);
}

#[test]
fn only_proof_in_the_datagram_itself_exempts() {
    let start = Instant::now();
    let limit = UdpRateLimit::new(&options(), start);
    // Of the datagrams behind it, it is a proof of lately.
    assert_eq!(judged(&limit, AddressProof::Given, start), (1_000, 0, 0));
    assert_eq!(judged(&limit, AddressProof::Missing, start), (100, 900, 0), "larger, and bounded");
    assert_eq!(judged(&limit, AddressProof::Missing, start + SECOND), (20, 980, 0));
    let late = start + PROVEN_FOR;
    assert_eq!(
        judged(&limit, AddressProof::Missing, late),
        (10, 495, 495),
        "a proof of long ago counts no more"
    );
}

#[test]
fn a_proof_counts_for_its_own_source() {
    let start = Instant::now();
    let limit = UdpRateLimit::new(&options(), start);
    limit.prove("192.0.2.2".parse().expect("an address"), start);
    assert_eq!(judged(&limit, AddressProof::Missing, start).0, 10);
    // An IPv6 client chooses its address within 64 bits.
    let [one, other] = ["2001:db8::1", "2001:db8::2"].map(|text| text.parse().expect("an address"));
    let sent = |client| {
        let sent = |_: &u32| limit.decide(client, AddressProof::Missing, LARGE, start) == UdpDecision::Send;
        (0..100).filter(sent).count()
    };
    assert_eq!((sent(one), sent(other)), (10, 0));
}

#[test]
fn exempt_networks_are_not_limited_however_their_addresses_are_written() {
    let start = Instant::now();
    let exempt_networks = vec!["192.0.2.0/24".parse().expect("a network")];
    let limit = UdpRateLimit::new(&UdpRateLimitOptions { exempt_networks, ..options() }, start);
    assert_eq!(judged(&limit, AddressProof::Missing, start), (1_000, 0, 0));
    let mapped = "::ffff:192.0.2.9".parse().expect("an address");
    for _ in 0..100 {
        assert_eq!(limit.decide(mapped, AddressProof::Missing, LARGE, start), UdpDecision::Send);
    }
}

#[test]
fn slip_chooses_between_short_answers_and_silence() {
    let start = Instant::now();
    for (slip, expected) in [(0, (10, 0, 990)), (1, (10, 990, 0)), (3, (10, 330, 660))] {
        let limit = UdpRateLimit::new(&UdpRateLimitOptions { slip, ..options() }, start);
        assert_eq!(judged(&limit, AddressProof::Missing, start), expected, "slip {slip}");
    }
}

/// Threads read the clock before they lock the entry: one that comes late must not fill the bucket again.
#[test]
fn a_moment_before_the_last_one_fills_nothing() {
    let start = Instant::now();
    let limit = UdpRateLimit::new(&options(), start);
    assert_eq!(judged(&limit, AddressProof::Missing, start + 5 * SECOND).0, 10);
    assert_eq!(judged(&limit, AddressProof::Missing, start + 4 * SECOND).0, 0);
}
