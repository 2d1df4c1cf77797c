//! The client certificate: the identity that it names, and its key. The issuer is not considered.

use x509_cert::Certificate;
use x509_cert::der::asn1::{ObjectIdentifier, PrintableStringRef, TeletexStringRef, Utf8StringRef};
use x509_cert::der::{Any, Decode, Encode};

use super::authorization::parse_identity;
use crate::key::PublicKey;
use crate::model::identity::Identity;

/// The attribute `userId` of a name (RFC 4519 section 2.39).
const USER_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1");
/// The attribute `commonName` of a name (RFC 4519 section 2.3).
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");

/// The identity that a certificate's subject names, and its key; none when it names none or its key is of a kind that
/// identities do not have.
pub(in crate::front::http) fn read(der: &[u8]) -> Option<(Identity, PublicKey)> {
    let certificate = Certificate::from_der(der).ok()?;
    let certificate = certificate.tbs_certificate();
    let named =
        |kind| certificate.subject().iter().find(|part| part.oid == kind).and_then(|part| text(&part.value));
    let identity =
        [USER_ID, COMMON_NAME].into_iter().filter_map(named).find_map(|name| parse_identity(&name))?;
    let key = PublicKey::decode(&certificate.subject_public_key_info().to_der().ok()?).ok()?;
    Some((identity, key))
}

fn text(value: &Any) -> Option<String> {
    let utf8 = value.decode_as::<Utf8StringRef<'_>>().ok().map(|text| text.as_str().to_owned());
    let printable = || value.decode_as::<PrintableStringRef<'_>>().ok().map(|text| text.as_str().to_owned());
    let teletex = || value.decode_as::<TeletexStringRef<'_>>().ok().map(|text| text.as_str().to_owned());
    utf8.or_else(printable).or_else(teletex)
}
