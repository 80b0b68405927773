//! Which of two values comes first, where that is not what Arrow takes for their order: intervals, jsonb, arrays with NULL elements.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{Expr, ExprSchemable, SortExpr};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::pg_type;

use super::PgPlanner;
use super::operand::{Family, Operand};

/// Whether an operator tells which of two values comes first.
#[must_use]
pub fn orders(op: &str) -> bool {
    matches!(op, "<" | "<=" | ">" | ">=")
}

impl PgPlanner {
    /// Operands that are compared with each other, by their lengths where one is an interval.
    ///
    /// # Errors
    /// The input function's for literals.
    pub fn interval_keys(&self, operands: Vec<Operand>) -> Result<Vec<Operand>> {
        if !operands.iter().any(|operand| operand.family() == Family::Interval) {
            return Ok(operands);
        }
        let key = |operand: Operand| match operand.family() {
            Family::Unknown => self.interval_key(operand.into_type(PgType::INTERVAL, self.style())?),
            Family::Interval => self.interval_key(operand),
            _ => Ok(operand),
        };
        operands.into_iter().map(key).collect()
    }

    /// Intervals compare by their length, a month as 30 days, a day as 24 hours.
    pub fn interval_key(&self, interval: Operand) -> Result<Operand> {
        let expr = self.call("#interval_key", vec![interval.expr])?;
        Ok(Operand { expr, pg: PgType::NUMERIC, arrow: DataType::Decimal128(38, 0), unknown: false })
    }

    /// jsonb values compare by what they hold, not by their text.
    pub fn jsonb_key(&self, jsonb: Operand) -> Result<Operand> {
        let expr = self.call("#jsonb_key", vec![jsonb.expr])?;
        Ok(Operand { expr, pg: PgType::BYTEA, arrow: DataType::Binary, unknown: false })
    }

    /// Which array comes first, to be compared with 0: an element that is NULL comes after all others (`array_cmp`).
    pub fn array_order(&self, left: Operand, right: Operand) -> Result<(Operand, Operand)> {
        let operand = |expr: Expr| Operand { expr, pg: PgType::INT4, arrow: DataType::Int32, unknown: false };
        let order = self.call("#array_order", vec![left.expr, right.expr])?;
        Ok((operand(order), operand(Expr::Literal(ScalarValue::Int32(Some(0)), None))))
    }

    /// Intervals sort by their length, jsonb by what it holds, as they compare.
    pub fn sort_keys(&self, keys: Vec<SortExpr>, schema: &DFSchema) -> Result<Vec<SortExpr>> {
        let mut sorted = Vec::with_capacity(keys.len());
        for mut key in keys {
            if matches!(key.expr.get_type(schema), Ok(DataType::Interval(_))) {
                key.expr = self.call("#interval_key", vec![key.expr])?;
            } else if key.expr.to_field(schema).is_ok_and(|(_, field)| pg_type(&field) == PgType::JSONB) {
                key.expr = self.call("#jsonb_key", vec![key.expr])?;
            } else if key.asc == key.nulls_first && matches!(key.expr.get_type(schema), Ok(DataType::List(_))) {
                // NULL elements stand where NULLs do: they are greater than all others, wherever NULL arrays are to go.
                let nulls = Expr::IsNull(Box::new(key.expr.clone()));
                sorted.push(SortExpr { expr: nulls, asc: !key.nulls_first, nulls_first: false });
                key.nulls_first = !key.asc;
            }
            sorted.push(key);
        }
        Ok(sorted)
    }
}
