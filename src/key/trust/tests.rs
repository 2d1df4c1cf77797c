//! Chains from a signature to a pinned root, and each way in which they fail.

use super::{CHAIN_MAX, Grant, Report, Root, TrustError, Validity, Verification, certify, sign_values};
use crate::key::digest::DigestAlgorithm;
use crate::key::tests::{bytes, counting, list, text, vectors};
use crate::key::{PrivateKey, PublicKey, jws};
use crate::model::identifier::{Identifier, Prefix};
use crate::model::identity::Identity;
use crate::model::value::{Index, Permissions, Ttl, Value, ValueType};
use crate::wire::cursor::Reader;
use crate::wire::handle::value::WireValue;

const NOW: u64 = 1_800_000_000;
const YEAR: u64 = 31_536_000;

fn identity(text: &str) -> Identity {
    Identity::parse(text).expect("an identity")
}

fn identifier(text: &str) -> Identifier {
    Identifier::parse(text).expect("an identifier")
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn value(index: u32, value_type: &str, data: &str) -> Value {
    Value {
        index: Index::new(index).expect("an index"),
        value_type: ValueType::new(value_type).expect("a type"),
        data: data.as_bytes().to_vec(),
        ttl: Ttl::Relative(86_400),
        permissions: Permissions::from_bits(0x0e),
        references: Vec::new(),
        timestamp: 0,
    }
}

/// A deterministic key, one for each letter.
fn sm2(letter: u8) -> PrivateKey {
    PrivateKey::generate_sm2(&|bytes| bytes.fill(letter))
}

/// The root 301:88.111.1/0.0 certifies 300:0.NA/88.118.8, which signs the values of 88.118.8/SN1.
struct Scene {
    root: (Identity, PrivateKey),
    signer: (Identity, PrivateKey),
    identifier: Identifier,
    values: Vec<Value>,
}

impl Scene {
    fn new() -> Self {
        Self {
            root: (identity("301:88.111.1/0.0"), sm2(b'r')),
            signer: (identity("300:0.NA/88.118.8"), sm2(b's')),
            identifier: identifier("88.118.8/SN1"),
            values: vec![value(1, "URL", "https://example.com/"), value(2, "NAME", "轴承")],
        }
    }

    fn roots(&self) -> Vec<Root> {
        vec![Root { identity: self.root.0.clone(), key: self.root.1.public() }]
    }

    fn signature(&self) -> String {
        let issuer = (&self.signer.0, &self.signer.1);
        let validity = Validity::new(NOW, YEAR);
        sign_values(issuer, &self.identifier, &self.values, validity, &counting()).expect("a signature")
    }

    fn certificate(&self, grants: &[Grant]) -> Value {
        let public = self.signer.1.public();
        self.certify((&self.signer.0, &public), grants)
    }

    fn certify(&self, subject: (&Identity, &PublicKey), grants: &[Grant]) -> Value {
        let issuer = (&self.root.0, &self.root.1);
        let text = certify(issuer, subject, grants, Validity::new(NOW, YEAR), &counting());
        value(400, "HS_CERT", &text.expect("a certificate"))
    }

    fn verify(&self, certificates: &[Value]) -> Result<Report, TrustError> {
        let (roots, signature) = (self.roots(), self.signature());
        let mut verification =
            Verification::begin(&self.identifier, &self.values, signature.as_bytes(), &roots, NOW)?;
        assert_eq!(verification.wanted(), Some(&self.signer.0.identifier));
        verification.supply(certificates)?;
        assert_eq!(verification.wanted(), None);
        Ok(verification.report().cloned().expect("a report"))
    }
}

#[test]
fn a_signature_leads_to_a_pinned_root() {
    let scene = Scene::new();
    let grants = [
        Grant::Everything,
        Grant::UnderPrefix(prefix("88.118.8")),
        Grant::DerivedPrefixes(prefix("88.118")),
        Grant::Identifier(identifier("88.118.8/SN1")),
        Grant::Identifier(identifier("0.NA/88.118.8")),
    ];
    for grant in grants {
        let report =
            scene.verify(&[scene.certificate(std::slice::from_ref(&grant))]).expect("a trusted chain");
        assert_eq!(report.path, [scene.signer.0.clone(), scene.root.0.clone()], "{grant:?}");
        assert_eq!((report.signed, report.missing, report.unsigned), (vec![1, 2], vec![], vec![]));
    }
}

#[test]
fn a_root_that_signs_itself_needs_no_certificate() {
    let mut scene = Scene::new();
    scene.signer = scene.root.clone();
    let (roots, signature) = (scene.roots(), scene.signature());
    let values = [scene.values.clone(), vec![value(9, "NOTE", "added later")]].concat();
    let shown = &values[1..];
    let verification = Verification::begin(&scene.identifier, shown, signature.as_bytes(), &roots, NOW);
    let verification = verification.expect("a signature that holds");
    let report = Report { path: vec![scene.root.0], signed: vec![2], missing: vec![1], unsigned: vec![9] };
    assert_eq!(verification.report(), Some(&report));
}

#[test]
fn a_certificate_grants_no_other_identifier() {
    let scene = Scene::new();
    let grants = [
        Grant::UnderPrefix(prefix("88.118.9")),
        Grant::DerivedPrefixes(prefix("88.118.8")),
        Grant::Identifier(identifier("88.118.8/SN2")),
        Grant::UnderPrefix(prefix("88.118")),
    ];
    for grant in grants {
        let refused = scene.verify(&[scene.certificate(std::slice::from_ref(&grant))]);
        let (identity, identifier) = (scene.signer.0.clone(), scene.identifier.clone());
        assert_eq!(refused, Err(TrustError::NotGranted { identity, identifier }), "{grant:?}");
    }
    assert!(!Grant::UnderPrefix(prefix("88.118.8")).covers(&identifier("0.NA/88.118.8")));
    assert!(Grant::DerivedPrefixes(prefix("88")).covers(&identifier("0.NA/88.118.8")));
}

#[test]
fn what_was_changed_after_signing_is_reported() {
    let scene = Scene::new();
    let (roots, signature) = (scene.roots(), scene.signature());
    let begin = |identifier: &Identifier, values: &[Value], now| {
        Verification::begin(identifier, values, signature.as_bytes(), &roots, now).map(|_| ()).map_err(Some)
    };
    let mut values = scene.values.clone();
    values[1].timestamp = 77;
    assert_eq!(begin(&scene.identifier, &values, NOW), Ok(()), "the timestamp is the node's");
    values[1].data.push(b'!');
    let changed = TrustError::Changed { index: 2, issuer: scene.signer.0.clone() };
    assert_eq!(begin(&scene.identifier, &values, NOW), Err(Some(changed)));
    values[1] = value(2, "NAME2", "轴承");
    assert!(begin(&scene.identifier, &values, NOW).is_err(), "the type is covered");
    assert_eq!(begin(&scene.identifier, &[], NOW), Err(Some(TrustError::Empty)));
    let other = identifier("88.118.8/SN2");
    let refused = begin(&other, &scene.values, NOW);
    let expected = TrustError::OtherIdentifier { signed: "88.118.8/SN1".into(), asked: other };
    assert_eq!(refused, Err(Some(expected)));
    assert_eq!(begin(&identifier("88.118.8/SN1"), &scene.values, NOW + YEAR), Ok(()));
    for now in [NOW - 601, NOW + YEAR + 1] {
        let (what, from, until) = ("the signature".to_owned(), NOW - 600, NOW + YEAR);
        let expected = TrustError::OutOfDate { what, from, until, now };
        assert_eq!(begin(&scene.identifier, &scene.values, now), Err(Some(expected)));
    }
}

#[test]
fn another_key_is_not_taken_for_the_certified_one() {
    let scene = Scene::new();
    let foreign = sm2(b'x');
    let certificate = scene.certify((&scene.signer.0, &foreign.public()), &[Grant::Everything]);
    let refused = scene.verify(&[certificate]).map_err(|error| error.to_string());
    assert_eq!(refused, Err("the signature was not signed with the key of 300:0.NA/88.118.8".into()));
    let mut forged = Scene::new();
    forged.root.1 = foreign.clone();
    let refused =
        scene.verify(&[forged.certificate(&[Grant::Everything])]).map_err(|error| error.to_string());
    let sentence = "the certificate of 300:0.NA/88.118.8 was not signed with the key of 301:88.111.1/0.0";
    assert_eq!(refused, Err(sentence.into()));
    let other = scene.certify((&identity("301:0.NA/88.118.8"), &foreign.public()), &[Grant::Everything]);
    let (identity, at) = (scene.signer.0.clone(), scene.signer.0.identifier.clone());
    assert_eq!(scene.verify(&[other]), Err(TrustError::NoCertificate { identity, at }));
}

#[test]
fn a_chain_ends_at_its_bound_or_at_an_unpinned_root() {
    let scene = Scene::new();
    let public = scene.signer.1.public();
    let own = (&scene.signer.0, &scene.signer.1);
    let validity = Validity::new(NOW, YEAR);
    let text = certify(own, (&scene.signer.0, &public), &[Grant::Everything], validity, &counting());
    let certificate = value(400, "HS_CERT", &text.expect("a certificate"));
    let identity_of_signer = scene.signer.0.clone();
    assert_eq!(scene.verify(&[certificate]), Err(TrustError::UnpinnedRoot { identity: identity_of_signer }));
    let signature = scene.signature();
    let begun = Verification::begin(&scene.identifier, &scene.values, signature.as_bytes(), &[], NOW);
    let mut verification = begun.expect("a signature");
    for step in 0..CHAIN_MAX {
        let subject = if step == 0 { scene.signer.0.clone() } else { identity(&format!("{step}:88/chain")) };
        let issuer = identity(&format!("{}:88/chain", step + 1));
        let text = certify(
            (&issuer, &scene.signer.1),
            (&subject, &public),
            &[Grant::Everything],
            validity,
            &counting(),
        );
        let supplied = verification.supply(&[value(400, "HS_CERT", &text.expect("a certificate"))]);
        assert_eq!(supplied, Ok(()), "step {step}");
    }
    assert_eq!(verification.supply(&[]), Err(TrustError::TooLong));
}

#[test]
fn a_holder_that_may_not_certify_does_not() {
    let scene = Scene::new();
    let middle = (identity("300:0.NA/88.118"), sm2(b'm'));
    let key = scene.signer.1.public();
    let validity = Validity::new(NOW, YEAR);
    let leaf =
        certify((&middle.0, &middle.1), (&scene.signer.0, &key), &[Grant::Everything], validity, &counting());
    let leaf = value(400, "HS_CERT", &leaf.expect("a certificate"));
    let (roots, signature) = (scene.roots(), scene.signature());
    for (ca, expected) in
        [("true", Ok(())), ("false", Err(TrustError::NotIssuer { identity: middle.0.clone() }))]
    {
        let claims = format!(
            r#"{{"iss":"301:88.111.1/0.0","sub":"300:0.NA/88.118","exp":{},"org":"x","publicKey":{},
                "perms":[{{"perm":"everything","ca":{ca}}}],"exts":[{{"key":"k","value":"v"}}]}}"#,
            NOW + 1,
            middle.1.public().to_jwk()
        );
        let text = jws::sign(claims.as_bytes(), &scene.root.1, &counting()).expect("a certificate");
        let begun = Verification::begin(&scene.identifier, &scene.values, signature.as_bytes(), &roots, NOW);
        let mut verification = begun.expect("a signature");
        assert_eq!(verification.supply(std::slice::from_ref(&leaf)), Ok(()));
        assert_eq!(verification.wanted(), Some(&middle.0.identifier));
        assert_eq!(verification.supply(&[value(400, "HS_CERT", &text)]), expected, "ca {ca}");
    }
}

#[test]
fn rsa_signs_too_and_json_texts_are_read() {
    let mut scene = Scene::new();
    scene.root.1 = PrivateKey::generate_rsa(2_048, &counting()).expect("an RSA key");
    let certificate = scene.certificate(&[Grant::Everything]);
    let compact = String::from_utf8(certificate.data).expect("text");
    let parts: Vec<&str> = compact.split('.').collect();
    let json = format!(
        r#"{{"payload":"{}","signatures":[{{"protected":"{}","signature":"{}"}}]}}"#,
        parts[1], parts[0], parts[2]
    );
    assert!(scene.verify(&[value(400, "HS_CERT", &json)]).is_ok());
    let header = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"none"}"#);
    let unsigned = format!("{header}.{}.", parts[1]);
    assert!(scene.verify(&[value(400, "HS_CERT", &unsigned)]).is_err());
    let swapped = data_encoding::BASE64URL_NOPAD.encode(br#"{"alg":"SM2256"}"#);
    assert!(scene.verify(&[value(400, "HS_CERT", &format!("{swapped}.{}.{}", parts[1], parts[2]))]).is_err());
    assert!(scene.verify(&[value(400, "HS_CERT", "a.b")]).is_err());
}

/// Signature, certificate and values of the official SDK: an SM2 key signs, an RSA root certifies it.
#[test]
fn what_the_official_sdk_signed_leads_to_its_root() {
    let vectors = vectors();
    let values = list(&vectors, "/teleinfo/values").iter().map(|value| {
        let bytes = data_encoding::HEXLOWER.decode(value.as_str().expect("text").as_bytes()).expect("hex");
        WireValue::decode(&mut Reader::new(&bytes)).expect("a value").to_value().expect("a value")
    });
    let values: Vec<Value> = values.collect();
    let key = PublicKey::decode(&bytes(&vectors, "/teleinfo/root_public")).expect("the root's key");
    let roots = [Root { identity: identity("301:88.111.1/0.0"), key }];
    let identifier = identifier("88.118.8/SN1");
    let signature = text(&vectors, "/teleinfo/signature").as_bytes();
    let begun = Verification::begin(&identifier, &values, signature, &roots, NOW);
    let mut verification = begun.expect("a signature that holds");
    let certificate = value(400, "HS_CERT", text(&vectors, "/teleinfo/certificate"));
    assert_eq!(verification.supply(&[certificate]), Ok(()));
    let path = vec![identity("300:0.NA/88.118.8"), identity("301:88.111.1/0.0")];
    let report = Report { path, signed: vec![1, 2], missing: vec![], unsigned: vec![] };
    assert_eq!(verification.report(), Some(&report));
    let published = PublicKey::decode(&bytes(&vectors, "/teleinfo/sm2_public_blob")).expect("a key");
    assert_eq!(published.to_pem(), text(&vectors, "/openssl/sm2_public"));
}

#[test]
fn a_chain_says_where_certificates_stand() {
    let scene = Scene::new();
    let claims = |chain: &str| {
        let digest = super::claims::digest(DigestAlgorithm::Sha256, &scene.values[0]);
        let claims = format!(
            r#"{{"iss":"300:0.NA/88.118.8","sub":"88.118.8/SN1","chain":{chain},
                "digests":{{"alg":"SHA-256","digests":[{{"index":1,"digest":"{digest}"}}]}}}}"#
        );
        jws::sign(claims.as_bytes(), &scene.signer.1, &counting()).expect("a signature")
    };
    let places = [
        (r#"["400:88.118.8/certificates"]"#, "88.118.8/certificates"),
        (r#"["88.118.8/certificates"]"#, "88.118.8/certificates"),
        ("[]", "0.NA/88.118.8"),
        ("null", "0.NA/88.118.8"),
    ];
    for (chain, place) in places {
        let (roots, signature) = (scene.roots(), claims(chain));
        let begun = Verification::begin(&scene.identifier, &scene.values, signature.as_bytes(), &roots, NOW);
        let verification = begun.expect("a signature without an end");
        assert_eq!(verification.wanted(), Some(&identifier(place)), "{chain}");
    }
    let (roots, signature) = (scene.roots(), claims(r#"["nowhere"]"#));
    let begun = Verification::begin(&scene.identifier, &scene.values, signature.as_bytes(), &roots, NOW);
    assert!(begun.is_err());
}
