//! A message after its envelope: header, body, credential (RFC 3652 sections 2.2.2 to 2.2.4).
//!
//! ```text
//!   op (4) · response code (4) · flags (4) · site serial (2) · recursion (1) · reserved (1) · expires (4) · body bytes (4)
//!   body · credential bytes (4) · credential
//! ```

use crate::model::limits::HANDLE_MESSAGE_BYTES_MAX;
use crate::wire::cursor::{DecodeError, Reader, Writer};
use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode};
use crate::wire::handle::credential::Credential;

/// Bytes of a header.
pub const HEADER_BYTES: usize = 24;

//----------- Header ---------------------------------------------------------

/// The fixed beginning of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The operation.
    pub op: OpCode,
    /// The result; [`ResponseCode::NONE`] in requests.
    pub response: ResponseCode,
    /// Options of the operation.
    pub flags: OpFlags,
    /// The serial of the HS_SITE that the client used, 65535 when it knows none; in replies, the server's own.
    pub serial: u16,
    /// Number of servers that forwarded the request.
    pub recursion: u8,
    /// Expiry time of the request, in seconds since 1970; not enforced by servers.
    pub expires: u32,
}

impl Header {
    /// The serial of a client that knows no HS_SITE.
    pub const SERIAL_UNKNOWN: u16 = 0xffff;

    /// Decodes a header and the length of the body that follows.
    fn decode(reader: &mut Reader<'_>) -> Result<(Self, usize), DecodeError> {
        let op = OpCode(reader.u32("operation")?);
        let response = ResponseCode(reader.u32("response code")?);
        let flags = OpFlags(reader.u32("operation flags")?);
        let serial = reader.u16("site serial")?;
        let [recursion, _] = reader.array("recursion count")?;
        let expires = reader.u32("expiration")?;
        let body_bytes = reader.count("body", HANDLE_MESSAGE_BYTES_MAX, 1)?;
        Ok((Self { op, response, flags, serial, recursion, expires }, body_bytes))
    }

    fn encode(&self, writer: &mut Writer, body_bytes: usize) {
        writer.u32(self.op.0).u32(self.response.0).u32(self.flags.0);
        writer.u16(self.serial).u8(self.recursion).u8(0).u32(self.expires).count(body_bytes);
    }
}

//----------- Message --------------------------------------------------------

/// A decoded message; the body is decoded by its operation, see [`super::body`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// The fixed beginning.
    pub header: Header,
    /// The body, not yet decoded.
    pub body: &'a [u8],
    /// The credential, if the message has one.
    pub credential: Option<Credential<'a>>,
    /// Header and body as received: what digests and signatures cover.
    pub signed: &'a [u8],
}

impl<'a> Message<'a> {
    /// Decodes a complete message without its envelope. A missing credential section counts as empty; bytes after it are
    /// ignored.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let (header, body_bytes) = Header::decode(&mut reader)?;
        let body = reader.take("body", body_bytes)?;
        let signed = bytes.get(..reader.position()).unwrap_or(bytes);
        let credential = match reader.remaining() {
            0..4 => None,
            _ => match reader.bytes("credential", HANDLE_MESSAGE_BYTES_MAX)? {
                [] => None,
                section => Some(Credential::decode(section)?),
            },
        };
        Ok(Self { header, body, credential, signed })
    }
}

/// Encodes header and body, which digests and signatures cover; [`seal`] completes the message.
pub fn encode_signed(header: &Header, body: &[u8]) -> Vec<u8> {
    let mut writer = Writer::with_capacity(HEADER_BYTES + body.len() + 4);
    header.encode(&mut writer, body.len());
    writer.raw(body);
    writer.into_vec()
}

/// Appends the credential, or an empty section, to header and body.
pub fn seal(mut signed: Vec<u8>, credential: Option<&Credential<'_>>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(&credential.map(Credential::encode).unwrap_or_default());
    signed.extend_from_slice(writer.as_slice());
    signed
}

/// Encodes a complete message without its envelope.
pub fn encode_message(header: &Header, body: &[u8], credential: Option<&Credential<'_>>) -> Vec<u8> {
    seal(encode_signed(header, body), credential)
}

#[cfg(test)]
mod tests {
    use super::{Header, Message, encode_message};
    use crate::wire::cursor::{DecodeError, DecodeProblem};
    use crate::wire::handle::code::{OpCode, OpFlags, ResponseCode};
    use crate::wire::handle::credential::Credential;

    const HEADER: Header = Header {
        op: OpCode(4711),
        response: ResponseCode(3001),
        flags: OpFlags::PUBLIC_ONLY,
        serial: Header::SERIAL_UNKNOWN,
        recursion: 2,
        expires: 0x6592_0080,
    };

    #[test]
    fn a_message_reads_back_with_unknown_codes() {
        let credential =
            Credential { kind: "HS_MAC", counter: 1, signature: b"code", ..Credential::default() };
        let bytes = encode_message(&HEADER, b"body", Some(&credential));
        let message = Message::decode(&bytes).expect("it decodes");
        assert_eq!((message.header, message.body), (HEADER, b"body".as_slice()));
        assert_eq!(message.credential, Some(credential));
        assert_eq!(message.signed, &bytes[..28]);
    }

    #[test]
    fn a_missing_credential_section_is_an_empty_one() {
        let bytes = encode_message(&HEADER, b"body", None);
        let whole = Message::decode(&bytes).expect("it decodes");
        assert_eq!(whole.credential, None);
        for cut in 1..=4 {
            assert_eq!(Message::decode(&bytes[..bytes.len() - cut]), Ok(whole.clone()));
        }
        let trailing = [bytes.as_slice(), &[1, 2, 3, 4, 5]].concat();
        assert_eq!(Message::decode(&trailing), Ok(whole));
    }

    #[test]
    fn a_body_longer_than_the_message_is_refused() {
        let mut bytes = encode_message(&HEADER, b"body", None);
        bytes[23] = 9;
        let problem = DecodeProblem::TooLong { found: 9, max: 8 };
        assert_eq!(Message::decode(&bytes), Err(DecodeError { what: "body", at: 20, problem }));
    }
}
