//! `pg_database`: databases that the role may see, and `system`.

use arrow_array::RecordBatch;
use lakegate_catalog::authorize::visible_databases;
use lakegate_catalog::model::{BOOTSTRAP_ROLE_OID, ObjectRef, Oid};

use crate::pg_catalog::Context;
use crate::pg_catalog::cells::Columns;
use crate::pg_catalog::objects::SYSTEM_DATABASE_OID;
use crate::pg_catalog::recorded::Recorded;
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sqlstate::SqlError;

/// `PG_UTF8` in `pg_wchar.h`.
const ENCODING_UTF8: i32 = 6;
/// `pg_default`.
const TABLESPACE: Oid = 1663;

struct Database<'a> {
    oid: Oid,
    name: &'a str,
    owner: Oid,
    connection_limit: i32,
    acl: Option<Vec<String>>,
}

pub fn rows(relation: &'static Recorded, context: &Context<'_>) -> Result<Vec<RecordBatch>, SqlError> {
    let snapshot = context.snapshot;
    // The catalog's own entry keeps the name from being taken; clients see the one with the fixed number.
    let mut databases: Vec<Database<'_>> = visible_databases(snapshot, context.principal.current_role)
        .filter(|database| database.name != SYSTEM_DATABASE)
        .map(|database| Database {
            oid: database.oid,
            name: &database.name,
            owner: database.owner,
            connection_limit: database.connection_limit,
            acl: snapshot.acl_texts(ObjectRef::Database(database.oid)),
        })
        .collect();
    databases.push(Database {
        oid: SYSTEM_DATABASE_OID,
        name: SYSTEM_DATABASE,
        owner: BOOTSTRAP_ROLE_OID,
        connection_limit: -1,
        acl: None,
    });
    Columns::over(relation, &databases)
        .put("oid", |database| database.oid)
        .put("datname", |database| database.name)
        .put("datdba", |database| database.owner)
        .all("encoding", ENCODING_UTF8)
        .all("datlocprovider", "c")
        .all("datistemplate", false)
        .all("datallowconn", true)
        .put("datconnlimit", |database| database.connection_limit)
        .all("datfrozenxid", 0)
        .all("datminmxid", 1)
        .all("dattablespace", TABLESPACE)
        .all("datcollate", "C")
        .all("datctype", "C.UTF-8")
        .put("datacl", |database| database.acl.clone())
        .finish()
}
