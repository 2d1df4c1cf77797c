//! Keys: the operator's key file, and the data key of one backup, which only it unlocks.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, XChaCha20Poly1305};
use data_encoding::HEXLOWER_PERMISSIVE;

use super::error::Error;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// The associated data that marks a data key.
const DATA_KEY: &[u8] = b"idnode backup data key 1";
/// The associated data that marks the seal of a catalog.
const CATALOG: &[u8] = b"idnode backup catalog 1";
/// Bytes of a nonce of XChaCha20-Poly1305.
const NONCE_BYTES: usize = 24;

/// Checks that a file holds a key as [`super::Options`] need it.
pub fn check_key_file(path: &Path) -> Result<(), Error> {
    Key::load(path).map(drop)
}

//----------- Key ------------------------------------------------------------

/// The operator's key.
pub(super) struct Key {
    bytes: [u8; KEY_BYTES],
    path: PathBuf,
}

impl Key {
    /// Loads a key file: 64 hexadecimal digits, or 32 raw bytes. The file must not be accessible to others.
    pub(super) fn load(path: &Path) -> Result<Self, Error> {
        let refuse = |detail: String| Error::Key { path: path.to_owned(), detail };
        let facts = std::fs::metadata(path).map_err(Error::file("cannot read key file", path))?;
        let mode = facts.permissions().mode() & 0o777;
        if mode & 0o037 != 0 {
            return Err(refuse(format!(
                "others may read or write it (mode {mode:03o}); run `chmod 600` on it"
            )));
        }
        let content = std::fs::read(path).map_err(Error::file("cannot read key file", path))?;
        let digits = HEXLOWER_PERMISSIVE.decode(content.trim_ascii()).unwrap_or_default();
        let bytes = if digits.len() == KEY_BYTES { digits } else { content };
        let bytes = bytes.try_into().map_err(|_| {
            refuse(
                "it holds neither 64 hexadecimal digits nor 32 bytes; make one with `openssl rand -hex 32`"
                    .into(),
            )
        })?;
        Ok(Self { bytes, path: path.to_owned() })
    }

    /// Locks a data key of the backup with this id.
    pub(super) fn lock(&self, id: &[u8; 16], nonce: &[u8; 24], data_key: &[u8; KEY_BYTES]) -> Vec<u8> {
        let associated = [DATA_KEY, id].concat();
        let payload = Payload { msg: data_key, aad: &associated };
        let locked = XChaCha20Poly1305::new(&self.bytes.into()).encrypt(&(*nonce).into(), payload);
        locked.expect("a key is far below what the cipher can take")
    }

    /// Unlocks the data key of the backup with this id.
    pub(super) fn unlock(&self, id: &[u8; 16], nonce: &[u8; 24], locked: &[u8]) -> Result<DataKey, Error> {
        let associated = [DATA_KEY, id].concat();
        let payload = Payload { msg: locked, aad: &associated };
        let opened = XChaCha20Poly1305::new(&self.bytes.into()).decrypt(&(*nonce).into(), payload);
        let key = opened.ok().and_then(|key| <[u8; KEY_BYTES]>::try_from(key.as_slice()).ok());
        let key = key.ok_or_else(|| Error::Key {
            path: self.path.clone(),
            detail: "it is not the key that this backup was encrypted with".to_owned(),
        })?;
        Ok(DataKey::new(&key, *id))
    }

    /// Returns the seal of a catalog with this digest: the nonce and the tag.
    pub(super) fn seal_catalog(&self, digest: &str, nonce: &[u8; NONCE_BYTES]) -> Vec<u8> {
        let associated = [CATALOG, digest.as_bytes()].concat();
        let payload = Payload { msg: b"", aad: &associated };
        let tag = XChaCha20Poly1305::new(&self.bytes.into()).encrypt(&(*nonce).into(), payload);
        let tag = tag.expect("an empty text is far below what the cipher can take");
        [nonce.as_slice(), &tag].concat()
    }

    /// Returns whether this is the seal of a catalog with this digest.
    pub(super) fn has_sealed_catalog(&self, digest: &str, seal: &[u8]) -> bool {
        let Some((nonce, tag)) = seal.split_first_chunk::<NONCE_BYTES>() else {
            return false;
        };
        let associated = [CATALOG, digest.as_bytes()].concat();
        let payload = Payload { msg: tag, aad: &associated };
        XChaCha20Poly1305::new(&self.bytes.into()).decrypt(&(*nonce).into(), payload).is_ok()
    }
}

//----------- DataKey --------------------------------------------------------

/// The key of one backup. It seals each number only once.
#[derive(Clone)]
pub(super) struct DataKey {
    cipher: ChaCha20Poly1305,
    id: [u8; 16],
}

impl DataKey {
    /// The number under which the manifest is sealed; no backup has so many chunks.
    const MANIFEST: u64 = u64::MAX;

    pub(super) fn new(key: &[u8; KEY_BYTES], id: [u8; 16]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(&(*key).into()), id }
    }

    /// Encrypts the chunk of this number and name.
    pub(super) fn seal(&self, number: u64, name: &str, plain: &[u8]) -> Vec<u8> {
        let associated = [self.id.as_slice(), name.as_bytes()].concat();
        let payload = Payload { msg: plain, aad: &associated };
        let sealed = self.cipher.encrypt(&nonce(number).into(), payload);
        sealed.expect("a chunk is far below what the cipher can take")
    }

    /// Decrypts the chunk of this number and name; nothing when it is not what was sealed.
    pub(super) fn open(&self, number: u64, name: &str, sealed: &[u8]) -> Option<Vec<u8>> {
        let associated = [self.id.as_slice(), name.as_bytes()].concat();
        let payload = Payload { msg: sealed, aad: &associated };
        self.cipher.decrypt(&nonce(number).into(), payload).ok()
    }

    /// Returns the seal of a manifest with this digest.
    pub(super) fn seal_manifest(&self, digest: &str) -> Vec<u8> {
        self.seal(Self::MANIFEST, digest, b"")
    }

    /// Returns whether this is the seal of a manifest with this digest.
    pub(super) fn has_sealed(&self, digest: &str, seal: &[u8]) -> bool {
        self.open(Self::MANIFEST, digest, seal).is_some()
    }
}

/// Returns a number as a nonce of 96 bits.
fn nonce(number: u64) -> [u8; 12] {
    let [a, b, c, d, e, f, g, h] = number.to_be_bytes();
    [0, 0, 0, 0, a, b, c, d, e, f, g, h]
}
