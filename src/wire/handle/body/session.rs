//! Session setup: the messages by which client and server agree on a key.

use crate::model::limits::{HANDLE_MESSAGE_BYTES_MAX, IDENTIFIER_BYTES_MAX};
use crate::wire::cursor::{DecodeError, Reader, Writer};

const CLIENT_KEY: u16 = 1;
const SERVER_KEY: u16 = 2;
const KEY_IN_HANDLE: u16 = 3;
const DIFFIE_HELLMAN: u16 = 4;

//----------- SessionSetup ---------------------------------------------------

/// The request to set up a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSetup<'a> {
    /// Requested lifetime of the session in seconds.
    pub timeout: u32,
    /// The identifier that the client claims to be; may be empty.
    pub user: &'a [u8],
    /// Index of the key of the identity.
    pub index: u32,
    /// How the session key is agreed on.
    pub exchange: Exchange<'a>,
}

/// How the key of a session is agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange<'a> {
    /// The server generates the session key and encrypts it to this public key.
    ClientKey(&'a [u8]),
    /// The client generates the session key and encrypts it to the server's public key.
    ServerKey,
    /// The server generates it and encrypts it to the public key at an index of a handle.
    KeyInHandle {
        /// The handle.
        handle: &'a [u8],
        /// The index.
        index: u32,
    },
    /// Diffie-Hellman agreement; holds the client's public number.
    DiffieHellman(&'a [u8]),
    /// An unknown mode.
    Unknown(u16),
}

impl Exchange<'_> {
    /// The number of the mode.
    pub fn mode(&self) -> u16 {
        match self {
            Self::ClientKey(_) => CLIENT_KEY,
            Self::ServerKey => SERVER_KEY,
            Self::KeyInHandle { .. } => KEY_IN_HANDLE,
            Self::DiffieHellman(_) => DIFFIE_HELLMAN,
            Self::Unknown(mode) => *mode,
        }
    }
}

impl<'a> SessionSetup<'a> {
    /// Decodes the body; CNRI's writer appends two zero bytes.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mode = reader.u16("session mode")?;
        let timeout = reader.u32("session timeout")?;
        let user = reader.bytes("user", IDENTIFIER_BYTES_MAX)?;
        let index = reader.u32("user index")?;
        let exchange = match mode {
            CLIENT_KEY => Exchange::ClientKey(reader.bytes("client key", HANDLE_MESSAGE_BYTES_MAX)?),
            SERVER_KEY => Exchange::ServerKey,
            KEY_IN_HANDLE => Exchange::KeyInHandle {
                handle: reader.bytes("handle", IDENTIFIER_BYTES_MAX)?,
                index: reader.u32("key index")?,
            },
            DIFFIE_HELLMAN => Exchange::DiffieHellman(reader.bytes("client key", HANDLE_MESSAGE_BYTES_MAX)?),
            unknown => Exchange::Unknown(unknown),
        };
        Ok(Self { timeout, user, index, exchange })
    }

    /// Encodes the body, with the two zero bytes that readers may expect.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(64);
        writer.u16(self.exchange.mode()).u32(self.timeout).bytes(self.user).u32(self.index);
        match self.exchange {
            Exchange::ClientKey(key) | Exchange::DiffieHellman(key) => {
                writer.bytes(key);
            }
            Exchange::KeyInHandle { handle, index } => {
                writer.bytes(handle).u32(index);
            }
            Exchange::ServerKey | Exchange::Unknown(_) => {}
        }
        writer.u16(0);
        writer.into_vec()
    }
}

//----------- SessionReply ---------------------------------------------------

/// The reply to a setup: the server's public number, or the encrypted key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionReply<'a> {
    /// The number of the mode, as requested.
    pub mode: u16,
    /// Encrypted: a [`SessionKeyBytes`]; unencrypted: one with the server's public number, or the server's public key.
    pub data: &'a [u8],
}

impl<'a> SessionReply<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(body);
        let mode = reader.u16("session mode")?;
        Ok(Self { mode, data: reader.bytes("session data", HANDLE_MESSAGE_BYTES_MAX)? })
    }

    /// Encodes the body, with the two zero bytes that readers may expect.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(8 + self.data.len());
        writer.u16(self.mode).bytes(self.data).u16(0);
        writer.into_vec()
    }
}

/// The number of a cipher and a key: a session's key, or the server's public number of an agreement.
/// Versions before 2.2 (before 2.4 in an agreement) have the bytes alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionKeyBytes<'a> {
    /// 1 DES, 2 triple DES, 3 AES, 4 SM4.
    pub algorithm: u32,
    /// The key.
    pub key: &'a [u8],
}

impl<'a> SessionKeyBytes<'a> {
    /// Decodes the algorithm and the key.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let algorithm = reader.u32("session cipher")?;
        Ok(Self { algorithm, key: reader.rest() })
    }

    /// Encodes the algorithm and the key.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(4 + self.key.len());
        writer.u32(self.algorithm).raw(self.key);
        writer.into_vec()
    }
}

//----------- ExchangeKey ----------------------------------------------------

/// The client's key for a session, encrypted to the server's public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExchangeKey<'a>(pub &'a [u8]);

impl<'a> ExchangeKey<'a> {
    /// Decodes the body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        Reader::new(body).bytes("encrypted session key", HANDLE_MESSAGE_BYTES_MAX).map(Self)
    }

    /// Encodes the body.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(4 + self.0.len());
        writer.bytes(self.0);
        writer.into_vec()
    }
}
