//! Questions and answers as messages of the Handle protocol (RFC 3652), and whether an answer is accepted.
//!
//! ```text
//!   PeerQuestion ─ encode ─▶ request: certified, with its digest, no recursion
//!   response ─ is it to this request? ─ is it signed with the key of the site? ─ decode ─▶ PeerAnswer
//! ```
//! Where the key of the site is known, only an answer counts whose signature verifies with that key and covers the digest of
//! the question: absence, refusals and referrals as well as values, since an attacker who could forge any of these could
//! hide an identifier or replace it. Answers that are signed with another key, or not at all, are errors.

use crate::key::PublicKey;
use crate::key::digest::DigestAlgorithm;
use crate::model::identifier::{Folding, Identifier};
use crate::model::value::{Permissions, Value, Values};
use crate::wire::cursor::Reader;
use crate::wire::handle::body::challenge::RequestDigest;
use crate::wire::handle::body::{ErrorText, HandleAndValues, Referral, Resolution};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use crate::wire::handle::credential::{Credential, covered_bytes};
use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};
use crate::wire::handle::message::{Header, Message, encode_signed, seal};
use crate::wire::handle::site::SiteRecord;
use crate::wire::handle::value::WireValue;

use super::error::PeerError;
use super::question::{PeerAnswer, PeerQuestion, PeerValues};

/// Seconds after which a request is of no use to whoever may record it.
const LIFE_SECONDS: u64 = 60;
/// Characters of another node's sentence that are repeated.
const SENTENCE_CHARACTERS_MAX: usize = 256;

//----------- HandleRequest --------------------------------------------------

/// A question as it is sent, and what its answer is compared with.
pub(super) struct HandleRequest {
    asked: PeerQuestion,
    envelope: Envelope,
    /// Header and body: what the digest of the request covers.
    signed: Vec<u8>,
}

impl HandleRequest {
    /// Encodes a question under a random number. Only public values are asked for, of this node alone: it is this node
    /// that follows referrals.
    pub(super) fn new(asked: &PeerQuestion, number: u32, now_ms: u64) -> Self {
        let text = asked.identifier.to_string();
        let types = asked.types.iter().map(|one| one.as_str().as_bytes()).collect();
        let indexes = asked.indexes.iter().map(|index| index.get()).collect();
        let body = Resolution { handle: text.as_bytes(), indexes, types }.encode();
        let header = Header {
            op: OpCode::RESOLUTION,
            response: ResponseCode::NONE,
            flags: OpFlags::CERTIFY.with(OpFlags::PUBLIC_ONLY).with(OpFlags::REQUEST_DIGEST),
            serial: Header::SERIAL_UNKNOWN,
            recursion: u8::try_from(asked.path.len()).unwrap_or(u8::MAX),
            expires: u32::try_from(now_ms / 1_000 + LIFE_SECONDS).unwrap_or(u32::MAX),
        };
        let envelope = Envelope {
            version: Version::V2_10,
            suggested: Version::OURS,
            flags: EnvelopeFlags::NONE,
            session: 0,
            request: number,
            sequence: 0,
            message_bytes: 0,
        };
        Self { asked: asked.clone(), envelope, signed: encode_signed(&header, &body) }
    }

    /// The bytes to send.
    pub(super) fn encode(&self) -> Vec<u8> {
        self.envelope.enclose(&seal(self.signed.clone(), None))
    }

    /// Decodes the response to this request. With a key, only what that key has signed is accepted. Computes for up to some
    /// milliseconds.
    pub(super) fn answer(
        &self,
        response: &HandleResponse,
        key: Option<&PublicKey>,
    ) -> Result<PeerAnswer, Flaw> {
        let HandleResponse { envelope, message } = response;
        if envelope.request != self.envelope.request {
            return Err(Flaw::unintelligible("it belongs to another request"));
        }
        if envelope.flags.has(EnvelopeFlags::ENCRYPTED) || envelope.flags.has(EnvelopeFlags::COMPRESSED) {
            return Err(Flaw::unintelligible("it is encrypted or compressed"));
        }
        let message = Message::decode(message).map_err(|error| Flaw::unintelligible(&error.to_string()))?;
        if let Some(key) = key {
            verify(envelope, &message, key)?;
        }
        let body = self.check_digest(&message, key.is_some())?;
        self.decode(message.header.response, body)
    }

    /// Compares the digest of the request that a response states; returns the rest of its body.
    fn check_digest<'m>(&self, message: &Message<'m>, is_certified: bool) -> Result<&'m [u8], Flaw> {
        let has_digest = message.header.flags.has(OpFlags::REQUEST_DIGEST);
        if !has_digest && !is_certified {
            return Ok(message.body);
        }
        if !has_digest || message.header.op != OpCode::RESOLUTION {
            return Err(Flaw::unintelligible("it does not say which request it answers"));
        }
        let mut reader = Reader::new(message.body);
        let stated =
            RequestDigest::decode(&mut reader).map_err(|error| Flaw::unintelligible(&error.to_string()))?;
        let algorithm = match stated.code {
            RequestDigest::SHA256 => DigestAlgorithm::Sha256,
            RequestDigest::SHA1 => DigestAlgorithm::Sha1,
            _ => return Err(Flaw::unintelligible("it states the digest of the request by an old algorithm")),
        };
        if algorithm.digest(&[&self.signed]) != stated.digest {
            return Err(Flaw::unintelligible("it answers another request"));
        }
        Ok(reader.rest())
    }

    fn decode(&self, code: ResponseCode, body: &[u8]) -> Result<PeerAnswer, Flaw> {
        match code {
            ResponseCode::SUCCESS => self.values(body).map(PeerAnswer::Values),
            ResponseCode::HANDLE_NOT_FOUND => Ok(PeerAnswer::NoIdentifier),
            ResponseCode::VALUES_NOT_FOUND => Ok(PeerAnswer::NoValues),
            ResponseCode::SERVER_NOT_RESPONSIBLE => Ok(PeerAnswer::Unknown),
            ResponseCode::SERVICE_REFERRAL | ResponseCode::PREFIX_REFERRAL => self.referral(body),
            ResponseCode::SERVER_BUSY => Err(Flaw::Busy { sentence: sentence(body) }),
            code => Err(Flaw::Refused { code, sentence: sentence(body) }),
        }
    }

    fn values(&self, body: &[u8]) -> Result<PeerValues, Flaw> {
        let decoded =
            HandleAndValues::decode(body).map_err(|error| Flaw::unintelligible(&error.to_string()))?;
        let identifier = identifier(decoded.handle)?;
        let name = |identifier: &Identifier| identifier.canonical(Folding::Insensitive);
        if name(&identifier) != name(&self.asked.identifier) {
            return Err(Flaw::unintelligible(&format!("it is about {identifier}")));
        }
        let value = |value: &WireValue<'_>| {
            value.to_value().map_err(|problem| Flaw::unintelligible(&problem.to_string()))
        };
        let mut values = decoded.values.iter().map(value).collect::<Result<Vec<Value>, Flaw>>()?;
        values.retain(|value| value.permissions.has(Permissions::PUBLIC_READ));
        let changed_ms = values.iter().map(|value| u64::from(value.timestamp) * 1_000).max().unwrap_or(0);
        let values = Values::new(values).map_err(|error| Flaw::unintelligible(&error.to_string()))?;
        // The protocol counts no changes of an identifier.
        Ok(PeerValues { identifier, version: 0, values: values.into_vec(), changed_ms })
    }

    /// A referral to the site of a prefix, whose record its handle names.
    fn referral(&self, body: &[u8]) -> Result<PeerAnswer, Flaw> {
        let referral = Referral::decode(body).map_err(|error| Flaw::unintelligible(&error.to_string()))?;
        let service = identifier(referral.handle)?;
        let prefix = service
            .named_prefix()
            .filter(|prefix| prefix.covers(&self.asked.identifier.governing_prefix()))
            .ok_or_else(|| {
                Flaw::unintelligible(&format!("it refers to {service}, which is no prefix of it"))
            })?;
        let is_site = |value: &&WireValue<'_>| value.value_type.eq_ignore_ascii_case(b"HS_SITE");
        let records =
            referral.values.iter().filter(is_site).filter_map(|value| SiteRecord::decode(value.data).ok());
        let site = records.filter_map(|record| record.to_site()).find(|site| site.ports().handle.is_some());
        let site = site.ok_or_else(|| Flaw::unintelligible("it refers to no site of one server with TCP"))?;
        Ok(PeerAnswer::Elsewhere { prefix, site })
    }
}

/// The identifier that a handle of a response names.
fn identifier(handle: &[u8]) -> Result<Identifier, Flaw> {
    let text = core::str::from_utf8(handle).map_err(|_| Flaw::unintelligible("its handle is not UTF-8"))?;
    Identifier::parse(text).map_err(|error| Flaw::unintelligible(&error.to_string()))
}

/// The sentence of a refusal, cut: it is another node's text.
fn sentence(body: &[u8]) -> String {
    let text = ErrorText::decode(body).map(|text| text.0).unwrap_or_default();
    let printable = |letter: &char| !letter.is_control();
    String::from_utf8_lossy(text).chars().filter(printable).take(SENTENCE_CHARACTERS_MAX).collect()
}

/// Verifies that a response was signed with this key. Versions before 2.7 do not cover the number of the request.
fn verify(envelope: &Envelope, message: &Message<'_>, key: &PublicKey) -> Result<(), Flaw> {
    let uncertified = |detail: &str| Flaw::Uncertified { detail: detail.to_owned() };
    let credential = message
        .credential
        .filter(|credential| credential.kind == Credential::SIGNED)
        .ok_or_else(|| uncertified("it is not signed"))?;
    let covered = covered_bytes(envelope, credential.counter, message.signed)
        .filter(|_| envelope.version >= Version::V2_7)
        .ok_or_else(|| {
            uncertified("it has a protocol version before 2.7, whose signatures do not cover the request")
        })?;
    DigestAlgorithm::decode_name(credential.algorithm)
        .and_then(|algorithm| key.verify(algorithm, &covered, credential.signature))
        .map_err(|error| uncertified(&error.to_string()))
}

//----------- HandleResponse -------------------------------------------------

/// A response as received.
pub(super) struct HandleResponse {
    pub(super) envelope: Envelope,
    pub(super) message: Vec<u8>,
}

/// Why a response is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// It cannot be decoded, or does not belong to the question.
    Unintelligible { detail: String },
    /// It is not signed with the key of the site.
    Uncertified { detail: String },
    /// The server is too busy.
    Busy { sentence: String },
    /// The server refused.
    Refused { code: ResponseCode, sentence: String },
}

impl Flaw {
    fn unintelligible(detail: &str) -> Self {
        Self::Unintelligible { detail: detail.to_owned() }
    }

    /// The error, with the node concerned.
    pub(super) fn of(self, peer: String) -> PeerError {
        match self {
            Self::Unintelligible { detail } => PeerError::Unintelligible { peer, detail },
            Self::Uncertified { detail } => {
                let detail = format!("it is not certified by the key of the site: {detail}");
                PeerError::Unintelligible { peer, detail }
            }
            Self::Busy { sentence } => PeerError::Unreachable { peer, detail: format!("busy: {sentence}") },
            Self::Refused { code: ResponseCode::RECURSION_COUNT_TOO_HIGH, sentence } => {
                PeerError::Refused { peer, code: super::follow::TOO_DEEP.to_owned(), message: sentence }
            }
            Self::Refused { code, sentence } => {
                PeerError::Refused { peer, code: format!("HANDLE_{code}"), message: sentence }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Flaw, HandleRequest, HandleResponse};
    use crate::federation::question::{PeerAnswer, PeerQuestion};
    use crate::key::PrivateKey;
    use crate::key::digest::DigestAlgorithm;
    use crate::model::identifier::Identifier;
    use crate::model::site::{Ports, Site};
    use crate::model::value::{Index, Permissions, Ttl, Value, ValueType};
    use crate::wire::cursor::{Reader, Writer};
    use crate::wire::handle::body::challenge::RequestDigest;
    use crate::wire::handle::body::{ErrorText, encode_handle_and_values};
    use crate::wire::handle::code::{OpFlags, ResponseCode, Version};
    use crate::wire::handle::credential::{Credential, covered_bytes};
    use crate::wire::handle::envelope::Envelope;
    use crate::wire::handle::message::{Message, encode_signed, seal};
    use crate::wire::handle::site::encode_site;

    fn key(fill: u8) -> PrivateKey {
        PrivateKey::generate_sm2(&|bytes: &mut [u8]| bytes.fill(fill))
    }

    fn asked(text: &str) -> PeerQuestion {
        let identifier = Identifier::parse(text).expect("an identifier");
        PeerQuestion { identifier, indexes: Vec::new(), types: Vec::new(), path: Vec::new() }
    }

    fn value(kind: &str, data: &[u8], permissions: Permissions) -> Value {
        Value {
            index: Index::new(1).expect("an index"),
            value_type: ValueType::new(kind).expect("a type"),
            data: data.to_vec(),
            ttl: Ttl::Relative(60),
            permissions,
            references: Vec::new(),
            timestamp: 7,
        }
    }

    fn url() -> Value {
        value("URL", b"https://example.com", Permissions::DEFAULT)
    }

    /// What a server does: answers the request with a code and a body, signed with a key or not at all.
    fn response(
        request: &HandleRequest,
        (code, body): (ResponseCode, &[u8]),
        key: Option<&PrivateKey>,
    ) -> HandleResponse {
        let bytes = request.encode();
        let mut reader = Reader::new(&bytes);
        let envelope = Envelope::decode(&mut reader).expect("an envelope");
        let message = Message::decode(reader.rest()).expect("a message");
        let digest = DigestAlgorithm::Sha256.digest(&[message.signed]);
        let mut whole = Writer::default();
        RequestDigest { code: RequestDigest::SHA256, digest: &digest }.encode(&mut whole);
        whole.raw(body);
        let header = super::Header { response: code, ..message.header };
        certified(envelope.to_reply(), encode_signed(&header, whole.as_slice()), key)
    }

    fn certified(envelope: Envelope, signed: Vec<u8>, key: Option<&PrivateKey>) -> HandleResponse {
        let covered = covered_bytes(&envelope, 0, &signed).unwrap_or_default();
        let sign = |key: &PrivateKey| {
            key.sign(DigestAlgorithm::Sm3, &covered, &|bytes: &mut [u8]| bytes.fill(9)).expect("signed")
        };
        let signature = key.map(sign).unwrap_or_default();
        let credential = Credential {
            kind: Credential::SIGNED,
            algorithm: b"SM3",
            signature: &signature,
            ..Credential::default()
        };
        let message = seal(signed, key.map(|_| &credential));
        HandleResponse { envelope, message }
    }

    fn found(handle: &str, values: &[Value]) -> Vec<u8> {
        encode_handle_and_values(handle.as_bytes(), values)
    }

    #[test]
    fn only_an_answer_that_the_key_of_the_site_has_signed_is_accepted() {
        let question = asked("88.1/a");
        let request = HandleRequest::new(&question, 5, 1_000_000);
        let (site, other) = (key(1), key(2));
        let answers = [
            (ResponseCode::SUCCESS, found("88.1/A", &[url()])),
            (ResponseCode::HANDLE_NOT_FOUND, Vec::new()),
            (ResponseCode::VALUES_NOT_FOUND, Vec::new()),
            (ResponseCode::SERVER_NOT_RESPONSIBLE, Vec::new()),
            (ResponseCode::ERROR, ErrorText(b"out of order").encode()),
        ];
        for (code, body) in &answers {
            let answer = |signer: Option<&PrivateKey>| {
                let response = response(&request, (*code, body), signer);
                request.answer(&response, Some(&site.public()))
            };
            let accepted = answer(Some(&site));
            assert!(!matches!(accepted, Err(Flaw::Uncertified { .. })), "{code}: {accepted:?}");
            for forged in [answer(Some(&other)), answer(None)] {
                assert!(matches!(forged, Err(Flaw::Uncertified { .. })), "{code}: {forged:?}");
            }
        }
        let response = response(&request, (ResponseCode::SUCCESS, &answers[0].1), Some(&site));
        let Ok(PeerAnswer::Values(found)) = request.answer(&response, Some(&site.public())) else {
            panic!("no values")
        };
        assert_eq!((found.values, found.changed_ms), (vec![url()], 7_000));
    }

    /// Every byte that the signature is about is covered by it.
    #[test]
    fn a_signed_answer_that_was_altered_is_not_accepted() {
        let question = asked("88.1/a");
        let request = HandleRequest::new(&question, 5, 1_000_000);
        let site = key(1);
        let body = found("88.1/a", &[url()]);
        let honest = response(&request, (ResponseCode::SUCCESS, &body), Some(&site));
        for at in 0..honest.message.len() {
            let mut message = honest.message.clone();
            message[at] ^= 1;
            let altered = HandleResponse { envelope: honest.envelope, message };
            if let Ok(answer) = request.answer(&altered, Some(&site.public())) {
                // Only what nobody reads may be altered: reserved bytes of the credential, and the name of the digest.
                assert_eq!(Ok(answer), request.answer(&honest, Some(&site.public())), "byte {at}");
            }
        }
        let old = Envelope { version: Version::V2_4, ..honest.envelope };
        let header_and_body = Message::decode(&honest.message).expect("a message").signed.to_vec();
        let downgraded = certified(old, header_and_body, Some(&site));
        let refused = request.answer(&downgraded, Some(&site.public()));
        assert!(matches!(refused, Err(Flaw::Uncertified { .. })), "{refused:?}");
    }

    #[test]
    fn an_answer_to_another_question_is_not_accepted_though_it_is_signed() {
        let (question, other) = (asked("88.1/a"), asked("88.1/b"));
        let request = HandleRequest::new(&question, 5, 1_000_000);
        let site = key(1);
        let body = found("88.1/a", &[url()]);
        let to_other =
            response(&HandleRequest::new(&other, 5, 1_000_000), (ResponseCode::SUCCESS, &body), Some(&site));
        let later = response(
            &HandleRequest::new(&question, 6, 1_000_000),
            (ResponseCode::SUCCESS, &body),
            Some(&site),
        );
        let about_other =
            response(&request, (ResponseCode::SUCCESS, &found("88.1/b", &[url()])), Some(&site));
        for wrong in [to_other, later, about_other] {
            let answer = request.answer(&wrong, Some(&site.public()));
            assert!(matches!(answer, Err(Flaw::Unintelligible { .. })), "{answer:?}");
        }
    }

    #[test]
    fn hidden_values_do_not_pass_and_refusals_are_cut() {
        let question = asked("88.1/a");
        let request = HandleRequest::new(&question, 5, 1_000_000);
        let hidden = value("HS_SECKEY", b"secret", Permissions::SECRET);
        let body = found("88.1/a", &[hidden]);
        let answer = request.answer(&response(&request, (ResponseCode::SUCCESS, &body), None), None);
        assert!(matches!(&answer, Ok(PeerAnswer::Values(found)) if found.values.is_empty()), "{answer:?}");
        let long = ErrorText(&[b'x'; 10_000]).encode();
        let refused = request.answer(&response(&request, (ResponseCode::ERROR, &long), None), None);
        let Err(Flaw::Refused { code: ResponseCode::ERROR, sentence }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(sentence.len(), 256);
    }

    #[test]
    fn a_referral_leads_to_the_site_of_the_prefix_with_its_key() {
        let question = asked("88.1.2/a");
        let request = HandleRequest::new(&question, 5, 1_000_000);
        let ports = Ports { handle: Some(2_641), ..Ports::default() };
        let site = Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site");
        let record = encode_site(&site, 1, b"key").expect("a record");
        let body = |handle: &str| found(handle, &[value("HS_SITE", &record, Permissions::DEFAULT)]);
        let refer = |handle: &str| {
            let body = body(handle);
            request.answer(&response(&request, (ResponseCode::SERVICE_REFERRAL, &body), None), None)
        };
        let keyed = site.with_public_key(b"key").expect("a key");
        let prefix = crate::model::identifier::Prefix::parse("88.1").expect("a prefix");
        assert_eq!(refer("0.NA/88.1"), Ok(PeerAnswer::Elsewhere { prefix, site: keyed }));
        for wrong in ["0.NA/88.3", "88.1/service"] {
            assert!(matches!(refer(wrong), Err(Flaw::Unintelligible { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_request_asks_for_what_the_public_sees_and_for_a_signature() {
        let question = asked("88.1/a");
        let bytes = HandleRequest::new(&question, 5, 1_000_000).encode();
        let mut reader = Reader::new(&bytes);
        let envelope = Envelope::decode(&mut reader).expect("an envelope");
        let message = Message::decode(reader.rest()).expect("a message");
        assert_eq!((envelope.request, message.header.expires), (5, 1_060));
        let wanted = OpFlags::CERTIFY.with(OpFlags::PUBLIC_ONLY).with(OpFlags::REQUEST_DIGEST);
        assert_eq!(message.header.flags, wanted);
    }
}
