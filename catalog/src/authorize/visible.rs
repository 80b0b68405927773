//! What a role may see in `pg_catalog` and `information_schema`.
//!
//! PostgreSQL shows every name to everybody; here a role sees an object only where it owns it or holds some privilege on it, so
//! that names of other tenants do not leak through catalogs.

use std::sync::Arc;

use super::privileges::is_owner;
use crate::model::{Database, ObjectRef, Oid, PUBLIC, Privilege, Relation, Schema};
use crate::snapshot::Snapshot;

/// Databases it may connect to, make schemas in, or owns.
pub fn visible_databases(snapshot: &Snapshot, role: Oid) -> impl Iterator<Item = &Arc<Database>> {
    snapshot.databases().filter(move |database| may_see(snapshot, role, ObjectRef::Database(database.oid)))
}

/// Schemas of a database that it may use, make objects in, or owns, in order of name.
pub fn visible_schemas(snapshot: &Snapshot, role: Oid, database: Oid) -> impl Iterator<Item = &Arc<Schema>> {
    snapshot.schemas_in_database(database).filter(move |schema| may_see(snapshot, role, ObjectRef::Schema(schema.oid)))
}

/// Relations of a schema that it owns or holds any privilege on, in order of name; none where it may not use the schema.
pub fn visible_relations(snapshot: &Snapshot, role: Oid, schema: Oid) -> impl Iterator<Item = &Arc<Relation>> {
    let open = may_see(snapshot, role, ObjectRef::Schema(schema));
    snapshot.relations_in_schema(schema).filter(move |relation| open && may_see(snapshot, role, ObjectRef::Relation(relation.oid)))
}

/// Owner, or holder of any privilege.
#[must_use]
pub fn may_see(snapshot: &Snapshot, role: Oid, object: ObjectRef) -> bool {
    if is_owner(snapshot, role, object) {
        return true;
    }
    let roles = snapshot.member_of(role);
    let is_meant = |grantee: Oid| grantee == PUBLIC || roles.contains(&grantee);
    let held = snapshot.acl(object).held_by(is_meant);
    if !held.intersection(snapshot.all_privileges(object)).is_empty() {
        return true;
    }
    let everywhere = [Privilege::Usage, Privilege::Select, Privilege::Insert];
    if everywhere.into_iter().any(|privilege| snapshot.has_everywhere(role, object, privilege)) {
        return true;
    }
    let ObjectRef::Relation(oid) = object else { return false };
    let on_columns = |relation: &Arc<Relation>| relation.columns.iter().any(|column| !column.acl.held_by(is_meant).is_empty());
    snapshot.relation_by_oid(oid).is_some_and(on_columns)
}
