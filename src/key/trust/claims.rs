//! What signatures and certificates say, and how they are made.

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

/// What a signature says (HS_SIGNATURE).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SignatureClaims {
    /// Who signed.
    pub(super) iss: String,
    /// The identifier.
    pub(super) sub: String,
    #[serde(flatten)]
    pub(super) validity: Validity,
    pub(super) digests: Digests,
    /// Where the certificates stand, the signer's first; else each at its identity's identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<Vec<String>>,
}

/// What a certificate says (HS_CERT).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CertificateClaims {
    /// Who certifies.
    pub(super) iss: String,
    /// The identity that is certified.
    pub(super) sub: String,
    #[serde(flatten)]
    pub(super) validity: Validity,
    /// Its key.
    #[serde(rename = "publicKey")]
    pub(super) public_key: Json,
    #[serde(default)]
    pub(super) perms: Vec<Permission>,
    /// Where the certificates of its issuer and of those above stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) chain: Option<Vec<String>>,
}

/// When a signature or certificate counts, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validity {
    /// The last second.
    #[serde(rename = "exp", default = "forever")]
    pub until: u64,
    /// The first second.
    #[serde(rename = "nbf", default)]
    pub from: u64,
    /// When it was made.
    #[serde(rename = "iat", default)]
    pub made: u64,
}

/// The last second of what does not end.
fn forever() -> u64 {
    u64::MAX
}

impl Validity {
    /// From now on for so many seconds.
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

/// The digest of a value, in base64: what it says, without index and timestamp.
pub(super) fn digest(algorithm: DigestAlgorithm, value: &Value) -> String {
    BASE64.encode(&algorithm.digest(&[&encode_digested(value)]))
}

//----------- Grant ----------------------------------------------------------

/// What a certificate's holder may sign for, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Permission {
    perm: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    handle: Option<String>,
    /// Whether the holder may certify others; yes if not said.
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
    /// The prefixes below this one, and what is under them.
    DerivedPrefixes(Prefix),
}

impl Grant {
    /// The grant that a certificate writes so; none for one that is not known, which grants nothing.
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

    /// Whether it covers an identifier.
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
    // Clients know no other here, whatever the kind of the key.
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
