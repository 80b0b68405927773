//! New tables. CREATE TABLE AS writes its rows first and makes the table in the commit that makes them visible, so that
//! nobody sees one without the other.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{Field, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::common::{DataFusionError, ParamValues};
use datafusion::execution::SessionState;
use datafusion::physical_plan::execute_stream;
use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Action, Add, DataType as DeltaType, MetadataValue, Protocol, StructField};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::operations::write::WriterStatsConfig;
use deltalake_core::{DeltaTableError, protocol::SaveMode};
use futures::TryStreamExt;
use lakegate_engine_api::catalog::{PgType, RelationName};
use lakegate_engine_api::{
    BoundStatement, ColumnDefinition, EngineError, Execution, ExecutionContext, ExecutionMetrics, NewTable, Outcome, PG_TYPE_KEY, Phase,
    Prepared, SqlMistake, Work, arrow_field, pg_type,
};
use serde_json::json;
use uuid::Uuid;

use super::commit::{CommitId, properties};
use super::files::{FileLayout, FileWriter, bytes_of};
use super::vectors;
use crate::delta::{CONSTRAINT_PREFIX, DELTA_PG_TYPE_KEY, Table, TableColumn, TableColumns, stored_type};
use crate::error;
use crate::exec::{Shared, collect_metrics, interruptible, open_relations, parameter_values};
use crate::plan::{Audience, PlannedQuery, Planner, Sessions, cast_to, check_depth, columns_needed, filled_plan, plan_query};
use crate::store::check_commits;

/// Spark's key for the declared type of text columns, enforced by Spark on write.
const SPARK_CHAR_TYPE_KEY: &str = "__CHAR_VARCHAR_TYPE_STRING";

/// The expression of a generated column.
pub const GENERATION_KEY: &str = "delta.generationExpression";

/// How long `txn` actions, of which every commit has one, are kept in checkpoints.
const TRANSACTION_RETENTION: (&str, &str) = ("delta.setTransactionRetentionDuration", "interval 7 days");

/// Makes an empty table.
///
/// # Errors
/// `Unsupported` names a column type that tables cannot have; `Conflict` where there is a table already.
pub async fn create_table(shared: &Shared, new: &NewTable) -> Result<(), EngineError> {
    let table = place(shared, new).await?;
    create(&table, new, Vec::new()).await?;
    Ok(())
}

/// The place of a new table, fit for commits.
async fn place(shared: &Shared, new: &NewTable) -> Result<Arc<Table>, EngineError> {
    shared.tables.forget(&new.location).await;
    let table = shared.tables.table(&new.location).await?;
    table.store_checked.get_or_try_init(|| check_commits(&table.location)).await?;
    Ok(table)
}

async fn create(table: &Arc<Table>, new: &NewTable, adds: Vec<Add>) -> Result<u64, EngineError> {
    let id = CommitId(Uuid::new_v4());
    let fields: Result<Vec<StructField>, EngineError> = new.columns.iter().map(|column| new_field(column, new)).collect();
    let mut configuration: HashMap<String, Option<String>> =
        HashMap::from([(TRANSACTION_RETENTION.0.to_owned(), Some(TRANSACTION_RETENTION.1.to_owned()))]);
    configuration.extend(new.properties.iter().map(|(name, value)| (name.clone(), Some(value.clone()))));
    for (name, text) in &new.checks {
        // In SQL a condition that is NULL holds, in Delta it does not.
        configuration.insert(format!("{CONSTRAINT_PREFIX}{name}"), Some(format!("({text}) IS NOT FALSE")));
    }
    let protocol = protocol(new, &configuration)?;
    let mut builder = CreateBuilder::new()
        .with_log_store(Arc::clone(&table.log_store))
        .with_save_mode(SaveMode::ErrorIfExists)
        .with_table_name(&new.name.name)
        .with_columns(fields?)
        .with_partition_columns(new.partition_columns.clone())
        .with_configuration(configuration)
        .with_raise_if_key_not_exists(false)
        .with_actions(std::iter::once(Action::Protocol(protocol)).chain(adds.into_iter().map(Action::Add)))
        .with_commit_properties(properties(&[id], false));
    if let Some(comment) = &new.comment {
        builder = builder.with_comment(comment);
    }
    let name = &new.name.name;
    let made = builder.await.map_err(|error| match error {
        DeltaTableError::GenericError { .. } if error.to_string().contains("already exists") => {
            EngineError::Conflict { table: name.clone() }
        }
        other => match error::from_delta(&other, name) {
            EngineError::CommitUnknown { .. } => EngineError::CommitUnknown { table: name.clone(), commit_id: id.0.to_string() },
            other => other,
        },
    })?;
    Ok(made.version().unwrap_or(0))
}

/// What the table asks of readers and writers; what its columns' types ask for is delta-rs' to add.
fn protocol(new: &NewTable, configuration: &HashMap<String, Option<String>>) -> Result<Protocol, EngineError> {
    let has_vectors =
        configuration.get(vectors::ENABLED).and_then(Option::as_deref).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let has_feed =
        configuration.get("delta.enableChangeDataFeed").and_then(Option::as_deref).is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let in_use = [
        (has_feed, 4, "changeDataFeed"),
        (true, 2, "appendOnly"),
        (true, 2, "invariants"),
        (!new.checks.is_empty(), 3, "checkConstraints"),
        (!new.generated.is_empty(), 4, "generatedColumns"),
        (has_vectors, 7, "deletionVectors"),
    ];
    let in_use: Vec<(u64, &str)> = in_use.into_iter().filter(|(used, ..)| *used).map(|(_, version, name)| (version, name)).collect();
    let protocol = if has_vectors {
        let features: Vec<&str> = in_use.iter().map(|(_, name)| *name).collect();
        json!({"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": features})
    } else {
        json!({"minReaderVersion": 1, "minWriterVersion": in_use.iter().map(|(version, _)| *version).max()})
    };
    serde_json::from_value(protocol).map_err(|failure| error::internal(format!("a table's protocol: {failure}")))
}

fn new_field(column: &ColumnDefinition, table: &NewTable) -> Result<StructField, EngineError> {
    let field = delta_field(column)?;
    let generated = table.generated.iter().find(|(name, _)| *name == column.name);
    Ok(match generated {
        Some((_, text)) => field.add_metadata([(GENERATION_KEY.to_owned(), MetadataValue::String(text.clone()))]),
        None => field,
    })
}

/// A column as a Delta schema has it, with PostgreSQL's type in its metadata where Delta's type does not say it all.
pub fn delta_field(column: &ColumnDefinition) -> Result<StructField, EngineError> {
    let unsupported =
        || error::unsupported(format!("the type {} for columns of tables", crate::functions::types::type_name(column.data_type)));
    let field = arrow_field(&column.name, column.data_type, !column.not_null).ok_or_else(unsupported)?;
    let stored = stored_type(field.data_type()).ok_or_else(unsupported)?;
    let delta_type: DeltaType = (&stored).try_into_kernel().map_err(|_| unsupported())?;
    let mut metadata: Vec<(String, MetadataValue)> = Vec::new();
    let tag =
        field.metadata().get(PG_TYPE_KEY).cloned().or_else(|| (stored != *field.data_type()).then(|| column.data_type.oid.to_string()));
    if let Some(tag) = tag {
        metadata.push((DELTA_PG_TYPE_KEY.to_owned(), MetadataValue::String(tag)));
    }
    if let Some(length) = column.data_type.character_length() {
        let name = if column.data_type.oid == PgType::BPCHAR.oid { "char" } else { "varchar" };
        metadata.push((SPARK_CHAR_TYPE_KEY.to_owned(), MetadataValue::String(format!("{name}({length})"))));
    }
    Ok(StructField::new(&column.name, delta_type, !column.not_null).with_metadata(metadata))
}

/// A planned CREATE TABLE AS.
pub struct PreparedCreate(Arc<CreateAs>);

struct CreateAs {
    shared: Arc<Shared>,
    state: SessionState,
    query: PlannedQuery,
    table: NewTable,
    with_data: bool,
    tables: Arc<Vec<(String, String)>>,
    versions: Vec<(RelationName, u64)>,
}

/// # Errors
/// The query's mistakes; columns that a table cannot have.
pub async fn prepare_create_as(shared: Arc<Shared>, statement: &BoundStatement) -> Result<PreparedCreate, EngineError> {
    let Work::CreateTableAs { table, query, with_data } = &statement.work else { return Err(error::internal("a new table is one")) };
    check_depth(query.as_ref())?;
    let opened = open_relations(&shared, &statement.relations, &statement.session).await?;
    let state = shared.sessions.state(&statement.session);
    let planner = Planner::new(&state, &opened.sources);
    let query = plan_query(&planner, &state, query, &statement.parameter_types, Audience::Table)?;
    let mut table = table.clone();
    table.columns = columns_of(&query.schema)?;
    for partition in &table.partition_columns {
        if !table.columns.iter().any(|column| column.name == *partition) {
            return Err(error::sql(SqlMistake::UndefinedColumn, format!("column \"{partition}\" does not exist")));
        }
    }
    let versions = opened.versions();
    Ok(PreparedCreate(Arc::new(CreateAs { shared, state, query, table, with_data: *with_data, tables: opened.tables, versions })))
}

fn columns_of(schema: &SchemaRef) -> Result<Vec<ColumnDefinition>, EngineError> {
    let mut columns: Vec<ColumnDefinition> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        if columns.iter().any(|column| column.name == *field.name()) {
            return Err(error::sql(SqlMistake::DuplicateColumn, format!("column \"{}\" specified more than once", field.name())));
        }
        let column = ColumnDefinition { name: field.name().clone(), data_type: pg_type(field), not_null: false };
        delta_field(&column)?;
        columns.push(column);
    }
    Ok(columns)
}

#[async_trait]
impl Prepared for PreparedCreate {
    fn parameters(&self) -> &[FieldRef] {
        &self.0.query.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        None
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.0.versions.clone()
    }

    fn columns_read(&self) -> Vec<(RelationName, Vec<String>)> {
        columns_needed([&self.0.query.plan])
    }

    async fn execute(&self, parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let values = match self.parameters().is_empty() {
            true => None,
            false => Some(parameter_values(self.parameters(), &parameters)?),
        };
        let this = Arc::clone(&self.0);
        self.0.shared.runtime.run_cooperative(async move { this.run(values, context).await.map(Execution::Done) }).await
    }
}

impl CreateAs {
    async fn run(&self, values: Option<ParamValues>, context: ExecutionContext) -> Result<Outcome, EngineError> {
        let table = place(&self.shared, &self.table).await?;
        let metrics = Arc::new(ExecutionMetrics::default());
        let columns = table_columns(&self.table)?;
        // Delta's default: statistics of the first 32 columns.
        let statistics = WriterStatsConfig::new(Default::default(), None);
        let progress = self.shared.progress.begin(context.statement_id, Phase::WritingRows);
        let layout = FileLayout::new(&columns, statistics, table.log_store.object_store(None)).counting(&progress);
        let mut outcome = Outcome { columns: self.table.columns.clone(), ..Outcome::default() };
        let mut adds = Vec::new();
        if self.with_data {
            let mut writer = layout.writer();
            tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(EngineError::Canceled),
                written = self.write(values, &columns, &layout, &mut writer, &metrics, &context.cancel) => written?,
            }
            outcome.rows = writer.rows;
            adds = writer.close().await?;
        }
        outcome.metrics = metrics.snapshot();
        outcome.files_written = u64::try_from(adds.len()).unwrap_or(0);
        outcome.bytes_written = bytes_of(&adds);
        if context.cancel.is_cancelled() {
            layout.discard(&adds).await;
            return Err(EngineError::Canceled);
        }
        progress.enter(Phase::Committing);
        let new = self.table.clone();
        let committed = self.shared.runtime.run_to_end(async move {
            let version = create(&table, &new, adds.clone()).await;
            // Of a commit that may have happened the files must stay.
            if matches!(&version, Err(error) if !matches!(error, EngineError::CommitUnknown { .. })) {
                layout.discard(&adds).await;
            }
            version
        });
        outcome.version = Some(committed.await?);
        Ok(outcome)
    }

    async fn write(
        &self,
        values: Option<ParamValues>,
        columns: &TableColumns,
        layout: &FileLayout,
        writer: &mut FileWriter,
        metrics: &Arc<ExecutionMetrics>,
        stop: &tokio_util::sync::CancellationToken,
    ) -> Result<(), EngineError> {
        let state = Sessions::counting(&self.state, metrics);
        let failed = |error: DataFusionError| error::from_datafusion(&error, &self.tables);
        let plan = filled_plan(&state, self.query.plan.clone(), values)?;
        let physical = state.query_planner().create_physical_plan(&plan, &state).await;
        let physical = physical.and_then(|physical| interruptible(physical, stop)).map_err(failed)?;
        let mut stream = execute_stream(Arc::clone(&physical), state.task_ctx()).map_err(failed)?;
        while let Some(batch) = stream.try_next().await.map_err(failed)? {
            let batch = cast_to(&batch, &columns.schema).map_err(|error| error::from_arrow(&error))?;
            writer.write(&layout.physical_rows(&batch)?).await?;
        }
        collect_metrics(&physical, metrics);
        Ok(())
    }
}

/// Columns of a table that does not exist yet.
fn table_columns(new: &NewTable) -> Result<TableColumns, EngineError> {
    let mut columns = Vec::with_capacity(new.columns.len());
    for column in &new.columns {
        let unsupported = || error::unsupported(format!("the type of column \"{}\"", column.name));
        let field = arrow_field(&column.name, column.data_type, !column.not_null).ok_or_else(unsupported)?;
        let stored = stored_type(field.data_type()).ok_or_else(unsupported)?;
        columns.push(TableColumn {
            identity: None,
            physical: Arc::new(Field::new(&column.name, stored, !column.not_null)),
            field: Arc::new(field),
            is_partition: new.partition_columns.contains(&column.name),
            not_null: column.not_null,
            generation: new.generated.iter().find(|(name, _)| *name == column.name).map(|(_, text)| text.clone()),
            invariant: None,
        });
    }
    let position = |name: &String| columns.iter().position(|column| column.field.name() == name);
    let partitions = new.partition_columns.iter().filter_map(position).collect();
    let schema = Arc::new(arrow_schema::Schema::new(columns.iter().map(|column| Arc::clone(&column.field)).collect::<Vec<_>>()));
    Ok(TableColumns { columns, schema, partitions, is_mapped: false })
}
