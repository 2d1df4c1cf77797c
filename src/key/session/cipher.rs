//! The ciphers of sessions.
//!
//! Since version 2.4, blocks are chained, and a random first block precedes the message; before, each block is encrypted
//! independently. SM4 is newer, always chained, and uses its key as the initial block, which is not sent.

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{
    Array, BlockCipherDecrypt, BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, KeyInit, KeyIvInit,
};
use des::{Des, TdesEde3};
use sm4::Sm4;

use crate::key::{KeyError, Random};
use crate::wire::handle::code::Version;

/// A block cipher of sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cipher {
    /// DES: sessions before 2.2.
    Des,
    /// Triple DES.
    TripleDes,
    /// AES with 128 bits.
    Aes,
    /// SM4 (GB/T 32907), of the national clients.
    Sm4,
}

impl Cipher {
    /// The cipher of a code.
    pub fn from_code(code: u32) -> Result<Self, KeyError> {
        match code {
            1 => Ok(Self::Des),
            2 => Ok(Self::TripleDes),
            3 => Ok(Self::Aes),
            4 => Ok(Self::Sm4),
            other => Err(KeyError::Unknown { what: "session cipher", found: other.to_string() }),
        }
    }

    /// The code of the cipher.
    pub fn code(self) -> u32 {
        match self {
            Self::Des => 1,
            Self::TripleDes => 2,
            Self::Aes => 3,
            Self::Sm4 => 4,
        }
    }

    /// Bytes of a secret that the cipher uses. With AES, clients use 32 bytes as the session's secret for
    /// authentication, and the first 16 as the key of the cipher.
    pub(in crate::key) fn key_bytes(self) -> usize {
        match self {
            Self::Des => 8,
            Self::TripleDes => 24,
            Self::Aes | Self::Sm4 => 16,
        }
    }

    pub(in crate::key) fn block_bytes(self) -> usize {
        match self {
            Self::Des | Self::TripleDes => 8,
            Self::Aes | Self::Sm4 => 16,
        }
    }

    /// The bytes as a key of the cipher. DES reserves the last bit of each byte for odd parity; clients set it, and
    /// authentication uses the bytes with parity.
    pub(super) fn with_parity(self, mut key: Vec<u8>) -> Vec<u8> {
        if matches!(self, Self::Des | Self::TripleDes) {
            for byte in &mut key {
                let upper = *byte & 0xfe;
                *byte = upper | u8::from(upper.count_ones().is_multiple_of(2));
            }
        }
        key
    }

    pub(super) fn encrypt(
        self,
        secret: &[u8],
        version: Version,
        message: &[u8],
        random: Random<'_>,
    ) -> Vec<u8> {
        let key = secret.get(..self.key_bytes()).unwrap_or_default();
        if self == Self::Sm4 {
            return chain::<Sm4>(key, key, message);
        }
        if version < Version::V2_4 {
            return match self {
                Self::Des => each::<Des>(key, message),
                Self::TripleDes => each::<TdesEde3>(key, message),
                Self::Aes | Self::Sm4 => each::<Aes128>(key, message),
            };
        }
        let mut first = vec![0; self.block_bytes()];
        random(&mut first);
        let content = match self {
            Self::Des => chain::<Des>(key, &first, message),
            Self::TripleDes => chain::<TdesEde3>(key, &first, message),
            Self::Aes | Self::Sm4 => chain::<Aes128>(key, &first, message),
        };
        [first, content].concat()
    }

    pub(in crate::key) fn decrypt(
        self,
        secret: &[u8],
        version: Version,
        data: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let key = secret.get(..self.key_bytes()).unwrap_or_default();
        if self == Self::Sm4 {
            return unchain::<Sm4>(key, key, data);
        }
        if version < Version::V2_4 {
            return match self {
                Self::Des => uneach::<Des>(key, data),
                Self::TripleDes => uneach::<TdesEde3>(key, data),
                Self::Aes | Self::Sm4 => uneach::<Aes128>(key, data),
            };
        }
        let (first, content) = data.split_at_checked(self.block_bytes()).ok_or(KeyError::Wrong)?;
        match self {
            Self::Des => unchain::<Des>(key, first, content),
            Self::TripleDes => unchain::<TdesEde3>(key, first, content),
            Self::Aes | Self::Sm4 => unchain::<Aes128>(key, first, content),
        }
    }
}

//----------- Chained --------------------------------------------------------

const FITS: &str = "key and first block have the lengths of the cipher";

fn chain<C: BlockCipherEncrypt + KeyInit>(key: &[u8], first: &[u8], message: &[u8]) -> Vec<u8> {
    let cipher = cbc::Encryptor::<C>::new_from_slices(key, first).expect(FITS);
    cipher.encrypt_padded_vec::<Pkcs7>(message)
}

fn unchain<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    first: &[u8],
    data: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, first).expect(FITS);
    cipher.decrypt_padded_vec::<Pkcs7>(data).map_err(|_| KeyError::Wrong)
}

//----------- Each block for itself ------------------------------------------

fn each<C: BlockCipherEncrypt + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let cipher = C::new_from_slice(key).expect(FITS);
    let size = C::block_size();
    let padding = size - message.len() % size;
    let filler = u8::try_from(padding).unwrap_or_default();
    let mut data = [message, &vec![filler; padding]].concat();
    for block in data.chunks_exact_mut(size) {
        if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(block) {
            cipher.encrypt_block(block);
        }
    }
    data
}

fn uneach<C: BlockCipherDecrypt + KeyInit>(key: &[u8], data: &[u8]) -> Result<Vec<u8>, KeyError> {
    let cipher = C::new_from_slice(key).expect(FITS);
    let size = C::block_size();
    if data.is_empty() || !data.len().is_multiple_of(size) {
        return Err(KeyError::Wrong);
    }
    let mut message = data.to_vec();
    for block in message.chunks_exact_mut(size) {
        if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(block) {
            cipher.decrypt_block(block);
        }
    }
    let padding = message.last().copied().map_or(0, usize::from);
    let content = message.len().checked_sub(padding).ok_or(KeyError::Wrong)?;
    let filler = message.get(content..).unwrap_or_default();
    if !(1..=size).contains(&padding) || filler.iter().any(|byte| usize::from(*byte) != padding) {
        return Err(KeyError::Wrong);
    }
    message.truncate(content);
    Ok(message)
}
