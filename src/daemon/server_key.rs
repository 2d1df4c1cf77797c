//! The key that the node signs with: made once, readable by its owner only, part of every backup.
//!
//! Handle clients trust answers signed by the key that the HS_SITE of a prefix shows. A node that lost the key would
//! have to make all of them learn another one; therefore it is in backups, and a restore brings it back.

use std::sync::Arc;

use tokio::task;

use super::directory::DataDirectory;
use super::error::DaemonError;
use crate::backup::BackedUpFile;
use crate::key::PrivateKey;
use crate::model::environment::Entropy;
use crate::model::site::Site;
use crate::telemetry::Chain;

/// Bits of a new key's modulus: what every Handle client verifies.
const MODULUS_BITS: usize = 2_048;

/// The server key, and its file.
#[derive(Clone)]
pub(super) struct ServerKey {
    /// The server key.
    pub(super) private: Arc<PrivateKey>,
    /// The file of the key, for backups.
    pub(super) file: BackedUpFile,
}

impl ServerKey {
    /// Loads the key; makes it where there is none. On disk when this returns.
    pub(super) async fn load_or_make(
        directory: &DataDirectory,
        entropy: &Entropy,
    ) -> Result<Self, DaemonError> {
        if let Some(text) = directory.load_server_key()? {
            let private = PrivateKey::decode(text.as_bytes())
                .map_err(|error| Self::unusable(directory, Chain(&error).to_string()))?;
            return Ok(Self::new(private, text));
        }
        let entropy = Arc::clone(entropy);
        let made =
            task::spawn_blocking(move || PrivateKey::generate_rsa(MODULUS_BITS, &|bytes| entropy(bytes)));
        let made = made.await.map_err(|error| Self::unusable(directory, error.to_string()))?;
        let private = made.map_err(|error| Self::unusable(directory, Chain(&error).to_string()))?;
        let text = private.to_pem();
        directory.save_server_key(&text)?;
        let file = directory.server_key_path();
        if directory.holds_store() {
            tracing::warn!(
                file = %file.display(),
                "a server key was created for an existing store that had none; if the old key was lost, restore it \
                 from a backup: clients trust only the key that they know"
            );
        } else {
            tracing::info!(file = %file.display(), "server key of the first start written");
        }
        Ok(Self::new(private, text))
    }

    /// The public half of the server key, as HS_SITE shows it.
    pub(super) fn public_blob(&self) -> Vec<u8> {
        self.private.public().encode_blob()
    }

    /// The site with the public half of the server key, which the node announces with it.
    pub(super) fn show_in(&self, site: Site) -> Result<Site, DaemonError> {
        let keyed = site.with_public_key(&self.public_blob());
        keyed.map_err(|error| DaemonError::Configured { key: "site", reason: error.to_string() })
    }

    fn new(private: PrivateKey, text: String) -> Self {
        let file = BackedUpFile { name: DataDirectory::SERVER_KEY, content: text.into_bytes().into() };
        Self { private: Arc::new(private), file }
    }

    fn unusable(directory: &DataDirectory, reason: String) -> DaemonError {
        DaemonError::ServerKey { file: directory.server_key_path(), reason }
    }
}
