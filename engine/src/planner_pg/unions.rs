//! The branches of UNION, INTERSECT and EXCEPT in one type, column by column.

use std::sync::Arc;

use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr::Alias;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, Union};

use super::operand::{Family, Operand, is_unknown};
use super::resolve::{ResolveTypes, common_type, family_of, text_type};

impl ResolveTypes {
    /// Open literals in a branch take the column's type of the other branches; other types must match.
    pub(super) fn union(&self, union: Union) -> Result<LogicalPlan> {
        let width = union.inputs.first().map_or(0, |input| input.schema().fields().len());
        let mut inputs = union.inputs;
        for column in 0..width {
            let mut operands = Vec::with_capacity(inputs.len());
            for input in &inputs {
                let open = open_column(input, column);
                let expr = match open {
                    Some(expr) => expr,
                    None => {
                        let (qualifier, field) = input.schema().qualified_field(column);
                        Expr::Column((qualifier, field).into())
                    }
                };
                operands.push(Operand::of(expr, input.schema())?);
            }
            if operands.iter().all(|operand| operand.unknown) {
                continue;
            }
            let common = text_type(&operands).map_or_else(|| common_type(&operands, "UNION"), Ok)?;
            for (input, operand) in inputs.iter_mut().zip(operands) {
                let in_time = |family: Family| matches!(family, Family::Date | Family::Timestamp | Family::Timestamptz);
                let by_name = |family: Family| matches!(family, Family::Text | Family::Oid);
                let retyped = in_time(operand.family()) || (by_name(operand.family()) && by_name(family_of(common)));
                if !operand.unknown && retyped && operand.pg.oid != common.oid {
                    // DataFusion would unite dates and timestamps as nanoseconds, and give all branches one branch's tag.
                    let typed = operand.into_type(common, self.0.style())?;
                    *input = Arc::new(with_column(input, column, typed.expr)?);
                } else if operand.unknown && open_column(input, column).is_some() {
                    let typed = operand.into_type(common, self.0.style())?;
                    *input = Arc::new(replace_column(Arc::unwrap_or_clone(Arc::clone(input)), column, typed.expr)?);
                }
            }
        }
        // The schema anew, from the inputs' types as they are now; coercion unites those that still differ.
        let names = union.schema;
        let union = Union::try_new_with_loose_types(inputs)?;
        let fields = names.iter().zip(union.schema.fields());
        let fields = fields.map(|((qualifier, name), field)| (qualifier.cloned(), Arc::new(field.as_ref().clone().with_name(name.name()))));
        let schema = DFSchema::new_with_metadata(fields.collect(), names.as_arrow().metadata().clone())?;
        Ok(LogicalPlan::Union(Union { inputs: union.inputs, schema: Arc::new(schema) }))
    }
}

/// The open literal that a projection gives as a column.
fn open_column(plan: &LogicalPlan, column: usize) -> Option<Expr> {
    let LogicalPlan::Projection(projection) = plan else { return None };
    let mut expr = projection.expr.get(column)?;
    while let Expr::Alias(Alias { expr: inner, .. }) = expr {
        expr = inner;
    }
    is_unknown(expr).then(|| expr.clone())
}

/// The plan's columns, one of them computed from it.
fn with_column(plan: &LogicalPlan, column: usize, expr: Expr) -> Result<LogicalPlan> {
    let exprs: Vec<Expr> = plan
        .schema()
        .iter()
        .enumerate()
        .map(|(at, (qualifier, field))| match at == column {
            true => expr.clone().alias_qualified(qualifier.cloned(), field.name()),
            false => Expr::Column((qualifier, field).into()),
        })
        .collect();
    LogicalPlanBuilder::from(plan.clone()).project(exprs)?.build()
}

fn replace_column(plan: LogicalPlan, column: usize, expr: Expr) -> Result<LogicalPlan> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(plan) };
    let mut exprs = projection.expr;
    if let Some(old) = exprs.get_mut(column) {
        let (qualifier, name) = old.qualified_name();
        *old = expr.alias_qualified(qualifier, name);
    }
    Projection::try_new(exprs, projection.input).map(LogicalPlan::Projection)
}
