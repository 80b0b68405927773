//! One value of any type as text: what casting it to text gives.

use std::fmt::Write;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    IntervalMonthDayNanoType, Time64MicrosecondType, TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use datafusion::common::Result;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::pg_type;

use super::style::Style;
use super::{array, datetime_out, interval, number, scalar};
use crate::functions::error::unsupported;

/// A whole column as text.
///
/// # Errors
/// 0A000 for Arrow types that PostgreSQL has no form for.
pub fn column(values: &ArrayRef, pg: PgType, style: &Style) -> Result<ArrayRef> {
    let nulls = values.logical_nulls();
    let mut builder = StringBuilder::with_capacity(values.len(), values.len() * 8);
    let mut text = String::new();
    for at in 0..values.len() {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(at)) {
            builder.append_null();
        } else {
            text.clear();
            push(&mut text, values, at, pg, style)?;
            builder.append_value(&text);
        }
    }
    Ok(std::sync::Arc::new(builder.finish()))
}

/// Appends the text of a value that is not NULL.
///
/// # Errors
/// As [`column`].
pub fn push(out: &mut String, values: &dyn Array, at: usize, pg: PgType, style: &Style) -> Result<()> {
    match values.data_type() {
        DataType::Boolean => out.push_str(if values.as_boolean().value(at) { "true" } else { "false" }),
        DataType::Int8 => push_int(out, values.as_primitive::<Int8Type>().value(at)),
        DataType::Int16 => push_int(out, values.as_primitive::<Int16Type>().value(at)),
        DataType::Int32 => push_int(out, values.as_primitive::<Int32Type>().value(at)),
        DataType::Int64 => push_int(out, values.as_primitive::<Int64Type>().value(at)),
        DataType::UInt8 => push_int(out, values.as_primitive::<UInt8Type>().value(at)),
        DataType::UInt16 => push_int(out, values.as_primitive::<UInt16Type>().value(at)),
        DataType::UInt32 => push_int(out, values.as_primitive::<UInt32Type>().value(at)),
        DataType::UInt64 => push_int(out, values.as_primitive::<UInt64Type>().value(at)),
        DataType::Float32 => out.push_str(&number::float4(values.as_primitive::<Float32Type>().value(at))),
        DataType::Float64 => out.push_str(&number::float8(values.as_primitive::<Float64Type>().value(at))),
        DataType::Decimal128(_, scale) => {
            push_decimal(out, &values.as_primitive::<Decimal128Type>().value(at).to_string(), *scale, pg);
        }
        DataType::Decimal256(_, scale) => {
            push_decimal(out, &values.as_primitive::<Decimal256Type>().value(at).to_string(), *scale, pg);
        }
        DataType::Utf8 => out.push_str(values.as_string::<i32>().value(at)),
        DataType::LargeUtf8 => out.push_str(values.as_string::<i64>().value(at)),
        DataType::Utf8View => out.push_str(values.as_string_view().value(at)),
        DataType::Binary => out.push_str(&scalar::bytea(values.as_binary::<i32>().value(at), style.bytea_hex)),
        DataType::LargeBinary => out.push_str(&scalar::bytea(values.as_binary::<i64>().value(at), style.bytea_hex)),
        DataType::BinaryView => out.push_str(&scalar::bytea(values.as_binary_view().value(at), style.bytea_hex)),
        DataType::FixedSizeBinary(_) => out.push_str(&scalar::bytea(values.as_fixed_size_binary().value(at), style.bytea_hex)),
        DataType::Date32 => out.push_str(&datetime_out::date(values.as_primitive::<Date32Type>().value(at), style)),
        DataType::Time64(TimeUnit::Microsecond) => {
            out.push_str(&datetime_out::time(values.as_primitive::<Time64MicrosecondType>().value(at)));
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            let micros = values.as_primitive::<TimestampMicrosecondType>().value(at);
            out.push_str(&if zone.is_some() { datetime_out::timestamptz(micros, style) } else { datetime_out::timestamp(micros, style) });
        }
        DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano) => {
            let value = values.as_primitive::<IntervalMonthDayNanoType>().value(at);
            out.push_str(&interval::format(value, style.interval_style));
        }
        DataType::List(field) => {
            let elements = values.as_list::<i32>().value(at);
            push_list(out, &elements, pg, pg_type(field), style)?;
        }
        DataType::LargeList(field) => push_list(out, &values.as_list::<i64>().value(at), pg, pg_type(field), style)?,
        DataType::FixedSizeList(field, _) => push_list(out, &values.as_fixed_size_list().value(at), pg, pg_type(field), style)?,
        DataType::Struct(fields) => {
            let columns = values.as_struct().columns();
            out.push('(');
            for (index, (column, field)) in columns.iter().zip(fields).enumerate() {
                if index > 0 {
                    out.push(',');
                }
                if !column.is_null(at) {
                    let mut text = String::new();
                    push(&mut text, column, at, pg_type(field), style)?;
                    push_field(out, &text);
                }
            }
            out.push(')');
        }
        DataType::Null => {}
        // Other units and encodings go through the Arrow type in which they are handled.
        DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(..)
        | DataType::Duration(_)
        | DataType::Interval(_)
        | DataType::Float16
        | DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Dictionary(..) => {
            let canonical = canonical(values.data_type());
            let cast = datafusion::arrow::compute::cast(&values.slice(at, 1), &canonical)?;
            push(out, &cast, 0, pg, style)?;
        }
        other => return Err(unsupported(format_args!("text of the Arrow type {other}"))),
    }
    Ok(())
}

fn canonical(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        DataType::Duration(_) | DataType::Interval(_) => DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano),
        DataType::Float16 => DataType::Float32,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    }
}

fn push_int(out: &mut String, value: impl std::fmt::Display) {
    let _ = write!(out, "{value}");
}

/// A numeric without declared scale shows no more digits than its value needs.
fn push_decimal(out: &mut String, unscaled: &str, scale: i8, pg: PgType) {
    let text = number::decimal(unscaled, scale);
    if pg == PgType::NUMERIC && text.contains('.') {
        out.push_str(text.trim_end_matches('0').trim_end_matches('.'));
    } else {
        out.push_str(&text);
    }
}

fn push_list(out: &mut String, elements: &ArrayRef, pg: PgType, element: PgType, style: &Style) -> Result<()> {
    // int2vector and oidvector have a form of their own.
    if matches!(pg.oid, 22 | 30) {
        for at in 0..elements.len() {
            if at > 0 {
                out.push(' ');
            }
            push(out, elements, at, element, style)?;
        }
        return Ok(());
    }
    out.push('{');
    let mut text = String::new();
    for at in 0..elements.len() {
        if at > 0 {
            out.push(',');
        }
        if elements.is_null(at) {
            out.push_str("NULL");
            continue;
        }
        if matches!(elements.data_type(), DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)) {
            push(out, elements, at, element, style)?;
            continue;
        }
        text.clear();
        push(&mut text, elements, at, element, style)?;
        if elements.data_type() == &DataType::Boolean {
            text.truncate(1);
        }
        array::push_element(out, &text);
    }
    out.push('}');
    Ok(())
}

fn push_field(out: &mut String, text: &str) {
    let plain = !text.is_empty() && !text.contains(|c: char| matches!(c, '(' | ')' | ',' | '"' | '\\') || c.is_ascii_whitespace());
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('"');
}
