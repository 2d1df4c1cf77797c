//! Private keys: generation, decoding, encoding and signing.
//!
//! Signing needs randomness: for RSA, blinding against timing attacks; for SM2, the secret number. DSA derives its own.

use core::fmt;

use dsa::SigningKey as DsaKey;
use rsa::PrivateKey as RsaKey;
use rsa::pkcs1::DecodeRsaPrivateKey;
use rsa::pkcs8::der::{Decode, SecretDocument};
use rsa::pkcs8::{EncodePrivateKey, PrivateKeyInfoRef};
use rsa::signature::hazmat::PrehashSigner;
use rsa::signature::{RandomizedSigner, SignatureEncoding};
use sm2::SecretKey as Sm2Key;
use sm2::dsa::SigningKey as Sm2SigningKey;
use sm2::elliptic_curve::Generate;

use super::digest::DigestAlgorithm;
use super::error::bound;
use super::public::{KEY_BYTES_MAX, PublicKey, RSA_BITS_MAX, SM2_USER_DEFAULT, rsa_padding};
use super::random::Generator;
use super::{KeyError, Random, pem, private_file};

/// Bits of the smallest RSA key that can be generated.
pub const RSA_MADE_BITS_MIN: usize = 2_048;
/// Attempts at an SM2 signature: one in 2^32 draws an unusable number.
const SIGN_ATTEMPTS_MAX: usize = 4;
/// The curve of SM2 as SEC1 names it inside a key, in DER.
const SM2_CURVE_DER: &[u8] = &[0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

//----------- PrivateKey -----------------------------------------------------

/// The private half of a key.
#[derive(Clone)]
pub enum PrivateKey {
    /// RSA.
    Rsa(Box<RsaKey>),
    /// DSA, imported from a CNRI server; not generated here.
    Dsa(Box<DsaKey>),
    /// SM2.
    Sm2(Sm2Key),
}

impl PrivateKey {
    /// Generates an RSA key of 2048 to 8192 bits; takes from a tenth of a second to minutes.
    pub fn generate_rsa(bits: usize, random: Random<'_>) -> Result<Self, KeyError> {
        bound("size of an RSA key in bits", bits, RSA_MADE_BITS_MIN, RSA_BITS_MAX)?;
        let key = RsaKey::new(&mut Generator(random), bits);
        key.map(Box::new).map(Self::Rsa).map_err(|_| KeyError::Malformed { wanted: "a size of RSA keys" })
    }

    /// Generates an SM2 key.
    pub fn generate_sm2(random: Random<'_>) -> Self {
        Self::Sm2(Sm2Key::generate_from_rng(&mut Generator(random)))
    }

    /// Reads a key file that is not encrypted: PEM or DER of PKCS#8, PKCS#1 or SEC1, or a Handle private key file.
    pub fn decode(data: &[u8]) -> Result<Self, KeyError> {
        Self::unlock(data, None)
    }

    /// Reads a key file; of the encrypted ones, those of the Handle tools of any version, with their pass phrase.
    pub fn unlock(data: &[u8], pass_phrase: Option<&[u8]>) -> Result<Self, KeyError> {
        bound("length of a key in bytes", data.len(), 1, KEY_BYTES_MAX)?;
        if pem::is_pem(data) {
            return parse_pem(data);
        }
        match data.first() {
            Some(0x30) => decode_der(data),
            _ => private_file::decode(data, pass_phrase),
        }
    }

    /// Whether these bytes begin as a private key file of the Handle tools: HS_PUBKEY data never does.
    pub fn is_key_file(data: &[u8]) -> bool {
        matches!(data, [0, 0, 0, 0..=4, ..])
    }

    /// PKCS#8 in DER.
    pub fn to_der(&self) -> Vec<u8> {
        let document = match self {
            Self::Rsa(key) => key.to_pkcs8_der(),
            Self::Dsa(key) => key.to_pkcs8_der(),
            Self::Sm2(key) => key.to_pkcs8_der(),
        };
        document.map(|document: SecretDocument| document.as_bytes().to_vec()).unwrap_or_default()
    }

    /// PKCS#8 as PEM text.
    pub fn to_pem(&self) -> String {
        pem::display("PRIVATE KEY", &self.to_der())
    }

    /// A Handle private key file, not encrypted; the Handle tools have no format for SM2.
    pub fn encode_file(&self) -> Result<Vec<u8>, KeyError> {
        private_file::encode(self)
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        match self {
            Self::Rsa(key) => PublicKey::Rsa(key.to_public_key()),
            Self::Dsa(key) => PublicKey::Dsa(key.verifying_key().clone()),
            Self::Sm2(key) => PublicKey::Sm2(key.public_key()),
        }
    }

    /// Signs a message: RSA with PKCS#1 v1.5, DSA in DER, SM2 in DER with SM3 and the default user id.
    pub fn sign(
        &self,
        algorithm: DigestAlgorithm,
        message: &[u8],
        random: Random<'_>,
    ) -> Result<Vec<u8>, KeyError> {
        let unsuited = |key| Err(KeyError::Unsuited { key, with: algorithm.name() });
        let digest = algorithm.digest(&[message]);
        match self {
            Self::Rsa(key) => {
                let padding = rsa_padding(algorithm)?;
                key.sign_with_rng(&mut Generator(random), padding, &digest).map_err(|_| KeyError::Wrong)
            }
            Self::Dsa(key) if matches!(algorithm, DigestAlgorithm::Sha1 | DigestAlgorithm::Sha256) => {
                let signature = key.sign_prehash(&digest).map_err(|_| KeyError::Wrong)?;
                Ok(signature.to_vec())
            }
            Self::Sm2(_) if algorithm == DigestAlgorithm::Sm3 => {
                self.sign_for(SM2_USER_DEFAULT, message, random)
            }
            Self::Dsa(_) => unsuited("DSA"),
            Self::Sm2(_) => unsuited("SM2"),
        }
    }

    /// Signs a message with an SM2 key for a user id, in DER.
    pub fn sign_for(&self, user: &str, message: &[u8], random: Random<'_>) -> Result<Vec<u8>, KeyError> {
        let Self::Sm2(key) = self else {
            return Err(KeyError::Unsuited { key: self.public().kind(), with: "a user id" });
        };
        let key = Sm2SigningKey::new(user, key)
            .map_err(|_| KeyError::Malformed { wanted: "a user id of at most 8191 bytes" })?;
        let attempt = || key.try_sign_with_rng(&mut Generator(random), message).ok();
        let signature = (0..SIGN_ATTEMPTS_MAX).find_map(|_| attempt()).ok_or(KeyError::Wrong)?;
        Ok(signature.to_der().to_vec())
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({}, secret)", self.public().kind())
    }
}

//----------- Reading --------------------------------------------------------

fn parse_pem(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let (label, content) = pem::parse(data)?;
    match label {
        "PRIVATE KEY" => decode_pkcs8(&content),
        "RSA PRIVATE KEY" => decode_pkcs1(&content),
        "EC PRIVATE KEY" | "SM2 PRIVATE KEY" => decode_sec1(&content),
        "ENCRYPTED PRIVATE KEY" => Err(KeyError::Unknown {
            what: "encryption of private key file",
            found: "PKCS#8; decrypt it with OpenSSL first".to_owned(),
        }),
        "PUBLIC KEY" | "RSA PUBLIC KEY" => {
            Err(KeyError::Malformed { wanted: "a private key; this is only the public half" })
        }
        other => Err(KeyError::Unknown { what: "PEM label of a private key", found: other.to_owned() }),
    }
}

/// DER does not name its format; the three formats exclude each other.
fn decode_der(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let shorter = decode_pkcs1(data).or_else(|_| decode_sec1(data));
    shorter.or_else(|_| decode_pkcs8(data))
}

fn decode_pkcs8(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let wanted = "an RSA, DSA or SM2 private key in PKCS#8";
    let wrong = KeyError::Malformed { wanted };
    let info = PrivateKeyInfoRef::from_der(data).map_err(|_| wrong.clone())?;
    if let Ok(key) = RsaKey::try_from(info.clone()) {
        return checked_rsa(key);
    }
    if let Ok(key) = Sm2Key::try_from(info.clone()) {
        return Ok(PrivateKey::Sm2(key));
    }
    DsaKey::try_from(info).map(|key| PrivateKey::Dsa(Box::new(key))).map_err(|_| wrong)
}

fn decode_pkcs1(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let key = RsaKey::from_pkcs1_der(data);
    checked_rsa(key.map_err(|_| KeyError::Malformed { wanted: "an RSA private key (PKCS#1)" })?)
}

fn decode_sec1(data: &[u8]) -> Result<PrivateKey, KeyError> {
    let wrong = KeyError::Malformed { wanted: "an SM2 private key (SEC1) that names its curve" };
    if !data.windows(SM2_CURVE_DER.len()).any(|part| part == SM2_CURVE_DER) {
        return Err(wrong);
    }
    Sm2Key::from_sec1_der(data).map(PrivateKey::Sm2).map_err(|_| wrong)
}

/// An RSA key of a size that its public half may have.
pub(super) fn checked_rsa(key: RsaKey) -> Result<PrivateKey, KeyError> {
    let key = PrivateKey::Rsa(Box::new(key));
    PublicKey::decode(&key.public().to_der())?;
    Ok(key)
}
