//! Certificates of erasure: documents, signed (Ed25519), that can be verified without the catalog.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;
use uuid::Uuid;

use crate::audit::AuditEvent;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::log_proof::inclusion::InclusionProof;
use crate::log_proof::is_signed;
use crate::statement_log::time;
use crate::store::number;

/// Before the document, so that no other signed text of ours is one.
const CONTEXT: &str = "erasure certificate 1";

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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CertificateFile {
    /// The document's text; the signature is of these very bytes.
    pub document: String,
    /// Base64.
    pub signature: String,
    /// Base64, 32 bytes.
    pub public_key: String,
    /// That the audit log has an event with the document's digest, under a head that was signed with the same key.
    pub inclusion: InclusionProof,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VerifyError {
    #[error("the file is not a certificate")]
    NotACertificate,
    #[error("the signature does not fit the document")]
    Signature,
    #[error("the log's record of the certificate is not proven")]
    Inclusion,
    #[error("the certificate was signed with another key")]
    OtherKey,
}

impl CertificateFile {
    /// The document, where the signature fits, and the log's record of the certificate. `key`: base64, of the one who is to have signed it;
    /// without it nothing says whose key it was.
    ///
    /// # Errors
    /// As the variants say.
    pub fn verify(&self, key: Option<&str>) -> Result<serde_json::Value, VerifyError> {
        if key.is_some_and(|key| key.trim() != self.public_key) {
            return Err(VerifyError::OtherKey);
        }
        let decoded = |text: &str| STANDARD.decode(text).map_err(|_| VerifyError::NotACertificate);
        let (public, signature) = (decoded(&self.public_key)?, decoded(&self.signature)?);
        if !is_signed(&public, CONTEXT, self.document.as_bytes(), &signature) {
            return Err(VerifyError::Signature);
        }
        let document: serde_json::Value = serde_json::from_str(&self.document).map_err(|_| VerifyError::NotACertificate)?;
        let id = document.get("certificate_id").and_then(serde_json::Value::as_str).and_then(|id| Uuid::parse_str(id).ok());
        let id = id.ok_or(VerifyError::NotACertificate)?;
        self.inclusion.verify(&public).map_err(|_| VerifyError::Inclusion)?;
        let named = self.inclusion.record.get("object_name").and_then(serde_json::Value::as_str);
        if named != Some(object_name(id, &self.document).as_str()) {
            return Err(VerifyError::Inclusion);
        }
        Ok(document)
    }
}

impl Catalog {
    /// Signs and stores it, with its event in the audit log and the proof of that; durable on return. `event`: who issues it.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`], [`CatalogError::LogUnavailable`].
    pub async fn issue_certificate(&self, new: NewCertificate, event: AuditEvent) -> Result<CertificateFile, CatalogError> {
        let signature = STANDARD.encode(self.sign(CONTEXT, new.document.as_bytes()));
        let event = AuditEvent {
            service_name: "privacy".to_owned(),
            action_name: "issue_certificate".to_owned(),
            object_type: Some("certificate".to_owned()),
            object_name: Some(object_name(new.id, &new.document)),
            ..event
        };
        let event = self.audit_durable(event).await?;
        let inclusion = self.inclusion_proof(&event.to_string()).await?;
        let file = CertificateFile { document: new.document, signature, public_key: self.certificate_key(), inclusion };
        let stored = serde_json::json!({ "signature": file.signature, "public_key": file.public_key });
        let mut transaction = self.store().begin_write().await?;
        sqlx::query(
            "INSERT INTO privacy_certificates (certificate_id, request_id, issued_us, residuals, document, signature, inclusion) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(new.id.to_string())
        .bind(new.request.to_string())
        .bind(Utc::now().timestamp_micros())
        .bind(i64::try_from(new.residuals).map_err(CatalogError::internal)?)
        .bind(file.document.clone())
        .bind(stored.to_string())
        .bind(serde_json::to_string(&file.inclusion).map_err(CatalogError::internal)?)
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
            "SELECT certificate_id, request_id, issued_us, residuals, document, signature, inclusion FROM privacy_certificates \
             WHERE inclusion IS NOT NULL ORDER BY issued_us DESC",
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
                    file: CertificateFile {
                        document: row.try_get(4)?,
                        signature: text("signature"),
                        public_key: text("public_key"),
                        inclusion: serde_json::from_str(&row.try_get::<String, _>(6)?).map_err(CatalogError::corrupted)?,
                    },
                })
            })
            .collect()
    }

    /// Base64 of the public key that certificates are verified with: the one that signs the heads of the logs.
    #[must_use]
    pub fn certificate_key(&self) -> String {
        STANDARD.encode(self.public_key())
    }
}

/// The event's object: the certificate's number and the digest of its document.
fn object_name(id: Uuid, document: &str) -> String {
    format!("{id} sha256:{}", super::hex(digest(&SHA256, document.as_bytes()).as_ref()))
}
