//! Opens the relations of a statement: snapshots of tables, system relations as rows in memory, views unplanned.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::datasource::{MemTable, provider_as_source};
use futures::future::try_join_all;
use lakegate_engine_api::catalog::{AuthorizedTable, ConstraintKind, Relation, RelationName, kind_of};
use lakegate_engine_api::{BoundRelation, EngineError, RelationSource, SessionFacts};

use super::Shared;
use super::system_table::SystemTable;
use crate::delta::{TableScan, TableVersion};
use crate::error;
use crate::maintain::version_at;
use crate::plan::{Sources, ViewSource, VisibleColumns, relation_reference};
use crate::write::LocalTransaction;

/// The relations of a statement.
#[derive(Default)]
pub struct Opened {
    pub sources: Sources,
    /// (root path in its store, name) of the tables, for messages.
    pub tables: Arc<Vec<(String, String)>>,
    /// Root URLs of the tables, to be forgotten where a file turns out to be missing.
    pub locations: Vec<String>,
    pub scans: Vec<(RelationName, TableScan)>,
}

/// # Errors
/// What keeps a table from being read.
pub async fn open_relations(shared: &Shared, relations: &[BoundRelation], session: &SessionFacts) -> Result<Opened, EngineError> {
    let mut opened = Opened::default();
    let mut locations: Vec<&str> = relations.iter().filter_map(BoundRelation::location).collect();
    let _settled = shared.tables.settled(&mut locations).await?;
    let mut tables = Vec::new();
    let versions = relations.iter().filter_map(|relation| match &relation.source {
        RelationSource::Table { table, version, transaction } => Some(async move {
            refuse_policies(table)?;
            let location = table.relation().location.as_str();
            let opened = match transaction {
                Some(transaction) => LocalTransaction::of(transaction.as_ref())?.current(&relation.name, location, *version).await,
                None => shared.tables.version(location, *version).await,
            };
            let version = opened.map_err(|error| named(error, &relation.name))?;
            Ok::<_, EngineError>((relation, table, version))
        }),
        _ => None,
    });
    let moments = relations.iter().filter_map(|relation| match &relation.source {
        RelationSource::TableAt { table, moment } => Some(async move {
            refuse_policies(table)?;
            let location = table.relation().location.as_str();
            let opened = async {
                let version = version_at(&shared.tables.table(location).await?, moment, session).await?;
                shared.tables.version(location, Some(version)).await
            };
            let version = opened.await.map_err(|error| named(error, table.name()))?;
            Ok::<_, EngineError>((relation, table, version))
        }),
        _ => None,
    });
    for (relation, table, version) in try_join_all(moments).await? {
        tables.push((version.location.prefix.to_string(), table.relation().name.clone()));
        opened.locations.push(table.relation().location.clone());
        // Its columns as they were.
        let columns = version.columns.clone();
        let scan = TableScan::new(Arc::clone(&shared.tables), version, columns, table.relation().name.clone());
        opened
            .sources
            .level(relation.runs_as)
            .tables
            .insert(relation_reference(&relation.name), provider_as_source(Arc::new(scan.clone())));
        opened.scans.push((relation.name.clone(), scan));
    }
    let mut first: HashMap<&RelationName, Arc<TableVersion>> = HashMap::new();
    for (relation, table, version) in try_join_all(versions).await? {
        // Who reads it also in the name of others reads it once.
        let version = Arc::clone(first.entry(&relation.name).or_insert(version));
        tables.push((version.location.prefix.to_string(), relation.name.name.clone()));
        opened.locations.push(table.relation().location.clone());
        let columns = version.columns.tagged(table.relation());
        if let Some(key) = primary_key(table.relation()) {
            opened.sources.level(relation.runs_as).keys.insert(relation_reference(&relation.name), key);
        }
        let scan = TableScan::new(Arc::clone(&shared.tables), version, columns, relation.name.name.clone());
        opened
            .sources
            .level(relation.runs_as)
            .tables
            .insert(relation_reference(&relation.name), provider_as_source(Arc::new(scan.clone())));
        opened.scans.push((relation.name.clone(), scan));
    }
    for relation in relations {
        let reference = relation_reference(&relation.name);
        let sources = opened.sources.level(relation.runs_as);
        hide_columns(sources, relation);
        match &relation.source {
            RelationSource::Table { .. } | RelationSource::TableAt { .. } => {}
            RelationSource::Rows { schema, batches } => {
                let rows =
                    MemTable::try_new(Arc::clone(schema), vec![batches.to_vec()]).map_err(|error| error::from_datafusion(&error, &[]))?;
                sources.tables.insert(reference, provider_as_source(Arc::new(rows)));
            }
            RelationSource::Columns { schema, columns } => {
                let rows = SystemTable { schema: Arc::clone(schema), columns: Arc::clone(columns) };
                sources.tables.insert(reference, provider_as_source(Arc::new(rows)));
            }
            RelationSource::View { query, columns, runs_as, .. } => {
                let view = ViewSource { query: Arc::clone(query), columns: columns.clone(), runs_as: *runs_as };
                sources.views.insert(reference, view);
            }
        }
    }
    opened.tables = Arc::new(tables);
    Ok(opened)
}

/// Policies are not enforced here yet: a table that has some stays shut.
fn refuse_policies(table: &AuthorizedTable) -> Result<(), EngineError> {
    if table.row_filter().is_some() || !table.masks().is_empty() {
        return Err(error::unsupported("reading a table with row filters or masks"));
    }
    Ok(())
}

/// For the planner: which of a relation's columns may be named.
fn hide_columns(sources: &mut Sources, relation: &BoundRelation) {
    let (kind, names) = match &relation.source {
        RelationSource::Table { table, .. } | RelationSource::TableAt { table, .. } => {
            (kind_of(table.relation()).word(), table.visible_columns().map(<[String]>::to_vec))
        }
        RelationSource::View { visible, .. } => ("view", visible.clone()),
        RelationSource::Rows { .. } | RelationSource::Columns { .. } => return,
    };
    if let Some(names) = names {
        sources.visible.insert(relation_reference(&relation.name), VisibleColumns { kind, names });
    }
}

impl Opened {
    /// Delta version of each table.
    #[must_use]
    pub fn versions(&self) -> Vec<(RelationName, u64)> {
        self.scans.iter().map(|(name, scan)| (name.clone(), scan.version().version())).collect()
    }
}

/// Errors of the log do not know the table's name yet.
fn named(error: EngineError, name: &RelationName) -> EngineError {
    match error {
        EngineError::MissingFile { .. } => EngineError::MissingFile { table: name.name.clone() },
        EngineError::Conflict { .. } => EngineError::Conflict { table: name.name.clone() },
        EngineError::NotADeltaTable => EngineError::MissingFile { table: name.name.clone() },
        other => other,
    }
}

fn primary_key(relation: &Relation) -> Option<Vec<String>> {
    relation.constraints.iter().find_map(|constraint| match &constraint.kind {
        ConstraintKind::PrimaryKey(columns) => Some(columns.clone()),
        _ => None,
    })
}
