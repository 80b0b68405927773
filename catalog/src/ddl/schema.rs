//! CREATE, ALTER and DROP SCHEMA. Source: `src/backend/commands/schemacmds.c` of PostgreSQL 15.

use std::sync::Arc;

use super::database::{SYSTEM_DATABASE, check_new_owner};
use super::{Edit, check_name, default_acl};
use crate::authorize::{Principal, check, require_owner};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::governance::Tags;
use crate::model::{DefaultAclKind, ObjectRef, Oid, Privilege, Relation, Schema};
use crate::snapshot::{Snapshot, kind_of};

impl Catalog {
    /// CREATE SCHEMA [AUTHORIZATION owner].
    ///
    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`] without CREATE on the database, [`CatalogError::Duplicate`],
    /// [`CatalogError::ReservedName`].
    pub async fn create_schema(
        &self,
        principal: &Principal,
        database: Oid,
        name: &str,
        owner: Option<Oid>,
    ) -> Result<Arc<Schema>, CatalogError> {
        let (principal, name) = (*principal, name.to_owned());
        self.change(move |edit| {
            edit.database(database)?;
            check_not_system(edit, database)?;
            check(&edit.snapshot, &principal, ObjectRef::Database(database), Privilege::Create)?;
            let owner = owner.unwrap_or(principal.current_role);
            check_new_owner(edit, &principal, owner)?;
            check_schema_name(edit, database, &name)?;
            let oid = edit.new_oid()?;
            let schema = edit.put_schema(Schema { oid, database, name, owner, comment: None, tags: Tags::new() });
            default_acl::give(edit, ObjectRef::Schema(oid), DefaultAclKind::Schemas, (database, 0, owner));
            Ok(schema)
        })
        .await
    }

    /// DROP SCHEMA [CASCADE]; the relations that went are returned.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::DependentObjects`].
    pub async fn drop_schema(&self, principal: &Principal, schema: Oid, cascade: bool) -> Result<Vec<Arc<Relation>>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let old = edit.schema(schema)?;
            check_not_system(edit, old.database)?;
            require_owner(&edit.snapshot, &principal, ObjectRef::Schema(schema))?;
            let relations: Vec<Arc<Relation>> = edit.snapshot.relations_in_schema(schema).cloned().collect();
            if !relations.is_empty() && !cascade {
                let dependents = relations
                    .iter()
                    .map(|relation| format!("{} {} depends on schema {}", kind_of(relation), qualified(&edit.snapshot, relation), old.name))
                    .collect();
                return Err(CatalogError::DependentObjects {
                    message: format!("cannot drop schema {} because other objects depend on it", old.name),
                    dependents,
                    hint: Some("Use DROP ... CASCADE to drop the dependent objects too."),
                });
            }
            for relation in &relations {
                edit.drop_relation(relation.oid);
            }
            edit.drop_schema(schema);
            Ok(relations)
        })
        .await
    }

    /// ALTER SCHEMA … RENAME TO.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::InsufficientPrivilege`] without CREATE on the database,
    /// [`CatalogError::Duplicate`].
    pub async fn rename_schema(&self, principal: &Principal, schema: Oid, new_name: &str) -> Result<Arc<Schema>, CatalogError> {
        let (principal, new_name) = (*principal, new_name.to_owned());
        self.change(move |edit| {
            let mut renamed = Schema::clone(&*edit.schema(schema)?);
            check_not_system(edit, renamed.database)?;
            require_owner(&edit.snapshot, &principal, ObjectRef::Schema(schema))?;
            check(&edit.snapshot, &principal, ObjectRef::Database(renamed.database), Privilege::Create)?;
            check_schema_name(edit, renamed.database, &new_name)?;
            renamed.name = new_name;
            Ok(edit.put_schema(renamed))
        })
        .await
    }

    /// ALTER SCHEMA … OWNER TO.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Forbidden`].
    pub async fn change_schema_owner(&self, principal: &Principal, schema: Oid, owner: Oid) -> Result<Arc<Schema>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut changed = Schema::clone(&*edit.schema(schema)?);
            let object = ObjectRef::Schema(schema);
            require_owner(&edit.snapshot, &principal, object)?;
            check_new_owner(edit, &principal, owner)?;
            check(&edit.snapshot, &principal, ObjectRef::Database(changed.database), Privilege::Create)?;
            edit.change_acl_owner(object, changed.owner, owner);
            changed.owner = owner;
            Ok(edit.put_schema(changed))
        })
        .await
    }
}

pub(super) fn check_not_system(edit: &Edit, database: Oid) -> Result<(), CatalogError> {
    if edit.database(database)?.name == SYSTEM_DATABASE {
        return Err(CatalogError::forbidden("database \"system\" is kept by the server"));
    }
    Ok(())
}

/// `schema.name`.
pub(super) fn qualified(snapshot: &Snapshot, relation: &Relation) -> String {
    match snapshot.schema_by_oid(relation.schema) {
        Some(schema) => format!("{}.{}", schema.name, relation.name),
        None => relation.name.clone(),
    }
}

/// `table public.t`, one a relation.
pub(super) fn dependent_lines(snapshot: &Snapshot, relations: &[Arc<Relation>]) -> Vec<String> {
    relations.iter().map(|relation| format!("{} {}", kind_of(relation), qualified(snapshot, relation))).collect()
}

fn check_schema_name(edit: &Edit, database: Oid, name: &str) -> Result<(), CatalogError> {
    check_name(ObjectKind::Schema, name)?;
    if name.starts_with("pg_") && name != "pg_catalog" {
        return Err(CatalogError::ReservedName { kind: ObjectKind::Schema, name: name.to_owned() });
    }
    let of_system = name == "pg_catalog" || name == "information_schema";
    if of_system || edit.snapshot.schema(database, name).is_some() {
        return Err(CatalogError::Duplicate { kind: ObjectKind::Schema, name: name.to_owned() });
    }
    Ok(())
}
