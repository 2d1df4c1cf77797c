//! Answers to challenges and signatures that other programs made.

use super::{bytes, counting, list, text, vectors};
use crate::key::digest::DigestAlgorithm;
use crate::key::secret::AnswerForms;
use crate::key::{KeyError, PrivateKey, PublicKey, secret};

#[test]
fn answers_of_the_cnri_client_verify_as_its_server_found() {
    let vectors = vectors();
    let key = PublicKey::decode(&bytes(&vectors, "/cnri/rsa_public")).expect("the administrator's key");
    let mut outcomes = Vec::new();
    for answer in list(&vectors, "/cnri/public_key_answers") {
        let (challenge, signature) = (bytes(answer, "/challenge"), bytes(answer, "/signature"));
        let hash = text(answer, "/hash").as_bytes();
        let found = key.verify_answer(text(answer, "/signer"), hash, &challenge, &signature);
        assert_eq!(found.is_ok(), answer["code"] == 1, "{}", text(answer, "/name"));
        let other = [challenge.as_slice(), b"x"].concat();
        assert_eq!(key.verify_answer("88/a", hash, &other, &signature), Err(KeyError::Wrong));
        outcomes.push(found.is_ok());
    }
    assert_eq!(outcomes, [true, true, true, true, true, false, false]);
}

#[test]
fn secret_answers_of_the_cnri_client_verify_as_its_server_found() {
    let vectors = vectors();
    let secret = text(&vectors, "/cnri/secret").as_bytes();
    let mut outcomes = Vec::new();
    for answer in list(&vectors, "/cnri/secret_key_answers") {
        let (challenge, data) = (bytes(answer, "/challenge"), bytes(answer, "/answer"));
        let found = secret::verify_answer(secret, &data, &challenge, AnswerForms::Current);
        assert_eq!(found.is_ok(), answer["code"] == 1, "{}", text(answer, "/name"));
        outcomes.push(found.is_ok());
    }
    assert_eq!(outcomes, [true, false, true, false, true, true]);
}

#[test]
fn signatures_of_the_cnri_server_verify() {
    let vectors = vectors();
    let key = PublicKey::decode(&bytes(&vectors, "/cnri/dsa_public")).expect("the server's key");
    let signatures = list(&vectors, "/cnri/server_signatures");
    assert_eq!(signatures.len(), 4);
    for signature in signatures {
        let algorithm = DigestAlgorithm::decode_name(text(signature, "/hash").as_bytes()).expect("a digest");
        let (message, signature) = (bytes(signature, "/message"), bytes(signature, "/signature"));
        assert_eq!(key.verify(algorithm, &message, &signature), Ok(()));
        assert_eq!(key.verify(algorithm, &message[1..], &signature), Err(KeyError::Wrong));
    }
}

#[test]
fn dsa_signatures_of_openssl_verify_and_ours_read_back() {
    let vectors = vectors();
    let key = PrivateKey::decode(text(&vectors, "/openssl/dsa_private").as_bytes()).expect("a DSA key");
    let message = bytes(&vectors, "/openssl/challenge");
    for (algorithm, path) in
        [(DigestAlgorithm::Sha1, "/openssl/dsa_sha1"), (DigestAlgorithm::Sha256, "/openssl/dsa_sha256")]
    {
        assert_eq!(key.public().verify(algorithm, &message, &bytes(&vectors, path)), Ok(()));
        let ours = key.sign(algorithm, &message, &counting()).expect("a signature");
        assert_eq!(key.public().verify(algorithm, &message, &ours), Ok(()));
    }
    let unsuited = key.public().verify(DigestAlgorithm::Sm3, &message, &[]);
    assert_eq!(unsuited, Err(KeyError::Unsuited { key: "DSA", with: "SM3" }));
}

/// The four ways in which clients sign with SM2, all made by OpenSSL.
#[test]
fn sm2_answers_verify_in_each_way_that_clients_sign() {
    let vectors = vectors();
    let key = PublicKey::decode(text(&vectors, "/openssl/sm2_public").as_bytes()).expect("an SM2 key");
    let challenge = bytes(&vectors, "/openssl/challenge");
    let signer = text(&vectors, "/openssl/signer");
    for way in ["sm2_answer", "sm2_answer_default_id", "sm2_single_digest", "sm2_plain"] {
        let signature = bytes(&vectors, &format!("/openssl/{way}"));
        assert_eq!(key.verify_answer(signer, b"SM3", &challenge, &signature), Ok(()), "{way}");
        assert_eq!(key.verify_answer(signer, b"SM3", b"another", &signature), Err(KeyError::Wrong), "{way}");
    }
    let named = bytes(&vectors, "/openssl/sm2_answer");
    let other_user = key.verify_answer("88.111.1/other", b"SM3", &challenge, &named);
    assert_eq!(other_user, Err(KeyError::Wrong), "the user id is part of the signature");
    let plain = bytes(&vectors, "/openssl/sm2_plain");
    assert_eq!(key.verify(DigestAlgorithm::Sm3, &challenge, &plain), Ok(()));
}

#[test]
fn an_rsa_key_takes_no_answer_by_md5_or_by_an_unknown_digest() {
    let vectors = vectors();
    let key = PublicKey::decode(&bytes(&vectors, "/cnri/rsa_public")).expect("a key");
    let found = key.verify_answer("88/a", b"MD5", b"c", &[0; 256]);
    assert_eq!(found, Err(KeyError::Unsuited { key: "RSA", with: "MD5" }));
    let found = key.verify_answer("88/a", b"SHA-512", b"c", &[0; 256]);
    let expected = KeyError::Unknown { what: "digest algorithm", found: "SHA-512".to_owned() };
    assert_eq!(found, Err(expected));
}
