//! The private key files of the Handle tools, as far as they are not encrypted.
//!
//! ```text
//!   1 (4): not encrypted · kind (string) · then, each as a string:
//!   RSA_PRIVCRT_KEY  modulus · public and private exponent · p · q · exponents of p and q · coefficient
//!   DSA_PRIV_KEY     x · p · q · g
//! ```

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use dsa::{SigningKey as DsaKey, VerifyingKey};
use rsa::PrivateKey as RsaKey;
use rsa::traits::{PrivateKeyParts, PublicKeyParts};

use super::integer::{integer, integer_within, signed_bytes};
use super::private::{PrivateKey, checked_rsa};
use super::public::dsa_domain;
use super::{KeyError, blob};
use crate::wire::cursor::{Reader, Writer};

const NOT_ENCRYPTED: u32 = 1;
const RSA: &str = "RSA_PRIVCRT_KEY";
const DSA: &str = "DSA_PRIV_KEY";

/// Decodes the file.
pub(super) fn decode(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let mut reader = Reader::new(data);
    match reader.u32("encryption of private key file")? {
        NOT_ENCRYPTED => {}
        0 | 2..=9 => return Err(KeyError::Locked),
        _ => return Err(KeyError::Malformed { wanted: "a private key in PEM, DER or a Handle key file" }),
    }
    match reader.text("kind of private key", blob::KIND_BYTES_MAX)? {
        RSA => decode_rsa(&mut reader),
        DSA => decode_dsa(&mut reader),
        other => Err(KeyError::Unknown { what: "kind of private key", found: other.to_owned() }),
    }
}

fn decode_rsa(reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    let [modulus, exponent, private, p, q] = blob::fields(reader)?;
    let primes = vec![integer(p), integer(q)];
    let key = RsaKey::from_components(integer(modulus), integer(exponent), integer(private), primes);
    checked_rsa(key.map_err(|_| KeyError::Malformed { wanted: "the numbers of an RSA private key" })?)
}

fn decode_dsa(reader: &mut Reader<'_>) -> Result<PrivateKey, KeyError> {
    let wrong = KeyError::Malformed { wanted: "the numbers of a DSA private key" };
    let [x, p, q, g] = blob::fields(reader)?;
    let domain = dsa_domain(p, q, g)?;
    let x = integer_within(x, domain.p().bits_precision()).ok_or(wrong.clone())?;
    let group = BoxedMontyParams::new(domain.p().clone());
    let y = BoxedMontyForm::new(domain.g().as_ref().clone(), &group).pow(&x).retrieve();
    let public = VerifyingKey::from_components(domain, y).map_err(|_| wrong.clone())?;
    let key = DsaKey::from_components(public, x).map_err(|_| wrong)?;
    Ok(PrivateKey::Dsa(Box::new(key)))
}

/// Encodes the file.
pub(super) fn encode(key: &PrivateKey) -> Result<Vec<u8>, KeyError> {
    let mut writer = Writer::with_capacity(1_400);
    writer.u32(NOT_ENCRYPTED);
    match key {
        PrivateKey::Rsa(key) => encode_rsa(&mut writer, key)?,
        PrivateKey::Dsa(key) => {
            let domain = key.verifying_key().components();
            writer.text(DSA).bytes(&signed_bytes(key.x()));
            for field in [domain.p().as_ref(), domain.q().as_ref(), domain.g().as_ref()] {
                writer.bytes(&signed_bytes(field));
            }
        }
        PrivateKey::Sm2(_) => return Err(KeyError::Unsuited { key: "SM2", with: "the Handle key file" }),
    }
    Ok(writer.into_vec())
}

fn encode_rsa(writer: &mut Writer, key: &RsaKey) -> Result<(), KeyError> {
    let wrong = KeyError::Malformed { wanted: "an RSA key of two primes" };
    let [p, q] = key.primes() else { return Err(wrong) };
    let (dp, dq) = key.dp().zip(key.dq()).ok_or(wrong.clone())?;
    let coefficient = key.crt_coefficient().ok_or(wrong)?;
    writer.text(RSA);
    let numbers = [key.n().as_ref(), key.e(), key.d(), p.as_ref(), q.as_ref(), dp, dq, &coefficient];
    numbers.into_iter().for_each(|number| {
        writer.bytes(&signed_bytes(number));
    });
    Ok(())
}
