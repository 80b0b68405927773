//! `COPY t FROM 'url'` of Parquet files: one file, a folder, or a pattern. Columns are matched by name.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{FieldRef, SchemaRef};
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
use lakegate_engine_api::{BoundStatement, EngineError, Execution, ExecutionContext, ExecutionMetrics, Prepared, SqlMistake, Work};
use object_store::{ObjectMeta, ObjectStoreExt};

use super::append::Appender;
use super::assign::assigned;
use super::insert::{column_position, default_of, refuse_generated, with_generated};
use super::target::Target;
use crate::error;
use crate::exec::Shared;
use crate::plan::{Planner, Sessions, Sources, analyzed_plan, filled_plan, planning_error};
use crate::store::Location;

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
        let Work::CopyFrom { target, columns, url } = &statement.work else { return Err(error::internal("a copy is one")) };
        let target = Target::open(&shared, &statement.relations, target).await?;
        target.refuse_row_policies()?;
        let state = shared.sessions.state(&statement.session);
        let (location, files) = list(&shared, url).await?;
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
        let appender = Appender::new(Arc::clone(&self.shared), &state, self.target.clone(), true)?;
        let copied = async move { appender.append_plan(physical, &state, &metrics, &context).await };
        self.shared.runtime.run_cooperative(copied).await.map(Execution::Done)
    }
}

/// The files that a URL names, in the order of their paths.
async fn list(shared: &Shared, url: &str) -> Result<(Location, Vec<ObjectMeta>), EngineError> {
    let pattern = url.find(['*', '?']).map(|at| {
        let folder_end = url[..at].rfind('/').map_or(0, |slash| slash + 1);
        (&url[..folder_end], &url[folder_end..])
    });
    let no_files = || error::sql(SqlMistake::UndefinedObject, "no Parquet file is at the location");
    let (location, files) = match pattern {
        Some((folder, pattern)) => {
            let location = shared.tables.stores().open(folder)?;
            let mut files = all_under(&location).await?;
            let prefix = if location.prefix.as_ref().is_empty() { String::new() } else { format!("{}/", location.prefix) };
            files.retain(|file| {
                file.location.as_ref().strip_prefix(&prefix).is_some_and(|path| matches(pattern.as_bytes(), path.as_bytes()))
            });
            (location, files)
        }
        None if url.ends_with(".parquet") => {
            let (folder, name) = url.rsplit_once('/').ok_or_else(no_files)?;
            let location = shared.tables.stores().open(folder)?;
            let path = location.prefix.clone().join(name);
            match location.store.head(&path).await {
                Ok(file) => (location, vec![file]),
                // A folder may have that name, too.
                Err(object_store::Error::NotFound { .. }) => folder_files(shared, url).await?,
                Err(failure) => return Err(error::from_object_store(&failure, None)),
            }
        }
        None => folder_files(shared, url).await?,
    };
    if files.is_empty() {
        return Err(no_files());
    }
    Ok((location, files))
}

async fn folder_files(shared: &Shared, url: &str) -> Result<(Location, Vec<ObjectMeta>), EngineError> {
    let location = shared.tables.stores().open(url)?;
    let mut files = all_under(&location).await?;
    // Hidden files are markers and checksums of other writers.
    let hidden = |name: &str| name.starts_with('_') || name.starts_with('.');
    files.retain(|file| {
        let inside = file.location.prefix_match(&location.prefix).map(|mut parts| !parts.any(|part| hidden(part.as_ref())));
        file.location.as_ref().ends_with(".parquet") && inside == Some(true)
    });
    Ok((location, files))
}

async fn all_under(location: &Location) -> Result<Vec<ObjectMeta>, EngineError> {
    let prefix = Some(&location.prefix).filter(|prefix| !prefix.as_ref().is_empty());
    let listed: Result<Vec<ObjectMeta>, _> = location.store.list(prefix).try_collect().await;
    let mut files = match listed {
        Ok(files) => files,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(failure) => return Err(error::from_object_store(&failure, None)),
    };
    files.retain(|file| file.size > 0);
    files.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(files)
}

/// `*` is any text within a folder's or file's name, `**` across folders, `?` one character.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => {
            let rest = rest.strip_prefix(b"/").unwrap_or(rest);
            (0..=text.len()).any(|at| matches(rest, &text[at..]))
        }
        [b'*', rest @ ..] => {
            let end = text.iter().position(|byte| *byte == b'/').unwrap_or(text.len());
            (0..=end).any(|at| matches(rest, &text[at..]))
        }
        [b'?', rest @ ..] => text.first().is_some_and(|byte| *byte != b'/') && matches(rest, &text[1..]),
        [byte, rest @ ..] => text.first() == Some(byte) && matches(rest, &text[1..]),
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
                let from = datafusion::common::Column::new(Some("file"), field.name());
                assigned(Expr::Column(from), &schema, column)?
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

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns() {
        assert!(matches(b"*.parquet", b"a.parquet"));
        assert!(!matches(b"*.parquet", b"x/a.parquet"));
        assert!(matches(b"**/*.parquet", b"x/y/a.parquet"));
        assert!(matches(b"**/*.parquet", b"a.parquet"));
        assert!(matches(b"part-?.parquet", b"part-1.parquet"));
        assert!(!matches(b"part-?.parquet", b"part-12.parquet"));
    }
}
