//! Requests: a message is decoded into a question, refused for its form, or ignored.
//!
//! Every message is answered except responses (answering them could loop) and messages shorter than a header (RFC 8906
//! section 3). Later checks rely on earlier ones: signature, operation, form, count of questions, EDNS version, class,
//! type. The answer to a refused message with OPT carries OPT, even if what follows OPT is malformed.

use hickory_proto::op::{Header, MessageType, Metadata, OpCode, Query};
use hickory_proto::rr::rdata::TSIG;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm, TsigError};
use hickory_proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};

use super::cookie::{self, Cookie};
use crate::wire::dns::additional::{Additional, SectionCounts, Tsig};

/// Octets of an answer over UDP to a client without EDNS (RFC 1035 section 4.2.1).
const PLAIN_OCTETS_MAX: u16 = 512;
/// Octets of an answer over UDP at most, so that it is not fragmented (RFC 9715 section 3.1).
pub(super) const UDP_OCTETS_MAX: u16 = 1_232;

/// Obsolete and meta types that are not stored in zones (RFC 6895 section 3.1).
const META_TYPES: [u16; 3] = [249, 253, 254];
/// Types that are allowed in the additional section only.
const PSEUDO_TYPES: [u16; 2] = [41, 250];

//----------- Request --------------------------------------------------------

/// A decoded message.
#[derive(Debug)]
pub(super) enum Request {
    /// A question for the zones.
    Question(Asked, Query),
    /// A message that is refused for its form.
    Refused(Asked, Unserved),
    /// A message that is not answered.
    Silence,
}

/// Why a message is not taken as a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unserved {
    /// It is malformed.
    Malformed,
    /// A key that is not known here signed it.
    UnknownKey,
    /// Its operation or type is not implemented.
    NotImplemented,
    /// Its version of EDNS is not known.
    EdnsVersion,
    /// It asks for what this node does not offer: a class other than IN, a transfer of a zone.
    NotOffered,
    /// It asks for a cookie alone (RFC 7873 section 5.4).
    CookieAlone,
}

/// What the answer takes over from the message.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// The header of the answer, without its code and flags.
    pub(super) metadata: Metadata,
    /// The question, with its case as received (RFC 1035 section 4.1.1 and common 0x20 practice).
    pub(super) query: Option<Query>,
    /// The EDNS of the client, if it sent any.
    pub(super) edns: Option<AskedEdns>,
    /// The largest number of octets of the answer.
    pub(super) octets_max: u16,
    /// The unsigned TSIG record that reports an unknown key.
    pub(super) unknown_key: Option<Box<Record<TSIG>>>,
}

/// The parts of a client's OPT record that the answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AskedEdns {
    /// The DO bit, which the answer repeats (RFC 3225 section 3).
    pub(super) dnssec_ok: bool,
    /// The cookie, which the answer completes.
    pub(super) cookie: Option<Cookie>,
}

/// The transport of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    /// A datagram.
    Udp,
    /// A connection.
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
        unknown_key: None,
    };
    let counts = SectionCounts {
        questions: header.counts.queries,
        answers: header.counts.answers,
        authorities: header.counts.authorities,
        additionals: header.counts.additionals,
    };
    let (found, scanned) = Additional::scan(bytes, counts);
    let mut is_well_formed = scanned.is_ok();
    if let Some(opt) = found.opt {
        let cookie = opt.cookie.and_then(cookie::decode);
        is_well_formed &= opt.cookie.is_none() || cookie.is_some();
        asked.edns = Some(AskedEdns { dnssec_ok: opt.dnssec_ok, cookie });
        if transport == Transport::Udp {
            asked.octets_max = opt.payload_octets.clamp(PLAIN_OCTETS_MAX, UDP_OCTETS_MAX);
        }
    }
    // RFC 9619: a QUERY has one question. Other counts are refused without decoding what they claim.
    let query = (header.counts.queries == 1).then(|| Query::read(&mut decoder));
    let query = query.transpose().unwrap_or_else(|_| {
        is_well_formed = false;
        None
    });
    // No key is known here, so that no signature can be accepted (RFC 8945 section 5.2.1).
    if let Some(tsig) = found.tsig.filter(|_| is_well_formed) {
        return match unknown_key(bytes, &tsig) {
            Some(record) => {
                (asked.query, asked.unknown_key) = (query, Some(Box::new(record)));
                Request::Refused(asked, Unserved::UnknownKey)
            }
            None => Request::Refused(asked, Unserved::Malformed),
        };
    }
    if header.metadata.op_code != OpCode::Query {
        return Request::Refused(asked, Unserved::NotImplemented);
    }
    if !is_well_formed || header.counts.queries > 1 {
        return Request::Refused(asked, Unserved::Malformed);
    }
    let Some(query) = query else {
        // RFC 7873 section 5.4: only a question for a cookie has none.
        let asks_cookie = asked.edns.is_some_and(|edns| edns.cookie.is_some());
        let unserved = if asks_cookie { Unserved::CookieAlone } else { Unserved::Malformed };
        return Request::Refused(asked, unserved);
    };
    let version = found.opt.map_or(0, |opt| opt.version);
    let refusal = if version > 0 { Some(Unserved::EdnsVersion) } else { refusal_of(&query) };
    asked.query = Some(query.clone());
    match refusal {
        Some(unserved) => Request::Refused(asked, unserved),
        None => Request::Question(asked, query),
    }
}

/// The TSIG record of the answer to a message that a key signed which is not known here: unsigned, with the error BADKEY
/// (RFC 8945 section 5.3.2). None when a name in it cannot be read.
fn unknown_key(message: &[u8], tsig: &Tsig) -> Option<Record<TSIG>> {
    let name = |at: usize| {
        let mut decoder = BinDecoder::new(message).clone(u16::try_from(at).ok()?);
        Name::read(&mut decoder).ok()
    };
    let algorithm = TsigAlgorithm::from_name(name(tsig.algorithm_at)?);
    let error = Some(TsigError::BadKey);
    let data =
        TSIG::new(algorithm, tsig.time_signed, tsig.fudge, Vec::new(), tsig.original_id, error, Vec::new());
    let mut record = Record::from_rdata(name(tsig.key_at)?, 0, data);
    record.dns_class = DNSClass::ANY;
    Some(record)
}

fn refusal_of(query: &Query) -> Option<Unserved> {
    let code = u16::from(query.query_type());
    if PSEUDO_TYPES.contains(&code) {
        Some(Unserved::Malformed)
    } else if META_TYPES.contains(&code) {
        Some(Unserved::NotImplemented)
    } else if query.query_class() != DNSClass::IN {
        Some(Unserved::NotOffered)
    } else {
        match query.query_type() {
            // Zones are not transferred (RFC 5936 section 2.2.1).
            RecordType::AXFR | RecordType::IXFR => Some(Unserved::NotOffered),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
