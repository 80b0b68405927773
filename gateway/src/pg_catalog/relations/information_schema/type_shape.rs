//! What the standard asks of a type: length, precision, scale. Source: the `_pg_*` functions of PostgreSQL's
//! `information_schema.sql`.

use lakegate_catalog::model::{Oid, PgType};

/// As `data_type` names a type.
#[must_use]
pub fn data_type(pg: PgType) -> String {
    if PgType::element_of(pg.oid).is_some()
        || crate::pg_catalog::objects::type_facts(pg.oid).is_some_and(|facts| facts.category == "A" && facts.length == -1)
    {
        return "ARRAY".to_owned();
    }
    crate::wire::pg_types::type_name(pg.oid)
}

#[must_use]
pub fn character_maximum_length(pg: PgType) -> Option<i32> {
    pg.character_length()
}

/// Bytes; up to four a character in UTF-8.
#[must_use]
pub fn character_octet_length(pg: PgType) -> Option<i32> {
    match pg.oid {
        25 => Some(1 << 30),
        1042 | 1043 => Some(pg.character_length().map_or(1 << 30, |length| length.saturating_mul(4))),
        _ => None,
    }
}

#[must_use]
pub fn numeric_precision(pg: PgType) -> Option<i32> {
    match pg.oid {
        21 => Some(16),
        23 => Some(32),
        20 => Some(64),
        700 => Some(24),
        701 => Some(53),
        _ => pg.numeric_precision_scale().map(|(precision, _)| i32::from(precision)),
    }
}

#[must_use]
pub fn numeric_precision_radix(oid: Oid) -> Option<i32> {
    match oid {
        20 | 21 | 23 | 700 | 701 => Some(2),
        1700 => Some(10),
        _ => None,
    }
}

#[must_use]
pub fn numeric_scale(pg: PgType) -> Option<i32> {
    match pg.oid {
        20 | 21 | 23 => Some(0),
        _ => pg.numeric_precision_scale().map(|(_, scale)| i32::from(scale)),
    }
}

/// Digits of a second's fraction.
#[must_use]
pub fn datetime_precision(pg: PgType) -> Option<i32> {
    match pg.oid {
        1082 => Some(0),
        1083 | 1114 | 1184 | 1266 => Some(if pg.typmod < 0 { 6 } else { pg.typmod }),
        1186 => Some(if pg.typmod < 0 || pg.typmod & 0xffff == 0xffff { 6 } else { pg.typmod & 0xffff }),
        _ => None,
    }
}
