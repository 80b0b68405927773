//! PostgreSQL type names to fields: the Arrow type in which values are computed, tagged with the PostgreSQL type.

use std::sync::Arc;

use datafusion::arrow::datatypes::FieldRef;
use datafusion::common::Result;
use datafusion::logical_expr::planner::TypePlanner;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{DataError, PG_TYPE_KEY, SqlMistake, arrow_field};
use sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, ObjectName, TimezoneInfo};

use crate::functions::error;

/// Plans type names of casts and typed literals.
#[derive(Debug)]
pub struct PgTypes;

/// Name of fields made for casts: with it the field's own tag counts, also where it has none.
pub const CAST_FIELD: &str = "#cast";

impl TypePlanner for PgTypes {
    fn plan_type_field(&self, sql_type: &DataType) -> Result<Option<FieldRef>> {
        cast_field(resolve(sql_type)?).map(Some)
    }
}

/// The field that a cast to a type makes.
///
/// # Errors
/// 0A000 for types without an Arrow counterpart.
pub fn cast_field(pg: PgType) -> Result<FieldRef> {
    let Some(field) = arrow_field(CAST_FIELD, pg, true) else {
        return Err(error::unsupported(format_args!("the type {}", crate::functions::types::type_name(pg))));
    };
    let numeric = pg.oid == PgType::NUMERIC.oid || PgType::element_of(pg.oid) == Some(PgType::NUMERIC.oid);
    if numeric && pg.typmod >= 0 {
        // Told apart from a decimal that was computed.
        return Ok(Arc::new(field.with_metadata([(PG_TYPE_KEY.to_owned(), format!("{}:{}", pg.oid, pg.typmod))].into())));
    }
    Ok(Arc::new(field))
}

/// The type that a name means.
///
/// # Errors
/// 42704 for no type's name, 0A000 for PostgreSQL's types that are not supported, 22023 for a bad modifier.
pub fn resolve(sql_type: &DataType) -> Result<PgType> {
    Ok(match sql_type {
        DataType::Boolean | DataType::Bool => PgType::BOOL,
        DataType::SmallInt(None) | DataType::Int2(None) => PgType::INT2,
        DataType::Int(None) | DataType::Integer(None) | DataType::Int4(None) => PgType::INT4,
        DataType::BigInt(None) | DataType::Int8(None) => PgType::INT8,
        DataType::Real | DataType::Float4 => PgType::FLOAT4,
        DataType::Float8 | DataType::DoublePrecision | DataType::Float(ExactNumberInfo::None) => PgType::FLOAT8,
        DataType::Float(ExactNumberInfo::Precision(bits)) => match bits {
            1..=24 => PgType::FLOAT4,
            25..=53 => PgType::FLOAT8,
            _ => return Err(bad_modifier("precision for type float must be between 1 and 53 bits")),
        },
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(*info)?,
        DataType::Text => PgType::TEXT,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => match characters(*length)? {
            Some(length) => PgType::varchar(length),
            None => PgType::VARCHAR,
        },
        DataType::Char(length) | DataType::Character(length) => PgType::bpchar(characters(*length)?.unwrap_or(1)),
        DataType::Bytea => PgType::BYTEA,
        DataType::Uuid => PgType::UUID,
        DataType::JSON => PgType::JSON,
        DataType::JSONB => PgType::JSONB,
        DataType::Date => PgType::DATE,
        DataType::Time(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => with_precision(PgType::TIME, *precision)?,
        DataType::Timestamp(precision, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            with_precision(PgType::TIMESTAMP, *precision)?
        }
        DataType::Timestamp(precision, TimezoneInfo::Tz | TimezoneInfo::WithTimeZone) => with_precision(PgType::TIMESTAMPTZ, *precision)?,
        DataType::Interval { fields: None, precision: None } => PgType::INTERVAL,
        DataType::Regclass => PgType::REGCLASS,
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element)) => {
            let element = resolve(element)?;
            // Arrays of arrays are arrays: PostgreSQL does not tell dimensions apart.
            let oid = if PgType::element_of(element.oid).is_some() { Some(element.oid) } else { PgType::array_of(element.oid) };
            PgType { oid: oid.ok_or_else(|| error::unsupported(format_args!("the type {sql_type}")))?, typmod: element.typmod }
        }
        DataType::Custom(name, modifiers) => named(name, modifiers)?,
        other => return Err(error::unsupported(format_args!("the type {other}"))),
    })
}

fn named(name: &ObjectName, modifiers: &[String]) -> Result<PgType> {
    let parts: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    let text = |ident: &sqlparser::ast::Ident| {
        if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_ascii_lowercase() }
    };
    let undefined = || error::mistake(SqlMistake::UndefinedObject, format_args!("type \"{name}\" does not exist"));
    let (schema, last) = match parts.as_slice() {
        [last] => (None, last),
        [schema, last] => (Some(text(schema)), last),
        _ => return Err(undefined()),
    };
    let (name, quoted) = (text(last), last.quote_style.is_some());
    if schema.as_deref() == Some("information_schema") {
        return domain(&name).ok_or_else(undefined);
    }
    if !matches!(schema.as_deref(), None | Some("pg_catalog")) {
        return Err(undefined());
    }
    let modifier = |at: usize| modifiers.get(at).and_then(|text| text.parse::<i32>().ok());
    Ok(match name.as_str() {
        // Only in quotes is `char` the one-byte type; qualified too, as no grammar rule applies then.
        "char" if quoted || schema.is_some() => PgType::CHAR,
        "bpchar" => modifier(0).map_or(PgType::BPCHAR, PgType::bpchar),
        "varchar" => modifier(0).map_or(PgType::VARCHAR, PgType::varchar),
        "numeric" => match (modifier(0), modifier(1)) {
            (Some(precision), scale) => numeric_of(i64::from(precision), i64::from(scale.unwrap_or(0)))?,
            (None, _) => PgType::NUMERIC,
        },
        "timestamp" => with_precision(PgType::TIMESTAMP, modifier(0).and_then(|digits| u64::try_from(digits).ok()))?,
        "timestamptz" => with_precision(PgType::TIMESTAMPTZ, modifier(0).and_then(|digits| u64::try_from(digits).ok()))?,
        "time" => with_precision(PgType::TIME, modifier(0).and_then(|digits| u64::try_from(digits).ok()))?,
        "bool" => PgType::BOOL,
        "bytea" => PgType::BYTEA,
        "name" => PgType::NAME,
        "int8" => PgType::INT8,
        "int2" => PgType::INT2,
        "int4" => PgType::INT4,
        "text" => PgType::TEXT,
        "oid" => PgType::OID,
        "xid" => PgType::XID,
        "json" => PgType::JSON,
        "jsonb" => PgType::JSONB,
        "float4" => PgType::FLOAT4,
        "float8" => PgType::FLOAT8,
        "unknown" => PgType::UNKNOWN,
        "aclitem" => PgType::ACLITEM,
        "date" => PgType::DATE,
        "interval" => PgType::INTERVAL,
        "uuid" => PgType::UUID,
        "int2vector" => PgType::INT2VECTOR,
        "oidvector" => PgType::OIDVECTOR,
        "pg_node_tree" => PgType::PG_NODE_TREE,
        "regproc" => PgType::REGPROC,
        "regprocedure" => PgType::plain(2202),
        "regoper" => PgType::plain(2203),
        "regoperator" => PgType::plain(2204),
        "regclass" => PgType::REGCLASS,
        "regtype" => PgType::REGTYPE,
        "regnamespace" => PgType::REGNAMESPACE,
        "regrole" => PgType::REGROLE,
        "cidr" | "inet" | "macaddr" | "macaddr8" | "money" | "bit" | "varbit" | "timetz" | "tsvector" | "tsquery" | "xml" | "point"
        | "line" | "lseg" | "box" | "path" | "polygon" | "circle" | "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange"
        | "daterange" | "pg_lsn" | "tid" | "cid" | "xid8" | "jsonpath" | "regconfig" | "regdictionary" | "record" | "pg_snapshot" => {
            return Err(error::unsupported(format_args!("the type {name}")));
        }
        array => match array.strip_prefix('_').map(|element| sqlparser::ast::Ident::with_quote('"', element)) {
            Some(element) => {
                let element = named(&ObjectName::from(vec![element]), &[]).map_err(|_| undefined())?;
                PgType::plain(PgType::array_of(element.oid).ok_or_else(undefined)?)
            }
            None => return Err(undefined()),
        },
    })
}

/// The base types of information_schema's domains.
fn domain(name: &str) -> Option<PgType> {
    Some(match name {
        "cardinal_number" => PgType::INT4,
        "sql_identifier" => PgType::NAME,
        "character_data" => PgType::VARCHAR,
        "yes_or_no" => PgType::varchar(3),
        "time_stamp" => PgType { oid: PgType::TIMESTAMPTZ.oid, typmod: 2 },
        _ => return None,
    })
}

fn numeric(info: ExactNumberInfo) -> Result<PgType> {
    match info {
        ExactNumberInfo::None => Ok(PgType::NUMERIC),
        ExactNumberInfo::Precision(precision) => numeric_of(i64::try_from(precision).unwrap_or(i64::MAX), 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => numeric_of(i64::try_from(precision).unwrap_or(i64::MAX), scale),
    }
}

fn numeric_of(precision: i64, scale: i64) -> Result<PgType> {
    if !(1..=1_000).contains(&precision) {
        return Err(bad_modifier(format!("NUMERIC precision {precision} must be between 1 and 1000")));
    }
    let (Ok(digits), Ok(places)) = (u8::try_from(precision), i8::try_from(scale)) else {
        return Err(error::unsupported(format_args!("the type numeric({precision},{scale})")));
    };
    if digits > 76 || places < 0 || i64::from(places) > precision {
        return Err(error::unsupported(format_args!("the type numeric({precision},{scale})")));
    }
    Ok(PgType::numeric(digits, places))
}

fn characters(length: Option<CharacterLength>) -> Result<Option<i32>> {
    match length {
        None => Ok(None),
        Some(CharacterLength::IntegerLength { length, .. }) => match i32::try_from(length) {
            Ok(length @ 1..=10_485_760) => Ok(Some(length)),
            Ok(0) => Err(bad_modifier("length for type varchar must be at least 1")),
            _ => Err(bad_modifier("length for type varchar cannot exceed 10485760")),
        },
        Some(CharacterLength::Max) => Err(error::unsupported("varchar(max)")),
    }
}

fn with_precision(pg: PgType, precision: Option<u64>) -> Result<PgType> {
    match precision {
        None => Ok(pg),
        Some(digits) => {
            let digits = i32::try_from(digits).unwrap_or(i32::MAX);
            // More than microseconds cannot be asked for; PostgreSQL warns and takes 6.
            Ok(PgType { oid: pg.oid, typmod: digits.min(6) })
        }
    }
}

fn bad_modifier(message: impl std::fmt::Display) -> datafusion::error::DataFusionError {
    error::data(DataError::InvalidParameterValue, message)
}
