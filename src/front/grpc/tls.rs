//! TLS at the gRPC door: a certificate from PEM files, exchanged while the door is open.
//!
//! ```text
//!   PEM files ── load ──▶ TlsIdentity ◀── reload (on SIGHUP, by the daemon)
//!                             │ the certificate that stands when a handshake begins
//!                             ▼
//!                         TlsAcceptor
//! ```
//!
//! Connections keep the certificate they began with; a reload that fails changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, ServerConfig};

/// What HTTP/2 is called when TLS negotiates it (RFC 9113 section 3.2).
const HTTP2: &[u8] = b"h2";

//----------- TlsIdentity ----------------------------------------------------

/// The certificate and key that a door shows, from files that can be read again.
#[derive(Debug)]
pub struct TlsIdentity {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
}

/// Where a certificate and its key lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM file of the certificate, followed by those that lead to its root.
    pub certificates: PathBuf,
    /// PEM file of the private key: PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

impl TlsIdentity {
    /// Reads the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let current = ArcSwap::from_pointee(read(&files)?);
        Ok(Self { files, current })
    }

    /// Reads the files again; handshakes from now on show what they hold. When this fails, nothing changes.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// What makes TLS of accepted connections.
    pub(super) fn acceptor(self: Arc<Self>) -> Result<TlsAcceptor, TlsError> {
        let files = self.files.clone();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Unusable { files, source })?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let certificates = read_certificates(&files.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| read_error(&files.key, source))?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider())
        .map_err(|source| TlsError::Unusable { files: files.clone(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| read_error(path, source))?;
    if certificates.is_empty() {
        return Err(read_error(path, pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn read_error(path: &Path, source: pem::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), source }
}

//----------- TlsError -------------------------------------------------------

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no such PEM item.
    #[error("cannot read {}: a PEM file with the certificate or its private key is needed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: pem::Error,
    },
    /// Certificate and key are of no use: of another kind, or they do not belong together.
    #[error("{} and {} are of no use together", files.certificates.display(), files.key.display())]
    Unusable {
        /// Both files.
        files: TlsFiles,
        /// What went wrong.
        source: rustls::Error,
    },
}
