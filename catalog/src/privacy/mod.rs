//! Requests of data subjects, the steps of their erasure and its certificates. Whom a request is about stands here sealed, for as long as the
//! request is open, and as a keyed digest for ever.

mod certificates;
mod forgetting;
mod log;
mod requests;
mod scan;

pub use certificates::{Certificate, CertificateFile, NewCertificate, VerifyError};
pub use forgetting::ToForget;
pub use log::{LogErased, Named};
pub use requests::{NewRequest, PrivacyRequest, PrivacyStep, StepKeys};
pub use scan::{CatalogFinding, CatalogScan};

use uuid::Uuid;

use crate::catalog::Catalog;

impl Catalog {
    /// What stands for an identifier wherever it is recorded: keyed, so that nobody without the catalog's keys can try names.
    #[must_use]
    pub fn subject_digest(&self, kind: &str, identifier: &str) -> String {
        hex(&self.keyring().auth().derive("lakegate subject", format!("{kind}\0{identifier}").as_bytes()))
    }

    /// For what an erasure derives from names that it removes.
    #[must_use]
    pub fn erasure_secret(&self, request: Uuid) -> [u8; 32] {
        self.keyring().auth().derive("lakegate erasure", request.as_bytes())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
