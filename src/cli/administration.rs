//! The text form of administration values: HS_ADMIN and HS_VLIST as people write and read them.
//!
//! ```text
//!   HS_ADMIN   300:0.NA/88.118.8                 an identity and everything it may do
//!              300:0.NA/88.118.8 011111110011    the same with twelve digits, the right to list identifiers first
//!   HS_VLIST   300:88.118.8/alice, 300:88.118.8/bob
//! ```

use crate::key::PublicKey;
use crate::model::identity::{AdminPermissions, Administrator, Identity};
use crate::model::value::ValueType;
use crate::wire::handle::administrator::{
    decode_administrator, decode_identities, encode_administrator, encode_identities,
};

/// Encodes the text form of a value into its data.
pub(super) fn parse(value_type: &str, text: &str) -> Result<Vec<u8>, String> {
    if value_type.eq_ignore_ascii_case(ValueType::HS_ADMIN) {
        return parse_administrator(text).map(|administrator| encode_administrator(&administrator));
    }
    if value_type.eq_ignore_ascii_case(ValueType::HS_VLIST) {
        let identities =
            text.split(',').map(|one| parse_identity(one.trim())).collect::<Result<Vec<_>, _>>()?;
        return Ok(encode_identities(&identities));
    }
    Ok(text.as_bytes().to_vec())
}

fn parse_administrator(text: &str) -> Result<Administrator, String> {
    let (identity, digits) = match text.rsplit_once(' ') {
        Some((identity, digits)) => (identity, Some(digits)),
        None => (text, None),
    };
    let permissions = match digits {
        None => AdminPermissions::ALL,
        Some(digits) => parse_permissions(digits)?,
    };
    Ok(Administrator { permissions, identity: parse_identity(identity.trim())? })
}

fn parse_permissions(digits: &str) -> Result<AdminPermissions, String> {
    let bits = u16::from_str_radix(digits, 2).ok();
    let bits = bits.filter(|_| digits.len() == 12 && digits.bytes().all(|byte| matches!(byte, b'0' | b'1')));
    let wrong = || format!("permissions {digits:?} are not twelve digits 0 or 1, such as 011111110011");
    bits.map(AdminPermissions::from_bits).ok_or_else(wrong)
}

fn parse_identity(text: &str) -> Result<Identity, String> {
    Identity::parse(text).map_err(|error| error.to_string())
}

/// The text form of a value's data; none for types that are shown unchanged.
pub(super) fn display(value_type: &str, data: &[u8]) -> Option<String> {
    match value_type.to_ascii_uppercase().as_str() {
        ValueType::HS_ADMIN => {
            let Administrator { permissions, identity } = decode_administrator(data).ok()?;
            Some(format!("{identity} {permissions}"))
        }
        ValueType::HS_VLIST => {
            let identities: Vec<String> =
                decode_identities(data).ok()?.iter().map(Identity::to_string).collect();
            Some(identities.join(", "))
        }
        ValueType::HS_PUBKEY => {
            let key = PublicKey::decode(data).ok()?;
            Some(format!("({} bytes) a public key, {}", data.len(), key.kind()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{display, parse};

    #[test]
    fn what_is_written_is_shown_again() {
        for (kind, written, shown) in [
            ("HS_ADMIN", "300:0.NA/88.118.8", "300:0.NA/88.118.8 111111111111"),
            ("hs_admin", "0:88/a b 011111110011", "0:88/a b 011111110011"),
            ("HS_VLIST", "300:88/a,301:88/b", "300:88/a, 301:88/b"),
        ] {
            let data = parse(kind, written).expect("well written");
            assert_eq!(display(kind, &data).as_deref(), Some(shown));
        }
        assert_eq!(parse("URL", "300:88/a").expect("any text"), b"300:88/a");
        assert_eq!(display("URL", b"300:88/a"), None);
        assert_eq!(display("HS_ADMIN", b"\xff"), None, "what cannot be read is shown as it is");
    }

    #[test]
    fn malformed_values_are_reported() {
        let wrong = parse("HS_ADMIN", "88/a").expect_err("no index");
        assert!(wrong.contains("300:0.NA/88.118.8"), "{wrong}");
        let wrong = parse("HS_ADMIN", "300:88/a 0111").expect_err("four digits");
        assert!(wrong.contains("twelve"), "{wrong}");
    }
}
