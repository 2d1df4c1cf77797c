//! Sessions against OpenSSL's ciphers and Python's integers, which agree with the provider of the official SDK 2.3.1 on
//! the same numbers; and their bounds.

use super::{Agreement, Cipher, SessionKey};
use crate::key::tests::counting;
use crate::key::{KeyError, PrivateKey};
use crate::wire::cursor::Writer;
use crate::wire::handle::code::Version;

const MESSAGE: &[u8] = b"a message of the session";
const V2_3: Version = Version::new(2, 3);

/// The 1024-bit group of RFC 2409 section 6.2; its generator is 2.
const GROUP: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3\
                     cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a89\
                     9fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff";

fn unhex(text: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(text.as_bytes()).expect("hexadecimal")
}

fn key(cipher: Cipher, length: u8) -> SessionKey {
    SessionKey::new(cipher, (0..length).collect()).expect("a key")
}

#[test]
fn both_sides_of_an_agreement_come_to_the_same_key() {
    let ours = Agreement::begin(&unhex(GROUP), &[2], &|bytes| bytes.fill(0x11)).expect("a group");
    let (theirs, peer) = Agreement::join(&ours.half(), &|bytes| bytes.fill(0x22)).expect("our half");
    let expected = [
        (Cipher::Aes, "a86d4fdf701bc204e5693fdbc972a62bdbb8c34812f593a005b04e33de578416"),
        (Cipher::TripleDes, "a86d4fdf701ac204e5683edac873a72adab9c24913f492a1"),
        (Cipher::Des, "a86d4fdf701ac204"),
    ];
    for (cipher, secret) in expected {
        let secret = SessionKey::new(cipher, unhex(secret)).expect("a key");
        assert_eq!(theirs.key(&peer, cipher), Ok(secret.clone()), "{cipher:?}");
        let half = theirs.half();
        let answer = ours.peer(&half).expect("their half");
        assert_eq!(ours.key(&answer, cipher), Ok(secret), "{cipher:?}");
    }
}

#[test]
fn messages_are_encrypted_as_openssl_does() {
    let first = |version| if version < Version::V2_4 { Vec::new() } else { vec![7] };
    let cases = [
        (Cipher::Aes, 32, Version::V2_10, "d069e1e2ff4c5fe6f6dffea3d37188631c8c7b86a11092f28fa509cbe3368325"),
        (Cipher::Aes, 16, V2_3, "06cac671979899627510652049c3689d944bcfd21ba37798143e877025f2233a"),
        (
            Cipher::TripleDes,
            24,
            Version::V2_10,
            "b3bd651258c6c3f22e596a0f259ee87cfb912ac3f636d2c435787bce0722bf43",
        ),
        (Cipher::TripleDes, 24, V2_3, "192e1f62bf1d279c1ba079e52c0f93e465b5a48483065df0a3cf6ec88bd97d73"),
        (Cipher::Des, 8, Version::V2_10, "c7bacef34ead20af430f1ebb7d59f3500b97075cfc4cdc2640920c9b1c1dac89"),
        (Cipher::Des, 8, V2_3, "b6ac5ff39aa40e0dfb2fdaeeea18218af18862926d9b7b7de481a8d39714d0de"),
    ];
    for (cipher, length, version, expected) in cases {
        let key = key(cipher, length);
        let data = key.encrypt(version, MESSAGE, &|bytes| bytes.fill(7));
        let block = first(version).repeat(if cipher == Cipher::Aes { 16 } else { 8 });
        assert_eq!(data, [block, unhex(expected)].concat(), "{cipher:?} {version:?}");
        assert_eq!(key.decrypt(version, &data).as_deref(), Ok(MESSAGE));
        for length in 0..data.len() {
            let found = key.decrypt(version, &data[..length]);
            assert!(found.as_deref() != Ok(MESSAGE), "{cipher:?} cut at {length}");
        }
    }
    let key = key(Cipher::Sm4, 16);
    let data = key.encrypt(Version::V2_10, MESSAGE, &|bytes| bytes.fill(7));
    assert_eq!(data, unhex("3c2556cb0413ca3a1228ce34ef305ddfaf1d177107f7e46d24e30c1966bd9903"));
    assert_eq!(key.decrypt(Version::V2_10, &data).as_deref(), Ok(MESSAGE));
}

#[test]
fn messages_are_authenticated_by_the_whole_secret() {
    let key = key(Cipher::Aes, 32);
    let new = unhex("43122a62c4615423115f5a4d87980445bcd32ffc9465825edd23865272208cb7");
    let old = unhex("56128e86742d91ef22a59ffaf7ff017947c29df8");
    for (version, mac) in [(Version::V2_10, new), (V2_3, old)] {
        assert_eq!(key.mac(version, MESSAGE), mac);
        assert_eq!(key.verify_mac(version, MESSAGE, &mac), Ok(()));
        assert_eq!(key.verify_mac(version, b"another", &mac), Err(KeyError::Wrong));
        assert_eq!(key.verify_mac(version, MESSAGE, &mac[1..]), Err(KeyError::Wrong));
    }
    assert_eq!(format!("{key:?}"), "SessionKey(Aes, secret)");
}

#[test]
fn a_key_travels_sealed_to_rsa_and_to_sm2() {
    let random = counting();
    let rsa = PrivateKey::generate_rsa(2_048, &random).expect("an RSA key");
    let sm2 = PrivateKey::generate_sm2(&random);
    for owner in [&rsa, &sm2] {
        let key = SessionKey::generate(Cipher::Aes, &random);
        let sealed = key.seal(&owner.public(), Version::V2_10, &random).expect("a sealed key");
        assert_eq!(SessionKey::unseal(owner, Version::V2_10, &sealed, &random), Ok(key.clone()));
        let mut damaged = sealed.clone();
        damaged[70] ^= 1;
        assert_ne!(SessionKey::unseal(owner, Version::V2_10, &damaged, &random), Ok(key));
        let des = SessionKey::generate(Cipher::Des, &random);
        let sealed = des.seal(&owner.public(), Version::V2_1, &random).expect("a sealed key");
        assert_eq!(SessionKey::unseal(owner, Version::V2_1, &sealed, &random), Ok(des));
    }
}

#[test]
fn groups_and_numbers_beyond_the_bounds_are_refused() {
    let random = counting();
    let join = |y: &[u8], p: &[u8], g: &[u8]| {
        let mut writer = Writer::default();
        writer.text("DH_PUB_KEY").u16(0).bytes(y).bytes(p).bytes(g);
        Agreement::join(writer.as_slice(), &random).map(|_| ())
    };
    let group = unhex(GROUP);
    assert_eq!(join(&[5], &group, &[2]), Ok(()));
    let number = KeyError::Malformed { wanted: "a public number of the group" };
    let last = [&group[..127], &[0xfe]].concat();
    for y in [&[][..], &[0], &[1], &last, &group, &[0xff; 129]] {
        assert_eq!(join(y, &group, &[2]), Err(number.clone()));
    }
    let wrong = KeyError::Malformed { wanted: "a Diffie-Hellman group" };
    assert_eq!(join(&[5], &group, &[1]), Err(wrong.clone()));
    assert_eq!(join(&[5], &last, &[2]), Err(wrong), "an even modulus");
    for (bytes, bits) in [(60, 480), (513, 4_104)] {
        let bound = KeyError::OutOfBounds {
            what: "size of a Diffie-Hellman group in bits",
            found: bits,
            min: 512,
            max: 4_096,
        };
        assert_eq!(join(&[5], &vec![0xff; bytes], &[2]), Err(bound));
    }
    assert!(Agreement::join(b"", &random).is_err());
    let small = SessionKey::new(Cipher::Aes, vec![0; 15]).map(|key| key.cipher());
    let what = "length of a session key in bytes";
    assert_eq!(small, Err(KeyError::OutOfBounds { what, found: 15, min: 16, max: 32 }));
}
