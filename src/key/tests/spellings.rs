//! Every spelling of a key reads back, and what we write is what others write.

use proptest::prelude::{any, prop_assert, proptest};

use super::{bytes, counting, list, text, vectors};
use crate::key::secret::AnswerForms;
use crate::key::session::{Agreement, SessionKey};
use crate::key::{KeyError, PrivateKey, PublicKey, pem};
use crate::wire::cursor::Writer;
use crate::wire::handle::code::Version;

#[test]
fn keys_of_a_cnri_server_encode_back_to_the_same_bytes() {
    let vectors = vectors();
    for (public, private) in [("rsa_public", "rsa_private_file"), ("dsa_public", "dsa_private_file")] {
        let (public, private) =
            (bytes(&vectors, &format!("/cnri/{public}")), bytes(&vectors, &format!("/cnri/{private}")));
        let key = PublicKey::decode(&public).expect("the public key");
        assert_eq!(key.encode_blob(), public, "{}", key.kind());
        let secret = PrivateKey::decode(&private).expect("the private key file");
        assert_eq!(secret.public(), key);
        assert_eq!(secret.encode_file(), Ok(private), "{}", key.kind());
        let jwk = secret.to_jwk().expect("a JSON Web Key");
        assert_eq!(PrivateKey::from_jwk(&jwk).map(|key| key.to_der()), Ok(secret.to_der()));
    }
}

#[test]
fn a_public_key_reads_back_from_each_spelling() {
    for key in public_keys() {
        let jwk = key.to_jwk();
        assert_eq!(PublicKey::from_jwk(&jwk), Ok(key.clone()), "{jwk}");
        let pem = key.to_pem();
        let spellings = [
            key.encode_blob(),
            key.to_der(),
            pem.clone().into_bytes(),
            pem.replace('\n', "\r\n").into_bytes(),
        ];
        for spelling in spellings {
            assert_eq!(PublicKey::decode(&spelling), Ok(key.clone()));
        }
    }
}

#[test]
fn a_private_key_reads_back_from_each_spelling() {
    let vectors = vectors();
    for path in ["/openssl/sm2_private", "/openssl/sm2_private_sec1", "/openssl/dsa_private"] {
        let key = PrivateKey::decode(text(&vectors, path).as_bytes()).expect("a key of OpenSSL");
        let jwk = key.to_jwk().expect("a JSON Web Key");
        assert!(PrivateKey::is_in_jwk(&jwk) && !PrivateKey::is_in_jwk(&key.public().to_jwk()));
        assert_eq!(PrivateKey::from_jwk(&jwk).map(|key| key.to_der()), Ok(key.to_der()));
        let twin = PrivateKey::decode(&key.to_der()).expect("our DER");
        assert_eq!(twin.public(), key.public());
        assert_eq!(PrivateKey::decode(key.to_pem().as_bytes()).map(|key| key.to_der()), Ok(key.to_der()));
    }
    let sm2 = PrivateKey::decode(text(&vectors, "/openssl/sm2_private").as_bytes()).expect("an SM2 key");
    let printed = text(&vectors, "/openssl/sm2_private");
    assert_eq!(sm2.to_pem(), printed, "OpenSSL writes the same PKCS#8");
    assert_eq!(sm2.public().to_pem(), text(&vectors, "/openssl/sm2_public"));
    assert_eq!(sm2.encode_file(), Err(KeyError::Unsuited { key: "SM2", with: "the Handle key file" }));
    assert_eq!(format!("{sm2:?}"), "PrivateKey(SM2, secret)");
}

#[test]
fn a_locked_key_file_opens_with_its_pass_phrase() {
    let vectors = vectors();
    let locked = bytes(&vectors, "/openssl/dsa_private_file_locked");
    let open = PrivateKey::decode(&bytes(&vectors, "/cnri/dsa_private_file")).expect("the open file");
    let unlocked = PrivateKey::unlock(&locked, Some(b"pass phrase")).expect("the pass phrase fits");
    assert_eq!(unlocked.to_der(), open.to_der());
    assert_eq!(PrivateKey::decode(&locked).map(|key| key.public()), Err(KeyError::Locked));
    assert!(PrivateKey::unlock(&locked, Some(b"another")).is_err());
}

/// Those of the tools before version 8, too, and with a pass phrase that is not ASCII.
#[test]
fn a_key_file_opens_however_the_handle_tools_encrypted_it() {
    let vectors: serde_json::Value =
        serde_json::from_str(include_str!("../../../tests/data/key/locked.json")).expect("JSON");
    let files = list(&vectors, "/files");
    assert_eq!(files.len(), 12);
    for file in files {
        let name = format!("{} {} {}", text(file, "/kind"), file["encryption"], text(file, "/pass_phrase"));
        let (locked, pass_phrase) = (bytes(file, "/file"), text(file, "/pass_phrase").as_bytes());
        let key =
            PrivateKey::unlock(&locked, Some(pass_phrase)).unwrap_or_else(|error| panic!("{name}: {error}"));
        let public = PublicKey::decode(&bytes(file, "/public")).expect("a public key");
        assert_eq!(key.public(), public, "{name}");
        for wrong in [None, Some(b"another".as_slice()), Some(b"")] {
            let found = PrivateKey::unlock(&locked, wrong).map(|key| key.public());
            assert_eq!(found, Err(KeyError::Locked), "{name}");
        }
        let mut cut = locked.clone();
        cut.truncate(locked.len() - 1);
        assert!(PrivateKey::unlock(&cut, Some(pass_phrase)).is_err(), "{name}");
        assert!(PrivateKey::is_key_file(&locked) && !PrivateKey::is_key_file(&public.encode_blob()));
    }
}

/// Teleinfo's SDK writes PEM text into the blob and reads DER from it; its tests hold this key.
#[test]
fn an_sm2_key_in_the_blob_is_der_or_pem() {
    let der = "MFkwEwYHKoZIzj0CAQYIKoEcz1UBgi0DQgAEHFkjKEdzNBN0dR7KtagCoOOwjz+EOOojoxV95x5O+UMzIgVCyKWhJhZ/\
               B4jIuCVRgpmqA7R5Pf05r3/TGjkDNQ==";
    let der = data_encoding::BASE64.decode(der.as_bytes()).expect("base64");
    let key = PublicKey::decode(&der).expect("an SM2 key");
    assert_eq!((key.kind(), key.to_der()), ("SM2", der.clone()));
    let pem = pem::display("PUBLIC KEY", &der).replace('\n', "\r\n");
    for content in [der.as_slice(), pem.as_bytes()] {
        let mut writer = Writer::default();
        writer.text("SM2_PUB_KEY").u16(0).bytes(content);
        assert_eq!(PublicKey::decode(&writer.into_vec()), Ok(key.clone()));
    }
}

#[test]
fn keys_that_are_made_work() {
    let random = counting();
    let rsa = PrivateKey::generate_rsa(2_048, &random).expect("an RSA key");
    let sm2 = PrivateKey::generate_sm2(&random);
    for key in [rsa, sm2] {
        let answer = key.answer("88.1/a", b"challenge", &random).expect("an answer");
        let verified =
            key.public().verify_answer("88.1/a", answer.hash.as_bytes(), b"challenge", &answer.signature);
        assert_eq!(verified, Ok(()));
        assert_eq!(PrivateKey::decode(&key.to_der()).map(|key| key.public()), Ok(key.public()));
    }
    let small = PrivateKey::generate_rsa(1_024, &random).map(|key| key.public());
    let expected =
        KeyError::OutOfBounds { what: "size of an RSA key in bits", found: 1_024, min: 2_048, max: 8_192 };
    assert_eq!(small, Err(expected));
}

/// Each key, cut at every length and with every byte changed, is read or refused, and never breaks the reader.
#[test]
fn damaged_keys_are_refused_or_read() {
    for key in public_keys() {
        for spelling in [key.encode_blob(), key.to_der()] {
            for length in 0..spelling.len() {
                let found = PublicKey::decode(&spelling[..length]);
                assert!(found.is_err() || found == Ok(key.clone()), "cut at {length}");
            }
            for place in 0..spelling.len().min(80) {
                let mut damaged = spelling.clone();
                damaged[place] ^= 0xff;
                if let Ok(found) = PublicKey::decode(&damaged) {
                    assert!(found.verify_answer("88/a", b"SHA1", b"c", &[1; 64]).is_err());
                }
            }
        }
    }
}

#[test]
fn keys_beyond_the_bounds_are_refused() {
    let mut writer = Writer::default();
    writer.text("RSA_PUB_KEY").u16(0).bytes(&[1, 0, 1]).bytes(&[0x81; 64]);
    let found = PublicKey::decode(writer.as_slice());
    let expected =
        KeyError::OutOfBounds { what: "size of an RSA key in bits", found: 512, min: 1_024, max: 8_192 };
    assert_eq!(found, Err(expected));
    let mut writer = Writer::default();
    writer.text("RSA_PUB_KEY").u16(0).bytes(&[1, 0, 1]).bytes(&[0x81; 2_048]);
    assert!(PublicKey::decode(writer.as_slice()).is_err());
    let mut writer = Writer::default();
    writer.text("ED25519_PUB_KEY").u16(0);
    let expected = KeyError::Unknown { what: "kind of key", found: "ED25519_PUB_KEY".to_owned() };
    assert_eq!(PublicKey::decode(writer.as_slice()), Err(expected));
    assert!(PublicKey::decode(b"").is_err());
}

fn public_keys() -> Vec<PublicKey> {
    let vectors = vectors();
    let blobs = ["/cnri/rsa_public", "/cnri/dsa_public"].map(|path| bytes(&vectors, path));
    let texts =
        ["/openssl/sm2_public", "/openssl/dsa_public"].map(|path| text(&vectors, path).as_bytes().to_vec());
    blobs.iter().chain(&texts).map(|data| PublicKey::decode(data).expect("a recorded key")).collect()
}

proptest! {
    /// Arbitrary bytes are read or refused without a panic.
    #[test]
    fn noise_is_refused_or_read(noise in proptest::collection::vec(any::<u8>(), 0..300), kind in 0_usize..6) {
        let kinds = ["RSA_PUB_KEY", "DSA_PUB_KEY", "SM2_PUB_KEY", "DH_PUB_KEY", "RSA_PRIVCRT_KEY", "{\"kty\":"];
        let named = [&11_u32.to_be_bytes(), kinds[kind].as_bytes(), &[0, 0], &noise].concat();
        for bytes in [&noise, &named] {
            let _ = PublicKey::decode(bytes);
            let _ = PrivateKey::unlock(bytes, Some(b"x"));
            let _ = Agreement::join(bytes, &counting());
            let _ = crate::key::secret::verify_answer(b"secret", bytes, b"challenge", AnswerForms::WithMd5);
            let _ = crate::key::jws::Jws::parse(&String::from_utf8_lossy(bytes));
        }
    }

    /// Arbitrary bytes are never accepted as a signature or as a sealed key.
    #[test]
    fn noise_proves_nothing(noise in proptest::collection::vec(any::<u8>(), 0..300), lead in any::<bool>()) {
        let noise = if lead { [&[0x30, 0x44, 0x02, 0x20][..], &noise].concat() } else { noise };
        for key in public_keys() {
            for hash in [&b"SHA1"[..], b"SHA-256", b"SM3"] {
                prop_assert!(key.verify_answer("88/a", hash, b"challenge", &noise).is_err());
            }
        }
        let vectors = vectors();
        let sm2 = PrivateKey::decode(text(&vectors, "/openssl/sm2_private").as_bytes()).expect("an SM2 key");
        prop_assert!(SessionKey::unseal(&sm2, Version::V2_10, &noise, &counting()).is_err());
    }
}
