//! Who may open what. The only maker of [`AuthorizedTable`].

use std::sync::Arc;

use crate::model::{Relation, RelationName};

/// What a statement does to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Access {
    pub select: bool,
    pub insert: bool,
    pub update: bool,
    pub delete: bool,
    pub truncate: bool,
}

/// Proof that a role may open a table in a statement, and how: an engine opens nothing without one.
#[derive(Debug, Clone)]
pub struct AuthorizedTable {
    name: RelationName,
    relation: Arc<Relation>,
    access: Access,
}

impl AuthorizedTable {
    #[must_use]
    pub fn name(&self) -> &RelationName {
        &self.name
    }

    #[must_use]
    pub fn relation(&self) -> &Arc<Relation> {
        &self.relation
    }

    /// What was asked for and granted.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }
}
