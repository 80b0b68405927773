//! `COPY t FROM 'url'` of Parquet files: one file, a folder, or a pattern. Columns are matched by name.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, FieldRef, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::parquet::metadata::DFParquetMetadata;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::provider_as_source;
use datafusion::datasource::source::DataSourceExec;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableType};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{BoundStatement, EngineError, Execution, ExecutionContext, ExecutionMetrics, Phase, Prepared, SqlMistake, Work};
use object_store::ObjectMeta;

use super::append::Appender;
use super::assign::{assigned, in_type_of};
use super::insert::{column_position, default_of, refuse_generated, with_generated};
use super::target::Target;
use crate::error;
use crate::exec::Shared;
use crate::plan::{Planner, Sessions, Sources, analyzed_plan, filled_plan, planning_error};
use crate::store::{Location, listed};

/// Footers read at once.
const FOOTER_READS: usize = 16;

/// A planned COPY FROM.
pub struct PreparedCopy {
    shared: Arc<Shared>,
    state: SessionState,
    target: Target,
    plan: LogicalPlan,
    versions: Vec<(RelationName, u64)>,
}

impl PreparedCopy {
    /// Lists the files and reads their footers.
    ///
    /// # Errors
    /// No file; columns that the table does not have; types that cannot be assigned.
    pub async fn prepare(shared: Arc<Shared>, statement: &BoundStatement) -> Result<Self, EngineError> {
        let Work::CopyFrom { target, columns, place } = &statement.work else { return Err(error::internal("a copy is one")) };
        let target = Target::open(&shared, &statement.relations, target).await?;
        target.refuse_row_policies()?;
        let state = shared.sessions.state(&statement.session);
        let stores = shared.tables.stores();
        stores.require_within(&place.url, &place.within)?;
        let (location, files) = listed(stores, &place.url, &[".parquet"]).await?;
        let schema = common_schema(&location, &files).await?;
        let source = ParquetFiles { location, files, schema };
        let plan = copy_plan(&state, source, &target, columns)?;
        let versions = vec![(target.name.clone(), target.version.version())];
        Ok(Self { shared, state, target, plan, versions })
    }
}

#[async_trait]
impl Prepared for PreparedCopy {
    fn parameters(&self) -> &[FieldRef] {
        &[]
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        None
    }

    fn table_versions(&self) -> Vec<(RelationName, u64)> {
        self.versions.clone()
    }

    async fn execute(&self, _parameters: Vec<ArrayRef>, context: ExecutionContext) -> Result<Execution, EngineError> {
        let metrics = Arc::new(ExecutionMetrics::default());
        let state = Sessions::counting(&self.state, &metrics);
        let physical = {
            let (state, plan) = (state.clone(), self.plan.clone());
            let physical = async move {
                let plan = filled_plan(&state, plan, None)?;
                let physical = state.query_planner().create_physical_plan(&plan, &state).await;
                physical.map_err(|error| error::from_datafusion(&error, &[]))
            };
            self.shared.runtime.run(context.cancel.clone(), physical).await?
        };
        let progress = self.shared.progress.begin(context.statement_id, Phase::WritingRows);
        let appender = Appender::new(Arc::clone(&self.shared), &state, self.target.clone(), true, &progress)?;
        let copied = async move { appender.append_plan(physical, &state, &metrics, &context).await };
        let copied = self.shared.runtime.run_cooperative(copied).await;
        drop(progress);
        copied.map(Execution::Done)
    }
}

/// The schema that all files have, names and types.
async fn common_schema(location: &Location, files: &[ObjectMeta]) -> Result<SchemaRef, EngineError> {
    let schemas = futures::stream::iter(files.to_vec()).map(|file| {
        let location = location.clone();
        async move {
            let metadata = DFParquetMetadata::new(location.store.as_ref(), &file).with_file_metadata_cache(Some(location.footers));
            metadata.with_coerce_int96(Some(arrow_schema::TimeUnit::Microsecond)).fetch_schema().await
        }
    });
    let schemas: Vec<_> = schemas.buffered(FOOTER_READS).try_collect().await.map_err(|error| error::from_datafusion(&error, &[]))?;
    let plain = |schema: &arrow_schema::Schema| {
        let fields = schema.fields().iter().map(|field| arrow_schema::Field::new(field.name(), field.data_type().clone(), true));
        arrow_schema::Schema::new(fields.collect::<Vec<_>>())
    };
    let first = plain(schemas.first().ok_or_else(|| error::internal("there are files"))?);
    for other in &schemas {
        if plain(other) != first {
            return Err(error::sql(SqlMistake::DatatypeMismatch, "the files do not all have the same columns"));
        }
    }
    Ok(Arc::new(first))
}

fn copy_plan(state: &SessionState, source: ParquetFiles, target: &Target, columns: &[String]) -> Result<LogicalPlan, EngineError> {
    let listed: Vec<usize> = match columns {
        [] => (0..target.columns.columns.len()).collect(),
        names => {
            names.iter().map(|name| column_position(&sqlparser::ast::Ident::with_quote('"', name), target)).collect::<Result<_, _>>()?
        }
    };
    let file_schema = Arc::clone(&source.schema);
    let in_table = |name: &str| listed.iter().any(|at| target.columns.columns[*at].field.name().eq_ignore_ascii_case(name));
    if let Some(stranger) = file_schema.fields().iter().find(|field| !in_table(field.name())) {
        let message = format!("column \"{}\" of the file is not a column of relation \"{}\"", stranger.name(), target.name.name);
        return Err(EngineError::Sql {
            mistake: SqlMistake::UndefinedColumn,
            message,
            hint: Some("Columns of the file are matched by name.".to_owned()),
        });
    }
    let scan = LogicalPlanBuilder::scan("file", provider_as_source(Arc::new(source)), None)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| planning_error(&error))?;
    let schema = Arc::clone(scan.schema());
    let sources = Sources::default();
    let planner = Planner::new(state, &sources);
    let mut exprs = Vec::with_capacity(target.columns.columns.len());
    for (position, column) in target.columns.columns.iter().enumerate() {
        let name = column.field.name();
        let exact = file_schema.fields().iter().find(|field| field.name() == name);
        let found = exact.or_else(|| file_schema.fields().iter().find(|field| field.name().eq_ignore_ascii_case(name)));
        let expr = match found.filter(|_| listed.contains(&position)) {
            Some(field) => {
                refuse_generated(column)?;
                let from = Expr::Column(datafusion::common::Column::new(Some("file"), field.name()));
                // Text is read as it is in files of text: Parquet has fewer types than the table may have.
                match field.data_type() {
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => in_type_of(from, column),
                    _ => assigned(from, &schema, column)?,
                }
            }
            None => {
                let default = default_of(&target.relation, column)?;
                let empty = DFSchema::empty();
                let expr = planner.expression(default, &empty, Vec::new()).map_err(|error| planning_error(&error))?;
                assigned(expr, &empty, column)?
            }
        };
        exprs.push(expr.alias(name));
    }
    let plan = LogicalPlanBuilder::from(scan).project(exprs).and_then(LogicalPlanBuilder::build).map_err(|error| planning_error(&error))?;
    analyzed_plan(state, with_generated(&planner, plan, target)?)
}

/// Parquet files of one schema.
#[derive(Debug)]
struct ParquetFiles {
    location: Location,
    files: Vec<ObjectMeta>,
    schema: SchemaRef,
}

#[async_trait]
impl TableProvider for ParquetFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let options =
            datafusion::config::TableParquetOptions { global: session.config_options().execution.parquet.clone(), ..Default::default() };
        let reader = CachedParquetFileReaderFactory::new(Arc::clone(&self.location.store), Arc::clone(&self.location.footers));
        let source = ParquetSource::new(Arc::clone(&self.schema))
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(reader));
        let files = self.files.iter().cloned().map(PartitionedFile::new_from_meta).collect();
        let config = FileScanConfigBuilder::new(self.location.object_store_url.clone(), Arc::new(source))
            .with_file_groups(vec![FileGroup::new(files)])
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
