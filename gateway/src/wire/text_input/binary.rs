//! Binary format of any type to a value. Mirrors the receive functions (`int4recv`, `array_recv` …).

use std::borrow::Cow;

use lakegate_catalog::model::{Oid, PgType};

use super::array::{DIMENSIONS_MAX, too_many_dimensions};
use super::json::{check_json, normalise_jsonb};
use super::numeric::Numeric;
use super::value::{Value, limited};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::body::{Body, utf8};
use crate::wire::calendar::{MICROS_PER_DAY, PG_EPOCH_DAYS, PG_EPOCH_MICROS, TIMESTAMP_MIN};
use crate::wire::pg_types::{NAME_BYTES_MAX, is_oid, is_text, type_name};
use crate::wire::rows::interval::Interval;

/// As `MaxArraySize` for pointers.
const ARRAY_ITEMS_MAX: i64 = 134_217_727;

/// Whether a value used all of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consumed {
    All,
    NotAll,
}

pub fn read(pg: PgType, bytes: &[u8]) -> Result<(Value<'_>, Consumed), SqlError> {
    let mut body = Body::new(bytes);
    let value = match pg.oid {
        // These take whatever is left.
        17 => return Ok((Value::Bytes(Cow::Borrowed(bytes)), Consumed::All)),
        1042 | 1043 => Value::Text(limited(pg, utf8(body.take(bytes.len())?)?)?),
        19 => {
            let text = utf8(body.take(bytes.len())?)?;
            if text.len() > NAME_BYTES_MAX {
                return Err(SqlError::new(SqlState::NameTooLong, "identifier too long")
                    .detail(format!("Identifier must be less than {} characters.", NAME_BYTES_MAX + 1)));
            }
            Value::Text(Cow::Borrowed(text))
        }
        114 => {
            let text = utf8(body.take(bytes.len())?)?;
            check_json(text)?;
            Value::Text(Cow::Borrowed(text))
        }
        3802 => {
            let version = body.u8()?;
            if version != 1 {
                return Err(wrong(format!("unsupported jsonb version number {version}")));
            }
            let text = utf8(body.take(bytes.len() - 1)?)?;
            Value::Text(Cow::Owned(normalise_jsonb(text)?))
        }
        oid if is_text(oid) => Value::Text(Cow::Borrowed(utf8(body.take(bytes.len())?)?)),
        16 => Value::Bool(body.u8()? != 0),
        18 => match body.u8()? {
            0 => Value::Text(Cow::Borrowed("")),
            byte => Value::Text(Cow::Owned(utf8(&[byte])?.to_owned())),
        },
        20 => Value::Int(body.i64()?),
        21 => Value::Int(i64::from(body.i16()?)),
        23 => Value::Int(i64::from(body.i32()?)),
        oid if is_oid(oid) => Value::Int(i64::from(body.u32()?)),
        700 => Value::Float4(f32::from_bits(body.u32()?)),
        701 => Value::Float8(f64::from_bits(u64::from_be_bytes(body.i64()?.to_be_bytes()))),
        1082 => Value::Date(date(body.i32()?)?),
        1083 => match body.i64()? {
            micros @ 0..=MICROS_PER_DAY => Value::Time(micros),
            _ => return Err(SqlError::new(SqlState::DatetimeFieldOverflow, "time out of range")),
        },
        1114 | 1184 => Value::Timestamp(timestamp(body.i64()?)?),
        1186 => {
            let (micros, days, months) = (body.i64()?, body.i32()?, body.i32()?);
            Value::Interval(Interval { months, days, micros })
        }
        1700 => Value::Numeric(Numeric::read_binary(&mut body)?),
        2249 => return Err(SqlError::new(SqlState::FeatureNotSupported, "input of anonymous composite types is not implemented")),
        2950 => {
            let mut uuid = [0; 16];
            uuid.copy_from_slice(body.take(16)?);
            Value::Uuid(uuid)
        }
        22 => array(&mut body, PgType::INT2)?,
        30 => array(&mut body, PgType::OID)?,
        oid => match PgType::element_of(oid) {
            Some(element) => array(&mut body, PgType { oid: element, typmod: pg.typmod })?,
            None => return Err(SqlError::unsupported(format_args!("binary input of type {}", type_name(oid)))),
        },
    };
    let consumed = if body.is_empty() { Consumed::All } else { Consumed::NotAll };
    Ok((value, consumed))
}

fn date(days: i32) -> Result<i32, SqlError> {
    // 4714-11-24 BC to 5874897-12-31, from 2000.
    match days {
        i32::MIN | i32::MAX => Ok(days),
        -2_451_545..=2_145_031_948 => Ok(days + PG_EPOCH_DAYS),
        _ => Err(SqlError::new(SqlState::DatetimeFieldOverflow, "date out of range")),
    }
}

fn timestamp(micros: i64) -> Result<i64, SqlError> {
    if matches!(micros, i64::MIN | i64::MAX) {
        return Ok(micros);
    }
    match micros.checked_add(PG_EPOCH_MICROS) {
        Some(micros) if (TIMESTAMP_MIN..i64::MAX).contains(&micros) => Ok(micros),
        _ => Err(SqlError::new(SqlState::DatetimeFieldOverflow, "timestamp out of range")),
    }
}

fn array<'a>(body: &mut Body<'a>, element: PgType) -> Result<Value<'a>, SqlError> {
    let dimensions = body.i32()?;
    let count = usize::try_from(dimensions).map_err(|_| wrong(format!("invalid number of dimensions: {dimensions}")))?;
    if count > DIMENSIONS_MAX {
        return Err(too_many_dimensions(count));
    }
    let flags = body.i32()?;
    if flags != 0 && flags != 1 {
        return Err(wrong("invalid array flags".to_owned()));
    }
    let oid: Oid = body.u32()?;
    if oid != element.oid {
        let message = format!(
            "binary data has array element type {oid} ({}) instead of expected {} ({})",
            type_name(oid),
            element.oid,
            type_name(element.oid)
        );
        return Err(SqlError::new(SqlState::DatatypeMismatch, message));
    }
    let mut lengths = Vec::with_capacity(count);
    let mut items = 1i64;
    for _ in 0..count {
        let (length, lower) = (body.i32()?, body.i32()?);
        items = i64::from(length).checked_mul(items).unwrap_or(i64::MAX);
        if length < 0 || items > ARRAY_ITEMS_MAX {
            let message = format!("array size exceeds the maximum allowed ({ARRAY_ITEMS_MAX})");
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, message));
        }
        if length > 0 && lower.checked_add(length).is_none() {
            return Err(SqlError::new(SqlState::ProgramLimitExceeded, format!("array lower bound is too large: {lower}")));
        }
        lengths.push(usize::try_from(length).unwrap_or(0));
    }
    if lengths.is_empty() || lengths.contains(&0) {
        return Ok(Value::Array(Vec::new()));
    }
    let mut number = 0;
    items_of(body, element, &lengths, &mut number)
}

fn items_of<'a>(body: &mut Body<'a>, element: PgType, lengths: &[usize], number: &mut usize) -> Result<Value<'a>, SqlError> {
    let Some((length, inner)) = lengths.split_first() else { return Ok(Value::Array(Vec::new())) };
    // No capacity in advance: the lengths are the peer's word.
    let mut values = Vec::new();
    for _ in 0..*length {
        if !inner.is_empty() {
            values.push(Some(items_of(body, element, inner, number)?));
            continue;
        }
        *number += 1;
        let size = body.i32()?;
        if size == -1 {
            values.push(None);
            continue;
        }
        let too_short = || wrong("insufficient data left in message".to_owned());
        let bytes = usize::try_from(size).ok().and_then(|size| body.take(size).ok()).ok_or_else(too_short)?;
        let (value, consumed) = read(element, bytes)?;
        if consumed == Consumed::NotAll {
            return Err(wrong(format!("improper binary format in array element {number}")));
        }
        values.push(Some(value));
    }
    Ok(Value::Array(values))
}

fn wrong(message: String) -> SqlError {
    SqlError::new(SqlState::InvalidBinaryRepresentation, message)
}
