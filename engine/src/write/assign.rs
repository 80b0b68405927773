//! Assignment of expressions to columns: PostgreSQL's assignment casts, which are more than implicit and fewer than
//! explicit ones. Lengths of `varchar(n)` and `char(n)` are left to [`super::checks`], which refuses where a cast would cut; so is
//! the rounding of `timestamp(n)`.

use std::sync::Arc;

use arrow_schema::{DataType, FieldRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Cast, Placeholder};
use datafusion::logical_expr::{Expr, ExprSchemable};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{EngineError, PG_TYPE_KEY, SqlMistake, arrow_field, pg_type};

use crate::delta::TableColumn;
use crate::functions::typed::{array_of, plain_array};

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
    Ok(in_type_of(expr, column))
}

/// The same of rows that are added: arrays in the column's very type.
///
/// # Errors
/// As [`assigned`].
pub fn inserted(expr: Expr, schema: &DFSchema, column: &TableColumn) -> Result<Expr, EngineError> {
    Ok(in_array_type_of(assigned(expr, schema, column)?, column))
}

/// The same as a cell of VALUES, which keeps no tags of an array's elements.
///
/// # Errors
/// As [`assigned`].
pub fn cell(expr: Expr, schema: &DFSchema, column: &TableColumn) -> Result<Expr, EngineError> {
    let value = assigned(expr, schema, column)?;
    Ok(if tagged_array(column).is_some() { plain_array(value) } else { value })
}

/// An array in the column's very type; other values as they are.
#[must_use]
pub fn in_array_type_of(value: Expr, column: &TableColumn) -> Expr {
    match tagged_array(column) {
        Some(array) => array_of(value, array),
        None => value,
    }
}

/// The column's type where it is an array whose elements have a tag.
fn tagged_array(column: &TableColumn) -> Option<PgType> {
    let array = PgType::plain(pg_type(&column.field).oid);
    let typed = arrow_field("", array, true).is_some_and(|field| field.data_type() == column.field.data_type());
    let is_tagged = matches!(column.field.data_type(), DataType::List(element) if !element.metadata().is_empty());
    (typed && is_tagged).then_some(array)
}

/// What is of the column's type already, said once more: CASE forgets all that Arrow does not know of a type.
#[must_use]
pub fn in_type_of(expr: Expr, column: &TableColumn) -> Expr {
    Expr::Cast(Cast { expr: Box::new(expr), field: target_field(column) })
}

/// What a value is cast to: the column's type without a length.
#[must_use]
pub fn target_field(column: &TableColumn) -> FieldRef {
    let pg = pg_type(&column.field);
    let limited = pg.character_length().is_some() || pg.fractional_digits().is_some();
    let plain = if limited { PgType::plain(pg.oid) } else { pg };
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
