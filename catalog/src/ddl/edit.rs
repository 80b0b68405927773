//! One change in the making: the snapshot as it will be, and the rows to write.

use std::sync::Arc;

use super::undefined_oid;
use crate::acl::Acl;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{Database, ExternalLocation, Membership, ObjectRef, Oid, Relation, Role, Schema};
use crate::snapshot::Snapshot;

/// A row to write or remove. Objects are written whole.
#[derive(Debug, Clone)]
pub(crate) enum Write {
    Role(Arc<Role>),
    DropRole(Oid),
    /// Sealed verifiers; `None` removes the password.
    Password(Oid, Option<Vec<u8>>),
    Membership(Membership),
    DropMembership {
        role: Oid,
        member: Oid,
    },
    Database(Arc<Database>),
    DropDatabase(Oid),
    Schema(Arc<Schema>),
    DropSchema(Oid),
    Relation(Arc<Relation>),
    DropRelation(Oid),
    Location(Arc<ExternalLocation>),
    DropLocation(Oid),
    /// `None`: back to the default.
    Acl(ObjectRef, Option<Arc<Acl>>),
}

#[derive(Debug)]
pub(crate) struct Edit {
    pub(crate) snapshot: Snapshot,
    pub(crate) writes: Vec<Write>,
    pub(crate) next_oid: Oid,
}

impl Edit {
    pub(crate) fn new(snapshot: Snapshot, next_oid: Oid) -> Edit {
        Edit { snapshot, writes: Vec::new(), next_oid }
    }

    /// From the one sequence of all objects.
    pub(crate) fn new_oid(&mut self) -> Result<Oid, CatalogError> {
        let oid = self.next_oid;
        self.next_oid = oid.checked_add(1).ok_or_else(|| CatalogError::internal("object identifiers are used up"))?;
        Ok(oid)
    }

    pub(crate) fn role(&self, oid: Oid) -> Result<Arc<Role>, CatalogError> {
        self.snapshot.role(oid).cloned().ok_or_else(|| undefined_oid(ObjectKind::Role, oid))
    }

    pub(crate) fn database(&self, oid: Oid) -> Result<Arc<Database>, CatalogError> {
        self.snapshot.database(oid).cloned().ok_or_else(|| undefined_oid(ObjectKind::Database, oid))
    }

    pub(crate) fn schema(&self, oid: Oid) -> Result<Arc<Schema>, CatalogError> {
        self.snapshot.schema_by_oid(oid).cloned().ok_or_else(|| undefined_oid(ObjectKind::Schema, oid))
    }

    pub(crate) fn relation(&self, oid: Oid) -> Result<Arc<Relation>, CatalogError> {
        self.snapshot.relation_by_oid(oid).cloned().ok_or_else(|| undefined_oid(ObjectKind::Relation, oid))
    }

    pub(crate) fn location(&self, oid: Oid) -> Result<Arc<ExternalLocation>, CatalogError> {
        self.snapshot.external_location(oid).cloned().ok_or_else(|| undefined_oid(ObjectKind::ExternalLocation, oid))
    }

    pub(crate) fn put_role(&mut self, role: Role) -> Arc<Role> {
        let role = Arc::new(role);
        self.snapshot.put_role(role.clone());
        self.snapshot.close_memberships();
        self.writes.push(Write::Role(role.clone()));
        role
    }

    pub(crate) fn drop_role(&mut self, oid: Oid) {
        self.snapshot.remove_role(oid);
        self.snapshot.close_memberships();
        self.writes.push(Write::DropRole(oid));
    }

    pub(crate) fn put_membership(&mut self, membership: Membership) {
        self.snapshot.memberships.retain(|old| (old.role, old.member) != (membership.role, membership.member));
        self.snapshot.memberships.push(membership);
        self.snapshot.close_memberships();
        self.writes.push(Write::Membership(membership));
    }

    pub(crate) fn drop_membership(&mut self, role: Oid, member: Oid) {
        self.snapshot.memberships.retain(|old| (old.role, old.member) != (role, member));
        self.snapshot.close_memberships();
        self.writes.push(Write::DropMembership { role, member });
    }

    pub(crate) fn put_database(&mut self, database: Database) -> Arc<Database> {
        let database = Arc::new(database);
        self.snapshot.put_database(database.clone());
        self.writes.push(Write::Database(database.clone()));
        database
    }

    pub(crate) fn drop_database(&mut self, oid: Oid) {
        self.snapshot.remove_database(oid);
        self.writes.push(Write::DropDatabase(oid));
    }

    pub(crate) fn put_schema(&mut self, schema: Schema) -> Arc<Schema> {
        let schema = Arc::new(schema);
        self.snapshot.put_schema(schema.clone());
        self.writes.push(Write::Schema(schema.clone()));
        schema
    }

    pub(crate) fn drop_schema(&mut self, oid: Oid) {
        self.snapshot.remove_schema(oid);
        self.writes.push(Write::DropSchema(oid));
    }

    pub(crate) fn put_relation(&mut self, relation: Relation) -> Arc<Relation> {
        let relation = Arc::new(relation);
        self.snapshot.put_relation(relation.clone());
        self.writes.push(Write::Relation(relation.clone()));
        relation
    }

    pub(crate) fn drop_relation(&mut self, oid: Oid) {
        self.snapshot.remove_relation(oid);
        self.writes.push(Write::DropRelation(oid));
    }

    pub(crate) fn put_location(&mut self, location: ExternalLocation) -> Arc<ExternalLocation> {
        let location = Arc::new(location);
        self.snapshot.locations.insert(location.oid, location.clone());
        self.writes.push(Write::Location(location.clone()));
        location
    }

    pub(crate) fn drop_location(&mut self, oid: Oid) {
        self.snapshot.locations.remove(&oid);
        self.snapshot.acls.remove(&ObjectRef::ExternalLocation(oid));
        self.writes.push(Write::DropLocation(oid));
    }

    pub(crate) fn put_acl(&mut self, object: ObjectRef, acl: Acl) {
        let acl = Arc::new(acl);
        self.snapshot.acls.insert(object, acl.clone());
        self.writes.push(Write::Acl(object, Some(acl)));
    }

    /// The new owner takes the old one's place in the access control list.
    pub(crate) fn change_acl_owner(&mut self, object: ObjectRef, old: Oid, new: Oid) {
        if let Some(stored) = self.snapshot.stored_acl(object) {
            let mut acl = Acl::clone(stored);
            acl.change_owner(old, new);
            self.put_acl(object, acl);
        }
    }
}
