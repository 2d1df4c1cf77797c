//! Encoding of replies as messages, never larger than the client may receive.
//!
//! Messages are written by the codec of hickory-proto. An owner name that is the name of the question, or the end of it,
//! is a pointer to the question: it has the same case, and costs two octets.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, ResponseCode, emit_message_parts};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, RData};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use crate::telemetry::bug;

use super::cookie::COOKIE;
use super::reply;
use super::request::{Asked, UDP_OCTETS_MAX};

/// Offset of the question's name in every message.
const QUESTION_OFFSET: u16 = 12;
/// Marks a pointer (RFC 1035 section 4.1.4).
const POINTER: u16 = 0xc000;
/// Option code of extended errors (RFC 8914 section 2).
const EXTENDED_ERROR: u16 = 15;

//----------- Reply ----------------------------------------------------------

/// The outcome of a question in terms of DNS.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    /// Whether this node is authoritative for the name.
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Line>,
    pub(super) authorities: Vec<Line>,
    pub(super) additionals: Vec<Line>,
    pub(super) extended: Option<Extended>,
}

impl Reply {
    /// A reply with a code, without records.
    pub(super) fn of(code: ResponseCode, extended: Option<Extended>) -> Self {
        Self { code, extended, ..Self::default() }
    }
}

/// One record of a reply.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) owner: LineOwner,
    pub(super) ttl: u32,
    pub(super) data: RData,
}

/// The owner name of a record.
#[derive(Clone, Debug)]
pub(super) enum LineOwner {
    /// The name of the question without this many octets at its beginning.
    Asked(u16),
    /// Another name.
    Name(Name),
}

/// An extended error (RFC 8914), which explains a code to people and to the logs of resolvers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extended {
    pub(super) code: u16,
    pub(super) text: &'static str,
}

impl Extended {
    pub(super) const fn new(code: u16, text: &'static str) -> Self {
        Self { code, text }
    }
}

/// A message ready to be sent.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) code: ResponseCode,
    pub(super) truncated: bool,
}

//----------- Encoding -------------------------------------------------------

/// Encodes a reply. Records that do not fit are left out entirely and TC is set (RFC 2181 section 9, RFC 9471).
pub(super) fn encode(asked: &Asked, reply: &Reply, cookie: Option<&[u8]>) -> Encoded {
    let mut asked = asked.clone();
    asked.metadata.response_code = reply.code;
    asked.metadata.authoritative = reply.authoritative;
    if let Ok((bytes, false)) = emit(&asked, reply, cookie) {
        return Encoded { bytes, code: reply.code, truncated: false };
    }
    // Addresses beside an answer are optional; in a referral they are required.
    if reply.authoritative && !reply.additionals.is_empty() {
        return encode(&asked, &Reply { additionals: Vec::new(), ..reply.clone() }, cookie);
    }
    asked.metadata.truncation = true;
    let bare = Reply { extended: reply.extended, ..Reply::default() };
    match emit(&asked, &bare, cookie) {
        Ok((bytes, _)) => Encoded { bytes, code: reply.code, truncated: true },
        Err(_) => encode_header(&asked),
    }
}

/// The answer that leads a client to TCP: the question and TC, no larger than the message that it answers but for the 16
/// octets by which we complete a cookie.
pub(super) fn encode_truncated(asked: &Asked, cookie: Option<&[u8]>) -> Encoded {
    let (mut asked, reply) = (asked.clone(), Reply::default());
    asked.metadata.response_code = reply.code;
    asked.metadata.truncation = true;
    match emit(&asked, &reply, cookie) {
        Ok((bytes, _)) => Encoded { bytes, code: reply.code, truncated: true },
        Err(_) => encode_header(&asked),
    }
}

fn emit(asked: &Asked, reply: &Reply, cookie: Option<&[u8]>) -> Result<(Vec<u8>, bool), ProtoError> {
    let mut bytes = Vec::with_capacity(512);
    let edns = asked.edns.map(|own| {
        let mut edns = Edns::new();
        edns.set_max_payload(UDP_OCTETS_MAX).set_version(0).set_dnssec_ok(own.dnssec_ok);
        if let Some(extended) = reply.extended {
            let mut data = extended.code.to_be_bytes().to_vec();
            data.extend_from_slice(extended.text.as_bytes());
            edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, data));
        }
        if let Some(cookie) = cookie {
            edns.options_mut().insert(EdnsOption::Unknown(COOKIE, cookie.to_vec()));
        }
        edns
    });
    let header = {
        let mut encoder = BinEncoder::new(&mut bytes);
        encoder.set_max_size(asked.octets_max);
        emit_message_parts(
            &asked.metadata,
            &mut asked.query.iter(),
            &mut reply.answers.iter(),
            &mut reply.authorities.iter(),
            &mut reply.additionals.iter(),
            edns.as_ref(),
            asked.unknown_key.as_deref(),
            &mut encoder,
        )?
    };
    Ok((bytes, header.metadata.truncation))
}

/// A header alone: the last resort, which only a bug of this program leads to.
fn encode_header(asked: &Asked) -> Encoded {
    let reply = reply::failure(&bug("a reply without records can be encoded"));
    let mut metadata = asked.metadata;
    metadata.response_code = reply.code;
    let header = Header { metadata, counts: Default::default() };
    let bytes = header.to_bytes().unwrap_or_default();
    Encoded { bytes, code: reply.code, truncated: true }
}

impl BinEncodable for Line {
    fn emit(&self, encoder: &mut BinEncoder<'_>) -> Result<(), ProtoError> {
        match &self.owner {
            LineOwner::Asked(skipped) => encoder.emit_u16(POINTER | (QUESTION_OFFSET + skipped))?,
            LineOwner::Name(name) => name.emit(encoder)?,
        }
        self.data.record_type().emit(encoder)?;
        DNSClass::IN.emit(encoder)?;
        encoder.emit_u32(self.ttl)?;
        let place = encoder.place::<u16>()?;
        self.data.emit(encoder)?;
        let length = u16::try_from(encoder.len_since_place(&place))
            .map_err(|_| ProtoError::Message("a record holds at most 65,535 octets"))?;
        place.replace(encoder, length)
    }
}
