//! The credential after a body: a signature of the sender's key or of the session's (RFC 3652 section 2.2.4).
//!
//! ```text
//!   version (1) · reserved (1) · flags (2) · signer (string) · session counter (4) · kind (string)
//!   length (4) of: digest algorithm (string) · signature (string)
//! ```

use crate::model::limits::{HANDLE_MESSAGE_BYTES_MAX, IDENTIFIER_BYTES_MAX};
use crate::wire::cursor::{DecodeError, Reader, Writer};
use crate::wire::handle::code::Version;
use crate::wire::handle::envelope::Envelope;

/// Bytes of the names of a kind and of an algorithm.
const NAME_BYTES_MAX: usize = 64;

/// The signature or authentication code of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The layout's version: 0.
    pub version: u8,
    /// Flags; none are defined.
    pub flags: u16,
    /// The identifier of the signer; servers and sessions leave it empty.
    pub signer: &'a [u8],
    /// The session's count of messages; from old peers, the index of the signer's key.
    pub counter: u32,
    /// The kind: [`Credential::SIGNED`], [`Credential::MAC`] or another.
    pub kind: &'a str,
    /// The digest algorithm by name, or by a one-byte code.
    pub algorithm: &'a [u8],
    /// The signature or authentication code.
    pub signature: &'a [u8],
}

impl<'a> Credential<'a> {
    /// A signature of a public key.
    pub const SIGNED: &'static str = "HS_SIGNED";
    /// A code of a session's key.
    pub const MAC: &'static str = "HS_MAC";

    /// Decodes the contents of a credential section; bytes after the signature are ignored.
    pub fn decode(section: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(section);
        let version = reader.u8("credential version")?;
        reader.u8("credential reserve")?;
        let flags = reader.u16("credential flags")?;
        let signer = reader.bytes("signer", IDENTIFIER_BYTES_MAX)?;
        let counter = reader.u32("session counter")?;
        let kind = reader.text("credential kind", NAME_BYTES_MAX)?;
        reader.u32("signature length")?;
        let algorithm = reader.bytes("signature algorithm", NAME_BYTES_MAX)?;
        let signature = reader.bytes("signature", HANDLE_MESSAGE_BYTES_MAX)?;
        Ok(Self { version, flags, signer, counter, kind, algorithm, signature })
    }

    /// Encodes the contents of a credential section.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(32 + self.kind.len() + 8 + self.signature.len());
        writer.u8(self.version).u8(0).u16(self.flags);
        writer.bytes(self.signer).u32(self.counter).text(self.kind);
        writer.count(4 + self.algorithm.len() + 4 + self.signature.len());
        writer.bytes(self.algorithm).bytes(self.signature);
        writer.into_vec()
    }
}

/// The bytes that a signature or authentication code covers: the envelope's numbers where the version has them, then `signed`
/// (header and body).
///
/// None in versions 2.5 and 2.6, whose implementations disagree about them: their signatures cannot be verified.
pub fn covered_bytes(envelope: &Envelope, counter: u32, signed: &[u8]) -> Option<Vec<u8>> {
    let version = envelope.version;
    let mut writer = Writer::with_capacity(16 + signed.len());
    if version >= Version::V2_5 && version < Version::V2_7 {
        return None;
    }
    if version >= Version::V2_7 {
        writer.u8(version.major).u8(version.minor);
        if version >= Version::V2_8 {
            writer.u8(envelope.suggested.major).u8(envelope.suggested.minor);
        }
        writer.u32(envelope.session).u32(envelope.request).u32(counter);
    }
    writer.raw(signed);
    Some(writer.into_vec())
}

#[cfg(test)]
mod tests {
    use super::{Credential, covered_bytes};
    use crate::wire::handle::code::Version;
    use crate::wire::handle::envelope::{Envelope, EnvelopeFlags};

    #[test]
    fn a_credential_reads_back() {
        let credential = Credential {
            counter: 5,
            kind: Credential::SIGNED,
            algorithm: b"SHA-256",
            signature: &[7; 64],
            ..Credential::default()
        };
        let encoded = credential.encode();
        assert_eq!(Credential::decode(&encoded), Ok(credential));
        let padded = [encoded.as_slice(), &[0; 3]].concat();
        assert_eq!(Credential::decode(&padded), Ok(credential));
    }

    #[test]
    fn each_version_covers_what_it_says() {
        let mut envelope = Envelope {
            version: Version::V2_10,
            suggested: Version::V2_11,
            flags: EnvelopeFlags::NONE,
            session: 1,
            request: 2,
            sequence: 0,
            message_bytes: 1,
        };
        let mut covered = |minor| {
            envelope.version = Version::new(2, minor);
            covered_bytes(&envelope, 3, &[9]).map(|bytes| data_encoding::HEXLOWER.encode(&bytes))
        };
        assert_eq!(covered(10).as_deref(), Some("020a020b00000001000000020000000309"));
        assert_eq!(covered(7).as_deref(), Some("020700000001000000020000000309"));
        assert_eq!(covered(6), None);
        assert_eq!(covered(4).as_deref(), Some("09"));
    }
}
