//! HS_ADMIN and HS_VLIST: who administers an identifier (RFC 3651 sections 3.2.1 and 3.2.7).
//!
//! ```text
//!   HS_ADMIN: permissions (2) · identifier (string) · index (4), sometimes followed by two zero bytes
//!   HS_VLIST: count (4) · { identifier (string) · index (4) }
//! ```

use crate::model::identifier::Identifier;
use crate::model::identity::{AdminPermissions, Administrator, Identity};
use crate::model::limits::{IDENTIFIER_BYTES_MAX, VALUES_BYTES_MAX};
use crate::wire::cursor::{DecodeError, Reader, Writer};

/// Bytes of the shortest identity: an empty string and an index.
const IDENTITY_BYTES_MIN: usize = 8;

/// Decodes the data of an HS_ADMIN value; trailing bytes of old writers are ignored.
pub fn decode_administrator(data: &[u8]) -> Result<Administrator, DecodeError> {
    let mut reader = Reader::new(data);
    let permissions = AdminPermissions::from_bits(reader.u16("administrator permissions")?);
    let identity = decode_identity(&mut reader)?;
    Ok(Administrator { permissions, identity })
}

/// The data of an HS_ADMIN value.
pub fn encode_administrator(administrator: &Administrator) -> Vec<u8> {
    let mut writer = Writer::with_capacity(64);
    writer.u16(administrator.permissions.bits());
    encode_identity(&mut writer, &administrator.identity);
    writer.into_vec()
}

/// Decodes the data of an HS_VLIST value.
pub fn decode_identities(data: &[u8]) -> Result<Vec<Identity>, DecodeError> {
    let mut reader = Reader::new(data);
    let count = reader.count("identities", VALUES_BYTES_MAX, IDENTITY_BYTES_MIN)?;
    (0..count).map(|_| decode_identity(&mut reader)).collect()
}

/// The data of an HS_VLIST value.
pub fn encode_identities(identities: &[Identity]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.count(identities.len());
    identities.iter().for_each(|identity| encode_identity(&mut writer, identity));
    writer.into_vec()
}

fn decode_identity(reader: &mut Reader<'_>) -> Result<Identity, DecodeError> {
    let wrong = reader.refuse("administrator");
    let text = reader.text("administrator", IDENTIFIER_BYTES_MAX)?;
    let identifier = Identifier::parse(text).map_err(|_| wrong)?;
    Ok(Identity { identifier, index: reader.u32("administrator index")? })
}

fn encode_identity(writer: &mut Writer, identity: &Identity) {
    writer.text(&identity.identifier.to_string()).u32(identity.index);
}

#[cfg(test)]
mod tests {
    use super::{decode_administrator, decode_identities, encode_administrator, encode_identities};
    use crate::model::identity::{AdminPermissions, Administrator, Identity};

    #[test]
    fn an_administrator_is_laid_out_as_clients_write_it() {
        let identity = Identity::parse("300:0.NA/88.111.1").expect("an identity");
        let administrator = Administrator { permissions: AdminPermissions::ALL, identity };
        let bytes = encode_administrator(&administrator);
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        assert_eq!(hex, "0fff0000000d302e4e412f38382e3131312e310000012c");
        assert_eq!(decode_administrator(&bytes), Ok(administrator.clone()));
        let old = [bytes.as_slice(), &[0, 0]].concat();
        assert_eq!(decode_administrator(&old), Ok(administrator));
    }

    #[test]
    fn a_list_names_identities_and_its_count_is_no_promise() {
        let identities =
            vec![Identity::parse("0:88/a").expect("one"), Identity::parse("7:88/b").expect("two")];
        let bytes = encode_identities(&identities);
        assert_eq!(decode_identities(&bytes), Ok(identities));
        assert!(decode_identities(&[0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
