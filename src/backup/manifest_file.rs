//! The file of a manifest: encoded with a digest and a seal over all lines before, loaded and checked by them.

use std::path::Path;

use super::error::Error;
use super::finding::Finding;
use super::key::{DataKey, Key};
use super::manifest::{FILE, Manifest};
use super::manifest_v1::ManifestV1;
use super::signed::{self, Signed};

/// Largest manifest that is read, in bytes: about a hundred thousand chunks.
const BYTES_MAX: u64 = 64 * 1024 * 1024;

impl Manifest {
    /// Encodes the file, sealed when the backup is encrypted.
    pub(super) fn encode(&self, key: Option<&DataKey>) -> Result<Vec<u8>, serde_json::Error> {
        let text = serde_json::to_string_pretty(&ManifestV1::from(self))?;
        Ok(signed::encode(text, |digest| key.map(|key| key.seal_manifest(digest))))
    }

    /// Decodes a file: its digest first, then its content.
    fn decode(bytes: &[u8]) -> Result<SignedManifest, String> {
        let Signed { text, digest, seal } = signed::decode(bytes)?;
        let mirror: ManifestV1 = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        Ok(SignedManifest { manifest: mirror.try_into()?, digest, seal })
    }

    /// Loads the manifest of a backup's folder, and checks that the key proves it, if a key is given: then a backup that is
    /// not encrypted proves nothing.
    pub(super) fn load_proved(
        folder: &Path,
        key: Option<&Key>,
    ) -> Result<(Self, Result<(), Finding>), Finding> {
        let signed = load(folder)?;
        let proved = key.map_or(Ok(()), |key| signed.unlock(key).map(drop));
        Ok((signed.manifest, proved))
    }

    /// Loads the manifest of a backup's folder and unlocks the backup when it is encrypted. With a key file, a backup that
    /// is not encrypted is refused.
    pub(super) fn load_with_key(
        folder: &Path,
        key_file: Option<&Path>,
    ) -> Result<Result<(Self, Option<DataKey>), Finding>, Error> {
        let signed = match load(folder) {
            Ok(signed) => signed,
            Err(finding) => return Ok(Err(finding)),
        };
        let Some(key_file) = key_file else {
            return match &signed.manifest.lock {
                Some(_) => Err(Error::KeyWanted { folder: folder.to_owned() }),
                None => Ok(Ok((signed.manifest, None))),
            };
        };
        let key = Key::load(key_file)?;
        if let Some(lock) = &signed.manifest.lock {
            key.unlock(&signed.manifest.id, &lock.nonce, &lock.data_key)?;
        }
        Ok(signed.unlock(&key).map(|data_key| (signed.manifest, Some(data_key))))
    }
}

/// A manifest with the digest and seal that its file ends with.
struct SignedManifest {
    manifest: Manifest,
    digest: String,
    seal: Option<Vec<u8>>,
}

impl SignedManifest {
    /// Returns the data key, if the key proves that its holder wrote this manifest.
    fn unlock(&self, key: &Key) -> Result<DataKey, Finding> {
        let Manifest { id, lock, .. } = &self.manifest;
        let Some(lock) = lock else {
            let message = "it is not encrypted: the key does not prove it, and anybody may have written it";
            return Err(Finding::new(FILE, message));
        };
        let unlocked = key.unlock(id, &lock.nonce, &lock.data_key).map_err(|_| {
            let message = "this is not the key that this backup was encrypted with, or it was replaced";
            Finding::new(FILE, message)
        })?;
        if self.seal.as_ref().is_some_and(|seal| unlocked.has_sealed(&self.digest, seal)) {
            return Ok(unlocked);
        }
        Err(Finding::new(FILE, "it was not sealed with this backup's key: it was replaced"))
    }
}

fn load(folder: &Path) -> Result<SignedManifest, Finding> {
    let path = folder.join(FILE);
    let refuse = |message: String| Finding::new(FILE, message);
    let facts = std::fs::metadata(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    if facts.len() > BYTES_MAX {
        return Err(refuse(format!("its {} bytes are more than any manifest has", facts.len())));
    }
    let bytes = std::fs::read(&path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
    Manifest::decode(&bytes).map_err(refuse)
}
