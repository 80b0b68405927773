//! `CALL lakegate.erase_subject('customer', '42', reason => '…', dry_run => true)` and its kin; `SELECT lakegate.export_subject(…)`.

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Query, Select, SelectItem, SetExpr, Statement,
    TableFactor, UnaryOperator, Value,
};
use sqlparser::parser::Parser;

use super::{Command, GrammarError, fold, name_parts};
use crate::sqlstate::{SqlError, SqlState};

/// How long readers from before an erasure are waited for where nothing is said.
const WAIT_SECONDS_DEFAULT: u64 = 300;

/// What is done for data subjects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivacyCall {
    Erase {
        kind: String,
        identifiers: Vec<String>,
        reason: Option<String>,
        dry_run: bool,
        wait_seconds: u64,
    },
    /// Those that a table of requests lists.
    EraseListed {
        kind: String,
        table: String,
        reason: Option<String>,
        dry_run: bool,
        wait_seconds: u64,
    },
    Export {
        kind: String,
        identifier: String,
        url: String,
    },
    /// Goes on with a request that was cut off.
    Resume {
        request: String,
        wait_seconds: u64,
    },
}

impl PrivacyCall {
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            PrivacyCall::Erase { .. } => "erase_subject",
            PrivacyCall::EraseListed { .. } => "erase_subjects",
            PrivacyCall::Export { .. } => "export_subject",
            PrivacyCall::Resume { .. } => "resume_erasure",
        }
    }

    /// Empty where it is not known yet.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            PrivacyCall::Erase { kind, .. } | PrivacyCall::EraseListed { kind, .. } | PrivacyCall::Export { kind, .. } => kind,
            PrivacyCall::Resume { .. } => "",
        }
    }
}

/// A literal argument.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Argument {
    Text(String),
    Texts(Vec<String>),
    Flag(bool),
}

pub(super) fn parse_call(parser: &mut Parser) -> Result<Command, GrammarError> {
    match parser.parse_statement()? {
        Statement::Call(function) => match super::SavedQueryCall::of_function(&function) {
            Some(call) => Ok(Command::SavedQuery(Box::new(call?))),
            None => match super::LogCall::of_function(&function) {
                Some(call) => Ok(Command::Log(call?)),
                None => Ok(Command::Privacy(Box::new(of_function(&function)?))),
            },
        },
        other => Ok(Command::Sql(Box::new(other))),
    }
}

/// `SELECT lakegate.export_subject(…)` and `SELECT * FROM lakegate.export_subject(…)`, and nothing around it: it writes files, once.
pub(super) fn of_query(statement: &Statement) -> Option<Result<PrivacyCall, SqlError>> {
    let Statement::Query(query) = statement else { return None };
    let Query { body, with: None, order_by: None, limit_clause: None, fetch: None, .. } = query.as_ref() else { return None };
    let SetExpr::Select(select) = body.as_ref() else { return None };
    let Select { projection, from, selection: None, having: None, distinct: None, group_by, .. } = select.as_ref() else { return None };
    if !matches!(group_by, GroupByExpr::Expressions(exprs, _) if exprs.is_empty()) {
        return None;
    }
    match (projection.as_slice(), from.as_slice()) {
        ([SelectItem::UnnamedExpr(Expr::Function(function))], []) if is_export(&function.name) => Some(of_function(function)),
        ([SelectItem::Wildcard(_)], [table]) if table.joins.is_empty() => match &table.relation {
            TableFactor::Table { name, args: Some(args), .. } if is_export(name) => Some(of_arguments("export_subject", &args.args)),
            _ => None,
        },
        _ => None,
    }
}

fn is_export(name: &sqlparser::ast::ObjectName) -> bool {
    name_parts(name).is_ok_and(|parts| parts == ["lakegate", "export_subject"])
}

fn of_function(function: &Function) -> Result<PrivacyCall, SqlError> {
    let parts = name_parts(&function.name)?;
    let FunctionArguments::List(list) = &function.args else {
        return Err(undefined(&parts.join(".")));
    };
    match parts.as_slice() {
        [schema, name] if schema == "lakegate" => of_arguments(name, &list.args),
        _ => Err(undefined(&parts.join("."))),
    }
}

fn undefined(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedFunction, format!("procedure {name} does not exist")).hint(
        "There are lakegate.erase_subject, erase_subjects, export_subject, resume_erasure, save_query, run_query, share_query, \
         unshare_query, drop_query, set_blind_index and flush_logs.",
    )
}

fn of_arguments(name: &str, args: &[FunctionArg]) -> Result<PrivacyCall, SqlError> {
    let (mut places, mut reason, mut dry_run, mut wait_seconds) = (Vec::new(), None, false, WAIT_SECONDS_DEFAULT);
    for arg in args {
        match arg {
            FunctionArg::Unnamed(arg) => places.push(argument(name, arg)?),
            FunctionArg::Named { name: word, arg, .. } => named(name, &fold(word), arg, (&mut reason, &mut dry_run, &mut wait_seconds))?,
            FunctionArg::ExprNamed { name: Expr::Identifier(word), arg, .. } => {
                named(name, &fold(word), arg, (&mut reason, &mut dry_run, &mut wait_seconds))?;
            }
            FunctionArg::ExprNamed { .. } => return Err(undefined(&format!("lakegate.{name}"))),
        }
    }
    match (name, places.as_slice()) {
        ("erase_subject", [Argument::Text(kind), subject]) => {
            let identifiers = match subject {
                Argument::Text(identifier) => vec![identifier.clone()],
                Argument::Texts(identifiers) => identifiers.clone(),
                Argument::Flag(_) => return Err(called_otherwise(name)),
            };
            Ok(PrivacyCall::Erase { kind: kind.clone(), identifiers, reason, dry_run, wait_seconds })
        }
        ("erase_subjects", [Argument::Text(kind), Argument::Texts(identifiers)]) => {
            Ok(PrivacyCall::Erase { kind: kind.clone(), identifiers: identifiers.clone(), reason, dry_run, wait_seconds })
        }
        ("erase_subjects", [Argument::Text(kind), Argument::Text(table)]) => {
            Ok(PrivacyCall::EraseListed { kind: kind.clone(), table: table.clone(), reason, dry_run, wait_seconds })
        }
        ("export_subject", [Argument::Text(kind), Argument::Text(identifier), Argument::Text(url)]) => {
            Ok(PrivacyCall::Export { kind: kind.clone(), identifier: identifier.clone(), url: url.clone() })
        }
        ("resume_erasure", [Argument::Text(request)]) => Ok(PrivacyCall::Resume { request: request.clone(), wait_seconds }),
        ("erase_subject" | "erase_subjects" | "export_subject" | "resume_erasure", _) => Err(called_otherwise(name)),
        _ => Err(undefined(&format!("lakegate.{name}"))),
    }
}

fn called_otherwise(name: &str) -> SqlError {
    SqlError::new(SqlState::UndefinedFunction, format!("lakegate.{name} is called otherwise")).hint(
        "erase_subject('kind', 'identifier' | ARRAY['…'], reason => '…', dry_run => true), erase_subjects('kind', 'table', reason => '…'), \
         export_subject('kind', 'identifier', 'url'), resume_erasure('request').",
    )
}

fn named(
    call: &str,
    word: &str,
    arg: &FunctionArgExpr,
    (reason, dry_run, wait_seconds): (&mut Option<String>, &mut bool, &mut u64),
) -> Result<(), SqlError> {
    match (word, argument(call, arg)?) {
        ("reason", Argument::Text(text)) => *reason = Some(text),
        ("dry_run", Argument::Flag(flag)) => *dry_run = flag,
        ("wait_seconds", Argument::Text(text)) => *wait_seconds = text.parse().map_err(|_| called_otherwise(call))?,
        _ => return Err(called_otherwise(call)),
    }
    Ok(())
}

fn argument(call: &str, arg: &FunctionArgExpr) -> Result<Argument, SqlError> {
    let literals_only = || SqlError::unsupported(format!("lakegate.{call} with other arguments than literals"));
    let FunctionArgExpr::Expr(expr) = arg else { return Err(literals_only()) };
    match expr {
        Expr::Array(array) => {
            let texts: Option<Vec<String>> = array.elem.iter().map(text).collect();
            texts.map(Argument::Texts).ok_or_else(literals_only)
        }
        Expr::Value(value) if matches!(value.value, Value::Boolean(_)) => match value.value {
            Value::Boolean(flag) => Ok(Argument::Flag(flag)),
            _ => Err(literals_only()),
        },
        expr => text(expr).map(Argument::Text).ok_or_else(literals_only),
    }
}

fn text(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(text.clone()),
            Value::DollarQuotedString(text) => Some(text.value.clone()),
            Value::Number(digits, _) => Some(digits.clone()),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) => Some(format!("-{digits}")),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}
