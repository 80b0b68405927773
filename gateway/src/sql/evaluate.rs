//! One value of an expression that stands outside queries: an argument of EXECUTE.

use arrow_array::ArrayRef;
use arrow_schema::FieldRef;
use futures::StreamExt;
use lakegate_catalog::model::PgType;
use lakegate_engine_api::{Execution, ExecutionContext, pg_type};
use sqlparser::ast::{Expr, SelectItem, SetExpr, Statement, UnaryOperator, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::grammar::Command;
use super::parse::parse_query;
use super::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::Format;
use crate::wire::rows::{Column, Manner};
use crate::wire::text_input::{ColumnBuilder, InputManner};

/// Evaluates an argument and makes it what a parameter takes, as an assignment would. Source: `EvaluateParams` in prepare.c.
/// `number` counts the parameters from 1, for messages.
///
/// # Errors
/// 42804 where the type cannot be assigned, 0A000 for a subquery, and what evaluating gives.
pub async fn argument(
    session: &mut GatewaySession,
    number: usize,
    parameter: &FieldRef,
    expr: &Expr,
    cancel: &CancellationToken,
) -> Result<ArrayRef, SqlError> {
    let expected = pg_type(parameter);
    let snapshot = session.catalog().snapshot();
    let facts = session.facts(&snapshot);
    let input = session.input_manner(&facts);
    if let Some(text) = unknown_literal(expr) {
        return read(parameter, text.as_deref(), &input);
    }
    if let Some(text) = plain_number(expr, expected) {
        return read(parameter, Some(&text), &input);
    }
    let mut evaluated = evaluate(session, expr.clone(), None, cancel).await?;
    let given = pg_type(&evaluated.0);
    if !is_assignable(given, expected) {
        let name =
            |pg: PgType| facts.lookup.type_name(pg.oid).map_or_else(|| "unknown".to_owned(), |(_, name)| displayed(&name).to_owned());
        return Err(SqlError::new(
            SqlState::DatatypeMismatch,
            format!("parameter ${number} of type {} cannot be coerced to the expected type {}", name(given), name(expected)),
        )
        .hint("You will need to rewrite or cast the expression."));
    }
    if given.oid != expected.oid
        && let Some((_, name)) = facts.lookup.type_name(expected.oid)
    {
        evaluated = evaluate(session, expr.clone(), Some(&name), cancel).await?;
    }
    let manner = Manner { style: session.settings.current.text_style(), names: Some(facts.lookup.clone()) };
    let text = shown(&evaluated, &manner)?;
    read(parameter, text.as_deref(), &input)
}

/// Evaluating it has no effect.
#[must_use]
pub fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::Value(_) | Expr::TypedString(_) => true,
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } | Expr::Cast { expr: inner, .. } => is_constant(inner),
        Expr::Array(array) => array.elem.iter().all(is_constant),
        _ => false,
    }
}

/// A string or NULL takes whatever type is wanted. The inner `None` is NULL.
fn unknown_literal(expr: &Expr) -> Option<Option<String>> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::Null => Some(None),
            Value::SingleQuotedString(text) | Value::EscapedStringLiteral(text) => Some(Some(text.clone())),
            Value::DollarQuotedString(text) => Some(Some(text.value.clone())),
            _ => None,
        },
        Expr::Nested(inner) => unknown_literal(inner),
        _ => None,
    }
}

/// A number that needs no rounding to be what is wanted, which spares the engine.
fn plain_number(expr: &Expr, expected: PgType) -> Option<String> {
    let (sign, value) = match expr {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => ("-", expr.as_ref()),
        expr => ("", expr),
    };
    let Expr::Value(value) = value else { return None };
    let Value::Number(digits, _) = &value.value else { return None };
    let fits = match expected.oid {
        20 | 21 | 23 => digits.bytes().all(|byte| byte.is_ascii_digit()),
        700 | 701 | 1700 => true,
        _ => false,
    };
    fits.then(|| format!("{sign}{digits}"))
}

fn read(parameter: &FieldRef, text: Option<&str>, manner: &InputManner) -> Result<ArrayRef, SqlError> {
    let mut column = ColumnBuilder::new(parameter, manner)?;
    match text {
        Some(text) => column.append_text(text)?,
        None => column.append_null(),
    }
    Ok(column.finish())
}

fn shown((field, value): &(FieldRef, ArrayRef), manner: &Manner) -> Result<Option<String>, SqlError> {
    let column = Column::new(field, value, Format::Text, manner)?;
    if value.is_empty() || column.is_null(0) {
        return Ok(None);
    }
    let mut text = Vec::new();
    column.write(0, &mut text).map_err(|error| *error)?;
    String::from_utf8(text)
        .map(Some)
        .map_err(|_| SqlError::new(SqlState::CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\""))
}

/// `SELECT expr` or `SELECT CAST(expr AS cast)`, run by the engine. It opens no relation, so it has no log entry of its own.
async fn evaluate(
    session: &mut GatewaySession,
    expr: Expr,
    cast: Option<&str>,
    cancel: &CancellationToken,
) -> Result<(FieldRef, ArrayRef), SqlError> {
    let mut query = parse_query(&cast.map_or_else(|| "SELECT NULL".to_owned(), |name| format!("SELECT CAST(NULL AS {})", spelled(name))))?;
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(SelectItem::UnnamedExpr(item)) = select.projection.first_mut()
    {
        match item {
            Expr::Cast { expr: inner, .. } => **inner = expr,
            item => *item = expr,
        }
    }
    if contains_query(&query) {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "cannot use subquery in EXECUTE parameter"));
    }
    let command = Command::Sql(Box::new(Statement::Query(Box::new(query))));
    let plan = super::prepare::plan(session, &command, None, &[]).await?;
    let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: cancel.clone() };
    let Execution::Rows { schema, mut stream, .. } = plan.prepared.execute(Vec::new(), context).await? else {
        return Err(SqlError::new(SqlState::InternalError, "an expression answered no rows"));
    };
    while let Some(batch) = stream.next().await {
        let batch = batch?;
        if batch.num_rows() > 0 {
            let field = schema.fields().first().cloned();
            let value = batch.columns().first().map(|column| column.slice(0, 1));
            return field.zip(value).ok_or_else(|| SqlError::new(SqlState::InternalError, "an expression answered no column"));
        }
    }
    Err(SqlError::new(SqlState::InternalError, "an expression answered no row"))
}

/// Whether a query stands within the one that carries the expression.
pub(crate) fn contains_query(query: &sqlparser::ast::Query) -> bool {
    struct Count(usize);
    impl sqlparser::ast::Visitor for Count {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &sqlparser::ast::Query) -> std::ops::ControlFlow<()> {
            self.0 += 1;
            std::ops::ControlFlow::Continue(())
        }
    }
    let mut count = Count(0);
    let _ = sqlparser::ast::Visit::visit(query, &mut count);
    count.0 > 1
}

/// A type's name in `pg_type` as SQL writes it: arrays begin with an underscore there.
fn spelled(name: &str) -> String {
    name.strip_prefix('_').map_or_else(|| name.to_owned(), |element| format!("{element}[]"))
}

/// As `format_type` words the common ones.
fn displayed(name: &str) -> &str {
    match name {
        "int2" => "smallint",
        "int4" => "integer",
        "int8" => "bigint",
        "float4" => "real",
        "float8" => "double precision",
        "bool" => "boolean",
        "varchar" => "character varying",
        "bpchar" => "character",
        "timestamp" => "timestamp without time zone",
        "timestamptz" => "timestamp with time zone",
        "time" => "time without time zone",
        other => other,
    }
}

/// Assignment casts of `pg_cast` among the types that tables store: numbers among themselves, times among themselves, anything to
/// text.
fn is_assignable(given: PgType, expected: PgType) -> bool {
    const TEXTS: [u32; 4] = [19, 25, 1042, 1043];
    const NUMBERS: [u32; 6] = [20, 21, 23, 700, 701, 1700];
    const DATES: [u32; 3] = [1082, 1114, 1184];
    const JSONS: [u32; 2] = [114, 3802];
    let both = |group: &[u32]| group.contains(&given.oid) && group.contains(&expected.oid);
    given.oid == expected.oid
        || TEXTS.contains(&expected.oid)
        || both(&NUMBERS)
        || both(&DATES)
        || both(&JSONS)
        || (expected.oid == 26 && NUMBERS.contains(&given.oid))
        || (matches!(expected.oid, 1083 | 1266) && matches!(given.oid, 1114 | 1184 | 1083))
        || (expected.oid == 1186 && given.oid == 1083)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assignments_are_those_of_pg_cast() {
        assert!(is_assignable(PgType::INT4, PgType::TEXT));
        assert!(is_assignable(PgType::FLOAT8, PgType::INT4));
        assert!(is_assignable(PgType::TIMESTAMPTZ, PgType::DATE));
        assert!(!is_assignable(PgType::TEXT, PgType::INT4));
        assert!(!is_assignable(PgType::INT4, PgType::BOOL));
    }

    #[test]
    fn arrays_are_spelled_with_brackets() {
        assert_eq!(spelled("_int4"), "int4[]");
        assert_eq!(spelled("timestamptz"), "timestamptz");
    }
}
