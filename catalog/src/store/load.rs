//! Reading the whole catalog into a [`Snapshot`].

use std::sync::Arc;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::number;
use super::objects::{KINDS, RelationDocument};
use crate::acl::Acl;
use crate::authorize::NormalUrl;
use crate::error::CatalogError;
use crate::model::{
    Database, DefaultAcl, DefaultAclKind, ExternalLocation, Membership, ObjectRef, Oid, Relation, Role, RoleSettings, Schema, Warehouse,
};
use crate::snapshot::Snapshot;

/// All within the caller's transaction, so that the parts fit together.
pub(crate) async fn snapshot(connection: &mut AnyConnection, protected_roots: Arc<[NormalUrl]>) -> Result<Snapshot, CatalogError> {
    let version: i64 = sqlx::query_scalar("SELECT version FROM catalog_state WHERE id = 1").fetch_one(&mut *connection).await?;
    let mut snapshot = Snapshot::default();
    snapshot.version = number(version)?;
    snapshot.protected_roots = protected_roots;
    let sql = "SELECT oid, name, superuser, login, create_db, create_role, inherit, connection_limit, valid_until, bypass_rls FROM roles";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        snapshot.put_role(Arc::new(role(&row)?));
    }
    let sql = "SELECT role_oid, member_oid, admin_option, grantor_oid FROM memberships ORDER BY role_oid, member_oid";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let membership = Membership { role: oid(&row, 0)?, member: oid(&row, 1)?, admin: flag(&row, 2)?, grantor: oid(&row, 3)? };
        snapshot.memberships.push(membership);
    }
    let sql = "SELECT oid, name, owner_oid, comment_text, connection_limit, governance FROM databases";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let database = Database {
            oid: oid(&row, 0)?,
            name: row.try_get(1)?,
            owner: oid(&row, 2)?,
            connection_limit: number(row.try_get(4)?)?,
            comment: row.try_get(3)?,
            governance: document(&row, 5)?,
        };
        snapshot.put_database(Arc::new(database));
    }
    let sql = "SELECT oid, database_oid, name, owner_oid, comment_text, tags FROM schemas";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        snapshot.put_schema(Arc::new(Schema {
            oid: oid(&row, 0)?,
            database: oid(&row, 1)?,
            name: row.try_get(2)?,
            owner: oid(&row, 3)?,
            comment: row.try_get(4)?,
            tags: document(&row, 5)?,
        }));
    }
    let sql = "SELECT oid, type_oid, schema_oid, name, owner_oid, kind, location, document FROM relations";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        snapshot.put_relation(Arc::new(relation(&row)?));
    }
    let sql = "SELECT oid, name, url, owner_oid FROM external_locations";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let location = ExternalLocation { oid: oid(&row, 0)?, name: row.try_get(1)?, url: row.try_get(2)?, owner: oid(&row, 3)? };
        snapshot.locations.insert(location.oid, Arc::new(location));
    }
    for row in sqlx::query("SELECT oid, name, owner_oid, document FROM warehouses").fetch_all(&mut *connection).await? {
        let limits: String = row.try_get(3)?;
        let limits = serde_json::from_str(&limits).map_err(CatalogError::corrupted)?;
        let warehouse = Warehouse { oid: oid(&row, 0)?, name: row.try_get(1)?, owner: oid(&row, 2)?, limits };
        snapshot.warehouses.insert(warehouse.oid, Arc::new(warehouse));
    }
    let sql = "SELECT object_kind, object_oid, items FROM acls";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let items: String = row.try_get(2)?;
        let acl: Acl = serde_json::from_str(&items).map_err(CatalogError::corrupted)?;
        snapshot.acls.insert(object(&row)?, Arc::new(acl));
    }
    let sql = "SELECT database_oid, role_oid, settings FROM role_settings";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let text: String = row.try_get(2)?;
        let settings = serde_json::from_str(&text).map_err(CatalogError::corrupted)?;
        let settings = RoleSettings { database: oid(&row, 0)?, role: oid(&row, 1)?, settings };
        snapshot.role_settings.insert((settings.database, settings.role), Arc::new(settings));
    }
    let sql = "SELECT oid, database_oid, role_oid, schema_oid, object_kind, items FROM default_acls";
    for row in sqlx::query(sql).fetch_all(&mut *connection).await? {
        let acl = default_acl(&row)?;
        snapshot.default_acls.insert(acl.oid, Arc::new(acl));
    }
    snapshot.intended = Arc::new(crate::intents::intended(&mut *connection).await?);
    snapshot.together = Arc::new(crate::intents::groups(&mut *connection).await?);
    snapshot.close_memberships();
    Ok(snapshot)
}

fn role(row: &AnyRow) -> Result<Role, CatalogError> {
    Ok(Role {
        oid: oid(row, 0)?,
        name: row.try_get(1)?,
        superuser: flag(row, 2)?,
        login: flag(row, 3)?,
        create_db: flag(row, 4)?,
        create_role: flag(row, 5)?,
        inherit: flag(row, 6)?,
        connection_limit: number(row.try_get(7)?)?,
        valid_until: row.try_get(8)?,
        bypass_rls: flag(row, 9)?,
    })
}

fn default_acl(row: &AnyRow) -> Result<DefaultAcl, CatalogError> {
    let (kind, items): (String, String) = (row.try_get(4)?, row.try_get(5)?);
    let known = DefaultAclKind::ALL.into_iter().find(|known| known.letter() == kind);
    Ok(DefaultAcl {
        oid: oid(row, 0)?,
        database: oid(row, 1)?,
        role: oid(row, 2)?,
        schema: oid(row, 3)?,
        kind: known.ok_or_else(|| CatalogError::corrupted(format!("default privileges of {kind}")))?,
        acl: serde_json::from_str(&items).map_err(CatalogError::corrupted)?,
    })
}

fn relation(row: &AnyRow) -> Result<Relation, CatalogError> {
    let kind: String = row.try_get(5)?;
    let document: String = row.try_get(7)?;
    let document: RelationDocument = serde_json::from_str(&document).map_err(CatalogError::corrupted)?;
    let known = KINDS.iter().find(|(_, word)| *word == kind);
    Ok(Relation {
        oid: oid(row, 0)?,
        type_oid: oid(row, 1)?,
        schema: oid(row, 2)?,
        name: row.try_get(3)?,
        owner: oid(row, 4)?,
        kind: known.map(|(kind, _)| *kind).ok_or_else(|| CatalogError::corrupted(format!("relation kind {kind}")))?,
        location: row.try_get(6)?,
        columns: document.columns,
        partition_columns: document.partition_columns,
        constraints: document.constraints,
        definition: document.definition,
        comment: document.comment,
        properties: document.properties,
        indexes: document.indexes,
        sequence: document.sequence,
        tags: document.tags,
        row_security: document.row_security,
    })
}

/// A column of JSON.
fn document<T: serde::de::DeserializeOwned>(row: &AnyRow, column: usize) -> Result<T, CatalogError> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text).map_err(CatalogError::corrupted)
}

fn object(row: &AnyRow) -> Result<ObjectRef, CatalogError> {
    let (kind, oid): (String, Oid) = (row.try_get(0)?, oid(row, 1)?);
    match kind.as_str() {
        "database" => Ok(ObjectRef::Database(oid)),
        "schema" => Ok(ObjectRef::Schema(oid)),
        "relation" => Ok(ObjectRef::Relation(oid)),
        "location" => Ok(ObjectRef::ExternalLocation(oid)),
        "warehouse" => Ok(ObjectRef::Warehouse(oid)),
        _ => Err(CatalogError::corrupted(format!("object kind {kind}"))),
    }
}

fn oid(row: &AnyRow, column: usize) -> Result<Oid, CatalogError> {
    number(row.try_get(column)?)
}

fn flag(row: &AnyRow, column: usize) -> Result<bool, CatalogError> {
    let value: i64 = row.try_get(column)?;
    Ok(value != 0)
}
