//! The blob of an HS_PUBKEY and of key files: a kind and byte strings, as CNRI's library writes them. `crate::key`
//! interprets the strings.
//!
//! ```text
//!   kind (string) · flags (2) · fields (strings, to the end)
//! ```

use crate::model::limits::VALUES_BYTES_MAX;
use crate::wire::cursor::{DecodeError, DecodeProblem, Reader, Writer};

/// Bytes of the name of a kind.
const KIND_BYTES_MAX: usize = 64;
/// Fields of one blob: a private RSA key has eight.
const FIELDS_MAX: usize = 16;

/// A key as fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyBlob<'a> {
    /// The kind of key, such as [`KeyBlob::RSA`].
    pub kind: &'a str,
    /// Flags; none are defined.
    pub flags: u16,
    /// The fields. CNRI's writer appends four zero bytes to those of an RSA key, which decode as an empty last field.
    pub fields: Vec<&'a [u8]>,
}

impl<'a> KeyBlob<'a> {
    /// An RSA public key: exponent, modulus.
    pub const RSA: &'static str = "RSA_PUB_KEY";
    /// A DSA public key: q, p, g, y.
    pub const DSA: &'static str = "DSA_PUB_KEY";
    /// A public number of a Diffie-Hellman agreement: y, p, g.
    pub const DIFFIE_HELLMAN: &'static str = "DH_PUB_KEY";
    /// An SM2 public key: PEM text or DER (Teleinfo).
    pub const SM2: &'static str = "SM2_PUB_KEY";

    /// Decodes a blob that has flags: that of a public key.
    pub fn decode(blob: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(blob);
        let kind = reader.text("key kind", KIND_BYTES_MAX)?;
        let flags = reader.u16("key flags")?;
        Ok(Self { kind, flags, fields: fields(&mut reader)? })
    }

    /// Decodes a blob without flags: that of a private key.
    pub fn decode_private(blob: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(blob);
        let kind = reader.text("key kind", KIND_BYTES_MAX)?;
        Ok(Self { kind, flags: 0, fields: fields(&mut reader)? })
    }

    /// Encodes the blob of a public key.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(512);
        writer.text(self.kind).u16(self.flags);
        put_fields(&mut writer, &self.fields);
        writer.into_vec()
    }

    /// Encodes the blob of a private key, which has no flags.
    pub fn encode_private(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(2_048);
        writer.text(self.kind);
        put_fields(&mut writer, &self.fields);
        writer.into_vec()
    }
}

fn fields<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, DecodeError> {
    let mut fields = Vec::new();
    while reader.remaining() > 0 {
        if fields.len() == FIELDS_MAX {
            let problem = DecodeProblem::TooLong { found: FIELDS_MAX + 1, max: FIELDS_MAX };
            return Err(DecodeError { what: "key fields", at: reader.position(), problem });
        }
        fields.push(reader.bytes("key field", VALUES_BYTES_MAX)?);
    }
    Ok(fields)
}

fn put_fields(writer: &mut Writer, fields: &[&[u8]]) {
    for field in fields {
        writer.bytes(field);
    }
}

#[cfg(test)]
mod tests {
    use super::KeyBlob;
    use crate::wire::cursor::DecodeProblem;

    #[test]
    fn a_key_reads_back_field_by_field() {
        let blob = KeyBlob { kind: KeyBlob::RSA, flags: 0, fields: vec![&[1, 0, 1], &[0, 0x8e, 0xc4], &[]] };
        let bytes = blob.encode();
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        assert_eq!(hex, "0000000b5253415f5055425f4b455900000000000301000100000003008ec400000000");
        assert_eq!(KeyBlob::decode(&bytes), Ok(blob));
        let private = KeyBlob { kind: "RSA_PRIVCRT_KEY", flags: 0, fields: vec![&[3], &[5]] };
        assert_eq!(KeyBlob::decode_private(&private.encode_private()), Ok(private));
    }

    #[test]
    fn fields_are_bounded() {
        let many = KeyBlob { kind: KeyBlob::DSA, flags: 0, fields: vec![&[]; 17] };
        let error = KeyBlob::decode(&many.encode()).expect_err("too many");
        assert_eq!(error.problem, DecodeProblem::TooLong { found: 17, max: 16 });
        let cut = KeyBlob { kind: KeyBlob::DSA, flags: 0, fields: vec![&[1, 2]] }.encode();
        let error = KeyBlob::decode(&cut[..cut.len() - 1]).expect_err("cut");
        assert_eq!(error.problem, DecodeProblem::Short { wanted: 2, found: 1 });
    }
}
