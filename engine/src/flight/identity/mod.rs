//! Who belongs to a cluster: everybody who has its join secret.
//!
//! From the secret each process derives the same certificate authority, and signs with it a certificate for itself that lives for a day and says
//! what the process is. Nothing is stored and nothing is asked for. Whoever has the secret can be anything in the cluster: it is to be kept as
//! the key-encryption key is.

mod leaf;
mod verify;

use std::sync::Arc;

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::signature::Ed25519KeyPair;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use thiserror::Error;

use self::leaf::Leaf;
use self::verify::{OnlyClients, OnlyServers};

/// Bytes of a join secret, of at least so many.
pub const SECRET_BYTES_MIN: usize = 32;

const SALT: &[u8] = b"lakegate cluster";
const INFO: &[u8] = b"certificate authority, Ed25519, 1";

#[derive(Debug, Error)]
pub enum IdentityError {
    #[error("the join secret has {bytes} bytes; at least {SECRET_BYTES_MIN} are needed")]
    TooShort { bytes: usize },
    #[error("a certificate could not be made: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("no key could be derived from the join secret")]
    Key,
}

/// What a process of a cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Gateway,
    Engine,
}

impl Role {
    /// The name in its certificate; none that anybody can look up.
    const fn name(self) -> &'static str {
        match self {
            Role::Gateway => "gateway.lakegate.internal",
            Role::Engine => "engine.lakegate.internal",
        }
    }

    fn server_name(self) -> Result<ServerName<'static>, IdentityError> {
        ServerName::try_from(self.name()).map_err(|_| IdentityError::Key)
    }
}

/// A process's place in its cluster.
#[derive(Debug, Clone)]
pub struct Identity {
    provider: Arc<CryptoProvider>,
    roots: Arc<RootCertStore>,
    leaf: Arc<Leaf>,
}

impl Identity {
    /// White space at the end of the secret, as files have it, is no part of it.
    ///
    /// # Errors
    /// `TooShort`; others where the machine has no randomness.
    pub fn derive(secret: &[u8], role: Role) -> Result<Identity, IdentityError> {
        let secret = secret.trim_ascii_end();
        if secret.len() < SECRET_BYTES_MIN {
            return Err(IdentityError::TooShort { bytes: secret.len() });
        }
        let key = authority_key(secret)?;
        let params = authority()?;
        let mut roots = RootCertStore::empty();
        roots.add(params.self_signed(&key)?.der().clone())?;
        let provider = Arc::new(default_provider());
        let leaf = Leaf::new(Issuer::new(params, key), role, Arc::clone(&provider))?;
        Ok(Identity { provider, roots: Arc::new(roots), leaf: Arc::new(leaf) })
    }

    /// For a listener that takes processes of one role of this cluster, and nobody else. TLS 1.3; no session is resumed, so that every
    /// connection shows a certificate of today.
    ///
    /// # Errors
    /// `Tls`.
    pub fn server_config(&self, peer: Role) -> Result<Arc<ServerConfig>, IdentityError> {
        let clients = OnlyClients::new(&self.roots, &self.provider, peer.server_name()?)?;
        let mut config = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Arc::new(clients))
            .with_cert_resolver(Arc::clone(&self.leaf) as _);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Arc::new(config))
    }

    /// For connections to processes of one role of this cluster. What name or address they are reached by does not matter: the certificate says
    /// what they are.
    ///
    /// # Errors
    /// `Tls`.
    pub fn client_config(&self, peer: Role) -> Result<Arc<ClientConfig>, IdentityError> {
        let servers = OnlyServers::new(&self.roots, &self.provider, peer.server_name()?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(servers))
            .with_client_cert_resolver(Arc::clone(&self.leaf) as _);
        config.resumption = rustls::client::Resumption::disabled();
        Ok(Arc::new(config))
    }
}

/// RFC 5869 over the secret; the seed is the private key (RFC 8032).
fn authority_key(secret: &[u8]) -> Result<KeyPair, IdentityError> {
    let mut seed = zeroize::Zeroizing::new([0_u8; 32]);
    Salt::new(HKDF_SHA256, SALT)
        .extract(secret)
        .expand(&[INFO], Seed)
        .and_then(|key| key.fill(seed.as_mut()))
        .map_err(|_| IdentityError::Key)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_ref()).map_err(|_| IdentityError::Key)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| IdentityError::Key)?;
    Ok(KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(pkcs8.as_ref()), &PKCS_ED25519)?)
}

/// Bytes of an Ed25519 seed.
struct Seed;

impl KeyType for Seed {
    fn len(&self) -> usize {
        32
    }
}

/// The same in every process: certificates are checked by the authority's name and key.
fn authority() -> Result<CertificateParams, IdentityError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "Lakegate cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    Ok(params)
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    /// What a client gets that sends a byte and waits for its echo.
    async fn handshake(server: Arc<ServerConfig>, client: Arc<ClientConfig>) -> std::io::Result<u8> {
        let (near, far) = duplex(16 << 10);
        let name = ServerName::try_from("10.1.2.3").unwrap();
        let serve = async {
            let mut stream = TlsAcceptor::from(server).accept(far).await?;
            let byte = stream.read_u8().await?;
            stream.write_u8(byte).await?;
            stream.flush().await
        };
        let ask = async {
            let mut stream = TlsConnector::from(client).connect(name, near).await?;
            stream.write_u8(7).await?;
            stream.flush().await?;
            stream.read_u8().await
        };
        let (_, asked) = tokio::join!(serve, ask);
        asked
    }

    fn identity(secret: &[u8], role: Role) -> Identity {
        Identity::derive(secret, role).unwrap()
    }

    #[test]
    fn short_secrets_are_refused() {
        assert!(matches!(
            Identity::derive(b"0123456789abcdef0123456789abcde \n", Role::Engine),
            Err(IdentityError::TooShort { bytes: 31 })
        ));
        assert!(Identity::derive(SECRET, Role::Engine).is_ok());
    }

    #[tokio::test]
    async fn processes_of_a_cluster_know_each_other() {
        let engine = identity(&[SECRET, b"\n"].concat(), Role::Engine);
        let gateway = identity(SECRET, Role::Gateway);
        let (server, client) = (engine.server_config(Role::Gateway).unwrap(), gateway.client_config(Role::Engine).unwrap());
        assert_eq!(handshake(server, client).await.unwrap(), 7);
        let (server, client) = (gateway.server_config(Role::Engine).unwrap(), engine.client_config(Role::Gateway).unwrap());
        assert_eq!(handshake(server, client).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn others_are_refused_by_both_sides() {
        let other = b"fedcba9876543210fedcba9876543210";
        let (engine, gateway) = (identity(SECRET, Role::Engine), identity(SECRET, Role::Gateway));
        let refused = |server: &Arc<ServerConfig>, client: &Arc<ClientConfig>| handshake(Arc::clone(server), Arc::clone(client));
        let server = engine.server_config(Role::Gateway).unwrap();
        let stranger = identity(other, Role::Gateway).client_config(Role::Engine).unwrap();
        assert!(refused(&server, &stranger).await.is_err());
        // An engine is no gateway, neither as who asks nor as who is asked.
        let engine_as_client = engine.client_config(Role::Engine).unwrap();
        assert!(refused(&server, &engine_as_client).await.is_err());
        let wants_gateway = gateway.client_config(Role::Gateway).unwrap();
        assert!(refused(&server, &wants_gateway).await.is_err());
    }

    #[tokio::test]
    async fn nobody_comes_in_without_a_certificate_or_by_an_older_protocol() {
        let (engine, gateway) = (identity(SECRET, Role::Engine), identity(SECRET, Role::Gateway));
        let server = engine.server_config(Role::Gateway).unwrap();
        let bare = ClientConfig::builder_with_provider(Arc::clone(&gateway.provider))
            .with_protocol_versions(&[&TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(
                OnlyServers::new(&gateway.roots, &gateway.provider, Role::Engine.server_name().unwrap()).unwrap(),
            ))
            .with_no_client_auth();
        let refused = handshake(Arc::clone(&server), Arc::new(bare)).await.unwrap_err();
        assert!(refused.to_string().contains("CertificateRequired"), "{refused}");
        let old = ClientConfig::builder_with_provider(Arc::clone(&gateway.provider))
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(
                OnlyServers::new(&gateway.roots, &gateway.provider, Role::Engine.server_name().unwrap()).unwrap(),
            ))
            .with_client_cert_resolver(Arc::clone(&gateway.leaf) as _);
        assert_eq!(handshake(server, Arc::new(old)).await.unwrap_err().kind(), ErrorKind::InvalidData);
    }
}
