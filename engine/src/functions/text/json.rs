//! JSON texts: checking them, and jsonb's canonical form (keys by length and bytes, last duplicate wins, one space after
//! each colon and comma, numbers as written).

use std::collections::BTreeMap;

use datafusion::common::Result;
use datafusion::error::DataFusionError;
use lakegate_engine_api::DataError;

use crate::functions::error;

/// A JSON value; numbers keep their text.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Number(String),
    String(String),
    Array(Vec<Json>),
    /// In the order written.
    Object(Vec<(String, Json)>),
}

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 1_000;

/// Whether a text is JSON.
///
/// # Errors
/// 22P02.
pub fn validate(text: &str) -> Result<()> {
    parse(text).map(|_| ())
}

/// The text of a jsonb value.
///
/// # Errors
/// 22P02.
pub fn normalize(text: &str) -> Result<String> {
    Ok(parse(text)?.canonical().to_text())
}

/// Reads a text.
///
/// # Errors
/// 22P02.
pub fn parse(text: &str) -> Result<Json> {
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0 };
    reader.value(0).and_then(|value| reader.end().map(|()| value)).ok_or_else(|| invalid(text))
}

fn invalid(_text: &str) -> DataFusionError {
    error::data(DataError::InvalidTextRepresentation, "invalid input syntax for type json")
}

impl Json {
    /// jsonb's form: keys sorted by length then bytes, later duplicates win.
    #[must_use]
    pub fn canonical(self) -> Json {
        match self {
            Json::Array(items) => Json::Array(items.into_iter().map(Json::canonical).collect()),
            Json::Object(entries) => {
                let sorted: BTreeMap<(usize, String), Json> =
                    entries.into_iter().map(|(key, value)| ((key.len(), key), value.canonical())).collect();
                Json::Object(sorted.into_iter().map(|((_, key), value)| (key, value)).collect())
            }
            Json::Number(text) => Json::Number(canonical_number(&text)),
            other => other,
        }
    }

    /// With jsonb's spacing.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.push(&mut out, ", ", ": ");
        out
    }

    /// Without spaces, as json functions build objects of given parts.
    #[must_use]
    pub fn compact(&self) -> String {
        let mut out = String::new();
        self.push(&mut out, ",", ":");
        out
    }

    /// `jsonb_pretty`.
    #[must_use]
    pub fn pretty(&self) -> String {
        let mut out = String::new();
        self.push_pretty(&mut out, 0);
        out
    }

    fn push(&self, out: &mut String, comma: &str, colon: &str) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Number(text) => out.push_str(text),
            Json::String(text) => push_string(out, text),
            Json::Array(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push_str(comma);
                    }
                    item.push(out, comma, colon);
                }
                out.push(']');
            }
            Json::Object(entries) => {
                out.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push_str(comma);
                    }
                    push_string(out, key);
                    out.push_str(colon);
                    value.push(out, comma, colon);
                }
                out.push('}');
            }
        }
    }

    fn push_pretty(&self, out: &mut String, depth: usize) {
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth * 4));
        };
        match self {
            Json::Array(items) if !items.is_empty() => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, depth + 1);
                    item.push_pretty(out, depth + 1);
                }
                line(out, depth);
                out.push(']');
            }
            Json::Object(entries) if !entries.is_empty() => {
                out.push('{');
                for (at, (key, value)) in entries.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    line(out, depth + 1);
                    push_string(out, key);
                    out.push_str(": ");
                    value.push_pretty(out, depth + 1);
                }
                line(out, depth);
                out.push('}');
            }
            Json::Array(_) => out.push_str("[\n]"),
            Json::Object(_) => out.push_str("{\n}"),
            other => other.push(out, ", ", ": "),
        }
    }

    /// `json_typeof`.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "boolean",
            Json::Number(_) => "number",
            Json::String(_) => "string",
            Json::Array(_) => "array",
            Json::Object(_) => "object",
        }
    }

    /// Field of an object; of duplicates the last.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<&Json> {
        match self {
            Json::Object(entries) => entries.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value),
            _ => None,
        }
    }

    /// jsonb's `@>`.
    #[must_use]
    pub fn contains(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(_), Json::Object(entries)) => {
                entries.iter().all(|(key, wanted)| self.field(key).is_some_and(|value| value.contains_nested(wanted)))
            }
            (Json::Array(items), Json::Array(wanted)) => wanted.iter().all(|wanted| items.iter().any(|item| item.contains_nested(wanted))),
            // An array may contain a primitive at the top.
            (Json::Array(_), Json::Object(_)) => false,
            (Json::Array(items), wanted) => items.iter().any(|item| item.equals(wanted)),
            (value, wanted) => value.equals(wanted),
        }
    }

    fn contains_nested(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Object(_), Json::Object(_)) | (Json::Array(_), Json::Array(_)) => self.contains(other),
            (value, wanted) => value.equals(wanted),
        }
    }

    /// jsonb's equality: numbers by value, objects without order.
    #[must_use]
    pub fn equals(&self, other: &Json) -> bool {
        match (self, other) {
            (Json::Number(a), Json::Number(b)) => comparable_number(a) == comparable_number(b),
            (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.equals(b)),
            (Json::Object(a), Json::Object(b)) => {
                a.len() == b.len() && a.iter().all(|(key, value)| other.field(key).is_some_and(|found| value.equals(found)))
            }
            (a, b) => a == b,
        }
    }
}

/// The text of an object's field, as written; of duplicates the last.
#[must_use]
pub fn raw_field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    raw_entries(text)?.into_iter().rev().find(|(name, _)| name == key).map(|(_, value)| value)
}

/// The text of an array's element, from 0; negative counts from the end.
#[must_use]
pub fn raw_element(text: &str, index: i64) -> Option<&str> {
    let items = raw_items(text)?;
    let length = i64::try_from(items.len()).ok()?;
    let index = if index < 0 { length + index } else { index };
    items.get(usize::try_from(index).ok()?).copied()
}

/// By keys and indexes; `None` where the path leads nowhere.
#[must_use]
pub fn raw_path<'a, 'p>(text: &'a str, path: impl IntoIterator<Item = &'p str>) -> Option<&'a str> {
    path.into_iter().try_fold(text.trim(), |text, step| match text.as_bytes().first()? {
        b'{' => raw_field(text, step),
        b'[' => step.parse().ok().and_then(|index| raw_element(text, index)),
        _ => None,
    })
}

/// Keys and texts of the values of an object.
#[must_use]
pub fn raw_entries(text: &str) -> Option<Vec<(String, &str)>> {
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0 };
    reader.expect(b'{')?;
    let mut entries = Vec::new();
    if reader.next()? == b'}' {
        return Some(entries);
    }
    loop {
        if reader.next()? != b'"' {
            return None;
        }
        let key = reader.string()?;
        reader.expect(b':')?;
        reader.skip_space();
        let start = reader.at;
        reader.value(0)?;
        entries.push((key, text.get(start..reader.at)?));
        match reader.next()? {
            b',' => reader.at += 1,
            _ => return Some(entries),
        }
    }
}

/// Texts of the elements of an array.
#[must_use]
pub fn raw_items(text: &str) -> Option<Vec<&str>> {
    let mut reader = Reader { bytes: text.as_bytes(), text, at: 0 };
    reader.expect(b'[')?;
    let mut items = Vec::new();
    if reader.next()? == b']' {
        return Some(items);
    }
    loop {
        reader.skip_space();
        let start = reader.at;
        reader.value(0)?;
        items.push(text.get(start..reader.at)?);
        match reader.next()? {
            b',' => reader.at += 1,
            _ => return Some(items),
        }
    }
}

/// What `->>` shows of a value's text: strings bare, NULL for null.
#[must_use]
pub fn raw_as_text(text: &str) -> Option<String> {
    match text.as_bytes().first()? {
        b'"' => match parse(text) {
            Ok(Json::String(text)) => Some(text),
            _ => None,
        },
        b'n' => None,
        _ => Some(text.to_owned()),
    }
}

/// Exponents written out, as numeric prints them.
fn canonical_number(text: &str) -> String {
    if !text.contains(['e', 'E']) {
        return if text == "-0" { "0".to_owned() } else { text.to_owned() };
    }
    match super::number::Decimal::parse(text) {
        Ok(decimal) => {
            let digits = if decimal.digits.is_empty() { "0" } else { &decimal.digits };
            let sign = if decimal.negative && digits != "0" { "-" } else { "" };
            super::number::decimal(&format!("{sign}{digits}"), i8::try_from(decimal.scale).unwrap_or(i8::MAX))
        }
        Err(_) => text.to_owned(),
    }
}

fn comparable_number(text: &str) -> String {
    let text = canonical_number(text);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A JSON string literal, escaped as `escape_json` does.
pub fn push_string(out: &mut String, text: &str) {
    use std::fmt::Write;
    out.push('"');
    for c in text.chars() {
        match c {
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if u32::from(c) < 0x20 => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

struct Reader<'a> {
    bytes: &'a [u8],
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn skip_space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn next(&mut self) -> Option<u8> {
        self.skip_space();
        self.bytes.get(self.at).copied()
    }

    fn end(&mut self) -> Option<()> {
        self.next().is_none().then_some(())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    fn value(&mut self, depth: usize) -> Option<Json> {
        if depth > DEPTH_MAX {
            return None;
        }
        match self.next()? {
            b'{' => self.object(depth),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                if self.next()? == b']' {
                    self.at += 1;
                    return Some(Json::Array(items));
                }
                loop {
                    items.push(self.value(depth + 1)?);
                    match self.next()? {
                        b',' => self.at += 1,
                        b']' => {
                            self.at += 1;
                            return Some(Json::Array(items));
                        }
                        _ => return None,
                    }
                }
            }
            b'"' => self.string().map(Json::String),
            b't' => self.word("true", Json::Bool(true)),
            b'f' => self.word("false", Json::Bool(false)),
            b'n' => self.word("null", Json::Null),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Json> {
        self.at += 1;
        let mut entries = Vec::new();
        if self.next()? == b'}' {
            self.at += 1;
            return Some(Json::Object(entries));
        }
        loop {
            if self.next()? != b'"' {
                return None;
            }
            let key = self.string()?;
            self.expect(b':')?;
            entries.push((key, self.value(depth + 1)?));
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Some(Json::Object(entries));
                }
                _ => return None,
            }
        }
    }

    fn word(&mut self, word: &str, value: Json) -> Option<Json> {
        self.text.get(self.at..)?.starts_with(word).then(|| self.at += word.len())?;
        match self.bytes.get(self.at) {
            Some(byte) if byte.is_ascii_alphanumeric() => None,
            _ => Some(value),
        }
    }

    fn number(&mut self) -> Option<Json> {
        let start = self.at;
        let digits = |reader: &mut Self| {
            let from = reader.at;
            while reader.bytes.get(reader.at).is_some_and(u8::is_ascii_digit) {
                reader.at += 1;
            }
            (reader.at > from).then_some(reader.at - from)
        };
        if self.bytes.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        let leading_zero = self.bytes.get(self.at) == Some(&b'0');
        let count = digits(self)?;
        if leading_zero && count > 1 {
            return None;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            digits(self)?;
        }
        if matches!(self.bytes.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.bytes.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            digits(self)?;
        }
        self.text.get(start..self.at).map(|text| Json::Number(text.to_owned()))
    }

    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.find(|c: char| c == '"' || c == '\\' || u32::from(c) < 0x20)?;
            out.push_str(rest.get(..plain)?);
            self.at += plain;
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => {
                    let escape = *self.bytes.get(self.at + 1)?;
                    self.at += 2;
                    out.push(match escape {
                        b'"' | b'\\' | b'/' => char::from(escape),
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => self.unicode()?,
                        _ => return None,
                    });
                }
                _ => return None,
            }
        }
    }

    fn unicode(&mut self) -> Option<char> {
        let unit = |reader: &mut Self| {
            let unit = u32::from_str_radix(reader.text.get(reader.at..reader.at + 4)?, 16).ok()?;
            reader.at += 4;
            Some(unit)
        };
        let first = unit(self)?;
        if (0xd800..0xdc00).contains(&first) {
            self.text.get(self.at..)?.starts_with("\\u").then(|| self.at += 2)?;
            let second = unit(self)?.checked_sub(0xdc00).filter(|low| *low < 0x400)?;
            return char::from_u32(0x10000 + ((first - 0xd800) << 10) + second);
        }
        char::from_u32(first).filter(|c| *c != '\0')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_is_canonical() {
        assert_eq!(
            normalize(r#" {"bb":1.50, "a":[true,null,"x\u00e9\n"], "bb":2e2} "#).unwrap(),
            r#"{"a": [true, null, "xé\n"], "bb": 200}"#
        );
        for bad in ["", "{", "{a:1}", "[1,]", "01", "\"\u{1}\"", "tru", "1 2", "nul", r#""\ud800""#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn containment() {
        let json = |text: &str| parse(text).unwrap();
        assert!(json(r#"{"a":{"b":1,"c":2},"d":[1,2,3]}"#).contains(&json(r#"{"a":{"b":1.0},"d":[3]}"#)));
        assert!(!json(r#"{"a":{"b":1}}"#).contains(&json(r#"{"b":1}"#)));
        assert!(json("[1,[2,3]]").contains(&json("[[3]]")));
        assert!(json(r#"["foo","bar"]"#).contains(&json(r#""bar""#)));
    }
}
