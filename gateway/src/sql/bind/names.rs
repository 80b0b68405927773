//! Names to relations, by PostgreSQL's rules: `pg_catalog` first, then the search path, of the session's database; three
//! parts name any database.

use lakegate_catalog::Snapshot;
use lakegate_catalog::model::RelationName;

use crate::pg_catalog;
use crate::sqlstate::{SqlError, SqlState};

/// The database that shows Lakegate's own state to every connection.
pub const SYSTEM_DATABASE: &str = "system";

/// Where names without all their parts are looked for.
#[derive(Debug, Clone)]
pub struct NameScope {
    pub database: String,
    /// As the setting holds it, `"$user"` replaced; may name schemas that do not exist.
    pub search_path: Vec<String>,
}

impl NameScope {
    /// Finds a relation by its folded name parts; whether the role may see it is not decided here.
    ///
    /// # Errors
    /// 42P01 where there is none, 0A000 for names with more than three parts.
    pub fn resolve(&self, snapshot: &Snapshot, parts: &[String]) -> Result<RelationName, SqlError> {
        let name =
            |database: &str, schema: &str, name: &str| RelationName { database: database.into(), schema: schema.into(), name: name.into() };
        if let [.., schema, _] = parts
            && crate::sql::temporary::is_temporary(schema)
            && self.temporary() != Some(schema)
        {
            // Of another session.
            return Err(undefined(parts));
        }
        match parts {
            [schema, table] if schema == "pg_temp" => self
                .temporary()
                .map(|own| name(&self.database, own, table))
                .filter(|found| exists(snapshot, found))
                .ok_or_else(|| undefined(parts)),
            [table] => self
                .schemas_in_order()
                .map(|schema| name(&self.database, schema, table))
                .find(|candidate| exists(snapshot, candidate))
                .ok_or_else(|| undefined(parts)),
            [schema, table] => {
                // `lakegate.saved_queries` is there in every database, unless it has a schema of that name with such a table.
                let own = name(&self.database, schema, table);
                let every = name(SYSTEM_DATABASE, schema, table);
                let is_saved = crate::saved_queries::is_saved(&every);
                [Some(own), is_saved.then_some(every)]
                    .into_iter()
                    .flatten()
                    .find(|found| exists(snapshot, found))
                    .ok_or_else(|| undefined(parts))
            }
            [database, schema, table] => {
                if database != SYSTEM_DATABASE && snapshot.database_by_name(database).is_none() {
                    return Err(undefined(parts).detail(format!("There is no database \"{database}\".")));
                }
                Some(name(database, schema, table)).filter(|found| exists(snapshot, found)).ok_or_else(|| undefined(parts))
            }
            _ => Err(SqlError::new(SqlState::SyntaxError, format!("improper relation name (too many dotted names): {}", parts.join(".")))),
        }
    }

    /// Names a relation that is to be made: the first existing schema of the search path unless one is given.
    ///
    /// # Errors
    /// 3F000 where no schema fits, 42602 for names with more than three parts.
    pub fn place(&self, snapshot: &Snapshot, parts: &[String]) -> Result<RelationName, SqlError> {
        let (database, schema, name) = match parts {
            [name] => {
                let schema = self
                    .creation_schema(snapshot)
                    .ok_or_else(|| SqlError::new(SqlState::InvalidSchemaName, "no schema has been selected to create in"))?;
                (self.database.clone(), schema, name)
            }
            [schema, name] => (self.database.clone(), schema.clone(), name),
            [database, schema, name] => (database.clone(), schema.clone(), name),
            _ => {
                return Err(SqlError::new(
                    SqlState::SyntaxError,
                    format!("improper relation name (too many dotted names): {}", parts.join(".")),
                ));
            }
        };
        if matches!(schema.as_str(), pg_catalog::PG_CATALOG | pg_catalog::INFORMATION_SCHEMA) || database == SYSTEM_DATABASE {
            return Err(SqlError::new(SqlState::InsufficientPrivilege, format!("permission denied to create \"{schema}.{name}\""))
                .detail("System catalog modifications are currently disallowed."));
        }
        Ok(RelationName { database, schema, name: name.clone() })
    }

    /// Schemas of the path that exist, as `current_schemas(false)` lists them.
    #[must_use]
    pub fn existing_schemas(&self, snapshot: &Snapshot) -> Vec<String> {
        let database = snapshot.database_by_name(&self.database).map(|database| database.oid);
        self.search_path
            .iter()
            .filter(|schema| is_system(schema) || database.is_some_and(|database| snapshot.schema(database, schema).is_some()))
            .cloned()
            .collect()
    }

    fn creation_schema(&self, snapshot: &Snapshot) -> Option<String> {
        self.existing_schemas(snapshot).into_iter().find(|schema| !crate::sql::temporary::is_temporary(schema))
    }

    /// The session's schema of temporary tables, where it has one.
    #[must_use]
    pub fn temporary(&self) -> Option<&str> {
        crate::sql::temporary::own_schema(&self.search_path)
    }

    fn schemas_in_order(&self) -> impl Iterator<Item = &str> {
        let named = self.search_path.iter().any(|schema| schema == pg_catalog::PG_CATALOG);
        let implicit = (!named).then_some(pg_catalog::PG_CATALOG);
        let own = usize::from(self.temporary().is_some());
        let (temporary, path) = self.search_path.split_at(own);
        temporary.iter().map(String::as_str).chain(implicit).chain(path.iter().map(String::as_str))
    }
}

fn is_system(schema: &str) -> bool {
    schema == pg_catalog::PG_CATALOG || schema == pg_catalog::INFORMATION_SCHEMA
}

fn exists(snapshot: &Snapshot, name: &RelationName) -> bool {
    if name.database == SYSTEM_DATABASE && crate::system::has_relation(name) {
        return true;
    }
    if is_system(&name.schema) {
        return pg_catalog::has_relation(&name.schema, &name.name);
    }
    if name.database == SYSTEM_DATABASE {
        return crate::system::has_relation(name);
    }
    snapshot.relation_by_name(name).is_some()
}

/// 42P01, the name as written.
#[must_use]
pub fn undefined(parts: &[String]) -> SqlError {
    SqlError::new(SqlState::UndefinedTable, format!("relation \"{}\" does not exist", parts.join(".")))
}
