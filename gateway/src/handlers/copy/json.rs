//! JSON files: an object a row, one after the other or in one array. Members are matched with columns by name; one that is not there is NULL.

use std::collections::HashMap;

use arrow_schema::Schema;
use lakegate_catalog::model::PgType;

use super::binary::wrong;
use super::fields::{Fields, Found};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::text_input::json::{Member, array_literal, members};

/// What is known of the input before the next row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    /// Rows stand by themselves.
    Lines,
    /// In an array: at its first row.
    First,
    /// In an array: behind a row.
    Next,
    /// Behind the array.
    End,
    /// At psql's end of inline data.
    Marker,
}

/// Where a reader of JSON stands.
#[derive(Debug)]
pub struct Json {
    table: String,
    columns: HashMap<String, (usize, Kind)>,
    width: usize,
    place: Place,
}

/// How a column takes a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// As JSON.
    Json,
    Array,
    Text,
}

impl Json {
    #[must_use]
    pub fn new(table: &str, schema: &Schema) -> Self {
        let kind = |pg: PgType| match pg.oid {
            oid if oid == PgType::JSON.oid || oid == PgType::JSONB.oid => Kind::Json,
            oid if PgType::element_of(oid).is_some() => Kind::Array,
            _ => Kind::Text,
        };
        let columns = schema.fields().iter().enumerate();
        let columns = columns.map(|(at, field)| (field.name().clone(), (at, kind(lakegate_engine_api::pg_type(field)))));
        Json { table: table.to_owned(), columns: columns.collect(), width: schema.fields().len(), place: Place::Start }
    }

    /// Another file begins.
    pub fn restart(&mut self) {
        self.place = Place::Start;
    }

    /// Reads one row from the start of `input`; `last` says that nothing follows it.
    ///
    /// # Errors
    /// 22P04 for what is no object, 22P02 for JSON that is none, 42703 for members that the table does not have.
    pub fn read(&mut self, input: &[u8], last: bool, fields: &mut Fields) -> Result<Found, SqlError> {
        let (start, place) = self.row_start(input)?;
        let Some(start) = start else {
            if place == Place::Marker {
                return Ok(Found::End);
            }
            return if last && matches!(place, Place::First | Place::Next) { Err(cut()) } else { Ok(Found::More) };
        };
        let rest = input.get(start..).unwrap_or_default();
        let Some(length) = object_length(rest) else { return if last { Err(cut()) } else { Ok(Found::More) } };
        let text = std::str::from_utf8(rest.get(..length).unwrap_or_default())
            .map_err(|_| SqlError::new(SqlState::CharacterNotInRepertoire, "invalid byte sequence for encoding \"UTF8\""))?;
        self.fill(text, fields)?;
        self.place = match place {
            Place::Start | Place::Lines => Place::Lines,
            _ => Place::Next,
        };
        Ok(Found::Record { used: start + length, line: start + length, is_last: false })
    }

    /// Where the next object begins, `None`: it takes more input, or there is none; and what is known behind what was looked at.
    fn row_start(&self, input: &[u8]) -> Result<(Option<usize>, Place), SqlError> {
        let mut place = self.place;
        for (at, byte) in input.iter().enumerate() {
            place = match (byte, place) {
                (b' ' | b'\t' | b'\n' | b'\r', place) => place,
                (b'{', Place::Start | Place::Lines | Place::First) => return Ok((Some(at), place)),
                (b'[', Place::Start) => Place::First,
                // The comma is looked at anew with the object behind it.
                (b',', Place::Next) => {
                    let behind = input.get(at + 1..).unwrap_or_default();
                    let blanks = behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                    return match behind.get(blanks) {
                        Some(b'{') => Ok((Some(at + 1 + blanks), place)),
                        None => Ok((None, place)),
                        Some(_) => Err(no_object()),
                    };
                }
                (b']', Place::First | Place::Next) => Place::End,
                (b'\\', Place::Start | Place::Lines | Place::End) => return Ok((None, Place::Marker)),
                _ => return Err(no_object()),
            };
        }
        Ok((None, place))
    }

    fn fill(&self, text: &str, fields: &mut Fields) -> Result<(), SqlError> {
        let mut values: Vec<Option<String>> = vec![None; self.width];
        for (name, member) in members(text)? {
            let Some((at, kind)) = self.columns.get(&name) else {
                let message = format!("column \"{name}\" of relation \"{}\" does not exist", self.table);
                return Err(
                    SqlError::new(SqlState::UndefinedColumn, message).hint("Members of JSON objects are matched with columns by name.")
                );
            };
            let value = match (member, kind) {
                (Member::Null, _) => None,
                (member, Kind::Json) => Some(member.json().to_owned()),
                (Member::String { text, .. }, _) => Some(text),
                (member, Kind::Array) if member.json().starts_with('[') => Some(array_literal(member.json())?),
                (member, _) => Some(member.json().to_owned()),
            };
            if let Some(place) = values.get_mut(*at) {
                *place = value;
            }
        }
        fields.clear();
        for value in values {
            fields.extend(value.as_deref().unwrap_or_default().as_bytes());
            fields.end_field(value.is_none());
        }
        Ok(())
    }
}

/// Bytes of the object that begins the input, if it is whole.
fn object_length(input: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in input.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

fn no_object() -> SqlError {
    wrong("the file holds something else than JSON objects")
        .hint("A row is a JSON object; objects stand one after the other, or in one array.")
}

fn cut() -> SqlError {
    wrong("the JSON ends in the middle of a row")
}

#[cfg(test)]
mod tests {
    use arrow_schema::{DataType, Field};

    use super::*;

    fn rows(input: &str) -> Result<Vec<Vec<Option<String>>>, SqlError> {
        let schema = Schema::new(vec![Field::new("a", DataType::Int32, true), Field::new("b", DataType::Utf8, true)]);
        // Whole, and byte by byte.
        let mut results = Vec::new();
        for step in [input.len().max(1), 1] {
            let (mut json, mut fields, mut rows) = (Json::new("t", &schema), Fields::default(), Vec::new());
            let (mut start, mut end) = (0, 0);
            while end <= input.len() {
                let last = end == input.len();
                match json.read(&input.as_bytes()[start..end], last, &mut fields)? {
                    Found::Record { used, .. } => {
                        start += used;
                        rows.push((0..2).map(|at| fields.get(at).unwrap().map(str::to_owned)).collect());
                    }
                    _ if last => break,
                    _ => end = (end + step).min(input.len()),
                }
            }
            results.push(rows);
        }
        assert_eq!(results[0], results[1], "{input}");
        Ok(results.remove(0))
    }

    #[test]
    fn objects_in_lines_and_arrays() {
        let one = |a: Option<&str>, b: Option<&str>| vec![a.map(str::to_owned), b.map(str::to_owned)];
        let two = vec![one(Some("1"), Some("x\"}")), one(Some("-2.50"), None)];
        assert_eq!(rows("{\"a\":1,\"b\":\"x\\\"}\"}\n{\"a\":-2.50}\n").unwrap(), two);
        assert_eq!(rows(" [ {\"b\":\"x\\\"}\",\"a\":1} ,\n {\"a\":-2.50,\"b\":null} ] \n").unwrap(), two);
        assert_eq!(rows("[]").unwrap(), Vec::<Vec<Option<String>>>::new());
        assert_eq!(rows("{\"b\":{\"x\":[1,2]}}").unwrap(), vec![one(None, Some("{\"x\":[1,2]}"))]);
    }

    #[test]
    fn what_is_no_row_is_told() {
        for input in ["1", "{\"a\":1} x", "[{\"a\":1} {\"a\":2}]", "[{\"a\":1},]", "[{\"a\":1}", "{\"a\":", "{\"c\":1}", "{\"a\" 1}"] {
            assert!(rows(input).is_err(), "{input}");
        }
    }
}
