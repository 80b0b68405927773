//! json and jsonb input. json keeps the text; jsonb is kept in the form that `jsonb_out` prints: keys by length and bytes, the
//! last of equal keys, numbers as numeric prints them.

use std::collections::BTreeMap;

use super::numeric::Numeric;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::rows::json::escape;

/// Nesting beyond which a document is refused: the parser is recursive, and a session runs on a small stack.
const DEPTH_MAX: usize = 512;

/// # Errors
/// 22P02, 54001.
pub fn check_json(text: &str) -> Result<(), SqlError> {
    Parser::new(text, false).document().map(drop)
}

/// # Errors
/// 22P02, 22P05, 54001.
pub fn normalise_jsonb(text: &str) -> Result<String, SqlError> {
    let value = Parser::new(text, true).document()?;
    let mut out = Vec::with_capacity(text.len());
    value.write(&mut out);
    String::from_utf8(out).map_err(|_| SqlError::new(SqlState::InvalidTextRepresentation, "invalid input syntax for type json"))
}

/// A member of an object.
pub enum Member<'a> {
    Null,
    /// Decoded, and as it was written.
    String {
        text: String,
        json: &'a str,
    },
    Other(&'a str),
}

impl Member<'_> {
    /// As it was written.
    #[must_use]
    pub fn json(&self) -> &str {
        match self {
            Member::Null => "null",
            Member::String { json, .. } | Member::Other(json) => json,
        }
    }
}

/// The members of an object, in order.
///
/// # Errors
/// 22P02 for what is no object, 22P05, 54001.
pub fn members(text: &str) -> Result<Vec<(String, Member<'_>)>, SqlError> {
    let mut parser = Parser::new(text, true);
    let mut members = Vec::new();
    if !parser.take(b'{') {
        return Err(parser.expected("\"{\""));
    }
    let mut more = !parser.take(b'}');
    while more {
        if parser.peek() != Some(b'"') {
            return Err(parser.expected("string"));
        }
        let name = parser.string()?;
        if !parser.take(b':') {
            return Err(parser.expected("\":\""));
        }
        members.push((name, parser.member()?));
        more = parser.take(b',');
        if !more && !parser.take(b'}') {
            return Err(parser.expected("\",\" or \"}\""));
        }
    }
    match parser.peek() {
        None => Ok(members),
        Some(_) => Err(parser.expected("end of input")),
    }
}

/// A JSON array as the literal of an array of PostgreSQL.
///
/// # Errors
/// 22P02.
pub fn array_literal(json: &str) -> Result<String, SqlError> {
    let mut out = String::new();
    Parser::new(json, true).document()?.write_literal(&mut out);
    Ok(out)
}

enum Value {
    Word(&'static str),
    Number(String),
    String(String),
    Array(Vec<Value>),
    Object(BTreeMap<Key, Value>),
}

/// Ordered by length, then bytes.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    length: usize,
    name: String,
}

impl Value {
    /// As an element of an array's literal, or as the array.
    fn write_literal(&self, out: &mut String) {
        let quoted = |text: &str, out: &mut String| {
            out.push('"');
            for character in text.chars() {
                if matches!(character, '"' | '\\') {
                    out.push('\\');
                }
                out.push(character);
            }
            out.push('"');
        };
        match self {
            Value::Word("null") => out.push_str("NULL"),
            Value::Word(word) => out.push_str(word),
            Value::Number(number) => out.push_str(number),
            Value::String(text) => quoted(text, out),
            Value::Array(values) => {
                out.push('{');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write_literal(out);
                }
                out.push('}');
            }
            Value::Object(_) => {
                let mut json = Vec::new();
                self.write(&mut json);
                quoted(&String::from_utf8_lossy(&json), out);
            }
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::Word(word) => out.extend_from_slice(word.as_bytes()),
            Value::Number(number) => out.extend_from_slice(number.as_bytes()),
            Value::String(text) => escape(text.as_bytes(), out),
            Value::Array(values) => {
                out.push(b'[');
                for (index, value) in values.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    value.write(out);
                }
                out.push(b']');
            }
            Value::Object(members) => {
                out.push(b'{');
                for (index, (key, value)) in members.iter().enumerate() {
                    if index > 0 {
                        out.extend_from_slice(b", ");
                    }
                    escape(key.name.as_bytes(), out);
                    out.extend_from_slice(b": ");
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    /// Values are wanted, not only the verdict.
    builds: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, builds: bool) -> Self {
        Parser { text, at: 0, depth: 0, builds }
    }

    fn document(mut self) -> Result<Value, SqlError> {
        let value = self.value()?;
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.expected("end of input")),
        }
    }

    fn value(&mut self) -> Result<Value, SqlError> {
        match self.peek() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => self.string().map(Value::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't' | b'f' | b'n') => {
                let token = self.token();
                match ["true", "false", "null"].into_iter().find(|word| *word == token) {
                    Some(word) => {
                        self.at += word.len();
                        Ok(Value::Word(word))
                    }
                    None => Err(self.invalid_token()),
                }
            }
            _ => Err(self.expected("JSON value")),
        }
    }

    /// At a member's value.
    fn member(&mut self) -> Result<Member<'a>, SqlError> {
        let first = self.peek();
        let start = self.at;
        let decoded = if first == Some(b'"') { Some(self.string()?) } else { None };
        if decoded.is_none() {
            self.builds = false;
            self.value()?;
            self.builds = true;
        }
        let json = self.text.get(start..self.at).unwrap_or_default();
        Ok(match decoded {
            Some(text) => Member::String { text, json },
            None if json == "null" => Member::Null,
            None => Member::Other(json),
        })
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Result<Value, SqlError>) -> Result<Value, SqlError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(SqlError::new(SqlState::StatementTooComplex, "stack depth limit exceeded")
                .detail(format!("JSON values may be nested {DEPTH_MAX} levels deep.")));
        }
        self.at += 1;
        let value = parse(self)?;
        self.depth -= 1;
        Ok(value)
    }

    fn array(&mut self) -> Result<Value, SqlError> {
        let mut values = Vec::new();
        if self.take(b']') {
            return Ok(Value::Array(values));
        }
        loop {
            let value = self.value()?;
            if self.builds {
                values.push(value);
            }
            if self.take(b']') {
                return Ok(Value::Array(values));
            }
            if !self.take(b',') {
                return Err(self.expected("\",\" or \"]\""));
            }
        }
    }

    fn object(&mut self) -> Result<Value, SqlError> {
        let mut members = BTreeMap::new();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            if self.peek() != Some(b'"') {
                return Err(self.expected(if members.is_empty() { "string or \"}\"" } else { "string" }));
            }
            let name = self.string()?;
            if !self.take(b':') {
                return Err(self.expected("\":\""));
            }
            let value = self.value()?;
            if self.builds {
                members.insert(Key { length: name.len(), name }, value);
            }
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            if !self.take(b',') {
                return Err(self.expected("\",\" or \"}\""));
            }
        }
    }

    fn number(&mut self) -> Result<Value, SqlError> {
        let token = self.token();
        let unsigned = token.strip_prefix('-').unwrap_or(token);
        let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let leading_zero = whole > 1 && unsigned.starts_with('0');
        let rest = unsigned.get(whole..).unwrap_or_default();
        let (fraction, exponent) = match rest.split_once(['e', 'E']) {
            Some((fraction, exponent)) => (fraction, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
            None => (rest, None),
        };
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        let fraction_is_right = fraction.is_empty() || fraction.strip_prefix('.').is_some_and(digits);
        if whole == 0 || leading_zero || !fraction_is_right || !exponent.is_none_or(digits) {
            return Err(self.invalid_token());
        }
        self.at += token.len();
        if !self.builds {
            return Ok(Value::Number(String::new()));
        }
        let mut printed = Vec::new();
        Numeric::parse(token)?.write_text(&mut printed);
        Ok(Value::Number(String::from_utf8(printed).unwrap_or_default()))
    }

    /// At its opening quote.
    fn string(&mut self) -> Result<String, SqlError> {
        let mut content = String::new();
        self.at += 1;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.bytes().take_while(|byte| !matches!(byte, b'"' | b'\\' | 0..0x20)).count();
            if self.builds {
                content.push_str(rest.get(..plain).unwrap_or_default());
            }
            self.at += plain;
            match rest.as_bytes().get(plain) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(content);
                }
                Some(b'\\') => self.escape(&mut content)?,
                Some(byte) => return Err(self.error(format!("Character with value 0x{byte:02x} must be escaped."))),
                None => return Err(self.error("The input string ended unexpectedly.".to_owned())),
            }
        }
    }

    fn escape(&mut self, content: &mut String) -> Result<(), SqlError> {
        let plain = match self.text.as_bytes().get(self.at + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(content),
            Some(_) => {
                let character = self.text.get(self.at + 1..).and_then(|rest| rest.chars().next()).unwrap_or_default();
                return Err(self.error(format!("Escape sequence \"\\{character}\" is invalid.")));
            }
            None => return Err(self.error("The input string ended unexpectedly.".to_owned())),
        };
        content.push(plain);
        self.at += 2;
        Ok(())
    }

    /// At the backslash of `\u1234`; a high surrogate must have its low one behind it.
    fn unicode(&mut self, content: &mut String) -> Result<(), SqlError> {
        let first = self.hex_four(self.at + 2)?;
        self.at += 6;
        if !self.builds {
            return Ok(());
        }
        let character = match first {
            0 => {
                return Err(SqlError::new(SqlState::UntranslatableCharacter, "unsupported Unicode escape sequence")
                    .detail("\\u0000 cannot be converted to text."));
            }
            0xd800..0xdc00 => {
                let low = if self.text.get(self.at..self.at + 2) == Some("\\u") { self.hex_four(self.at + 2)? } else { 0 };
                if !(0xdc00..0xe000).contains(&low) {
                    return Err(self.error("Unicode low surrogate must follow a high surrogate.".to_owned()));
                }
                self.at += 6;
                char::from_u32(0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00))
            }
            other => char::from_u32(other),
        };
        content.push(character.ok_or_else(|| self.error("Unicode low surrogate must follow a high surrogate.".to_owned()))?);
        Ok(())
    }

    fn hex_four(&self, at: usize) -> Result<u32, SqlError> {
        let digits = self.text.get(at..at + 4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let value = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        value.ok_or_else(|| self.error("\"\\u\" must be followed by four hexadecimal digits.".to_owned()))
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.at += rest.bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// A word or a number, as far as it goes; any other character by itself.
    fn token(&self) -> &'a str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-') || *byte >= 0x80;
        let length = rest.bytes().take_while(part).count();
        if length > 0 {
            rest.get(..length).unwrap_or_default()
        } else {
            rest.get(..rest.chars().next().map_or(0, char::len_utf8)).unwrap_or_default()
        }
    }

    fn invalid_token(&self) -> SqlError {
        self.error(format!("Token \"{}\" is invalid.", self.token()))
    }

    fn expected(&mut self, what: &str) -> SqlError {
        match self.peek() {
            None => self.error("The input string ended unexpectedly.".to_owned()),
            Some(byte) if byte.is_ascii_alphabetic() && !matches!(self.token(), "true" | "false" | "null") => self.invalid_token(),
            Some(b'"') => {
                let rest = self.text.get(self.at..).unwrap_or_default();
                let end = rest.get(1..).and_then(|rest| rest.find('"')).map_or(rest.len(), |end| end + 2);
                self.error(format!("Expected {what}, but found \"{}\".", rest.get(..end).unwrap_or_default()))
            }
            Some(_) => self.error(format!("Expected {what}, but found \"{}\".", self.token())),
        }
    }

    fn error(&self, detail: String) -> SqlError {
        SqlError::new(SqlState::InvalidTextRepresentation, "invalid input syntax for type json").detail(detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jsonb_is_kept_as_it_prints() {
        for (input, expected) in [
            (r#" {"bb":1, "a":[1.50,1e2, true,null], "a":{"x":"\u00e9\n"}} "#, "{\"a\": {\"x\": \"é\\n\"}, \"bb\": 1}"),
            ("[]", "[]"),
            (r#""\ud83d\ude00""#, "\"😀\""),
            ("[-0.10]", "[-0.10]"),
        ] {
            assert_eq!(normalise_jsonb(input).unwrap(), expected);
        }
        assert_eq!(normalise_jsonb(r#"{"a":"\u0000"}"#).unwrap_err().state, SqlState::UntranslatableCharacter);
        assert!(check_json(r#"{"a":"\u0000"}"#).is_ok());
    }

    #[test]
    fn what_is_not_json() {
        for wrong in ["", "a", "{\"a\":}", "[1,]", "01", "1.", "-", "\"\t\"", "{} {}", "{1:2}", "tru", "\"\\x\"", "\"a"] {
            assert_eq!(check_json(wrong).unwrap_err().state, SqlState::InvalidTextRepresentation, "{wrong}");
        }
        assert_eq!(check_json(&"[".repeat(100_000)).unwrap_err().state, SqlState::StatementTooComplex);
    }
}
