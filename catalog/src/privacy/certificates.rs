//! Certificates of erasure: documents, signed (Ed25519), that can be verified without the catalog.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use uuid::Uuid;

use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::keyring::Cell;
use crate::seal;
use crate::statement_log::time;
use crate::store::number;

/// Before the document, so that no other signed text of ours is one.
const CONTEXT: &[u8] = b"lakegate erasure certificate 1\n";

#[derive(Debug, Clone)]
pub struct NewCertificate {
    pub id: Uuid,
    pub request: Uuid,
    pub residuals: u64,
    /// JSON, signed as it is written.
    pub document: String,
}

#[derive(Debug, Clone)]
pub struct Certificate {
    pub id: Uuid,
    pub request: Uuid,
    pub issued_time: DateTime<Utc>,
    pub residuals: u64,
    pub file: CertificateFile,
}

/// What is filed: enough to verify it offline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateFile {
    /// The document's text; the signature is of these very bytes.
    pub document: String,
    /// Base64.
    pub signature: String,
    /// Base64, 32 bytes.
    pub public_key: String,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    #[error("the file is not a certificate")]
    NotACertificate,
    #[error("the signature does not fit the document")]
    Signature,
    #[error("the certificate was signed with another key")]
    OtherKey,
}

impl CertificateFile {
    /// The document, where the signature fits. `key`: base64, of the one who is to have signed it; without it nothing says whose key it was.
    ///
    /// # Errors
    /// As the variants say.
    pub fn verify(&self, key: Option<&str>) -> Result<serde_json::Value, VerifyError> {
        if key.is_some_and(|key| key.trim() != self.public_key) {
            return Err(VerifyError::OtherKey);
        }
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| VerifyError::NotACertificate);
        let (public, signature) = (decoded(&self.public_key)?, decoded(&self.signature)?);
        let signed = [CONTEXT, self.document.as_bytes()].concat();
        UnparsedPublicKey::new(&ED25519, public).verify(&signed, &signature).map_err(|_| VerifyError::Signature)?;
        serde_json::from_str(&self.document).map_err(|_| VerifyError::NotACertificate)
    }
}

impl Catalog {
    /// Signs and stores it, durable on return.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn issue_certificate(&self, new: NewCertificate) -> Result<CertificateFile, CatalogError> {
        let (public_key, pair) = self.signing_key().await?;
        let signature = STANDARD.encode(pair.sign(&[CONTEXT, new.document.as_bytes()].concat()).as_ref());
        let file = CertificateFile { document: new.document, signature, public_key };
        let stored = serde_json::json!({ "signature": file.signature, "public_key": file.public_key });
        let mut transaction = self.store().begin_write().await?;
        sqlx::query(
            "INSERT INTO privacy_certificates (certificate_id, request_id, issued_us, residuals, document, signature) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(new.id.to_string())
        .bind(new.request.to_string())
        .bind(Utc::now().timestamp_micros())
        .bind(i64::try_from(new.residuals).map_err(CatalogError::internal)?)
        .bind(file.document.clone())
        .bind(stored.to_string())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(file)
    }

    /// Newest first.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::Corrupted`].
    pub async fn privacy_certificates(&self) -> Result<Vec<Certificate>, CatalogError> {
        let rows = sqlx::query(
            "SELECT certificate_id, request_id, issued_us, residuals, document, signature FROM privacy_certificates ORDER BY issued_us DESC",
        )
        .fetch_all(self.store().reads())
        .await?;
        rows.iter()
            .map(|row| {
                let id = |at: usize| Uuid::parse_str(&row.try_get::<String, _>(at)?).map_err(CatalogError::corrupted);
                let signed: serde_json::Value = serde_json::from_str(&row.try_get::<String, _>(5)?).map_err(CatalogError::corrupted)?;
                let text = |name: &str| signed.get(name).and_then(|text| text.as_str()).unwrap_or_default().to_owned();
                Ok(Certificate {
                    id: id(0)?,
                    request: id(1)?,
                    issued_time: time(row.try_get(2)?)?,
                    residuals: number(row.try_get(3)?)?,
                    file: CertificateFile { document: row.try_get(4)?, signature: text("signature"), public_key: text("public_key") },
                })
            })
            .collect()
    }

    /// Base64 of the public key that certificates are verified with.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn certificate_key(&self) -> Result<String, CatalogError> {
        self.signing_key().await.map(|(public, _)| public)
    }

    /// The first one that is stored counts for all gateways.
    async fn signing_key(&self) -> Result<(String, Ed25519KeyPair), CatalogError> {
        if let Some(key) = self.stored_signing_key().await? {
            return Ok(key);
        }
        let seed = seal::random_key()?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..]).map_err(|_| CatalogError::internal("no signing key"))?;
        let public = STANDARD.encode(pair.public_key().as_ref());
        let sealed = self.keyring().auth().seal(cell(&public), &seed[..])?;
        let mut transaction = self.store().begin_write().await?;
        sqlx::query("INSERT INTO privacy_keys (key_id, made_us, public_key, sealed_key) VALUES ('certificates', $1, $2, $3) ON CONFLICT (key_id) DO NOTHING")
            .bind(Utc::now().timestamp_micros())
            .bind(public)
            .bind(sealed)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        self.stored_signing_key().await?.ok_or_else(|| CatalogError::internal("a new signing key is not there"))
    }

    async fn stored_signing_key(&self) -> Result<Option<(String, Ed25519KeyPair)>, CatalogError> {
        let mut read = self.store().begin_read().await?;
        let row =
            sqlx::query("SELECT public_key, sealed_key FROM privacy_keys WHERE key_id = 'certificates'").fetch_optional(&mut *read).await?;
        let Some(row) = row else { return Ok(None) };
        let public: String = row.try_get(0)?;
        let seed = self.keyring().auth().open(cell(&public), &row.try_get::<Vec<u8>, _>(1)?)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| CatalogError::corrupted("a signing key"))?;
        Ok(Some((public, pair)))
    }
}

fn cell(public: &str) -> Cell<'_> {
    Cell { table: "privacy_keys", column: "sealed_key", id: public, role: 0, time: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_certificate_does_not_verify() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let document = r#"{"residuals":[]}"#.to_owned();
        let signature = STANDARD.encode(pair.sign(&[CONTEXT, document.as_bytes()].concat()).as_ref());
        let file = CertificateFile { document, signature, public_key: STANDARD.encode(pair.public_key().as_ref()) };
        assert!(file.verify(None).is_ok());
        assert!(file.verify(Some(&file.public_key)).is_ok());
        assert_eq!(file.verify(Some("AAAA")), Err(VerifyError::OtherKey));
        let changed = CertificateFile { document: file.document.replace("[]", "[1]"), ..file.clone() };
        assert_eq!(changed.verify(None), Err(VerifyError::Signature));
        let other = Ed25519KeyPair::from_seed_unchecked(&[8; 32]).unwrap();
        let swapped = CertificateFile { public_key: STANDARD.encode(other.public_key().as_ref()), ..file };
        assert_eq!(swapped.verify(None), Err(VerifyError::Signature));
    }
}
