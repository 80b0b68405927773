//! Database `system`: Lakegate's own state as tables, names and columns as DESIGN.md section 3.7 fixes them.

pub mod audit;
pub mod blind_index;
pub mod caches;
pub(crate) mod columns;
mod compute;
mod detections;
mod governance;
mod log_records;
mod privacy;
mod progress;
pub mod query_history;
mod tokens;
mod unsupported;

use arrow_schema::SchemaRef;
use chrono::{DateTime, Utc};
use lakegate_catalog::audit::AuditEvent;
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::flushed::Log;
use lakegate_catalog::model::RelationName;
use lakegate_catalog::{Catalog, LogMoment, Snapshot};
use lakegate_engine_api::RelationSource;

use self::log_records::Recent;
use crate::server::LiveSessions;
use crate::sql::bind::undefined;
use crate::sqlstate::SqlError;

/// (schema, table) of every relation. Their OIDs follow from this order: new ones go to the end.
pub const RELATIONS: &[(&str, &str)] = &[
    ("access", "audit"),
    ("query", "history"),
    ("compat", "unsupported"),
    ("information_schema", "catalog_tags"),
    ("information_schema", "schema_tags"),
    ("information_schema", "table_tags"),
    ("information_schema", "column_tags"),
    ("information_schema", "column_masks"),
    ("access", "tokens"),
    ("query", "progress"),
    ("privacy", "requests"),
    ("privacy", "certificates"),
    ("access", "detections"),
    ("access", "findings"),
    crate::saved_queries::QUERIES,
    crate::saved_queries::VERSIONS,
    ("compute", "warehouses"),
    ("compute", "engines"),
    ("compute", "caches"),
];

/// Whether database `system` has the relation.
#[must_use]
pub fn has_relation(name: &RelationName) -> bool {
    RELATIONS.iter().any(|(schema, table)| *schema == name.schema && *table == name.name)
}

/// The columns of a relation of database `system`.
#[must_use]
pub fn schema(schema: &str, table: &str) -> Option<SchemaRef> {
    let empty = match (schema, table) {
        ("query", "history") => query_history::table(&[]),
        ("query", "progress") => progress::table(&[]),
        ("access", "audit") => audit::table(&[]),
        ("access", "tokens") => tokens::table(&[]),
        ("privacy", "requests") => privacy::requests_table(&[]),
        ("privacy", "certificates") => privacy::certificates_table(&[]),
        ("access", "detections") => detections::rules_table(&[]),
        ("access", "findings") => detections::findings_table(&[]),
        ("compat", "unsupported") => unsupported::table(&[]),
        ("lakegate", "saved_queries") => crate::saved_queries::queries_table(&[]),
        ("lakegate", "saved_query_versions") => crate::saved_queries::versions_table(&[]),
        ("compute", "warehouses") => compute::warehouses_table(&[]),
        ("compute", "engines") => compute::engines_table(&[]),
        ("compute", "caches") => caches::table(&[]),
        ("information_schema", table) => match governance::empty(table) {
            Ok(Some(source)) => Ok(source),
            _ => return None,
        },
        _ => return None,
    };
    match empty {
        Ok(RelationSource::Rows { schema, .. }) => Some(schema),
        _ => None,
    }
}

/// Which records of the logs are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogWindow {
    /// At or after.
    pub since: Option<DateTime<Utc>>,
    /// Before.
    pub until: Option<DateTime<Utc>>,
    /// What is sealed, too, as far as the role may read it.
    pub opens: bool,
    /// The newest; `None`: all.
    pub limit: Option<u32>,
}

/// A relation of the moment.
pub struct SystemRows {
    pub source: RelationSource,
    /// The log that goes on in the data plane, and the version of its table.
    pub older: Option<(Log, u64)>,
}

/// Makes the relations' rows from the catalog, each time they are asked for.
pub struct SystemRelations {
    catalog: Catalog,
    live: LiveSessions,
    started: DateTime<Utc>,
}

impl SystemRelations {
    #[must_use]
    pub fn new(catalog: Catalog, live: LiveSessions) -> Self {
        SystemRelations { catalog, live, started: Utc::now() }
    }

    /// Sessions of this gateway, for `pg_stat_activity`.
    #[must_use]
    pub fn live(&self) -> &LiveSessions {
        &self.live
    }

    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The rows that the role may see; `reader` says who asks for them, as the audit log tells it: asked where sealed texts may be opened.
    ///
    /// # Errors
    /// 42P01; 57P03 where the catalog cannot be reached.
    pub async fn rows(
        &self,
        name: &RelationName,
        principal: &Principal,
        snapshot: &Snapshot,
        reader: impl FnOnce() -> AuditEvent + Send,
    ) -> Result<SystemRows, SqlError> {
        let log = match (name.schema.as_str(), name.name.as_str()) {
            ("query", "history") => Log::Statements,
            ("access", "audit") => Log::Events,
            ("compat", "unsupported") => {
                let (source, opened) = unsupported::rows(&self.catalog, principal).await?;
                if opened > 0 {
                    self.catalog.audit(audit::opened(reader(), opened), true).await?;
                }
                return Ok(SystemRows { source, older: None });
            }
            _ => return Ok(SystemRows { source: self.other_rows(name, principal, snapshot).await?, older: None }),
        };
        let schema = schema(&name.schema, &name.name).ok_or_else(|| crate::own_tables::internal("a log without columns"))?;
        let moment = LogMoment::now(&self.catalog, log).await?;
        let older = moment.older();
        let recent = Recent { log, catalog: self.catalog.clone(), principal: *principal, schema, moment, reader: reader() };
        Ok(SystemRows { source: recent.relation(), older: older.map(|version| (log, version)) })
    }

    async fn other_rows(&self, name: &RelationName, principal: &Principal, snapshot: &Snapshot) -> Result<RelationSource, SqlError> {
        match (name.schema.as_str(), name.name.as_str()) {
            ("query", "progress") => progress::rows(&self.live, principal, snapshot),
            ("compute", "caches") => caches::rows(&self.live),
            ("access", "detections") => detections::rules(&self.catalog, principal).await,
            ("access", "findings") => detections::findings(&self.catalog, principal).await,
            // Where there are none; else they are bound with their texts.
            ("lakegate", "saved_queries") => crate::saved_queries::queries_table(&[]),
            ("lakegate", "saved_query_versions") => crate::saved_queries::versions_table(&[]),
            ("access", "tokens") => tokens::rows(&self.catalog, principal, snapshot).await,
            ("compute", "warehouses") => compute::warehouses(&self.live, principal, snapshot),
            ("compute", "engines") => compute::engines(&self.live, self.started, principal, snapshot),
            ("privacy", "requests") => privacy::requests(&self.catalog, principal, snapshot).await,
            ("privacy", "certificates") => privacy::certificates(&self.catalog, principal, snapshot).await,
            ("information_schema", table) => governance::rows(snapshot, principal, table)?
                .ok_or_else(|| undefined(&[name.database.clone(), name.schema.clone(), name.name.clone()])),
            _ => Err(undefined(&[name.database.clone(), name.schema.clone(), name.name.clone()])),
        }
    }
}
