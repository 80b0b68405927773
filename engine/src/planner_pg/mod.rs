//! PostgreSQL's meaning of types, operators and literals, put into DataFusion's planner: [`configure`] before planning,
//! [`present`] on a plan whose rows go to a client.
//!
//! Types flow like this. [`types`] maps type names to tagged Arrow fields. While SQL becomes a plan, [`operators`] resolves
//! each operator by its operands' types and reads untyped literals as the other operand's type; [`resolve`] then does the
//! same for every other expression of the finished plan. DataFusion's own coercion follows, and [`casts`] turns each cast
//! that Arrow does differently into one that does as PostgreSQL does.

mod aggregates;
mod casts;
mod correlated;
mod lateral;
mod operand;
mod operators;
mod output;
pub mod passes;
mod relations;
mod resolve;
mod set_comparison;
pub mod types;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use lakegate_engine_api::SessionFacts;

use crate::functions;
use crate::functions::session::Session;
use crate::functions::text::style::Style;

pub use output::present;

/// Sets the planner up for one session: types, operators, functions, rules and the settings they rest on. What the builder
/// held of expression planners, functions and analyzer rules is replaced.
#[must_use]
pub fn configure(mut builder: SessionStateBuilder, facts: &Arc<SessionFacts>) -> SessionStateBuilder {
    let session = Session::new(Arc::clone(facts));
    let registry = functions::registry(&session);
    let planner = PgPlanner(Arc::new(Planning { session, functions: registry.scalar_by_name(), aggregates: registry.aggregate_by_name() }));
    if let Some(config) = builder.config() {
        let options = config.options_mut();
        options.sql_parser.parse_float_as_decimal = true;
        options.sql_parser.map_string_types_to_utf8view = false;
        options.sql_parser.default_null_ordering = "nulls_max".to_owned();
        options.execution.time_zone = Some("UTC".to_owned());
    }
    let rules: Vec<Arc<dyn AnalyzerRule + Send + Sync>> = vec![
        Arc::new(ResolveGroupingFunction::new()),
        Arc::new(resolve::ResolveTypes(planner.clone())),
        Arc::new(TypeCoercion::new()),
        Arc::new(casts::PgCasts(planner.clone())),
        Arc::new(correlated::CorrelatedSubqueries { planner: planner.clone(), runtime: builder.runtime_env().clone() }),
    ];
    // Field access of records and grouping of aggregates stay DataFusion's.
    let expr_planners: Vec<Arc<dyn datafusion::logical_expr::planner::ExprPlanner>> =
        vec![Arc::new(planner.clone()), Arc::new(datafusion::functions::core::planner::CoreFunctionPlanner::default())];
    builder
        .with_expr_planners(expr_planners)
        .with_relation_planners(vec![Arc::new(planner.clone())])
        .with_type_planner(Arc::new(types::PgTypes))
        .with_analyzer_rules(rules)
        .with_scalar_functions(registry.scalars())
        .with_aggregate_functions(registry.aggregates)
        .with_window_functions(registry.windows)
        .with_table_functions(functions::table_functions())
}

/// What planning needs of a session; cheap to clone.
#[derive(Clone)]
pub struct PgPlanner(Arc<Planning>);

struct Planning {
    session: Arc<Session>,
    functions: HashMap<String, Arc<ScalarUDF>>,
    aggregates: HashMap<String, Arc<AggregateUDF>>,
}

impl PgPlanner {
    fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    fn style(&self) -> &Style {
        &self.0.session.style
    }

    /// A call of a function by name; names that begin with `#` cannot be written in SQL.
    fn call(&self, name: &str, args: Vec<Expr>) -> Result<Expr> {
        match self.0.functions.get(name) {
            Some(function) => Ok(function.call(args)),
            None => datafusion::common::internal_err!("the function {name} is not there"),
        }
    }

    fn function(&self, name: &str) -> Option<&Arc<ScalarUDF>> {
        self.0.functions.get(name)
    }

    fn aggregate(&self, name: &str) -> Result<Arc<AggregateUDF>> {
        match self.0.aggregates.get(name) {
            Some(aggregate) => Ok(Arc::clone(aggregate)),
            None => datafusion::common::internal_err!("the aggregate {name} is not there"),
        }
    }
}

impl fmt::Debug for PgPlanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PgPlanner")
    }
}
