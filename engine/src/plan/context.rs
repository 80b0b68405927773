//! Names in a statement, resolved: to the relations that the gateway bound, to functions, to nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, SchemaRef};
use datafusion::catalog::TableFunctionArgs;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::{DFSchema, DataFusionError, Result, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{ViewTable, provider_as_source, source_as_provider};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use lakegate_engine_api::catalog::{Oid, RelationName};
use lakegate_engine_api::{SqlMistake, TablePolicies};
use sqlparser::ast::{ObjectName, Query, Statement};

use super::columns_read::{check_columns, check_expression};
use super::names::{name_columns, restored};
use super::refuse::refuse_ignored;
use super::spelling::respell;
use crate::delta::{SAMPLE_MARK, TableScan};
use crate::error;
use crate::functions::Registry;
use crate::planner_pg::passes::{self, Places, Relations};
use crate::planner_pg::types::PgTypes;
use crate::policy::{PolicedSource, policed_plan, without_values};

/// Views inside views.
const VIEW_DEPTH_MAX: usize = 64;

/// The relations of a statement, opened.
#[derive(Default)]
pub struct Sources {
    pub tables: HashMap<TableReference, Arc<dyn TableSource>>,
    pub views: HashMap<TableReference, ViewSource>,
    /// Tables that are seen through their policies alone.
    pub policed: HashMap<TableReference, PolicedSource>,
    /// Columns of primary keys.
    pub keys: HashMap<TableReference, Vec<String>>,
    /// The columns of relations that may be named, where that is not all of them.
    pub visible: HashMap<TableReference, VisibleColumns>,
    /// What views see that run in the name of other roles than the statement.
    pub inner: HashMap<Oid, Sources>,
}

/// Columns on which SELECT was granted.
pub struct VisibleColumns {
    /// The word for the relation in messages.
    pub kind: &'static str,
    pub names: Vec<String>,
}

/// A view, unplanned.
pub struct ViewSource {
    pub query: Arc<Query>,
    pub columns: Vec<String>,
    /// In whose name it reads; `None`: the statement's own.
    pub runs_as: Option<Oid>,
    /// Masks of its own columns.
    pub policies: Option<Arc<TablePolicies>>,
}

impl Sources {
    /// Those of a role in whose name views read, to be filled.
    pub fn level(&mut self, runs_as: Option<Oid>) -> &mut Sources {
        match runs_as {
            Some(role) => self.inner.entry(role).or_default(),
            None => self,
        }
    }
}

/// By name, and by whose name they read in.
type PlannedViews = HashMap<(TableReference, Option<Oid>), Arc<dyn TableSource>>;

/// Plans against one set of sources.
pub struct Planner<'a> {
    state: &'a SessionState,
    sources: &'a Sources,
    planned_views: Mutex<PlannedViews>,
    /// In whose name the views read that are being planned, the innermost last.
    levels: Mutex<Vec<Option<Oid>>>,
    /// FROM and WHERE of a change, whose values and RETURNING are planned as expressions over them.
    bases: Mutex<Vec<LogicalPlan>>,
}

#[must_use]
pub fn relation_reference(name: &RelationName) -> TableReference {
    TableReference::full(name.database.as_str(), name.schema.as_str(), name.name.as_str())
}

impl<'a> Planner<'a> {
    #[must_use]
    pub fn new(state: &'a SessionState, sources: &'a Sources) -> Self {
        Self { state, sources, planned_views: Mutex::new(HashMap::new()), levels: Mutex::new(Vec::new()), bases: Mutex::new(Vec::new()) }
    }

    /// A query as it came from the gateway, with types for its parameters.
    ///
    /// # Errors
    /// DataFusion's, or ours inside them.
    pub fn query(&self, mut query: Query, parameters: Vec<Option<arrow_schema::FieldRef>>) -> Result<LogicalPlan> {
        refuse_ignored(&query).map_err(error::external)?;
        respell(&mut query);
        name_columns(&mut query);
        passes::run(&mut query, self)?;
        let mut context = PlannerContext::new().with_prepare_param_data_types(parameters);
        let plan = SqlToRel::new(self).sql_statement_to_plan_with_context(Statement::Query(Box::new(query)), &mut context)?;
        if let Some(sources) = self.visible().filter(|sources| !sources.visible.is_empty()) {
            check_columns(&plan, &sources.visible)?;
            if let (LogicalPlan::Projection(projection), None) = (&plan, self.level()) {
                self.bases.lock().unwrap_or_else(PoisonError::into_inner).push(projection.input.as_ref().clone());
            }
        }
        Ok(plan)
    }

    /// An expression over the columns of a schema.
    ///
    /// # Errors
    /// DataFusion's, or ours inside them.
    pub fn expression(
        &self,
        mut expr: sqlparser::ast::Expr,
        schema: &DFSchema,
        parameters: Vec<Option<arrow_schema::FieldRef>>,
    ) -> Result<Expr> {
        refuse_ignored(&expr).map_err(error::external)?;
        respell(&mut expr);
        name_columns(&mut expr);
        passes::run(&mut expr, self)?;
        let mut context = PlannerContext::new().with_prepare_param_data_types(parameters);
        let expr = SqlToRel::new(self).sql_to_expr(expr, schema, &mut context)?;
        if let Some(sources) = self.visible().filter(|sources| !sources.visible.is_empty()) {
            let bases = self.bases.lock().unwrap_or_else(PoisonError::into_inner);
            check_expression(&expr, &bases, &sources.visible)?;
        }
        Ok(expr)
    }

    fn view(&self, name: &TableReference, view: &ViewSource) -> Result<Arc<dyn TableSource>> {
        let key = (name.clone(), self.level());
        if let Some(planned) = self.planned_views.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(planned));
        }
        {
            let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
            if levels.len() == VIEW_DEPTH_MAX {
                return Err(error::external(error::too_complex(VIEW_DEPTH_MAX)));
            }
            levels.push(view.runs_as);
        }
        let plan = self.query(view.query.as_ref().clone(), Vec::new());
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let plan = renamed(plan?, &view.columns)?;
        let source = provider_as_source(Arc::new(ViewTable::new(plan, None)));
        if let Some(policies) = &view.policies {
            let masked = PolicedSource { raw: source, table: name.table().to_owned(), policies: Arc::clone(policies), target: None };
            return self.policed(name, &masked);
        }
        self.planned_views.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&source));
        Ok(source)
    }

    /// A table behind its policies, whose own relations are those of the same level.
    fn policed(&self, name: &TableReference, source: &PolicedSource) -> Result<Arc<dyn TableSource>> {
        let key = (name.clone(), self.level());
        if let Some(planned) = self.planned_views.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(planned));
        }
        {
            let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
            if levels.len() == VIEW_DEPTH_MAX {
                return Err(error::external(error::too_complex(VIEW_DEPTH_MAX)));
            }
            levels.push(key.1);
        }
        let planned = policed_plan(self, self.state, source);
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let planned = planned.map_err(|error| error::external(without_values(planning_error(&error), &source.table)))?;
        self.planned_views.lock().unwrap_or_else(PoisonError::into_inner).insert(key, Arc::clone(&planned));
        Ok(planned)
    }

    /// A relation of the plans made here, by the name that they have for it.
    ///
    /// # Errors
    /// `Internal` where it is not there.
    pub fn source(&self, name: &TableReference) -> Result<Arc<dyn TableSource>> {
        self.get_table_source(name.clone())
    }

    /// In whose name what is being planned reads.
    fn level(&self) -> Option<Oid> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner).last().copied().flatten()
    }

    /// The relations that what is being planned may name.
    fn visible(&self) -> Option<&Sources> {
        match self.level() {
            Some(role) => self.sources.inner.get(&role),
            None => Some(self.sources),
        }
    }
}

/// A table that also tells where its rows lie.
///
/// # Errors
/// `Internal` for what is no table of files.
fn with_row_places(source: &Arc<dyn TableSource>, name: &TableReference) -> Result<Arc<dyn TableSource>> {
    let provider = source_as_provider(source)?;
    match provider.downcast_ref::<TableScan>() {
        Some(scan) => Ok(provider_as_source(Arc::new(scan.clone().with_sample_places()))),
        None => Err(error::external(error::internal(format!("{name} has no files")))),
    }
}

/// The plan's columns under the view's names, where it has some; else under their own.
fn renamed(plan: LogicalPlan, columns: &[String]) -> Result<LogicalPlan> {
    let fields = plan.schema().columns();
    let names: Vec<&str> =
        fields.iter().enumerate().map(|(at, field)| columns.get(at).map_or_else(|| restored(&field.name), String::as_str)).collect();
    if fields.iter().zip(&names).all(|(field, name)| field.relation.is_none() && field.name == **name) {
        return Ok(plan);
    }
    let exprs: Vec<Expr> = fields.iter().zip(names).map(|(field, name)| Expr::Column(field.clone()).alias(name)).collect();
    LogicalPlanBuilder::from(plan).project(exprs)?.build()
}

impl Relations for Planner<'_> {
    fn columns(&self, name: &ObjectName) -> Option<Vec<String>> {
        let parts: Vec<&str> = name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        let reference = match parts.as_slice() {
            [database, schema, relation] => TableReference::full(*database, *schema, *relation),
            // The target of a change has columns that are none of its own.
            [relation] if !relation.starts_with('\u{0}') => TableReference::bare(*relation),
            _ => return None,
        };
        let sources = self.visible()?;
        let source = match sources.tables.get(&reference) {
            Some(source) => Arc::clone(source),
            None if sources.policed.contains_key(&reference) => Arc::clone(&sources.policed.get(&reference)?.raw),
            // What is wrong with it is told where it is planned.
            None => self.view(&reference, sources.views.get(&reference)?).ok()?,
        };
        Some(source.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    fn places(&self, name: &ObjectName) -> Places {
        let parts: Vec<&str> = name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        let ([database, schema, relation], Some(sources)) = (parts.as_slice(), self.visible()) else { return Places::None };
        let reference = TableReference::full(*database, *schema, *relation);
        match sources.tables.get(&reference) {
            // Columns that may not be named are known by the table's own name.
            Some(_) if sources.visible.contains_key(&reference) => Places::Hidden,
            Some(source) if with_row_places(source, &reference).is_ok() => match self.columns(name) {
                Some(columns) => Places::Known(columns),
                None => Places::None,
            },
            Some(_) => Places::Hidden,
            None if sources.policed.contains_key(&reference) => Places::Hidden,
            None => Places::None,
        }
    }

    fn primary_key(&self, name: &ObjectName) -> Option<&[String]> {
        let parts: Vec<&str> = name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        let [database, schema, relation] = parts.as_slice() else { return None };
        self.visible()?.keys.get(&TableReference::full(*database, *schema, *relation)).map(Vec::as_slice)
    }
}

impl ContextProvider for Planner<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        let sources = self.visible();
        if let Some(source) = sources.and_then(|sources| sources.tables.get(&name)) {
            return Ok(Arc::clone(source));
        }
        if let Some(policed) = sources.and_then(|sources| sources.policed.get(&name)) {
            return self.policed(&name, policed);
        }
        if let Some(view) = sources.and_then(|sources| sources.views.get(&name)) {
            return self.view(&name, view);
        }
        if let Some(plain) = name.table().strip_suffix(SAMPLE_MARK)
            && let TableReference::Full { catalog, schema, .. } = &name
        {
            let plain = TableReference::full(Arc::clone(catalog), Arc::clone(schema), plain);
            return with_row_places(&self.get_table_source(plain.clone())?, &plain);
        }
        Err(error::external(error::sql(SqlMistake::UndefinedTable, format!("relation \"{name}\" does not exist"))))
    }

    fn get_table_function_source(&self, name: &str, args: Vec<Expr>) -> Result<Arc<dyn TableSource>> {
        let Some(function) = self.state.table_functions().get(name) else {
            return Err(error::external(error::sql(SqlMistake::UndefinedFunction, format!("function {name} does not exist"))));
        };
        let context = SimplifyContext::builder()
            .with_config_options(Arc::clone(self.state.config_options()))
            .with_query_execution_start_time(self.state.execution_props().query_execution_start_time)
            .build();
        let simplifier = ExprSimplifier::new(context);
        let schema = DFSchema::empty();
        let args: Result<Vec<Expr>> =
            args.into_iter().map(|arg| simplifier.coerce(arg, &schema).and_then(|arg| simplifier.simplify(arg))).collect();
        let provider = function.create_table_provider_with_args(TableFunctionArgs::new(&args?, self.state))?;
        Ok(provider_as_source(provider))
    }

    fn create_cte_work_table(&self, name: &str, schema: SchemaRef) -> Result<Arc<dyn TableSource>> {
        Ok(provider_as_source(Arc::new(CteWorkTable::new(name, schema))))
    }

    fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
        self.state.expr_planners()
    }

    fn get_relation_planners(&self) -> &[Arc<dyn RelationPlanner>] {
        self.state.relation_planners()
    }

    fn get_type_planner(&self) -> Option<Arc<dyn TypePlanner>> {
        Some(Arc::new(PgTypes))
    }

    fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.state.config().get_extension::<Registry>()?.scalar(name)
    }

    fn get_higher_order_meta(&self, name: &str) -> Option<Arc<HigherOrderUDF>> {
        self.state.higher_order_functions().get(name).cloned()
    }

    fn get_aggregate_meta(&self, name: &str) -> Option<Arc<AggregateUDF>> {
        self.state.aggregate_functions().get(name).cloned()
    }

    fn get_window_meta(&self, name: &str) -> Option<Arc<WindowUDF>> {
        self.state.window_functions().get(name).cloned()
    }

    fn get_variable_type(&self, _variable_names: &[String]) -> Option<DataType> {
        None
    }

    fn options(&self) -> &ConfigOptions {
        self.state.config_options()
    }

    fn udf_names(&self) -> Vec<String> {
        Registry::scalar_names()
    }

    fn higher_order_function_names(&self) -> Vec<String> {
        self.state.higher_order_functions().keys().cloned().collect()
    }

    fn udaf_names(&self) -> Vec<String> {
        self.state.aggregate_functions().keys().cloned().collect()
    }

    fn udwf_names(&self) -> Vec<String> {
        self.state.window_functions().keys().cloned().collect()
    }
}

/// An error of planning, for the statement's author.
#[must_use]
pub fn planning_error(error: &DataFusionError) -> lakegate_engine_api::EngineError {
    error::from_datafusion(error, &[])
}
