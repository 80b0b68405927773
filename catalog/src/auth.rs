//! Proof of identity.

use crate::model::Oid;

/// A role that has proven its identity; only this module makes one.
#[derive(Debug, Clone)]
pub struct Authenticated {
    role: Oid,
    name: String,
}

impl Authenticated {
    #[must_use]
    pub fn role(&self) -> Oid {
        self.role
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}
