//! Whatever a key proved in the captured exchanges, it proves here: digests of requests, answers to challenges with
//! public and secret keys, questions about such answers, and the server's signatures. What was refused there is wrong here.

use std::collections::{BTreeMap, HashMap};

use idnode::key::digest::DigestAlgorithm;
use idnode::key::secret::AnswerForms;
use idnode::key::{KeyError, PublicKey, secret};
use idnode::wire::cursor::Reader;
use idnode::wire::handle::body::challenge::{
    Challenge, ChallengeAnswer, RequestDigest, SignedAnswer, Verification, VerifyChallenge,
};
use idnode::wire::handle::code::{OpCode, OpFlags, ResponseCode};
use idnode::wire::handle::credential::{Credential, covered_bytes};
use idnode::wire::handle::message::Message;

use crate::support::vectors::{Exchange, Sent, Vectors};

//----------- Rig ------------------------------------------------------------

/// The keys of the rig, and what was seen so far.
struct Rig {
    administrator: PublicKey,
    server: PublicKey,
    secret: Vec<u8>,
    /// What the challenge of each session wants signed.
    challenges: HashMap<u32, Vec<u8>>,
    tally: BTreeMap<&'static str, usize>,
}

impl Rig {
    fn new(vectors: &Vectors) -> Self {
        let public = |name| PublicKey::decode(&vectors.key(name)).expect("a public key");
        Self {
            administrator: public("admin_public_key_hex"),
            server: public("server_public_key_hex"),
            secret: vectors.about_keys("secret_key_utf8").as_bytes().to_vec(),
            challenges: HashMap::new(),
            tally: BTreeMap::new(),
        }
    }

    fn note(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Follows an exchange: each request with the replies that carry its number.
    fn follow(&mut self, exchange: &Exchange) {
        for reply in exchange.replies.iter().filter(|sent| !sent.is_encrypted()) {
            self.check_signature(&exchange.name, &decoded(&exchange.name, reply), reply);
        }
        for request in exchange.requests.iter().filter(|sent| !sent.is_encrypted()) {
            let number = request.envelope.request;
            let replies = exchange.replies.iter().filter(|reply| reply.envelope.request == number);
            let (hidden, replies): (Vec<&Sent>, Vec<&Sent>) = replies.partition(|reply| reply.is_encrypted());
            let asked = decoded(&exchange.name, request);
            for reply in &replies {
                let replied = decoded(&exchange.name, reply);
                self.check_digest(&exchange.name, &asked, &replied, reply);
            }
            let Some(first) = replies.first().map(|reply| decoded(&exchange.name, reply)) else {
                assert_eq!(hidden.len(), 1, "{}: a reply to each request", exchange.name);
                self.challenges.remove(&request.envelope.session);
                continue;
            };
            match asked.header.op {
                OpCode::CHALLENGE_RESPONSE => self.check_answer(&exchange.name, &asked, request, &first),
                OpCode::VERIFY_RESPONSE => self.check_verification(&exchange.name, &asked, &first),
                _ => {}
            }
        }
    }
}

fn decoded<'a>(name: &str, sent: &'a Sent) -> Message<'a> {
    Message::decode(&sent.message).unwrap_or_else(|error| panic!("{name}: {error}"))
}

//----------- Digests and signatures -----------------------------------------

impl Rig {
    /// The digest in front of a reply is that of the request; a challenge is held for its answer.
    fn check_digest(&mut self, name: &str, asked: &Message<'_>, replied: &Message<'_>, sent: &Sent) {
        if !replied.header.flags.has(OpFlags::REQUEST_DIGEST) {
            return;
        }
        let found = RequestDigest::decode(&mut Reader::new(replied.body)).expect("a digest");
        assert_eq!(found.code, RequestDigest::code_of(sent.envelope.version), "{name}");
        let algorithm = DigestAlgorithm::from_code(found.code).expect("a known digest");
        assert_eq!(algorithm.digest(&[asked.signed]), found.digest, "{name}: digest of the request");
        if replied.header.response == ResponseCode::AUTHENTICATION_NEEDED {
            let challenge = Challenge::decode(replied.body, sent.envelope.version).expect("a challenge");
            assert_eq!(challenge.nonce.len(), 16, "{name}");
            self.challenges.insert(sent.envelope.session, challenge.signed_bytes());
            self.note("digests of challenges");
        } else {
            self.note("digests of other replies");
        }
    }

    /// A signature is the server's; the codes of sessions are looked at by their form alone.
    fn check_signature(&mut self, name: &str, replied: &Message<'_>, sent: &Sent) {
        let Some(credential) = replied.credential else { return };
        if credential.kind == Credential::MAC {
            return;
        }
        assert_eq!(credential.kind, Credential::SIGNED, "{name}");
        let algorithm = DigestAlgorithm::decode_name(credential.algorithm).expect("a known digest");
        let covered = covered_bytes(&sent.envelope, credential.counter, replied.signed);
        let covered = covered.expect("a version that signs");
        let verified = self.server.verify(algorithm, &covered, credential.signature);
        assert_eq!(verified, Ok(()), "{name}: the server's signature");
        let mut changed = covered;
        changed.reverse();
        let verified = self.server.verify(algorithm, &changed, credential.signature);
        assert_eq!(verified, Err(KeyError::Wrong), "{name}: a changed message");
        self.note("signatures of the server");
    }
}

//----------- Answers --------------------------------------------------------

impl Rig {
    /// An answer is right, or the server refused it.
    fn check_answer(&mut self, name: &str, asked: &Message<'_>, sent: &Sent, replied: &Message<'_>) {
        let body = ChallengeAnswer::decode(asked.body).expect("an answer");
        let Some(challenge) = self.challenges.remove(&sent.envelope.session) else {
            return self.note("answers to encrypted challenges");
        };
        let (verified, kind) = match body.kind {
            ChallengeAnswer::SECRET_KEY => (
                secret::verify_answer(&self.secret, body.answer, &challenge, AnswerForms::Current),
                "with a secret key",
            ),
            ChallengeAnswer::PUBLIC_KEY => {
                let answer = SignedAnswer::decode(body.answer).expect("a signature");
                let user = core::str::from_utf8(body.user).expect("an identifier");
                let verified =
                    self.administrator.verify_answer(user, answer.hash, &challenge, answer.signature);
                (verified, "with an RSA key")
            }
            other => panic!("{name}: kind {other:?}"),
        };
        if replied.header.response == ResponseCode::AUTHENTICATION_FAILED {
            assert_eq!(verified, Err(KeyError::Wrong), "{name}: {kind}");
            return self.note("wrong answers");
        }
        assert_eq!(verified, Ok(()), "{name}: {kind}");
        self.note(kind);
    }

    /// What the server said about an answer that another server asked about, we say too.
    fn check_verification(&mut self, name: &str, asked: &Message<'_>, replied: &Message<'_>) {
        let question = VerifyChallenge::decode(asked.body).expect("a question");
        let challenge = [question.nonce, question.digest.digest].concat();
        let verified = secret::verify_answer(&self.secret, question.answer, &challenge, AnswerForms::Current);
        let mut reader = Reader::new(replied.body);
        RequestDigest::decode(&mut reader).expect("a digest");
        let (expected, what) = match Verification::decode(reader.rest()).expect("a verification") {
            Verification::Right => (Ok(()), "answers verified as right"),
            Verification::Wrong => (Err(KeyError::Wrong), "answers verified as wrong"),
        };
        assert_eq!(verified, expected, "{name}");
        self.note(what);
    }
}

//----------- Tests ----------------------------------------------------------

/// What is proved by the exchanges over these transports.
fn proved(transports: &[&str]) -> BTreeMap<&'static str, usize> {
    let vectors = Vectors::load();
    let mut rig = Rig::new(&vectors);
    let is_of_transport = |exchange: &&Exchange| transports.contains(&exchange.transport.as_str());
    vectors.exchanges.iter().filter(is_of_transport).for_each(|exchange| rig.follow(exchange));
    rig.tally
}

#[test]
fn every_proof_over_udp_and_tcp_holds() {
    let expected = [
        ("answers to encrypted challenges", 1),
        ("answers verified as right", 4),
        ("answers verified as wrong", 4),
        ("digests of challenges", 66),
        ("digests of other replies", 57),
        ("signatures of the server", 65),
        ("with a secret key", 8),
        ("with an RSA key", 45),
        ("wrong answers", 8),
    ];
    assert_eq!(proved(&["udp", "tcp"]), BTreeMap::from(expected));
}

#[test]
fn every_proof_over_http_holds() {
    let expected = [
        ("answers verified as right", 1),
        ("answers verified as wrong", 1),
        ("digests of challenges", 8),
        ("digests of other replies", 3),
        ("signatures of the server", 5),
        ("with a secret key", 1),
        ("with an RSA key", 3),
        ("wrong answers", 2),
    ];
    assert_eq!(proved(&["http"]), BTreeMap::from(expected));
}
