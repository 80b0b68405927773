//! Upper and lower case, one character to one as `towupper` maps it, and Unicode escapes (documentation, section 9.4).

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::ScalarUDF;
use lakegate_engine_api::{DataError, SqlMistake};

use super::error::{data, mistake};
use super::function::{Body, PgFunction};
use super::types::Ty;

pub fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        mapped("upper", |text| text.chars().map(upper).collect()),
        mapped("lower", |text| text.chars().map(lower).collect()),
        mapped("initcap", initcap),
        PgFunction::immutable("unistr").on(&[Ty::TEXT], Ty::TEXT, Body::Text(Box::new(|row| unistr(row.text(0)).map(Some)))).build(),
    ]
}

fn mapped(name: &'static str, map: fn(&str) -> String) -> Arc<ScalarUDF> {
    PgFunction::immutable(name).on(&[Ty::TEXT], Ty::TEXT, Body::Text(Box::new(move |row| Ok(Some(map(row.text(0))))))).build()
}

/// A character whose upper case is several (`ß`) has none here.
fn upper(c: char) -> char {
    single(c, c.to_uppercase())
}

fn lower(c: char) -> char {
    single(c, c.to_lowercase())
}

fn single(c: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(mapped)) => mapped,
        _ => c,
    }
}

/// Words are runs of letters and digits.
fn initcap(text: &str) -> String {
    let mut inside = false;
    text.chars()
        .map(|c| {
            let mapped = if inside { lower(c) } else { upper(c) };
            inside = c.is_alphanumeric();
            mapped
        })
        .collect()
}

/// `\XXXX`, `\+XXXXXX`, `\uXXXX`, `\UXXXXXXXX`, `\\`.
fn unistr(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        if c != '\\' {
            if high.is_some() {
                return Err(bad_pair());
            }
            out.push(c);
            continue;
        }
        if high.is_none()
            && let Some(after) = rest.strip_prefix('\\')
        {
            out.push('\\');
            rest = after;
            continue;
        }
        let (skip, digits) = match rest.as_bytes().first() {
            Some(b'+') => (1, 6),
            Some(b'u') => (1, 4),
            Some(b'U') => (1, 8),
            _ => (0, 4),
        };
        let hex = rest.get(skip..skip + digits).filter(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(code) = hex.and_then(|hex| u32::from_str_radix(hex, 16).ok()) else {
            return Err(mistake(SqlMistake::Syntax, "invalid Unicode escape"));
        };
        rest = rest.get(skip + digits..).unwrap_or_default();
        match (high.take(), code) {
            (None, 0xd800..=0xdbff) => high = Some(code),
            (Some(first), 0xdc00..=0xdfff) => {
                let code = 0x10000 + ((first & 0x3ff) << 10 | code & 0x3ff);
                out.extend(char::from_u32(code));
            }
            (None, code) => match char::from_u32(code).filter(|c| *c != '\0') {
                Some(c) => out.push(c),
                None if (0xdc00..=0xdfff).contains(&code) => return Err(bad_pair()),
                None => return Err(data(DataError::InvalidParameterValue, format_args!("invalid Unicode code point: {code:04X}"))),
            },
            (Some(_), _) => return Err(bad_pair()),
        }
    }
    if high.is_some() { Err(bad_pair()) } else { Ok(out) }
}

fn bad_pair() -> DataFusionError {
    mistake(SqlMistake::Syntax, "invalid Unicode surrogate pair")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_map_one_to_one() {
        let map = |text: &str, f: fn(char) -> char| text.chars().map(f).collect::<String>();
        assert_eq!(map("straße é ŉ", upper), "STRAßE É ŉ");
        assert_eq!(map("ÄB ẞ", lower), "äb ß");
        assert_eq!(initcap("hi THOMAS o'neil"), "Hi Thomas O'Neil");
    }

    #[test]
    fn unicode_escapes() {
        assert_eq!(unistr(r"d\0061t\+000061\\").unwrap(), r"data\");
        assert_eq!(unistr(r"\D83D\DE00").unwrap(), "😀");
        assert!(unistr(r"\D83D").is_err() && unistr(r"\00").is_err());
    }
}
