//! What is to be said → bytes of a message, never larger than the asker may receive.
//!
//! Every message is written by the codec of hickory-proto. Owner names that are the question's, or its end, are
//! pointers to the question, so that they keep its case and cost two octets.

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Header, ResponseCode, emit_message_parts};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{DNSClass, Name, RData};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder};

use super::cookie::COOKIE;
use super::request::{Asked, UDP_OCTETS_MAX};

/// Offset of the question's name in every message.
const QUESTION_OFFSET: u16 = 12;
/// Marks a pointer (RFC 1035 section 4.1.4).
const POINTER: u16 = 0xc000;
/// Option code of extended errors (RFC 8914 section 2).
const EXTENDED_ERROR: u16 = 15;

//----------- Reply ----------------------------------------------------------

/// The outcome of a question, in the words of DNS.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) code: ResponseCode,
    /// Whether we are the authority for the name.
    pub(super) authoritative: bool,
    pub(super) answers: Vec<Line>,
    pub(super) authorities: Vec<Line>,
    pub(super) additionals: Vec<Line>,
    pub(super) extended: Option<Extended>,
}

impl Reply {
    /// A code and nothing else.
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

/// Whose record it is.
#[derive(Clone, Debug)]
pub(super) enum LineOwner {
    /// The name asked, or its end: so many octets after its beginning.
    Asked(u16),
    /// Another name.
    Name(Name),
}

/// An extended error (RFC 8914): why, for people and logs of resolvers.
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

/// Encodes a reply; what does not fit is left out whole and TC says so (RFC 2181 section 9, RFC 9471).
pub(super) fn encode(asked: &Asked, reply: &Reply, cookie: Option<&[u8]>) -> Encoded {
    let mut asked = asked.clone();
    asked.metadata.response_code = reply.code;
    asked.metadata.authoritative = reply.authoritative;
    if let Ok((bytes, false)) = emit(&asked, reply, cookie) {
        return Encoded { bytes, code: reply.code, truncated: false };
    }
    // Addresses beside an answer are a courtesy; beside a referral they are the answer.
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
    let mut asked = asked.clone();
    asked.metadata.response_code = ResponseCode::NoError;
    asked.metadata.truncation = true;
    match emit(&asked, &Reply::default(), cookie) {
        Ok((bytes, _)) => Encoded { bytes, code: ResponseCode::NoError, truncated: true },
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

/// The last resort, which only a defect of ours leads to: a header that says so.
fn encode_header(asked: &Asked) -> Encoded {
    let mut metadata = asked.metadata;
    metadata.response_code = ResponseCode::ServFail;
    let header = Header { metadata, counts: Default::default() };
    let bytes = header.to_bytes().unwrap_or_default();
    Encoded { bytes, code: ResponseCode::ServFail, truncated: true }
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
