//! Credentials: whether a proof was made with the key that an identity names.
//!
//! ```text
//!   identity ─ its prefix ─▶ homed here: its keys, hidden ones too
//!                         ├▶ the record of a delegated prefix: those of its site first, then those here; while the site
//!                         │  cannot be asked, no public key, since it may have been replaced there
//!                         ├▶ elsewhere: its public keys, through the federation within a deadline
//!                         └▶ suspended or revoked: none
//!   keys of the proof's kind, at the index or, for index 0, all ─▶ the first that fits, and its index
//! ```
//! Reading the keys waits for the store or another node. Judging a proof by them is pure and may compute for tens of
//! milliseconds, so front ends do that in their pool for cryptography.
//!
//! Why a proof is not accepted depends on the proof alone: whoever has no key learns neither which keys exist nor of what
//! kind or form they are. An answer of a secret key takes as long where there is no key.
//!
//! A value is a key by its type only. A key proves an identity; what that identity may do is decided separately. A proved
//! caller carries a reference to the key, which is checked again before anything is allowed. A key of another node is not
//! asked for again; it is valid for its TTL, within bounds.

use std::fmt;

use tokio::time::Instant;

use crate::key::digest::DigestAlgorithm;
use crate::key::secret::AnswerForms;
use crate::key::{KeyError, PublicKey, secret};
use crate::model::identity::Identity;
use crate::model::limits::KEYS_TRIED_MAX;
use crate::model::refusal::{Failure, Problem, Refusal};
use crate::model::value::{Index, Value, ValueType};

use super::caller::{Caller, HeldKey, KeyHolder};
use super::evidence::Evidence;
use super::prefix::RecordSource;
use super::remote::{ELSEWHERE_MAX, RemoteError, RemoteQuestion};
use super::{Authority, unread};

/// Shortest and longest validity of a key of another node, whatever its TTL.
const HELD_SECONDS_MIN: u32 = 60;
const HELD_SECONDS_MAX: u32 = 86_400;
/// Takes the place of a secret key that is not there, while an answer is judged.
const STAND_IN: &[u8] = b"no key";

//----------- Proof ----------------------------------------------------------

/// What a client presents to prove an identity.
#[derive(Clone)]
pub enum Proof {
    /// A signature of the challenge with the key of an HS_PUBKEY.
    PublicKey {
        /// The digest, as the client names it.
        hash: Vec<u8>,
        /// The signature.
        signature: Vec<u8>,
    },
    /// An answer to the challenge with the key of an HS_SECKEY.
    Secret {
        /// Code byte and data of the answer.
        answer: Vec<u8>,
        /// The forms that are accepted.
        forms: AnswerForms,
    },
    /// The secret key itself; for encrypted connections.
    Password(Vec<u8>),
    /// The public key of a certificate whose private key the connection has proved.
    Certificate {
        /// The key.
        key: PublicKey,
    },
}

impl Proof {
    /// Whether verifying the proof computes; otherwise it only compares.
    pub fn is_costly(&self) -> bool {
        matches!(self, Self::PublicKey { .. } | Self::Secret { .. })
    }

    /// Whether the proof could be judged by some key.
    fn check(&self) -> Result<(), KeyError> {
        match self {
            Self::PublicKey { hash, .. } => DigestAlgorithm::decode_name(hash).map(|_| ()),
            Self::Secret { answer, forms } => secret::check_answer(answer, *forms),
            Self::Password(_) | Self::Certificate { .. } => Ok(()),
        }
    }

    /// Whether the proof could be judged by some key, in the time in which it is judged by one.
    fn check_in_time_of_key(&self, challenge: &[u8]) -> Result<(), KeyError> {
        if let Self::Secret { answer, forms } = self {
            // Its outcome is of no interest: a client must not tell by the time whether there is a key.
            let _ = secret::verify_answer(STAND_IN, answer, challenge, *forms);
        }
        self.check()
    }

    /// Type of the keys that the proof is made with.
    fn key_type(&self) -> &'static str {
        match self {
            Self::PublicKey { .. } | Self::Certificate { .. } => ValueType::HS_PUBKEY,
            Self::Secret { .. } | Self::Password(_) => ValueType::HS_SECKEY,
        }
    }
}

/// Shows the kind only: a password is a secret, and an answer helps to guess one.
impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey { .. } => "Proof(public key)",
            Self::Secret { .. } => "Proof(secret)",
            Self::Password(_) => "Proof(password)",
            Self::Certificate { .. } => "Proof(certificate)",
        })
    }
}

/// Why an identity is not proved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// The identity names no key of this kind.
    #[error("there is no key of this kind at {identity}")]
    NoKey {
        /// The identity.
        identity: Identity,
    },
    /// The proof is malformed or not supported, whatever the key.
    #[error("the proof cannot be judged: {reason}")]
    Unusable {
        /// What is malformed or not supported.
        reason: String,
    },
    /// The proof was not made with the key of the identity.
    #[error("the proof was not made with the key of {identity}")]
    Wrong {
        /// The identity.
        identity: Identity,
    },
    /// The key is stored at another node and could not be read.
    #[error("the key of {identity} could not be read where it is stored: {detail}")]
    Unreachable {
        /// The identity.
        identity: Identity,
        /// Why the key could not be read.
        detail: String,
    },
    /// The node failed while it read the keys.
    #[error(transparent)]
    Failed(#[from] Failure),
}

//----------- Candidates -----------------------------------------------------

/// The keys that an identity names, perhaps none, one of which a proof must have been made with.
#[derive(Debug)]
pub struct Candidates {
    identity: Identity,
    keys: Vec<Candidate>,
}

#[derive(Debug)]
struct Candidate {
    index: Index,
    data: Vec<u8>,
    held: HeldKey,
}

impl Candidates {
    /// Returns the identity that a proof proves as the caller. For index 0 it has the index of the key that fits. The challenge
    /// is what was signed: nonce, then digest; empty for passwords and certificates.
    ///
    /// This may compute for a client-chosen time: up to tens of milliseconds for each key.
    pub fn judge(self, proof: &Proof, challenge: &[u8]) -> Result<Caller, Unproven> {
        let identity = self.identity;
        let signer = identity.identifier.to_string();
        let is_without_key = self.keys.is_empty();
        for Candidate { index, data, held } in self.keys {
            if verify(&signer, &data, proof, challenge).is_ok() {
                let proved = Identity { index: index.get(), ..identity };
                return Ok(Caller::Identity(KeyHolder { identity: proved, key: held }));
            }
        }
        let checked = if is_without_key { proof.check_in_time_of_key(challenge) } else { proof.check() };
        checked.map_err(|error| Unproven::Unusable { reason: error.to_string() })?;
        Err(if is_without_key { Unproven::NoKey { identity } } else { Unproven::Wrong { identity } })
    }
}

/// Checks a proof against one key.
fn verify(signer: &str, key: &[u8], proof: &Proof, challenge: &[u8]) -> Result<(), KeyError> {
    match proof {
        Proof::PublicKey { hash, signature } => {
            PublicKey::decode(key)?.verify_answer(signer, hash, challenge, signature)
        }
        Proof::Certificate { key: shown } => {
            if PublicKey::decode(key)? == *shown {
                Ok(())
            } else {
                Err(KeyError::Wrong)
            }
        }
        Proof::Password(password) => secret::verify_password(key, password),
        Proof::Secret { answer, forms } => secret::verify_answer(key, answer, challenge, *forms),
    }
}

//----------- Keys -----------------------------------------------------------

impl Authority {
    /// The keys with which a proof of an identity is compared.
    pub async fn candidates(&self, identity: &Identity, proof: &Proof) -> Result<Candidates, Unproven> {
        let key_type = proof.key_type();
        let here = |key: Value| (HeldKey::here(&key), key);
        let elsewhere = |key: Value| (self.held_elsewhere(&key), key);
        let keys: Vec<(HeldKey, Value)> =
            match RecordSource::of(&identity.identifier, &self.store.directory()) {
                RecordSource::Here => {
                    self.local_keys(identity, key_type).await?.into_iter().map(here).collect()
                }
                RecordSource::Elsewhere => {
                    self.remote_keys(identity, key_type).await?.into_iter().map(elsewhere).collect()
                }
                RecordSource::Both => {
                    let own = self.local_keys(identity, key_type).await?;
                    let below = self.keys_below(identity, key_type).await?;
                    let is_replaced = |key: &Value| below.iter().any(|other| other.index == key.index);
                    let own: Vec<Value> = own.into_iter().filter(|key| !is_replaced(key)).collect();
                    below.into_iter().map(elsewhere).chain(own.into_iter().map(here)).collect()
                }
                RecordSource::Withdrawn => Vec::new(),
            };
        let candidate = |(held, key): (HeldKey, Value)| Candidate { index: key.index, data: key.data, held };
        let keys = keys.into_iter().take(KEYS_TRIED_MAX).map(candidate).collect();
        Ok(Candidates { identity: identity.clone(), keys })
    }

    /// The keys of an identity of this node, hidden ones too.
    async fn local_keys(&self, identity: &Identity, key_type: &str) -> Result<Vec<Value>, Unproven> {
        Ok(keys_among(self.local_values(identity).await?, identity, key_type))
    }

    /// What the site of a delegated prefix adds to the keys here: public keys, where other nodes are asked at all. Fails
    /// while the site cannot be asked: a key here that was replaced there, as one is that became known to others, must not be
    /// accepted again by whoever keeps the site from answering.
    async fn keys_below(&self, identity: &Identity, key_type: &str) -> Result<Vec<Value>, Unproven> {
        if key_type != ValueType::HS_PUBKEY || !self.remote.are_read() {
            return Ok(Vec::new());
        }
        match self.public_keys_elsewhere(identity).await {
            Err(error) if error.means_no_record() => Ok(Vec::new()),
            keys => keys.map_err(|error| unreachable(identity, &error)),
        }
    }

    /// The reference to a key of another node that a caller proved by it carries.
    fn held_elsewhere(&self, key: &Value) -> HeldKey {
        let now_ms = self.store.now_ms();
        let seconds = key.ttl.remaining_seconds(now_ms / 1_000).clamp(HELD_SECONDS_MIN, HELD_SECONDS_MAX);
        HeldKey::Elsewhere { until_ms: now_ms.saturating_add(u64::from(seconds) * 1_000) }
    }

    /// Refuses a caller whose key was removed since it proved itself. Decisions check it by themselves; this is for front
    /// ends that report whether a caller is still authenticated.
    pub async fn check_key(&self, holder: &KeyHolder) -> Result<(), Problem> {
        self.check_held_key(holder, &mut Evidence::default()).await
    }

    /// Refuses a caller as unauthenticated when the key that proved it is gone. A key of this node is noted with the version
    /// of its record, like everything that a decision rests on.
    pub(crate) async fn check_held_key(
        &self,
        holder: &KeyHolder,
        evidence: &mut Evidence,
    ) -> Result<(), Problem> {
        let KeyHolder { identity, key } = holder;
        let source = RecordSource::of(&identity.identifier, &self.store.directory());
        let holds = match (key, source) {
            (HeldKey::Supposed, _) => true,
            (HeldKey::Here { .. }, RecordSource::Here | RecordSource::Both) => {
                let read = self.read(std::slice::from_ref(&identity.identifier), evidence).await?;
                read.iter().flat_map(|read| read.own_values()).any(|value| key.is(value))
            }
            (HeldKey::Elsewhere { until_ms }, RecordSource::Elsewhere | RecordSource::Both) => {
                self.store.now_ms() < *until_ms
            }
            // The record has moved to another node, or its prefix is withdrawn.
            (HeldKey::Here { .. } | HeldKey::Elsewhere { .. }, _) => false,
        };
        if holds { Ok(()) } else { Err(Refusal::Unauthenticated.into()) }
    }

    /// The values of an identifier of this node, hidden ones too.
    async fn local_values(&self, identity: &Identity) -> Result<Vec<Value>, Unproven> {
        let name = identity.identifier.canonical(self.store.folding());
        let found = self.store.identifiers(&[name]).await.map_err(|error| unread(&error))?;
        let values = found.into_iter().flatten().next().and_then(|entry| entry.values);
        Ok(values.map(|values| values.into_vec()).unwrap_or_default())
    }

    /// The keys of an identifier of another node: public ones, since others are seen by that node alone.
    async fn remote_keys(&self, identity: &Identity, key_type: &str) -> Result<Vec<Value>, Unproven> {
        if key_type != ValueType::HS_PUBKEY {
            let reason =
                "a secret key that another node keeps is not seen here; prove yourself with a public key";
            return Err(Unproven::Unusable { reason: reason.to_owned() });
        }
        self.public_keys_elsewhere(identity).await.map_err(|error| unreachable(identity, &error))
    }

    async fn public_keys_elsewhere(&self, identity: &Identity) -> Result<Vec<Value>, RemoteError> {
        let key_type = ValueType::HS_PUBKEY;
        let index = Index::new(identity.index).ok();
        let question = RemoteQuestion {
            identifier: identity.identifier.clone(),
            indexes: index.into_iter().collect(),
            types: if index.is_none() { ValueType::new(key_type).into_iter().collect() } else { Vec::new() },
            own: self.store.head().incarnation,
            deadline: Instant::now() + ELSEWHERE_MAX,
        };
        let read = self.remote.read(question, &self.store.directory()).await?;
        Ok(keys_among(read, identity, key_type))
    }
}

fn unreachable(identity: &Identity, error: &RemoteError) -> Unproven {
    Unproven::Unreachable { identity: identity.clone(), detail: error.to_string() }
}

/// The keys of a kind that an identity names.
fn keys_among(values: Vec<Value>, identity: &Identity, key_type: &str) -> Vec<Value> {
    let named = |value: &Value| identity.index == 0 || identity.index == value.index.get();
    let is_key = |value: &Value| value.value_type.is(key_type) && !value.data.is_empty();
    values.into_iter().filter(|value| named(value) && is_key(value)).collect()
}

#[cfg(test)]
mod tests;
