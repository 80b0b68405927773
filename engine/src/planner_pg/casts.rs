//! Every cast of a coerced plan that Arrow would do differently, turned into PostgreSQL's.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{NUMERIC_FROM_FLOAT, NUMERIC_FROM_TEXT, pg_type};

use super::PgPlanner;
use super::operand::{is_unknown, literal, numeric_literal};
use super::types::CAST_FIELD;
use crate::functions::cast::{cast_beside, cast_expr, check_exists, is_plain};
use crate::functions::types::{is_decimal, is_integer, is_text};

#[derive(Debug)]
pub struct PgCasts(pub PgPlanner);

impl AnalyzerRule for PgCasts {
    fn name(&self) -> &str {
        "pg_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| self.node(plan)).map(|transformed| transformed.data)
    }
}

impl PgCasts {
    fn node(&self, plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
        let mut schema = merge_schema(&plan.inputs());
        if let LogicalPlan::TableScan(scan) = &plan {
            schema.merge(&DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?);
        }
        let names = NamePreserver::new(&plan);
        // A join's keys are computed beside its columns, and filters turn into such.
        let named = matches!(plan, LogicalPlan::Join(_) | LogicalPlan::Filter(_));
        plan.map_expressions(|expr| {
            let name = names.save(&expr);
            expr.transform_up(|expr| self.0.cast(expr, &schema, named))
                .map(|transformed| transformed.update_data(|expr| name.restore(expr)))
        })?
        .map_data(LogicalPlan::recompute_schema)
    }
}

impl PgPlanner {
    /// One cast; `named`: under a name of its own.
    fn cast(&self, expr: Expr, schema: &DFSchema, named: bool) -> Result<Transformed<Expr>> {
        let Expr::Cast(Cast { expr, field: to }) = expr else { return Ok(Transformed::no(expr)) };
        let from = expr.to_field(schema)?.1;
        // A cast that names only an Arrow type was put in by coercion: its target's tag is the source's where that fits.
        let explicit = to.name() == CAST_FIELD || !to.metadata().is_empty();
        if to.data_type() == from.data_type() && !explicit {
            return Ok(Transformed::yes(*expr));
        }
        if explicit {
            check_exists(&from, &to)?;
        }
        let to = if to.name() != CAST_FIELD && pg_type(&to) == PgType::NUMERIC && is_decimal(to.data_type()) {
            // Assignment: a column of `numeric` has digits of its own, unlike a value.
            Arc::new(Field::new(to.name(), to.data_type().clone(), true))
        } else {
            to
        };
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr.as_ref()
            && explicit
            && (is_unknown(&expr) || pg_type(&to) == PgType::NUMERIC)
            && !reads_catalog(pg_type(&to))
        {
            return literal(text, &to, self.style()).map(Transformed::yes);
        }
        if let Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), None) = expr.as_ref()
            && to.data_type() == &DataType::Float64
        {
            return literal(&crate::functions::text::number::decimal(&value.to_string(), *scale), &to, self.style()).map(Transformed::yes);
        }
        let to = if pg_type(&to) == PgType::NUMERIC && is_decimal(to.data_type()) {
            Arc::new(unconstrained_numeric(from.data_type()))
        } else {
            to
        };
        if let Expr::Literal(ScalarValue::Utf8(Some(text)), _) = expr.as_ref()
            && pg_type(&to) == PgType::NUMERIC
        {
            return numeric_literal(text).map(Transformed::yes);
        }
        if is_plain(&from, &to) {
            return Ok(Transformed::no(Expr::Cast(Cast::new_from_field(expr, to))));
        }
        let cast = if named { cast_beside } else { cast_expr };
        Ok(Transformed::yes(cast(*expr, &from, &to, self.session())))
    }
}

/// Types whose input function looks names up, at execution.
fn reads_catalog(pg: PgType) -> bool {
    matches!(PgType::element_of(pg.oid).unwrap_or(pg.oid), 24 | 2202..=2206 | 4089 | 4096)
}

/// `numeric` without modifiers keeps the digits of what it is made from; from text and floats it takes a scale wide enough
/// for what they usually hold.
pub fn unconstrained_numeric(from: &DataType) -> Field {
    let untagged = |data_type: DataType| Field::new(CAST_FIELD, data_type, true);
    match from {
        from if is_decimal(from) => untagged(match from {
            DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
            other => other.clone(),
        }),
        from if is_integer(from) => untagged(DataType::Decimal128(20, 0)),
        from if is_text(from) => numeric_tag(DataType::Decimal256(NUMERIC_FROM_TEXT.0, NUMERIC_FROM_TEXT.1)),
        _ => numeric_tag(DataType::Decimal128(NUMERIC_FROM_FLOAT.0, NUMERIC_FROM_FLOAT.1)),
    }
}

fn numeric_tag(data_type: DataType) -> Field {
    Field::new(CAST_FIELD, data_type, true)
        .with_metadata([(lakegate_engine_api::PG_TYPE_KEY.to_owned(), PgType::NUMERIC.oid.to_string())].into())
}
