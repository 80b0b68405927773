//! Text into a column of any type: what casting text to it gives.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::{Result, exec_err};
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::pg_type;

use super::array::Element;
use super::number::{Decimal, numeric_overflow};
use super::style::Style;
use super::{array, datetime_in, interval, json, number, scalar};
use crate::functions::cast::rounded;
use crate::functions::error;

/// Reads every text as the field's type; NULL stays NULL.
///
/// # Errors
/// 22P02 and its kin, as the type's input function raises them.
pub fn column(texts: &StringArray, field: &Field, style: &Style) -> Result<ArrayRef> {
    let pg = pg_type(field);
    macro_rules! each {
        ($array:ty, $read:expr) => {
            Arc::new(texts.iter().map(|text| text.map($read).transpose()).collect::<Result<$array>>()?) as ArrayRef
        };
    }
    let values = match field.data_type() {
        DataType::Boolean => each!(BooleanArray, scalar::parse_bool),
        DataType::Int16 => each!(Int16Array, |text| int::<i16>(text, "smallint", i16::MIN.into(), i16::MAX.into())),
        DataType::Int32 => each!(Int32Array, |text| int::<i32>(text, "integer", i32::MIN.into(), i32::MAX.into())),
        DataType::Int64 if pg == PgType::INT8 => each!(Int64Array, |text| number::parse_int(text, "bigint", i64::MIN, i64::MAX)),
        DataType::Int64 => each!(Int64Array, |text| number::parse_int(text, "oid", -2_147_483_648, 4_294_967_295)),
        DataType::Float32 => each!(Float32Array, number::parse_float4),
        DataType::Float64 => each!(Float64Array, number::parse_float8),
        DataType::Decimal128(precision, scale) => {
            let read = |text: &str| -> Result<i128> {
                let value = decimal(text, *precision, *scale)?;
                value.to_i128().ok_or_else(numeric_overflow)
            };
            let values = texts.iter().map(|text| text.map(read).transpose()).collect::<Result<Decimal128Array>>()?;
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Decimal256(precision, scale) => {
            let read = |text: &str| decimal(text, *precision, *scale);
            let values = texts.iter().map(|text| text.map(read).transpose()).collect::<Result<Decimal256Array>>()?;
            Arc::new(values.with_precision_and_scale(*precision, *scale)?)
        }
        DataType::Utf8 => match pg.oid {
            2950 => each!(StringArray, scalar::parse_uuid),
            114 => each!(StringArray, |text: &str| json::validate(text).map(|()| text.to_owned())),
            3802 => each!(StringArray, json::normalize),
            18 => each!(StringArray, |text: &str| Ok(text.chars().next().map(String::from).unwrap_or_default())),
            19 => each!(StringArray, |text: &str| Ok(truncate_bytes(text, 63).to_owned())),
            1042 | 1043 => {
                each!(StringArray, |text: &str| Ok(limited(text, pg)))
            }
            _ => Arc::new(texts.clone()),
        },
        DataType::Binary => Arc::new(
            texts
                .iter()
                .map(|text| text.map(scalar::parse_bytea).transpose())
                .collect::<Result<Vec<_>>>()?
                .iter()
                .map(Option::as_deref)
                .collect::<BinaryArray>(),
        ),
        DataType::Date32 => each!(Date32Array, |text| datetime_in::date(text, style)),
        DataType::Time64(_) => each!(Time64MicrosecondArray, |text| datetime_in::time(text, style)),
        DataType::Timestamp(_, None) => each!(TimestampMicrosecondArray, |text| datetime_in::timestamp(text, style)),
        DataType::Timestamp(_, zone) => {
            let values = texts
                .iter()
                .map(|text| text.map(|text| datetime_in::timestamptz(text, style)).transpose())
                .collect::<Result<TimestampMicrosecondArray>>()?;
            Arc::new(values.with_timezone_opt(zone.clone()))
        }
        DataType::Interval(_) => each!(IntervalMonthDayNanoArray, interval::parse),
        DataType::List(element) => list(texts, field, element, style)?,
        other => return exec_err!("text cannot become {other}"),
    };
    Ok(rounded(&values, pg))
}

/// The value of a `varchar(n)` or `char(n)` as an explicit cast makes it: cut to length; a `char(n)` is kept without its
/// padding, which has no meaning until it is shown.
#[must_use]
pub fn limited(text: &str, pg: PgType) -> String {
    let length = pg.character_length().and_then(|length| usize::try_from(length).ok());
    let cut = match length.and_then(|length| text.char_indices().nth(length)) {
        Some((at, _)) => text.get(..at).unwrap_or(text),
        None => text,
    };
    if pg.oid == PgType::BPCHAR.oid { cut.trim_end_matches(' ').to_owned() } else { cut.to_owned() }
}

/// Cut at a character boundary.
#[must_use]
pub fn truncate_bytes(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

fn int<T: TryFrom<i64> + Default>(text: &str, type_name: &str, least: i64, greatest: i64) -> Result<T> {
    Ok(T::try_from(number::parse_int(text, type_name, least, greatest)?).unwrap_or_default())
}

fn decimal(text: &str, precision: u8, scale: i8) -> Result<datafusion::arrow::datatypes::i256> {
    let parsed = Decimal::parse(text)?;
    let value = parsed.at_scale(usize::try_from(scale.max(0)).unwrap_or(0)).ok_or_else(numeric_overflow)?;
    let digits = value.to_string().trim_start_matches('-').len();
    if digits > usize::from(precision) && value != datafusion::arrow::datatypes::i256::ZERO {
        return Err(numeric_overflow());
    }
    Ok(value)
}

fn list(texts: &StringArray, field: &Field, element: &Arc<Field>, style: &Style) -> Result<ArrayRef> {
    let vector = matches!(pg_type(field).oid, 22 | 30);
    let mut lengths = Vec::with_capacity(texts.len());
    let mut flat: Vec<Option<String>> = Vec::new();
    for text in texts.iter() {
        let elements = match text {
            None => Vec::new(),
            Some(text) if vector => text.split_whitespace().map(|part| Element::Value(part.to_owned())).collect(),
            Some(text) => array::parse(text)?,
        };
        lengths.push(elements.len());
        for item in elements {
            flat.push(match item {
                Element::Null => None,
                Element::Value(text) => Some(text),
                Element::Array(items) if matches!(element.data_type(), DataType::List(_)) => Some(literal(&items)),
                Element::Array(_) => return Err(error::unsupported("arrays of more than one dimension in text")),
            });
        }
    }
    let elements: StringArray = flat.into_iter().collect();
    let values = column(&elements, element, style)?;
    let nulls = texts.nulls().cloned().or_else(|| Some(NullBuffer::new_valid(texts.len())));
    Ok(Arc::new(ListArray::try_new(Arc::clone(element), OffsetBuffer::from_lengths(lengths), values, nulls)?))
}

fn literal(items: &[Element]) -> String {
    let mut out = "{".to_owned();
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        match item {
            Element::Null => out.push_str("NULL"),
            Element::Value(text) => array::push_element(&mut out, text),
            Element::Array(items) => out.push_str(&literal(items)),
        }
    }
    out.push('}');
    out
}
