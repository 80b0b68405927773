//! Correlated subqueries that DataFusion cannot turn into joins: run once for each distinct set of outer values. Right for
//! every query, fast only where outer rows are few, as in what clients ask the catalogs.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use datafusion::arrow::array::{Array, ArrayRef, ListArray, StructArray};
use datafusion::arrow::compute::concat_batches;
use datafusion::arrow::datatypes::{DataType, Field, Fields};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, NullHandling, Result, ScalarValue, UnnestOptions, internal_err};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::async_udf::{AsyncScalarUDF, AsyncScalarUDFImpl};
use datafusion::logical_expr::expr::{Exists, InSubquery, Placeholder};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::{conjunction, merge_schema, split_conjunction_owned};
use datafusion::logical_expr::{
    AggregateUDF, BinaryExpr, ColumnarValue, Distinct, DistinctOn, Expr, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator,
    ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Subquery, SubqueryAlias, Volatility, lit,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::prelude::SessionConfig;
use futures::TryStreamExt;
use lakegate_engine_api::SqlMistake;

use super::{PgPlanner, lateral, set_comparison};
use crate::functions::error::{mistake, unsupported};

/// Begins the names of the columns that hold subqueries' results.
const APPLIED: &str = "#applied";

/// The last rule of analysis.
pub struct CorrelatedSubqueries {
    pub planner: PgPlanner,
    pub runtime: Option<Arc<RuntimeEnv>>,
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
    /// How many there are so far.
    subqueries: AtomicUsize,
}

impl Context {
    fn state(&self) -> SessionState {
        let mut builder = SessionStateBuilder::new()
            .with_config(SessionConfig::from(self.config.as_ref().clone()).with_target_partitions(1))
            .with_default_features()
            // The plan was analysed with the statement.
            .with_analyzer_rules(Vec::new());
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
    applied(plan, context)
}

/// Replaces the subqueries of a node's expressions that need it by columns computed beneath the node.
fn applied(plan: LogicalPlan, context: &Arc<Context>) -> Result<LogicalPlan> {
    let mut calls: Vec<Expr> = Vec::new();
    let names = NamePreserver::new(&plan);
    let schema = merge_schema(&plan.inputs());
    let filters = matches!(plan, LogicalPlan::Filter(_));
    let place = match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => Place::Value,
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
    exprs.extend(calls);
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

/// Where a subquery stands decides what DataFusion can make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It is itself one of a filter's conditions: a join.
    Condition,
    /// Inside a filter's condition: a join that marks rows, which knows true and false only.
    Filter,
    /// In a projection or an aggregate: nothing but scalar subqueries.
    Value,
    /// Anywhere else, as in DISTINCT ON and ORDER BY: nothing that is correlated.
    Elsewhere,
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
            let joins = place != Place::Elsewhere;
            if subquery.outer_ref_columns.is_empty() || (joins && joins_as_scalar(&subquery.subquery)?) {
                return Ok(Transformed::yes(Expr::ScalarSubquery(subquery)));
            }
            if joins && let Some(gathered) = gathered(&subquery, context)? {
                return Ok(Transformed::yes(Expr::ScalarSubquery(gathered)));
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

/// A plain subquery whose filters equate, as an aggregate of its rows: then it joins, and fails only where there is more
/// than one row.
fn gathered(subquery: &Subquery, context: &Arc<Context>) -> Result<Option<Subquery>> {
    if !only_in_filters(&subquery.subquery, true)? {
        return Ok(None);
    }
    let (Some(single), Some(gather)) = (&context.single, &context.gather) else { return Ok(None) };
    let plan = subquery.subquery.as_ref().clone();
    let (qualifier, field) = plan.schema().qualified_field(0);
    let column = Expr::Column((qualifier, field).into());
    let name = field.name().clone();
    let rows = gather.call(vec![column]).alias("rows");
    let plan = LogicalPlanBuilder::from(plan)
        .aggregate(Vec::<Expr>::new(), vec![rows])?
        .project(vec![single.call(vec![Expr::Column(Column::from_name("rows"))]).alias(name)])?
        .build()?;
    let outer_ref_columns = plan.all_out_ref_exprs();
    Ok(Some(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans.clone() }))
}

fn inner(subquery: Subquery, context: &Arc<Context>) -> Result<Subquery> {
    let plan = rewrite(Arc::unwrap_or_clone(subquery.subquery), context)?;
    let outer_ref_columns = plan.all_out_ref_exprs();
    Ok(Subquery { subquery: Arc::new(plan), outer_ref_columns, spans: subquery.spans })
}

/// The call whose result stands for the subquery, put among those computed beneath; and the column that refers to it.
fn call(subquery: Subquery, kind: Kind, result: Field, first: Vec<Expr>, calls: &mut Vec<Expr>, context: &Arc<Context>) -> Expr {
    let outer: Vec<(Arc<Field>, Column)> = outer_columns(&subquery);
    let mut args = first;
    args.extend(outer.iter().map(|(_, column)| Expr::Column(column.clone())));
    // Parameters are filled in where plans can see them: as arguments.
    let parameters = placeholders(&subquery.subquery);
    args.extend(parameters.iter().cloned().map(Expr::Placeholder));
    let function = Apply {
        plan: subquery.subquery,
        name: format!("subquery_{}", context.subqueries.fetch_add(1, Ordering::Relaxed) + 1),
        outer: outer.into_iter().map(|(_, column)| column).collect(),
        parameters: parameters.into_iter().map(|parameter| parameter.id).collect(),
        kind,
        result: result.with_nullable(true),
        context: Arc::clone(context),
        // Without arguments it would be taken for a constant.
        signature: if args.is_empty() { Signature::nullary(Volatility::Volatile) } else { Signature::any(args.len(), Volatility::Stable) },
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
        let mut outside = false;
        at.apply_expressions(|expr| {
            outside |= expr.contains_outer();
            Ok(TreeNodeRecursion::Continue)
        })?;
        let [input] = at.inputs()[..] else { return Ok(false) };
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
    if !has_outer_references(plan)? || !reaches_outside(plan)? {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Filter(filter) => {
            let fits = datafusion::logical_expr::utils::split_conjunction(&filter.predicate).into_iter().all(|part| {
                if plain(part) { !part.contains_outer() || !equated || equates(part) } else { stays_inside(part, &filter.input) }
            });
            Ok(fits && only_in_filters(&filter.input, equated)?)
        }
        LogicalPlan::Projection(projection) => {
            Ok(projection.expr.iter().all(|expr| !expr.contains_outer()) && only_in_filters(&projection.input, equated)?)
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

/// Subqueries in a condition that refer to the rows it filters and to nothing further out.
fn stays_inside(part: &Expr, input: &LogicalPlan) -> bool {
    let inside =
        |subquery: &Subquery| outer_columns(subquery).iter().all(|(_, column)| input.schema().maybe_index_of_column(column).is_some());
    let reaches_out = part.exists(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(..) => true,
            Expr::ScalarSubquery(subquery) => !inside(subquery),
            Expr::Exists(exists) => !inside(&exists.subquery),
            Expr::InSubquery(within) => !inside(&within.subquery),
            _ => false,
        })
    });
    matches!(reaches_out, Ok(false))
}

fn reaches_outside(plan: &LogicalPlan) -> Result<bool> {
    Ok(!plan.all_out_ref_exprs().is_empty())
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
    exprs.extend(calls);
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    /// The one value, NULL without a row.
    Scalar,
    Exists,
    /// Whether the first argument is among the rows.
    In,
    /// All rows as a list of records.
    Rows,
}

/// A subquery as a function of its outer columns.
struct Apply {
    plan: Arc<LogicalPlan>,
    /// Its own for each subquery: plans tell functions apart by name.
    name: String,
    /// What the arguments stand for: outer columns, then parameters by their ids.
    outer: Vec<Column>,
    parameters: Vec<String>,
    kind: Kind,
    result: Field,
    context: Arc<Context>,
    signature: Signature,
}

impl Apply {
    async fn run(&self, state: &SessionState, values: &[ScalarValue]) -> Result<RecordBatch> {
        let plan = self.plan.as_ref().clone().transform_up_with_subqueries(|plan| {
            plan.map_expressions(|expr| {
                expr.transform_up(|expr| {
                    if let Expr::Placeholder(parameter) = &expr
                        && let Some(at) = self.parameters.iter().position(|id| *id == parameter.id)
                        && let Some(value) = values.get(self.outer.len() + at)
                    {
                        let metadata = parameter.field.as_ref().map(|field| FieldMetadata::from(field.as_ref()));
                        return Ok(Transformed::yes(Expr::Literal(value.clone(), metadata)));
                    }
                    let Expr::OuterReferenceColumn(field, column) = expr else { return Ok(Transformed::no(expr)) };
                    Ok(match self.outer.iter().position(|outer| *outer == column).and_then(|at| values.get(at)) {
                        Some(value) => {
                            let metadata = FieldMetadata::from(field.as_ref());
                            Transformed::yes(Expr::Literal(value.clone(), Some(metadata)))
                        }
                        None => Transformed::no(Expr::OuterReferenceColumn(field, column)),
                    })
                })
            })
        })?;
        let plan = plan.data.transform_up_with_subqueries(lateral::unwrapped)?;
        let plan = state.optimize(&plan.data)?;
        let physical = state.query_planner().create_physical_plan(&plan, state).await?;
        let schema = physical.schema();
        let stream = datafusion::physical_plan::execute_stream(physical, state.task_ctx())?;
        let batches: Vec<RecordBatch> = match self.kind {
            // One row more than may be there, or than need be seen.
            Kind::Scalar | Kind::Exists => {
                let mut stream = stream;
                let (mut kept, mut rows) = (Vec::new(), 0);
                while let Some(batch) = stream.try_next().await? {
                    rows += batch.num_rows();
                    kept.push(batch);
                    if rows > 1 {
                        break;
                    }
                }
                kept
            }
            Kind::In | Kind::Rows => stream.try_collect().await?,
        };
        Ok(concat_batches(&schema, &batches)?)
    }

    fn value(&self, found: &Found, wanted: Option<&ScalarValue>) -> Result<ScalarValue> {
        let rows = &found.rows;
        match self.kind {
            Kind::Exists => Ok(ScalarValue::Boolean(Some(rows.num_rows() > 0))),
            Kind::Scalar => match rows.num_rows() {
                0 => ScalarValue::try_new_null(self.result.data_type()),
                1 => ScalarValue::try_from_array(rows.column(0), 0)?.cast_to(self.result.data_type()),
                _ => Err(mistake(SqlMistake::CardinalityViolation, "more than one row returned by a subquery used as an expression")),
            },
            Kind::In => {
                let wanted = wanted.cloned().unwrap_or(ScalarValue::Null);
                if rows.num_rows() == 0 {
                    return Ok(ScalarValue::Boolean(Some(false)));
                }
                if wanted.is_null() {
                    return Ok(ScalarValue::Boolean(None));
                }
                if found.members.contains(&wanted) {
                    return Ok(ScalarValue::Boolean(Some(true)));
                }
                Ok(ScalarValue::Boolean(if rows.column(0).null_count() > 0 { None } else { Some(false) }))
            }
            Kind::Rows => {
                let DataType::List(row) = self.result.data_type() else { return internal_err!("rows are a list") };
                let DataType::Struct(fields) = row.data_type() else { return internal_err!("rows are records") };
                let columns = rows
                    .columns()
                    .iter()
                    .zip(fields)
                    .map(|(column, field)| Ok(datafusion::arrow::compute::cast(column, field.data_type())?))
                    .collect::<Result<Vec<ArrayRef>>>()?;
                let records = StructArray::try_new_with_length(fields.clone(), columns, None, rows.num_rows())?;
                let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths([rows.num_rows()]);
                let list = ListArray::try_new(Arc::clone(row), offsets, Arc::new(records), None)?;
                Ok(ScalarValue::List(Arc::new(list)))
            }
        }
    }
}

/// What a subquery gave for one set of outer values.
struct Found {
    rows: RecordBatch,
    /// For [`Kind::In`]: the values there are.
    members: HashSet<ScalarValue>,
}

impl Found {
    /// `wanted`: the type in which members are compared.
    fn new(rows: RecordBatch, wanted: Option<&DataType>) -> Result<Found> {
        let mut members = HashSet::new();
        if let Some(wanted) = wanted {
            let values = datafusion::arrow::compute::cast(rows.column(0), wanted)?;
            for at in (0..values.len()).filter(|at| values.is_valid(*at)) {
                members.insert(ScalarValue::try_from_array(&values, at)?);
            }
        }
        Ok(Found { rows, members })
    }
}

impl ScalarUDFImpl for Apply {
    fn name(&self) -> &str {
        &self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _types: &[DataType]) -> Result<DataType> {
        Ok(self.result.data_type().clone())
    }

    fn return_field_from_args(&self, _args: ReturnFieldArgs<'_>) -> Result<Arc<Field>> {
        Ok(Arc::new(self.result.clone()))
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        internal_err!("subqueries run asynchronously")
    }
}

#[async_trait]
impl AsyncScalarUDFImpl for Apply {
    async fn invoke_async_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.iter().map(|arg| arg.to_array(rows)).collect::<Result<Vec<_>>>()?;
        let first = usize::from(self.kind == Kind::In);
        let state = self.context.state();
        let wanted_type = arrays.first().filter(|_| first == 1).map(|array| array.data_type().clone());
        let mut known: HashMap<Vec<ScalarValue>, Found> = HashMap::new();
        let mut values = Vec::with_capacity(rows);
        for row in 0..rows {
            let key = arrays.iter().skip(first).map(|array| ScalarValue::try_from_array(array, row)).collect::<Result<Vec<_>>>()?;
            if !known.contains_key(&key) {
                let found = Found::new(self.run(&state, &key).await?, wanted_type.as_ref())?;
                known.insert(key.clone(), found);
            }
            let wanted = if first == 1 { Some(ScalarValue::try_from_array(&arrays[0], row)?) } else { None };
            let Some(found) = known.get(&key) else { return internal_err!("the rows were just found") };
            values.push(self.value(found, wanted.as_ref())?);
        }
        let array = if values.is_empty() {
            datafusion::arrow::array::new_empty_array(self.result.data_type())
        } else {
            ScalarValue::iter_to_array(values)?
        };
        let array = datafusion::arrow::compute::cast(&array, self.result.data_type())?;
        Ok(ColumnarValue::Array(array))
    }
}

impl std::fmt::Debug for Apply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Apply").field("kind", &self.kind).field("outer", &self.outer).finish_non_exhaustive()
    }
}

impl PartialEq for Apply {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind && self.outer == other.outer && self.plan == other.plan
    }
}

impl Eq for Apply {}

impl Hash for Apply {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.kind.hash(state);
        self.outer.hash(state);
    }
}
