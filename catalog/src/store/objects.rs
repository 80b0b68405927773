//! Writing the rows of one change.

use serde::{Deserialize, Serialize};
use sqlx::AnyConnection;

use crate::ddl::Write;
use crate::error::CatalogError;
use crate::governance::{RowSecurity, Tags};
use crate::model::{
    Column, Constraint, Database, DefaultAcl, ExternalLocation, Index, Membership, ObjectRef, Oid, Relation, RelationKind, Role,
    RoleSettings, Schema, Sequence, Warehouse,
};
use std::collections::BTreeMap;

/// The nested parts of a relation, as stored.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RelationDocument {
    pub(super) columns: Vec<Column>,
    pub(super) partition_columns: Vec<String>,
    pub(super) constraints: Vec<Constraint>,
    pub(super) definition: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) indexes: Vec<Index>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) sequence: Option<Sequence>,
    #[serde(default, skip_serializing_if = "Tags::is_empty")]
    pub(super) tags: Tags,
    #[serde(default, skip_serializing_if = "RowSecurity::is_default")]
    pub(super) row_security: RowSecurity,
}

pub(super) const KINDS: [(RelationKind, &str); 5] = [
    (RelationKind::ManagedTable, "managed"),
    (RelationKind::ExternalTable, "external"),
    (RelationKind::View, "view"),
    (RelationKind::MaterializedView, "materialized"),
    (RelationKind::Sequence, "sequence"),
];

/// Kind and OID of an object in `acls`.
pub(super) fn object_key(object: ObjectRef) -> (&'static str, i64) {
    match object {
        ObjectRef::Database(oid) => ("database", oid.into()),
        ObjectRef::Schema(oid) => ("schema", oid.into()),
        ObjectRef::Relation(oid) => ("relation", oid.into()),
        ObjectRef::ExternalLocation(oid) => ("location", oid.into()),
        ObjectRef::Warehouse(oid) => ("warehouse", oid.into()),
    }
}

pub(crate) async fn apply(connection: &mut AnyConnection, write: &Write) -> Result<(), CatalogError> {
    match write {
        Write::Role(role) => put_role(connection, role).await,
        Write::DropRole(oid) => {
            delete(connection, "DELETE FROM tokens WHERE role_oid = $1", *oid).await?;
            delete(connection, "DELETE FROM roles WHERE oid = $1", *oid).await
        }
        Write::Password(oid, sealed) => {
            sqlx::query("UPDATE roles SET password = $1 WHERE oid = $2")
                .bind(sealed.clone())
                .bind(i64::from(*oid))
                .execute(connection)
                .await?;
            Ok(())
        }
        Write::Membership(membership) => put_membership(connection, membership).await,
        Write::DropMembership { role, member } => {
            sqlx::query("DELETE FROM memberships WHERE role_oid = $1 AND member_oid = $2")
                .bind(i64::from(*role))
                .bind(i64::from(*member))
                .execute(connection)
                .await?;
            Ok(())
        }
        Write::Database(database) => put_database(connection, database).await,
        Write::DropDatabase(oid) => {
            delete(connection, "DELETE FROM databases WHERE oid = $1", *oid).await?;
            put_acl(connection, ObjectRef::Database(*oid), None).await
        }
        Write::Schema(schema) => put_schema(connection, schema).await,
        Write::DropSchema(oid) => {
            delete(connection, "DELETE FROM schemas WHERE oid = $1", *oid).await?;
            put_acl(connection, ObjectRef::Schema(*oid), None).await
        }
        Write::Relation(relation) => put_relation(connection, relation).await,
        Write::DropRelation(oid) => {
            delete(connection, "DELETE FROM relations WHERE oid = $1", *oid).await?;
            delete(connection, "DELETE FROM sequence_states WHERE oid = $1", *oid).await?;
            put_acl(connection, ObjectRef::Relation(*oid), None).await
        }
        Write::Location(location) => put_location(connection, location).await,
        Write::DropLocation(oid) => {
            delete(connection, "DELETE FROM external_locations WHERE oid = $1", *oid).await?;
            put_acl(connection, ObjectRef::ExternalLocation(*oid), None).await
        }
        Write::Warehouse(warehouse) => put_warehouse(connection, warehouse).await,
        Write::DropWarehouse(oid) => {
            delete(connection, "DELETE FROM warehouses WHERE oid = $1", *oid).await?;
            put_acl(connection, ObjectRef::Warehouse(*oid), None).await
        }
        Write::Acl(object, acl) => {
            let items = acl.as_ref().map(|acl| serde_json::to_string(&**acl)).transpose().map_err(CatalogError::internal)?;
            put_acl(connection, *object, items).await
        }
        Write::RoleSettings(settings) => put_role_settings(connection, settings).await,
        Write::DefaultAcl(acl) => put_default_acl(connection, acl).await,
        Write::DropDefaultAcl(oid) => delete(connection, "DELETE FROM default_acls WHERE oid = $1", *oid).await,
    }
}

/// Without settings there is no row.
async fn put_role_settings(connection: &mut AnyConnection, settings: &RoleSettings) -> Result<(), CatalogError> {
    sqlx::query("DELETE FROM role_settings WHERE database_oid = $1 AND role_oid = $2")
        .bind(i64::from(settings.database))
        .bind(i64::from(settings.role))
        .execute(&mut *connection)
        .await?;
    if !settings.settings.is_empty() {
        sqlx::query("INSERT INTO role_settings (database_oid, role_oid, settings) VALUES ($1, $2, $3)")
            .bind(i64::from(settings.database))
            .bind(i64::from(settings.role))
            .bind(serde_json::to_string(&settings.settings).map_err(CatalogError::internal)?)
            .execute(connection)
            .await?;
    }
    Ok(())
}

async fn put_default_acl(connection: &mut AnyConnection, acl: &DefaultAcl) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO default_acls (oid, database_oid, role_oid, schema_oid, object_kind, items) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (oid) DO UPDATE SET items = excluded.items",
    )
    .bind(i64::from(acl.oid))
    .bind(i64::from(acl.database))
    .bind(i64::from(acl.role))
    .bind(i64::from(acl.schema))
    .bind(acl.kind.letter())
    .bind(serde_json::to_string(&acl.acl).map_err(CatalogError::internal)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn delete(connection: &mut AnyConnection, sql: &'static str, oid: Oid) -> Result<(), CatalogError> {
    sqlx::query(sql).bind(i64::from(oid)).execute(connection).await?;
    Ok(())
}

async fn put_role(connection: &mut AnyConnection, role: &Role) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO roles (oid, name, superuser, login, create_db, create_role, inherit, connection_limit, valid_until, \
         bypass_rls) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (oid) DO UPDATE SET name = excluded.name, superuser = excluded.superuser, login = excluded.login, \
         create_db = excluded.create_db, create_role = excluded.create_role, inherit = excluded.inherit, \
         connection_limit = excluded.connection_limit, valid_until = excluded.valid_until, bypass_rls = excluded.bypass_rls",
    )
    .bind(i64::from(role.oid))
    .bind(role.name.clone())
    .bind(i64::from(role.superuser))
    .bind(i64::from(role.login))
    .bind(i64::from(role.create_db))
    .bind(i64::from(role.create_role))
    .bind(i64::from(role.inherit))
    .bind(i64::from(role.connection_limit))
    .bind(role.valid_until)
    .bind(i64::from(role.bypass_rls))
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_membership(connection: &mut AnyConnection, membership: &Membership) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO memberships (role_oid, member_oid, admin_option, grantor_oid) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (role_oid, member_oid) DO UPDATE SET admin_option = excluded.admin_option, grantor_oid = excluded.grantor_oid",
    )
    .bind(i64::from(membership.role))
    .bind(i64::from(membership.member))
    .bind(i64::from(membership.admin))
    .bind(i64::from(membership.grantor))
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_database(connection: &mut AnyConnection, database: &Database) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO databases (oid, name, owner_oid, comment_text, governance, connection_limit) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (oid) DO UPDATE SET name = excluded.name, owner_oid = excluded.owner_oid, comment_text = excluded.comment_text, \
         governance = excluded.governance, connection_limit = excluded.connection_limit",
    )
    .bind(i64::from(database.oid))
    .bind(database.name.clone())
    .bind(i64::from(database.owner))
    .bind(database.comment.clone())
    .bind(serde_json::to_string(&database.governance).map_err(CatalogError::internal)?)
    .bind(i64::from(database.connection_limit))
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_schema(connection: &mut AnyConnection, schema: &Schema) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO schemas (oid, database_oid, name, owner_oid, comment_text, tags) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (oid) DO UPDATE SET name = excluded.name, owner_oid = excluded.owner_oid, comment_text = excluded.comment_text, \
         tags = excluded.tags",
    )
    .bind(i64::from(schema.oid))
    .bind(i64::from(schema.database))
    .bind(schema.name.clone())
    .bind(i64::from(schema.owner))
    .bind(schema.comment.clone())
    .bind(serde_json::to_string(&schema.tags).map_err(CatalogError::internal)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_relation(connection: &mut AnyConnection, relation: &Relation) -> Result<(), CatalogError> {
    let document = RelationDocument {
        columns: relation.columns.clone(),
        partition_columns: relation.partition_columns.clone(),
        constraints: relation.constraints.clone(),
        definition: relation.definition.clone(),
        comment: relation.comment.clone(),
        properties: relation.properties.clone(),
        indexes: relation.indexes.clone(),
        sequence: relation.sequence.clone(),
        tags: relation.tags.clone(),
        row_security: relation.row_security.clone(),
    };
    let kind = KINDS.iter().find(|(kind, _)| *kind == relation.kind).map_or("", |(_, word)| *word);
    sqlx::query(
        "INSERT INTO relations (oid, type_oid, schema_oid, name, owner_oid, kind, location, document) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
         ON CONFLICT (oid) DO UPDATE SET schema_oid = excluded.schema_oid, name = excluded.name, owner_oid = excluded.owner_oid, \
         kind = excluded.kind, location = excluded.location, document = excluded.document",
    )
    .bind(i64::from(relation.oid))
    .bind(i64::from(relation.type_oid))
    .bind(i64::from(relation.schema))
    .bind(relation.name.clone())
    .bind(i64::from(relation.owner))
    .bind(kind.to_owned())
    .bind(relation.location.clone())
    .bind(serde_json::to_string(&document).map_err(CatalogError::internal)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_location(connection: &mut AnyConnection, location: &ExternalLocation) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO external_locations (oid, name, url, owner_oid) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (oid) DO UPDATE SET name = excluded.name, url = excluded.url, owner_oid = excluded.owner_oid",
    )
    .bind(i64::from(location.oid))
    .bind(location.name.clone())
    .bind(location.url.clone())
    .bind(i64::from(location.owner))
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_warehouse(connection: &mut AnyConnection, warehouse: &Warehouse) -> Result<(), CatalogError> {
    sqlx::query(
        "INSERT INTO warehouses (oid, name, owner_oid, document) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (oid) DO UPDATE SET name = excluded.name, owner_oid = excluded.owner_oid, document = excluded.document",
    )
    .bind(i64::from(warehouse.oid))
    .bind(warehouse.name.clone())
    .bind(i64::from(warehouse.owner))
    .bind(serde_json::to_string(&warehouse.limits).map_err(CatalogError::internal)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_acl(connection: &mut AnyConnection, object: ObjectRef, items: Option<String>) -> Result<(), CatalogError> {
    let (kind, oid) = object_key(object);
    let query = match items {
        Some(items) => sqlx::query(
            "INSERT INTO acls (object_kind, object_oid, items) VALUES ($1, $2, $3) \
             ON CONFLICT (object_kind, object_oid) DO UPDATE SET items = excluded.items",
        )
        .bind(kind.to_owned())
        .bind(oid)
        .bind(items),
        None => sqlx::query("DELETE FROM acls WHERE object_kind = $1 AND object_oid = $2").bind(kind.to_owned()).bind(oid),
    };
    query.execute(connection).await?;
    Ok(())
}
