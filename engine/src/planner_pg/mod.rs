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
mod grouping_columns;
mod json_equality;
mod json_operators;
mod lateral;
mod limit_by_query;
mod list_types;
mod operand;
mod operators;
mod outer_references;
mod output;
pub mod passes;
mod recursive_terms;
mod relations;
mod resolve;
mod set_comparison;
pub mod types;
mod unions;
mod value_order;
mod windows;
mod with_ties;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::functions::core::planner::CoreFunctionPlanner;
use datafusion::logical_expr::planner::ExprPlanner;
use datafusion::logical_expr::{AggregateUDF, Expr, ScalarUDF};
use datafusion::optimizer::AnalyzerRule;
use datafusion::optimizer::analyzer::resolve_grouping_function::ResolveGroupingFunction;
use datafusion::optimizer::analyzer::type_coercion::TypeCoercion;
use datafusion::prelude::SessionConfig;

use crate::functions::session::Session;
use crate::functions::text::style::Style;
use crate::functions::{self, Registry};
use crate::plan::{KeepSourceOrder, physical_rules};

pub use output::{present, present_columns};

/// Sets up what all sessions share: types, aggregates and windows. No scalar function is in the state:
/// names are looked up in the session's [`Registry`].
#[must_use]
pub fn base(config: SessionConfig, runtime: Arc<RuntimeEnv>) -> SessionState {
    SessionStateBuilder::new()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_default_features()
        .with_expr_planners(Vec::new())
        .with_relation_planners(Vec::new())
        .with_type_planner(Arc::new(types::PgTypes))
        .with_analyzer_rules(Vec::new())
        .with_physical_optimizer_rules(physical_rules())
        .with_physical_optimizer_rule(Arc::new(KeepSourceOrder))
        .with_scalar_functions(Vec::new())
        .with_higher_order_functions(Vec::new())
        .with_aggregate_functions(functions::aggregates())
        .with_window_functions(functions::windows())
        .with_table_functions(functions::table_functions())
        .build()
}

/// Sets a [`base`] state up for one session: operators, functions and rules. `is_small`: it reads few rows in memory.
pub fn configure(state: &mut SessionState, session: Arc<Session>, is_small: bool) {
    let functions = Arc::new(Registry::new(&session));
    state.config_mut().set_extension(Arc::clone(&functions));
    let planner = PgPlanner(Arc::new(Planning { session, functions }));
    let rules: [Arc<dyn AnalyzerRule + Send + Sync>; 6] = [
        Arc::new(ResolveGroupingFunction::new()),
        Arc::new(resolve::ResolveTypes(planner.clone())),
        Arc::new(TypeCoercion::new()),
        Arc::new(casts::PgCasts(planner.clone())),
        Arc::new(windows::Windows),
        Arc::new(correlated::CorrelatedSubqueries { planner: planner.clone(), runtime: Some(Arc::clone(state.runtime_env())), is_small }),
    ];
    for rule in rules {
        state.add_analyzer_rule(rule);
    }
    // Field access of records and grouping of aggregates stay DataFusion's.
    let planners: [Arc<dyn ExprPlanner>; 2] = [Arc::new(planner.clone()), Arc::new(CoreFunctionPlanner::default())];
    for planner in planners {
        // Never fails: the state only keeps it.
        let _ = state.register_expr_planner(planner);
    }
    let _ = state.register_relation_planner(Arc::new(planner));
}

/// What planning needs of a session; cheap to clone.
#[derive(Clone)]
pub struct PgPlanner(Arc<Planning>);

struct Planning {
    session: Arc<Session>,
    functions: Arc<Registry>,
}

/// Aggregates that the planner calls, by name.
static AGGREGATES: LazyLock<HashMap<String, Arc<AggregateUDF>>> =
    LazyLock::new(|| functions::aggregates().into_iter().map(|aggregate| (aggregate.name().to_owned(), aggregate)).collect());

impl PgPlanner {
    fn session(&self) -> &Arc<Session> {
        &self.0.session
    }

    fn style(&self) -> &Style {
        &self.0.session.style
    }

    /// A call of a function by name; names that begin with `#` cannot be written in SQL.
    fn call(&self, name: &str, args: Vec<Expr>) -> Result<Expr> {
        match self.function(name) {
            Some(function) => Ok(function.call(args)),
            None => datafusion::common::internal_err!("the function {name} is not there"),
        }
    }

    fn function(&self, name: &str) -> Option<Arc<ScalarUDF>> {
        self.0.functions.scalar(name)
    }

    fn aggregate(&self, name: &str) -> Result<Arc<AggregateUDF>> {
        match AGGREGATES.get(name) {
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
