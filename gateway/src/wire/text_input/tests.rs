//! Columns built from text and binary, and read back through the row writers.

use std::sync::Arc;

use arrow_schema::Field;
use lakegate_engine_api::arrow_field;

use super::*;
use crate::frontend::{DateOrder, DateStyle, IntervalStyle};
use crate::wire::outgoing::Format;
use crate::wire::rows::{Column, Manner};

pub fn style() -> TextStyle {
    TextStyle {
        time_zone: chrono_tz::Tz::UTC,
        fixed_offset_seconds: None,
        date_style: DateStyle::Iso,
        date_order: DateOrder::Mdy,
        interval_style: IntervalStyle::Postgres,
        bytea_hex: true,
        extra_float_digits: 1,
    }
}

pub fn manner() -> InputManner {
    InputManner { style: Arc::new(style()), names: None, now: DateTime::from_timestamp(1_700_000_000, 0).unwrap() }
}

fn written(field: &Field, array: &ArrayRef, format: Format) -> Vec<u8> {
    let column = Column::new(field, array, format, &Manner { style: Arc::new(style()), names: None }).unwrap();
    let mut out = Vec::new();
    column.write(0, &mut out).unwrap();
    out
}

/// Text in, text out; then binary out, binary in, text out again.
#[test]
fn every_type_makes_the_round() {
    for (oid, typmod, input, output) in [
        (16, -1, "true", "t"),
        (17, -1, "\\xDEADbeef", "\\xdeadbeef"),
        (18, -1, "abc", "a"),
        (19, -1, "a name", "a name"),
        (20, -1, " -9223372036854775808", "-9223372036854775808"),
        (21, -1, "-5", "-5"),
        (22, -1, "1 2 3", "1 2 3"),
        (23, -1, "+7", "7"),
        (25, -1, "grüße", "grüße"),
        (26, -1, "4294967295", "4294967295"),
        (30, -1, "", ""),
        (114, -1, "{ \"a\" : 1 }", "{ \"a\" : 1 }"),
        (700, -1, "1.5", "1.5"),
        (701, -1, "1e100", "1e+100"),
        (1042, 9, "ab", "ab   "),
        (1043, 9, "abcde", "abcde"),
        (1082, -1, "4713-01-01 BC", "4713-01-01 BC"),
        (1082, -1, "infinity", "infinity"),
        (1083, -1, "24:00", "24:00:00"),
        (1114, -1, "2024-02-29 12:34:56.7", "2024-02-29 12:34:56.7"),
        (1184, -1, "2024-02-29 12:34:56.789012+05:30", "2024-02-29 07:04:56.789012+00"),
        (1184, -1, "-infinity", "-infinity"),
        (1186, -1, "-1 mon +2 days -00:00:00.5", "-1 mons +2 days -00:00:00.5"),
        (1700, ((10 << 16) | 3) + 4, "1234.5675", "1234.568"),
        (1700, -1, "12.50", "12.5"),
        (2950, -1, "A0EEBC999C0B4EF8BB6D6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        (3802, -1, "{\"b\":1,\"a\":[]}", "{\"a\": [], \"b\": 1}"),
        (1007, -1, "{1, NULL ,3}", "{1,NULL,3}"),
        (1009, -1, "{\"a b\",\"\",null,\"NULL\",\"\\\"\",x}", "{\"a b\",\"\",NULL,\"NULL\",\"\\\"\",x}"),
        (1185, -1, "{2024-01-01 00:00:00+00}", "{\"2024-01-01 00:00:00+00\"}"),
        (1231, ((6 << 16) | 2) + 4, "{1.005,-0}", "{1.01,0.00}"),
    ] {
        let field = arrow_field("c", PgType { oid, typmod }, true).unwrap();
        let mut builder = ColumnBuilder::new(&field, &manner()).unwrap();
        builder.append_text(input).unwrap();
        builder.append_null();
        assert_eq!(builder.len(), 2);
        let array = builder.finish();
        assert!(array.is_null(1));
        assert_eq!(String::from_utf8(written(&field, &array, Format::Text)).unwrap(), output, "type {oid}");
        let binary = written(&field, &array, Format::Binary);
        assert_eq!(builder.append_binary(&binary).unwrap(), Consumed::All, "type {oid}");
        let again = builder.finish();
        assert_eq!(String::from_utf8(written(&field, &again, Format::Text)).unwrap(), output, "type {oid} through binary");
    }
}

#[test]
fn lengths_of_character_types() {
    let field = arrow_field("c", PgType::varchar(3), true).unwrap();
    let mut builder = ColumnBuilder::new(&field, &manner()).unwrap();
    builder.append_text("abc  ").unwrap();
    let error = builder.append_text("abcd").unwrap_err();
    assert_eq!((error.state.code(), error.message.as_str()), ("22001", "value too long for type character varying(3)"));
}

#[test]
fn digits_are_not_lost_silently() {
    let field = arrow_field("c", PgType::NUMERIC, true).unwrap();
    let mut builder = ColumnBuilder::new(&field, &manner()).unwrap();
    assert_eq!(builder.append_text("0.12345678901").unwrap_err().state.code(), "22003");
    assert_eq!(builder.append_text("NaN").unwrap_err().state.code(), "0A000");
}
