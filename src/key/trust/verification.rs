//! Following a signature to a pinned root, one certificate at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::de::DeserializeOwned;

use super::claims::{CertificateClaims, SignatureClaims, Validity, covers, digest, may_certify, same};
use super::{CERTIFICATE_TYPE, CHAIN_MAX, SIGNATURE_TYPE, TrustError};
use crate::key::PublicKey;
use crate::key::digest::DigestAlgorithm;
use crate::key::jws::Jws;
use crate::model::identifier::Identifier;
use crate::model::identity::Identity;
use crate::model::value::Value;

/// An identity that is trusted without a certificate, and its key.
#[derive(Clone, Debug)]
pub struct Root {
    /// The trusted identity.
    pub identity: Identity,
    /// The public key of the identity.
    pub key: PublicKey,
}

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The identities from the signer up to the pinned root.
    pub path: Vec<Identity>,
    /// Indexes of values that are unchanged since they were signed.
    pub signed: Vec<u32>,
    /// Indexes of signed values that are missing: removed, or not visible to the caller.
    pub missing: Vec<u32>,
    /// Indexes of values that the signature does not cover; signatures are not counted.
    pub unsigned: Vec<u32>,
}

/// A running verification.
#[derive(Debug)]
pub struct Verification<'a> {
    identifier: &'a Identifier,
    roots: &'a [Root],
    now: u64,
    report: Report,
    /// Description of what is signed, for messages.
    what: String,
    jws: Jws,
    issuer: Identity,
    /// Locations of the next certificates, if stated; otherwise they are at the identifiers of their holders.
    chain: VecDeque<Identifier>,
    is_trusted: bool,
}

impl<'a> Verification<'a> {
    /// Begins with the values of an identifier and the one of them that holds the signature: checks its dates, and the
    /// values against their digests.
    pub fn begin(
        identifier: &'a Identifier,
        values: &[Value],
        signature: &[u8],
        roots: &'a [Root],
        now: u64,
    ) -> Result<Self, TrustError> {
        let what = "the signature".to_owned();
        let (jws, claims): (Jws, SignatureClaims) = read(&what, signature)?;
        let issuer = parse_identity(&what, &claims.iss)?;
        check_dates(&what, claims.validity, now)?;
        if !Identifier::parse(&claims.sub).is_ok_and(|signed| same(&signed, identifier)) {
            return Err(TrustError::OtherIdentifier { signed: claims.sub, asked: identifier.clone() });
        }
        let report = check_digests(&claims, values, &issuer)?;
        let chain = places(&what, claims.chain.as_deref())?;
        let mut verification =
            Self { identifier, roots, now, report, what, jws, issuer, chain, is_trusted: false };
        verification.look_for_root()?;
        Ok(verification)
    }

    /// The identifier whose HS_CERT values are needed next; none once a pinned root is reached.
    pub fn wanted(&self) -> Option<&Identifier> {
        let place = self.chain.front().unwrap_or(&self.issuer.identifier);
        (!self.is_trusted).then_some(place)
    }

    /// Supplies the values of the identifier that was requested.
    pub fn supply(&mut self, values: &[Value]) -> Result<(), TrustError> {
        if self.depth() >= CHAIN_MAX {
            return Err(TrustError::TooLong);
        }
        let at = self.wanted().unwrap_or(&self.issuer.identifier).clone();
        let certificates = values.iter().filter(|value| value.value_type.is(CERTIFICATE_TYPE));
        let mut reason = TrustError::NoCertificate { identity: self.issuer.clone(), at };
        for certificate in certificates {
            match self.follow(&certificate.data) {
                Ok(Some((jws, claims))) => return self.climb(jws, &claims),
                Ok(None) => {}
                Err(found) => reason = found,
            }
        }
        Err(reason)
    }

    /// The report, once a pinned root is reached.
    pub fn report(&self) -> Option<&Report> {
        self.is_trusted.then_some(&self.report)
    }

    /// Certificates verified so far.
    fn depth(&self) -> usize {
        self.report.path.len()
    }

    /// Checks a certificate against what its holder signed; none when it is another identity's.
    fn follow(&self, data: &[u8]) -> Result<Option<(Jws, CertificateClaims)>, TrustError> {
        let what = self.certificate();
        let (jws, claims): (Jws, CertificateClaims) = read(&what, data)?;
        let subject = parse_identity(&what, &claims.sub)?;
        if !is(&subject, &self.issuer) {
            return Ok(None);
        }
        check_dates(&what, claims.validity, self.now)?;
        let key = PublicKey::from_jwk(&claims.public_key)
            .map_err(|error| TrustError::Unreadable { what, reason: error.to_string() })?;
        self.check_key(&key)?;
        let (identity, identifier) = (self.issuer.clone(), self.identifier.clone());
        if !covers(&claims.perms, self.identifier) {
            return Err(TrustError::NotGranted { identity, identifier });
        }
        if self.depth() > 0 && !may_certify(&claims.perms, self.identifier) {
            return Err(TrustError::NotIssuer { identity });
        }
        Ok(Some((jws, claims)))
    }

    /// Continues from a valid certificate to its issuer.
    fn climb(&mut self, jws: Jws, claims: &CertificateClaims) -> Result<(), TrustError> {
        let what = self.certificate();
        let next = parse_identity(&what, &claims.iss)?;
        let identity = core::mem::replace(&mut self.issuer, next);
        if is(&identity, &self.issuer) {
            return Err(TrustError::UnpinnedRoot { identity });
        }
        self.chain.pop_front();
        if self.chain.is_empty() {
            self.chain = places(&what, claims.chain.as_deref())?;
        }
        self.report.path.push(identity);
        (self.what, self.jws) = (what, jws);
        self.look_for_root()
    }

    /// Ends the verification when the issuer is a pinned root.
    fn look_for_root(&mut self) -> Result<(), TrustError> {
        let Some(root) = self.roots.iter().find(|root| is(&root.identity, &self.issuer)) else {
            return Ok(());
        };
        self.check_key(&root.key)?;
        self.report.path.push(self.issuer.clone());
        self.is_trusted = true;
        Ok(())
    }

    fn check_key(&self, key: &PublicKey) -> Result<(), TrustError> {
        self.jws.verify(key).map_err(|reason| TrustError::OtherKey {
            what: self.what.clone(),
            identity: self.issuer.clone(),
            reason,
        })
    }

    fn certificate(&self) -> String {
        format!("the certificate of {}", self.issuer)
    }
}

/// Whether two identities are the same.
fn is(one: &Identity, other: &Identity) -> bool {
    one.index == other.index && same(&one.identifier, &other.identifier)
}

/// Reads a signed text and its claims; nothing is verified yet.
fn read<T: DeserializeOwned>(what: &str, data: &[u8]) -> Result<(Jws, T), TrustError> {
    let unreadable = |reason: String| TrustError::Unreadable { what: what.to_owned(), reason };
    let text = core::str::from_utf8(data).map_err(|_| unreadable("not UTF-8".to_owned()))?;
    let jws = Jws::parse(text).map_err(|error| unreadable(error.to_string()))?;
    let claims = serde_json::from_slice(&jws.payload).map_err(|error| unreadable(error.to_string()))?;
    Ok((jws, claims))
}

fn parse_identity(what: &str, text: &str) -> Result<Identity, TrustError> {
    Identity::parse(text)
        .map_err(|error| TrustError::Unreadable { what: what.to_owned(), reason: error.to_string() })
}

/// Locations of certificates: each a value of an identifier, or the identifier.
fn places(what: &str, chain: Option<&[String]>) -> Result<VecDeque<Identifier>, TrustError> {
    let place = |text: &String| match Identifier::parse(text) {
        Ok(identifier) if !text.split('/').next().is_some_and(|start| start.contains(':')) => Ok(identifier),
        _ => parse_identity(what, text).map(|identity| identity.identifier),
    };
    chain.unwrap_or_default().iter().map(place).collect()
}

fn check_dates(what: &str, validity: Validity, now: u64) -> Result<(), TrustError> {
    if validity.holds(now) {
        return Ok(());
    }
    Err(TrustError::OutOfDate { what: what.to_owned(), from: validity.from, until: validity.until, now })
}

/// Compares the values with the digests of the signature.
fn check_digests(
    claims: &SignatureClaims,
    values: &[Value],
    issuer: &Identity,
) -> Result<Report, TrustError> {
    let unknown =
        || TrustError::Unreadable { what: "the signature".into(), reason: "unknown digest algorithm".into() };
    let algorithm = DigestAlgorithm::parse(&claims.digests.alg)
        .filter(|found| matches!(found, DigestAlgorithm::Sha256 | DigestAlgorithm::Sm3))
        .ok_or_else(unknown)?;
    let held: BTreeMap<u32, &Value> = values.iter().map(|value| (value.index.get(), value)).collect();
    let mut report = Report { path: vec![], signed: vec![], missing: vec![], unsigned: vec![] };
    let mut seen = BTreeSet::new();
    for covered in &claims.digests.digests {
        if !seen.insert(covered.index) {
            let reason = format!("it covers value {} twice", covered.index);
            return Err(TrustError::Unreadable { what: "the signature".into(), reason });
        }
        match held.get(&covered.index) {
            Some(value) if digest(algorithm, value) == covered.digest => report.signed.push(covered.index),
            Some(_) => return Err(TrustError::Changed { index: covered.index, issuer: issuer.clone() }),
            None => report.missing.push(covered.index),
        }
    }
    if report.signed.is_empty() {
        return Err(TrustError::Empty);
    }
    let others = values.iter().filter(|value| !value.value_type.is(SIGNATURE_TYPE));
    report.unsigned =
        others.map(|value| value.index.get()).filter(|index| !report.signed.contains(index)).collect();
    Ok(report)
}
