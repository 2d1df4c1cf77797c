//! Frames: what a reply takes over from its request, and how it becomes bytes.

use crate::front::handle_semantics::own_site::SITE_SERIAL;
use crate::key::digest::DigestAlgorithm;
use crate::wire::cursor::Writer;
use crate::wire::handle::body::challenge::RequestDigest;
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode, Version};
use crate::wire::handle::envelope::Envelope;
use crate::wire::handle::message::{Header, Message, encode_signed, seal};

use super::reply::{Provenance, Reply, ReplySession};

/// Seconds for which clients may cache a reply: what other servers of this protocol state.
const LIFE_SECONDS: u64 = 43_200;

//----------- Frame ----------------------------------------------------------

/// What a reply takes over from its request.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The request's envelope.
    pub(super) envelope: Envelope,
    /// The request's header.
    pub(super) header: Header,
    /// The digest of the request, if the reply has to state it.
    digest: Option<Vec<u8>>,
}

/// Whether a reply is certified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certified {
    /// The reply is not certified.
    No,
    /// The reply is certified by this server, or by its session.
    Yes,
}

impl Frame {
    /// The frame for replies to a message.
    pub(super) fn new(envelope: Envelope, message: &Message<'_>) -> Self {
        let version = envelope.to_reply().version;
        let wants_digest = message.header.flags.has(OpFlags::REQUEST_DIGEST) && version.has_digest_flag();
        let digest = wants_digest.then(|| digest(version, message.signed));
        Self { envelope, header: message.header, digest }
    }

    /// The frame for replies to bytes that are not a message.
    pub(super) fn of_unreadable(envelope: Envelope) -> Self {
        let header = Header {
            op: OpCode::RESERVED,
            response: ResponseCode::NONE,
            flags: OpFlags::NONE,
            serial: Header::SERIAL_UNKNOWN,
            recursion: 0,
            expires: 0,
        };
        Self { envelope, header, digest: None }
    }

    /// The same for replies to an earlier request, which this one completes.
    #[must_use]
    pub(super) fn completing(mut self, earlier: &Header) -> Self {
        let own = OpFlags::REQUEST_DIGEST.with(OpFlags::CERTIFY).with(OpFlags::ENCRYPT);
        let flags = OpFlags(self.header.flags.0 & own.0).with(earlier.flags.without(own));
        self.header = Header { flags, ..*earlier };
        self
    }

    /// The envelope of a reply, and its header and body.
    pub(super) fn write(&self, reply: &Reply, certified: Certified, now_ms: u64) -> (Envelope, Vec<u8>) {
        let mut envelope = self.envelope.to_reply();
        if let ReplySession::Id(session) = reply.session {
            envelope.session = session;
        }
        let own = OpFlags::CONTINUOUS.with(OpFlags::OVERWRITE).with(OpFlags::CERTIFY);
        let mut flags = self.header.flags.without(own).with(reply.flags);
        if certified == Certified::Yes {
            flags = flags.with(OpFlags::CERTIFY);
        }
        if !envelope.version.has_digest_flag() {
            flags = flags.without(OpFlags::REQUEST_DIGEST);
        }
        flags = match reply.provenance {
            Provenance::Own => flags.with(OpFlags::AUTHORITATIVE),
            Provenance::Relayed => flags.without(OpFlags::AUTHORITATIVE),
        };
        let header = Header {
            op: self.header.op,
            response: reply.code.spoken_in(envelope.version),
            flags,
            serial: SITE_SERIAL,
            recursion: self.header.recursion,
            expires: u32::try_from(now_ms / 1_000 + LIFE_SECONDS).unwrap_or(u32::MAX),
        };
        match &self.digest {
            // The body of a challenge holds the digest itself.
            Some(digest) if !reply.is_challenge() => {
                let mut body = Writer::with_capacity(40 + reply.body.len());
                RequestDigest { code: RequestDigest::code_of(envelope.version), digest }.encode(&mut body);
                body.raw(&reply.body);
                (envelope, encode_signed(&header, body.as_slice()))
            }
            Some(_) | None => (envelope, encode_signed(&header, &reply.body)),
        }
    }

    /// The bytes of a reply that is neither certified nor encrypted.
    pub(super) fn write_plain(&self, reply: &Reply, now_ms: u64) -> Vec<u8> {
        let (envelope, signed) = self.write(reply, Certified::No, now_ms);
        envelope.enclose(&seal(signed, None))
    }
}

/// The digest of a request's header and body, by the algorithm that replies of a version use.
pub(super) fn digest(version: Version, signed: &[u8]) -> Vec<u8> {
    let algorithm = match RequestDigest::code_of(version) {
        RequestDigest::SHA256 => DigestAlgorithm::Sha256,
        RequestDigest::SHA1 => DigestAlgorithm::Sha1,
        _ => DigestAlgorithm::Md5,
    };
    algorithm.digest(&[signed])
}
