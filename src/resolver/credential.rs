//! Credentials: whether a proof was made with the key that an identity names.
//!
//! ```text
//!   identity ─ its prefix ─▶ homed here: its keys, hidden ones too
//!                         ├▶ elsewhere: its public keys, by recursion within a deadline
//!                         └▶ suspended or revoked: nothing
//!   keys of the proof's kind, at the index or, for index 0, all ─▶ the first that fits, and its index
//! ```
//! Reading the keys waits; judging a proof by them is pure and may take a processor for long, so that a front end does it
//! where that holds up nobody.
//!
//! A value is a key by its type only. A key proves who somebody is; what that one may do is decided by the registry. Who
//! is proved keeps the key in hand: it is looked at again before anything is allowed by it. A key that another node keeps
//! is not asked for again, but holds for its TTL only, within bounds.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::key::{KeyError, PublicKey, secret};
use crate::model::identity::Identity;
use crate::model::limits::KEYS_TRIED_MAX;
use crate::model::value::{Index, Value, ValueType};
use crate::registry::caller::{Caller, HeldKey, KeyHolder};
use crate::registry::membership::{Evidence, Keeper};
use crate::registry::refusal::{Failure, Problem};

use super::answer::{Answer, Question};
use super::recursion::{Recursion, Unanswered};
use super::{Resolver, failed};

/// How long asking for a key elsewhere may take.
const ELSEWHERE_MAX: Duration = Duration::from_secs(5);
/// The shortest and the longest time that a key of another node holds, whatever its TTL.
const HELD_SECONDS_MIN: u32 = 60;
const HELD_SECONDS_MAX: u32 = 86_400;

//----------- Proof ----------------------------------------------------------

/// What somebody shows to prove an identity.
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
        /// Code byte and data.
        answer: Vec<u8>,
    },
    /// The secret key itself; for connections that nobody overhears.
    Password(Vec<u8>),
    /// The public key of a certificate whose private key the connection has proved.
    Certificate {
        /// The key.
        key: PublicKey,
    },
}

impl Proof {
    /// Whether judging it computes; otherwise it only compares.
    pub fn is_costly(&self) -> bool {
        matches!(self, Self::PublicKey { .. } | Self::Secret { .. })
    }

    /// The type of the keys that it is made with.
    fn key_type(&self) -> &'static str {
        match self {
            Self::PublicKey { .. } | Self::Certificate { .. } => ValueType::HS_PUBKEY,
            Self::Secret { .. } | Self::Password(_) => ValueType::HS_SECKEY,
        }
    }
}

/// Its kind only: a password is a secret, and an answer helps to guess one.
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
    /// There is a key or a proof that cannot be worked with.
    #[error("the proof cannot be judged: {reason}")]
    Unusable {
        /// Why.
        reason: String,
    },
    /// It was not made with that key.
    #[error("the proof was not made with the key of {identity}")]
    Wrong {
        /// The identity.
        identity: Identity,
    },
    /// The key is kept elsewhere and could not be read.
    #[error("the key of {identity} could not be read where it is kept: {detail}")]
    Unreachable {
        /// The identity.
        identity: Identity,
        /// What happened.
        detail: String,
    },
    /// This node failed.
    #[error(transparent)]
    Failed(#[from] Failure),
}

impl Unproven {
    /// Its stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey { .. } => "NO_KEY",
            Self::Unusable { .. } => "PROOF_UNUSABLE",
            Self::Wrong { .. } => "PROOF_WRONG",
            Self::Unreachable { .. } => "KEY_UNREACHABLE",
            Self::Failed(failure) => failure.code(),
        }
    }
}

//----------- Candidates -----------------------------------------------------

/// The keys that an identity names, one of which a proof must have been made with.
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
    /// The caller that a proof proves. Who names any index by 0 is who has the key at the index that fits. The challenge is
    /// what was signed: nonce and digest, one behind the other; passwords and certificates have none.
    ///
    /// This may compute for a client-chosen time: up to tens of milliseconds for each key.
    pub fn judge(self, proof: &Proof, challenge: &[u8]) -> Result<Caller, Unproven> {
        let signer = self.identity.identifier.to_string();
        let mut last = Unproven::Wrong { identity: self.identity.clone() };
        for Candidate { index, data, held } in self.keys {
            match verify(&signer, &data, proof, challenge) {
                Ok(()) => {
                    let proved = Identity { index: index.get(), ..self.identity };
                    return Ok(Caller::Identity(KeyHolder { identity: proved, key: held }));
                }
                Err(KeyError::Wrong) => {}
                Err(error) => last = Unproven::Unusable { reason: error.to_string() },
            }
        }
        Err(last)
    }
}

/// Judges a proof by one key.
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
        Proof::Secret { answer } => secret::verify_answer(key, answer, challenge),
    }
}

//----------- Keys -----------------------------------------------------------

impl Resolver {
    /// The keys with which a proof of an identity is compared; refused when there is none.
    pub async fn candidates(&self, identity: &Identity, proof: &Proof) -> Result<Candidates, Unproven> {
        let keeper = Keeper::of(&identity.identifier, &self.store.directory());
        let keys = self.keys(identity, proof.key_type(), keeper).await?;
        if keys.is_empty() {
            return Err(Unproven::NoKey { identity: identity.clone() });
        }
        let candidate = |key: Value| {
            let held = self.held(&key, keeper);
            Candidate { index: key.index, data: key.data, held }
        };
        Ok(Candidates { identity: identity.clone(), keys: keys.into_iter().map(candidate).collect() })
    }

    /// The keys of a kind that an identity names; none where its prefix is withdrawn.
    async fn keys(
        &self,
        identity: &Identity,
        key_type: &str,
        keeper: Keeper,
    ) -> Result<Vec<Value>, Unproven> {
        let values = match keeper {
            Keeper::Here => self.kept(identity).await?,
            Keeper::Elsewhere => self.told(identity, key_type).await?,
            Keeper::Nobody => Vec::new(),
        };
        let named = |value: &Value| identity.index == 0 || identity.index == value.index.get();
        let keys = values.into_iter().filter(|value| named(value) && value.value_type.is(key_type));
        Ok(keys.take(KEYS_TRIED_MAX).collect())
    }

    /// A key, as who is proved by it holds it.
    fn held(&self, key: &Value, keeper: Keeper) -> HeldKey {
        if keeper == Keeper::Here {
            return HeldKey::here(key);
        }
        let now_ms = self.store.now_ms();
        let seconds = key.ttl.remaining_seconds(now_ms / 1_000).clamp(HELD_SECONDS_MIN, HELD_SECONDS_MAX);
        HeldKey::Elsewhere { until_ms: now_ms.saturating_add(u64::from(seconds) * 1_000) }
    }

    /// Refuses a caller whose key was withdrawn since it proved itself. Where something is to be allowed, that is looked
    /// at anyway; this is for doors that tell whether somebody is still proved.
    pub async fn check_key(&self, holder: &KeyHolder) -> Result<(), Problem> {
        self.records().check_key(holder, &mut Evidence::default()).await
    }

    /// The values of an identifier kept here, hidden ones too.
    async fn kept(&self, identity: &Identity) -> Result<Vec<Value>, Unproven> {
        let name = identity.identifier.canonical(self.store.folding());
        let found = self.store.identifiers(&[name]).await.map_err(|error| failed(&error))?;
        let values = found.into_iter().flatten().next().and_then(|entry| entry.values);
        Ok(values.map(|values| values.into_vec()).unwrap_or_default())
    }

    /// The public keys of an identifier that another node keeps.
    async fn told(&self, identity: &Identity, key_type: &str) -> Result<Vec<Value>, Unproven> {
        if key_type != ValueType::HS_PUBKEY {
            let reason =
                "a secret key that another node keeps is not seen here; prove yourself with a public key";
            return Err(Unproven::Unusable { reason: reason.to_owned() });
        }
        let index = Index::new(identity.index).ok();
        let question = Question {
            identifier: identity.identifier.clone(),
            indexes: index.into_iter().collect(),
            types: if index.is_none() { ValueType::new(key_type).into_iter().collect() } else { Vec::new() },
        };
        let recursion = Recursion { deadline: Some(Instant::now() + ELSEWHERE_MAX), path: Vec::new() };
        let unreachable = |detail: String| Unproven::Unreachable { identity: identity.clone(), detail };
        match self.recurse(&Caller::Anonymous, &question, recursion).await {
            Ok(Answer::Values(found)) => Ok(found.values),
            Ok(Answer::Absent(_)) => Ok(Vec::new()),
            Ok(Answer::Referral(referral)) => {
                Err(unreachable(format!("this node asks no other nodes; {} keeps it", referral.prefix)))
            }
            Ok(Answer::NotResponsible(_)) => {
                Err(unreachable("this node knows nobody who keeps it".to_owned()))
            }
            Err(Unanswered::Here(Problem::Failed(failure))) => Err(failure.into()),
            Err(unanswered) => Err(unreachable(unanswered.to_string())),
        }
    }
}
