//! Array literals: `{1,2,NULL,"a b"}`, nested for more dimensions (`array_in`, `array_out`).

use datafusion::common::Result;
use lakegate_engine_api::DataError;

use crate::functions::error;

/// What a literal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Element {
    Null,
    Value(String),
    Array(Vec<Element>),
}

/// Reads a literal.
///
/// # Errors
/// 22P02 `malformed array literal`.
pub fn parse(text: &str) -> Result<Vec<Element>> {
    let malformed = || error::data(DataError::InvalidTextRepresentation, format_args!("malformed array literal: \"{text}\""));
    let trimmed = text.trim();
    // Explicit bounds, `[0:2]={…}`, say where subscripts begin; ours always begin at 1.
    if trimmed.starts_with('[') {
        return Err(error::unsupported("array literals with explicit bounds"));
    }
    let mut reader = Reader { rest: trimmed.chars().collect(), at: 0 };
    let elements = reader.array().ok_or_else(malformed)?;
    if reader.at == reader.rest.len() { Ok(elements) } else { Err(malformed()) }
}

struct Reader {
    rest: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.rest.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn array(&mut self) -> Option<Vec<Element>> {
        (self.peek()? == '{').then(|| self.at += 1)?;
        let mut elements = Vec::new();
        self.skip_space();
        if self.peek()? == '}' {
            self.at += 1;
            return Some(elements);
        }
        loop {
            self.skip_space();
            elements.push(self.element()?);
            self.skip_space();
            let next = self.peek()?;
            self.at += 1;
            match next {
                ',' => {}
                '}' => return Some(elements),
                _ => return None,
            }
        }
    }

    fn element(&mut self) -> Option<Element> {
        match self.peek()? {
            '{' => self.array().map(Element::Array),
            '"' => {
                self.at += 1;
                let mut value = String::new();
                loop {
                    let c = self.peek()?;
                    self.at += 1;
                    match c {
                        '"' => return Some(Element::Value(value)),
                        '\\' => {
                            value.push(self.peek()?);
                            self.at += 1;
                        }
                        c => value.push(c),
                    }
                }
            }
            ',' | '}' => None,
            _ => {
                let mut value = String::new();
                let mut escaped = false;
                while let Some(c) = self.peek().filter(|c| !matches!(c, ',' | '}' | '{' | '"')) {
                    self.at += 1;
                    if c == '\\' {
                        value.push(self.peek()?);
                        self.at += 1;
                        escaped = true;
                    } else {
                        value.push(c);
                    }
                }
                let value = value.trim_end().to_owned();
                if !escaped && value.eq_ignore_ascii_case("null") { Some(Element::Null) } else { Some(Element::Value(value)) }
            }
        }
    }
}

/// Appends an element's text, quoted where the literal's syntax needs it.
pub fn push_element(out: &mut String, text: &str) {
    let plain = !text.is_empty()
        && !text.eq_ignore_ascii_case("null")
        && !text.contains(|c: char| matches!(c, '{' | '}' | ',' | '"' | '\\') || c.is_ascii_whitespace() || c == '\u{b}');
    if plain {
        out.push_str(text);
        return;
    }
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let value = |text: &str| Element::Value(text.to_owned());
        assert_eq!(parse("{}").unwrap(), vec![]);
        assert_eq!(parse(r#"{1, NULL ,"a\"b","null"}"#).unwrap(), vec![value("1"), Element::Null, value("a\"b"), value("null")]);
        assert_eq!(parse("{{1,2},{3,4}}").unwrap().len(), 2);
        for bad in ["", "1", "{1", "{1,}", "{1}x", "{,}"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
