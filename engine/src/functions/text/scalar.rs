//! Text forms of booleans, UUIDs and byte strings.

use std::fmt::Write;

use datafusion::common::Result;

use crate::functions::error::invalid_input;

/// `boolin`: any unambiguous prefix of true, false, yes, no, on, off; 1 and 0.
///
/// # Errors
/// 22P02.
pub fn parse_bool(text: &str) -> Result<bool> {
    let lower = text.trim().to_ascii_lowercase();
    let prefix_of = |word: &str| !lower.is_empty() && word.starts_with(&lower);
    match lower.as_str() {
        "1" | "on" => Ok(true),
        "0" | "of" | "off" => Ok(false),
        "o" => Err(invalid_input("boolean", text)),
        _ if prefix_of("true") || prefix_of("yes") => Ok(true),
        _ if prefix_of("false") || prefix_of("no") => Ok(false),
        _ => Err(invalid_input("boolean", text)),
    }
}

/// `uuid_in`, as the canonical lower-case form.
///
/// # Errors
/// 22P02.
pub fn parse_uuid(text: &str) -> Result<String> {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(invalid_input("uuid", text));
    }
    // A hyphen may stand after each group of four digits.
    let mut seen = 0;
    for c in bare.chars() {
        if c == '-' {
            if seen % 4 != 0 || seen == 0 || seen == 32 {
                return Err(invalid_input("uuid", text));
            }
        } else {
            seen += 1;
        }
    }
    let lower = digits.to_ascii_lowercase();
    let parts = [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| lower.get(range).unwrap_or_default().to_owned());
    Ok(parts.join("-"))
}

/// `byteain`: `\x` with hexadecimal digits, or the escape form.
///
/// # Errors
/// 22P02, 22023 for bad hexadecimal digits.
pub fn parse_bytea(text: &str) -> Result<Vec<u8>> {
    if let Some(digits) = text.strip_prefix("\\x") {
        return hex(digits).ok_or_else(|| {
            let bad = digits.chars().find(|c| !c.is_ascii_hexdigit() && !c.is_ascii_whitespace());
            crate::functions::error::data(
                lakegate_engine_api::DataError::InvalidParameterValue,
                match bad {
                    Some(c) => format!("invalid hexadecimal digit: \"{c}\""),
                    None => "invalid hexadecimal data: odd number of digits".to_owned(),
                },
            )
        });
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        if *byte != b'\\' {
            out.push(*byte);
            rest = after;
        } else if let Some(after) = after.strip_prefix(b"\\") {
            out.push(b'\\');
            rest = after;
        } else {
            let octal = after.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..=b'7').contains(digit)));
            let value = octal.map(|digits| digits.iter().fold(0_u32, |sum, digit| sum * 8 + u32::from(digit - b'0')));
            out.push(value.and_then(|value| u8::try_from(value).ok()).ok_or_else(|| invalid_input("bytea", text))?);
            rest = after.get(3..).unwrap_or_default();
        }
    }
    Ok(out)
}

/// Bytes of hexadecimal digits, white space between pairs allowed.
#[must_use]
pub fn hex(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    digits.chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
}

/// `byteaout`.
#[must_use]
pub fn bytea(bytes: &[u8], hex: bool) -> String {
    let mut out = String::with_capacity(bytes.len() * 2 + 2);
    if hex {
        out.push_str("\\x");
        for byte in bytes {
            let _ = write!(out, "{byte:02x}");
        }
    } else {
        for byte in bytes {
            match byte {
                b'\\' => out.push_str("\\\\"),
                0x20..=0x7e => out.push(char::from(*byte)),
                byte => {
                    let _ = write!(out, "\\{byte:03o}");
                }
            }
        }
    }
    out
}
