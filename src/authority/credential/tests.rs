//! Proofs: by each kind of key, the right one and no other.

use std::sync::{Arc, Mutex};

use super::{Proof, Unproven};
use crate::authority::caller::Caller;
use crate::authority::remote::{RemoteOptions, Stub};
use crate::authority::{Authority, AuthorityOptions};
use crate::key::digest::DigestAlgorithm;
use crate::key::secret::AnswerForms;
use crate::key::{PrivateKey, PublicKey, secret};
use crate::model::value::{Value, ValueType};
use crate::registry::tests::fixture::{
    Fixture, delegate, home, identity, registration, revoke, suspend, typed, with,
};
use crate::store::EngineKind;

const CHALLENGE: &[u8] = b"a nonce and a digest";
const SECRET: &str = "a secret of ours";

fn fill(bytes: &mut [u8]) {
    getrandom::fill(bytes).expect("the system has randomness");
}

fn public(index: u32, key: &PrivateKey) -> Value {
    Value { data: key.public().encode_blob(), ..typed(index, ValueType::HS_PUBKEY, "") }
}

fn hidden(index: u32, text: &str) -> Value {
    with("1100", typed(index, ValueType::HS_SECKEY, text))
}

async fn proved(authority: &Authority, whom: &str, proof: &Proof) -> Result<String, Unproven> {
    match authority.candidates(&identity(whom), proof).await?.judge(proof, CHALLENGE)? {
        Caller::Identity(holder) => Ok(holder.identity.to_string()),
        other => panic!("not an identity: {other:?}"),
    }
}

fn no_key(whom: &str) -> Result<String, Unproven> {
    Err(Unproven::NoKey { identity: identity(whom) })
}

/// Why a proof cannot be judged.
async fn unusable(authority: &Authority, proof: &Proof, whom: &str) -> String {
    match proved(authority, whom, proof).await {
        Err(Unproven::Unusable { reason }) => reason,
        other => panic!("judged: {other:?}"),
    }
}

fn wrong(whom: &str) -> Result<String, Unproven> {
    Err(Unproven::Wrong { identity: identity(whom) })
}

#[tokio::test]
async fn a_public_key_is_proved_by_its_signature_or_its_certificate() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let (ours, theirs) = (PrivateKey::generate_sm2(&fill), PrivateKey::generate_sm2(&fill));
    let as_url = Value { value_type: ValueType::new("URL").expect("a type"), ..public(302, &ours) };
    let values = vec![
        public(300, &ours),
        public(301, &theirs),
        as_url,
        typed(303, ValueType::HS_PUBKEY, "not one"),
        hidden(400, SECRET),
    ];
    fixture.node(registration("88.118/us", values)).await.expect("registered");
    let authority = &fixture.authority;
    let answer = ours.answer("88.118/us", CHALLENGE, &fill).expect("an answer");
    let key: PublicKey = ours.public();
    let signed = Proof::PublicKey { hash: answer.hash.as_bytes().to_vec(), signature: answer.signature };
    for proof in [&signed, &Proof::Certificate { key }] {
        for whom in ["300:88.118/us", "0:88.118/us"] {
            assert_eq!(proved(authority, whom, proof).await, Ok("300:88.118/us".to_owned()));
        }
        assert_eq!(proved(authority, "301:88.118/us", proof).await, wrong("301:88.118/us"));
        for whom in ["302:88.118/us", "400:88.118/us", "304:88.118/us", "300:88.118/absent"] {
            assert_eq!(proved(authority, whom, proof).await, no_key(whom));
        }
        assert_eq!(proved(authority, "303:88.118/us", proof).await, wrong("303:88.118/us"));
    }
    let odd = Proof::PublicKey { hash: b"SHA-0".to_vec(), signature: b"none".to_vec() };
    let refused = unusable(authority, &odd, "300:88.118/us").await;
    for whom in ["301:88.118/us", "303:88.118/us", "304:88.118/us", "300:88.118/absent"] {
        assert_eq!(unusable(authority, &odd, whom).await, refused, "{whom}: whatever the key");
    }
    let whom = identity("300:88.118/us");
    let candidates = authority.candidates(&whom, &signed).await.expect("it has keys");
    let other = candidates.judge(&signed, b"another challenge");
    assert_eq!(other.err(), Some(Unproven::Wrong { identity: whom }));
}

/// The answer of clients before 2.1.
fn md5_of(secret: &[u8]) -> Vec<u8> {
    DigestAlgorithm::Md5.digest(&[secret, CHALLENGE, secret])
}

#[tokio::test]
async fn a_secret_key_is_proved_by_an_answer_or_by_itself() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let key = PrivateKey::generate_sm2(&fill);
    let values = vec![hidden(300, "another"), hidden(301, SECRET), public(302, &key)];
    fixture.node(registration("88.118/us", values)).await.expect("registered");
    let authority = &fixture.authority;
    let answer = secret::answer(SECRET.as_bytes(), CHALLENGE, &fill);
    let answered = Proof::Secret { answer, forms: AnswerForms::Current };
    for proof in [&answered, &Proof::Password(SECRET.into())] {
        for whom in ["301:88.118/us", "0:88.118/us"] {
            assert_eq!(proved(authority, whom, proof).await, Ok("301:88.118/us".to_owned()));
        }
        assert_eq!(proved(authority, "300:88.118/us", proof).await, wrong("300:88.118/us"));
        assert_eq!(proved(authority, "302:88.118/us", proof).await, no_key("302:88.118/us"));
    }
    let candidates = authority.candidates(&identity("301:88.118/us"), &answered).await.expect("it has keys");
    let other = candidates.judge(&answered, b"another challenge");
    assert_eq!(other.err(), Some(Unproven::Wrong { identity: identity("301:88.118/us") }));
    let mut costly = answered.clone();
    if let Proof::Secret { answer, .. } = &mut costly {
        answer.get_mut(21..25).expect("the rounds").fill(0x7f);
    }
    let by_md5 = |forms| Proof::Secret { answer: md5_of(SECRET.as_bytes()), forms };
    assert_eq!(
        proved(authority, "301:88.118/us", &by_md5(AnswerForms::WithMd5)).await,
        Ok("301:88.118/us".to_owned()),
        "of a client that cannot do better"
    );
    let unknown = Proof::Secret { answer: vec![0x99, 1, 2], forms: AnswerForms::Current };
    for odd in [unknown, costly, by_md5(AnswerForms::Current)] {
        let refused = unusable(authority, &odd, "301:88.118/us").await;
        for whom in ["300:88.118/us", "302:88.118/us", "301:88.118/absent"] {
            assert_eq!(unusable(authority, &odd, whom).await, refused, "{whom}: whatever the key");
        }
    }
}

#[tokio::test]
async fn a_withdrawn_prefix_proves_nothing_and_what_is_elsewhere_needs_somebody_to_ask() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    fixture.node(registration("88.118/us", vec![hidden(301, SECRET)])).await.expect("registered");
    let authority = &fixture.authority;
    let (whom, password) = ("301:88.118/us", &Proof::Password(SECRET.into()));
    assert_eq!(proved(authority, whom, password).await, Ok(whom.to_owned()));
    for command in [suspend("88.118"), revoke("88.118")] {
        fixture.node(command).await.expect("done");
        assert_eq!(proved(authority, whom, password).await, no_key(whom));
    }
    fixture.node(home("88.118")).await.expect("homed again");
    assert_eq!(proved(authority, whom, password).await, Ok(whom.to_owned()));

    fixture.node(delegate("88.118", 1)).await.expect("delegated");
    let key = PrivateKey::generate_sm2(&fill).public();
    for whom in ["301:88.118/us", "301:99/us"] {
        let hidden = proved(authority, whom, password).await;
        assert!(matches!(hidden, Err(Unproven::Unusable { .. })), "{hidden:?}");
        let unreachable = proved(authority, whom, &Proof::Certificate { key: key.clone() }).await;
        assert!(matches!(unreachable, Err(Unproven::Unreachable { .. })), "{unreachable:?}");
    }
}

/// A key here that was replaced at the site of a delegated prefix, as a key is that became known to others.
#[tokio::test]
async fn a_replaced_key_is_not_accepted_again_while_the_site_cannot_be_asked() {
    let shown: Arc<Mutex<Result<Vec<Value>, String>>> = Arc::new(Mutex::new(Ok(Vec::new())));
    let read = Arc::clone(&shown);
    let site: Stub = Arc::new(move |_| {
        let values = read.lock().expect("no panic").clone();
        Box::pin(async move { values })
    });
    let shows = |values| *shown.lock().expect("no panic") = values;
    let options = AuthorityOptions { remote: RemoteOptions::Stub(site), ..AuthorityOptions::default() };
    let fixture = Fixture::open_with(options).await;
    let (old, new) = (PrivateKey::generate_sm2(&fill), PrivateKey::generate_sm2(&fill));
    let values = vec![public(300, &old), hidden(301, SECRET)];
    fixture.node(registration("0.NA/88.118", values)).await.expect("registered");
    fixture.node(delegate("88.118", 1)).await.expect("delegated");
    let authority = &fixture.authority;
    let whom = "300:0.NA/88.118";
    let (by_old, by_new) =
        (Proof::Certificate { key: old.public() }, Proof::Certificate { key: new.public() });

    assert_eq!(proved(authority, whom, &by_old).await, Ok(whom.to_owned()), "the site has no such key");
    shows(Ok(vec![public(300, &new)]));
    assert_eq!(proved(authority, whom, &by_new).await, Ok(whom.to_owned()));
    assert_eq!(proved(authority, whom, &by_old).await, wrong(whom));
    shows(Err("nobody answers".to_owned()));
    let detail = "nobody answers".to_owned();
    let unreachable = Unproven::Unreachable { identity: identity(whom), detail };
    assert_eq!(proved(authority, whom, &by_old).await, Err(unreachable));
    let secret = ("301:0.NA/88.118", Proof::Password(SECRET.into()));
    assert_eq!(
        proved(authority, secret.0, &secret.1).await,
        Ok(secret.0.to_owned()),
        "never shown by the site"
    );
}

/// A node that asks no other nodes has only the keys here.
#[tokio::test]
async fn a_key_at_a_delegated_prefix_is_accepted_where_no_site_is_asked() {
    let fixture = Fixture::open(EngineKind::Fjall).await;
    let key = PrivateKey::generate_sm2(&fill);
    fixture.node(registration("0.NA/88.118", vec![public(300, &key)])).await.expect("registered");
    fixture.node(delegate("88.118", 1)).await.expect("delegated");
    let (whom, proof) = ("300:0.NA/88.118", Proof::Certificate { key: key.public() });
    assert_eq!(proved(&fixture.authority, whom, &proof).await, Ok(whom.to_owned()));
}
