//! Which policies and masks of a table apply to a role. Source: `check_enable_rls` (rls.c), `get_policies_for_relation` (rowsecurity.c).

use serde::{Deserialize, Serialize};

use super::Principal;
use super::privileges::is_owner;
use crate::governance::{Mask, Policy, PolicyCommand, PolicyExpression};
use crate::model::{Column, ObjectRef, Oid, PUBLIC, Relation};
use crate::snapshot::Snapshot;

/// The policies of a table that are for a role. With none, no row passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowRules {
    policies: Vec<Policy>,
}

impl RowRules {
    /// One of these must let a row pass.
    pub fn permissive(&self, command: PolicyCommand) -> impl Iterator<Item = &Policy> {
        self.of(command).filter(|policy| policy.permissive)
    }

    /// Each of these must let a row pass.
    pub fn restrictive(&self, command: PolicyCommand) -> impl Iterator<Item = &Policy> {
        self.of(command).filter(|policy| !policy.permissive)
    }

    fn of(&self, command: PolicyCommand) -> impl Iterator<Item = &Policy> {
        self.policies.iter().filter(move |policy| policy.command.covers(command))
    }
}

/// What stands in a column's place: the first expression over the column, each further one over what the one before it gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ColumnMask {
    pub column: String,
    pub expressions: Vec<PolicyExpression>,
}

/// `None`: every row, as for superusers, roles with BYPASSRLS and, unless it is forced, the owner.
#[must_use]
pub fn row_rules(snapshot: &Snapshot, role: Oid, relation: &Relation) -> Option<RowRules> {
    let security = &relation.row_security;
    if !security.enabled || bypasses_row_security(snapshot, role) {
        return None;
    }
    if !security.forced && is_owner(snapshot, role, ObjectRef::Relation(relation.oid)) {
        return None;
    }
    let is_for = |policy: &&Policy| is_among(snapshot, role, &policy.roles);
    Some(RowRules { policies: security.policies.iter().filter(is_for).cloned().collect() })
}

/// The masks of a relation that a role sees. Owners and superusers see through all of them.
pub(super) fn masks(snapshot: &Snapshot, role: Oid, relation: &Relation) -> Vec<ColumnMask> {
    if is_owner(snapshot, role, ObjectRef::Relation(relation.oid)) {
        return Vec::new();
    }
    let database = snapshot.schema_by_oid(relation.schema).and_then(|schema| snapshot.database(schema.database));
    let of_tags = database.map(|database| database.governance.masking_policies.as_slice()).unwrap_or_default();
    let mask = |column: &Column| {
        let bound = of_tags.iter().filter(|policy| policy.binds(&column.tags)).map(|policy| &policy.mask);
        let applied = column.mask.iter().chain(bound).filter(|mask: &&Mask| is_among(snapshot, role, &mask.roles));
        let expressions: Vec<PolicyExpression> = applied.map(|mask| mask.expression.clone()).collect();
        (!expressions.is_empty()).then(|| ColumnMask { column: column.name.clone(), expressions })
    };
    relation.columns.iter().filter_map(mask).collect()
}

/// Whether others than its owner may see less of the relation than is there.
#[must_use]
pub fn is_governed(snapshot: &Snapshot, principal: &Principal, relation: &Relation) -> bool {
    let role = principal.current_role;
    row_rules(snapshot, role, relation).is_some() || !masks(snapshot, role, relation).is_empty()
}

fn bypasses_row_security(snapshot: &Snapshot, role: Oid) -> bool {
    snapshot.role(role).is_some_and(|role| role.superuser || role.bypass_rls)
}

/// Source: `check_role_for_policy`.
fn is_among(snapshot: &Snapshot, role: Oid, roles: &[Oid]) -> bool {
    roles.iter().any(|of| *of == PUBLIC || snapshot.has_privileges_of(role, *of))
}
