//! Frames: what a reply carries over from its request, and how it becomes bytes.

use crate::key::digest::DigestAlgorithm;
use crate::wire::cursor::Writer;
use crate::wire::handle::body::challenge::RequestDigest;
use crate::wire::handle::code::OpFlags;
use crate::wire::handle::envelope::Envelope;
use crate::wire::handle::message::{Header, encode_signed, seal};

use super::reply::{Reply, Standing};

/// Seconds for which a reply is worth keeping: what servers of this protocol say.
const LIFE_SECONDS: u64 = 43_200;
/// The serial of this node's HS_SITE in headers: the first, so that no client ever looks for another.
pub(super) const SITE_SERIAL: u16 = 1;

//----------- Frame ----------------------------------------------------------

/// What a reply carries over from its request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The request's envelope.
    pub(super) envelope: Envelope,
    /// The request's header.
    pub(super) header: Header,
    /// The request's header and body as received: what its digest covers.
    pub(super) signed: &'a [u8],
}

impl Frame<'_> {
    /// Header and body of a reply, and its envelope.
    pub(super) fn write(&self, reply: &Reply, now_ms: u64) -> (Envelope, Vec<u8>) {
        let envelope = self.envelope.to_reply();
        let copied = OpFlags::CONTINUOUS.with(OpFlags::OVERWRITE).with(OpFlags::CERTIFY);
        let mut flags = self.header.flags.without(copied).with(reply.flags);
        flags = match reply.standing {
            Standing::Authoritative => flags.with(OpFlags::AUTHORITATIVE),
            Standing::Retold => flags.without(OpFlags::AUTHORITATIVE),
        };
        let header = Header {
            op: self.header.op,
            response: reply.code.spoken_in(envelope.version),
            flags,
            serial: SITE_SERIAL,
            recursion: self.header.recursion,
            expires: u32::try_from(now_ms / 1_000 + LIFE_SECONDS).unwrap_or(u32::MAX),
        };
        if !self.header.flags.has(OpFlags::REQUEST_DIGEST) {
            return (envelope, encode_signed(&header, &reply.body));
        }
        let digest = self.digest();
        let mut body = Writer::with_capacity(40 + reply.body.len());
        RequestDigest { code: RequestDigest::code_of(envelope.version), digest: &digest }.encode(&mut body);
        body.raw(&reply.body);
        (envelope, encode_signed(&header, body.as_slice()))
    }

    /// The whole of a reply that nobody vouches for.
    pub(super) fn write_plain(&self, reply: &Reply, now_ms: u64) -> Vec<u8> {
        let (envelope, signed) = self.write(reply, now_ms);
        envelope.enclose(&seal(signed, None))
    }

    /// The digest of the request, by the algorithm that the reply's version uses.
    pub(super) fn digest(&self) -> Vec<u8> {
        let algorithm = match RequestDigest::code_of(self.envelope.to_reply().version) {
            RequestDigest::SHA256 => DigestAlgorithm::Sha256,
            RequestDigest::SHA1 => DigestAlgorithm::Sha1,
            _ => DigestAlgorithm::Md5,
        };
        algorithm.digest(&[self.signed])
    }
}
