//! A question and its answer, worked out byte by byte from the layouts, as the Chinese SDK would write them.

use idnode::key::digest::DigestAlgorithm;
use idnode::wire::cursor::Reader;
use idnode::wire::handle::body::{HandleAndValues, Resolution, encode_handle_and_values};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use idnode::wire::handle::envelope::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
use idnode::wire::handle::message::{Header, Message, encode_message};
use idnode::wire::handle::value::encode_digested;

const QUESTION: &str = "020a020b 00000000 00000001 00000000 00000035 \
    00000001 00000000 11000000 ffff 00 00 65920080 00000019 \
    0000000d 38382e3131312e312f74657374 00000000 00000000 00000000";
const ANSWER: &str = "020a020b 00000000 00000001 00000000 00000059 \
    00000001 00000001 01000000 0001 00 00 6592a940 0000003d \
    0000000d 38382e3131312e312f74657374 00000001 \
    00000001 65920080 00 00015180 0e 00000003 55524c 0000000b 687474703a2f2f612e636e 00000000 00000000";

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.replace(' ', "").as_bytes()).expect("hex")
}

fn digest(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&DigestAlgorithm::Sha256.digest(&[bytes]))
}

#[test]
fn a_question_is_read_and_digested() {
    let bytes = unhex(QUESTION);
    let (head, rest) = bytes.split_at(ENVELOPE_BYTES);
    let envelope = Envelope::decode(&mut Reader::new(head)).expect("an envelope");
    assert_eq!((envelope.version, envelope.suggested), (Version::V2_10, Version::V2_11));
    assert_eq!((envelope.session, envelope.request, envelope.message_length()), (0, 1, rest.len()));
    let question = Message::decode(rest).expect("a message");
    assert_eq!(question.header.op, OpCode::RESOLUTION);
    assert_eq!(question.header.flags, OpFlags::RECURSIVE.with(OpFlags::PUBLIC_ONLY));
    assert_eq!(question.header.serial, Header::SERIAL_UNKNOWN);
    let expected = Resolution { handle: b"88.111.1/test", indexes: Vec::new(), types: Vec::new() };
    assert_eq!(Resolution::decode(question.body), Ok(expected));
    assert_eq!(digest(question.signed), "4a7a170864bcc85b2bbac8d34d51703720e37f9086b5ea97a021080f24cce42b");
}

#[test]
fn its_answer_is_written_from_the_values_of_the_model() {
    let bytes = unhex(ANSWER);
    let (head, rest) = bytes.split_at(ENVELOPE_BYTES);
    let answer = Message::decode(rest).expect("a message");
    let body = HandleAndValues::decode(answer.body).expect("a handle and values");
    let values: Vec<_> = body.values.iter().map(|value| value.to_value().expect("a value")).collect();
    let header = Header {
        op: OpCode::RESOLUTION,
        response: ResponseCode::SUCCESS,
        flags: OpFlags::PUBLIC_ONLY,
        serial: 1,
        recursion: 0,
        expires: 0x6592_a940,
    };
    let message = encode_message(&header, &encode_handle_and_values(b"88.111.1/test", &values), None);
    assert_eq!(message, rest);
    let question = Envelope::decode(&mut Reader::new(&unhex(QUESTION))).expect("an envelope");
    let reply = Envelope { version: Version::V2_10, flags: EnvelopeFlags::NONE, ..question.to_reply() };
    assert_eq!(reply.enclose(&message).split_at(ENVELOPE_BYTES).0, head);
    let first = values.first().expect("one value");
    let covered = encode_digested(first);
    assert_eq!(digest(&covered), "29f97bc07f83ec78cc676f4228dfa598c37378530c05131daddb2180258a5035");
}
