//! A query, planned: its parameters, its columns, its plan.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow_schema::{DataType, Field, FieldRef, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{ParamValues, Result};
use datafusion::execution::SessionState;
use datafusion::logical_expr::expr::Placeholder;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::Optimizer;
use datafusion::optimizer::simplify_expressions::SimplifyExpressions;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{EngineError, Limit, SessionFacts, SqlMistake, arrow_field};
use sqlparser::ast::Query;

use super::comparable::comparable;
use super::context::{Planner, planning_error};
use super::modifiers::plain_numerics;
use super::origins::column_origins;
use super::result_fields::result_schema;
use super::small::is_unfinished;
use crate::error;
use crate::planner_pg::present;

/// PostgreSQL's `MaxTupleAttributeNumber`.
const COLUMNS_MAX: usize = 1_664;

/// As many as DataFusion makes.
const PASSES_MAX: usize = 3;

/// Analysed, not optimised: parameters are filled in first.
#[derive(Debug, Clone)]
pub struct PlannedQuery {
    pub plan: LogicalPlan,
    pub parameters: Vec<FieldRef>,
    pub schema: SchemaRef,
}

/// Whom a query's rows are for.
#[derive(Debug, Clone, Copy)]
pub enum Audience<'a> {
    /// `char(n)` is padded.
    Client(&'a Arc<SessionFacts>),
    Table,
}

/// Plans twice where the statement has parameters: what the first pass finds out about their types, or `text` where it
/// finds nothing, is what the second one plans with.
///
/// # Errors
/// The statement's mistakes.
pub fn plan_query(
    planner: &Planner<'_>,
    state: &SessionState,
    query: &Query,
    declared: &[Option<PgType>],
    audience: Audience<'_>,
) -> Result<PlannedQuery, EngineError> {
    let known = declared_fields(declared)?;
    let plan = planner.query(query.clone(), known.clone()).map_err(|error| planning_error(&error))?;
    let parameters = parameters_of(state, &plan, &known)?;
    let plan = if parameters.is_empty() {
        plan
    } else {
        let fixed = parameters.iter().cloned().map(Some).collect();
        planner.query(query.clone(), fixed).map_err(|error| planning_error(&error))?
    };
    let plan = analyzed_plan(state, plan)?;
    let (plan, plain, origins) = match audience {
        Audience::Client(facts) => {
            let plain = plain_numerics(&plan).map_err(|error| planning_error(&error))?;
            let origins = column_origins(&plan, facts);
            (present(plan).map_err(|error| planning_error(&error))?, plain, origins)
        }
        Audience::Table => (plan, Vec::new(), Vec::new()),
    };
    let columns = plan.schema().fields().len();
    if columns > COLUMNS_MAX {
        let message = format!("target lists can have at most {COLUMNS_MAX} entries");
        return Err(EngineError::Limit { limit: Limit::TooManyColumns, message });
    }
    let schema = result_schema(plan.schema().as_arrow(), &plain, &origins);
    Ok(PlannedQuery { plan, parameters, schema })
}

/// How clients see the columns `shown` of an analysed plan; `presented` is the same plan as it shows them.
///
/// # Errors
/// None of its own.
pub fn returned_schema(plan: &LogicalPlan, presented: &LogicalPlan, shown: Range<usize>) -> Result<SchemaRef, EngineError> {
    let plain = plain_numerics(plan).map_err(|error| planning_error(&error))?;
    let all = result_schema(presented.schema().as_arrow(), &plain, &[]);
    let columns: Vec<usize> = shown.collect();
    all.project(&columns).map(Arc::new).map_err(|error| error::from_arrow(&error))
}

/// Names and types resolved, casts made explicit.
///
/// # Errors
/// The statement's mistakes.
pub fn analyzed_plan(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan, EngineError> {
    state.analyzer().execute_and_check(plan, state.config_options(), |_, _| {}).map_err(|error| planning_error(&error))
}

/// An analysed plan with its parameters filled in, optimised.
///
/// # Errors
/// A constant expression fails.
pub fn filled_plan(state: &SessionState, plan: LogicalPlan, values: Option<ParamValues>) -> Result<LogicalPlan, EngineError> {
    let plan = match values {
        Some(values) => plan.with_param_values(values).map_err(|error| planning_error(&error))?,
        None => plan,
    };
    optimized(state, plan).map_err(|error| planning_error(&error))
}

/// A query's plan, optimised before its parameters are known: what is left to do with them is to put them in and to simplify. `None`
/// where a parameter decides more than values: of LIMIT and OFFSET much follows for the plan.
///
/// # Errors
/// A constant expression fails.
pub fn template(state: &SessionState, query: &PlannedQuery) -> Result<Option<LogicalPlan>> {
    let mut decides = false;
    query.plan.apply_with_subqueries(|plan| {
        if let LogicalPlan::Limit(_) = plan {
            let mut found = BTreeMap::new();
            plan.apply_expressions(|expr| collect(expr, &mut found))?;
            decides |= !found.is_empty();
        }
        Ok(if decides { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    if decides { Ok(None) } else { optimized(state, query.plan.clone()).map(Some) }
}

/// A [`template`] with its parameters.
///
/// # Errors
/// A constant expression fails.
pub fn filled_template(state: &SessionState, plan: LogicalPlan, values: Option<ParamValues>) -> Result<LogicalPlan> {
    let Some(values) = values else { return Ok(plan) };
    let plan = comparable(plan.with_param_values(values)?)?;
    SIMPLIFIER.optimize(plan, state, |_, _| {})
}

/// What a value in the place of a parameter can change.
static SIMPLIFIER: LazyLock<Optimizer> = LazyLock::new(|| Optimizer::with_rules(vec![Arc::new(SimplifyExpressions::new())]));

fn optimized(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut plan = state.optimizer().optimize(comparable(plan)?, state, |_, _| {})?;
    // One pass is enough for most.
    for _ in 1..PASSES_MAX {
        if state.config_options().optimizer.max_passes > 1 || !is_unfinished(&plan)? {
            break;
        }
        plan = Optimizer::new().optimize(plan, state, |_, _| {})?;
    }
    Ok(plan)
}

/// Fields of the parameters in a plan that is not analysed yet.
///
/// # Errors
/// As [`resolve`].
pub fn parameters_of(state: &SessionState, plan: &LogicalPlan, known: &[Option<FieldRef>]) -> Result<Vec<FieldRef>, EngineError> {
    let written = placeholders(plan).map_err(|error| planning_error(&error))?;
    if written.is_empty() && known.is_empty() {
        return Ok(Vec::new());
    }
    // The analyzer finds out more; where a parameter without a type is too much for it, what the plan says has to do.
    let found = match analyzed_plan(state, plan.clone()) {
        Ok(analyzed) => placeholders(&analyzed).map_err(|error| planning_error(&error))?,
        Err(_) => BTreeMap::new(),
    };
    let merged = written.into_iter().map(|(number, field)| (number, found.get(&number).cloned().flatten().or(field))).collect();
    resolve(known, &merged)
}

/// Adds what a plan that is not analysed yet says of the parameters to what is known of them; one without a type is text from then on.
///
/// # Errors
/// None of its own.
pub fn found_parameters(
    state: &SessionState,
    plan: &LogicalPlan,
    known: &mut Vec<Option<FieldRef>>,
    found: &mut BTreeMap<usize, Option<FieldRef>>,
) -> Result<(), EngineError> {
    let written = placeholders(plan).map_err(|error| planning_error(&error))?;
    if written.is_empty() {
        return Ok(());
    }
    let analysed = match analyzed_plan(state, plan.clone()) {
        Ok(analysed) => placeholders(&analysed).map_err(|error| planning_error(&error))?,
        Err(_) => BTreeMap::new(),
    };
    for (number, field) in written {
        let field = analysed.get(&number).cloned().flatten().or(field);
        if let Some(place) = number.checked_sub(1) {
            if known.len() <= place {
                known.resize(place + 1, None);
            }
            if known[place].is_none() {
                let text = || Arc::new(Field::new(format!("${number}"), DataType::Utf8, true));
                known[place] = Some(field.clone().unwrap_or_else(text));
            }
        }
        found.insert(number, field);
    }
    Ok(())
}

/// Fields for the types that a client declared; `None` where it left the choice open.
///
/// # Errors
/// `IndeterminateDatatype` for a type that no parameter can have.
pub fn declared_fields(declared: &[Option<PgType>]) -> Result<Vec<Option<FieldRef>>, EngineError> {
    let field = |(at, pg): (usize, &Option<PgType>)| match pg {
        None => Ok(None),
        Some(pg) => match arrow_field(&format!("${}", at + 1), *pg, true) {
            Some(field) => Ok(Some(Arc::new(field))),
            None => Err(error::sql(SqlMistake::IndeterminateDatatype, format!("parameter ${} has a type that is not supported", at + 1))),
        },
    };
    declared.iter().enumerate().map(field).collect()
}

/// Number of each placeholder in the plan, subqueries included, and the first type found for it.
pub fn placeholders(plan: &LogicalPlan) -> Result<BTreeMap<usize, Option<FieldRef>>> {
    let mut found: BTreeMap<usize, Option<FieldRef>> = BTreeMap::new();
    plan.apply_with_subqueries(|plan| plan.apply_expressions(|expr| collect(expr, &mut found)))?;
    Ok(found)
}

/// The same for an expression.
pub fn collect(expr: &Expr, found: &mut BTreeMap<usize, Option<FieldRef>>) -> Result<TreeNodeRecursion> {
    use datafusion::common::tree_node::TreeNode;
    expr.apply(|expr| {
        if let Expr::Placeholder(Placeholder { id, field }) = expr
            && let Some(number) = id.strip_prefix('$').and_then(|number| number.parse().ok())
        {
            let known = found.entry(number).or_default();
            let typed = field.as_ref().filter(|field| *field.data_type() != DataType::Null);
            if known.is_none() {
                *known = typed.cloned();
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })
}

/// One field a parameter: as declared, as found, or text.
///
/// # Errors
/// `UndefinedParameter` for `$0`, `IndeterminateDatatype` for a gap in the numbers.
pub fn resolve(known: &[Option<FieldRef>], found: &BTreeMap<usize, Option<FieldRef>>) -> Result<Vec<FieldRef>, EngineError> {
    if found.contains_key(&0) {
        return Err(error::sql(SqlMistake::UndefinedParameter, "there is no parameter $0"));
    }
    let count = found.keys().copied().max().unwrap_or(0).max(known.len());
    (1..=count)
        .map(|number| {
            let declared = known.get(number - 1).cloned().flatten();
            match (declared, found.get(&number)) {
                (Some(field), _) => Ok(field),
                (None, Some(Some(field))) => {
                    let named = field.as_ref().clone().with_name(format!("${number}")).with_nullable(true);
                    Ok(Arc::new(named))
                }
                (None, Some(None)) => Ok(Arc::new(Field::new(format!("${number}"), DataType::Utf8, true))),
                (None, None) => {
                    Err(error::sql(SqlMistake::IndeterminateDatatype, format!("could not determine data type of parameter ${number}")))
                }
            }
        })
        .collect()
}
