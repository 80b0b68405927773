//! Opens the relations of a statement: snapshots of tables, system relations as rows in memory, views unplanned.

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::TableSource;
use futures::future::try_join_all;
use lakegate_engine_api::catalog::{AuthorizedTable, ConstraintKind, Relation, RelationName, kind_of};
use lakegate_engine_api::{BoundRelation, DataError, EngineError, Moment, RelationSource, SessionFacts, TablePolicies};

use super::Shared;
use super::log_table::LogTable;
use super::system_table::SystemTable;
use crate::delta::{ChangeFeed, FEED_COLUMNS, TableScan, TableVersion, is_recorded, not_recorded};
use crate::error;
use crate::maintain::{commit_times, first_version, version_at};
use crate::plan::{Sources, ViewSource, VisibleColumns, relation_reference};
use crate::policy::PolicedSource;
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
        RelationSource::Table { table, version, transaction, policies } => Some(async move {
            let policies = policies_of(table, policies.as_ref())?;
            let location = table.relation().location.as_str();
            let opened = match transaction {
                Some(transaction) => LocalTransaction::of(transaction.as_ref())?.current(&relation.name, location, *version).await,
                None => shared.tables.version(location, *version).await,
            };
            let version = opened.map_err(|error| named(error, &relation.name))?;
            if policies.is_some() {
                refuse_unknown_columns(table.relation(), &version)?;
            }
            Ok::<_, EngineError>((relation, table, version, policies))
        }),
        _ => None,
    });
    let moments = relations.iter().filter_map(|relation| match &relation.source {
        RelationSource::TableAt { table, moment, policies } => Some(async move {
            let policies = policies_of(table, policies.as_ref())?;
            let location = table.relation().location.as_str();
            let opened = async {
                let version = version_at(&shared.tables.table(location).await?, moment, session).await?;
                shared.tables.version(location, Some(version)).await
            };
            let version = opened.await.map_err(|error| named(error, table.name()))?;
            if policies.is_some() {
                refuse_other_columns(table.relation(), &version)?;
            }
            Ok::<_, EngineError>((relation, table, version, policies))
        }),
        _ => None,
    });
    for (relation, table, version, policies) in try_join_all(moments).await? {
        tables.push((version.location.prefix.to_string(), table.relation().name.clone()));
        opened.locations.push(table.relation().location.clone());
        // Its columns as they were.
        let columns = version.columns.clone();
        let scan = TableScan::new(Arc::clone(&shared.tables), version, columns, table.relation().name.clone());
        add_table(opened.sources.level(relation.runs_as), relation, &scan, &table.relation().name, policies);
        opened.scans.push((relation.name.clone(), scan));
    }
    let mut first: HashMap<&RelationName, Arc<TableVersion>> = HashMap::new();
    for (relation, table, version, policies) in try_join_all(versions).await? {
        // Who reads it also in the name of others reads it once.
        let version = Arc::clone(first.entry(&relation.name).or_insert(version));
        tables.push((version.location.prefix.to_string(), relation.name.name.clone()));
        opened.locations.push(table.relation().location.clone());
        let columns = version.columns.tagged(table.relation());
        let is_masked = |key: &[String]| policies.is_some_and(|policies| policies.masks.iter().any(|(masked, _)| key.contains(masked)));
        if let Some(key) = primary_key(table.relation()).filter(|key| !is_masked(key)) {
            opened.sources.level(relation.runs_as).keys.insert(relation_reference(&relation.name), key);
        }
        let scan = TableScan::new(Arc::clone(&shared.tables), version, columns, relation.name.name.clone());
        add_table(opened.sources.level(relation.runs_as), relation, &scan, &relation.name.name, policies);
        opened.scans.push((relation.name.clone(), scan));
    }
    for relation in relations {
        let reference = relation_reference(&relation.name);
        let sources = opened.sources.level(relation.runs_as);
        hide_columns(sources, relation);
        match &relation.source {
            RelationSource::Table { .. } | RelationSource::TableAt { .. } => {}
            RelationSource::TableChanges { table, from, to, policies } => {
                let policies = policies_of(table, policies.as_ref())?;
                let changes = changes_of(shared, table, from, to.as_ref(), session).await.map_err(|error| named(error, table.name()))?;
                if policies.is_some() {
                    refuse_other_columns(table.relation(), &changes.last)?;
                }
                let name = &table.relation().name;
                tables.push((changes.last.location.prefix.to_string(), name.clone()));
                opened.locations.push(table.relation().location.clone());
                add_source(sources, relation, provider_as_source(Arc::new(changes.feed)), name, policies);
            }
            RelationSource::Rows { schema, batches } => {
                let rows =
                    MemTable::try_new(Arc::clone(schema), vec![batches.to_vec()]).map_err(|error| error::from_datafusion(&error, &[]))?;
                sources.tables.insert(reference, provider_as_source(Arc::new(rows)));
            }
            RelationSource::Columns { schema, columns } => {
                let rows = SystemTable { schema: Arc::clone(schema), columns: Arc::clone(columns) };
                sources.tables.insert(reference, provider_as_source(Arc::new(rows)));
            }
            RelationSource::Log { schema, records } => {
                let log = LogTable { schema: Arc::clone(schema), records: Arc::clone(records) };
                sources.tables.insert(reference, provider_as_source(Arc::new(log)));
            }
            RelationSource::View { query, columns, runs_as, policies, .. } => {
                let view = ViewSource { query: Arc::clone(query), columns: columns.clone(), runs_as: *runs_as, policies: policies.clone() };
                sources.views.insert(reference, view);
            }
        }
    }
    opened.tables = Arc::new(tables);
    Ok(opened)
}

/// What the gateway made of the policies that the proof value names; without it the table stays shut.
///
/// # Errors
/// `Internal`.
pub fn policies_of<'p>(
    table: &AuthorizedTable,
    policies: Option<&'p Arc<TablePolicies>>,
) -> Result<Option<&'p Arc<TablePolicies>>, EngineError> {
    let enforced = |policies: &TablePolicies| {
        let masks = table
            .masks()
            .iter()
            .all(|mask| policies.masks.iter().filter(|(name, _)| *name == mask.column).count() == mask.expressions.len());
        masks && policies.rows.is_some() == table.row_rules().is_some()
    };
    match policies {
        None if table.is_policed() => Err(error::internal("a policed table came without its policies")),
        Some(policies) if !enforced(policies) => Err(error::internal("a policed table came with other policies")),
        policies => Ok(policies),
    }
}

fn add_table(sources: &mut Sources, relation: &BoundRelation, scan: &TableScan, name: &str, policies: Option<&Arc<TablePolicies>>) {
    add_source(sources, relation, provider_as_source(Arc::new(scan.clone())), name, policies);
}

fn add_source(
    sources: &mut Sources,
    relation: &BoundRelation,
    raw: Arc<dyn TableSource>,
    name: &str,
    policies: Option<&Arc<TablePolicies>>,
) {
    let reference = relation_reference(&relation.name);
    match policies {
        Some(policies) => {
            let source = PolicedSource { raw, table: name.to_owned(), policies: Arc::clone(policies), target: None };
            sources.policed.insert(reference, source);
        }
        None => {
            sources.tables.insert(reference, raw);
        }
    }
}

/// Policies and masks speak of the catalog's columns: one that it does not know could show by another name what a mask hides.
///
/// # Errors
/// `Policy`.
pub fn refuse_unknown_columns(relation: &Relation, version: &TableVersion) -> Result<(), EngineError> {
    refuse_columns(relation, version, |name| relation.column(name).is_none())
}

/// So could an older version by a name that a column had before.
fn refuse_other_columns(relation: &Relation, version: &TableVersion) -> Result<(), EngineError> {
    refuse_columns(relation, version, |name| relation.column(name).is_none() || relation.row_security.former_columns.contains(name))
}

fn refuse_columns(relation: &Relation, version: &TableVersion, is_other: impl Fn(&str) -> bool) -> Result<(), EngineError> {
    if !version.columns.columns.iter().any(|column| is_other(column.field.name())) {
        return Ok(());
    }
    let message = format!("permission denied for versions of table \"{}\" with other columns than it has now", relation.name);
    Err(EngineError::Policy { message, detail: Some("Its policies and masks are about the columns of now.".to_owned()) })
}

/// For the planner: which of a relation's columns may be named.
fn hide_columns(sources: &mut Sources, relation: &BoundRelation) {
    let (kind, names) = match &relation.source {
        RelationSource::Table { table, .. } | RelationSource::TableAt { table, .. } => {
            (kind_of(table.relation()).word(), table.visible_columns().map(<[String]>::to_vec))
        }
        RelationSource::TableChanges { table, .. } => {
            let own = FEED_COLUMNS.map(str::to_owned);
            let names = table.visible_columns().map(|names| names.iter().cloned().chain(own).collect());
            (kind_of(table.relation()).word(), names)
        }
        RelationSource::View { visible, .. } => ("view", visible.clone()),
        RelationSource::Rows { .. } | RelationSource::Columns { .. } | RelationSource::Log { .. } => return,
    };
    if let Some(names) = names {
        sources.visible.insert(relation_reference(&relation.name), VisibleColumns { kind, names });
    }
}

struct Changes {
    last: Arc<TableVersion>,
    feed: ChangeFeed,
}

/// # Errors
/// `Data` for a range that is none, and for changes that were not recorded.
async fn changes_of(
    shared: &Shared,
    table: &AuthorizedTable,
    from: &Moment,
    to: Option<&Moment>,
    session: &SessionFacts,
) -> Result<Changes, EngineError> {
    let name = &table.relation().name;
    let location = table.relation().location.as_str();
    let opened = shared.tables.table(location).await?;
    let first = first_version(&opened, from, session).await?;
    let last = match to {
        Some(moment) => version_at(&opened, moment, session).await?,
        None => opened.newest().await?.version(),
    };
    if first > last {
        let message = format!("there are no changes from version {first} to version {last}");
        return Err(error::data(DataError::InvalidParameterValue, message));
    }
    let before = opened.metadata(first).await?;
    if !is_recorded(&before) {
        return Err(not_recorded(name, first));
    }
    let last_version = shared.tables.version(location, Some(last)).await?;
    let times = commit_times(&opened).await?;
    let feed = ChangeFeed::open(&shared.tables, &opened, Arc::clone(&last_version), first..=last, &times, name).await?;
    Ok(Changes { last: last_version, feed })
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
