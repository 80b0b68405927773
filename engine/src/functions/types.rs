//! Argument and result types of functions, and what converts to what without being asked.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use datafusion::common::Result;
use lakegate_engine_api::catalog::PgType;
use lakegate_engine_api::{SqlMistake, arrow_field, arrow_type, pg_type};

use super::error;

#[derive(Debug, Clone, PartialEq)]
pub enum Ty {
    Is(PgType),
    /// Any decimal, whatever its precision and scale.
    Numeric,
    /// An array of a type.
    Array(PgType),
    AnyArray,
    /// The element type of the array among the arguments.
    Element,
    Any,
}

impl Ty {
    pub const BOOL: Ty = Ty::Is(PgType::BOOL);
    pub const BYTEA: Ty = Ty::Is(PgType::BYTEA);
    pub const INT2: Ty = Ty::Is(PgType::INT2);
    pub const INT4: Ty = Ty::Is(PgType::INT4);
    pub const INT8: Ty = Ty::Is(PgType::INT8);
    pub const FLOAT4: Ty = Ty::Is(PgType::FLOAT4);
    pub const FLOAT8: Ty = Ty::Is(PgType::FLOAT8);
    pub const TEXT: Ty = Ty::Is(PgType::TEXT);
    pub const NAME: Ty = Ty::Is(PgType::NAME);
    pub const DATE: Ty = Ty::Is(PgType::DATE);
    pub const TIME: Ty = Ty::Is(PgType::TIME);
    pub const TIMESTAMP: Ty = Ty::Is(PgType::TIMESTAMP);
    pub const TIMESTAMPTZ: Ty = Ty::Is(PgType::TIMESTAMPTZ);
    pub const INTERVAL: Ty = Ty::Is(PgType::INTERVAL);
    pub const UUID: Ty = Ty::Is(PgType::UUID);
    pub const JSON: Ty = Ty::Is(PgType::JSON);
    pub const JSONB: Ty = Ty::Is(PgType::JSONB);
    pub const OID: Ty = Ty::Is(PgType::OID);
    pub const REGCLASS: Ty = Ty::Is(PgType::REGCLASS);
    /// Of functions called for their effect; an empty text.
    pub const VOID: Ty = Ty::Is(PgType::plain(2278));
    pub const REGTYPE: Ty = Ty::Is(PgType::REGTYPE);
    pub const TEXTS: Ty = Ty::Array(PgType::TEXT);
    pub const NAMES: Ty = Ty::Array(PgType::NAME);

    /// A field of this type.
    ///
    /// # Errors
    /// Internal, for a type that is no result type.
    pub fn field(&self, name: &str) -> Result<Field> {
        let field = match self {
            Ty::Is(pg) => arrow_field(name, *pg, true),
            Ty::Array(element) => PgType::array_of(element.oid).and_then(|array| arrow_field(name, PgType::plain(array), true)),
            Ty::Numeric | Ty::AnyArray | Ty::Element | Ty::Any => None,
        };
        field.ok_or_else(|| datafusion::error::DataFusionError::Internal(format!("{self:?} is no result type")))
    }

    /// How far a type is from this one; `None` where it does not convert implicitly. Text stands for a literal of a type not
    /// yet known. Preferred types (float8, timestamptz) win among equals, as `pg_type.typispreferred` says.
    #[must_use]
    pub fn cost_from(&self, from: &DataType) -> Option<u32> {
        if let DataType::Dictionary(_, value) = from {
            return self.cost_from(value);
        }
        if *from == DataType::Null {
            return Some(1);
        }
        match self {
            Ty::Any => Some(6),
            Ty::Element => Some(2),
            Ty::AnyArray => match from {
                DataType::List(_) => Some(0),
                DataType::LargeList(_) | DataType::FixedSizeList(..) => Some(1),
                // A literal whose element type planning will settle.
                from if is_text(from) => Some(25),
                _ => None,
            },
            Ty::Array(element) => match from {
                DataType::List(field) | DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                    Ty::Is(*element).cost_from(field.data_type())
                }
                from if is_text(from) => Some(26),
                _ => None,
            },
            Ty::Numeric => numeric_cost(from),
            Ty::Is(pg) => plain_cost(*pg, from),
        }
    }

    /// The Arrow type that an argument of a type is cast to.
    ///
    /// # Errors
    /// Internal, where [`Ty::cost_from`] is `None`.
    pub fn coerce_from(&self, from: &DataType) -> Result<DataType> {
        if let DataType::Dictionary(_, value) = from {
            return self.coerce_from(value);
        }
        let coerced = match self {
            Ty::Any | Ty::Element => Some(if is_text(from) { DataType::Utf8 } else { canonical(from) }),
            Ty::AnyArray => match from {
                DataType::List(_) => Some(canonical(from)),
                DataType::LargeList(field) | DataType::FixedSizeList(field, _) => {
                    Some(DataType::List(Arc::new(field.as_ref().clone().with_data_type(canonical(field.data_type())))))
                }
                from if is_text(from) => Some(DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))),
                _ => Some(DataType::Null),
            },
            Ty::Array(element) => match from {
                DataType::List(field) if arrow_type(*element).is_some_and(|wanted| wanted == *field.data_type()) => Some(from.clone()),
                _ => PgType::array_of(element.oid).and_then(|array| arrow_type(PgType::plain(array))),
            },
            Ty::Numeric => Some(match from {
                DataType::Decimal128(..) | DataType::Decimal256(..) => from.clone(),
                DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
                DataType::Int8 | DataType::Int16 | DataType::UInt8 => DataType::Decimal128(5, 0),
                DataType::Int32 | DataType::UInt16 => DataType::Decimal128(10, 0),
                DataType::Int64 | DataType::UInt32 => DataType::Decimal128(19, 0),
                DataType::UInt64 => DataType::Decimal128(20, 0),
                _ => DataType::Decimal128(38, 10),
            }),
            Ty::Is(pg) => arrow_type(*pg),
        };
        coerced.ok_or_else(|| datafusion::error::DataFusionError::Internal(format!("{from} does not convert to {self:?}")))
    }
}

/// A type as PostgreSQL's messages name it.
#[must_use]
pub fn describe(data_type: &DataType) -> String {
    match data_type {
        DataType::Null => "unknown".to_owned(),
        other => type_name(pg_type(&Field::new("", other.clone(), true))),
    }
}

/// `format_type` without its modifier, for the types that expressions have.
#[must_use]
pub fn type_name(pg: PgType) -> String {
    if let Some(element) = PgType::element_of(pg.oid).filter(|_| !matches!(pg.oid, 22 | 30)) {
        return format!("{}[]", type_name(PgType::plain(element)));
    }
    match pg.oid {
        16 => "boolean",
        17 => "bytea",
        18 => "\"char\"",
        19 => "name",
        20 => "bigint",
        21 => "smallint",
        22 => "int2vector",
        23 => "integer",
        24 => "regproc",
        25 => "text",
        26 => "oid",
        28 => "xid",
        30 => "oidvector",
        114 => "json",
        700 => "real",
        701 => "double precision",
        705 => "unknown",
        1033 => "aclitem",
        1042 => "character",
        1043 => "character varying",
        1082 => "date",
        1083 => "time without time zone",
        1114 => "timestamp without time zone",
        1184 => "timestamp with time zone",
        1186 => "interval",
        1266 => "time with time zone",
        1560 => "bit",
        1562 => "bit varying",
        1700 => "numeric",
        2202 => "regprocedure",
        2203 => "regoper",
        2204 => "regoperator",
        2205 => "regclass",
        2206 => "regtype",
        2249 => "record",
        2278 => "void",
        2950 => "uuid",
        3802 => "jsonb",
        4089 => "regnamespace",
        4096 => "regrole",
        194 => "pg_node_tree",
        _ => "???",
    }
    .to_owned()
}

/// 42883 for an operator.
pub fn undefined_operator(left: &str, operator: &str, right: &str) -> datafusion::error::DataFusionError {
    error::mistake_hint(
        SqlMistake::UndefinedFunction,
        format_args!("operator does not exist: {left} {operator} {right}"),
        "No operator matches the given name and argument types. You might need to add explicit type casts.",
    )
}

#[must_use]
pub fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

#[must_use]
pub fn is_integer(data_type: &DataType) -> bool {
    data_type.is_integer()
}

#[must_use]
pub fn is_decimal(data_type: &DataType) -> bool {
    data_type.is_decimal()
}

/// The Arrow type in which values of a foreign Arrow type are handled here.
#[must_use]
pub fn canonical(from: &DataType) -> DataType {
    match from {
        DataType::Int8 | DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Time32(_) | DataType::Time64(_) => DataType::Time64(TimeUnit::Microsecond),
        DataType::Timestamp(_, None) => DataType::Timestamp(TimeUnit::Microsecond, None),
        DataType::Timestamp(_, Some(_)) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Interval(_) | DataType::Duration(_) => DataType::Interval(IntervalUnit::MonthDayNano),
        DataType::Decimal32(p, s) | DataType::Decimal64(p, s) => DataType::Decimal128(*p, *s),
        DataType::Dictionary(_, value) => canonical(value),
        DataType::List(field) => DataType::List(Arc::new(field.as_ref().clone().with_data_type(canonical(field.data_type())))),
        other => other.clone(),
    }
}

fn numeric_cost(from: &DataType) -> Option<u32> {
    match from {
        from if is_decimal(from) => Some(0),
        from if is_integer(from) => Some(4),
        from if is_text(from) => Some(28),
        _ => None,
    }
}

fn plain_cost(to: PgType, from: &DataType) -> Option<u32> {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Duration, FixedSizeBinary, Float16, Float32, Float64, Int8, Int16, Int32, Int64,
        Interval, LargeBinary, List, Time32, Time64, Timestamp, UInt8, UInt16, UInt32, UInt64,
    };
    match (to.oid, from) {
        (18 | 19 | 25 | 114 | 194 | 705 | 1033 | 1042 | 1043 | 2950 | 3802, from) if is_text(from) => Some(0),
        (16, Boolean) => Some(0),
        (17, Binary) => Some(0),
        (17, LargeBinary | BinaryView | FixedSizeBinary(_)) => Some(1),
        (21, Int16) => Some(0),
        (21, Int8 | UInt8) => Some(1),
        (21, Int32 | Int64) => Some(16),
        (23, Int32) => Some(0),
        (23, Int8 | Int16 | UInt8 | UInt16) => Some(1),
        (23, Int64 | UInt32) => Some(15),
        (20, Int64) => Some(0),
        (20, Int32 | UInt16 | UInt32) => Some(1),
        (20, Int8 | Int16 | UInt8) => Some(2),
        (24 | 26 | 28 | 2202..=2206 | 3734 | 3769 | 4089 | 4096, Int64) => Some(0),
        (24 | 26 | 28 | 2202..=2206 | 3734 | 3769 | 4089 | 4096, from) if is_integer(from) => Some(1),
        (700, Float32) => Some(0),
        (700, Float16) => Some(1),
        (701, Float64) => Some(0),
        (701, Float32 | Float16) => Some(1),
        (701, UInt64) => Some(3),
        (701, from) if is_integer(from) => Some(3),
        (701, from) if is_decimal(from) => Some(4),
        (1082, Date32) => Some(0),
        (1082, Date64) => Some(1),
        (1083, Time64(_) | Time32(_)) => Some(0),
        (1114, Timestamp(_, None)) => Some(0),
        (1114, Date32 | Date64) => Some(3),
        (1184, Timestamp(_, Some(_))) => Some(0),
        (1184, Timestamp(_, None)) => Some(2),
        (1184, Date32 | Date64) => Some(2),
        (1186, Interval(_) | Duration(_)) => Some(0),
        (1186, Time64(_) | Time32(_)) => Some(5),
        (22 | 30, List(_)) => Some(1),
        (1184, from) if is_text(from) => Some(23),
        (1186, from) if is_text(from) => Some(22),
        (1114, from) if is_text(from) => Some(24),
        (701, from) if is_text(from) => Some(27),
        (_, from) if is_text(from) => Some(30),
        _ => None,
    }
}
