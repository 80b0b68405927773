//! Which numeric columns of a result keep precision and scale: PostgreSQL tells them for columns and casts alone
//! (`exprTypmod`), and `numeric` without them for everything computed.

use arrow_schema::{DataType, Field};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, Result};
use datafusion::logical_expr::{Expr, ExprSchemable, Join, JoinType, LogicalPlan};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{PG_TYPE_KEY, UNCONSTRAINED_NUMERIC, pg_type};

/// Where a numeric column comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A table's column, or a cast, with precision and scale.
    Declared,
    /// Made from a column of `numeric` without them, whose digits are shown as far as there are some.
    Unconstrained,
    Computed,
}

/// For each column: whether it is to be shown as `numeric` without precision and scale.
///
/// # Errors
/// None of its own.
pub fn plain_numerics(plan: &LogicalPlan) -> Result<Vec<bool>> {
    let fields = plan.schema().fields();
    fields
        .iter()
        .enumerate()
        .map(|(at, field)| {
            let Some(digits) = decimal(field.data_type()) else { return Ok(false) };
            Ok(match column_origin(plan, at)? {
                Origin::Declared => false,
                Origin::Unconstrained => true,
                // Of just that width, it would be taken for a column of `numeric` and lose its zeros.
                Origin::Computed => digits != UNCONSTRAINED_NUMERIC,
            })
        })
        .collect()
}

fn decimal(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => Some((*p, *s)),
        DataType::List(element) => decimal(element.data_type()),
        _ => None,
    }
}

fn column_origin(plan: &LogicalPlan, at: usize) -> Result<Origin> {
    match plan {
        LogicalPlan::Projection(projection) => match projection.expr.get(at) {
            Some(expr) => origin(expr, &projection.input),
            None => Ok(Origin::Computed),
        },
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.get(at) {
            Some(expr) => origin(expr, &aggregate.input),
            None => match aggregate.aggr_expr.get(at.saturating_sub(aggregate.group_expr.len())) {
                Some(expr) => computed(expr, &aggregate.input),
                None => Ok(Origin::Computed),
            },
        },
        LogicalPlan::Join(Join { left, right, join_type: JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full, .. }) => {
            let width = left.schema().fields().len();
            if at < width { column_origin(left, at) } else { column_origin(right, at - width) }
        }
        LogicalPlan::Union(union) => {
            let origins = union.inputs.iter().map(|input| column_origin(input, at)).collect::<Result<Vec<_>>>()?;
            let same = union.inputs.iter().all(|input| input.schema().field(at).data_type() == union.schema.field(at).data_type());
            Ok(match origins.first() {
                Some(first) if same && origins.iter().all(|origin| origin == first) => *first,
                _ if origins.contains(&Origin::Unconstrained) => Origin::Unconstrained,
                _ => Origin::Computed,
            })
        }
        LogicalPlan::TableScan(scan) => Ok(declared(scan.projected_schema.field(at))),
        LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Repartition(_) => match plan.inputs().first() {
            Some(input) if at < input.schema().fields().len() => column_origin(input, at),
            _ => Ok(Origin::Computed),
        },
        _ => Ok(Origin::Computed),
    }
}

fn declared(field: &Field) -> Origin {
    if pg_type(field) == PgType::NUMERIC { Origin::Unconstrained } else { Origin::Declared }
}

fn origin(expr: &Expr, input: &LogicalPlan) -> Result<Origin> {
    match expr {
        Expr::Alias(alias) => origin(&alias.expr, input),
        Expr::Column(column) => referred(column, input),
        _ => {
            let field = expr.to_field(input.schema().as_ref())?.1;
            let tagged = field.metadata().contains_key(PG_TYPE_KEY);
            // A tag that widening left behind says nothing of the type any more.
            let exact = match field.data_type() {
                DataType::List(_) => pg_type(&field).typmod >= 0,
                data_type => pg_type(&field).numeric_precision_scale() == decimal(data_type),
            };
            if tagged && exact { Ok(Origin::Declared) } else { computed(expr, input) }
        }
    }
}

fn computed(expr: &Expr, input: &LogicalPlan) -> Result<Origin> {
    let mut origin = Origin::Computed;
    expr.apply(|part| {
        if let Expr::Column(column) = part
            && referred(column, input)? == Origin::Unconstrained
        {
            origin = Origin::Unconstrained;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(origin)
}

fn referred(column: &Column, input: &LogicalPlan) -> Result<Origin> {
    match input.schema().maybe_index_of_column(column) {
        Some(at) if decimal(input.schema().field(at).data_type()).is_some() => column_origin(input, at),
        _ => Ok(Origin::Computed),
    }
}
