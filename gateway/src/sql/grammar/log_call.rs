//! `CALL lakegate.set_blind_index(true)`, `CALL lakegate.flush_logs('1 hour')`.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::name_parts;
use crate::sqlstate::{SqlError, SqlState};

/// What is set of the logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogCall {
    BlindIndex(bool),
    /// Records older than an interval go into the data plane now.
    Flush(String),
}

impl LogCall {
    /// `None`: the procedure is another.
    pub(super) fn of_function(function: &Function) -> Option<Result<Self, SqlError>> {
        let parts = name_parts(&function.name).ok()?;
        let FunctionArguments::List(list) = &function.args else { return None };
        match parts.as_slice() {
            [schema, procedure] if schema == "lakegate" && procedure == "set_blind_index" => {}
            [schema, procedure] if schema == "lakegate" && procedure == "flush_logs" => return Some(flush(&list.args)),
            _ => return None,
        }
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

fn flush(args: &[FunctionArg]) -> Result<LogCall, SqlError> {
    let interval = match args {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value)))] => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    };
    interval.map(LogCall::Flush).ok_or_else(|| {
        SqlError::new(SqlState::UndefinedFunction, "lakegate.flush_logs is called otherwise")
            .hint("Call lakegate.flush_logs('interval'): records that are older go into the data plane.")
    })
}
