//! REASSIGN OWNED and DROP OWNED. Source: `shdepReassignOwned` and `shdepDropOwned` of PostgreSQL 15.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::edit::{Edit, Write};
use super::governance::forget_role;
use super::related::drop_belongings;
use super::role::all_objects;
use super::schema::qualified;
use crate::acl::Acl;
use crate::authorize::Principal;
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::model::{Database, DefaultAcl, ExternalLocation, FIRST_NORMAL_OID, ObjectRef, Oid, Relation, Schema, Warehouse};
use crate::snapshot::{Snapshot, kind_of};

impl Catalog {
    /// What the roles own in the database, databases and external locations included, belongs to `new` then.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`], [`CatalogError::DependentObjects`] for a role of the system.
    pub async fn reassign_owned(&self, principal: &Principal, database: Oid, roles: &[Oid], new: Oid) -> Result<(), CatalogError> {
        let (principal, roles) = (*principal, roles.to_vec());
        self.change(move |edit| {
            for role in roles.iter().chain([&new]) {
                let known = edit.role(*role)?;
                if !edit.snapshot.has_privileges_of(principal.current_role, *role) {
                    return Err(CatalogError::forbidden("permission denied to reassign objects"));
                }
                if *role < FIRST_NORMAL_OID && roles.contains(role) {
                    return Err(pinned(&format!("cannot reassign ownership of objects owned by role {}", known.name)));
                }
            }
            let owned: Vec<ObjectRef> = concerned(&edit.snapshot, database)
                .filter(|object| edit.snapshot.owner_of(*object).is_some_and(|owner| roles.contains(&owner)))
                .collect();
            for object in owned {
                change_owner(edit, object, new)?;
            }
            Ok(())
        })
        .await
    }

    /// Drops what the roles own in the database, and takes from them what was granted to them there and on databases. Gives the relations
    /// that went.
    ///
    /// # Errors
    /// As [`Catalog::reassign_owned`]; [`CatalogError::DependentObjects`] without `cascade` where others depend on what goes.
    pub async fn drop_owned(
        &self,
        principal: &Principal,
        database: Oid,
        roles: &[Oid],
        cascade: bool,
    ) -> Result<Vec<Arc<Relation>>, CatalogError> {
        let (principal, roles) = (*principal, roles.to_vec());
        self.change(move |edit| {
            for role in &roles {
                let known = edit.role(*role)?;
                if !edit.snapshot.has_privileges_of(principal.current_role, *role) {
                    return Err(CatalogError::forbidden("permission denied to drop objects"));
                }
                if *role < FIRST_NORMAL_OID {
                    return Err(pinned(&format!("cannot drop objects owned by role {}", known.name)));
                }
            }
            let gone = owned_relations(&edit.snapshot, database, &roles, cascade)?;
            let mut dropped = Vec::new();
            for relation in &gone {
                edit.drop_relation(relation.oid);
                dropped.push(Arc::clone(relation));
            }
            for relation in &gone {
                drop_belongings(edit, relation, &mut dropped);
            }
            let schemas: Vec<Oid> = edit
                .snapshot
                .schemas_in_database(database)
                .filter(|schema| roles.contains(&schema.owner))
                .map(|schema| schema.oid)
                .collect();
            schemas.into_iter().for_each(|schema| edit.drop_schema(schema));
            for role in &roles {
                revoke_everywhere(edit, database, *role);
                forget_role(edit, database, *role);
            }
            Ok(dropped)
        })
        .await
    }
}

fn pinned(what: &str) -> CatalogError {
    CatalogError::DependentObjects {
        message: format!("{what} because they are required by the database system"),
        dependents: Vec::new(),
        hint: None,
    }
}

/// Objects of the database, and those of no database.
fn concerned(snapshot: &Snapshot, database: Oid) -> impl Iterator<Item = ObjectRef> {
    let of_schema = move |schema: Oid| snapshot.schema_by_oid(schema).is_some_and(|schema| schema.database == database);
    all_objects(snapshot).filter(move |object| match object {
        ObjectRef::Database(_) | ObjectRef::ExternalLocation(_) | ObjectRef::Warehouse(_) => true,
        ObjectRef::Schema(oid) => of_schema(*oid),
        ObjectRef::Relation(oid) => snapshot.relation_by_oid(*oid).is_some_and(|relation| of_schema(relation.schema)),
    })
}

fn change_owner(edit: &mut Edit, object: ObjectRef, owner: Oid) -> Result<(), CatalogError> {
    let Some(old) = edit.snapshot.owner_of(object) else { return Ok(()) };
    edit.change_acl_owner(object, old, owner);
    match object {
        ObjectRef::Database(oid) => {
            let changed = Database { owner, ..Database::clone(&*edit.database(oid)?) };
            edit.put_database(changed);
        }
        ObjectRef::Schema(oid) => {
            let changed = Schema { owner, ..Schema::clone(&*edit.schema(oid)?) };
            edit.put_schema(changed);
        }
        ObjectRef::Relation(oid) => {
            let mut changed = Relation::clone(&*edit.relation(oid)?);
            changed.change_owner(owner);
            edit.put_relation(changed);
        }
        ObjectRef::ExternalLocation(oid) => {
            let changed = ExternalLocation { owner, ..ExternalLocation::clone(&*edit.location(oid)?) };
            edit.put_location(changed);
        }
        ObjectRef::Warehouse(oid) => {
            let changed = Warehouse { owner, ..Warehouse::clone(&*edit.warehouse(oid)?) };
            edit.put_warehouse(changed);
        }
    }
    Ok(())
}

/// The roles' relations, those in their schemas, and what depends on them, in an order in which they can go.
fn owned_relations(snapshot: &Snapshot, database: Oid, roles: &[Oid], cascade: bool) -> Result<Vec<Arc<Relation>>, CatalogError> {
    let mut found: Vec<Arc<Relation>> = Vec::new();
    let mut dependents: Vec<String> = Vec::new();
    for schema in snapshot.schemas_in_database(database) {
        let whole = roles.contains(&schema.owner);
        for relation in snapshot.relations_in_schema(schema.oid) {
            let own = roles.contains(&relation.owner);
            if whole && !own {
                let line = format!("{} {} depends on schema {}", kind_of(relation), qualified(snapshot, relation), schema.name);
                dependents.push(line);
            }
            if own || whole {
                found.push(Arc::clone(relation));
            }
        }
    }
    let mut known: BTreeSet<Oid> = found.iter().map(|relation| relation.oid).collect();
    let mut at = 0;
    while let Some(relation) = found.get(at).cloned() {
        for view in snapshot.relations().filter(|view| view.depends_on().any(|oid| oid == relation.oid)) {
            if known.insert(view.oid) {
                let (view_name, name) = (qualified(snapshot, view), qualified(snapshot, &relation));
                dependents.push(format!("{} {view_name} depends on {} {name}", kind_of(view), kind_of(&relation)));
                found.push(Arc::clone(view));
            }
        }
        at += 1;
    }
    if !cascade && !dependents.is_empty() {
        return Err(CatalogError::DependentObjects {
            message: "cannot drop desired object(s) because other objects depend on them".to_owned(),
            dependents,
            hint: Some("Use DROP ... CASCADE to drop the dependent objects too."),
        });
    }
    found.reverse();
    Ok(found)
}

fn revoke_everywhere(edit: &mut Edit, database: Oid, role: Oid) {
    let lists: Vec<(ObjectRef, Arc<Acl>)> = concerned(&edit.snapshot, database)
        .filter_map(|object| Some((object, Arc::clone(edit.snapshot.stored_acl(object)?))))
        .filter(|(object, acl)| acl.mentions(role) && edit.snapshot.owner_of(*object) != Some(role))
        .collect();
    for (object, acl) in lists {
        let mut acl = Acl::clone(&acl);
        acl.forget(role);
        edit.put_acl(object, acl);
    }
    let with_columns: Vec<Arc<Relation>> = edit
        .snapshot
        .relations()
        .filter(|relation| relation.owner != role && relation.columns.iter().any(|column| column.acl.mentions(role)))
        .cloned()
        .collect();
    for relation in with_columns {
        let mut changed = Relation::clone(&relation);
        changed.columns.iter_mut().for_each(|column| column.acl.forget(role));
        edit.put_relation(changed);
    }
    let defaults: Vec<Arc<DefaultAcl>> = edit.snapshot.default_acls().filter(|default| default.database == database).cloned().collect();
    for default in defaults {
        if default.role == role {
            edit.write(Write::DropDefaultAcl(default.oid));
        } else if default.acl.mentions(role) {
            let mut changed = DefaultAcl::clone(&default);
            changed.acl.forget(role);
            edit.write(Write::DefaultAcl(Arc::new(changed)));
        }
    }
}
