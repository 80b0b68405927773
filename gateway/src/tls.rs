//! The server's certificate: made at first start, or the operator's, read again when the files change.

use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest;
use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ServerConfig;
use tokio_util::sync::CancellationToken;

/// The protocol name that direct TLS must offer (PostgreSQL 17's `sslnegotiation=direct`).
pub const ALPN: &[u8] = b"postgresql";

const CA_CERTIFICATE: &str = "ca.crt";
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
const RELOAD_INTERVAL: Duration = Duration::from_secs(2);
/// Days that a generated certificate is valid.
const VALID_DAYS: i64 = 825;

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not read \"{}\": {error}", path.display())]
    Read { path: PathBuf, error: std::io::Error },
    #[error("could not write \"{}\": {error}", path.display())]
    Write { path: PathBuf, error: std::io::Error },
    #[error("\"{}\" is not PEM: {problem}", path.display())]
    Pem { path: PathBuf, problem: String },
    #[error("the certificate and its key do not fit: {0}")]
    Pair(rustls::Error),
    #[error("could not make a certificate: {0}")]
    Generate(#[from] rcgen::Error),
}

/// What a handshake is made with, and what SCRAM binds to.
#[derive(Debug)]
pub struct Identity {
    pub config: Arc<ServerConfig>,
    /// `tls-server-end-point` (RFC 5929): the hash of the server's certificate; `None` where none is defined for it.
    pub end_point: Option<Vec<u8>>,
}

/// How a connection is encrypted, in OpenSSL's words, as `pg_stat_ssl` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encryption {
    pub version: &'static str,
    pub cipher: &'static str,
    pub bits: i32,
}

impl Encryption {
    /// `None` before the handshake.
    #[must_use]
    pub fn of(connection: &rustls::CommonState) -> Option<Self> {
        use rustls::CipherSuite as Suite;
        let version = match connection.protocol_version()? {
            rustls::ProtocolVersion::TLSv1_2 => "TLSv1.2",
            rustls::ProtocolVersion::TLSv1_3 => "TLSv1.3",
            _ => return None,
        };
        let (cipher, bits) = match connection.negotiated_cipher_suite()?.suite() {
            Suite::TLS13_AES_256_GCM_SHA384 => ("TLS_AES_256_GCM_SHA384", 256),
            Suite::TLS13_AES_128_GCM_SHA256 => ("TLS_AES_128_GCM_SHA256", 128),
            Suite::TLS13_CHACHA20_POLY1305_SHA256 => ("TLS_CHACHA20_POLY1305_SHA256", 256),
            Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-ECDSA-AES256-GCM-SHA384", 256),
            Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-ECDSA-AES128-GCM-SHA256", 128),
            Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-ECDSA-CHACHA20-POLY1305", 256),
            Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 => ("ECDHE-RSA-AES256-GCM-SHA384", 256),
            Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 => ("ECDHE-RSA-AES128-GCM-SHA256", 128),
            Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 => ("ECDHE-RSA-CHACHA20-POLY1305", 256),
            _ => return None,
        };
        Some(Encryption { version, cipher, bits })
    }
}

/// The current identity; a changed pair takes its place, a bad one does not.
#[derive(Debug, Clone)]
pub struct Tls {
    files: Arc<Files>,
    current: Arc<RwLock<Arc<Identity>>>,
    /// When the files of the first identity were written.
    loaded: [Option<SystemTime>; 2],
}

#[derive(Debug)]
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    /// Who signs clients' certificates; `None`: none are asked for.
    client_ca: Option<PathBuf>,
}

impl Tls {
    /// Reads the pair; makes a CA and a pair in the data directory where none is named and none is there.
    ///
    /// # Errors
    /// Files that cannot be read, written or used.
    pub fn load(data_dir: &Path, named: Option<(PathBuf, PathBuf)>, client_ca: Option<PathBuf>) -> Result<Self, TlsError> {
        let (certificate, key) = match named {
            Some(named) => named,
            None => {
                let own = (data_dir.join(CERTIFICATE), data_dir.join(KEY));
                if !own.0.exists() || !own.1.exists() {
                    generate(data_dir)?;
                }
                own
            }
        };
        let files = Files { certificate, key, client_ca };
        // Before reading, so that a change in between is seen.
        let loaded = files.modified();
        let identity = Arc::new(files.read()?);
        Ok(Tls { files: Arc::new(files), current: Arc::new(RwLock::new(identity)), loaded })
    }

    /// For the next handshake.
    #[must_use]
    pub fn identity(&self) -> Arc<Identity> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at the files every few seconds until the token fires; sessions that stand keep their certificate.
    pub async fn watch(self, stop: CancellationToken) {
        let mut seen = self.loaded;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(RELOAD_INTERVAL) => {}
            }
            let now = self.files.modified();
            if now == seen {
                continue;
            }
            seen = now;
            match self.files.read() {
                Ok(identity) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
                    tracing::info!("the TLS certificate was read anew");
                }
                Err(error) => tracing::warn!(%error, "the changed TLS certificate cannot be used; the old one stays"),
            }
        }
    }
}

impl Files {
    fn read(&self) -> Result<Identity, TlsError> {
        let chain = CertificateDer::pem_slice_iter(&bytes(&self.certificate)?)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| TlsError::Pem { path: self.certificate.clone(), problem: error.to_string() })?;
        let key = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?)
            .map_err(|error| TlsError::Pem { path: self.key.clone(), problem: error.to_string() })?;
        let Some(leaf) = chain.first() else {
            return Err(TlsError::Pem { path: self.certificate.clone(), problem: "it holds no certificate".to_owned() });
        };
        let end_point = end_point(leaf);
        let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Pair)?;
        let builder = match &self.client_ca {
            Some(path) => builder.with_client_cert_verifier(client_verifier(path)?),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(TlsError::Pair)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Identity { config: Arc::new(config), end_point })
    }

    fn modified(&self) -> [Option<SystemTime>; 2] {
        [&self.certificate, &self.key].map(|path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok())
    }
}

/// Clients may show a certificate; one that they show must be signed by these.
fn client_verifier(path: &Path) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let pem = |problem: String| TlsError::Pem { path: path.into(), problem };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&bytes(path)?) {
        let certificate = certificate.map_err(|error| pem(error.to_string()))?;
        roots.add(certificate).map_err(|error| pem(error.to_string()))?;
    }
    rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(default_provider()))
        .allow_unauthenticated()
        .build()
        .map_err(|error| pem(error.to_string()))
}

/// RFC 5929 section 4.1: hashed as the certificate's signature is, SHA-256 in place of MD5 and SHA-1. `None` for signatures without
/// a hash of their own (Ed25519), to which libpq cannot bind either.
fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    // RSA with MD5, SHA-1, SHA-256, SHA-384, SHA-512; ECDSA with SHA-1, SHA-256, SHA-384, SHA-512.
    const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01];
    const ECDSA: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04];
    let algorithm = match signature_algorithm(certificate)? {
        [prefix @ .., 4 | 5 | 11] if prefix == RSA => &digest::SHA256,
        [prefix @ .., 12] if prefix == RSA => &digest::SHA384,
        [prefix @ .., 13] if prefix == RSA => &digest::SHA512,
        [prefix @ .., 1] if prefix == ECDSA => &digest::SHA256,
        [prefix @ .., 3, 2] if prefix == ECDSA => &digest::SHA256,
        [prefix @ .., 3, 3] if prefix == ECDSA => &digest::SHA384,
        [prefix @ .., 3, 4] if prefix == ECDSA => &digest::SHA512,
        _ => return None,
    };
    Some(digest::digest(algorithm, certificate).as_ref().to_vec())
}

/// RFC 5280 section 4.1: `Certificate` is a sequence of the signed part, the algorithm (a sequence that begins with its object
/// identifier) and the signature.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OBJECT_IDENTIFIER: u8 = 0x06;
    let (parts, _) = der(certificate, SEQUENCE)?;
    let (_, rest) = der(parts, SEQUENCE)?;
    let (algorithm, _) = der(rest, SEQUENCE)?;
    der(algorithm, OBJECT_IDENTIFIER).map(|(identifier, _)| identifier)
}

/// The content of a DER value of this tag, and what follows it.
pub(crate) fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (short, rest) = rest.split_first()?;
    if *first != tag {
        return None;
    }
    let (length, rest) = match usize::from(*short) {
        length @ 0..0x80 => (length, rest),
        long => {
            let (digits, rest) = rest.split_at_checked(long - 0x80).filter(|(digits, _)| digits.len() <= 4)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
    };
    rest.split_at_checked(length)
}

fn bytes(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::Read { path: path.into(), error })
}

/// A CA whose key is thrown away, and a pair that it signed: clients trust `ca.crt`, nobody can sign more.
fn generate(data_dir: &Path) -> Result<(), TlsError> {
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "Lakegate local CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut ca);
    let ca_certificate = ca.self_signed(&ca_key)?;
    let issuer = Issuer::new(ca, ca_key);

    let key = KeyPair::generate()?;
    let mut server = CertificateParams::default();
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.subject_alt_names = subject_alt_names()?;
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    validity(&mut server);
    let certificate = server.signed_by(&key, &issuer)?;

    write(&data_dir.join(CA_CERTIFICATE), 0o644, &ca_certificate.pem())?;
    write(&data_dir.join(KEY), 0o600, &key.serialize_pem())?;
    write(&data_dir.join(CERTIFICATE), 0o644, &certificate.pem())
}

fn validity(params: &mut CertificateParams) {
    let now = SystemTime::now();
    // A client's clock may be a little behind.
    params.not_before = (now - Duration::from_secs(24 * 3_600)).into();
    params.not_after = (now + Duration::from_secs(u64::try_from(VALID_DAYS).unwrap_or_default() * 24 * 3_600)).into();
}

fn subject_alt_names() -> Result<Vec<SanType>, TlsError> {
    let mut names = vec![
        SanType::DnsName("localhost".try_into()?),
        SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
    ];
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if let Ok(host) = host.trim().to_owned().try_into()
        && !host_is_plain(&names, &host)
    {
        names.push(SanType::DnsName(host));
    }
    Ok(names)
}

fn host_is_plain(names: &[SanType], host: &rcgen::string::Ia5String) -> bool {
    host.as_str().is_empty() || names.iter().any(|name| matches!(name, SanType::DnsName(known) if known == host))
}

fn write(path: &Path, mode: u32, text: &str) -> Result<(), TlsError> {
    let failed = |error| TlsError::Write { path: path.into(), error };
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_pair_is_made_once_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let first = Tls::load(dir.path(), None, None).unwrap().identity();
        let again = Tls::load(dir.path(), None, None).unwrap().identity();
        assert_eq!(first.end_point, again.end_point);
        assert_eq!(first.end_point.as_ref().unwrap().len(), 32);
        let mode = fs::metadata(dir.path().join(KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_pair_that_does_not_fit_is_refused() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Tls::load(one.path(), None, None).unwrap();
        Tls::load(other.path(), None, None).unwrap();
        let mixed = (one.path().join(CERTIFICATE), other.path().join(KEY));
        assert!(matches!(Tls::load(one.path(), Some(mixed), None), Err(TlsError::Pair(_))));
    }
}
