//! JSON Web Signatures (RFC 7515), as HS_SIGNATURE and HS_CERT values carry them: compact, or as JSON.
//!
//! ```text
//!   RS256           RSA, SHA-256
//!   DS160, DS256    DSA, SHA-1 (CNRI) and SHA-256 (Teleinfo)
//!   SM2256, SM2SM3  SM2, SM3, the default user id (Teleinfo, 4IOT)
//! ```
//! The algorithm name must fit the kind of the verifying key; a text never selects how it is verified.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::digest::DigestAlgorithm;
use super::error::bound;
use super::{KeyError, PrivateKey, PublicKey, Random};
use crate::model::limits::VALUES_BYTES_MAX;

/// A parsed signed text; nothing is verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jws {
    /// The payload.
    pub payload: Vec<u8>,
    algorithm: String,
    signed: String,
    signature: Vec<u8>,
}

/// The header of a signature.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    crit: Option<Value>,
}

/// A signed text as JSON; of several signatures, the first counts.
#[derive(Deserialize)]
struct Serialization {
    payload: String,
    signatures: Vec<SerializedSignature>,
}

#[derive(Deserialize)]
struct SerializedSignature {
    protected: String,
    signature: String,
}

impl Jws {
    /// Parses a signed text.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        bound("length of a signed text in bytes", text.len(), 1, VALUES_BYTES_MAX)?;
        let text = text.trim();
        if text.starts_with('{') {
            let wanted = "a signed text (JWS) in JSON";
            let whole: Serialization =
                serde_json::from_str(text).map_err(|_| KeyError::Malformed { wanted })?;
            let first = whole.signatures.first().ok_or(KeyError::Malformed { wanted })?;
            return Self::of_parts(&first.protected, &whole.payload, &first.signature);
        }
        let parts: Vec<&str> = text.split('.').collect();
        let [header, payload, signature] = parts.as_slice() else {
            return Err(KeyError::Malformed {
                wanted: "a signed text (JWS): three parts with dots between them",
            });
        };
        Self::of_parts(header, payload, signature)
    }

    fn of_parts(header: &str, payload: &str, signature: &str) -> Result<Self, KeyError> {
        let wanted = "a signed text (JWS) in base64url with a header that names its algorithm";
        let decode =
            |part: &str| BASE64URL_NOPAD.decode(part.as_bytes()).map_err(|_| KeyError::Malformed { wanted });
        let known: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| KeyError::Malformed { wanted })?;
        if known.crit.is_some() {
            return Err(KeyError::Malformed { wanted: "a signed text (JWS) without critical extensions" });
        }
        Ok(Self {
            payload: decode(payload)?,
            algorithm: known.alg,
            signed: format!("{header}.{payload}"),
            signature: decode(signature)?,
        })
    }

    /// Verifies the signature with a key.
    pub fn verify(&self, key: &PublicKey) -> Result<(), KeyError> {
        let algorithm = match (key, self.algorithm.as_str()) {
            (PublicKey::Rsa(_), "RS256") | (PublicKey::Dsa(_), "DS256") => DigestAlgorithm::Sha256,
            (PublicKey::Dsa(_), "DS160") => DigestAlgorithm::Sha1,
            (PublicKey::Sm2(_), "SM2256" | "SM2SM3") => DigestAlgorithm::Sm3,
            (_, "RS256" | "DS160" | "DS256" | "SM2256" | "SM2SM3") => return Err(KeyError::Wrong),
            (_, other) => {
                let found = other.chars().take(32).collect();
                return Err(KeyError::Unknown { what: "algorithm of a signed text", found });
            }
        };
        key.verify(algorithm, self.signed.as_bytes(), &self.signature)
    }
}

/// Signs a payload; the text is compact.
pub fn sign(payload: &[u8], key: &PrivateKey, random: Random<'_>) -> Result<String, KeyError> {
    let (name, algorithm) = match key {
        PrivateKey::Rsa(_) => ("RS256", DigestAlgorithm::Sha256),
        PrivateKey::Dsa(_) => ("DS256", DigestAlgorithm::Sha256),
        PrivateKey::Sm2(_) => ("SM2256", DigestAlgorithm::Sm3),
    };
    let header = json!({ "alg": name }).to_string();
    let signed = format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload));
    let signature = key.sign(algorithm, signed.as_bytes(), random)?;
    Ok(format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature)))
}
