//! Proving an identity, at every front end that takes proofs: keys are read first, then the proof is judged off the reactor.

use crate::authority::Authority;
use crate::authority::caller::Caller;
use crate::authority::credential::{Proof, Unproven};
use crate::front::listen::crypto_pool::CryptoPool;
use crate::front::listen::source::Source;
use crate::key::secret::AnswerForms;
use crate::model::identity::Identity;

/// The caller that a proof of a source proves. The challenge is what was signed; passwords and certificates have none.
pub(in crate::front) async fn prove(
    (authority, crypto_pool): (&Authority, &CryptoPool),
    source: Source,
    identity: &Identity,
    proof: Proof,
    challenge: Vec<u8>,
) -> Result<Caller, Unproven> {
    let candidates = authority.candidates(identity, &proof).await?;
    if !proof.is_costly() {
        return candidates.judge(&proof, &challenge);
    }
    let judged = crypto_pool.run(source, move || candidates.judge(&proof, &challenge)).await;
    judged?
}

/// Whether an answer to a challenge was made with a secret key stored here, for nodes that cannot read it.
///
/// Anybody may ask, and chooses what it costs: one question at a time, about one key, so that callers who prove themselves
/// here never wait behind more than one of them. The reply does not tell a wrong answer from one to a key that is not there.
pub(in crate::front) async fn verify_secret(
    (authority, crypto_pool): (&Authority, &CryptoPool),
    identity: &Identity,
    (answer, forms): (Vec<u8>, AnswerForms),
    challenge: Vec<u8>,
) -> Result<bool, Unproven> {
    if identity.index == 0 {
        return Err(Unproven::Unusable { reason: "name the key by its index".to_owned() });
    }
    let proof = Proof::Secret { answer, forms };
    let candidates = authority.candidates(identity, &proof).await?;
    let judged = crypto_pool.run_unproven(move || candidates.judge(&proof, &challenge)).await;
    match judged? {
        Ok(_) => Ok(true),
        Err(Unproven::Wrong { .. } | Unproven::NoKey { .. }) => Ok(false),
        Err(other) => Err(other),
    }
}

/// The sentence for a client whose proof is not accepted. It does not tell a wrong proof from a missing key, which would
/// reveal to unknown clients which keys exist.
pub(in crate::front) fn sentence_of(unproven: &Unproven) -> String {
    match unproven {
        Unproven::NoKey { .. } | Unproven::Wrong { .. } => "Identity not verified".to_owned(),
        Unproven::Unusable { .. } | Unproven::Unreachable { .. } | Unproven::Failed(_) => {
            unproven.to_string()
        }
    }
}
