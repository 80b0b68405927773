//! Expressions that the catalog and the table's log keep as text: DEFAULT, CHECK, generated columns.

use lakegate_engine_api::{EngineError, SqlMistake};
use sqlparser::ast::{Expr, Value};
use sqlparser::dialect::{DatabricksDialect, Dialect, PostgreSqlDialect};
use sqlparser::parser::Parser;
use sqlparser::tokenizer::Token;

use crate::error;

/// An expression of the catalog: PostgreSQL's SQL.
///
/// # Errors
/// `InvalidTableDefinition` where it is not one expression.
pub fn catalog_expression(text: &str) -> Result<Expr, EngineError> {
    parse(&PostgreSqlDialect {}, text)
        .ok_or_else(|| error::sql(SqlMistake::InvalidTableDefinition, "an expression of the table's definition cannot be read"))
}

/// An expression of a Delta log: Spark's SQL, which is PostgreSQL's for what constraints are made of.
///
/// # Errors
/// `Unsupported` names what cannot be enforced.
pub fn log_expression(text: &str, what: &str) -> Result<Expr, EngineError> {
    parse(&PostgreSqlDialect {}, text)
        .or_else(|| parse(&DatabricksDialect {}, text))
        .ok_or_else(|| error::unsupported(format!("{what}, whose expression cannot be read,")))
}

fn parse(dialect: &dyn Dialect, text: &str) -> Option<Expr> {
    let mut parser = Parser::new(dialect).try_with_sql(text).ok()?;
    let expr = parser.parse_expr().ok()?;
    (parser.peek_token().token == Token::EOF).then_some(expr)
}

#[must_use]
pub fn null() -> Expr {
    Expr::Value(Value::Null.into())
}

/// The keyword DEFAULT in the place of a value.
#[must_use]
pub fn is_default(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(name) if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default"))
}
