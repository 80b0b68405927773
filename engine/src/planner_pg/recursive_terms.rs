//! The two terms of a recursive query, typed: the working table keeps the types that it was planned with.

use std::sync::Arc;

use datafusion::arrow::datatypes::Field;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::Cast;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, RecursiveQuery, lit};
use lakegate_engine_api::{EngineError, SqlMistake, pg_type};

use super::operand::{Family, Operand};
use super::resolve::{ResolveTypes, common_type, family_of};
use super::types::CAST_FIELD;
use crate::functions::error;
use crate::functions::types::type_name;

impl ResolveTypes {
    /// The working table keeps the fields that it was planned with, so both terms must give just these; who reads the result
    /// sees the types that the first term turned out to have.
    pub fn recursive(&self, query: RecursiveQuery, outer: &mut Vec<Arc<DFSchema>>) -> Result<LogicalPlan> {
        let planned = Arc::clone(query.static_term.schema());
        let static_term = self.plan(Arc::unwrap_or_clone(query.static_term), outer, false)?;
        let typed = Arc::clone(static_term.schema());
        let static_term = self.tagged_as(fitted(static_term, &planned)?, &planned, |_, _| true)?;
        let recursive_term = self.plan(Arc::unwrap_or_clone(query.recursive_term), outer, false)?;
        self.check_recursive_types(&query.name, &typed, &recursive_term)?;
        let recursive_term = fitted(recursive_term, &planned)?;
        let recursive_term = self.tagged_as(recursive_term, &planned, |_, _| true)?;
        let query = RecursiveQuery { static_term: Arc::new(static_term), recursive_term: Arc::new(recursive_term), ..query };
        self.with_tags_of(LogicalPlan::RecursiveQuery(query).recompute_schema()?, &typed)
    }

    /// The recursive term's numbers are not cut to the first term's type (`analyzeCTETargetList`).
    fn check_recursive_types(&self, name: &str, first: &DFSchema, term: &LogicalPlan) -> Result<()> {
        let LogicalPlan::Projection(projection) = term else { return Ok(()) };
        for (at, (expr, field)) in projection.expr.iter().zip(first.fields()).enumerate() {
            // Planning has made the term's columns those of the first term by casts that nobody wrote.
            let Expr::Cast(Cast { expr, field: target }) = expr.clone().unalias() else { continue };
            if target.name() == CAST_FIELD {
                continue;
            }
            let first = Operand { expr: lit(ScalarValue::Null), pg: pg_type(field), arrow: field.data_type().clone(), unknown: false };
            let own = Operand::of(*expr, projection.input.schema())?;
            let is_number = |operand: &Operand| matches!(operand.family(), Family::Int | Family::Numeric | Family::Float);
            if own.unknown || !is_number(&first) || !is_number(&own) {
                continue;
            }
            let overall = common_type(&[first.clone(), own], "UNION")?;
            if family_of(overall) != first.family() {
                let message = format!(
                    "recursive query \"{name}\" column {} has type {} in non-recursive term but type {} overall",
                    at + 1,
                    first.type_name(),
                    type_name(overall)
                );
                let hint = Some("Cast the output of the non-recursive term to the correct type.".to_owned());
                return Err(error::external(EngineError::Sql { mistake: SqlMistake::DatatypeMismatch, message, hint }));
            }
        }
        Ok(())
    }
}

/// Numerics with the digits that the working table's have.
fn fitted(plan: LogicalPlan, planned: &DFSchema) -> Result<LogicalPlan> {
    let differs =
        |now: &Field, then: &Field| now.data_type() != then.data_type() && now.data_type().is_decimal() && then.data_type().is_decimal();
    let fields: Vec<_> = plan.schema().fields().iter().cloned().zip(planned.fields().iter().cloned()).collect();
    if !fields.iter().any(|(now, then)| differs(now, then)) {
        return Ok(plan);
    }
    let columns: Vec<Expr> = fields
        .into_iter()
        .zip(plan.schema().columns())
        .map(|((now, then), column)| {
            let (qualifier, name) = (column.relation.clone(), column.name.clone());
            if !differs(&now, &then) {
                return Expr::Column(column);
            }
            Expr::Cast(Cast::new_from_field(Box::new(Expr::Column(column)), then)).alias_qualified(qualifier, name)
        })
        .collect();
    LogicalPlanBuilder::from(plan).project(columns)?.build()
}
