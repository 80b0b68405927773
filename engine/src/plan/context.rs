//! Names in a statement, resolved: to the relations that the gateway bound, to functions, to nothing else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, SchemaRef};
use datafusion::catalog::TableFunctionArgs;
use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::{DFSchema, DataFusionError, Result, TableReference};
use datafusion::config::ConfigOptions;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::SessionState;
use datafusion::logical_expr::planner::{ContextProvider, ExprPlanner, RelationPlanner, TypePlanner};
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{AggregateUDF, Expr, HigherOrderUDF, LogicalPlan, LogicalPlanBuilder, ScalarUDF, TableSource, WindowUDF};
use datafusion::optimizer::simplify_expressions::ExprSimplifier;
use datafusion::sql::planner::{PlannerContext, SqlToRel};
use lakegate_engine_api::SqlMistake;
use lakegate_engine_api::catalog::RelationName;
use sqlparser::ast::{ObjectName, Query, Statement};

use super::names::{name_columns, restored};
use super::refuse::refuse_ignored;
use super::spelling::respell;
use crate::error;
use crate::functions::Registry;
use crate::planner_pg::passes::{self, Relations};
use crate::planner_pg::types::PgTypes;

/// Views inside views.
const VIEW_DEPTH_MAX: usize = 64;

/// The relations of a statement, opened.
#[derive(Default)]
pub struct Sources {
    pub tables: HashMap<TableReference, Arc<dyn TableSource>>,
    pub views: HashMap<TableReference, (Arc<Query>, Vec<String>)>,
    /// Columns of primary keys.
    pub keys: HashMap<TableReference, Vec<String>>,
}

/// Plans against one set of sources.
pub struct Planner<'a> {
    state: &'a SessionState,
    sources: &'a Sources,
    planned_views: Mutex<HashMap<TableReference, Arc<dyn TableSource>>>,
    view_depth: Mutex<usize>,
}

#[must_use]
pub fn relation_reference(name: &RelationName) -> TableReference {
    TableReference::full(name.database.as_str(), name.schema.as_str(), name.name.as_str())
}

impl<'a> Planner<'a> {
    #[must_use]
    pub fn new(state: &'a SessionState, sources: &'a Sources) -> Self {
        Self { state, sources, planned_views: Mutex::new(HashMap::new()), view_depth: Mutex::new(0) }
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
        SqlToRel::new(self).sql_statement_to_plan_with_context(Statement::Query(Box::new(query)), &mut context)
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
        SqlToRel::new(self).sql_to_expr(expr, schema, &mut context)
    }

    fn view(&self, name: &TableReference, query: &Query, columns: &[String]) -> Result<Arc<dyn TableSource>> {
        if let Some(planned) = self.planned_views.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(planned));
        }
        {
            let mut depth = self.view_depth.lock().unwrap_or_else(PoisonError::into_inner);
            if *depth == VIEW_DEPTH_MAX {
                return Err(error::external(error::too_complex(VIEW_DEPTH_MAX)));
            }
            *depth += 1;
        }
        let plan = self.query(query.clone(), Vec::new());
        *self.view_depth.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        let plan = renamed(plan?, columns)?;
        let source = provider_as_source(Arc::new(ViewTable::new(plan, None)));
        self.planned_views.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone(), Arc::clone(&source));
        Ok(source)
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
        let source = match self.sources.tables.get(&reference) {
            Some(source) => Arc::clone(source),
            None => {
                let (query, columns) = self.sources.views.get(&reference)?;
                // What is wrong with it is told where it is planned.
                self.view(&reference, query, columns).ok()?
            }
        };
        Some(source.schema().fields().iter().map(|field| field.name().clone()).collect())
    }

    fn primary_key(&self, name: &ObjectName) -> Option<&[String]> {
        let parts: Vec<&str> = name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.as_str()).collect();
        let [database, schema, relation] = parts.as_slice() else { return None };
        self.sources.keys.get(&TableReference::full(*database, *schema, *relation)).map(Vec::as_slice)
    }
}

impl ContextProvider for Planner<'_> {
    fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
        if let Some(source) = self.sources.tables.get(&name) {
            return Ok(Arc::clone(source));
        }
        if let Some((query, columns)) = self.sources.views.get(&name) {
            return self.view(&name, query, columns);
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
