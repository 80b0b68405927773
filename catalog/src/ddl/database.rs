//! CREATE, ALTER and DROP DATABASE. Source: `src/backend/commands/dbcommands.c` of PostgreSQL 15.

use std::sync::Arc;

use super::edit::Edit;
use super::{check_name, schema};
use crate::acl::{Acl, Privileges};
use crate::authorize::{Principal, require_owner};
use crate::catalog::Catalog;
use crate::error::{CatalogError, ObjectKind};
use crate::governance::{Governance, Tags};
use crate::model::{Database, ObjectRef, Oid, PUBLIC, Privilege, Relation, Schema};

impl Catalog {
    /// CREATE DATABASE [OWNER]; it comes with schema `public`.
    ///
    /// # Errors
    /// [`CatalogError::Forbidden`] without CREATEDB, [`CatalogError::Duplicate`].
    pub async fn create_database(&self, principal: &Principal, name: &str, owner: Option<Oid>) -> Result<Arc<Database>, CatalogError> {
        let (principal, name) = (*principal, name.to_owned());
        self.change(move |edit| {
            let me = edit.role(principal.current_role)?;
            if !me.superuser && !me.create_db {
                return Err(CatalogError::forbidden("permission denied to create database"));
            }
            let owner = owner.unwrap_or(me.oid);
            check_new_owner(edit, &principal, owner)?;
            check_database_name(edit, &name)?;
            add_database(edit, name, owner, true)
        })
        .await
    }

    /// DROP DATABASE. Refused while relations stand in it, unless `cascade`. The relations that went are returned, so that the
    /// files of managed tables can be removed. Whether somebody is connected is the gateway's to know.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::DependentObjects`].
    pub async fn drop_database(&self, principal: &Principal, database: Oid, cascade: bool) -> Result<Vec<Arc<Relation>>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let old = edit.database(database)?;
            require_owner(&edit.snapshot, &principal, ObjectRef::Database(database))?;
            if old.name == SYSTEM_DATABASE {
                return Err(CatalogError::forbidden("cannot drop the system database"));
            }
            let schemas: Vec<Arc<Schema>> = edit.snapshot.schemas_in_database(database).cloned().collect();
            let relations: Vec<Arc<Relation>> =
                schemas.iter().flat_map(|schema| edit.snapshot.relations_in_schema(schema.oid)).cloned().collect();
            if !relations.is_empty() && !cascade {
                return Err(CatalogError::DependentObjects {
                    message: format!("cannot drop database \"{}\" because it is not empty", old.name),
                    dependents: schema::dependent_lines(&edit.snapshot, &relations),
                    hint: Some("Drop its tables first: the files of managed tables go with them."),
                });
            }
            for relation in &relations {
                edit.drop_relation(relation.oid);
            }
            for schema in &schemas {
                edit.drop_schema(schema.oid);
            }
            edit.drop_database(database);
            Ok(relations)
        })
        .await
    }

    /// ALTER DATABASE … RENAME TO.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Forbidden`] without CREATEDB, [`CatalogError::Duplicate`].
    pub async fn rename_database(&self, principal: &Principal, database: Oid, new_name: &str) -> Result<Arc<Database>, CatalogError> {
        let (principal, new_name) = (*principal, new_name.to_owned());
        self.change(move |edit| {
            let mut renamed = Database::clone(&*edit.database(database)?);
            require_owner(&edit.snapshot, &principal, ObjectRef::Database(database))?;
            let me = edit.role(principal.current_role)?;
            if !me.superuser && !me.create_db {
                return Err(CatalogError::forbidden("permission denied to rename database"));
            }
            if renamed.name == SYSTEM_DATABASE {
                return Err(CatalogError::forbidden("cannot rename the system database"));
            }
            check_database_name(edit, &new_name)?;
            renamed.name = new_name;
            Ok(edit.put_database(renamed))
        })
        .await
    }

    /// ALTER DATABASE … CONNECTION LIMIT; -1 means none.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::InvalidParameter`].
    pub async fn limit_database(&self, principal: &Principal, database: Oid, connections: i32) -> Result<Arc<Database>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            require_owner(&edit.snapshot, &principal, ObjectRef::Database(database))?;
            if connections < -1 {
                return Err(CatalogError::parameter(format!("invalid connection limit: {connections}")));
            }
            let changed = Database { connection_limit: connections, ..Database::clone(&*edit.database(database)?) };
            Ok(edit.put_database(changed))
        })
        .await
    }

    /// ALTER DATABASE … OWNER TO.
    ///
    /// # Errors
    /// [`CatalogError::MustBeOwner`], [`CatalogError::Forbidden`].
    pub async fn change_database_owner(&self, principal: &Principal, database: Oid, owner: Oid) -> Result<Arc<Database>, CatalogError> {
        let principal = *principal;
        self.change(move |edit| {
            let mut changed = Database::clone(&*edit.database(database)?);
            let object = ObjectRef::Database(database);
            require_owner(&edit.snapshot, &principal, object)?;
            check_new_owner(edit, &principal, owner)?;
            let me = edit.role(principal.current_role)?;
            if !me.superuser && !me.create_db {
                return Err(CatalogError::forbidden("permission denied to change owner of database"));
            }
            edit.change_acl_owner(object, changed.owner, owner);
            changed.owner = owner;
            Ok(edit.put_database(changed))
        })
        .await
    }
}

/// Holds what the server tells of itself; read only.
pub(crate) const SYSTEM_DATABASE: &str = "system";

/// Makes a database and, with `public`, its schema `public` as PostgreSQL 15 has it: PUBLIC may use it, not create in it.
pub(crate) fn add_database(edit: &mut Edit, name: String, owner: Oid, public: bool) -> Result<Arc<Database>, CatalogError> {
    let oid = edit.new_oid()?;
    let database = edit.put_database(Database { oid, name, owner, connection_limit: -1, comment: None, governance: Governance::default() });
    if public {
        let schema_oid = edit.new_oid()?;
        let comment = Some("standard public schema".to_owned());
        edit.put_schema(Schema { oid: schema_oid, database: oid, name: "public".to_owned(), owner, comment, tags: Tags::new() });
        let object = ObjectRef::Schema(schema_oid);
        let mut acl = Acl::default_for(object, owner);
        acl.grant(PUBLIC, owner, Privileges::of(&[Privilege::Usage]), Privileges::NONE);
        edit.put_acl(object, acl);
    }
    Ok(database)
}

/// Who gives an object away must be able to become the new owner (`check_can_set_role`).
pub(super) fn check_new_owner(edit: &Edit, principal: &Principal, owner: Oid) -> Result<(), CatalogError> {
    let role = edit.role(owner)?;
    if edit.snapshot.is_member_of(principal.current_role, owner) {
        return Ok(());
    }
    Err(CatalogError::forbidden(format!("must be member of role \"{}\"", role.name)))
}

fn check_database_name(edit: &Edit, name: &str) -> Result<(), CatalogError> {
    check_name(ObjectKind::Database, name)?;
    if edit.snapshot.database_by_name(name).is_some() {
        return Err(CatalogError::Duplicate { kind: ObjectKind::Database, name: name.to_owned() });
    }
    Ok(())
}
