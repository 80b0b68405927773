//! A constant that is a column's default, as `pg_get_expr` prints it once PostgreSQL has read it as a value of the column's type.
//! Source: `get_const_expr` in ruleutils.c.

use lakegate_catalog::model::PgType;
use sqlparser::ast::{DataType, Expr, UnaryOperator, Value, ValueWithSpan};

use crate::sql::types::column_type;
use crate::wire::pg_types::type_name;

/// The text of a default that is a plain constant; `None` for all other expressions.
#[must_use]
pub fn shown(default: &Expr, column: PgType) -> Option<String> {
    match default {
        Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => Some(of_type(text, column.oid)),
        Expr::Cast { expr, data_type, .. } => match expr.as_ref() {
            Expr::Value(ValueWithSpan { value: Value::SingleQuotedString(text), .. }) => cast(text, data_type),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => match expr.as_ref() {
            Expr::Value(ValueWithSpan { value: Value::Number(digits, _), .. }) => Some(of_type(&format!("-{digits}"), number_type(digits))),
            _ => None,
        },
        _ => None,
    }
}

/// Casts to regclass are of sequences, which are shown elsewhere.
fn cast(text: &str, data_type: &DataType) -> Option<String> {
    Some(of_type(text, column_type(data_type).ok()?.oid))
}

pub fn number_type(digits: &str) -> u32 {
    match digits.parse::<i64>() {
        Ok(number) if i32::try_from(number).is_ok() => PgType::INT4.oid,
        Ok(_) => PgType::INT8.oid,
        Err(_) => PgType::NUMERIC.oid,
    }
}

pub fn of_type(text: &str, oid: u32) -> String {
    let trimmed = text.trim();
    let labelled = |text: &str| format!("'{}'::{}", text.replace('\'', "''"), label(oid));
    if oid == PgType::BOOL.oid {
        return match trimmed.to_ascii_lowercase().as_str() {
            "t" | "true" | "y" | "yes" | "on" | "1" => "true".to_owned(),
            "f" | "false" | "n" | "no" | "off" | "0" => "false".to_owned(),
            _ => labelled(text),
        };
    }
    if oid == PgType::INT4.oid {
        return match trimmed.parse::<i32>() {
            Ok(number) if number >= 0 => number.to_string(),
            Ok(number) => labelled(&number.to_string()),
            Err(_) => labelled(text),
        };
    }
    if oid == PgType::NUMERIC.oid && trimmed.starts_with(|digit: char| digit.is_ascii_digit()) && trimmed.contains(['e', 'E', '.']) {
        return trimmed.to_owned();
    }
    labelled(text)
}

/// Without a length: `format_type_with_typemod` prints one only where the constant has it.
fn label(oid: u32) -> String {
    if oid == PgType::BPCHAR.oid { "bpchar".to_owned() } else { type_name(oid) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::parse::parse_expression;

    #[test]
    fn constants_have_the_type_of_their_column() {
        for (text, column, expected) in [
            ("'0'", PgType::NUMERIC, Some("'0'::numeric")),
            ("'1.5'", PgType::NUMERIC, Some("1.5")),
            ("'it''s'", PgType::TEXT, Some("'it''s'::text")),
            ("'x'", PgType::varchar(5), Some("'x'::character varying")),
            ("'abc'", PgType::bpchar(3), Some("'abc'::bpchar")),
            ("'7'", PgType::INT4, Some("7")),
            ("'t'", PgType::BOOL, Some("true")),
            ("'2020-01-01'", PgType::DATE, Some("'2020-01-01'::date")),
            ("'2020-01-01'::DATE", PgType::TEXT, Some("'2020-01-01'::date")),
            ("-5", PgType::INT8, Some("'-5'::integer")),
            ("-1.5", PgType::NUMERIC, Some("'-1.5'::numeric")),
            ("0", PgType::NUMERIC, None),
            ("now()", PgType::TIMESTAMPTZ, None),
        ] {
            assert_eq!(shown(&parse_expression(text).unwrap(), column).as_deref(), expected, "{text}");
        }
    }
}
