//! `CALL lakegate.set_blind_index(true)`.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::name_parts;
use crate::sqlstate::{SqlError, SqlState};

/// What is set of the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogCall {
    BlindIndex(bool),
}

impl LogCall {
    /// `None`: the procedure is another.
    pub(super) fn of_function(function: &Function) -> Option<Result<Self, SqlError>> {
        let parts = name_parts(&function.name).ok()?;
        if !matches!(parts.as_slice(), [schema, procedure] if schema == "lakegate" && procedure == "set_blind_index") {
            return None;
        }
        let FunctionArguments::List(list) = &function.args else { return None };
        let flag = match list.args.as_slice() {
            [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] => match value.value {
                Value::Boolean(flag) => Some(flag),
                _ => None,
            },
            _ => None,
        };
        let otherwise = || {
            SqlError::new(SqlState::UndefinedFunction, "lakegate.set_blind_index is called otherwise")
                .hint("Call lakegate.set_blind_index(true) or lakegate.set_blind_index(false).")
        };
        Some(flag.map(LogCall::BlindIndex).ok_or_else(otherwise))
    }
}
