//! Reassembly under order, disorder and malice.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::{LIFE, QuotaBounds, Reassembly, Source, Taken};
use crate::wire::handle::code::Version;
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::packet::{PIECE_BYTES, Piece};

const BOUNDS: QuotaBounds = QuotaBounds { total: 1024 * 1024, per_source: 512 * 1024 };

fn take(reassembly: &mut Reassembly, client: u8, piece: &Piece<'_>, now: Instant) -> Taken {
    let client = SocketAddr::from(([127, 0, 0, client], 4_000));
    reassembly.take(client, Source::of(client.ip()), piece, now)
}

fn piece(request: u32, sequence: u32, message_bytes: u32, bytes: &[u8]) -> Piece<'_> {
    let envelope = Envelope {
        version: Version::V2_10,
        suggested: Version::V2_10,
        flags: EnvelopeFlags::TRUNCATED,
        session: 0,
        request,
        sequence,
        message_bytes,
    };
    let start = usize::try_from(sequence).expect("small") * PIECE_BYTES;
    Piece { envelope, place: start..start + bytes.len(), bytes }
}

fn message() -> Vec<u8> {
    (0..1_200_u32).map(|number| u8::try_from(number % 251).expect("below 256")).collect()
}

#[test]
fn pieces_come_in_any_order_and_twice() {
    let (message, now) = (message(), Instant::now());
    let parts: Vec<&[u8]> = message.chunks(PIECE_BYTES).collect();
    let mut reassembly = Reassembly::new(BOUNDS);
    for sequence in [2, 0, 0, 2] {
        let part = parts[usize::try_from(sequence).expect("small")];
        assert_eq!(take(&mut reassembly, 1, &piece(7, sequence, 1_200, part), now), Taken::Waiting);
    }
    // The same request id of another source is another message.
    assert_eq!(take(&mut reassembly, 2, &piece(7, 1, 1_200, parts[1]), now), Taken::Waiting);
    assert_eq!(take(&mut reassembly, 1, &piece(7, 1, 1_200, parts[1]), now), Taken::Whole(message.clone()));
    assert_eq!(reassembly.messages.len(), 1);
    assert_eq!(reassembly.lost(), 0);
}

#[test]
fn what_contradicts_itself_is_forgotten() {
    let (message, now) = (message(), Instant::now());
    let parts: Vec<&[u8]> = message.chunks(PIECE_BYTES).collect();
    let begin = |reassembly: &mut Reassembly| {
        assert_eq!(take(reassembly, 1, &piece(7, 0, 1_200, parts[0]), now), Taken::Waiting);
    };
    let other = vec![0xff; PIECE_BYTES];
    let older = piece(7, 1, 1_200, parts[1]);
    let wrong = [
        // Other bytes at the same place, another length of the message, another version.
        piece(7, 0, 1_200, &other),
        piece(7, 1, 1_300, parts[1]),
        Piece { envelope: Envelope { version: Version::V2_4, ..older.envelope }, ..older },
    ];
    for wrong in wrong {
        let mut reassembly = Reassembly::new(BOUNDS);
        begin(&mut reassembly);
        assert_eq!(take(&mut reassembly, 1, &wrong, now), Taken::Dropped, "{wrong:?}");
        assert!(reassembly.messages.len() == 0, "{wrong:?}");
        assert_eq!((reassembly.quota.used(), reassembly.lost()), (0, 1), "{wrong:?}");
    }
}

#[test]
fn a_message_waits_five_seconds() {
    let (message, now) = (message(), Instant::now());
    let parts: Vec<&[u8]> = message.chunks(PIECE_BYTES).collect();
    let mut reassembly = Reassembly::new(BOUNDS);
    take(&mut reassembly, 1, &piece(7, 0, 1_200, parts[0]), now);
    take(&mut reassembly, 1, &piece(7, 1, 1_200, parts[1]), now);
    let late = now + LIFE;
    assert_eq!(take(&mut reassembly, 1, &piece(7, 2, 1_200, parts[2]), late), Taken::Waiting);
    assert_eq!(reassembly.lost(), 1);
    let in_time = late + LIFE - Duration::from_millis(1);
    take(&mut reassembly, 1, &piece(7, 0, 1_200, parts[0]), in_time);
    assert_eq!(
        take(&mut reassembly, 1, &piece(7, 1, 1_200, parts[1]), in_time),
        Taken::Whole(message.clone())
    );
}

#[test]
fn a_flood_of_beginnings_takes_bounded_memory_and_spares_other_sources() {
    let now = Instant::now();
    let part = vec![1; PIECE_BYTES];
    let mut reassembly = Reassembly::new(BOUNDS);
    // One source may take its share only.
    for request in 0..100_000 {
        take(&mut reassembly, 1, &piece(request, 0, 262_144, &part), now);
    }
    assert!(reassembly.quota.used() <= BOUNDS.per_source);
    let message = message();
    let parts: Vec<&[u8]> = message.chunks(PIECE_BYTES).collect();
    assert_eq!(take(&mut reassembly, 2, &piece(1, 0, 1_200, parts[0]), now), Taken::Waiting);
    assert_eq!(take(&mut reassembly, 2, &piece(1, 1, 1_200, parts[1]), now), Taken::Waiting);
    // Many sources together take no more than all may; the oldest beginnings go first.
    for request in 0..100_000_u32 {
        let last = u8::try_from(request % 200).expect("below 256") + 3;
        take(&mut reassembly, last, &piece(request, 0, 262_144, &part), now);
        assert!(reassembly.quota.used() <= BOUNDS.total);
    }
    assert!(take(&mut reassembly, 2, &piece(2, 0, 400, &part[..400]), now) == Taken::Whole(vec![1; 400]));
}
