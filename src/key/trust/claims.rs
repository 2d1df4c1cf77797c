//! The claims of signatures and certificates, and their creation.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::key::digest::DigestAlgorithm;
use crate::key::{KeyError, PrivateKey, PublicKey, Random, jws};
use crate::model::identifier::{Folding, Identifier, Prefix};
use crate::model::identity::Identity;
use crate::model::value::Value;
use crate::wire::handle::value::encode_digested;

/// Seconds by which validity begins before the signature, for verifiers whose clocks are behind.
const BEHIND_SECONDS: u64 = 600;

//----------- Claims ---------------------------------------------------------

/// The claims of a signature (HS_SIGNATURE).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SignatureClaims {
    /// The signer.
    pub(super) iss: String,
    /// The identifier.
    pub(super) sub: String,
    #[serde(flatten)]
    pub(super) validity: Validity,
    pub(super) digests: Digests,
    /// Locations of the certificates, the signer's first; otherwise each is at its identity's identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<Vec<String>>,
}

/// The claims of a certificate (HS_CERT).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CertificateClaims {
    /// The issuer.
    pub(super) iss: String,
    /// The identity that is certified.
    pub(super) sub: String,
    #[serde(flatten)]
    pub(super) validity: Validity,
    /// The certified key.
    #[serde(rename = "publicKey")]
    pub(super) public_key: Json,
    #[serde(default)]
    pub(super) perms: Vec<Permission>,
    /// Locations of the certificates of the issuer and of the issuers above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<Vec<String>>,
}

/// Validity of a signature or certificate, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The last valid second.
    #[serde(rename = "exp", default = "forever")]
    pub until: u64,
    /// The first valid second.
    #[serde(rename = "nbf", default)]
    pub from: u64,
    /// The time of creation.
    #[serde(rename = "iat", default)]
    pub made: u64,
}

/// The last valid second of unlimited validity.
fn forever() -> u64 {
    u64::MAX
}

impl Validity {
    /// Validity from now on for a number of seconds.
    pub fn new(now: u64, seconds: u64) -> Self {
        Self { until: now.saturating_add(seconds), from: now.saturating_sub(BEHIND_SECONDS), made: now }
    }

    pub(super) fn holds(self, now: u64) -> bool {
        (self.from..=self.until).contains(&now)
    }
}

/// The digests of values.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Digests {
    pub(super) alg: String,
    pub(super) digests: Vec<IndexDigest>,
}

/// The digest of one value, in base64.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct IndexDigest {
    pub(super) index: u32,
    pub(super) digest: String,
}

/// The digest of a value, in base64, without index and timestamp.
pub(super) fn digest(algorithm: DigestAlgorithm, value: &Value) -> String {
    BASE64.encode(&algorithm.digest(&[&encode_digested(value)]))
}

//----------- Grant ----------------------------------------------------------

/// The text form of what a certificate's holder may sign for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Permission {
    perm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    /// Whether the holder may certify others; by default it may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ca: Option<bool>,
}

/// What a certificate's holder may sign for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// Every identifier.
    Everything,
    /// This identifier; when it names a prefix, also those under the prefix, as the official clients read it.
    Identifier(Identifier),
    /// The identifiers under this prefix.
    UnderPrefix(Prefix),
    /// The prefixes below this one and their identifiers.
    DerivedPrefixes(Prefix),
}

impl Grant {
    /// Parses a grant; none for an unknown one, which grants nothing.
    fn read(permission: &Permission) -> Option<Self> {
        if permission.perm == "everything" {
            return Some(Self::Everything);
        }
        let text = permission.handle.as_deref()?;
        let prefix = || match Identifier::parse(text) {
            Ok(identifier) => identifier.named_prefix(),
            Err(_) => Prefix::parse(text).ok(),
        };
        match permission.perm.as_str() {
            "thisHandle" => Identifier::parse(text).ok().map(Self::Identifier),
            "handlesUnderThisPrefix" => prefix().map(Self::UnderPrefix),
            "derivedPrefixes" => prefix().map(Self::DerivedPrefixes),
            _ => None,
        }
    }

    fn write(&self) -> Permission {
        let (perm, handle) = match self {
            Self::Everything => ("everything", None),
            Self::Identifier(identifier) => ("thisHandle", Some(identifier.to_string())),
            Self::UnderPrefix(prefix) => {
                ("handlesUnderThisPrefix", Some(Identifier::of_prefix(prefix).to_string()))
            }
            Self::DerivedPrefixes(prefix) => {
                ("derivedPrefixes", Some(Identifier::of_prefix(prefix).to_string()))
            }
        };
        Permission { perm: perm.to_owned(), handle, ca: None }
    }

    /// Whether the permission covers an identifier.
    pub fn covers(&self, identifier: &Identifier) -> bool {
        let own = |prefix: &Prefix| {
            identifier.named_prefix().is_none() && identifier.prefix().canonical() == prefix.canonical()
        };
        match self {
            Self::Everything => true,
            Self::Identifier(granted) => {
                same(granted, identifier) || granted.named_prefix().is_some_and(|prefix| own(&prefix))
            }
            Self::UnderPrefix(prefix) => own(prefix),
            Self::DerivedPrefixes(prefix) => {
                let governing = identifier.governing_prefix();
                prefix.covers(&governing) && prefix.canonical() != governing.canonical()
            }
        }
    }
}

/// Whether the permissions of a certificate cover an identifier.
pub(super) fn covers(permissions: &[Permission], identifier: &Identifier) -> bool {
    permissions.iter().filter_map(Grant::read).any(|grant| grant.covers(identifier))
}

/// Whether one of the permissions that cover an identifier lets its holder certify others.
pub(super) fn may_certify(permissions: &[Permission], identifier: &Identifier) -> bool {
    let covering =
        permissions.iter().filter(|one| Grant::read(one).is_some_and(|grant| grant.covers(identifier)));
    covering.into_iter().any(|permission| permission.ca.unwrap_or(true))
}

/// Whether two spellings name the same identifier wherever it is stored: only the prefix is sure to fold.
pub(super) fn same(one: &Identifier, other: &Identifier) -> bool {
    one.canonical(Folding::SuffixSensitive) == other.canonical(Folding::SuffixSensitive)
}

//----------- Making ---------------------------------------------------------

/// Signs values of an identifier: the data of an HS_SIGNATURE value.
pub fn sign_values(
    issuer: (&Identity, &PrivateKey),
    identifier: &Identifier,
    values: &[Value],
    validity: Validity,
    random: Random<'_>,
) -> Result<String, KeyError> {
    let (issuer, key) = issuer;
    // Clients accept no other algorithm here, for any kind of key.
    let algorithm = DigestAlgorithm::Sha256;
    let digests = values
        .iter()
        .map(|value| IndexDigest { index: value.index.get(), digest: digest(algorithm, value) })
        .collect();
    let claims = SignatureClaims {
        iss: issuer.to_string(),
        sub: identifier.to_string(),
        validity,
        digests: Digests { alg: algorithm.name().to_owned(), digests },
        chain: None,
    };
    sign(&claims, key, random)
}

/// Certifies the key of an identity: the data of an HS_CERT value.
pub fn certify(
    issuer: (&Identity, &PrivateKey),
    subject: (&Identity, &PublicKey),
    grants: &[Grant],
    validity: Validity,
    random: Random<'_>,
) -> Result<String, KeyError> {
    let claims = CertificateClaims {
        iss: issuer.0.to_string(),
        sub: subject.0.to_string(),
        validity,
        public_key: subject.1.to_jwk(),
        perms: grants.iter().map(Grant::write).collect(),
        chain: None,
    };
    sign(&claims, issuer.1, random)
}

fn sign(claims: &impl Serialize, key: &PrivateKey, random: Random<'_>) -> Result<String, KeyError> {
    let payload = serde_json::to_vec(claims).map_err(|_| KeyError::Malformed { wanted: "claims in JSON" })?;
    jws::sign(&payload, key, random)
}
