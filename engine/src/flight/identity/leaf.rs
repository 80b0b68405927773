//! The certificate that a process shows, made anew before it ends.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, date_time_ymd};
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::{IdentityError, Role};

/// How long a certificate is valid.
const LIFE: Duration = Duration::from_secs(24 * 3600);
/// After which another one is shown.
const SHOWN: Duration = Duration::from_secs(12 * 3600);
/// Clocks of a cluster may be apart by so much.
const CLOCKS_APART: Duration = Duration::from_secs(3600);

pub struct Leaf {
    issuer: Issuer<'static, KeyPair>,
    role: Role,
    provider: Arc<CryptoProvider>,
    shown: Mutex<Shown>,
}

#[derive(Clone)]
struct Shown {
    since: SystemTime,
    key: Arc<CertifiedKey>,
}

impl Leaf {
    pub fn new(issuer: Issuer<'static, KeyPair>, role: Role, provider: Arc<CryptoProvider>) -> Result<Leaf, IdentityError> {
        let shown = Mutex::new(issue(&issuer, role, &provider, SystemTime::now())?);
        Ok(Leaf { issuer, role, provider, shown })
    }

    fn at(&self, now: SystemTime) -> Arc<CertifiedKey> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes a new one, too.
        if now.duration_since(shown.since).is_err() || shown.since + SHOWN <= now {
            match issue(&self.issuer, self.role, &self.provider, now) {
                Ok(issued) => *shown = issued,
                Err(error) => tracing::error!(%error, "the certificate for the cluster could not be renewed"),
            }
        }
        Arc::clone(&shown.key)
    }
}

fn issue(issuer: &Issuer<'static, KeyPair>, role: Role, provider: &CryptoProvider, now: SystemTime) -> Result<Shown, IdentityError> {
    let mut params = CertificateParams::new(vec![role.name().to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, role.name());
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let now_since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    params.not_before = date_time_ymd(1970, 1, 1) + now_since_epoch.saturating_sub(CLOCKS_APART);
    params.not_after = date_time_ymd(1970, 1, 1) + now_since_epoch + LIFE;
    let key = KeyPair::generate_for(&PKCS_ED25519)?;
    let certificate = params.signed_by(&key, issuer)?;
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = CertifiedKey::from_der(vec![certificate.der().clone()], private, provider)?;
    Ok(Shown { since: now, key: Arc::new(key) })
}

impl ResolvesServerCert for Leaf {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.at(SystemTime::now()))
    }
}

impl ResolvesClientCert for Leaf {
    fn resolve(&self, _root_hint_subjects: &[&[u8]], _sigschemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.at(SystemTime::now()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Leaf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leaf").field("role", &self.role).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Identity;
    use super::*;

    #[test]
    fn a_certificate_is_renewed_before_it_ends() {
        let identity = Identity::derive(&[7; 32], Role::Engine).unwrap();
        let now = SystemTime::now();
        let first = identity.leaf.at(now);
        assert!(Arc::ptr_eq(&first, &identity.leaf.at(now + SHOWN / 2)));
        let second = identity.leaf.at(now + SHOWN + Duration::from_secs(1));
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&second, &identity.leaf.at(now)));
    }
}
