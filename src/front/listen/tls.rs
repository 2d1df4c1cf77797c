//! TLS of all front ends: one certificate from PEM files, which can be replaced while they run.
//!
//! ```text
//!   PEM files ── load ──▶ TlsIdentity ◀── reload (on SIGHUP, by the daemon)
//!                             │ the certificate that is loaded when a handshake begins
//!                             ▼
//!                         TlsAcceptor
//! ```
//!
//! Open connections continue with the certificate of their handshake; a reload that fails changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::danger::HandshakeSignatureValid;
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{self, DigitallySignedStruct, DistinguishedName, ServerConfig, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::Decode;
use x509_cert::time::Time;

/// The protocol name of HTTP/2 in ALPN (RFC 9113 section 3.2).
pub const HTTP2: &[u8] = b"h2";
/// The protocol name of HTTP/1.1 in ALPN (RFC 7301 section 6).
pub const HTTP1: &[u8] = b"http/1.1";

//----------- TlsOptions -----------------------------------------------------

/// The files of the certificate; without them, all front ends use plain text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// PEM file of the certificate chain, beginning with this node's certificate.
    pub certificate: Option<PathBuf>,
    /// PEM file of the private key of the certificate.
    pub key: Option<PathBuf>,
}

impl TlsOptions {
    /// Reads the certificate and key, if they are configured.
    pub fn load_identity(&self) -> Result<Option<Arc<TlsIdentity>>, TlsError> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Ok(None);
        };
        let files = TlsFiles { certificates: certificate.clone(), key: key.clone() };
        TlsIdentity::load(files).map(|identity| Some(Arc::new(identity)))
    }
}

//----------- TlsIdentity ----------------------------------------------------

/// The certificate and key of this node, from files that can be read again.
#[derive(Debug)]
pub struct TlsIdentity {
    files: TlsFiles,
    current: ArcSwap<CertifiedKey>,
}

/// The files of a certificate and its key.
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

    /// Reads the files again; later handshakes use their content. If this fails, nothing changes.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.current.store(Arc::new(read(&self.files)?));
        Ok(())
    }

    /// Whether the certificate is valid at a time in seconds since 1970; true if it does not state a period.
    pub fn is_valid_at(&self, seconds: u64) -> bool {
        self.validity().is_none_or(|(from, until)| (from.seconds..=until.seconds).contains(&seconds))
    }

    /// From when until when the certificate is valid; none if it does not state a period.
    pub fn validity(&self) -> Option<(CertificateTime, CertificateTime)> {
        let current = self.current.load();
        let certificate = Certificate::from_der(current.end_entity_cert().ok()?).ok()?;
        let validity = certificate.tbs_certificate().validity();
        let time = |time: &Time| CertificateTime {
            seconds: time.to_unix_duration().as_secs(),
            text: time.to_date_time().to_string(),
        };
        Some((time(&validity.not_before), time(&validity.not_after)))
    }

    /// Whether clients that ask for a host by this name take the certificate for it.
    pub fn names(&self, host: &str) -> bool {
        let current = self.current.load();
        let certificate =
            current.end_entity_cert().ok().and_then(|der| ParsedCertificate::try_from(der).ok());
        let (Some(certificate), Ok(host)) = (certificate, ServerName::try_from(host)) else { return false };
        verify_server_name(&certificate, &host).is_ok()
    }

    /// The acceptor of TLS connections, for these protocols in order of preference; with none, ALPN is not used.
    pub fn acceptor(
        self: Arc<Self>,
        protocols: &[&'static [u8]],
        clients: ClientCertificates,
    ) -> Result<TlsAcceptor, TlsError> {
        let files = self.files.clone();
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|source| TlsError::Unusable { files, source })?;
        let builder = match clients {
            ClientCertificates::NotAsked => builder.with_no_client_auth(),
            ClientCertificates::Taken => {
                builder.with_client_cert_verifier(Arc::new(AnyCertificate { provider }))
            }
        };
        let mut config = builder.with_cert_resolver(self);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

/// A time that a certificate states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTime {
    /// Seconds since 1970.
    pub seconds: u64,
    /// The time as text, in UTC.
    pub text: String,
}

impl ResolvesServerCert for TlsIdentity {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.load_full())
    }
}

//----------- ClientCertificates ---------------------------------------------

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificates {
    /// Clients are not asked for a certificate.
    NotAsked,
    /// A client may present one, and proves that it holds the key. The issuer does not matter: the front end compares the
    /// key with that of the identity that the certificate names.
    Taken,
}

/// Accepts any certificate whose key the client holds.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyCertificate {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn verify_client_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

//----------- Files ----------------------------------------------------------

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let certificates = read_certificates(&files.certificates)?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|source| read_error(&files.key, "private key", source))?;
    CertifiedKey::from_der(certificates, key, &ring::default_provider())
        .map_err(|source| TlsError::Unusable { files: files.clone(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| read_error(path, "certificate", source))?;
    if certificates.is_empty() {
        return Err(read_error(path, "certificate", pem::Error::NoItemsFound));
    }
    Ok(certificates)
}

fn read_error(path: &Path, wanted: &'static str, source: pem::Error) -> TlsError {
    TlsError::Read { path: path.to_owned(), wanted, source }
}

//----------- TlsError -------------------------------------------------------

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds no such PEM item.
    #[error("cannot read {}: a PEM file with a {wanted} is needed", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Item that the file has to contain.
        wanted: &'static str,
        /// What went wrong.
        source: pem::Error,
    },
    /// Certificate and key are of an unsupported kind, or do not match.
    #[error("{} and {} do not match or are not supported", files.certificates.display(), files.key.display())]
    Unusable {
        /// Both files.
        files: TlsFiles,
        /// What went wrong.
        source: rustls::Error,
    },
}
