//! Correlated subqueries that DataFusion cannot turn into joins: run once for each distinct set of outer values. Right for
//! every query, fast only where outer rows are few, as in what clients ask the catalogs.

mod apply;
mod join_conditions;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, NullHandling, Result, ScalarValue, TableReference, UnnestOptions, internal_err};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::async_udf::AsyncScalarUDF;
use datafusion::logical_expr::expr::{Exists, InSubquery, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, Distinct, DistinctOn, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, ScalarUDF, Signature,
    Subquery, SubqueryAlias, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionConfig;

use self::apply::{Apply, Kind};
use super::outer_references::{self, reaches_out, references};
use super::{PgPlanner, lateral, set_comparison};
use crate::functions::error::unsupported;
use crate::plan::with_few_rules;

/// Begins the names of the columns that hold subqueries' results.
const APPLIED: &str = "#applied";

/// The last rule of analysis.
pub struct CorrelatedSubqueries {
    pub planner: PgPlanner,
    pub runtime: Option<Arc<RuntimeEnv>>,
    /// The statement reads few rows in memory.
    pub is_small: bool,
}

impl std::fmt::Debug for CorrelatedSubqueries {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CorrelatedSubqueries")
    }
}

impl AnalyzerRule for CorrelatedSubqueries {
    fn name(&self) -> &str {
        "pg_correlated_subqueries"
    }

    fn analyze(&self, plan: LogicalPlan, config: &ConfigOptions) -> Result<LogicalPlan> {
        if !needs_rewrite(&plan)? {
            return Ok(plan);
        }
        let context = Arc::new(Context {
            single: self.planner.function("#single"),
            gather: self.planner.aggregate("array_agg").ok(),
            runtime: self.runtime.clone(),
            config: Arc::new(config.clone()),
            is_small: self.is_small,
            subqueries: AtomicUsize::new(0),
        });
        rewrite(plan, &context)
    }
}

/// What running a subquery takes.
struct Context {
    single: Option<Arc<ScalarUDF>>,
    gather: Option<Arc<AggregateUDF>>,
    runtime: Option<Arc<RuntimeEnv>>,
    config: Arc<ConfigOptions>,
    is_small: bool,
    /// How many there are so far.
    subqueries: AtomicUsize,
}

impl Context {
    fn state(&self) -> SessionState {
        let mut builder = SessionStateBuilder::new()
            .with_config(SessionConfig::from(self.config.as_ref().clone()).with_target_partitions(1))
            .with_aggregate_functions(super::AGGREGATES.values().cloned().collect())
            // The plan was analysed with the statement.
            .with_analyzer_rules(Vec::new());
        if self.is_small {
            builder = with_few_rules(builder);
        }
        if let Some(runtime) = &self.runtime {
            builder = builder.with_runtime_env(Arc::clone(runtime));
        }
        builder.build()
    }
}

/// Whether there is anything that DataFusion's own rules do not take, or take with another meaning.
fn needs_rewrite(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found |= plan.contains_outer_reference();
        let filters = matches!(plan, LogicalPlan::Filter(_));
        plan.apply_expressions(|expr| {
            found |= expr.exists(|expr| {
                Ok(match expr {
                    Expr::SetComparison(_) => true,
                    Expr::InSubquery(_) => true,
                    Expr::Exists(_) => !filters,
                    _ => false,
                })
            })?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn has_outer_references(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found |= plan.contains_outer_reference();
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn rewrite(plan: LogicalPlan, context: &Arc<Context>) -> Result<LogicalPlan> {
    let plan = plan.map_children(|child| rewrite(child, context).map(Transformed::yes))?.data;
    let plan = lateral::flatten(plan)?.data;
    let plan = match plan {
        LogicalPlan::Join(join) => lateral_join(join, context)?,
        plan => plan,
    };
    let plan = match plan {
        LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(|filter| !plain(filter)) => {
            return join_conditions::spelled(join, context);
        }
        plan => plan,
    };
    applied(plan, context)
}

/// Replaces the subqueries of a node's expressions that need it by columns computed beneath the node.
fn applied(plan: LogicalPlan, context: &Arc<Context>) -> Result<LogicalPlan> {
    let mut calls: Vec<Expr> = Vec::new();
    let names = NamePreserver::new(&plan);
    let schema = merge_schema(&plan.inputs());
    let filters = matches!(plan, LogicalPlan::Filter(_));
    let place = match plan {
        LogicalPlan::Projection(_) => Place::Value,
        LogicalPlan::Aggregate(_) => Place::Aggregate,
        _ => Place::Elsewhere,
    };
    let plan = plan
        .map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = if filters {
                let parts = split_conjunction_owned(expr);
                let parts = parts.into_iter().map(|part| condition(part, &schema, &mut calls, context)).collect::<Result<Vec<_>>>()?;
                conjunction(parts).unwrap_or_else(|| lit(true))
            } else {
                value(expr, place, &schema, &mut calls, context)?
            };
            Ok(Transformed::yes(name.restore(expr)))
        })?
        .data;
    if calls.is_empty() {
        return Ok(plan);
    }
    let [input] = plan.inputs()[..] else { return Err(unsupported("a correlated subquery of this kind in a join condition")) };
    let kept = input.schema().columns();
    let mut exprs: Vec<Expr> = kept.iter().cloned().map(Expr::Column).collect();
    exprs.extend(seen_from(calls, input.schema())?);
    let beneath = LogicalPlanBuilder::from(input.clone()).project(exprs)?.build()?;
    let passes_through = matches!(plan, LogicalPlan::Filter(_) | LogicalPlan::Sort(_));
    let plan = match plan {
        // `with_new_exprs` panics where it has ORDER BY.
        LogicalPlan::Distinct(Distinct::On(on)) => LogicalPlan::Distinct(Distinct::On(DistinctOn { input: Arc::new(beneath), ..on })),
        plan => {
            let expressions = plan.expressions();
            plan.with_new_exprs(expressions, vec![beneath])?
        }
    };
    if passes_through {
        return LogicalPlanBuilder::from(plan).project(kept.into_iter().map(Expr::Column))?.build();
    }
    Ok(plan)
}

/// What calls take from outside, where that is a column of the rows at hand; the rest comes from further out.
fn seen_from(calls: Vec<Expr>, schema: &DFSchema) -> Result<Vec<Expr>> {
    let seen = |expr: Expr| {
        expr.transform(|expr| {
            Ok(match expr {
                Expr::OuterReferenceColumn(_, column) if schema.has_column(&column) => Transformed::yes(Expr::Column(column)),
                other => Transformed::no(other),
            })
        })
    };
    calls.into_iter().map(|call| seen(call).map(|transformed| transformed.data)).collect()
}

/// Where a subquery stands decides what DataFusion can make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is itself one of a filter's conditions: a join.
    Condition,
    /// Inside a filter's condition: a join that marks rows, which knows true and false only.
    Filter,
    /// In a projection: nothing but scalar subqueries.
    Value,
    /// In an aggregate: the same, in a projection beneath it.
    Aggregate,
    /// Anywhere else, as in DISTINCT ON and ORDER BY: nothing that is correlated.
    Elsewhere,
    /// In the condition of an outer join: nothing.
    Join,
}

fn condition(expr: Expr, schema: &DFSchema, calls: &mut Vec<Expr>, context: &Arc<Context>) -> Result<Expr> {
    let expr = match expr {
        Expr::SetComparison(comparison) => set_comparison::as_condition(comparison, schema)?,
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(InSubquery { expr, subquery, negated }) => Expr::InSubquery(InSubquery { expr, subquery, negated: !negated }),
            Expr::Exists(Exists { subquery, negated }) => Expr::Exists(Exists { subquery, negated: !negated }),
            inner => Expr::Not(Box::new(inner)),
        },
        other => other,
    };
    let place = if matches!(expr, Expr::Exists(_) | Expr::InSubquery(_)) { Place::Condition } else { Place::Filter };
    value(expr, place, schema, calls, context)
}

fn value(expr: Expr, place: Place, schema: &DFSchema, calls: &mut Vec<Expr>, context: &Arc<Context>) -> Result<Expr> {
    let expr = expr
        .transform_up(|expr| match expr {
            Expr::SetComparison(comparison) => set_comparison::as_value(comparison, schema).map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        })?
        .data;
    expr.transform_up(|expr| replaced(expr, place, calls, context)).map(|transformed| transformed.data)
}

/// One subquery expression: its own plan rewritten first; then a column of its results, unless DataFusion can join it.
fn replaced(expr: Expr, place: Place, calls: &mut Vec<Expr>, context: &Arc<Context>) -> Result<Transformed<Expr>> {
    match expr {
        Expr::ScalarSubquery(subquery) => {
            let subquery = inner(subquery, context)?;
            let joins = !matches!(place, Place::Elsewhere | Place::Join);
            if (subquery.outer_ref_columns.is_empty() && place != Place::Join) || (joins && joins_as_scalar(&subquery.subquery)?) {
                let is_outside = subquery.outer_ref_columns.is_empty();
                let expr = Expr::ScalarSubquery(subquery);
                return Ok(Transformed::yes(if is_outside { expr } else { beneath(expr, place, calls) }));
            }
            if joins && let Some(gathered) = gathered(&subquery, context)? {
                return Ok(Transformed::yes(beneath(gathered, place, calls)));
            }
            let result = subquery.subquery.schema().field(0).as_ref().clone();
            Ok(Transformed::yes(call(subquery, Kind::Scalar, result, Vec::new(), calls, context)))
        }
        Expr::Exists(Exists { subquery, negated }) => {
            let subquery = inner(subquery, context)?;
            if matches!(place, Place::Condition | Place::Filter)
                && (subquery.outer_ref_columns.is_empty() || joins_as_filter(&subquery.subquery)?)
            {
                return Ok(Transformed::yes(Expr::Exists(Exists { subquery, negated })));
            }
            let column = call(subquery, Kind::Exists, Field::new("", DataType::Boolean, true), Vec::new(), calls, context);
            Ok(Transformed::yes(if negated { Expr::Not(Box::new(column)) } else { column }))
        }
        Expr::InSubquery(InSubquery { expr, subquery, negated }) => {
            let subquery = inner(subquery, context)?;
            // A correlated NOT IN would be an anti join that knows NULLs of one column only.
            let joins = subquery.outer_ref_columns.is_empty() || (!negated && joins_as_filter(&subquery.subquery)?);
            if place == Place::Condition && joins {
                return Ok(Transformed::yes(Expr::InSubquery(InSubquery { expr, subquery, negated })));
            }
            let column = call(subquery, Kind::In, Field::new("", DataType::Boolean, true), vec![*expr], calls, context);
            Ok(Transformed::yes(if negated { Expr::Not(Box::new(column)) } else { column }))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// An expression that DataFusion knows in projections, where it stands in an aggregate.
fn beneath(expr: Expr, place: Place, calls: &mut Vec<Expr>) -> Expr {
    if place != Place::Aggregate {
        return expr;
    }
    let name = format!("{APPLIED}.{}", calls.len());
    calls.push(expr.alias(name.as_str()));
    Expr::Column(Column::new_unqualified(name))
}

/// A plain subquery whose filters equate, as an aggregate of its rows: then it joins, and fails only for an outer row that finds more than
/// one.
fn gathered(subquery: &Subquery, context: &Arc<Context>) -> Result<Option<Expr>> {
    if !only_in_filters(&subquery.subquery, true)? {
        return Ok(None);
    }
    let (Some(single), Some(gather)) = (&context.single, &context.gather) else { return Ok(None) };
    let plan = subquery.subquery.as_ref().clone();
    let (qualifier, field) = plan.schema().qualified_field(0);
    let column = Expr::Column((qualifier, field).into());
    let name = field.name().clone();
    let rows = gather.call(vec![column]).alias(name);
    let plan = LogicalPlanBuilder::from(plan).aggregate(Vec::<Expr>::new(), vec![rows])?.build()?;
    let rows = outer_references::subquery(plan, &subquery.spans)?;
    Ok(Some(single.call(vec![Expr::ScalarSubquery(rows)])))
}

fn inner(subquery: Subquery, context: &Arc<Context>) -> Result<Subquery> {
    let plan = rewrite(Arc::unwrap_or_clone(subquery.subquery), context)?;
    outer_references::subquery(plan, &subquery.spans)
}

/// The call whose result stands for the subquery, put among those computed beneath; and the column that refers to it.
fn call(subquery: Subquery, kind: Kind, result: Field, first: Vec<Expr>, calls: &mut Vec<Expr>, context: &Arc<Context>) -> Expr {
    let outer: Vec<(Arc<Field>, Column)> = outer_columns(&subquery);
    let mut args = first;
    args.extend(outer.iter().map(|(field, column)| Expr::OuterReferenceColumn(Arc::clone(field), column.clone())));
    // Parameters are filled in where plans can see them: as arguments.
    let parameters = placeholders(&subquery.subquery);
    args.extend(parameters.iter().cloned().map(Expr::Placeholder));
    let function = Apply {
        plan: subquery.subquery,
        name: format!("subquery_{}", context.subqueries.fetch_add(1, Ordering::Relaxed) + 1),
        outer: outer.into_iter().map(|(_, column)| column).collect(),
        parameters,
        kind,
        result: result.with_nullable(true),
        context: Arc::clone(context),
        // Neither a constant, nor to be moved into a join's condition, where nothing can wait for it.
        signature: match args.len() {
            0 => Signature::nullary(Volatility::Volatile),
            count => Signature::any(count, Volatility::Volatile),
        },
    };
    let name = format!("{APPLIED}.{}", calls.len());
    let function = AsyncScalarUDF::new(Arc::new(function)).into_scalar_udf();
    calls.push(Arc::new(function).call(args).alias(name.as_str()));
    Expr::Column(Column::new_unqualified(name))
}

/// The parameters that a plan names, each once.
fn placeholders(plan: &LogicalPlan) -> Vec<Placeholder> {
    let mut found: Vec<Placeholder> = Vec::new();
    let visited = plan.apply_with_subqueries(|plan| {
        plan.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Placeholder(parameter) = expr
                    && found.iter().all(|known| known.id != parameter.id)
                {
                    found.push(parameter.clone());
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    });
    // The visitor itself never fails.
    if visited.is_ok() { found } else { Vec::new() }
}

fn outer_columns(subquery: &Subquery) -> Vec<(Arc<Field>, Column)> {
    let mut found: Vec<(Arc<Field>, Column)> = Vec::new();
    for expr in &subquery.outer_ref_columns {
        if let Expr::OuterReferenceColumn(field, column) = expr
            && found.iter().all(|(_, known)| known != column)
        {
            found.push((Arc::clone(field), column.clone()));
        }
    }
    found
}

/// An ungrouped aggregate over filters that equate: DataFusion joins on the equated columns.
fn joins_as_scalar(plan: &LogicalPlan) -> Result<bool> {
    let mut at = plan;
    loop {
        match at {
            LogicalPlan::Projection(projection) => at = &projection.input,
            LogicalPlan::SubqueryAlias(alias) => at = &alias.input,
            LogicalPlan::Aggregate(aggregate) if aggregate.group_expr.is_empty() => {
                return Ok(own_references(plan, &aggregate.input)? && only_in_filters(&aggregate.input, true)?);
            }
            _ => return Ok(false),
        }
    }
}

/// Above `below` the plan refers to nothing outside.
fn own_references(plan: &LogicalPlan, below: &LogicalPlan) -> Result<bool> {
    let mut at = plan;
    while !std::ptr::eq(at, below) {
        let [input] = at.inputs()[..] else { return Ok(false) };
        let mut outside = false;
        at.apply_expressions(|expr| {
            outside |= reaches_out(expr, input.schema())?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        if outside {
            return Ok(false);
        }
        at = input;
    }
    Ok(true)
}

/// References outside only in filters over plain operators: DataFusion makes them a join's condition.
fn joins_as_filter(plan: &LogicalPlan) -> Result<bool> {
    only_in_filters(plan, false)
}

fn only_in_filters(plan: &LogicalPlan, equated: bool) -> Result<bool> {
    if !has_outer_references(plan)? || references(plan)?.is_empty() {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            let fits = datafusion::logical_expr::utils::split_conjunction(&filter.predicate).into_iter().all(|part| {
                if plain(part) {
                    !part.contains_outer() || !equated || equates(part)
                } else {
                    matches!(reaches_out(part, filter.input.schema()), Ok(false))
                }
            });
            Ok(fits && only_in_filters(&filter.input, equated)?)
        }
        LogicalPlan::Projection(projection) => {
            let fits = projection.expr.iter().all(|expr| matches!(reaches_out(expr, projection.input.schema()), Ok(false)));
            Ok(fits && only_in_filters(&projection.input, equated)?)
        }
        // Through an alias the outer columns would come out under names that nothing there has.
        LogicalPlan::SubqueryAlias(_) => Ok(false),
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let fits = join.filter.iter().all(|filter| !filter.contains_outer());
            Ok(fits && only_in_filters(&join.left, equated)? && only_in_filters(&join.right, equated)?)
        }
        _ => Ok(false),
    }
}

/// Without subqueries inside.
fn plain(expr: &Expr) -> bool {
    !expr
        .exists(|expr| Ok(matches!(expr, Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))))
        .unwrap_or(true)
}

fn equates(expr: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) = expr else { return false };
    let outside = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(..));
    let inside = |expr: &Expr| matches!(expr, Expr::Column(_));
    (outside(left) && inside(right)) || (inside(left) && outside(right))
}

/// `LATERAL (SELECT …)` that is no join: the rows of each left row as a list, unnested.
fn lateral_join(join: Join, context: &Arc<Context>) -> Result<LogicalPlan> {
    let (alias, subquery) = match join.right.as_ref() {
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input.as_ref() {
            LogicalPlan::Subquery(subquery) => (Some(alias.clone()), subquery.clone()),
            _ => return Ok(LogicalPlan::Join(join)),
        },
        LogicalPlan::Subquery(subquery) => (None, subquery.clone()),
        _ => return Ok(LogicalPlan::Join(join)),
    };
    if subquery.outer_ref_columns.is_empty() || joins_as_filter(&subquery.subquery)? {
        return Ok(LogicalPlan::Join(join));
    }
    let keep = join.join_type == JoinType::Left;
    if keep && let Some((join, subquery)) = join_conditions::inside(&join, alias.as_ref(), &subquery)? {
        return lateral_rows(join, alias, subquery, context);
    }
    lateral_rows(join, alias, subquery, context)
}

fn lateral_rows(join: Join, alias: Option<TableReference>, subquery: Subquery, context: &Arc<Context>) -> Result<LogicalPlan> {
    let keep = join.join_type == JoinType::Left;
    let always = join.filter.as_ref().is_none_or(|filter| matches!(filter, Expr::Literal(ScalarValue::Boolean(Some(true)), _)));
    if !join.on.is_empty() || !(keep || join.join_type == JoinType::Inner) || (keep && !always) {
        return Err(unsupported("a LATERAL subquery in this kind of join"));
    }
    let fields: Vec<Field> = subquery
        .subquery
        .schema()
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| field.as_ref().clone().with_name(format!("c{at}")).with_nullable(true))
        .collect();
    let row = Field::new("element", DataType::Struct(Fields::from(fields)), true);
    let list = Field::new("", DataType::List(Arc::new(row)), true);
    let mut calls = Vec::new();
    let names: Vec<String> = subquery.subquery.schema().fields().iter().map(|field| field.name().clone()).collect();
    let column = call(subquery, Kind::Rows, list, Vec::new(), &mut calls, context);
    let Expr::Column(column) = column else { return internal_err!("a call stands as a column") };
    let mut exprs: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    exprs.extend(seen_from(calls, join.left.schema())?);
    let handling = if keep { NullHandling::PreserveAndExpandEmpty } else { NullHandling::Drop };
    let unnested = LogicalPlanBuilder::from(join.left.as_ref().clone())
        .project(exprs)?
        .unnest_column_with_options(column.clone(), UnnestOptions::new().with_null_handling(handling))?;
    let mut shown: Vec<Expr> = join.left.schema().columns().into_iter().map(Expr::Column).collect();
    for (at, name) in names.into_iter().enumerate() {
        let qualifier = alias.clone().or_else(|| join.right.schema().qualified_field(at).0.cloned());
        let field = datafusion::functions::core::get_field()
            .call(vec![Expr::Column(column.clone()), datafusion::logical_expr::lit(format!("c{at}"))]);
        shown.push(field.alias_qualified(qualifier, name));
    }
    let plan = unnested.project(shown)?;
    match join.filter {
        Some(filter) if !always => plan.filter(filter)?.build(),
        _ => plan.build(),
    }
}
