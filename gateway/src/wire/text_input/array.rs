//! Array literals: `{1,NULL,"a b"}`, nested for several dimensions. Mirrors `array_in`.

use super::scalar::is_blank;
use crate::sqlstate::{SqlError, SqlState};

/// As `MAXDIM`.
pub const DIMENSIONS_MAX: usize = 6;

/// What a literal holds, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Null,
    Text(String),
    Array(Vec<Item>),
}

/// # Errors
/// 22P02, 54000.
pub fn parse_array(text: &str) -> Result<Vec<Item>, SqlError> {
    let mut parser = Parser { text, bytes: text.as_bytes(), at: 0 };
    parser.blanks();
    let declared = parser.declared_bounds()?;
    if parser.peek() != Some(b'{') {
        return Err(parser.malformed("Array value must start with \"{\" or dimension information."));
    }
    let items = parser.items(1)?;
    parser.blanks();
    if parser.peek().is_some() {
        return Err(parser.malformed("Junk after closing right brace."));
    }
    let mut lengths = Vec::new();
    if !is_rectangular(&items, 0, &mut lengths) {
        return Err(parser.malformed("Multidimensional arrays must have sub-arrays with matching dimensions."));
    }
    if declared.is_some_and(|declared| declared != lengths) {
        return Err(parser.malformed("Specified array dimensions do not match array contents."));
    }
    Ok(if lengths.contains(&0) { Vec::new() } else { items })
}

/// 54000.
#[must_use]
pub fn too_many_dimensions(dimensions: usize) -> SqlError {
    let message = format!("number of array dimensions ({dimensions}) exceeds the maximum allowed ({DIMENSIONS_MAX})");
    SqlError::new(SqlState::ProgramLimitExceeded, message)
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    /// At the opening brace.
    fn items(&mut self, depth: usize) -> Result<Vec<Item>, SqlError> {
        if depth > DIMENSIONS_MAX {
            return Err(too_many_dimensions(depth));
        }
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(items);
        }
        loop {
            self.blanks();
            let item = match self.peek() {
                Some(b'{') => {
                    if items.iter().any(|item| !matches!(item, Item::Array(_))) {
                        return Err(self.malformed("Unexpected \"{\" character."));
                    }
                    Item::Array(self.items(depth + 1)?)
                }
                Some(b'"') => Item::Text(self.quoted()?),
                Some(b',') => return Err(self.malformed("Unexpected \",\" character.")),
                Some(b'}') => return Err(self.malformed("Unexpected \"}\" character.")),
                Some(_) => self.bare()?,
                None => return Err(self.malformed("Unexpected end of input.")),
            };
            if !matches!(item, Item::Array(_)) && items.iter().any(|item| matches!(item, Item::Array(_))) {
                return Err(self.malformed("Unexpected array element."));
            }
            items.push(item);
            self.blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(items);
                }
                Some(_) => return Err(self.malformed("Unexpected array element.")),
                None => return Err(self.malformed("Unexpected end of input.")),
            }
        }
    }

    fn quoted(&mut self) -> Result<String, SqlError> {
        self.at += 1;
        let mut content = Vec::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return self.utf8(content);
                }
                Some(b'\\') => {
                    self.at += 1;
                    content.push(self.peek().ok_or_else(|| self.malformed("Unexpected end of input."))?);
                }
                Some(byte) => content.push(byte),
                None => return Err(self.malformed("Unexpected end of input.")),
            }
            self.at += 1;
        }
    }

    /// Up to a comma or brace, blanks at the end not counted unless escaped.
    fn bare(&mut self) -> Result<Item, SqlError> {
        let mut content = Vec::new();
        let (mut kept, mut escaped) = (0, false);
        loop {
            match self.peek() {
                Some(b',' | b'}') => break,
                Some(b'{') => return Err(self.malformed("Unexpected \"{\" character.")),
                Some(b'"') => return Err(self.malformed("Unexpected array element.")),
                Some(b'\\') => {
                    self.at += 1;
                    content.push(self.peek().ok_or_else(|| self.malformed("Unexpected end of input."))?);
                    kept = content.len();
                    escaped = true;
                }
                Some(byte) => {
                    content.push(byte);
                    if !is_blank(byte) {
                        kept = content.len();
                    }
                }
                None => return Err(self.malformed("Unexpected end of input.")),
            }
            self.at += 1;
        }
        content.truncate(kept);
        if !escaped && content.eq_ignore_ascii_case(b"null") {
            return Ok(Item::Null);
        }
        self.utf8(content).map(Item::Text)
    }

    /// `[1:3][0:1]=` before the braces: its lengths. Arrays that do not begin at 1 lose their lower bounds, which columns do not have.
    fn declared_bounds(&mut self) -> Result<Option<Vec<usize>>, SqlError> {
        let mut lengths = Vec::new();
        while self.peek() == Some(b'[') {
            if lengths.len() == DIMENSIONS_MAX {
                return Err(too_many_dimensions(DIMENSIONS_MAX + 1));
            }
            let rest = self.text.get(self.at + 1..).unwrap_or_default();
            let wrong = || self.malformed("\"[\" must introduce explicitly-specified array dimensions.");
            let (bounds, _) = rest.split_once(']').ok_or_else(wrong)?;
            let (lower, upper) = bounds.split_once(':').unwrap_or(("1", bounds));
            let bound = |text: &str| text.trim().parse::<i32>().map_err(|_| wrong());
            let (lower, upper) = (i64::from(bound(lower)?), i64::from(bound(upper)?));
            if upper < lower {
                return Err(SqlError::new(SqlState::ArraySubscriptError, "upper bound cannot be less than lower bound"));
            }
            if lower != 1 {
                return Err(SqlError::unsupported("an array whose lower bound is not 1"));
            }
            lengths.push(usize::try_from(upper - lower + 1).unwrap_or(usize::MAX));
            self.at += bounds.len() + 2;
            self.blanks();
        }
        if lengths.is_empty() {
            return Ok(None);
        }
        if self.peek() != Some(b'=') {
            return Err(self.malformed("Missing \"=\" after array dimensions."));
        }
        self.at += 1;
        self.blanks();
        Ok(Some(lengths))
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(is_blank) {
            self.at += 1;
        }
    }

    fn utf8(&self, content: Vec<u8>) -> Result<String, SqlError> {
        String::from_utf8(content).map_err(|_| self.malformed("Unexpected array element."))
    }

    fn malformed(&self, detail: &str) -> SqlError {
        SqlError::new(SqlState::InvalidTextRepresentation, format!("malformed array literal: \"{}\"", self.text)).detail(detail)
    }
}

/// All arrays of one depth have one length and hold arrays, or none does.
fn is_rectangular(items: &[Item], depth: usize, lengths: &mut Vec<usize>) -> bool {
    match lengths.get(depth) {
        Some(length) if *length != items.len() => return false,
        Some(_) => {}
        None => lengths.push(items.len()),
    }
    let mut arrays = 0;
    for item in items {
        if let Item::Array(inner) = item {
            arrays += 1;
            if !is_rectangular(inner, depth + 1, lengths) {
                return false;
            }
        }
    }
    arrays == 0 && lengths.len() == depth + 1 || arrays == items.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Item {
        Item::Text(text.to_owned())
    }

    #[test]
    fn items_quotes_and_nulls() {
        assert_eq!(
            parse_array(r#" { 1 , NULL,"null", a b ,"a\"b\\",\N\U } "#).unwrap(),
            [text("1"), Item::Null, text("null"), text("a b"), text("a\"b\\"), text("NU")]
        );
        assert_eq!(parse_array("{{1,2},{3,4}}").unwrap().len(), 2);
        assert_eq!(parse_array("{}").unwrap(), []);
        assert_eq!(parse_array("{{},{}}").unwrap(), []);
        assert_eq!(parse_array("[1:2]={1,2}").unwrap().len(), 2);
    }

    #[test]
    fn malformed_ones() {
        for wrong in ["", "1", "{1,2", "{1,{2}}", "{{1},{2,3}}", "{1}x", "{1,}", "{\"a}", "{a\"b}", "[1:3]={1,2}", "{{1},2}", "{1}{"] {
            assert!(parse_array(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_array("{{{{{{{1}}}}}}}").unwrap_err().state, SqlState::ProgramLimitExceeded);
    }
}
