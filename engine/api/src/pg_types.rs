//! PostgreSQL types over Arrow types. Where several PostgreSQL types share one Arrow type, the field's metadata entry
//! [`PG_TYPE_KEY`] says which; without it the Arrow type decides.

use std::sync::Arc;

use arrow_schema::{DataType, Field, IntervalUnit, TimeUnit};
use lakegate_catalog::model::PgType;

/// Field metadata key; the value is `oid` or `oid:typmod`, decimal.
pub const PG_TYPE_KEY: &str = "pg.type";

/// Precision and scale of a `numeric` declared without them, as tables store it (Delta has no unbounded decimal).
pub const UNCONSTRAINED_NUMERIC: (u8, i8) = (38, 10);

/// Precisions and scales of values whose digits nobody declared: a column of `numeric`, and what text and floats are read
/// into. Zeros at their end are not the user's.
pub const UNDECLARED_NUMERICS: [(u8, i8); 3] = [UNCONSTRAINED_NUMERIC, NUMERIC_FROM_TEXT, NUMERIC_FROM_FLOAT];
pub const NUMERIC_FROM_TEXT: (u8, i8) = (75, 20);
pub const NUMERIC_FROM_FLOAT: (u8, i8) = (37, 15);

/// The Arrow type in which columns of a PostgreSQL type are stored and computed; `None` where there is none.
#[must_use]
pub fn arrow_type(pg: PgType) -> Option<DataType> {
    if let Some(element) = PgType::element_of(pg.oid) {
        let element = PgType { oid: element, typmod: pg.typmod };
        return Some(DataType::List(Arc::new(arrow_field("element", element, true)?)));
    }
    Some(match pg.oid {
        16 => DataType::Boolean,
        17 => DataType::Binary,
        18 | 19 | 25 | 114 | 194 | 705 | 1033 | 1042 | 1043 | 2950 | 3802 => DataType::Utf8,
        20 => DataType::Int64,
        21 => DataType::Int16,
        23 => DataType::Int32,
        // OIDs and their aliases are unsigned in PostgreSQL; Int64 holds them all and compares with integers.
        24 | 26 | 28 | 2202 | 2203 | 2204 | 2205 | 2206 | 3734 | 3769 | 4089 | 4096 => DataType::Int64,
        22 => DataType::List(Arc::new(Field::new("element", DataType::Int16, true))),
        30 => DataType::List(Arc::new(Field::new("element", DataType::Int64, true))),
        700 => DataType::Float32,
        701 => DataType::Float64,
        1082 => DataType::Date32,
        1083 => DataType::Time64(TimeUnit::Microsecond),
        1114 => DataType::Timestamp(TimeUnit::Microsecond, None),
        1184 => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        1186 => DataType::Interval(IntervalUnit::MonthDayNano),
        1700 => {
            let (precision, scale) = pg.numeric_precision_scale().unwrap_or(UNCONSTRAINED_NUMERIC);
            match precision {
                0..=38 => DataType::Decimal128(precision, scale),
                39..=76 => DataType::Decimal256(precision, scale),
                _ => return None,
            }
        }
        // Types of catalog columns that are never computed with, and void: their text.
        869 | 2277 | 2278 | 3220 | 3361 | 3402 | 5017 => DataType::Utf8,
        10028 => DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))),
        2249 => return None,
        _ => return None,
    })
}

/// A field of a PostgreSQL type, tagged where the Arrow type alone would not say which.
#[must_use]
pub fn arrow_field(name: &str, pg: PgType, nullable: bool) -> Option<Field> {
    let field = Field::new(name, arrow_type(pg)?, nullable);
    if pg_type(&field) == pg {
        return Some(field);
    }
    let value = if pg.typmod == -1 { pg.oid.to_string() } else { format!("{}:{}", pg.oid, pg.typmod) };
    Some(field.with_metadata([(PG_TYPE_KEY.to_owned(), value)].into()))
}

/// The PostgreSQL type as which a field is shown to clients. Total: what has no counterpart is shown as text.
#[must_use]
pub fn pg_type(field: &Field) -> PgType {
    tagged(field).unwrap_or_else(|| untagged(field.data_type()))
}

fn tagged(field: &Field) -> Option<PgType> {
    let value = field.metadata().get(PG_TYPE_KEY)?;
    match value.split_once(':') {
        Some((oid, typmod)) => Some(PgType { oid: oid.parse().ok()?, typmod: typmod.parse().ok()? }),
        None => Some(PgType::plain(value.parse().ok()?)),
    }
}

fn untagged(data_type: &DataType) -> PgType {
    match data_type {
        DataType::Boolean => PgType::BOOL,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => PgType::INT2,
        DataType::Int32 | DataType::UInt16 => PgType::INT4,
        DataType::Int64 | DataType::UInt32 => PgType::INT8,
        DataType::UInt64 => PgType::NUMERIC,
        DataType::Float16 | DataType::Float32 => PgType::FLOAT4,
        DataType::Float64 => PgType::FLOAT8,
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) | DataType::Decimal128(p, s) | DataType::Decimal256(p, s) => {
            PgType::numeric(*p, *s)
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => PgType::TEXT,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => PgType::BYTEA,
        DataType::Date32 | DataType::Date64 => PgType::DATE,
        DataType::Time32(_) | DataType::Time64(_) => PgType::TIME,
        DataType::Timestamp(_, None) => PgType::TIMESTAMP,
        DataType::Timestamp(_, Some(_)) => PgType::TIMESTAMPTZ,
        DataType::Interval(_) | DataType::Duration(_) => PgType::INTERVAL,
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => {
            let element = pg_type(element);
            // A list of lists is one array of several dimensions.
            let array = PgType::array_of(element.oid).or_else(|| PgType::element_of(element.oid).map(|_| element.oid));
            array.map_or(PgType::TEXT, |oid| PgType { oid, typmod: element.typmod })
        }
        DataType::Struct(_) => PgType::RECORD,
        DataType::Map(..) => PgType::JSON,
        DataType::Dictionary(_, value) => untagged(value),
        DataType::RunEndEncoded(_, values) => pg_type(values),
        DataType::Union(..) => PgType::TEXT,
    }
}
