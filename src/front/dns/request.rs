//! Bytes of a message → a question of ours, or the code that refuses it, or silence.
//!
//! Every message gets an answer but two: a response (answering it could loop) and what is shorter than a header
//! (RFC 8906 section 3). The checks stand in the order in which later ones rely on earlier ones: operation, count of
//! questions, form, EDNS version, class, type.

use hickory_proto::op::{Header, Message, MessageType, Metadata, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{DNSClass, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::cookie;

/// Octets of an answer over UDP to an asker without EDNS (RFC 1035 section 4.2.1).
const PLAIN_OCTETS_MAX: u16 = 512;
/// Octets of an answer over UDP at most, so that it is not fragmented (RFC 9715 section 3.1).
pub(super) const UDP_OCTETS_MAX: u16 = 1_232;

/// Obsolete or meta types that no zone holds (RFC 6895 section 3.1).
const META_TYPES: [u16; 3] = [249, 253, 254];
/// Types that stand in the additional section only.
const PSEUDO_TYPES: [u16; 2] = [41, 250];

//----------- Request --------------------------------------------------------

/// What a message asks for.
#[derive(Debug)]
pub(super) enum Request {
    /// A question for the zones.
    Question(Asked, Query),
    /// A message that is answered with a code only.
    Refused(Asked, ResponseCode),
    /// A message that is not answered.
    Silence,
}

/// What the answer has to carry over from the message.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The answer's header, its code and flags still to be set.
    pub(super) metadata: Metadata,
    /// The question, its case kept (RFC 1035 section 4.1.1 and common 0x20 practice).
    pub(super) query: Option<Query>,
    /// The asker's EDNS, when it sent any.
    pub(super) edns: Option<AskedEdns>,
    /// Octets that the answer may have.
    pub(super) octets_max: u16,
}

/// What matters of the asker's OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskedEdns {
    /// The DO bit, which the answer repeats (RFC 3225 section 3).
    pub(super) dnssec_ok: bool,
    /// The asker's part of its cookie, which the answer completes.
    pub(super) cookie: Option<[u8; 8]>,
}

/// How a message came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// In a datagram.
    Udp,
    /// Framed on a connection.
    Tcp,
}

/// Decodes a message.
pub(super) fn decode(bytes: &[u8], transport: Transport) -> Request {
    let mut decoder = BinDecoder::new(bytes);
    let Ok(header) = Header::read(&mut decoder) else { return Request::Silence };
    if header.metadata.message_type == MessageType::Response {
        return Request::Silence;
    }
    let mut asked = Asked {
        metadata: Metadata::response_from_request(&header.metadata),
        query: None,
        edns: None,
        octets_max: if transport == Transport::Tcp { u16::MAX } else { PLAIN_OCTETS_MAX },
    };
    let mut has_sound_cookie = true;
    // The codec makes room for as many questions as the header claims: only a small claim may reach it.
    let message = (header.counts.queries <= 1).then(|| Message::from_vec(bytes).ok()).flatten();
    if let Some(edns) = message.as_ref().and_then(|message| message.edns.as_ref()) {
        let option = edns.option(EdnsCode::Cookie);
        let cookie = option.and_then(|option| match option {
            EdnsOption::Unknown(_, data) => cookie::client_part(data),
            _ => None,
        });
        has_sound_cookie = option.is_none() || cookie.is_some();
        asked.edns = Some(AskedEdns { dnssec_ok: edns.flags().dnssec_ok, cookie });
        if transport == Transport::Udp {
            asked.octets_max = edns.max_payload().clamp(PLAIN_OCTETS_MAX, UDP_OCTETS_MAX);
        }
    }
    if header.metadata.op_code != OpCode::Query {
        return Request::Refused(asked, ResponseCode::NotImp);
    }
    let Some(message) = message.filter(|_| has_sound_cookie) else {
        return Request::Refused(asked, ResponseCode::FormErr);
    };
    let version = message.version();
    // RFC 9619: a QUERY has exactly one question.
    let Some(query) = message.queries.into_iter().next() else {
        // RFC 7873 section 5.4: only a question for a cookie has none.
        let asks_cookie = asked.edns.is_some_and(|edns| edns.cookie.is_some());
        let code = if asks_cookie { ResponseCode::NoError } else { ResponseCode::FormErr };
        return Request::Refused(asked, code);
    };
    let refusal = if version > 0 { Some(ResponseCode::BADVERS) } else { refusal_of(&query) };
    asked.query = Some(query.clone());
    match refusal {
        Some(code) => Request::Refused(asked, code),
        None => Request::Question(asked, query),
    }
}

fn refusal_of(query: &Query) -> Option<ResponseCode> {
    let code = u16::from(query.query_type());
    if PSEUDO_TYPES.contains(&code) {
        Some(ResponseCode::FormErr)
    } else if META_TYPES.contains(&code) {
        Some(ResponseCode::NotImp)
    } else if query.query_class() != DNSClass::IN {
        Some(ResponseCode::Refused)
    } else {
        match query.query_type() {
            // Zones are not transferred (RFC 5936 section 2.2.1).
            RecordType::AXFR | RecordType::IXFR => Some(ResponseCode::Refused),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
