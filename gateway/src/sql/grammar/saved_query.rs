//! `CALL lakegate.save_query('name', 'SELECT …')` and its kin.

use sqlparser::ast::{Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value};

use super::{fold, name_parts};
use crate::sqlstate::{SqlError, SqlState};

/// What is done with saved queries.
#[derive(Debug, Clone)]
pub enum SavedQueryCall {
    Save { name: String, text: String },
    Run { name: String, version: Option<u64>, arguments: Vec<Expr> },
    Share { name: String, role: String, shared: bool },
    Drop { name: String },
}

const PROCEDURES: [&str; 5] = ["save_query", "run_query", "share_query", "unshare_query", "drop_query"];

impl SavedQueryCall {
    /// The procedure, and the query.
    #[must_use]
    pub fn subject(&self) -> (&'static str, &str) {
        match self {
            SavedQueryCall::Save { name, .. } => ("save_query", name),
            SavedQueryCall::Run { name, .. } => ("run_query", name),
            SavedQueryCall::Share { name, shared: true, .. } => ("share_query", name),
            SavedQueryCall::Share { name, shared: false, .. } => ("unshare_query", name),
            SavedQueryCall::Drop { name } => ("drop_query", name),
        }
    }

    /// `None`: the procedure is none of these.
    pub(super) fn of_function(function: &Function) -> Option<Result<Self, SqlError>> {
        let parts = name_parts(&function.name).ok()?;
        let [schema, procedure] = parts.as_slice() else { return None };
        let FunctionArguments::List(list) = &function.args else { return None };
        let is_known = schema == "lakegate" && PROCEDURES.contains(&procedure.as_str());
        is_known.then(|| of_arguments(procedure, &list.args))
    }
}

fn of_arguments(procedure: &str, args: &[FunctionArg]) -> Result<SavedQueryCall, SqlError> {
    let (mut places, mut version) = (Vec::new(), None);
    for arg in args {
        let (word, value) = match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                places.push(expr.clone());
                continue;
            }
            FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. } => (fold(name), expr),
            FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), .. } => (fold(name), expr),
            _ => return Err(called_otherwise(procedure)),
        };
        let number = text(value).and_then(|digits| digits.parse().ok());
        version = Some(number.filter(|_| procedure == "run_query" && word == "version").ok_or_else(|| called_otherwise(procedure))?);
    }
    let literals_only = || {
        SqlError::unsupported(format!("lakegate.{procedure} with other names than literals"))
            .hint("Arguments of the saved query may be parameters.")
    };
    let literal = |at: usize| places.get(at).map(|expr| text(expr).ok_or_else(literals_only)).transpose();
    let name = literal(0)?.ok_or_else(|| called_otherwise(procedure))?;
    let second = if procedure == "run_query" { None } else { literal(1)? };
    match (procedure, second, places.len()) {
        ("save_query", Some(text), 2) => Ok(SavedQueryCall::Save { name, text }),
        ("run_query", _, _) => Ok(SavedQueryCall::Run { name, version, arguments: places.split_off(1) }),
        ("share_query", Some(role), 2) => Ok(SavedQueryCall::Share { name, role, shared: true }),
        ("unshare_query", Some(role), 2) => Ok(SavedQueryCall::Share { name, role, shared: false }),
        ("drop_query", None, 1) => Ok(SavedQueryCall::Drop { name }),
        _ => Err(called_otherwise(procedure)),
    }
}

fn called_otherwise(procedure: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedFunction, format!("lakegate.{procedure} is called otherwise")).hint(
        "save_query('name', 'SELECT …'), run_query('name', argument, …, version => n), share_query('name', 'role'), \
         unshare_query('name', 'role'), drop_query('name').",
    )
}

fn text(expr: &Expr) -> Option<String> {
    let Expr::Value(value) = expr else { return None };
    match &value.value {
        Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
        Value::DollarQuotedString(text) => Some(text.value.clone()),
        Value::Number(digits, _) => Some(digits.clone()),
        _ => None,
    }
}
