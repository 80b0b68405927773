//! The list of bad Bind values, each with the SQLSTATE that PostgreSQL 15 answers.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use lakegate_catalog::model::PgType;
use lakegate_engine_api::arrow_field;

use super::*;
use crate::wire::text_input::tests::manner;

fn state_of(pg: PgType, code: i16, bytes: &[u8]) -> Option<&'static str> {
    let field = Arc::new(arrow_field("p", pg, true).unwrap());
    bind_values(&[field], &[code], &[Some(bytes)], "", &manner()).err().map(|error| error.state.code())
}

fn array(element: u32, dimensions: &[(i32, i32)], declared: i32, rest: &[u8]) -> Vec<u8> {
    let mut bytes = [declared.to_be_bytes(), 0i32.to_be_bytes(), element.to_be_bytes()].concat();
    for (length, lower) in dimensions {
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&lower.to_be_bytes());
    }
    bytes.extend_from_slice(rest);
    bytes
}

#[test]
fn bad_values_get_postgresqls_sqlstates() {
    let int4_array = PgType::plain(1007);
    for (pg, code, bytes, state) in [
        (PgType::INT4, 1, &b"\0\0\0"[..], "08P01"),
        (PgType::INT4, 1, b"\0\0\0\0\0", "22P03"),
        (PgType::INT4, 0, b"abc", "22P02"),
        (PgType::INT4, 0, b"99999999999", "22003"),
        (PgType::INT4, 7, b"1", "22023"),
        (PgType::TEXT, 0, b"a\0b", "22021"),
        (PgType::TEXT, 0, b"a\xffb", "22021"),
        (PgType::TEXT, 1, b"a\xffb", "22021"),
        (PgType::TEXT, 1, b"a\0b", "22021"),
        (PgType::NUMERIC, 1, &[0, 1, 0, 0, 0, 0, 0, 0, 0x27, 0x10], "22P03"),
        (PgType::NUMERIC, 1, &[0xff, 0xff, 0, 0, 0, 0, 0, 0], "08P01"),
        (PgType::TIMESTAMPTZ, 1, &(i64::MAX - 1).to_be_bytes(), "22008"),
        (PgType::DATE, 1, &(i32::MAX - 1).to_be_bytes(), "22008"),
        (PgType::DATE, 0, b"2024-02-30", "22008"),
        (PgType::DATE, 0, b"nonsense", "22007"),
        (PgType::UUID, 1, &[0; 15], "08P01"),
        (PgType::UUID, 1, &[0; 17], "22P03"),
        (PgType::JSONB, 1, b"\x02{}", "22P03"),
        (PgType::JSONB, 1, b"\x01{", "22P02"),
        (PgType::BOOL, 0, b"maybe", "22P02"),
        (PgType::BYTEA, 0, b"\\xg0", "22023"),
        (int4_array, 1, &array(23, &[], 1000, b""), "54000"),
        (int4_array, 1, &array(23, &[(i32::MAX, 1)], 1, b""), "54000"),
        (int4_array, 1, &array(23, &[(2, 1)], 1, b""), "08P01"),
        (int4_array, 1, &array(23, &[(1, 1)], 1, b"\0\0\0\x09\0"), "22P03"),
        (int4_array, 1, &array(25, &[(1, 1)], 1, b"\0\0\0\x01a"), "42804"),
        (int4_array, 1, &array(23, &[(1, 1)], 1, b"\0\0\0\x05\0\0\0\0\0"), "22P03"),
        (int4_array, 0, b"{1,2", "22P02"),
    ] {
        assert_eq!(state_of(pg, code, bytes), Some(state), "{pg:?} {code} {bytes:?}");
    }
}

#[test]
fn edges_that_are_right() {
    for (pg, code, bytes) in [
        (PgType::BOOL, 1, &[2u8][..]),
        (PgType::FLOAT8, 1, &[0x7f, 0xf8, 0, 0, 0, 0, 0, 1]),
        (PgType::TIMESTAMPTZ, 1, &i64::MAX.to_be_bytes()),
        (PgType::plain(1007), 1, &array(23, &[], 0, b"")),
    ] {
        assert_eq!(state_of(pg, code, bytes), None, "{pg:?} {bytes:?}");
    }
}

#[test]
fn counts_must_agree() {
    let field = Arc::new(Field::new("p", DataType::Int32, true));
    let state = |fields: &[FieldRef], formats: &[i16], values: &[Option<&[u8]>]| {
        bind_values(fields, formats, values, "s", &manner()).unwrap_err().message
    };
    assert_eq!(
        state(std::slice::from_ref(&field), &[], &[]),
        "bind message supplies 0 parameters, but prepared statement \"s\" requires 1"
    );
    assert_eq!(state(&[field], &[0, 0], &[None]), "bind message has 2 parameter formats but 1 parameters");
}
