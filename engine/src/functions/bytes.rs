//! Functions over bytea (documentation, section 9.5): single bytes and bits, digests, encodings of text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::error::DataFusionError;
use datafusion::functions::crypto;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF};
use lakegate_engine_api::{DataError, EngineError};

use super::call::Row;
use super::error::{data, external};
use super::function::{Body, PgFunction};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    let at = [Ty::BYTEA, Ty::INT4];
    let bit_at = [Ty::BYTEA, Ty::INT8];
    vec![
        PgFunction::immutable("get_byte")
            .on(&at, Ty::INT4, Body::Int(Box::new(|row| position(row, 1).map(|(at, _)| Some(i64::from(row.bytes(0)[at]))))))
            .build(),
        PgFunction::immutable("set_byte")
            .on(
                &[Ty::BYTEA, Ty::INT4, Ty::INT4],
                Ty::BYTEA,
                bytes(|row| {
                    let (at, _) = position(row, 1)?;
                    let mut value = row.bytes(0).to_vec();
                    value[at] = u8::try_from(row.int(2) & 0xff).unwrap_or(0);
                    Ok(value)
                }),
            )
            .build(),
        PgFunction::immutable("get_bit")
            .on(
                &bit_at,
                Ty::INT4,
                Body::Int(Box::new(|row| position(row, 8).map(|(at, bit)| Some(i64::from(row.bytes(0)[at] >> bit & 1))))),
            )
            .build(),
        PgFunction::immutable("set_bit")
            .on(
                &[Ty::BYTEA, Ty::INT8, Ty::INT4],
                Ty::BYTEA,
                bytes(|row| {
                    let (at, bit) = position(row, 8)?;
                    let mut value = row.bytes(0).to_vec();
                    match row.int(2) {
                        0 => value[at] &= !(1 << bit),
                        1 => value[at] |= 1 << bit,
                        _ => return Err(data(DataError::InvalidParameterValue, "new bit must be 0 or 1")),
                    }
                    Ok(value)
                }),
            )
            .build(),
        PgFunction::immutable("bit_count")
            .on(
                &[Ty::BYTEA],
                Ty::INT8,
                Body::Int(Box::new(|row| Ok(Some(row.bytes(0).iter().map(|byte| i64::from(byte.count_ones())).sum())))),
            )
            .build(),
        PgFunction::immutable("convert_from").on(&[Ty::BYTEA, Ty::NAME], Ty::TEXT, Body::Text(Box::new(converted_from))).build(),
        PgFunction::immutable("convert_to").on(&[Ty::TEXT, Ty::NAME], Ty::BYTEA, bytes(converted_to)).build(),
        PgFunction::immutable("#bytea_cat")
            .on(&[Ty::BYTEA, Ty::BYTEA], Ty::BYTEA, bytes(|row| Ok([row.bytes(0), row.bytes(1)].concat())))
            .build(),
        digest("sha224", crypto::sha224),
        digest("sha256", crypto::sha256),
        digest("sha384", crypto::sha384),
        digest("sha512", crypto::sha512),
    ]
}

fn bytes(body: impl Fn(&Row<'_>) -> Result<Vec<u8>> + Send + Sync + 'static) -> Body {
    Body::Bytes(Box::new(move |row| body(row).map(Some)))
}

/// The byte and the bit in it that the second argument counts to, `per_byte` of them a byte; 2202E beyond the end.
fn position(row: &Row<'_>, per_byte: usize) -> Result<(usize, usize)> {
    let count = row.bytes(0).len() * per_byte;
    let last = i64::try_from(count).unwrap_or(i64::MAX) - 1;
    match usize::try_from(row.int(1)) {
        Ok(at) if at < count => Ok((at / per_byte, at % per_byte)),
        _ => Err(data(DataError::ArraySubscript, format_args!("index {} out of valid range, 0..{last}", row.int(1)))),
    }
}

/// One of DataFusion's digests; they give binary for binary.
fn digest(name: &'static str, function: fn() -> Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    let body = move |args: &super::function::Columns<'_>| -> Result<ArrayRef> {
        let values = Arc::clone(&args.arrays[0]);
        let call = ScalarFunctionArgs {
            number_rows: values.len(),
            args: vec![ColumnarValue::Array(values)],
            arg_fields: vec![Arc::new(Field::new("", DataType::Binary, true))],
            return_field: Arc::new(Field::new("", DataType::Binary, true)),
            config_options: Arc::new(ConfigOptions::new()),
        };
        let rows = call.number_rows;
        function().inner().invoke_with_args(call)?.into_array(rows)
    };
    PgFunction::immutable(name).on(&[Ty::BYTEA], Ty::BYTEA, Body::Columns(Box::new(body))).build()
}

enum Encoding {
    Utf8,
    Latin1,
    /// Bytes as they are.
    Ascii,
}

/// By `pg_encname_tbl`'s rule: letters and digits count.
fn encoding(name: &str, role: &str) -> Result<Encoding> {
    let plain: String = name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "utf8" | "unicode" => Ok(Encoding::Utf8),
        "latin1" | "iso88591" => Ok(Encoding::Latin1),
        "sqlascii" => Ok(Encoding::Ascii),
        known if KNOWN_ENCODINGS.contains(&known) => {
            Err(external(EngineError::Unsupported { feature: format!("the encoding {name}"), hint: None }))
        }
        _ => Err(data(DataError::InvalidParameterValue, format_args!("invalid {role} encoding name \"{name}\""))),
    }
}

/// PostgreSQL's other encodings, as [`encoding`] spells them.
const KNOWN_ENCODINGS: &[&str] = &[
    "latin2", "latin3", "latin4", "latin5", "latin6", "latin7", "latin8", "latin9", "latin10", "iso88592", "iso88595", "iso88596",
    "iso88597", "iso88598", "win1250", "win1251", "win1252", "win1253", "win1254", "win1255", "win1256", "win1257", "win1258", "win866",
    "win874", "koi8r", "koi8u", "big5", "gbk", "gb18030", "euccn", "eucjp", "euckr", "euctw", "sjis", "johab", "uhc",
];

fn converted_from(row: &Row<'_>) -> Result<Option<String>> {
    let value = row.bytes(0);
    match encoding(row.text(1), "source")? {
        Encoding::Latin1 => Ok(Some(value.iter().map(|byte| char::from(*byte)).collect())),
        Encoding::Utf8 | Encoding::Ascii => std::str::from_utf8(value).map(|text| Some(text.to_owned())).map_err(|error| {
            let wrong = value.get(error.valid_up_to()..).unwrap_or_default();
            let shown: Vec<String> =
                wrong.iter().take(error.error_len().unwrap_or(wrong.len())).map(|byte| format!("0x{byte:02x}")).collect();
            data(DataError::CharacterNotInRepertoire, format_args!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")))
        }),
    }
}

fn converted_to(row: &Row<'_>) -> Result<Vec<u8>> {
    let text = row.text(0);
    match encoding(row.text(1), "destination")? {
        Encoding::Utf8 | Encoding::Ascii => Ok(text.as_bytes().to_vec()),
        Encoding::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).map_err(|_| no_equivalent(c))).collect(),
    }
}

fn no_equivalent(c: char) -> DataFusionError {
    let mut buffer = [0; 4];
    let shown: Vec<String> = c.encode_utf8(&mut buffer).bytes().map(|byte| format!("0x{byte:02x}")).collect();
    data(
        DataError::UntranslatableCharacter,
        format_args!("character with byte sequence {} in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"", shown.join(" ")),
    )
}
