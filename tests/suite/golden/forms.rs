//! Every message decodes down to its last field and encodes to the same bytes again. There is no exception among them;
//! encrypted messages are held to whole blocks.

use std::collections::BTreeMap;

use idnode::key::PublicKey;
use idnode::wire::cursor::{DecodeError, Reader, Writer};
use idnode::wire::handle::administrator::{
    decode_administrator, decode_identities, encode_administrator, encode_identities,
};
use idnode::wire::handle::body::challenge::{
    Challenge, ChallengeAnswer, RequestDigest, Verification, VerifyChallenge,
};
use idnode::wire::handle::body::session::{Exchange, SessionKeyBytes, SessionReply, SessionSetup};
use idnode::wire::handle::body::{
    ErrorText, HandleAndIndexes, HandleAndValues, HandleOnly, Names, Resolution, TransactionId,
    encode_handle_and_values,
};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use idnode::wire::handle::credential::Credential;
use idnode::wire::handle::key::KeyBlob;
use idnode::wire::handle::message::{Message, encode_message};
use idnode::wire::handle::packet::cut;
use idnode::wire::handle::site::SiteRecord;

use crate::support::vectors::{self, Sent, Vectors};

/// How often each thing was seen; a test that sees nothing fails by its counts.
type Tally = BTreeMap<&'static str, usize>;

fn note(tally: &mut Tally, what: &'static str) {
    *tally.entry(what).or_default() += 1;
}

//----------- Messages -------------------------------------------------------

#[test]
fn every_message_reads_back() {
    let vectors = Vectors::load();
    let mut tally = Tally::new();
    for exchange in &vectors.exchanges {
        note(&mut tally, "exchanges");
        for sent in &exchange.requests {
            note(&mut tally, "requests");
            read_back(exchange, sent, &mut tally);
        }
        for sent in &exchange.replies {
            note(&mut tally, "replies");
            read_back(exchange, sent, &mut tally);
        }
    }
    let expected = [
        ("DSA keys", 5),
        ("HS_ADMIN", 115),
        ("HS_PUBKEY", 5),
        ("HS_VLIST", 5),
        ("RSA keys", 10),
        ("answer", 68),
        ("challenge", 74),
        ("change with values", 85),
        ("created handle", 40),
        ("encrypted", 48),
        ("exchanges", 413),
        ("halves of agreements", 50),
        ("handle alone", 66),
        ("names", 13),
        ("nothing", 75),
        ("other values", 292),
        ("question about an answer", 10),
        ("refusal", 75),
        ("removal", 5),
        ("replies", 422),
        ("requests", 414),
        ("resolution", 110),
        ("session codes", 115),
        ("session reply", 25),
        ("session setup", 45),
        ("signatures", 70),
        ("site", 5),
        ("transaction id", 5),
        ("values", 77),
        ("verification", 10),
    ];
    assert_eq!(tally, BTreeMap::from(expected));
}

/// Decodes a message in full and compares what comes of encoding it again.
fn read_back(exchange: &vectors::Exchange, sent: &Sent, tally: &mut Tally) {
    let name = &exchange.name;
    let packets: Vec<Vec<u8>> = match exchange.transport.as_str() {
        "udp" => cut(&sent.envelope, &sent.message).collect(),
        _ => vec![sent.envelope.enclose(&sent.message)],
    };
    assert_eq!(packets, sent.packets, "{name}: packets");
    if sent.is_encrypted() {
        note(tally, "encrypted");
        // The initial vector and whole blocks of AES.
        assert!(
            sent.message.len() >= 32 && sent.message.len().is_multiple_of(16),
            "{name}: {}",
            sent.message.len()
        );
        return;
    }
    let message = Message::decode(&sent.message).unwrap_or_else(|error| panic!("{name}: {error}"));
    let body =
        body_again(&message, sent.envelope.version, tally).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(body, message.body, "{name}: body");
    match message.credential {
        Some(credential) if credential.kind == Credential::MAC => {
            note(tally, "session codes");
            let shape = (credential.algorithm, credential.signature.len());
            assert_eq!(shape, (b"HMAC-SHA256".as_slice(), 32), "{name}");
        }
        Some(_) => note(tally, "signatures"),
        None => {}
    }
    let again = encode_message(&message.header, &body, message.credential.as_ref());
    assert_eq!(again, sent.message, "{name}: message");
}

/// The body, decoded by its operation and encoded again.
fn body_again(message: &Message<'_>, version: Version, tally: &mut Tally) -> Result<Vec<u8>, DecodeError> {
    let header = message.header;
    if header.response == ResponseCode::NONE {
        return request_again(header.op, message.body, tally);
    }
    if header.response == ResponseCode::AUTHENTICATION_NEEDED {
        note(tally, "challenge");
        return Ok(Challenge::decode(message.body, version)?.encode(version));
    }
    let mut reader = Reader::new(message.body);
    let mut writer = Writer::default();
    if header.flags.has(OpFlags::REQUEST_DIGEST) {
        RequestDigest::decode(&mut reader)?.encode(&mut writer);
    }
    let body = match header.response {
        ResponseCode::SUCCESS => reply_again(header.op, reader.rest(), tally)?,
        _ => {
            note(tally, "refusal");
            ErrorText::decode(reader.rest())?.encode()
        }
    };
    writer.raw(&body);
    Ok(writer.into_vec())
}

fn request_again(op: OpCode, body: &[u8], tally: &mut Tally) -> Result<Vec<u8>, DecodeError> {
    let (kind, again) = match op {
        OpCode::RESOLUTION => ("resolution", Resolution::decode(body)?.encode()),
        OpCode::CREATE | OpCode::ADD_VALUE | OpCode::MODIFY_VALUE => {
            ("change with values", values_again(body, tally)?)
        }
        OpCode::REMOVE_VALUE => ("removal", HandleAndIndexes::decode(body)?.encode()),
        OpCode::CHALLENGE_RESPONSE => ("answer", ChallengeAnswer::decode(body)?.encode()),
        OpCode::VERIFY_RESPONSE => ("question about an answer", VerifyChallenge::decode(body)?.encode()),
        OpCode::SESSION_SETUP => {
            let setup = SessionSetup::decode(body)?;
            if let Exchange::ClientKey(key) | Exchange::DiffieHellman(key) = setup.exchange {
                key_again(key, tally)?;
            }
            ("session setup", setup.encode())
        }
        _ => ("handle alone", HandleOnly::decode(body)?.encode()),
    };
    note(tally, kind);
    Ok(again)
}

fn reply_again(op: OpCode, body: &[u8], tally: &mut Tally) -> Result<Vec<u8>, DecodeError> {
    let (kind, again) = match op {
        OpCode::RESOLUTION => ("values", values_again(body, tally)?),
        OpCode::GET_SITE_INFO => {
            let site = SiteRecord::decode(body)?;
            site.servers.iter().try_for_each(|server| key_again(&server.public_key, tally))?;
            ("site", site.encode())
        }
        OpCode::CREATE => ("created handle", HandleOnly::decode(body)?.encode()),
        OpCode::LIST_HANDLES | OpCode::LIST_HOMED_PREFIXES => ("names", Names::decode(body)?.encode()),
        OpCode::VERIFY_RESPONSE => ("verification", Verification::decode(body)?.encode()),
        OpCode::SESSION_SETUP => {
            let reply = SessionReply::decode(body)?;
            let half = SessionKeyBytes::decode(reply.data)?;
            assert_eq!(half.encode(), reply.data);
            key_again(half.key, tally)?;
            ("session reply", reply.encode())
        }
        OpCode::NEXT_TRANSACTION_ID => ("transaction id", TransactionId::decode(body)?.encode()),
        _ => ("nothing", Vec::new()),
    };
    note(tally, kind);
    Ok(again)
}

/// The fields of a key that stands in a body.
fn key_again(key: &[u8], tally: &mut Tally) -> Result<(), DecodeError> {
    let blob = KeyBlob::decode(key)?;
    assert_eq!(blob.encode(), key);
    note(
        tally,
        match blob.kind {
            KeyBlob::RSA => "RSA keys",
            KeyBlob::DSA => "DSA keys",
            KeyBlob::DIFFIE_HELLMAN => "halves of agreements",
            other => panic!("a key of kind {other}"),
        },
    );
    Ok(())
}

//----------- Values ---------------------------------------------------------

/// A handle and values, through the model and back.
fn values_again(body: &[u8], tally: &mut Tally) -> Result<Vec<u8>, DecodeError> {
    let decoded = HandleAndValues::decode(body)?;
    assert_eq!(decoded.encode(), body);
    let values = decoded.values.iter().map(|value| value.to_value().expect("a value an identifier can hold"));
    let values: Vec<_> = values.collect();
    for value in &values {
        let again = match value.value_type.as_str() {
            "HS_ADMIN" => ("HS_ADMIN", encode_administrator(&decode_administrator(&value.data)?)),
            "HS_VLIST" => ("HS_VLIST", encode_identities(&decode_identities(&value.data)?)),
            "HS_PUBKEY" => ("HS_PUBKEY", PublicKey::decode(&value.data).expect("a public key").encode_blob()),
            _ => ("other values", value.data.clone()),
        };
        note(tally, again.0);
        assert_eq!(again.1, value.data, "{}", value.value_type);
    }
    Ok(encode_handle_and_values(decoded.handle, &values))
}
