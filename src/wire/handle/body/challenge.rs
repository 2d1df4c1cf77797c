//! Challenge and answer (RFC 3652 section 3.5), and the digest of a request that ties a reply to it.

use crate::model::limits::{HANDLE_MESSAGE_BYTES_MAX, IDENTIFIER_BYTES_MAX};
use crate::wire::cursor::{DecodeError, Reader, Writer};
use crate::wire::handle::code::Version;

/// Bytes of an MD5 digest.
const MD5_BYTES: u8 = 16;
/// Bytes of a SHA-1 digest.
const SHA1_BYTES: u8 = 20;
/// Bytes of a SHA-256 digest.
const SHA256_BYTES: u8 = 32;
/// Bytes of the name of a kind of proof.
const KIND_BYTES_MAX: usize = 64;
/// Bytes of a nonce; sixteen are usual.
const NONCE_BYTES_MAX: usize = 1_024;

//----------- RequestDigest --------------------------------------------------

/// The digest of a request: of its header and body as sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestDigest<'a> {
    /// Code of the algorithm: one of the constants.
    pub code: u8,
    /// The digest.
    pub digest: &'a [u8],
}

impl<'a> RequestDigest<'a> {
    /// A length instead of a code, from which the algorithm follows: used by peers before 2.1 (MD5), and in verification
    /// requests of any version.
    pub const UNCODED: u8 = 0;
    /// MD5.
    pub const MD5: u8 = 1;
    /// SHA-1.
    pub const SHA1: u8 = 2;
    /// SHA-256.
    pub const SHA256: u8 = 3;

    /// The algorithm that replies of a version use.
    pub fn code_of(version: Version) -> u8 {
        if version >= Version::V2_7 {
            Self::SHA256
        } else if version >= Version::V2_1 {
            Self::SHA1
        } else {
            Self::UNCODED
        }
    }

    /// Reads the digest at the front of a reply's body, when the flag RRDG announces one; the rest of the body remains in
    /// the reader.
    pub fn decode(reader: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let unknown = reader.refuse("request digest code");
        let code = reader.u8("request digest code")?;
        let bytes = match code {
            Self::UNCODED => {
                // A length of four bytes, whose first one was taken for the code.
                match reader.array("request digest length")? {
                    [0, 0, length @ (MD5_BYTES | SHA1_BYTES | SHA256_BYTES)] => length,
                    _ => return Err(unknown),
                }
            }
            Self::MD5 => MD5_BYTES,
            Self::SHA1 => SHA1_BYTES,
            Self::SHA256 => SHA256_BYTES,
            _ => return Err(unknown),
        };
        Ok(Self { code, digest: reader.take("request digest", bytes.into())? })
    }

    /// Writes the digest at the front of a reply's body.
    pub fn encode(&self, writer: &mut Writer) {
        match self.code {
            Self::UNCODED => writer.bytes(self.digest),
            code => writer.u8(code).raw(self.digest),
        };
    }
}

//----------- Challenge ------------------------------------------------------

/// The body of a challenge: the nonce and the digest of the request, which the client has to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge<'a> {
    /// The digest of the request.
    pub digest: RequestDigest<'a>,
    /// Random bytes.
    pub nonce: &'a [u8],
}

impl<'a> Challenge<'a> {
    /// Decodes the body of a reply in this version.
    pub fn decode(body: &'a [u8], version: Version) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        if version < Version::V2_1 {
            let nonce = reader.bytes("nonce", NONCE_BYTES_MAX)?;
            return Ok(Self { nonce, digest: RequestDigest::decode(&mut reader)? });
        }
        let digest = RequestDigest::decode(&mut reader)?;
        Ok(Self { digest, nonce: reader.bytes("nonce", NONCE_BYTES_MAX)? })
    }

    /// Encodes the body of a reply in this version; since 2.1 its header must set
    /// [`super::super::code::OpFlags::REQUEST_DIGEST`], and before it must not.
    pub fn encode(&self, version: Version) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        if version < Version::V2_1 {
            writer.bytes(self.nonce);
            self.digest.encode(&mut writer);
        } else {
            self.digest.encode(&mut writer);
            writer.bytes(self.nonce);
        }
        writer.into_vec()
    }

    /// The bytes that an answer signs: the nonce, then the digest without its code.
    pub fn signed_bytes(&self) -> Vec<u8> {
        [self.nonce, self.digest.digest].concat()
    }
}

//----------- ChallengeAnswer ------------------------------------------------

/// The answer to a challenge: the key, and its signature or code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChallengeAnswer<'a> {
    /// The kind of key: [`ChallengeAnswer::PUBLIC_KEY`], [`ChallengeAnswer::SECRET_KEY`] or another.
    pub kind: &'a [u8],
    /// The identifier that holds the key.
    pub user: &'a [u8],
    /// The key's index; 0 stands for any.
    pub index: u32,
    /// The answer: see [`SignedAnswer`], or the code and data of a secret key.
    pub answer: &'a [u8],
}

impl<'a> ChallengeAnswer<'a> {
    /// A signature of a public key.
    pub const PUBLIC_KEY: &'static [u8] = b"HS_PUBKEY";
    /// An authentication code of a secret key.
    pub const SECRET_KEY: &'static [u8] = b"HS_SECKEY";

    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self {
            kind: reader.bytes("kind of proof", KIND_BYTES_MAX)?,
            user: reader.bytes("user", IDENTIFIER_BYTES_MAX)?,
            index: reader.u32("user index")?,
            answer: reader.bytes("answer to the challenge", HANDLE_MESSAGE_BYTES_MAX)?,
        })
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64 + self.answer.len());
        writer.bytes(self.kind).bytes(self.user).u32(self.index).bytes(self.answer);
        writer.into_vec()
    }
}

/// The answer of a public key: the digest algorithm by name, and the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedAnswer<'a> {
    /// The digest algorithm, such as `SHA-256` or `SM3`.
    pub hash: &'a [u8],
    /// The signature.
    pub signature: &'a [u8],
}

impl<'a> SignedAnswer<'a> {
    /// Decodes the answer.
    pub fn decode(answer: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(answer);
        let hash = reader.bytes("digest algorithm", KIND_BYTES_MAX)?;
        Ok(Self { hash, signature: reader.bytes("signature", HANDLE_MESSAGE_BYTES_MAX)? })
    }

    /// Encodes the answer.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(16 + self.signature.len());
        writer.bytes(self.hash).bytes(self.signature);
        writer.into_vec()
    }
}

//----------- VerifyChallenge ------------------------------------------------

/// A server asks the node that holds a secret key whether an answer to its challenge is correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyChallenge<'a> {
    /// The identifier that holds the key.
    pub user: &'a [u8],
    /// The key's index.
    pub index: u32,
    /// The nonce of the challenge.
    pub nonce: &'a [u8],
    /// Digest of the challenge; clients omit the code of the algorithm.
    pub digest: RequestDigest<'a>,
    /// The answer given.
    pub answer: &'a [u8],
}

impl<'a> VerifyChallenge<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        Ok(Self {
            user: reader.bytes("user", IDENTIFIER_BYTES_MAX)?,
            index: reader.u32("user index")?,
            nonce: reader.bytes("nonce", NONCE_BYTES_MAX)?,
            digest: RequestDigest::decode(&mut reader)?,
            answer: reader.bytes("answer to the challenge", HANDLE_MESSAGE_BYTES_MAX)?,
        })
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(128);
        writer.bytes(self.user).u32(self.index).bytes(self.nonce);
        self.digest.encode(&mut writer);
        writer.bytes(self.answer);
        writer.into_vec()
    }
}

/// Whether the answer was correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// The answer is correct.
    Right,
    /// The answer is wrong.
    Wrong,
}

impl Verification {
    /// Decodes the body.
    pub fn decode(body: &[u8]) -> Result<Self, DecodeError> {
        let byte = Reader::new(body).u8("verification")?;
        Ok(if byte & 1 == 1 { Self::Right } else { Self::Wrong })
    }

    /// Encodes the body.
    pub fn encode(self) -> Vec<u8> {
        match self {
            Self::Right => vec![1],
            Self::Wrong => vec![0],
        }
    }
}
