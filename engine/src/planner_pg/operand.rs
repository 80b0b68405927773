//! An operand of an operator: its expression, its PostgreSQL type, and whether that type is still open.

use std::sync::Arc;

use datafusion::arrow::array::StringArray;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::expr::{Cast, Placeholder, ScalarFunction};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator, ReturnFieldArgs};
use datafusion::logical_expr_common::type_coercion::binary::BinaryTypeCoercer;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::pg_type;

use super::types::cast_field;
use crate::functions::text::number::Decimal;
use crate::functions::text::style::Style;
use crate::functions::text::value_in;

#[derive(Debug, Clone)]
pub struct Operand {
    pub expr: Expr,
    pub pg: PgType,
    pub arrow: DataType,
    /// A string literal, NULL or parameter whose type the other operand decides.
    pub unknown: bool,
}

/// How types convert into each other, in PostgreSQL's categories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Bool,
    Int,
    Oid,
    Float,
    Numeric,
    Text,
    Bytea,
    Date,
    Time,
    Timestamp,
    Timestamptz,
    Interval,
    Uuid,
    Json,
    Jsonb,
    Array,
    Record,
    Unknown,
}

impl Operand {
    /// # Errors
    /// Where the expression's type cannot be told.
    pub fn of(expr: Expr, schema: &DFSchema) -> Result<Operand> {
        let expr = int4_literals(expr)?;
        let unknown = is_unknown(&expr);
        let field = field_of(&expr, schema)?;
        let pg = if unknown { PgType::UNKNOWN } else { pg_type(&field) };
        Ok(Operand { expr, pg, arrow: field.data_type().clone(), unknown })
    }

    #[must_use]
    pub fn family(&self) -> Family {
        if self.unknown {
            return Family::Unknown;
        }
        if matches!(self.arrow, DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)) {
            return Family::Array;
        }
        match self.pg.oid {
            16 => Family::Bool,
            20 | 21 | 23 => Family::Int,
            24 | 26 | 28 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 => Family::Oid,
            700 | 701 => Family::Float,
            1700 => Family::Numeric,
            17 => Family::Bytea,
            1082 => Family::Date,
            1083 => Family::Time,
            1114 => Family::Timestamp,
            1184 => Family::Timestamptz,
            1186 => Family::Interval,
            2950 => Family::Uuid,
            114 => Family::Json,
            3802 => Family::Jsonb,
            2249 => Family::Record,
            _ => Family::Text,
        }
    }

    /// The type's name for messages.
    #[must_use]
    pub fn type_name(&self) -> String {
        if self.unknown { "unknown".to_owned() } else { crate::functions::types::type_name(self.pg) }
    }

    /// Converts to a type: an open operand is read as a literal of it, now.
    ///
    /// # Errors
    /// 22P02 and its kin for a literal that is none of the type.
    pub fn into_type(self, pg: PgType, style: &Style) -> Result<Operand> {
        if !self.unknown && self.pg == pg {
            return Ok(self);
        }
        let field = cast_field(pg)?;
        let expr = match self.expr {
            Expr::Literal(ScalarValue::Utf8(Some(text)), _) if self.unknown => literal(&text, &field, style)?,
            Expr::Literal(value, _) if self.unknown && value.is_null() => {
                Expr::Literal(ScalarValue::try_new_null(field.data_type())?, metadata(&field))
            }
            // A decimal literal is the nearest float, without a detour over its digits as integers.
            Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), None) if pg == PgType::FLOAT8 => {
                literal(&crate::functions::text::number::decimal(&value.to_string(), scale), &field, style)?
            }
            Expr::Placeholder(Placeholder { id, field: None }) => {
                Expr::Placeholder(Placeholder::new_with_field(id, Some(Arc::clone(&field))))
            }
            expr => Expr::Cast(Cast::new_from_field(Box::new(expr), Arc::clone(&field))),
        };
        Ok(Operand { expr, pg: pg_type(&field), arrow: field.data_type().clone(), unknown: false })
    }

    /// Drops what is only a constraint of storage, so that no literal is cut or rounded to it.
    #[must_use]
    pub fn comparison_type(&self) -> PgType {
        match self.pg.oid {
            1042 | 1043 | 19 | 18 => PgType::TEXT,
            1700 => PgType::NUMERIC,
            oid => PgType::plain(oid),
        }
    }
}

/// The field of an expression but for its name. DataFusion's own `to_field` writes out each part's name, which takes time
/// with the square of a long chain's length.
///
/// # Errors
/// Where a part's type cannot be told.
pub fn field_of(expr: &Expr, schema: &DFSchema) -> Result<FieldRef> {
    match expr {
        Expr::BinaryExpr(BinaryExpr { op, .. }) if op.is_logic_operator() || is_comparison(*op) => {
            Ok(Arc::new(Field::new("", DataType::Boolean, true)))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (field_of(left, schema)?, field_of(right, schema)?);
            let data_type = BinaryTypeCoercer::new(left.data_type(), op, right.data_type()).get_result_type()?;
            Ok(Arc::new(Field::new("", data_type, true)))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) => {
            let fields = args.iter().map(|arg| field_of(arg, schema)).collect::<Result<Vec<_>>>()?;
            let Ok(fields) = fields_with_udf(&fields, func.as_ref()) else { return Ok(expr.to_field(schema)?.1) };
            let literals: Vec<_> = args.iter().map(|arg| if let Expr::Literal(value, _) = arg { Some(value) } else { None }).collect();
            func.return_field_from_args(ReturnFieldArgs { arg_fields: &fields, scalar_arguments: &literals })
        }
        other => Ok(other.to_field(schema)?.1),
    }
}

fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// Whether an expression's type is open: an untyped string literal, NULL, or parameter.
#[must_use]
pub fn is_unknown(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(_)) | ScalarValue::Null, metadata) => metadata.is_none(),
        Expr::Placeholder(placeholder) => placeholder.field.is_none(),
        _ => false,
    }
}

/// A literal of a type, folded.
///
/// # Errors
/// As the type's input function.
pub fn literal(text: &str, field: &FieldRef, style: &Style) -> Result<Expr> {
    let pg = pg_type(field);
    if pg == PgType::NUMERIC {
        return numeric_literal(text);
    }
    let values = value_in::column(&StringArray::from(vec![Some(text)]), field, style)?;
    let value = ScalarValue::try_from_array(&values, 0)?;
    // Text typed as text must not be taken for an open literal again.
    let metadata = metadata(field).or_else(|| (pg == PgType::TEXT).then(typed_text));
    Ok(Expr::Literal(value, metadata))
}

/// Metadata that marks a text literal as typed.
#[must_use]
pub fn typed_text() -> FieldMetadata {
    FieldMetadata::from(std::collections::BTreeMap::from([(lakegate_engine_api::PG_TYPE_KEY.to_owned(), PgType::TEXT.oid.to_string())]))
}

/// A numeric literal with the digits it is written with.
///
/// # Errors
/// 22P02; 22003 past 76 digits.
pub fn numeric_literal(text: &str) -> Result<Expr> {
    use crate::functions::text::number::numeric_overflow;
    let decimal = Decimal::parse(text)?;
    let scale = i8::try_from(decimal.scale).ok().filter(|scale| *scale <= 76).ok_or_else(numeric_overflow)?;
    let digits = decimal.digits.len().max(decimal.scale).max(1);
    let precision = u8::try_from(digits).ok().filter(|precision| *precision <= 76).ok_or_else(numeric_overflow)?;
    let value = decimal.at_scale(decimal.scale).ok_or_else(numeric_overflow)?;
    Ok(Expr::Literal(
        match value.to_i128().filter(|_| precision <= 38) {
            Some(value) => ScalarValue::Decimal128(Some(value), precision, scale),
            None => ScalarValue::Decimal256(Some(value), precision, scale),
        },
        None,
    ))
}

/// Turns integer literals that fit into int4, as PostgreSQL types them.
///
/// # Errors
/// None of its own.
pub fn int4_literals(expr: Expr) -> Result<Expr> {
    expr.transform(|expr| {
        Ok(match expr {
            Expr::Literal(ScalarValue::Int64(Some(value)), None) => match i32::try_from(value) {
                Ok(value) => Transformed::yes(Expr::Literal(ScalarValue::Int32(Some(value)), None)),
                Err(_) => Transformed::no(Expr::Literal(ScalarValue::Int64(Some(value)), None)),
            },
            Expr::Literal(ScalarValue::Decimal128(Some(value), _, scale), None) if scale < 0 => {
                Transformed::yes(numeric_literal(&format!("{value}e{}", -i32::from(scale)))?)
            }
            Expr::Literal(ScalarValue::UInt64(Some(value)), None) => {
                Transformed::yes(Expr::Literal(ScalarValue::Decimal128(Some(i128::from(value)), 20, 0), None))
            }
            other => Transformed::no(other),
        })
    })
    .map(|transformed| transformed.data)
}

fn metadata(field: &FieldRef) -> Option<FieldMetadata> {
    (!field.metadata().is_empty()).then(|| FieldMetadata::from(field.metadata().clone()))
}
