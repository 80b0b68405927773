//! String functions (documentation, section 9.4) other than those shared with DataFusion.

use std::sync::Arc;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::Field;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{Expr, ScalarUDF};
use lakegate_engine_api::{DataError, EngineError, Limit, pg_type};

use super::call::Row;
use super::error::{data, external};
use super::function::{Body, PgFunction};
use super::quote;
use super::regex::compiled;
use super::session::Session;
use super::text::{scalar, value_out};
use super::types::Ty;

/// Longest value a function makes, in bytes, as PostgreSQL's 1 GB.
const RESULT_BYTES_MAX: usize = (1 << 30) - 1;

/// `char(n)` as it is shown: padded to its length.
#[must_use]
pub fn pad(column: Expr, field: &Field) -> Expr {
    let length = pg_type(field).character_length().unwrap_or(0);
    let function = PgFunction::immutable("rpad").on(
        &[Ty::TEXT, Ty::INT4],
        Ty::Is(pg_type(field)),
        Body::Text(Box::new(|row| Ok(Some(format!("{:<width$}", row.text(0), width = count(row.int(1))))))),
    );
    function.build().call(vec![column, datafusion::logical_expr::lit(length)])
}

fn count(value: i64) -> usize {
    usize::try_from(value).unwrap_or(0)
}

fn too_large() -> DataFusionError {
    external(EngineError::Limit { limit: Limit::ProgramLimit, message: "requested length too large".to_owned() })
}

fn text(body: impl Fn(&Row<'_>) -> Result<Option<String>> + Send + Sync + 'static) -> Body {
    Body::Text(Box::new(body))
}

fn int(body: impl Fn(&Row<'_>) -> Result<Option<i64>> + Send + Sync + 'static) -> Body {
    Body::Int(Box::new(body))
}

fn length(value: usize) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        PgFunction::immutable("length")
            .on(&[Ty::TEXT], Ty::INT4, int(|row| Ok(Some(length(row.text(0).chars().count())))))
            .on(&[Ty::BYTEA], Ty::INT4, int(|row| Ok(Some(length(row.bytes(0).len())))))
            .build(),
        PgFunction::immutable("strpos")
            .alias("position")
            .on(&[Ty::TEXT, Ty::TEXT], Ty::INT4, int(|row| Ok(Some(strpos(row.text(0), row.text(1))))))
            .on(
                &[Ty::BYTEA, Ty::BYTEA],
                Ty::INT4,
                int(|row| {
                    let (value, wanted) = (row.bytes(0), row.bytes(1));
                    let at = if wanted.is_empty() { Some(0) } else { value.windows(wanted.len()).position(|window| window == wanted) };
                    Ok(Some(at.map_or(0, |at| length(at) + 1)))
                }),
            )
            .build(),
        trim("btrim", true, true).alias("trim").build(),
        trim("ltrim", true, false).build(),
        trim("rtrim", false, true).build(),
        PgFunction::immutable("substring")
            .alias("substr")
            .on(&[Ty::TEXT, Ty::INT4], Ty::TEXT, text(|row| substring(row.text(0), row.int(1), None).map(Some)))
            .on(&[Ty::TEXT, Ty::INT4, Ty::INT4], Ty::TEXT, text(|row| substring(row.text(0), row.int(1), Some(row.int(2))).map(Some)))
            .on(&[Ty::TEXT, Ty::TEXT], Ty::TEXT, text(|row| matching(row.text(0), row.text(1))))
            .on(&[Ty::BYTEA, Ty::INT4], Ty::BYTEA, Body::Bytes(Box::new(|row| slice(row.bytes(0), row.int(1), None).map(Some))))
            .on(
                &[Ty::BYTEA, Ty::INT4, Ty::INT4],
                Ty::BYTEA,
                Body::Bytes(Box::new(|row| slice(row.bytes(0), row.int(1), Some(row.int(2))).map(Some))),
            )
            .build(),
        PgFunction::immutable("overlay")
            .on(
                &[Ty::TEXT, Ty::TEXT, Ty::INT4],
                Ty::TEXT,
                text(|row| overlay(row.text(0), row.text(1), row.int(2), length(row.text(1).chars().count())).map(Some)),
            )
            .on(
                &[Ty::TEXT, Ty::TEXT, Ty::INT4, Ty::INT4],
                Ty::TEXT,
                text(|row| overlay(row.text(0), row.text(1), row.int(2), row.int(3)).map(Some)),
            )
            .build(),
        PgFunction::immutable("left")
            .on(
                &[Ty::TEXT, Ty::INT4],
                Ty::TEXT,
                text(|row| {
                    let (value, wanted) = (row.text(0), row.int(1));
                    let keep = if wanted < 0 { (length(value.chars().count()) + wanted).max(0) } else { wanted };
                    Ok(Some(value.chars().take(count(keep)).collect()))
                }),
            )
            .build(),
        PgFunction::immutable("right")
            .on(
                &[Ty::TEXT, Ty::INT4],
                Ty::TEXT,
                text(|row| {
                    let (value, wanted) = (row.text(0), row.int(1));
                    let all = length(value.chars().count());
                    let skip = if wanted < 0 { (-wanted).min(all) } else { (all - wanted).max(0) };
                    Ok(Some(value.chars().skip(count(skip)).collect()))
                }),
            )
            .build(),
        PgFunction::immutable("lpad")
            .on(&[Ty::TEXT, Ty::INT4], Ty::TEXT, text(|row| padded(row.text(0), row.int(1), " ", true).map(Some)))
            .on(&[Ty::TEXT, Ty::INT4, Ty::TEXT], Ty::TEXT, text(|row| padded(row.text(0), row.int(1), row.text(2), true).map(Some)))
            .build(),
        PgFunction::immutable("rpad")
            .on(&[Ty::TEXT, Ty::INT4], Ty::TEXT, text(|row| padded(row.text(0), row.int(1), " ", false).map(Some)))
            .on(&[Ty::TEXT, Ty::INT4, Ty::TEXT], Ty::TEXT, text(|row| padded(row.text(0), row.int(1), row.text(2), false).map(Some)))
            .build(),
        PgFunction::immutable("repeat")
            .on(
                &[Ty::TEXT, Ty::INT4],
                Ty::TEXT,
                text(|row| {
                    let times = count(row.int(1));
                    match row.text(0).len().checked_mul(times) {
                        Some(bytes) if bytes <= RESULT_BYTES_MAX => Ok(Some(row.text(0).repeat(times))),
                        _ => Err(too_large()),
                    }
                }),
            )
            .build(),
        PgFunction::immutable("reverse").on(&[Ty::TEXT], Ty::TEXT, text(|row| Ok(Some(row.text(0).chars().rev().collect())))).build(),
        PgFunction::immutable("chr")
            .on(
                &[Ty::INT4],
                Ty::TEXT,
                text(|row| match u32::try_from(row.int(0)).ok().and_then(char::from_u32) {
                    Some('\0') => {
                        Err(external(EngineError::Limit { limit: Limit::ProgramLimit, message: "null character not permitted".to_owned() }))
                    }
                    Some(c) => Ok(Some(c.to_string())),
                    None if row.int(0) < 0 => Err(data(DataError::InvalidParameterValue, "character number must be positive")),
                    None => Err(external(EngineError::Limit {
                        limit: Limit::ProgramLimit,
                        message: format!("requested character too large for encoding: {}", row.int(0)),
                    })),
                }),
            )
            .build(),
        PgFunction::immutable("split_part")
            .on(&[Ty::TEXT, Ty::TEXT, Ty::INT4], Ty::TEXT, text(|row| split_part(row.text(0), row.text(1), row.int(2)).map(Some)))
            .build(),
        PgFunction::immutable("translate")
            .on(
                &[Ty::TEXT, Ty::TEXT, Ty::TEXT],
                Ty::TEXT,
                text(|row| {
                    let to: Vec<char> = row.text(2).chars().collect();
                    let from: Vec<char> = row.text(1).chars().collect();
                    Ok(Some(
                        row.text(0)
                            .chars()
                            .filter_map(|c| match from.iter().position(|wanted| *wanted == c) {
                                Some(at) => to.get(at).copied(),
                                None => Some(c),
                            })
                            .collect(),
                    ))
                }),
            )
            .build(),
        PgFunction::immutable("to_hex")
            .on(&[Ty::INT4], Ty::TEXT, text(|row| Ok(Some(format!("{:x}", row.int(0) & 0xffff_ffff)))))
            .on(&[Ty::INT8], Ty::TEXT, text(|row| Ok(Some(format!("{:x}", row.int(0))))))
            .build(),
        PgFunction::immutable("md5")
            .on(&[Ty::TEXT], Ty::TEXT, text(|row| Ok(Some(md5(row.text(0).as_bytes())))))
            .on(&[Ty::BYTEA], Ty::TEXT, text(|row| Ok(Some(md5(row.bytes(0))))))
            .build(),
        PgFunction::immutable("encode")
            .on(&[Ty::BYTEA, Ty::TEXT], Ty::TEXT, text(|row| encode(row.bytes(0), row.text(1)).map(Some)))
            .build(),
        PgFunction::immutable("decode")
            .on(&[Ty::TEXT, Ty::TEXT], Ty::BYTEA, Body::Bytes(Box::new(|row| decode(row.text(0), row.text(1)).map(Some))))
            .build(),
        PgFunction::immutable("quote_ident").on(&[Ty::TEXT], Ty::TEXT, text(|row| Ok(Some(quote::ident(row.text(0)))))).build(),
        PgFunction::immutable("parse_ident")
            .on(
                &[Ty::TEXT],
                Ty::TEXTS,
                Body::Texts(Box::new(|row| match quote::split_name(row.text(0)) {
                    Some(parts) => Ok(Some(parts.into_iter().map(Some).collect())),
                    None => {
                        Err(data(DataError::InvalidParameterValue, format_args!("string is not a valid identifier: \"{}\"", row.text(0))))
                    }
                })),
            )
            .build(),
        PgFunction::immutable("like_escape")
            .on(&[Ty::TEXT, Ty::TEXT], Ty::TEXT, text(|row| like_escape(row.text(0), row.text(1)).map(Some)))
            .build(),
        PgFunction::immutable("num_nulls").variadic(&[Ty::Any], Ty::INT4, int(|row| Ok(Some(nulls(row, true))))).build(),
        PgFunction::immutable("num_nonnulls").variadic(&[Ty::Any], Ty::INT4, int(|row| Ok(Some(nulls(row, false))))).build(),
        PgFunction::volatile("gen_random_uuid").on(&[], Ty::UUID, text(|_| Ok(Some(uuid::Uuid::new_v4().to_string())))).build(),
        PgFunction::immutable("ends_with")
            .on(&[Ty::TEXT, Ty::TEXT], Ty::BOOL, Body::Bool(Box::new(|row| Ok(Some(row.text(0).ends_with(row.text(1)))))))
            .build(),
        PgFunction::immutable("string_to_array")
            .on_nullable(&[Ty::TEXT, Ty::TEXT], Ty::TEXTS, Body::Texts(Box::new(|row| Ok(string_to_array(row, None)))))
            .on_nullable(
                &[Ty::TEXT, Ty::TEXT, Ty::TEXT],
                Ty::TEXTS,
                Body::Texts(Box::new(|row| {
                    let null = if row.is_null(2) { None } else { Some(row.text(2)) };
                    Ok(string_to_array(row, null))
                })),
            )
            .build(),
    ]
}

pub fn session_functions(session: &Arc<Session>) -> Vec<Arc<ScalarUDF>> {
    let identity = session.identity();
    let shared = |session: &Arc<Session>| Arc::clone(session);
    let (a, b, c, d, e) = (shared(session), shared(session), shared(session), shared(session), shared(session));
    vec![
        PgFunction::stable("concat")
            .of_session(identity)
            .variadic(
                &[Ty::Any],
                Ty::TEXT,
                text(move |row| {
                    let mut out = String::new();
                    for at in 0..row.len() {
                        if !row.is_null(at) {
                            push_value(&mut out, row, at, &a)?;
                        }
                    }
                    Ok(Some(out))
                }),
            )
            .build(),
        PgFunction::stable("concat_ws")
            .of_session(identity)
            .variadic(
                &[Ty::TEXT, Ty::Any],
                Ty::TEXT,
                text(move |row| {
                    if row.is_null(0) {
                        return Ok(None);
                    }
                    let mut out = String::new();
                    let mut first = true;
                    for at in (1..row.len()).filter(|at| !row.is_null(*at)) {
                        if !first {
                            out.push_str(row.text(0));
                        }
                        first = false;
                        push_value(&mut out, row, at, &b)?;
                    }
                    Ok(Some(out))
                }),
            )
            .build(),
        PgFunction::stable("format")
            .of_session(identity)
            .variadic(&[Ty::TEXT, Ty::Any], Ty::TEXT, text(move |row| format(row, &c)))
            .build(),
        PgFunction::stable("quote_literal")
            .of_session(identity)
            .on(
                &[Ty::Any],
                Ty::TEXT,
                text(move |row| {
                    let mut out = String::new();
                    push_value(&mut out, row, 0, &d)?;
                    Ok(Some(quote::literal(&out)))
                }),
            )
            .build(),
        PgFunction::stable("quote_nullable")
            .of_session(identity)
            .on_nullable(
                &[Ty::Any],
                Ty::TEXT,
                text(move |row| {
                    if row.is_null(0) {
                        return Ok(Some("NULL".to_owned()));
                    }
                    let mut out = String::new();
                    push_value(&mut out, row, 0, &e)?;
                    Ok(Some(quote::literal(&out)))
                }),
            )
            .build(),
    ]
}

/// An argument's text; a boolean prints as its output function does, `t`, not as its cast.
fn push_value(out: &mut String, row: &Row<'_>, at: usize, session: &Session) -> Result<()> {
    let Some((array, index)) = row.value(at) else { return Ok(()) };
    if let Some(values) = array.as_boolean_opt() {
        out.push(if values.value(index) { 't' } else { 'f' });
        return Ok(());
    }
    value_out::push(out, array, index, row.pg_type(at), &session.style)
}

fn nulls(row: &Row<'_>, null: bool) -> i64 {
    length((0..row.len()).filter(|at| row.is_null(*at) == null).count())
}

fn trim(name: &'static str, start: bool, end: bool) -> PgFunction {
    let strip = move |value: &str, set: &str| -> String {
        let chars: Vec<char> = set.chars().collect();
        let mut value = value;
        if start {
            value = value.trim_start_matches(chars.as_slice());
        }
        if end {
            value = value.trim_end_matches(chars.as_slice());
        }
        value.to_owned()
    };
    PgFunction::immutable(name).on(&[Ty::TEXT], Ty::TEXT, text(move |row| Ok(Some(strip(row.text(0), " "))))).on(
        &[Ty::TEXT, Ty::TEXT],
        Ty::TEXT,
        text(move |row| Ok(Some(strip(row.text(0), row.text(1))))),
    )
}

/// A LIKE pattern with its own escape character as one with backslashes (`like_escape`); an empty one escapes nothing.
///
/// # Errors
/// 22025 for more than one character.
pub fn like_escape(pattern: &str, escape: &str) -> Result<String> {
    let mut characters = escape.chars();
    let (escape, rest) = (characters.next(), characters.next());
    if rest.is_some() {
        return Err(data(DataError::InvalidEscape, "invalid escape string"));
    }
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => {
                out.push('\\');
                out.extend(chars.next());
            }
            '\\' => out.push_str("\\\\"),
            c => out.push(c),
        }
    }
    Ok(out)
}

/// In characters from 1; 0 where it is not found.
fn strpos(value: &str, wanted: &str) -> i64 {
    value.find(wanted).map_or(0, |at| length(value.get(..at).unwrap_or_default().chars().count()) + 1)
}

fn negative_length() -> DataFusionError {
    data(DataError::Substring, "negative substring length not allowed")
}

/// Positions from 1; what lies before the string counts towards the length.
fn bounds(start: i64, wanted: Option<i64>) -> Result<(usize, Option<usize>)> {
    let Some(wanted) = wanted else { return Ok((count(start.max(1) - 1), None)) };
    if wanted < 0 {
        return Err(negative_length());
    }
    let end = start.saturating_add(wanted);
    let from = start.max(1);
    Ok((count(from - 1), Some(count(end - from))))
}

fn substring(value: &str, start: i64, wanted: Option<i64>) -> Result<String> {
    let (skip, take) = bounds(start, wanted)?;
    let rest = value.chars().skip(skip);
    Ok(match take {
        Some(take) => rest.take(take).collect(),
        None => rest.collect(),
    })
}

fn slice(value: &[u8], start: i64, wanted: Option<i64>) -> Result<Vec<u8>> {
    let (skip, take) = bounds(start, wanted)?;
    let rest = value.iter().copied().skip(skip);
    Ok(match take {
        Some(take) => rest.take(take).collect(),
        None => rest.collect(),
    })
}

/// `substring(text from pattern)`: the first group, or the whole match.
fn matching(value: &str, pattern: &str) -> Result<Option<String>> {
    let regex = compiled(pattern, "")?;
    Ok(regex.captures(value).and_then(|found| {
        let group = if found.len() > 1 { found.get(1) } else { found.get(0) };
        group.map(|group| group.as_str().to_owned())
    }))
}

fn overlay(value: &str, placed: &str, start: i64, replaced: i64) -> Result<String> {
    if start <= 0 {
        return Err(negative_length());
    }
    let before = substring(value, 1, Some(start - 1))?;
    let after = substring(value, start.saturating_add(replaced), None)?;
    Ok(before + placed + &after)
}

fn padded(value: &str, wanted: i64, fill: &str, left: bool) -> Result<String> {
    let wanted = count(wanted);
    if wanted > RESULT_BYTES_MAX / 4 {
        return Err(too_large());
    }
    let have = value.chars().count();
    if have >= wanted {
        return Ok(value.chars().take(wanted).collect());
    }
    let padding: String = fill.chars().cycle().take(if fill.is_empty() { 0 } else { wanted - have }).collect();
    Ok(if left { padding + value } else { value.to_owned() + &padding })
}

fn split_part(value: &str, separator: &str, field: i64) -> Result<String> {
    if field == 0 {
        return Err(data(DataError::InvalidParameterValue, "field position must not be zero"));
    }
    if value.is_empty() {
        return Ok(String::new());
    }
    if separator.is_empty() {
        return Ok(if field == 1 || field == -1 { value.to_owned() } else { String::new() });
    }
    let found = if field > 0 { value.split(separator).nth(count(field - 1)) } else { value.rsplit(separator).nth(count(-field - 1)) };
    Ok(found.unwrap_or_default().to_owned())
}

fn string_to_array(row: &Row<'_>, null: Option<&str>) -> Option<Vec<Option<String>>> {
    if row.is_null(0) {
        return None;
    }
    let value = row.text(0);
    let item = |part: &str| (Some(part) != null).then(|| part.to_owned());
    if value.is_empty() {
        return Some(Vec::new());
    }
    if row.is_null(1) {
        return Some(value.chars().map(|c| item(&c.to_string())).collect());
    }
    if row.text(1).is_empty() {
        return Some(vec![item(value)]);
    }
    Some(value.split(row.text(1)).map(item).collect())
}

/// `format(formatstr, …)`: `%s`, `%I`, `%L`, positions `%n$`, widths, `-`.
fn format(row: &Row<'_>, session: &Session) -> Result<Option<String>> {
    if row.is_empty() || row.is_null(0) {
        return Ok(None);
    }
    let invalid = |message: String| data(DataError::InvalidParameterValue, message);
    let mut out = String::new();
    let mut chars = row.text(0).chars().peekable();
    let mut next = 1;
    while let Some(c) = chars.next() {
        if c != '%' {
            out.push(c);
            continue;
        }
        if chars.next_if_eq(&'%').is_some() {
            out.push('%');
            continue;
        }
        let mut number = digits(&mut chars);
        if number.is_some() && chars.next_if_eq(&'$').is_some() {
            next = count(number.unwrap_or(0));
            if next == 0 {
                return Err(invalid("format specifies argument 0, but arguments are numbered from 1".to_owned()));
            }
            number = None;
        }
        let mut left = false;
        if number.is_none() {
            while chars.next_if_eq(&'-').is_some() {
                left = true;
            }
            number = digits(&mut chars);
        }
        if number.is_none() && chars.next_if_eq(&'*').is_some() {
            let width = row.int(next);
            next += 1;
            left |= width < 0;
            number = Some(width.abs());
        }
        let Some(conversion) = chars.next() else { return Err(invalid("unterminated format() type specifier".to_owned())) };
        if !matches!(conversion, 's' | 'I' | 'L') {
            return Err(invalid(format!("unrecognized format() type specifier \"{conversion}\"")));
        }
        if next >= row.len() {
            return Err(invalid("too few arguments for format()".to_owned()));
        }
        let mut value = String::new();
        if row.is_null(next) {
            match conversion {
                'L' => value.push_str("NULL"),
                'I' => return Err(data(DataError::NullNotAllowed, "null values cannot be formatted as an SQL identifier")),
                _ => {}
            }
        } else {
            push_value(&mut value, row, next, session)?;
            value = match conversion {
                'I' => quote::ident(&value),
                'L' => quote::literal(&value),
                _ => value,
            };
        }
        next += 1;
        let width = count(number.unwrap_or(0));
        let fill = " ".repeat(width.saturating_sub(value.chars().count()));
        out.push_str(&if left { value + &fill } else { fill + &value });
    }
    Ok(Some(out))
}

fn digits(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<i64> {
    let mut text = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        text.push(digit);
    }
    text.parse().ok()
}

fn encode(bytes: &[u8], format: &str) -> Result<String> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
        "escape" => Ok(escaped(bytes)),
        "base64" => Ok(base64(bytes)),
        _ => Err(data(DataError::InvalidParameterValue, format_args!("unrecognized encoding: \"{format}\""))),
    }
}

fn decode(value: &str, format: &str) -> Result<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => scalar::hex(value).ok_or_else(|| bad_hex(value)),
        "escape" => scalar::parse_bytea(value),
        "base64" => from_base64(value).ok_or_else(|| data(DataError::InvalidParameterValue, "invalid base64 end sequence")),
        _ => Err(data(DataError::InvalidParameterValue, format_args!("unrecognized encoding: \"{format}\""))),
    }
}

/// `esc_encode`: zero and bytes of the upper half in octal, the backslash doubled.
fn escaped(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            0 | 0x80.. => out.push_str(&format!("\\{byte:03o}")),
            b'\\' => out.push_str("\\\\"),
            byte => out.push(char::from(*byte)),
        }
    }
    out
}

fn bad_hex(value: &str) -> DataFusionError {
    match value.chars().find(|c| !c.is_ascii_hexdigit() && !c.is_ascii_whitespace()) {
        Some(c) => data(DataError::InvalidParameterValue, format_args!("invalid hexadecimal digit: \"{c}\"")),
        None => data(DataError::InvalidParameterValue, "invalid hexadecimal data: odd number of digits"),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With a line break after each 76 characters, as PostgreSQL's.
fn base64(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for (at, chunk) in bytes.chunks(3).enumerate() {
        if at > 0 && at % 19 == 0 {
            out.push('\n');
        }
        let byte = |index: usize| chunk.get(index).copied().unwrap_or(0);
        let sextets = [byte(0) >> 2, (byte(0) & 3) << 4 | byte(1) >> 4, (byte(1) & 15) << 2 | byte(2) >> 6, byte(2) & 63];
        for (index, sextet) in sextets.into_iter().enumerate() {
            out.push(if index <= chunk.len() { char::from(BASE64[usize::from(sextet)]) } else { '=' });
        }
    }
    out
}

fn from_base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(symbols.len() / 4 * 3);
    for group in symbols.chunks(4) {
        let padding = group.iter().rev().take_while(|byte| **byte == b'=').count();
        let mut value = 0_u32;
        for byte in group {
            let sextet = if *byte == b'=' { 0 } else { BASE64.iter().position(|symbol| symbol == byte)? };
            value = value << 6 | u32::try_from(sextet).ok()?;
        }
        let [_, a, b, c] = value.to_be_bytes();
        out.extend([a, b, c].into_iter().take(3_usize.checked_sub(padding)?));
    }
    Some(out)
}

/// RFC 1321.
fn md5(message: &[u8]) -> String {
    const SHIFTS: [[u32; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];
    let mut padded = message.to_vec();
    padded.push(0x80);
    while padded.len() % 64 != 56 {
        padded.push(0);
    }
    let bits = u64::try_from(message.len()).unwrap_or(0).wrapping_mul(8);
    padded.extend_from_slice(&bits.to_le_bytes());
    let mut state: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
    for block in padded.chunks_exact(64) {
        let words: Vec<u32> = block.chunks_exact(4).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])).collect();
        let [mut a, mut b, mut c, mut d] = state;
        for step in 0..64_usize {
            let (mix, word) = match step / 16 {
                0 => ((b & c) | (!b & d), step),
                1 => ((d & b) | (!d & c), (5 * step + 1) % 16),
                2 => (b ^ c ^ d, (3 * step + 5) % 16),
                _ => (c ^ (b | !d), 7 * step % 16),
            };
            let rotated = a
                .wrapping_add(mix)
                .wrapping_add(sine(step))
                .wrapping_add(words.get(word).copied().unwrap_or(0))
                .rotate_left(SHIFTS[step / 16][step % 4]);
            (a, d, c, b) = (d, c, b, b.wrapping_add(rotated));
        }
        for (part, add) in state.iter_mut().zip([a, b, c, d]) {
            *part = part.wrapping_add(add);
        }
    }
    state.iter().flat_map(|part| part.to_le_bytes()).map(|byte| format!("{byte:02x}")).collect()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "the table is defined so")]
fn sine(step: usize) -> u32 {
    (((step + 1) as f64).sin().abs() * 4_294_967_296.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_and_encodings() {
        assert_eq!(md5(b""), "d41d8cd98f00b204e9800998ecf8427e");
        assert_eq!(md5(b"The quick brown fox jumps over the lazy dog"), "9e107d9d372bb6826bd81d3542a419d6");
        for text in ["", "f", "fo", "foo", "foob", "fooba", "foobar"] {
            assert_eq!(from_base64(&base64(text.as_bytes())).unwrap(), text.as_bytes());
        }
        assert_eq!(base64(b"fooba"), "Zm9vYmE=");
    }

    #[test]
    fn substrings() {
        assert_eq!(substring("string", -2, Some(5)).unwrap(), "st");
        assert_eq!(substring("string", 2, Some(3)).unwrap(), "tri");
        assert!(substring("string", 2, Some(-1)).is_err());
        assert_eq!(split_part("a,b,c", ",", -1).unwrap(), "c");
    }
}
