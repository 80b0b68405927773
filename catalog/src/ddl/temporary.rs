//! Schemas of temporary tables, one a session, as PostgreSQL's `pg_temp_3`. They are objects like others; the session that made one drops
//! it at its end, and what a crash left is dropped at the next start.

use std::sync::Arc;

use super::schema::check_not_system;
use crate::acl::{Acl, Privileges};
use crate::authorize::{Principal, check};
use crate::catalog::Catalog;
use crate::error::CatalogError;
use crate::governance::Tags;
use crate::model::{ObjectRef, Oid, PUBLIC, Privilege, Relation, Schema};

/// What all their names begin with.
pub const TEMPORARY_PREFIX: &str = "pg_temp_";

impl Catalog {
    /// What the names of this gateway's temporary schemas begin with: gateways that share a catalog tell theirs apart.
    #[must_use]
    pub fn temporary_prefix(&self) -> String {
        if self.is_sole_process() {
            return TEMPORARY_PREFIX.to_owned();
        }
        let hash =
            self.log().identity().writer.bytes().fold(0xcbf2_9ce4_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        format!("{TEMPORARY_PREFIX}{hash:08x}_")
    }

    /// Makes a session's schema; whoever the session's role becomes may create in it.
    ///
    /// # Errors
    /// [`CatalogError::InsufficientPrivilege`] without TEMPORARY on the database.
    pub async fn create_temporary_schema(&self, principal: &Principal, database: Oid, name: &str) -> Result<Arc<Schema>, CatalogError> {
        let (principal, name) = (*principal, name.to_owned());
        self.change(move |edit| {
            check_not_system(edit, database)?;
            check(&edit.snapshot, &principal, ObjectRef::Database(database), Privilege::Temporary)?;
            if let Some(known) = edit.snapshot.schema(database, &name) {
                return Ok(Arc::clone(known));
            }
            let (oid, owner) = (edit.new_oid()?, principal.session_role);
            let schema = edit.put_schema(Schema { oid, database, name, owner, comment: None, tags: Tags::new() });
            let object = ObjectRef::Schema(oid);
            let mut acl = Acl::default_for(object, owner);
            acl.grant(PUBLIC, owner, Privileges::of(&[Privilege::Usage, Privilege::Create]), Privileges::NONE);
            edit.put_acl(object, acl);
            Ok(schema)
        })
        .await
    }

    /// Drops the schema of that name, or those whose names begin so where it ends with an underscore, with all that is in them; gives the relations that went.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn drop_temporary_schemas(&self, prefix: &str) -> Result<Vec<Arc<Relation>>, CatalogError> {
        let prefix = prefix.to_owned();
        let has_some = self.snapshot().schemas.values().any(|schema| is_meant(&schema.name, &prefix));
        if !has_some || !prefix.starts_with(TEMPORARY_PREFIX) {
            return Ok(Vec::new());
        }
        self.change(move |edit| {
            let schemas: Vec<Arc<Schema>> =
                edit.snapshot.schemas.values().filter(|schema| is_meant(&schema.name, &prefix)).cloned().collect();
            let mut dropped = Vec::new();
            for schema in schemas {
                let relations: Vec<Arc<Relation>> = edit.snapshot.relations_in_schema(schema.oid).cloned().collect();
                for relation in relations {
                    edit.drop_relation(relation.oid);
                    dropped.push(relation);
                }
                edit.drop_schema(schema.oid);
            }
            Ok(dropped)
        })
        .await
    }
}

fn is_meant(name: &str, wanted: &str) -> bool {
    if wanted.ends_with('_') { name.starts_with(wanted) } else { name == wanted }
}
