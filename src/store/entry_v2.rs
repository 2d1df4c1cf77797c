//! The stored form of a delegated site, version 2: with the public key of the site. It is frozen once released.
//!
//! ```text
//!   prefix entry   as in version 1, with homing = 2 (1) · site · key (bytes) in place of homing = 1 (1) · site
//! ```
//! Only a site with a key is written in this form, so that stores without such keys stay readable for programs that know
//! version 1 alone. Those refuse the homing 2 and read nothing else from the entry.

use crate::model::limits::SITE_KEY_BYTES_MAX;
use crate::model::site::Site;
use crate::wire::cursor::{DecodeError, Reader, Writer};

use super::entry_v1;

/// The code of a prefix that is delegated to a site with a key.
pub(super) const HOMING: u8 = 2;

/// Writes a site and its key.
pub(super) fn write_site<'w>(writer: &'w mut Writer, site: &Site, key: &[u8]) -> &'w mut Writer {
    entry_v1::write_site(writer, site).bytes(key)
}

/// Reads a site and its key.
pub(super) fn read_site(reader: &mut Reader<'_>) -> Result<Site, DecodeError> {
    let site = entry_v1::read_site(reader)?;
    let key = reader.bytes("site key", SITE_KEY_BYTES_MAX)?;
    site.with_public_key(key).map_err(|_| reader.refuse("site key"))
}

#[cfg(test)]
mod tests {
    use crate::model::identifier::Prefix;
    use crate::model::prefix::{Homing, PrefixEntry, PrefixStatus};
    use crate::model::site::{Ports, Site};
    use crate::store::entry_v1::{read_prefix, write_prefix};
    use crate::wire::cursor::{Reader, Writer};

    fn entry(site: Site) -> PrefixEntry {
        PrefixEntry {
            prefix: Prefix::parse("88.118").expect("a prefix"),
            homing: Homing::Delegated(site),
            status: PrefixStatus::Active,
            registrant: None,
            filing: None,
            version: 3,
            changed_ms: 4,
        }
    }

    fn written(entry: &PrefixEntry) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128);
        write_prefix(&mut writer, entry);
        writer.into_vec()
    }

    #[test]
    fn a_site_with_a_key_has_its_own_form_and_one_without_that_of_version_1() {
        let ports = Ports { handle: Some(2_641), ..Ports::default() };
        let site = Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site");
        let plain = entry(site.clone());
        let keyed = entry(site.with_public_key(b"key").expect("a key"));
        let hex = |entry: &PrefixEntry| data_encoding::HEXLOWER.encode(&written(entry));
        let begin = "000000000000000300000000000000040000000638382e31313800";
        let site = "0000000100000009 3139322e302e322e31 00000000 0000 0000 0a51 0000".replace(' ', "");
        assert_eq!(hex(&plain), format!("{begin}01{site}0000"));
        assert_eq!(hex(&keyed), format!("{begin}02{site}000000036b65790000"));
        for entry in [plain, keyed] {
            let bytes = written(&entry);
            assert_eq!(read_prefix(&mut Reader::new(&bytes)), Ok(entry));
            for length in 0..bytes.len() {
                assert!(read_prefix(&mut Reader::new(&bytes[..length])).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn an_empty_key_is_refused() {
        let ports = Ports { handle: Some(2_641), ..Ports::default() };
        let site = Site::new(vec!["192.0.2.1".parse().expect("an address")], None, ports).expect("a site");
        let bytes = written(&entry(site.with_public_key(b"k").expect("a key")));
        let hex = data_encoding::HEXLOWER.encode(&bytes).replace("000000016b0000", "000000000000");
        let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex");
        let error = read_prefix(&mut Reader::new(&bytes)).expect_err("no key");
        assert_eq!(error.what, "site key");
    }
}
