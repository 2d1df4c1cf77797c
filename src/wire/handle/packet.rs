//! Packets: a message over UDP is cut into pieces, each after its own envelope (RFC 3652 section 2.3).
//!
//! ```text
//!   message ─ cut ─▶ envelope #0 │ 492 bytes    envelope #1 │ 492 bytes    envelope #2 │ the rest
//! ```
//!
//! Messages whose packets have not all arrived are held by the front end; this module only finds where each packet belongs.

use core::ops::Range;

use crate::model::limits::HANDLE_MESSAGE_BYTES_MAX;
use crate::wire::cursor::{DecodeError, DecodeProblem, Reader, Writer};
use crate::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};

/// Bytes of the largest packet.
pub const PACKET_BYTES_MAX: usize = 512;
/// Bytes of a message that one packet carries.
pub const PIECE_BYTES: usize = PACKET_BYTES_MAX - ENVELOPE_BYTES;
/// Packets of the longest message.
pub const PACKETS_MAX: usize = packets_of(HANDLE_MESSAGE_BYTES_MAX);

/// Packets that a message of this length takes.
pub const fn packets_of(message_bytes: usize) -> usize {
    message_bytes.div_ceil(PIECE_BYTES)
}

/// Cuts a message into packets, numbered from 0. Requests of more than one set
/// [`super::envelope::EnvelopeFlags::TRUNCATED`] in the envelope given; replies need not.
pub fn cut<'a>(envelope: &Envelope, message: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + use<'a> {
    let message_bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let envelope = Envelope { message_bytes, ..*envelope };
    (0..).zip(message.chunks(PIECE_BYTES)).map(move |(sequence, piece)| {
        let mut packet = Writer::with_capacity(ENVELOPE_BYTES + piece.len());
        Envelope { sequence, ..envelope }.encode(&mut packet);
        packet.raw(piece);
        packet.into_vec()
    })
}

//----------- Piece ----------------------------------------------------------

/// One packet's part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// The packet's envelope.
    pub envelope: Envelope,
    /// Offset of the part in the message.
    pub place: Range<usize>,
    /// The part, exactly as long as its place.
    pub bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    /// Decodes a packet. A packet whose number is beyond the message, or which is too short, is refused; extra
    /// bytes are ignored.
    ///
    /// A first packet that carries its complete message is accepted at any length: some clients send one large datagram.
    pub fn decode(packet: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(packet);
        let envelope = Envelope::decode(&mut reader)?;
        let whole = 0..envelope.message_length();
        let place = match envelope.sequence {
            0 if reader.remaining() >= whole.end => whole,
            sequence => place_of(sequence, whole.end).ok_or(DecodeError {
                what: "sequence number",
                at: 12,
                problem: DecodeProblem::TooLong {
                    found: usize::try_from(sequence).unwrap_or(usize::MAX),
                    max: packets_of(whole.end).saturating_sub(1),
                },
            })?,
        };
        let bytes = reader.take("packet", place.len())?;
        Ok(Self { envelope, place, bytes })
    }

    /// Whether the part is the complete message.
    pub fn is_whole(&self) -> bool {
        self.bytes.len() == self.envelope.message_length()
    }
}

/// The range of a part in a message by its number; none beyond the end.
pub fn place_of(sequence: u32, message_bytes: usize) -> Option<Range<usize>> {
    let start = usize::try_from(sequence).ok()?.checked_mul(PIECE_BYTES)?;
    let end = start.checked_add(PIECE_BYTES)?.min(message_bytes);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::{PACKET_BYTES_MAX, PACKETS_MAX, Piece, cut, packets_of, place_of};
    use crate::wire::cursor::DecodeProblem;
    use crate::wire::handle::code::Version;
    use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};

    const ENVELOPE: Envelope = Envelope {
        version: Version::V2_10,
        suggested: Version::V2_10,
        flags: EnvelopeFlags::TRUNCATED,
        session: 3,
        request: 4,
        sequence: 0,
        message_bytes: 0,
    };

    fn message(bytes: usize) -> Vec<u8> {
        (0_u8..251).cycle().take(bytes).collect()
    }

    #[test]
    fn what_is_cut_joins_again_in_any_order() {
        for bytes in [1, 491, 492, 493, 984, 985, 2_000] {
            let message = message(bytes);
            let mut packets: Vec<Vec<u8>> = cut(&ENVELOPE, &message).collect();
            assert_eq!(packets.len(), packets_of(bytes));
            assert!(packets.iter().all(|packet| packet.len() <= PACKET_BYTES_MAX));
            packets.reverse();
            let mut joined = vec![0; bytes];
            for packet in &packets {
                let piece = Piece::decode(packet).expect("a piece");
                assert_eq!((piece.envelope.request, piece.is_whole()), (4, packets.len() == 1));
                joined[piece.place.clone()].copy_from_slice(piece.bytes);
            }
            assert_eq!(joined, message);
        }
    }

    #[test]
    fn a_piece_stays_within_its_message() {
        assert_eq!(PACKETS_MAX, 533);
        assert_eq!(place_of(1, 493), Some(492..493));
        assert_eq!(place_of(1, 492), None);
        assert_eq!(place_of(u32::MAX, 262_144), None);
        let second = cut(&ENVELOPE, &message(500)).nth(1).expect("a second packet");
        let short = Piece::decode(&second[..second.len() - 1]).expect_err("too short");
        assert_eq!(short.problem, DecodeProblem::Short { wanted: 8, found: 7 });
        let beyond = [&second[..12], &[0, 0, 0, 2], &second[16..]].concat();
        let beyond = Piece::decode(&beyond).expect_err("beyond the end");
        assert_eq!(
            (beyond.what, beyond.problem),
            ("sequence number", DecodeProblem::TooLong { found: 2, max: 1 })
        );
        let longer = [second.as_slice(), &[1, 2, 3]].concat();
        assert_eq!(Piece::decode(&longer), Piece::decode(&second));
    }

    #[test]
    fn one_large_datagram_is_a_whole_message() {
        let message = message(1_500);
        let packet = ENVELOPE.enclose(&message);
        let piece = Piece::decode(&packet).expect("a piece");
        assert!(piece.is_whole());
        assert_eq!(piece.bytes, message);
    }
}
