//! Damaged Handle messages in the decoders: each of the captured messages cut at every length, with every bit flipped and
//! every length blown up. Decoding returns, and what it sets aside stays in proportion to what was sent.

use std::collections::BTreeSet;

use idnode::wire::cursor::{DecodeError, DecodeProblem, Reader};
use idnode::wire::handle::administrator::{decode_administrator, decode_identities};
use idnode::wire::handle::body::challenge::{
    Challenge, ChallengeAnswer, RequestDigest, SignedAnswer, Verification, VerifyChallenge,
};
use idnode::wire::handle::body::session::{ExchangeKey, SessionKeyBytes, SessionReply, SessionSetup};
use idnode::wire::handle::body::{
    ErrorText, HandleAndIndexes, HandleAndValues, HandleOnly, Login, Names, Referral, Resolution,
    TransactionId,
};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use idnode::wire::handle::credential::covered_bytes;
use idnode::wire::handle::envelope::{ENVELOPE_BYTES, Envelope};
use idnode::wire::handle::key::KeyBlob;
use idnode::wire::handle::message::Message;
use idnode::wire::handle::packet::{PACKET_BYTES_MAX, Piece};
use idnode::wire::handle::site::SiteRecord;
use idnode::wire::handle::value::WireValue;

use crate::support::vectors::Vectors;

/// Bytes in memory for each byte sent, and some to begin with.
const GROWTH: usize = 16;
const BEGINNING: usize = 4_096;

//----------- Decoding -------------------------------------------------------

/// What decoding a message came to: bytes set aside in lists, or why it was refused.
type Outcome = Result<usize, DecodeError>;

/// Decodes a whole message down to the data of its values, by its operation.
fn decode(bytes: &[u8]) -> Outcome {
    let mut reader = Reader::new(bytes);
    let envelope = Envelope::decode(&mut reader)?;
    let piece = Piece::decode(bytes)?;
    let message = Message::decode(piece.bytes)?;
    if let Some(credential) = message.credential {
        let covered = covered_bytes(&envelope, credential.counter, message.signed);
        assert!(covered.is_none_or(|covered| covered.len() <= bytes.len()));
    }
    let set_aside = decode_body(&message, envelope.version);
    if let Ok(set_aside) = set_aside {
        assert!(set_aside <= GROWTH * bytes.len() + BEGINNING, "{set_aside} bytes for {}", bytes.len());
    }
    set_aside
}

fn decode_body(message: &Message<'_>, version: Version) -> Outcome {
    let (header, body) = (message.header, message.body);
    if header.response == ResponseCode::NONE {
        return decode_request(header.op, body);
    }
    if header.response == ResponseCode::AUTHENTICATION_NEEDED {
        return Challenge::decode(body, version).map(|challenge| challenge.signed_bytes().len());
    }
    let mut reader = Reader::new(body);
    if header.flags.has(OpFlags::REQUEST_DIGEST) {
        RequestDigest::decode(&mut reader)?;
    }
    let body = reader.rest();
    match header.response {
        ResponseCode::SUCCESS => decode_reply(header.op, body),
        ResponseCode::SERVICE_REFERRAL | ResponseCode::PREFIX_REFERRAL => {
            Ok(all_bytes(&Referral::decode(body)?.values))
        }
        _ => ErrorText::decode(body).map(|_| 0),
    }
}

fn decode_request(op: OpCode, body: &[u8]) -> Outcome {
    match op {
        OpCode::RESOLUTION => {
            let question = Resolution::decode(body)?;
            Ok(vec_bytes(&question.indexes) + vec_bytes(&question.types))
        }
        OpCode::CREATE | OpCode::ADD_VALUE | OpCode::MODIFY_VALUE => {
            Ok(all_bytes(&HandleAndValues::decode(body)?.values))
        }
        OpCode::REMOVE_VALUE => Ok(vec_bytes(&HandleAndIndexes::decode(body)?.indexes)),
        OpCode::CHALLENGE_RESPONSE => {
            let answer = ChallengeAnswer::decode(body)?;
            match answer.kind {
                ChallengeAnswer::PUBLIC_KEY => SignedAnswer::decode(answer.answer).map(|_| 0),
                _ => Ok(0),
            }
        }
        OpCode::VERIFY_RESPONSE => VerifyChallenge::decode(body).map(|_| 0),
        OpCode::SESSION_SETUP => SessionSetup::decode(body).map(|_| 0),
        OpCode::SESSION_EXCHANGE_KEY => ExchangeKey::decode(body).map(|_| 0),
        OpCode::LOGIN_KEY => Login::decode(body).map(|_| 0),
        _ => HandleOnly::decode(body).map(|_| 0),
    }
}

fn decode_reply(op: OpCode, body: &[u8]) -> Outcome {
    match op {
        OpCode::RESOLUTION => Ok(all_bytes(&HandleAndValues::decode(body)?.values)),
        OpCode::GET_SITE_INFO => {
            let site = SiteRecord::decode(body)?;
            Ok(vec_bytes(&site.servers) + vec_bytes(&site.attributes))
        }
        OpCode::LIST_HANDLES | OpCode::LIST_HOMED_PREFIXES => Ok(vec_bytes(&Names::decode(body)?.0)),
        OpCode::VERIFY_RESPONSE => Verification::decode(body).map(|_| 0),
        OpCode::SESSION_SETUP => SessionKeyBytes::decode(SessionReply::decode(body)?.data).map(|_| 0),
        OpCode::NEXT_TRANSACTION_ID => TransactionId::decode(body).map(|_| 0),
        _ => Ok(0),
    }
}

/// Bytes set aside for values; each is turned into one of the model and its data looked into on the way.
fn all_bytes(values: &Vec<WireValue<'_>>) -> usize {
    let inside = values.iter().map(|value| {
        let made = value.to_value().map(|value| value.encoded_bytes()).unwrap_or(0);
        let listed = match value.value_type {
            b"HS_ADMIN" => decode_administrator(value.data).map(|_| 0).unwrap_or(0),
            b"HS_VLIST" => decode_identities(value.data).map(|list| vec_bytes(&list)).unwrap_or(0),
            b"HS_PUBKEY" => KeyBlob::decode(value.data).map(|blob| vec_bytes(&blob.fields)).unwrap_or(0),
            b"HS_SITE" => SiteRecord::decode(value.data).map(|site| vec_bytes(&site.servers)).unwrap_or(0),
            _ => 0,
        };
        made + listed + vec_bytes(&value.references)
    });
    vec_bytes(values) + inside.sum::<usize>()
}

fn vec_bytes<T>(items: &Vec<T>) -> usize {
    items.capacity() * size_of::<T>()
}

/// The captured messages that can be read, each behind its envelope and each once.
fn messages() -> BTreeSet<Vec<u8>> {
    let vectors = Vectors::load();
    let readable = vectors.messages().filter(|sent| !sent.is_encrypted());
    readable.map(|sent| sent.envelope.enclose(&sent.message)).collect()
}

//----------- Tests ----------------------------------------------------------

/// Cut within the body it is always refused; cut within the credential section it may be a message without one.
#[test]
fn every_message_cut_at_every_length_is_refused() {
    let mut cuts = 0;
    for bytes in messages() {
        let whole = decode(&bytes);
        assert!(whole.is_ok(), "{whole:?}");
        for length in 0..bytes.len() {
            let cut = bytes.get(..length).expect("a cut");
            let error = decode(cut).expect_err("cut short");
            let is_short = matches!(error.problem, DecodeProblem::Short { .. });
            // Cut to one packet, the envelope stands before a piece, in which the body does not end.
            let is_piece = length >= PACKET_BYTES_MAX && error.what == "body";
            assert!(is_short || is_piece, "{length}: {error}");
            cuts += 1;
            if let Some(mut restated) = cut.get(ENVELOPE_BYTES..).map(<[u8]>::to_vec) {
                // The envelope of what is left, so that the message itself is found short.
                let envelope = Envelope::decode(&mut Reader::new(&bytes)).expect("an envelope");
                restated = envelope.enclose(&restated);
                let refused = decode(&restated).is_err();
                let message = Message::decode(bytes.get(ENVELOPE_BYTES..).unwrap_or_default());
                let signed = ENVELOPE_BYTES + message.expect("a message").signed.len();
                assert!(refused || length >= signed, "cut at {length} of {}", bytes.len());
            }
        }
    }
    assert!(cuts > 100_000, "{cuts}");
}

#[test]
fn every_flipped_bit_is_borne() {
    let (mut refused, mut borne) = (0_usize, 0_usize);
    for mut bytes in messages() {
        for at in 0..bytes.len() {
            for bit in 0..8 {
                flip(&mut bytes, at, bit);
                match decode(&bytes) {
                    Ok(_) => borne += 1,
                    Err(_) => refused += 1,
                }
                flip(&mut bytes, at, bit);
            }
        }
    }
    assert!(refused > 100_000 && borne > 100_000, "{refused} refused, {borne} borne");
}

fn flip(bytes: &mut [u8], at: usize, bit: u32) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << bit;
    }
}

#[test]
fn every_length_may_be_blown_up() {
    let mut refused = 0_usize;
    for bytes in messages() {
        let more = u32::try_from(bytes.len()).expect("short") + 1;
        for at in 0..bytes.len().saturating_sub(3) {
            for number in [u32::MAX, i32::MAX.cast_unsigned(), more] {
                let mut blown = bytes.clone();
                blown.splice(at..at + 4, number.to_be_bytes());
                refused += usize::from(decode(&blown).is_err());
            }
        }
    }
    assert!(refused > 100_000, "{refused}");
}

/// The longest message of the shortest items: each kind of list is read in one pass and stays in proportion.
#[test]
fn the_longest_lists_stay_in_proportion() {
    let body = |count: u32, items: usize| [&count.to_be_bytes()[..], &vec![0; items]].concat();
    let names = body(65_000, 260_000);
    let decoded = Names::decode(&names).expect("empty names").0;
    assert_eq!(decoded.len(), 65_000);
    assert!(vec_bytes(&decoded) <= GROWTH * names.len());
    let indexes = [body(0, 0), body(65_000, 260_000)].concat();
    assert_eq!(HandleAndIndexes::decode(&indexes).expect("zero indexes").indexes.len(), 65_000);
    let values = [body(0, 0), body(2_048, 2_048 * 26)].concat();
    assert_eq!(HandleAndValues::decode(&values).expect("empty values").values.len(), 2_048);
    let values = [body(0, 0), body(2_049, 2_049 * 26)].concat();
    let decoded = HandleAndValues::decode(&values).map(|body| body.values.len());
    let too_long = DecodeProblem::TooLong { found: 2_049, max: 2_048 };
    assert_eq!(decoded.map_err(|error| error.problem), Err(too_long));
    let references = [body(0, 0), body(1, 22), body(30_000, 240_000)].concat();
    let decoded = HandleAndValues::decode(&references).expect("a value with references").values;
    assert_eq!(decoded[0].references.len(), 30_000);
    assert!(decoded[0].to_value().is_err(), "more references than an identifier may hold");
}
