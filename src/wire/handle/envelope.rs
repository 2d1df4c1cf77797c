//! The envelope: twenty bytes in front of every message and every packet (RFC 3652 section 2.2.1).
//!
//! ```text
//!   version (2) · flags and suggested major (1) · suggested minor (1) · session (4) · request (4)
//!   sequence (4) · bytes of the whole message (4)
//! ```

use crate::model::limits::HANDLE_MESSAGE_BYTES_MAX;
use crate::wire::cursor::{DecodeError, DecodeProblem, Reader, Writer};
use crate::wire::handle::code::Version;

/// Bytes of an envelope.
pub const ENVELOPE_BYTES: usize = 20;

/// The two bits next to the flags that hold the suggested major version.
const SUGGESTED_MAJOR: u8 = 0x03;

//----------- Envelope -------------------------------------------------------

/// The fields before a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The version the message is written in.
    pub version: Version,
    /// The version that the sender prefers for replies.
    pub suggested: Version,
    /// Flags of the transport.
    pub flags: EnvelopeFlags,
    /// The session; 0 is none.
    pub session: u32,
    /// The number by which the client matches a reply with its request.
    pub request: u32,
    /// The number of this packet, from 0.
    pub sequence: u32,
    /// Bytes of the complete message after the envelope or envelopes.
    pub message_bytes: u32,
}

impl Envelope {
    /// Decodes an envelope; a message beyond the bound is refused here, before memory is allocated for it.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let [major, minor] = reader.array("version")?;
        let [bits, suggested_minor] = reader.array("envelope flags")?;
        let version = Version::new(major, minor);
        let suggested = match bits & SUGGESTED_MAJOR {
            0 => version,
            major => Version::new(major, suggested_minor),
        };
        let session = reader.u32("session")?;
        let request = reader.u32("request id")?;
        let sequence = reader.u32("sequence number")?;
        let at = reader.position();
        let message_bytes = reader.u32("message length")?;
        let envelope = Self {
            version,
            suggested,
            flags: EnvelopeFlags(bits & !SUGGESTED_MAJOR),
            session,
            request,
            sequence,
            message_bytes,
        };
        if envelope.message_length() > HANDLE_MESSAGE_BYTES_MAX {
            let problem =
                DecodeProblem::TooLong { found: envelope.message_length(), max: HANDLE_MESSAGE_BYTES_MAX };
            return Err(DecodeError { what: "message length", at, problem });
        }
        Ok(envelope)
    }

    /// Encodes the envelope.
    pub fn encode(&self, writer: &mut Writer) {
        writer.u8(self.version.major).u8(self.version.minor);
        writer.u8((self.flags.0 & !SUGGESTED_MAJOR) | (self.suggested.major & SUGGESTED_MAJOR));
        writer.u8(self.suggested.minor);
        writer.u32(self.session).u32(self.request).u32(self.sequence).u32(self.message_bytes);
    }

    /// The envelope with a message after it; sets the length to that of the message.
    pub fn enclose(&self, message: &[u8]) -> Vec<u8> {
        let message_bytes = u32::try_from(message.len()).unwrap_or(u32::MAX);
        let mut writer = Writer::with_capacity(ENVELOPE_BYTES + message.len());
        Self { message_bytes, ..*self }.encode(&mut writer);
        writer.raw(message);
        writer.into_vec()
    }

    /// Bytes of the whole message.
    pub fn message_length(&self) -> usize {
        usize::try_from(self.message_bytes).unwrap_or(usize::MAX)
    }

    /// The envelope of a reply: the same request and session, in a version that the client reads.
    #[must_use]
    pub fn to_reply(&self) -> Self {
        Self {
            version: self.suggested.to_reply_in(),
            suggested: Version::OURS,
            flags: EnvelopeFlags::NONE,
            session: self.session,
            request: self.request,
            sequence: 0,
            message_bytes: 0,
        }
    }
}

//----------- EnvelopeFlags --------------------------------------------------

/// Flags of the transport: the six high bits of the third byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeFlags(pub u8);

impl EnvelopeFlags {
    /// Unencrypted and complete.
    pub const NONE: Self = Self(0);
    /// Compressed; not used in practice.
    pub const COMPRESSED: Self = Self(0x80);
    /// Encrypted with the session's key.
    pub const ENCRYPTED: Self = Self(0x40);
    /// Cut into packets; servers need not set it.
    pub const TRUNCATED: Self = Self(0x20);

    /// Whether all of these are set.
    pub fn has(self, flags: Self) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// These flags and others.
    #[must_use]
    pub fn with(self, flags: Self) -> Self {
        Self(self.0 | flags.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{ENVELOPE_BYTES, Envelope, EnvelopeFlags};
    use crate::wire::cursor::{DecodeProblem, Reader};
    use crate::wire::handle::code::Version;

    fn decoded(hex: &str) -> Envelope {
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
        Envelope::decode(&mut Reader::new(&bytes)).expect("an envelope")
    }

    #[test]
    fn an_envelope_reads_back() {
        let envelope = decoded("020a620b00000007000000010000000200000035");
        assert_eq!((envelope.version, envelope.suggested), (Version::V2_10, Version::V2_11));
        assert_eq!(envelope.flags, EnvelopeFlags::ENCRYPTED.with(EnvelopeFlags::TRUNCATED));
        assert_eq!((envelope.session, envelope.request, envelope.sequence), (7, 1, 2));
        let enclosed = envelope.enclose(&[9; 0x35]);
        assert_eq!(enclosed.len(), ENVELOPE_BYTES + 0x35);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&enclosed[..20]),
            "020a620b00000007000000010000000200000035"
        );
    }

    #[test]
    fn who_suggests_nothing_hears_its_own_version() {
        let reply = decoded("0203000000000000000000010000000000000018").to_reply();
        assert_eq!((reply.version, reply.suggested), (Version::new(2, 3), Version::V2_11));
        let reply = decoded("0300030000000000000000010000000000000018").to_reply();
        assert_eq!(reply.version, Version::V2_11);
    }

    #[test]
    fn a_message_beyond_the_bound_is_refused() {
        for length in [0x0004_0001_u32, 0xffff_ffff] {
            let bytes = [&[2, 10, 2, 10][..], &[0; 12], &length.to_be_bytes()].concat();
            let error = Envelope::decode(&mut Reader::new(&bytes)).expect_err("too long");
            assert!(matches!(error.problem, DecodeProblem::TooLong { max: 262_144, .. }), "{error}");
        }
    }
}
