//! A session of a client: agreed on by Diffie-Hellman, its messages counted, authenticated and encrypted.

use idnode::key::session::{Agreement, Cipher, SessionKey};
use idnode::wire::cursor::Reader;
use idnode::wire::handle::body::challenge::RequestDigest;
use idnode::wire::handle::body::session::{Exchange, SessionKeyBytes, SessionReply, SessionSetup};
use idnode::wire::handle::code::{OpCode, OpFlags};
use idnode::wire::handle::credential::{Credential, covered_bytes};
use idnode::wire::handle::envelope::EnvelopeFlags;
use idnode::wire::handle::message::{Message, encode_signed, seal};
use idnode::wire::handle::packet::cut;

use super::handle::{Ask, Request, Response, random, rsa_key};

/// The prime of a group of 1,024 bits (RFC 2409 section 6.2), whose generator is 2.
const PRIME: &str = "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd\
                     ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed\
                     ee386bfb5a899fa5ae9f24117c4b1fe649286651ece65381ffffffffffffffff";

/// A session as its client sees it.
pub(crate) struct ClientSession {
    pub(crate) id: u32,
    pub(crate) key: SessionKey,
    count: u32,
}

/// The request that sets up a session.
pub(crate) fn setup(exchange: Exchange<'_>) -> Request {
    let body = SessionSetup { timeout: 86_400, user: b"0.NA/88.118.8", index: 300, exchange };
    Request::new(OpCode::SESSION_SETUP, body.encode()).with(OpFlags::CERTIFY.with(OpFlags::REQUEST_DIGEST))
}

/// The body of a reply, behind the digest of its request; the server's signature is verified.
fn signed_body<'a>(request: &Request, response: &'a Response) -> &'a [u8] {
    let message = response.decoded();
    let credential = message.credential.expect("a signature");
    assert_eq!((credential.kind, credential.algorithm), (Credential::SIGNED, b"SHA-256".as_slice()));
    let covered = covered_bytes(&response.envelope, credential.counter, message.signed).expect("covered");
    let algorithm = idnode::key::digest::DigestAlgorithm::Sha256;
    rsa_key().public().verify(algorithm, &covered, credential.signature).expect("the server's signature");
    let mut reader = Reader::new(message.body);
    let digest = RequestDigest::decode(&mut reader).expect("a digest");
    assert_eq!(digest.digest, algorithm.digest(&[&encode_signed(&request.header, &request.body)]));
    reader.rest()
}

impl ClientSession {
    /// Agrees on a session.
    pub(crate) fn agree(client: &mut impl Ask) -> Self {
        let prime = data_encoding::HEXLOWER.decode(PRIME.as_bytes()).expect("hexadecimal");
        let agreement = Agreement::begin(&prime, &[2], &random).expect("a group");
        let half = agreement.half();
        let request = setup(Exchange::DiffieHellman(&half));
        let response = client.ask(&request);
        assert_eq!(response.code(), 1, "{}", response.sentence());
        let reply = SessionReply::decode(signed_body(&request, &response)).expect("a reply");
        let theirs = SessionKeyBytes::decode(reply.data).expect("the other half");
        assert_eq!((reply.mode, theirs.algorithm), (4, Cipher::Aes.code()));
        let peer = agreement.peer(theirs.key).expect("of the same group");
        let key = agreement.key(&peer, Cipher::Aes).expect("a key");
        Self { id: response.envelope.session, key, count: 0 }
    }

    /// A session whose key both sides have.
    pub(crate) fn with(id: u32, key: SessionKey) -> Self {
        Self { id, key, count: 0 }
    }

    /// A request of this session: the next in its count.
    pub(crate) fn next(&mut self, request: Request) -> Sealed {
        self.count += 1;
        let count = self.count;
        self.seal(request, count)
    }

    /// A request of this session under a count.
    pub(crate) fn seal(&self, mut request: Request, count: u32) -> Sealed {
        request.envelope.session = self.id;
        let signed = encode_signed(&request.header, &request.body);
        let covered = covered_bytes(&request.envelope, count, &signed).expect("covered");
        let mac = self.key.mac(request.envelope.version, &covered);
        let credential = Credential {
            counter: count,
            kind: Credential::MAC,
            algorithm: b"HMAC-SHA256",
            signature: &mac,
            ..Credential::default()
        };
        Sealed { message: seal(signed, Some(&credential)), request }
    }

    /// Opens a response that may be encrypted; one that is authenticated is verified.
    pub(crate) fn open(&self, mut response: Response) -> Response {
        assert_eq!(response.envelope.session, self.id);
        if response.envelope.flags.has(EnvelopeFlags::ENCRYPTED) {
            response.message =
                self.key.decrypt(response.envelope.version, &response.message).expect("decrypted");
        }
        let message = Message::decode(&response.message).expect("a message");
        if let Some(credential) = message.credential {
            assert_eq!(credential.kind, Credential::MAC);
            let covered = covered_bytes(&response.envelope, credential.counter, message.signed);
            let covered = covered.expect("covered");
            self.key
                .verify_mac(response.envelope.version, &covered, credential.signature)
                .expect("the session's code");
        }
        response
    }
}

/// A request that is ready to be sent.
#[derive(Clone)]
pub(crate) struct Sealed {
    pub(crate) request: Request,
    pub(crate) message: Vec<u8>,
}

impl Sealed {
    /// The same, encrypted.
    pub(crate) fn encrypted(mut self, session: &ClientSession) -> Self {
        self.message = session.key.encrypt(self.request.envelope.version, &self.message, &random);
        self.request.envelope.flags = EnvelopeFlags::ENCRYPTED;
        self
    }

    /// The envelope and the message.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.request.envelope.enclose(&self.message)
    }

    /// The datagrams that carry it.
    pub(crate) fn packets(&self) -> Vec<Vec<u8>> {
        cut(&self.request.envelope, &self.message).collect()
    }
}
