//! Public keys: decoding, encoding and verification of signatures.
//!
//! HS_PUBKEY data comes as the Handle blob, as PEM text, as PEM or DER inside the blob, or as bare DER. Sizes are
//! bounded, because clients choose the key and the node does the work.

use crypto_bigint::Integer;
use dsa::{Components, Signature as DsaSignature, VerifyingKey as DsaKey};
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs8::der::asn1::{ObjectIdentifier, UintRef};
use rsa::pkcs8::der::{Decode, Encode};
use rsa::pkcs8::{EncodePublicKey, SubjectPublicKeyInfoRef};
use rsa::signature::Verifier;
use rsa::signature::hazmat::PrehashVerifier;
use rsa::traits::PublicKeyParts;
use rsa::{BoxedUint, Pkcs1v15Sign, PublicKey as RsaKey};
use sha1::Sha1;
use sha2::Sha256;
use sm2::dsa::{Signature as Sm2Signature, VerifyingKey as Sm2Key};

use super::digest::DigestAlgorithm;
use super::error::bound;
use super::integer::{integer, integer_within};
use super::{KeyError, blob, pem};

/// Bits of the smallest accepted RSA key.
pub const RSA_BITS_MIN: usize = 1_024;
/// Bits of the largest accepted RSA key.
pub const RSA_BITS_MAX: usize = 8_192;
/// Bytes of the longest key in any encoding.
pub const KEY_BYTES_MAX: usize = 16_384;
/// Bytes of the longest signature: that of the largest RSA key, with the framing of DER.
pub const SIGNATURE_BYTES_MAX: usize = 1_040;
/// The default user id of SM2 (GM/T 0009-2012).
pub const SM2_USER_DEFAULT: &str = "1234567812345678";

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const DSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SM2_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");

/// The sizes of DSA keys, in bits of p and of q (FIPS 186-4 section 4.2).
const DSA_SIZES: [(u32, u32); 4] = [(1_024, 160), (2_048, 224), (2_048, 256), (3_072, 256)];

//----------- PublicKey ------------------------------------------------------

/// The public half of a key.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicKey {
    /// RSA, for PKCS#1 v1.5 signatures.
    Rsa(RsaKey),
    /// DSA, the default of CNRI's servers.
    Dsa(DsaKey),
    /// SM2 (GB/T 32918), with SM3.
    Sm2(sm2::PublicKey),
}

impl PublicKey {
    /// Decodes HS_PUBKEY data, or a key file, in any of its encodings.
    pub fn decode(data: &[u8]) -> Result<Self, KeyError> {
        bound("length of a key in bytes", data.len(), 1, KEY_BYTES_MAX)?;
        if pem::is_pem(data) {
            return parse_pem(data);
        }
        match data.first() {
            Some(0x30) => decode_der(data),
            _ => blob::decode(data),
        }
    }

    /// The Handle blob: HS_PUBKEY data, byte for byte as CNRI's software writes it for RSA and DSA.
    pub fn encode_blob(&self) -> Vec<u8> {
        blob::encode(self)
    }

    /// X.509 SubjectPublicKeyInfo in DER.
    pub fn to_der(&self) -> Vec<u8> {
        let document = match self {
            Self::Rsa(key) => key.to_public_key_der(),
            Self::Dsa(key) => key.to_public_key_der(),
            Self::Sm2(key) => key.to_public_key_der(),
        };
        document.map(|document| document.as_bytes().to_vec()).unwrap_or_default()
    }

    /// X.509 SubjectPublicKeyInfo as PEM text.
    pub fn to_pem(&self) -> String {
        pem::display("PUBLIC KEY", &self.to_der())
    }

    /// The usual name of the kind of key.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rsa(_) => "RSA",
            Self::Dsa(_) => "DSA",
            Self::Sm2(_) => "SM2",
        }
    }

    /// Verifies a plain signature: RSA with PKCS#1 v1.5, DSA in DER, SM2 in DER with SM3 and the default user id.
    pub fn verify(
        &self,
        algorithm: DigestAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        match self {
            Self::Rsa(key) => verify_rsa(key, algorithm, message, signature),
            Self::Dsa(key) => verify_dsa(key, algorithm, message, signature),
            Self::Sm2(key) if algorithm == DigestAlgorithm::Sm3 => {
                verify_sm2(key, SM2_USER_DEFAULT, message, signature)
            }
            Self::Sm2(_) => Err(KeyError::Unsuited { key: "SM2", with: algorithm.name() }),
        }
    }
}

//----------- Reading --------------------------------------------------------

/// A public key as PEM text.
pub(super) fn parse_pem(data: &[u8]) -> Result<PublicKey, KeyError> {
    let (label, content) = pem::parse(data)?;
    match label {
        "PUBLIC KEY" => decode_der(&content),
        "RSA PUBLIC KEY" => decode_pkcs1(&content),
        other => Err(KeyError::Unknown { what: "PEM label of a public key", found: other.to_owned() }),
    }
}

/// X.509 SubjectPublicKeyInfo.
pub(super) fn decode_der(data: &[u8]) -> Result<PublicKey, KeyError> {
    let wanted = "a public key in X.509 DER (SubjectPublicKeyInfo)";
    let info = SubjectPublicKeyInfoRef::from_der(data).map_err(|_| KeyError::Malformed { wanted })?;
    let content = info.subject_public_key.as_bytes().ok_or(KeyError::Malformed { wanted })?;
    let parameter = info.algorithm.parameters_oid();
    match info.algorithm.oid {
        RSA_ENCRYPTION => decode_pkcs1(content),
        SM2_CURVE => decode_sm2(content),
        EC_PUBLIC_KEY if parameter == Ok(SM2_CURVE) => decode_sm2(content),
        DSA => {
            let parameters = info.algorithm.parameters_any().and_then(|any| Ok(any.to_der()?));
            decode_dsa(&parameters.map_err(|_| KeyError::Malformed { wanted })?, content)
        }
        other => {
            let named = parameter.unwrap_or(other).to_string();
            Err(KeyError::Unknown { what: "algorithm of a public key", found: named })
        }
    }
}

fn decode_pkcs1(content: &[u8]) -> Result<PublicKey, KeyError> {
    let wanted = "an RSA public key (PKCS#1)";
    let key = RsaKey::from_pkcs1_der(content).map_err(|_| KeyError::Malformed { wanted })?;
    let [exponent, modulus] = rsa_numbers(&key);
    rsa(&modulus.to_be_bytes(), &exponent.to_be_bytes())
}

fn decode_sm2(content: &[u8]) -> Result<PublicKey, KeyError> {
    let key = sm2::PublicKey::from_sec1_bytes(content);
    key.map(PublicKey::Sm2).map_err(|_| KeyError::Malformed { wanted: "a point of the SM2 curve" })
}

fn decode_dsa(parameters: &[u8], content: &[u8]) -> Result<PublicKey, KeyError> {
    let wrong = |_| KeyError::Malformed { wanted: "the numbers of a DSA key" };
    let domain = Components::from_der(parameters).map_err(wrong)?;
    let y = UintRef::from_der(content).map_err(wrong)?;
    let [p, q, g] = [domain.p().to_be_bytes(), domain.q().to_be_bytes(), domain.g().to_be_bytes()];
    dsa(&p, &q, &g, y.as_bytes())
}

/// An RSA key from its numbers.
pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, KeyError> {
    let (modulus, exponent) = (integer(modulus), integer(exponent));
    bound("size of an RSA key in bits", bits(&modulus), RSA_BITS_MIN, RSA_BITS_MAX)?;
    let key = RsaKey::new(modulus, exponent);
    key.map(PublicKey::Rsa).map_err(|_| KeyError::Malformed { wanted: "an RSA modulus and exponent" })
}

/// The exponent and the modulus of an RSA key.
pub(super) fn rsa_numbers(key: &RsaKey) -> [BoxedUint; 2] {
    [key.e().clone(), key.n().as_ref().clone()]
}

/// A DSA key from its numbers.
pub(super) fn dsa(p: &[u8], q: &[u8], g: &[u8], y: &[u8]) -> Result<PublicKey, KeyError> {
    let wrong = KeyError::Malformed { wanted: "the numbers of a DSA key" };
    let domain = dsa_domain(p, q, g)?;
    let y = integer_within(y, domain.p().bits_precision())
        .filter(|y| y < domain.p().as_ref())
        .ok_or(wrong.clone())?;
    DsaKey::from_components(domain, y).map(PublicKey::Dsa).map_err(|_| wrong)
}

/// The group of a DSA key: one of the standard's sizes, so that the work is bounded.
pub(super) fn dsa_domain(p: &[u8], q: &[u8], g: &[u8]) -> Result<Components, KeyError> {
    let wrong =
        KeyError::Malformed { wanted: "a DSA group of 1024/160, 2048/224, 2048/256 or 3072/256 bits" };
    let (p, q) = (integer(p), integer(q));
    if !DSA_SIZES.contains(&(p.bit_width_vartime(), q.bit_width_vartime())) || q.is_even().into() {
        return Err(wrong);
    }
    let g = integer_within(g, p.bits_precision()).ok_or(wrong.clone())?;
    Components::from_components(p, q, g).map_err(|_| wrong)
}

fn bits(integer: &BoxedUint) -> usize {
    usize::try_from(integer.bit_width_vartime()).unwrap_or(usize::MAX)
}

//----------- Verifying ------------------------------------------------------

/// The RSA padding of a digest algorithm.
pub(super) fn rsa_padding(algorithm: DigestAlgorithm) -> Result<Pkcs1v15Sign, KeyError> {
    match algorithm {
        DigestAlgorithm::Sha1 => Ok(Pkcs1v15Sign::new::<Sha1>()),
        DigestAlgorithm::Sha256 => Ok(Pkcs1v15Sign::new::<Sha256>()),
        // Collisions of MD5 are cheap, and no client of ours signs with it.
        DigestAlgorithm::Md5 | DigestAlgorithm::Sm3 => {
            Err(KeyError::Unsuited { key: "RSA", with: algorithm.name() })
        }
    }
}

fn verify_rsa(
    key: &RsaKey,
    algorithm: DigestAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), KeyError> {
    let padding = rsa_padding(algorithm)?;
    key.verify(padding, &algorithm.digest(&[message]), signature).map_err(|_| KeyError::Wrong)
}

fn verify_dsa(
    key: &DsaKey,
    algorithm: DigestAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), KeyError> {
    if !matches!(algorithm, DigestAlgorithm::Sha1 | DigestAlgorithm::Sha256) {
        return Err(KeyError::Unsuited { key: "DSA", with: algorithm.name() });
    }
    bound("length of a signature in bytes", signature.len(), 1, SIGNATURE_BYTES_MAX)?;
    let signature = DsaSignature::from_der(signature).map_err(|_| KeyError::Wrong)?;
    key.verify_prehash(&algorithm.digest(&[message]), &signature).map_err(|_| KeyError::Wrong)
}

/// Verifies an SM2 signature, in DER or as the two numbers side by side, for a user id.
pub(super) fn verify_sm2(
    key: &sm2::PublicKey,
    user: &str,
    message: &[u8],
    signature: &[u8],
) -> Result<(), KeyError> {
    let signature = Sm2Signature::from_der(signature).or_else(|_| Sm2Signature::from_slice(signature));
    let signature = signature.map_err(|_| KeyError::Wrong)?;
    let key = Sm2Key::new(user, *key).map_err(|_| KeyError::Wrong)?;
    key.verify(message, &signature).map_err(|_| KeyError::Wrong)
}
