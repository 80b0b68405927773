//! What the protocol needs to know of PostgreSQL's types: their length, and which of them are text on the wire.

use arrow_schema::Field;
use lakegate_catalog::model::{Oid, PgType};

pub const NAME_BYTES_MAX: usize = 63;

/// The type of a field as RowDescription shows it, with `pg_type.typlen`.
#[must_use]
pub fn wire_type(field: &Field) -> (PgType, i16) {
    let pg = lakegate_engine_api::pg_type(field);
    (pg, type_length(pg.oid))
}

/// `pg_type.typlen`: bytes, -1 for variable length, -2 for a C string.
#[must_use]
pub fn type_length(oid: Oid) -> i16 {
    match oid {
        16 | 18 => 1,
        21 => 2,
        23 | 24 | 26 | 28 | 29 | 700 | 1082 | 2202..=2206 | 2278 | 3734 | 3769 | 4089 | 4096 | 4191 => 4,
        20 | 701 | 790 | 1083 | 1114 | 1184 => 8,
        1186 | 2950 => 16,
        19 => 64,
        705 => -2,
        _ => -1,
    }
}

/// Types whose text and binary formats are both their characters.
#[must_use]
pub fn is_text(oid: Oid) -> bool {
    matches!(oid, 19 | 25 | 114 | 194 | 705 | 1033 | 1042 | 1043 | 2275)
}

/// `oid` and its aliases: unsigned 32 bits.
#[must_use]
pub fn is_oid(oid: Oid) -> bool {
    matches!(oid, 24 | 26 | 28 | 29 | 2202..=2206 | 3734 | 3769 | 4089 | 4096 | 4191)
}

/// Name as PostgreSQL's messages have it (`format_type` without a modifier).
#[must_use]
pub fn type_name(oid: Oid) -> String {
    if let Some(element) = PgType::element_of(oid) {
        return format!("{}[]", type_name(element));
    }
    let name = match oid {
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
        27 => "tid",
        28 => "xid",
        29 => "cid",
        30 => "oidvector",
        114 => "json",
        142 => "xml",
        194 => "pg_node_tree",
        650 => "cidr",
        700 => "real",
        701 => "double precision",
        705 => "unknown",
        790 => "money",
        829 => "macaddr",
        869 => "inet",
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
        1790 => "refcursor",
        2202 => "regprocedure",
        2203 => "regoper",
        2204 => "regoperator",
        2205 => "regclass",
        2206 => "regtype",
        2249 => "record",
        2275 => "cstring",
        2276 => "\"any\"",
        2277 => "anyarray",
        2278 => "void",
        2279 => "trigger",
        2281 => "internal",
        2283 => "anyelement",
        2287 => "record[]",
        2950 => "uuid",
        3734 => "regconfig",
        3769 => "regdictionary",
        3614 => "tsvector",
        3615 => "tsquery",
        3802 => "jsonb",
        4072 => "jsonpath",
        4089 => "regnamespace",
        4096 => "regrole",
        4191 => "regcollation",
        _ => return oid.to_string(),
    };
    name.to_owned()
}
