//! Privileges of a role on an object. Source: `aclmask` and `object_ownercheck` of PostgreSQL.

use super::Principal;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{ObjectRef, Oid, PUBLIC, Privilege};
use crate::snapshot::Snapshot;

/// What the `has_*_privilege` functions answer: superuser, or granted to the role, to PUBLIC or to a role whose privileges it
/// has. An object or a role that does not exist gives false.
#[must_use]
pub fn has_privilege(snapshot: &Snapshot, role: Oid, object: ObjectRef, privilege: Privilege) -> bool {
    // A role that was dropped under a session's feet has nothing, not even what PUBLIC has.
    if snapshot.owner_of(object).is_none() || snapshot.role(role).is_none() {
        return false;
    }
    if snapshot.is_superuser(role) {
        return true;
    }
    let roles = snapshot.member_of(role);
    snapshot.acl(object).held_by(|grantee| grantee == PUBLIC || roles.contains(&grantee)).contains(privilege)
}

/// `has_table_privilege(…, 'SELECT WITH GRANT OPTION')`. Owners always hold grant options.
#[must_use]
pub fn has_grant_option(snapshot: &Snapshot, role: Oid, object: ObjectRef, privilege: Privilege) -> bool {
    let Some(owner) = snapshot.owner_of(object) else { return false };
    if snapshot.has_privileges_of(role, owner) {
        return crate::acl::all_privileges(object).contains(privilege);
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
    let (kind, name) = described(snapshot, object)?;
    Err(CatalogError::InsufficientPrivilege { kind, name })
}

/// # Errors
/// `must be owner of table t`.
pub fn require_owner(snapshot: &Snapshot, principal: &Principal, object: ObjectRef) -> Result<(), CatalogError> {
    let (kind, name) = described(snapshot, object)?;
    if is_owner(snapshot, principal.current_role, object) { Ok(()) } else { Err(CatalogError::MustBeOwner { kind, name }) }
}

/// Kind and name, or that the object is gone.
fn described(snapshot: &Snapshot, object: ObjectRef) -> Result<(ObjectKind, String), CatalogError> {
    snapshot.describe(object).ok_or_else(|| {
        let (kind, oid) = match object {
            ObjectRef::Database(oid) => (ObjectKind::Database, oid),
            ObjectRef::Schema(oid) => (ObjectKind::Schema, oid),
            ObjectRef::Relation(oid) => (ObjectKind::Relation, oid),
            ObjectRef::ExternalLocation(oid) => (ObjectKind::ExternalLocation, oid),
        };
        CatalogError::Undefined { kind, name: format!("OID {oid}") }
    })
}
