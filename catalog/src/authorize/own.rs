//! Tables of the program itself, in the data plane: no name that a user can write leads to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Access, AuthorizedTable};
use crate::governance::{RowSecurity, Tags};
use crate::model::{BOOTSTRAP_ROLE_OID, Column, Relation, RelationKind, RelationName};

/// Proof for a table that no catalog has: who asks for it is the program, and what of it somebody may see is for whoever opens it to say.
#[must_use]
pub fn open_program_table(name: &RelationName, location: String, columns: Vec<Column>, partition_columns: Vec<String>) -> AuthorizedTable {
    let relation = Relation {
        oid: 0,
        type_oid: 0,
        schema: 0,
        name: name.name.clone(),
        owner: BOOTSTRAP_ROLE_OID,
        kind: RelationKind::ManagedTable,
        location,
        columns,
        partition_columns,
        constraints: Vec::new(),
        definition: None,
        comment: None,
        properties: BTreeMap::new(),
        indexes: Vec::new(),
        sequence: None,
        tags: Tags::new(),
        row_security: RowSecurity::default(),
    };
    AuthorizedTable {
        name: name.clone(),
        relation: Arc::new(relation),
        access: Access { select: true, insert: true, update: true, delete: true, truncate: true },
        row_rules: None,
        masks: Vec::new(),
        visible_columns: None,
    }
}
