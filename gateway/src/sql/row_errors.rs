//! What the gateway knows of a row that a constraint refused and the engine does not: the table's schema, and whether the role may
//! read the table, without which the row's values stay untold. Source: `ExecBuildSlotValueDescription`.

use lakegate_catalog::authorize;
use lakegate_catalog::model::{ObjectRef, Privilege, RelationName};

use super::session::GatewaySession;
use crate::sqlstate::SqlError;

#[derive(Debug)]
pub struct RowErrors {
    table: RelationName,
    may_read: bool,
}

impl RowErrors {
    #[must_use]
    pub fn of(session: &GatewaySession, table: &RelationName) -> Self {
        let snapshot = session.catalog().snapshot();
        let role = session.principal.current_role;
        let may_read = snapshot
            .relation_by_name(table)
            .is_some_and(|relation| authorize::has_privilege(&snapshot, role, ObjectRef::Relation(relation.oid), Privilege::Select));
        RowErrors { table: table.clone(), may_read }
    }

    #[must_use]
    pub fn complete(&self, mut error: SqlError) -> SqlError {
        let fields = &mut error.fields;
        if fields.table.as_ref() == Some(&self.table.name) && error.state.code().starts_with("23") {
            fields.schema = Some(self.table.schema.clone());
            if !self.may_read {
                fields.detail = None;
            }
        }
        error
    }
}
