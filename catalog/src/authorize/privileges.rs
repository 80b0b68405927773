//! Privileges of a role on an object. Source: `aclmask` and `object_ownercheck` of PostgreSQL.

use super::Principal;
use super::denial::denied;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{Column, ObjectRef, Oid, PUBLIC, Privilege, Relation};
use crate::snapshot::Snapshot;

/// What the `has_*_privilege` functions answer: superuser, or granted to the role, to PUBLIC or to a role whose privileges it
/// has. An object or a role that does not exist gives false.
#[must_use]
pub fn has_privilege(snapshot: &Snapshot, role: Oid, object: ObjectRef, privilege: Privilege) -> bool {
    // A role that was dropped under a session's feet has nothing, not even what PUBLIC has.
    if snapshot.owner_of(object).is_none() || snapshot.role(role).is_none() {
        return false;
    }
    if snapshot.is_superuser(role) || snapshot.has_everywhere(role, object, privilege) {
        return true;
    }
    let roles = snapshot.member_of(role);
    snapshot.acl(object).held_by(|grantee| grantee == PUBLIC || roles.contains(&grantee)).contains(privilege)
}

/// What `has_column_privilege` answers: on the relation as a whole, or on the column.
#[must_use]
pub fn has_column_privilege(snapshot: &Snapshot, role: Oid, relation: &Relation, column: &str, privilege: Privilege) -> bool {
    has_privilege(snapshot, role, ObjectRef::Relation(relation.oid), privilege)
        || relation.column(column).is_some_and(|(_, column)| holds_on_column(snapshot, role, column, privilege))
}

/// What `has_any_column_privilege` answers.
#[must_use]
pub fn has_any_column_privilege(snapshot: &Snapshot, role: Oid, relation: &Relation, privilege: Privilege) -> bool {
    has_privilege(snapshot, role, ObjectRef::Relation(relation.oid), privilege)
        || relation.columns.iter().any(|column| holds_on_column(snapshot, role, column, privilege))
}

/// The columns of a relation on which the role has a privilege of their own.
pub(super) fn granted_columns(snapshot: &Snapshot, role: Oid, relation: &Relation, privilege: Privilege) -> Vec<String> {
    let granted = relation.columns.iter().filter(|column| holds_on_column(snapshot, role, column, privilege));
    granted.map(|column| column.name.clone()).collect()
}

fn holds_on_column(snapshot: &Snapshot, role: Oid, column: &Column, privilege: Privilege) -> bool {
    if column.acl.is_empty() || snapshot.role(role).is_none() {
        return false;
    }
    let roles = snapshot.member_of(role);
    column.acl.held_by(|grantee| grantee == PUBLIC || roles.contains(&grantee)).contains(privilege)
}

/// `has_column_privilege(…, 'SELECT WITH GRANT OPTION')`.
#[must_use]
pub fn has_column_grant_option(snapshot: &Snapshot, role: Oid, relation: &Relation, column: &str, privilege: Privilege) -> bool {
    if has_grant_option(snapshot, role, ObjectRef::Relation(relation.oid), privilege) {
        return true;
    }
    let roles = snapshot.member_of(role);
    relation.column(column).is_some_and(|(_, column)| column.acl.grantable_by(|grantee| roles.contains(&grantee)).contains(privilege))
}

/// `has_table_privilege(…, 'SELECT WITH GRANT OPTION')`. Owners always hold grant options.
#[must_use]
pub fn has_grant_option(snapshot: &Snapshot, role: Oid, object: ObjectRef, privilege: Privilege) -> bool {
    let Some(owner) = snapshot.owner_of(object) else { return false };
    if snapshot.has_privileges_of(role, owner) {
        return snapshot.all_privileges(object).contains(privilege);
    }
    let roles = snapshot.member_of(role);
    snapshot.acl(object).grantable_by(|grantee| roles.contains(&grantee)).contains(privilege)
}

/// Owner, member of the owner (inheriting), or superuser.
#[must_use]
pub fn is_owner(snapshot: &Snapshot, role: Oid, object: ObjectRef) -> bool {
    snapshot.owner_of(object).is_some_and(|owner| snapshot.has_privileges_of(role, owner))
}

/// # Errors
/// `permission denied for table t`.
pub fn check(snapshot: &Snapshot, principal: &Principal, object: ObjectRef, privilege: Privilege) -> Result<(), CatalogError> {
    if has_privilege(snapshot, principal.current_role, object, privilege) {
        return Ok(());
    }
    Err(denied(snapshot, principal, object, privilege, described(snapshot, object)?))
}

/// # Errors
/// `must be owner of table t`.
pub fn require_owner(snapshot: &Snapshot, principal: &Principal, object: ObjectRef) -> Result<(), CatalogError> {
    let (kind, name) = described(snapshot, object)?;
    if is_owner(snapshot, principal.current_role, object) { Ok(()) } else { Err(CatalogError::MustBeOwner { kind, name }) }
}

/// Kind and name, or that the object is gone.
pub(super) fn described(snapshot: &Snapshot, object: ObjectRef) -> Result<(ObjectKind, String), CatalogError> {
    snapshot.describe(object).ok_or_else(|| {
        let (kind, oid) = match object {
            ObjectRef::Database(oid) => (ObjectKind::Database, oid),
            ObjectRef::Schema(oid) => (ObjectKind::Schema, oid),
            ObjectRef::Relation(oid) => (ObjectKind::Relation, oid),
            ObjectRef::ExternalLocation(oid) => (ObjectKind::ExternalLocation, oid),
            ObjectRef::Warehouse(oid) => (ObjectKind::Warehouse, oid),
        };
        CatalogError::Undefined { kind, name: format!("OID {oid}") }
    })
}
