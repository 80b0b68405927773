//! Text of any type to a value, by the PostgreSQL type.

use std::borrow::Cow;

use lakegate_catalog::model::{Oid, PgType};
use lakegate_engine_api::CatalogLookup;

use super::InputManner;
use super::array::{Item, parse_array};
use super::datetime::{DateTimeManner, parse_date, parse_time, parse_timestamp};
use super::interval::parse_interval;
use super::json::{check_json, normalise_jsonb};
use super::numeric::Numeric;
use super::scalar::*;
use super::uuid::parse_uuid;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::calendar::Zone;
use crate::wire::pg_types::{NAME_BYTES_MAX, is_oid, type_name};
use crate::wire::rows::interval::Interval;

/// A value between its wire format and its column.
pub enum Value<'a> {
    Bool(bool),
    Int(i64),
    Float4(f32),
    Float8(f64),
    Numeric(Numeric),
    Text(Cow<'a, str>),
    Bytes(Cow<'a, [u8]>),
    Uuid([u8; 16]),
    /// Days from 1970.
    Date(i32),
    /// Microseconds of the day.
    Time(i64),
    /// Microseconds from 1970.
    Timestamp(i64),
    Interval(Interval),
    /// Elements; an inner array is a further dimension.
    Array(Vec<Option<Value<'a>>>),
}

pub fn parse<'a>(pg: PgType, text: &'a str, manner: &InputManner) -> Result<Value<'a>, SqlError> {
    let moment = || DateTimeManner { order: manner.style.date_order, zone: Zone::of(&manner.style), now: manner.now };
    Ok(match pg.oid {
        16 => Value::Bool(parse_bool(text)?),
        17 => Value::Bytes(Cow::Owned(parse_bytea(text)?)),
        // One byte: PostgreSQL would keep the first of a longer character, which is no text.
        18 if text.starts_with(|first: char| !first.is_ascii()) => return Err(SqlError::unsupported("a \"char\" beyond ASCII")),
        18 => Value::Text(Cow::Borrowed(text.get(..text.len().min(1)).unwrap_or_default())),
        19 => Value::Text(Cow::Borrowed(truncated(text, NAME_BYTES_MAX))),
        20 => Value::Int(parse_integer(text, 20, i64::MIN, i64::MAX)?),
        21 => Value::Int(parse_integer(text, 21, i64::from(i16::MIN), i64::from(i16::MAX))?),
        23 => Value::Int(parse_integer(text, 23, i64::from(i32::MIN), i64::from(i32::MAX))?),
        22 | 30 => vector(pg.oid, text)?,
        114 => {
            check_json(text)?;
            Value::Text(Cow::Borrowed(text))
        }
        700 => Value::Float4(parse_float4(text)?),
        701 => Value::Float8(parse_float8(text)?),
        1042 | 1043 => Value::Text(limited(pg, text)?),
        1082 => Value::Date(parse_date(text, &moment())?),
        1083 => Value::Time(parse_time(text, &moment())?),
        1114 => Value::Timestamp(parse_timestamp(text, false, &moment())?),
        1184 => Value::Timestamp(parse_timestamp(text, true, &moment())?),
        1186 => Value::Interval(parse_interval(text, manner.style.interval_style)?),
        1700 => Value::Numeric(Numeric::parse(text)?),
        2249 => return Err(SqlError::new(SqlState::FeatureNotSupported, "input of anonymous composite types is not implemented")),
        2950 => Value::Uuid(parse_uuid(text)?),
        3802 => Value::Text(Cow::Owned(normalise_jsonb(text)?)),
        26 | 28 | 29 => Value::Int(parse_oid(text)?),
        oid if is_oid(oid) => Value::Int(i64::from(alias(oid, text, manner.names.as_deref())?)),
        oid => match PgType::element_of(oid) {
            Some(element) => elements(PgType { oid: element, typmod: pg.typmod }, parse_array(text)?, manner)?,
            None => Value::Text(Cow::Borrowed(text)),
        },
    })
}

/// `varchar(n)` and `char(n)`: longer texts are refused, unless only blanks are too many. Blanks at the end of a `char(n)` mean
/// nothing and are not kept.
pub fn limited(pg: PgType, text: &str) -> Result<Cow<'_, str>, SqlError> {
    let Some(limit) = pg.character_length().and_then(|limit| usize::try_from(limit).ok()) else { return Ok(Cow::Borrowed(text)) };
    let text = match text.char_indices().nth(limit) {
        None => text,
        Some((end, _)) => {
            let (kept, rest) = text.split_at(end);
            if rest.bytes().any(|byte| byte != b' ') {
                let message = format!("value too long for type {}({limit})", type_name(pg.oid));
                return Err(SqlError::new(SqlState::StringDataRightTruncation, message));
            }
            kept
        }
    };
    Ok(Cow::Borrowed(if pg.oid == 1042 { text.trim_end_matches(' ') } else { text }))
}

fn elements(element: PgType, items: Vec<Item>, manner: &InputManner) -> Result<Value<'static>, SqlError> {
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        values.push(match item {
            Item::Null => None,
            Item::Text(text) => Some(owned(parse(element, &text, manner)?)),
            Item::Array(inner) => Some(elements(element, inner, manner)?),
        });
    }
    Ok(Value::Array(values))
}

fn owned(value: Value<'_>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        Value::Bytes(bytes) => Value::Bytes(Cow::Owned(bytes.into_owned())),
        Value::Array(values) => Value::Array(values.into_iter().map(|value| value.map(owned)).collect()),
        Value::Bool(value) => Value::Bool(value),
        Value::Int(value) => Value::Int(value),
        Value::Float4(value) => Value::Float4(value),
        Value::Float8(value) => Value::Float8(value),
        Value::Numeric(value) => Value::Numeric(value),
        Value::Uuid(value) => Value::Uuid(value),
        Value::Date(value) => Value::Date(value),
        Value::Time(value) => Value::Time(value),
        Value::Timestamp(value) => Value::Timestamp(value),
        Value::Interval(value) => Value::Interval(value),
    }
}

/// `int2vector`, `oidvector`: numbers parted by blanks.
fn vector(oid: Oid, text: &str) -> Result<Value<'static>, SqlError> {
    let number = |part: &str| {
        let value = if oid == 22 { parse_integer(part, 21, i64::from(i16::MIN), i64::from(i16::MAX)) } else { parse_oid(part) };
        value.map(|value| Some(Value::Int(value)))
    };
    text.split_ascii_whitespace().map(number).collect::<Result<_, _>>().map(Value::Array)
}

/// A number, `-` for zero, or a name where names can be looked up.
fn alias(oid: Oid, text: &str, names: Option<&dyn CatalogLookup>) -> Result<Oid, SqlError> {
    let word = trim(text);
    if word == "-" {
        return Ok(0);
    }
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return parse_oid(word).map(|value| Oid::try_from(value).unwrap_or(0));
    }
    if oid == 2206
        && let Some(found) = (16..4_200).find(|candidate| type_name(*candidate).eq_ignore_ascii_case(word))
    {
        return Ok(found);
    }
    let unknown = |what: &str, state| SqlError::new(state, format!("{what} \"{word}\" does not exist"));
    let Some(names) = names else { return Err(SqlError::unsupported(format_args!("{} by name", type_name(oid)))) };
    let parts = identifier(word).ok_or_else(|| SqlError::new(SqlState::InvalidTextRepresentation, "invalid name syntax"))?;
    match (oid, &parts[..]) {
        (2205, [name]) => names.relation_oid(None, name).ok_or_else(|| unknown("relation", SqlState::UndefinedTable)),
        (2205, [schema, name]) => names.relation_oid(Some(schema), name).ok_or_else(|| unknown("relation", SqlState::UndefinedTable)),
        (4089, [name]) => names.schema_oid(name).ok_or_else(|| unknown("schema", SqlState::InvalidSchemaName)),
        (4096, [name]) => names.role_oid(name).ok_or_else(|| unknown("role", SqlState::UndefinedObject)),
        (2206, _) => Err(unknown("type", SqlState::UndefinedObject)),
        _ => Err(SqlError::unsupported(format_args!("{} by name", type_name(oid)))),
    }
}

/// `a."B".c` as its parts, folded as identifiers are.
fn identifier(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text;
    loop {
        // Blanks may stand around the dots.
        let (part, tail) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (mut part, mut tail) = (String::new(), quoted);
                loop {
                    let (before, after) = tail.split_once('"')?;
                    part.push_str(before);
                    match after.strip_prefix('"') {
                        Some(after) => {
                            part.push('"');
                            tail = after;
                        }
                        None => break (part, after.trim_start()),
                    }
                }
            }
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                let (part, tail) = rest.split_at(end);
                (part.trim().to_lowercase(), tail)
            }
        };
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match tail.strip_prefix('.') {
            Some(tail) => rest = tail,
            None => return tail.is_empty().then_some(parts),
        }
    }
}

fn truncated(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}
