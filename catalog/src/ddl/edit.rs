//! One change in the making: the snapshot as it will be, and the rows to write.

use std::sync::Arc;

use super::undefined_oid;
use crate::acl::Acl;
use crate::error::{CatalogError, ObjectKind};
use crate::model::{Database, DefaultAcl, ExternalLocation, Membership, ObjectRef, Oid, Relation, Role, RoleSettings, Schema, Warehouse};
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
    Warehouse(Arc<Warehouse>),
    DropWarehouse(Oid),
    /// `None`: back to the default.
    Acl(ObjectRef, Option<Arc<Acl>>),
    /// Empty: none.
    RoleSettings(Arc<RoleSettings>),
    DefaultAcl(Arc<DefaultAcl>),
    DropDefaultAcl(Oid),
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

    pub(crate) fn warehouse(&self, oid: Oid) -> Result<Arc<Warehouse>, CatalogError> {
        self.snapshot.warehouse(oid).cloned().ok_or_else(|| undefined_oid(ObjectKind::Warehouse, oid))
    }

    /// Notes a write, and does it to the snapshot.
    pub(crate) fn write(&mut self, write: Write) {
        self.snapshot.apply(&write);
        self.writes.push(write);
    }

    pub(crate) fn put_role(&mut self, role: Role) -> Arc<Role> {
        let role = Arc::new(role);
        self.write(Write::Role(role.clone()));
        role
    }

    pub(crate) fn drop_role(&mut self, oid: Oid) {
        self.write(Write::DropRole(oid));
    }

    pub(crate) fn put_membership(&mut self, membership: Membership) {
        self.write(Write::Membership(membership));
    }

    pub(crate) fn drop_membership(&mut self, role: Oid, member: Oid) {
        self.write(Write::DropMembership { role, member });
    }

    pub(crate) fn put_database(&mut self, database: Database) -> Arc<Database> {
        let database = Arc::new(database);
        self.write(Write::Database(database.clone()));
        database
    }

    pub(crate) fn drop_database(&mut self, oid: Oid) {
        self.drop_default_acls(|acl| acl.database == oid);
        super::role_settings::drop_settings(self, |settings| settings.database == oid);
        self.write(Write::DropDatabase(oid));
    }

    fn drop_default_acls(&mut self, goes: impl Fn(&DefaultAcl) -> bool) {
        let gone: Vec<Oid> = self.snapshot.default_acls().filter(|acl| goes(acl)).map(|acl| acl.oid).collect();
        gone.into_iter().for_each(|oid| self.write(Write::DropDefaultAcl(oid)));
    }

    pub(crate) fn put_schema(&mut self, schema: Schema) -> Arc<Schema> {
        let schema = Arc::new(schema);
        self.write(Write::Schema(schema.clone()));
        schema
    }

    pub(crate) fn drop_schema(&mut self, oid: Oid) {
        self.drop_default_acls(|acl| acl.schema == oid);
        self.write(Write::DropSchema(oid));
    }

    pub(crate) fn put_relation(&mut self, relation: Relation) -> Arc<Relation> {
        let relation = Arc::new(relation);
        self.write(Write::Relation(relation.clone()));
        relation
    }

    pub(crate) fn drop_relation(&mut self, oid: Oid) {
        self.write(Write::DropRelation(oid));
    }

    pub(crate) fn put_location(&mut self, location: ExternalLocation) -> Arc<ExternalLocation> {
        let location = Arc::new(location);
        self.write(Write::Location(location.clone()));
        location
    }

    pub(crate) fn drop_location(&mut self, oid: Oid) {
        self.write(Write::DropLocation(oid));
    }

    pub(crate) fn put_warehouse(&mut self, warehouse: Warehouse) -> Arc<Warehouse> {
        let warehouse = Arc::new(warehouse);
        self.write(Write::Warehouse(warehouse.clone()));
        warehouse
    }

    pub(crate) fn put_acl(&mut self, object: ObjectRef, acl: Acl) {
        self.write(Write::Acl(object, Some(Arc::new(acl))));
    }

    /// The new owner takes the old one's place in the access control list, in those of its columns the caller's relation has it already.
    pub(crate) fn change_acl_owner(&mut self, object: ObjectRef, old: Oid, new: Oid) {
        if let Some(stored) = self.snapshot.stored_acl(object) {
            let mut acl = Acl::clone(stored);
            acl.change_owner(old, new);
            self.put_acl(object, acl);
        }
    }
}

impl Snapshot {
    /// Does to the picture what a write does to the stored rows.
    pub(crate) fn apply(&mut self, write: &Write) {
        match write {
            Write::Role(role) => {
                self.put_role(Arc::clone(role));
                self.close_memberships();
            }
            Write::DropRole(oid) => {
                self.remove_role(*oid);
                self.close_memberships();
            }
            Write::Password(..) => {}
            Write::Membership(membership) => {
                self.memberships.retain(|old| (old.role, old.member) != (membership.role, membership.member));
                self.memberships.push(*membership);
                self.close_memberships();
            }
            Write::DropMembership { role, member } => {
                self.memberships.retain(|old| (old.role, old.member) != (*role, *member));
                self.close_memberships();
            }
            Write::Database(database) => self.put_database(Arc::clone(database)),
            Write::DropDatabase(oid) => self.remove_database(*oid),
            Write::Schema(schema) => self.put_schema(Arc::clone(schema)),
            Write::DropSchema(oid) => self.remove_schema(*oid),
            Write::Relation(relation) => self.put_relation(Arc::clone(relation)),
            Write::DropRelation(oid) => self.remove_relation(*oid),
            Write::Location(location) => {
                self.locations.insert(location.oid, Arc::clone(location));
            }
            Write::DropLocation(oid) => {
                self.locations.remove(oid);
                self.acls.remove(&ObjectRef::ExternalLocation(*oid));
            }
            Write::Warehouse(warehouse) => {
                self.warehouses.insert(warehouse.oid, Arc::clone(warehouse));
            }
            Write::DropWarehouse(oid) => {
                self.warehouses.remove(oid);
                self.acls.remove(&ObjectRef::Warehouse(*oid));
            }
            Write::Acl(object, Some(acl)) => {
                self.acls.insert(*object, Arc::clone(acl));
            }
            Write::Acl(object, None) => {
                self.acls.remove(object);
            }
            Write::RoleSettings(settings) => {
                let place = (settings.database, settings.role);
                if settings.settings.is_empty() {
                    self.role_settings.remove(&place);
                } else {
                    self.role_settings.insert(place, Arc::clone(settings));
                }
            }
            Write::DefaultAcl(acl) => {
                self.default_acls.insert(acl.oid, Arc::clone(acl));
            }
            Write::DropDefaultAcl(oid) => {
                self.default_acls.remove(oid);
            }
        }
    }
}
