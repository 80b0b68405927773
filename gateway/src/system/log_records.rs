//! The logs as relations: read while a plan runs, as far as it reads them. What is sealed is opened where its column is asked for, and
//! whoever opens texts of others by it is audited before they are there.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Schema, SchemaRef};
use futures::{StreamExt as _, stream};
use lakegate_catalog::audit::{AuditEvent, AuditFilter, Events};
use lakegate_catalog::authorize::Principal;
use lakegate_catalog::flushed::Log;
use lakegate_catalog::statement_log::{HistoryFilter, Statements};
use lakegate_catalog::{Catalog, CatalogError, LogKind, LogMoment, LogParts};
use lakegate_engine_api::{EngineError, Key, LogPart, LogRecords, RelationSource, RowStream};
use uuid::Uuid;

use super::{audit, query_history};
use crate::sqlstate::SqlError;

/// Statement numbers of one question to the catalog, at most.
const IDS_MAX: usize = 1_000;

/// What a role sees of the part of a log that is in the catalog.
#[derive(Debug, Clone)]
pub struct Recent {
    pub log: Log,
    pub catalog: Catalog,
    pub principal: Principal,
    pub schema: SchemaRef,
    pub moment: LogMoment,
    /// Who asks.
    pub reader: AuditEvent,
}

impl Recent {
    #[must_use]
    pub fn relation(self) -> RelationSource {
        RelationSource::Log { schema: Arc::clone(&self.schema), records: Arc::new(self) }
    }

    fn wanted(&self, part: &LogPart) -> Wanted {
        let schema = part.columns.iter().map(|place| self.schema.field(*place).clone()).collect::<Vec<_>>();
        let names = schema.iter().map(|field| field.name().clone()).collect();
        Wanted { schema: Arc::new(Schema::new(schema)), names }
    }

    /// The only values that a column may have, as far as the plan says so.
    fn keys<'p>(&self, part: &'p LogPart, column: &str) -> Option<Vec<&'p str>> {
        let keys = part.keys.iter().find(|keys| self.schema.field(keys.column).name() == column)?;
        let text = |key: &'p Key| match key {
            Key::Text(text) => Some(text.as_str()),
            Key::Number(_) => None,
        };
        keys.values.iter().map(text).collect()
    }

    fn key(&self, part: &LogPart, column: &str) -> Option<String> {
        match self.keys(part, column)?.as_slice() {
            [key] => Some((*key).to_owned()),
            _ => None,
        }
    }

    fn of_statements(&self, part: &LogPart, wanted: &Wanted) -> HistoryFilter {
        let ids = self.keys(part, "statement_id").unwrap_or_default();
        let ids: Option<Vec<Uuid>> = ids.iter().map(|id| id.parse().ok()).collect();
        HistoryFilter {
            limit: Some(limit(part)),
            statement_ids: ids.filter(|ids| ids.len() <= IDS_MAX).unwrap_or_default(),
            session_id: self.key(part, "session_id"),
            since: part.since,
            until: part.until,
            without_texts: !wanted.any_of(&["statement_text", "statement_parameters", "error_message", "query_tags"]),
            executed_by: None,
            columns: Some(wanted.names.clone()),
        }
    }

    fn of_events(&self, part: &LogPart, wanted: &Wanted) -> AuditFilter {
        AuditFilter {
            limit: Some(limit(part)),
            since: part.since,
            until: part.until,
            action_name: self.key(part, "action_name"),
            without_details: !wanted.any_of(&["request_params", "error_message"]),
            ..AuditFilter::default()
        }
    }

    fn rows<K: LogKind>(
        self,
        filter: K::Filter,
        shown: impl Fn(&[K::Row], &Principal) -> Result<Shown, SqlError> + Send + 'static,
    ) -> RowStream {
        let parts = LogParts::<K>::of(self.moment.clone(), &self.principal, filter);
        let rows = stream::try_unfold((parts, self, shown), |(mut parts, recent, shown)| async move {
            let Some(rows) = parts.next().await.map_err(|error| recent.failed(error))? else { return Ok(None) };
            let Shown { batch, opened } = shown(&rows, &recent.principal).map_err(internal)?;
            if opened > 0 {
                recent.record(opened).await?;
            }
            Ok(Some((batch, (parts, recent, shown))))
        });
        rows.boxed()
    }

    async fn record(&self, statements: usize) -> Result<(), EngineError> {
        let event = audit::opened(self.reader.clone(), statements);
        self.catalog.audit(event, true).await.map_err(|error| self.failed(error))
    }

    fn failed(&self, error: CatalogError) -> EngineError {
        match error {
            CatalogError::Conflict => EngineError::Conflict { table: self.log.word().to_owned() },
            error => internal(SqlError::from(error)),
        }
    }
}

impl LogRecords for Recent {
    fn time_column(&self) -> usize {
        self.schema.index_of(self.log.time()).unwrap_or_default()
    }

    fn read(&self, part: LogPart) -> RowStream {
        let wanted = self.wanted(&part);
        match self.log {
            Log::Statements => {
                let filter = self.of_statements(&part, &wanted);
                self.clone().rows::<Statements>(filter, move |rows, principal| {
                    let batch = query_history::batch(rows, Some(&wanted.names))?;
                    Ok(Shown { batch: wanted.ordered(batch)?, opened: query_history::opened(rows, principal) })
                })
            }
            Log::Events => {
                let filter = self.of_events(&part, &wanted);
                self.clone().rows::<Events>(filter, move |rows, _| {
                    let batch = audit::batch(rows, Some(&wanted.names))?;
                    Ok(Shown { batch: wanted.ordered(batch)?, opened: 0 })
                })
            }
        }
    }
}

struct Shown {
    batch: RecordBatch,
    /// Texts of others in it.
    opened: usize,
}

struct Wanted {
    schema: SchemaRef,
    names: BTreeSet<String>,
}

impl Wanted {
    fn any_of(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.names.contains(*name))
    }

    /// In the order that was asked for.
    fn ordered(&self, batch: RecordBatch) -> Result<RecordBatch, SqlError> {
        let places: Result<Vec<usize>, _> = self.schema.fields().iter().map(|field| batch.schema().index_of(field.name())).collect();
        places.and_then(|places| batch.project(&places)).map_err(crate::own_tables::internal)
    }
}

fn limit(part: &LogPart) -> u32 {
    part.limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX)
}

fn internal(error: SqlError) -> EngineError {
    match error.state {
        crate::sqlstate::SqlState::InternalError => EngineError::Internal { message: error.message },
        _ => EngineError::Storage { message: error.message },
    }
}
