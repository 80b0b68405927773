//! Assignment of expressions to columns: PostgreSQL's assignment casts, which are more than implicit and fewer than
//! explicit ones. Lengths of `varchar(n)` and `char(n)` are left to [`super::checks`], which refuses where a cast would cut.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Cast, Placeholder};
use datafusion::logical_expr::{Expr, ExprSchemable};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{EngineError, PG_TYPE_KEY, SqlMistake, arrow_field, pg_type};

use crate::delta::TableColumn;

/// `expr`, over `schema`, as a value of the column.
///
/// # Errors
/// `DatatypeMismatch` where PostgreSQL has no assignment cast.
pub fn assigned(expr: Expr, schema: &DFSchema, column: &TableColumn) -> Result<Expr, EngineError> {
    let target = target_field(column);
    if let Expr::Placeholder(Placeholder { id, field: None }) = expr {
        return Ok(Expr::Placeholder(Placeholder::new_with_field(id, Some(target))));
    }
    if !is_unknown(&expr)
        && let Ok((_, source)) = expr.to_field(schema)
    {
        check(&source, column)?;
    }
    // Also where the types are the same: the rows of a VALUES list must agree in their tags.
    Ok(Expr::Cast(Cast { expr: Box::new(expr), field: target }))
}

/// What a value is cast to: the column's type without a length.
#[must_use]
pub fn target_field(column: &TableColumn) -> FieldRef {
    let pg = pg_type(&column.field);
    let plain = match pg.character_length() {
        Some(_) => PgType::plain(pg.oid),
        None => pg,
    };
    match arrow_field(column.field.name(), plain, true) {
        Some(field) if field.data_type() == column.field.data_type() => {
            // Tagged whatever its type: an untagged target leaves the source's tag standing.
            let tag = if plain.typmod == -1 { plain.oid.to_string() } else { format!("{}:{}", plain.oid, plain.typmod) };
            Arc::new(field.with_metadata([(PG_TYPE_KEY.to_owned(), tag)].into()))
        }
        _ => Arc::new(column.field.as_ref().clone().with_nullable(true)),
    }
}

/// Literals that take the type of where they stand.
fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_unknown(&alias.expr),
        Expr::Literal(ScalarValue::Null, _) => true,
        Expr::Literal(ScalarValue::Utf8(_), metadata) => metadata.is_none(),
        _ => false,
    }
}

#[derive(PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Boolean,
    DateTime,
    Other,
}

fn family(field: &FieldRef) -> Family {
    match (pg_type(field).oid, field.data_type()) {
        (114 | 2950 | 3802, _) => Family::Other,
        (_, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) => Family::Text,
        (_, DataType::Boolean) => Family::Boolean,
        (_, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)) => Family::DateTime,
        (_, data_type) if data_type.is_numeric() => Family::Number,
        _ => Family::Other,
    }
}

fn check(source: &FieldRef, column: &TableColumn) -> Result<(), EngineError> {
    let (from, to) = (family(source), family(&column.field));
    let is_null = source.data_type() == &DataType::Null;
    // Everything has an assignment cast to text.
    let allowed = is_null || to == Family::Text || from == to || to == Family::Other && from == Family::Other;
    if allowed {
        return Ok(());
    }
    let message = format!(
        "column \"{}\" is of type {} but expression is of type {}",
        column.field.name(),
        crate::functions::types::type_name(pg_type(&column.field)),
        crate::functions::types::type_name(pg_type(source)),
    );
    Err(EngineError::Sql {
        mistake: SqlMistake::DatatypeMismatch,
        message,
        hint: Some("You will need to rewrite or cast the expression.".to_owned()),
    })
}
