//! Type names of DDL to PostgreSQL types that a table can store.

use lakegate_catalog::model::{Oid, PgType};
use lakegate_engine_api::CatalogLookup;
use sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};

use super::grammar::name_parts;
use crate::sqlstate::{SqlError, SqlState};

/// Most digits of a decimal in Delta Lake.
const PRECISION_MAX: u64 = 38;

/// The type of a column.
///
/// # Errors
/// 0A000 for types that Delta Lake cannot store, 42704 for unknown ones, 22023 for a bad modifier.
pub fn column_type(data_type: &DataType) -> Result<PgType, SqlError> {
    Ok(match data_type {
        DataType::Boolean | DataType::Bool => PgType::BOOL,
        DataType::SmallInt(_) | DataType::Int2(_) => PgType::INT2,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => PgType::INT4,
        DataType::BigInt(_) | DataType::Int8(_) | DataType::Int64 => PgType::INT8,
        DataType::Real | DataType::Float4 | DataType::Float32 => PgType::FLOAT4,
        DataType::Float(info) => float(info)?,
        DataType::Double(_) | DataType::DoublePrecision | DataType::Float8 | DataType::Float64 => PgType::FLOAT8,
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text | DataType::String(_) => PgType::TEXT,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) | DataType::Nvarchar(length) => {
            characters(length.as_ref())?.map_or(PgType::VARCHAR, PgType::varchar)
        }
        DataType::Char(length) | DataType::Character(length) => PgType::bpchar(characters(length.as_ref())?.unwrap_or(1)),
        DataType::Bytea | DataType::Binary(_) | DataType::Blob(_) | DataType::Bytes(_) => PgType::BYTEA,
        DataType::Date => PgType::DATE,
        DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            of_microseconds(PgType::TIMESTAMP, *precision)?
        }
        DataType::Timestamp(precision, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => of_microseconds(PgType::TIMESTAMPTZ, *precision)?,
        DataType::Uuid => PgType::UUID,
        DataType::JSON => PgType::JSON,
        DataType::JSONB => PgType::JSONB,
        DataType::Array(element) => array(element)?,
        DataType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => of_microseconds(PgType::TIME, *precision)?,
        DataType::Time(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => return Err(unstorable("timetz")),
        DataType::Interval { fields: None, precision } => of_microseconds(PgType::INTERVAL, *precision)?,
        DataType::Interval { fields: Some(_), .. } => return Err(SqlError::unsupported("a column of an interval type with fields")),
        DataType::Custom(name, modifiers) => custom(&name_parts(name)?, modifiers)?,
        other => {
            return Err(SqlError::new(SqlState::UndefinedObject, format!("type \"{}\" does not exist", other.to_string().to_lowercase())));
        }
    })
}

/// The type of a parameter that PREPARE declares; its modifier says nothing there.
///
/// # Errors
/// 42704.
pub fn parameter_type(data_type: &DataType, lookup: &dyn CatalogLookup) -> Result<Oid, SqlError> {
    let unmodified = match data_type {
        DataType::Interval { .. } => return Ok(PgType::INTERVAL.oid),
        DataType::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => return Ok(PgType::TIME.oid),
        DataType::Numeric(_) | DataType::Decimal(_) | DataType::Dec(_) => return Ok(PgType::NUMERIC.oid),
        DataType::Array(
            ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Parenthesis(element),
        ) => {
            let element = parameter_type(element, lookup)?;
            return PgType::array_of(element).ok_or_else(|| SqlError::unsupported("an array of this type"));
        }
        DataType::Custom(name, _) => {
            let parts = name_parts(name)?;
            let found = match parts.as_slice() {
                [name] => lookup.type_oid(None, name),
                [schema, name] => lookup.type_oid(Some(schema), name),
                _ => None,
            };
            return found.ok_or_else(|| SqlError::new(SqlState::UndefinedObject, format!("type \"{}\" does not exist", parts.join("."))));
        }
        other => other,
    };
    Ok(column_type(unmodified)?.oid)
}

fn unstorable(name: &str) -> SqlError {
    SqlError::new(SqlState::FeatureNotSupported, format!("a column of type {name} is not supported")).detail("Delta Lake has no such type.")
}

fn custom(parts: &[String], modifiers: &[String]) -> Result<PgType, SqlError> {
    let name = parts.last().map(String::as_str).unwrap_or_default();
    Ok(match name {
        "bpchar" => modifiers.first().and_then(|length| length.parse().ok()).map_or(PgType::BPCHAR, PgType::bpchar),
        "string" => PgType::TEXT,
        "long" => PgType::INT8,
        "double" => PgType::FLOAT8,
        "timestamp_ntz" => PgType::TIMESTAMP,
        "timestamptz" => PgType::TIMESTAMPTZ,
        "name" => PgType::TEXT,
        "serial" | "serial4" | "bigserial" | "serial8" | "smallserial" | "serial2" => {
            return Err(
                SqlError::unsupported(format!("the type {name}")).hint("There are no sequences; use a uuid with gen_random_uuid().")
            );
        }
        "money" | "inet" | "cidr" | "macaddr" | "xml" | "tsvector" | "tsquery" | "point" | "bit" | "varbit" | "timetz" => {
            return Err(unstorable(name));
        }
        _ => return Err(SqlError::new(SqlState::UndefinedObject, format!("type \"{}\" does not exist", parts.join(".")))),
    })
}

/// A type of time, which has microseconds here; what is written is rounded to fewer. More are six, as in PostgreSQL.
fn of_microseconds(data_type: PgType, precision: Option<u64>) -> Result<PgType, SqlError> {
    match precision {
        None => Ok(data_type),
        Some(digits) if data_type != PgType::INTERVAL => {
            Ok(PgType { oid: data_type.oid, typmod: i32::try_from(digits.min(6)).unwrap_or(6) })
        }
        Some(6..) => Ok(data_type),
        Some(fewer) => Err(SqlError::unsupported(format!("a column of times with {fewer} digits of seconds"))
            .hint("Leave the precision out, and round with date_trunc where values are written.")),
    }
}

fn float(info: &ExactNumberInfo) -> Result<PgType, SqlError> {
    match info {
        ExactNumberInfo::Precision(bits) | ExactNumberInfo::PrecisionAndScale(bits, _) => match bits {
            1..=24 => Ok(PgType::FLOAT4),
            25..=53 => Ok(PgType::FLOAT8),
            _ => Err(SqlError::new(SqlState::InvalidParameterValue, "precision for type float must be between 1 and 53 bits")),
        },
        ExactNumberInfo::None => Ok(PgType::FLOAT8),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<PgType, SqlError> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(PgType::NUMERIC),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    if precision == 0 || precision > 1_000 {
        return Err(SqlError::new(SqlState::InvalidParameterValue, format!("NUMERIC precision {precision} must be between 1 and 1000")));
    }
    if precision > PRECISION_MAX {
        return Err(SqlError::unsupported(format!("a column of type numeric({precision},{scale})"))
            .detail(format!("Delta Lake stores decimals of at most {PRECISION_MAX} digits.")));
    }
    let scale_fits = u64::try_from(scale).ok().filter(|scale| *scale <= precision);
    match (u8::try_from(precision), scale_fits.and_then(|scale| i8::try_from(scale).ok())) {
        (Ok(precision), Some(scale)) => Ok(PgType::numeric(precision, scale)),
        _ => Err(SqlError::unsupported(format!("a column of type numeric({precision},{scale})"))
            .detail("Delta Lake stores decimals with a scale from 0 to their precision.")),
    }
}

fn characters(length: Option<&CharacterLength>) -> Result<Option<i32>, SqlError> {
    match length {
        None => Ok(None),
        Some(CharacterLength::Max) => Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => match i32::try_from(*length) {
            Ok(0) => Err(SqlError::new(SqlState::InvalidParameterValue, "length for type varchar must be at least 1")),
            Ok(length) if length <= 10_485_760 => Ok(Some(length)),
            _ => Err(SqlError::new(SqlState::InvalidParameterValue, "length for type varchar cannot exceed 10485760")),
        },
    }
}

fn array(element: &ArrayElemTypeDef) -> Result<PgType, SqlError> {
    let element = match element {
        ArrayElemTypeDef::AngleBracket(element) | ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::Parenthesis(element) => {
            element
        }
        ArrayElemTypeDef::None => return Err(SqlError::new(SqlState::UndefinedObject, "type \"array\" needs an element type")),
    };
    if matches!(**element, DataType::Array(_)) {
        return Err(SqlError::unsupported("a column of a multidimensional array type"));
    }
    let element = column_type(element)?;
    if let Some(digits) = element.fractional_digits() {
        return Err(SqlError::unsupported(format!("an array of times with {digits} digits of seconds")));
    }
    PgType::array_of(element.oid)
        .map(|oid| PgType { oid, typmod: element.typmod })
        .ok_or_else(|| SqlError::unsupported("an array of this type"))
}
