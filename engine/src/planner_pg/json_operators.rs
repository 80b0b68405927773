//! Operators and subscripts of json and jsonb.

use datafusion::common::Result;
use datafusion::logical_expr::Expr;
use lakegate_engine_api::SqlMistake;
use lakegate_engine_api::catalog::PgType;
use sqlparser::ast::BinaryOperator;

use super::PgPlanner;
use super::operand::{Family, Operand};
use crate::functions::error;
use crate::functions::types::undefined_operator;

impl PgPlanner {
    /// `j[key]`: NULL where there is no such key or element (`jsonbsubs.c`).
    pub(super) fn jsonb_subscript(&self, jsonb: Operand, key: Operand) -> Result<Expr> {
        match key.family() {
            Family::Int => {
                let key = key.into_type(PgType::INT4, self.style())?;
                self.call("#json_get", vec![jsonb.expr, key.expr])
            }
            // A text may be an element's number, too.
            Family::Text | Family::Unknown => {
                let key = key.into_type(PgType::TEXT, self.style())?;
                let path = self.call("#make_array", vec![key.expr])?;
                self.call("#json_path", vec![jsonb.expr, path])
            }
            _ => {
                let message = format!("subscript type {} is not supported", key.type_name());
                Err(error::mistake(SqlMistake::DatatypeMismatch, message))
            }
        }
    }

    pub(super) fn json(&self, op: &BinaryOperator, function: &str, left: Operand, right: Operand) -> Result<Expr> {
        if !matches!(left.family(), Family::Json | Family::Jsonb) {
            return Err(undefined_operator(&left.type_name(), &op.to_string(), &right.type_name()));
        }
        let right = match right.family() {
            Family::Int => right,
            Family::Text | Family::Unknown => right.into_type(PgType::TEXT, self.style())?,
            _ => return Err(undefined_operator(&left.type_name(), &op.to_string(), &right.type_name())),
        };
        self.call(function, vec![left.expr, right.expr])
    }

    pub(super) fn json_path(&self, op: &BinaryOperator, function: &str, left: Operand, right: Operand) -> Result<Expr> {
        if !matches!(left.family(), Family::Json | Family::Jsonb) || !matches!(right.family(), Family::Array | Family::Unknown) {
            return Err(undefined_operator(&left.type_name(), &op.to_string(), &right.type_name()));
        }
        let texts = PgType::plain(1009);
        let right = right.into_type(texts, self.style())?;
        self.call(function, vec![left.expr, right.expr])
    }
}
