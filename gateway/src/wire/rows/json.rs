//! json and jsonb: text columns as they are; maps (and what lies in them) written as JSON, as `row_to_json` writes it.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field};
use lakegate_catalog::model::PgType;

use super::cell::{Cell, CellResult, Manner, cell, mismatch};
use super::strings::characters;
use crate::frontend::{DateOrder, DateStyle, IntervalStyle, TextStyle};
use crate::sqlstate::SqlError;
use crate::wire::outgoing::Format;

pub fn document(pg: PgType, array: &ArrayRef) -> Result<Cell, SqlError> {
    if let Some(text) = characters(array) {
        return Ok(text);
    }
    match array.data_type() {
        DataType::Map(..) | DataType::Struct(_) | DataType::List(_) | DataType::LargeList(_) => {
            let field = Field::new("", array.data_type().clone(), true);
            let node = Node::new(&field, array)?;
            Ok(Box::new(move |row, out| node.write(row, out)))
        }
        other => Err(mismatch(pg, other, Format::Text)),
    }
}

struct Node {
    nulls: Option<NullBuffer>,
    kind: Kind,
}

enum Kind {
    /// Text that is JSON as it stands: numbers, true and false, documents.
    Raw(Cell),
    Quoted(Cell),
    Bool(Cell),
    List(Box<dyn Fn(usize) -> (usize, usize) + Send + Sync>, Box<Node>),
    Object(Vec<(Vec<u8>, Node)>),
    Map(arrow_buffer::OffsetBuffer<i32>, Cell, Box<Node>),
}

impl Node {
    fn new(field: &Field, array: &ArrayRef) -> Result<Node, SqlError> {
        let pg = lakegate_engine_api::pg_type(field);
        let kind = match array.data_type() {
            DataType::Map(entries, _) => {
                let map = array.as_map();
                let DataType::Struct(fields) = entries.data_type() else { return Err(mismatch(pg, array.data_type(), Format::Text)) };
                let [key, value] = &fields[..] else { return Err(mismatch(pg, array.data_type(), Format::Text)) };
                let keys = cell(lakegate_engine_api::pg_type(key), map.keys(), Format::Text, &iso_manner())?;
                Kind::Map(map.offsets().clone(), keys, Box::new(Node::new(value, map.values())?))
            }
            DataType::Struct(fields) => {
                let structs = array.as_struct();
                let mut members = Vec::with_capacity(fields.len());
                for (field, column) in fields.iter().zip(structs.columns()) {
                    let mut name = Vec::new();
                    escape(field.name().as_bytes(), &mut name);
                    members.push((name, Node::new(field, column)?));
                }
                Kind::Object(members)
            }
            DataType::List(element) => {
                let list = array.as_list::<i32>();
                let offsets = list.offsets().clone();
                let range = move |row: usize| (at(offsets[row]), at(offsets[row + 1]));
                Kind::List(Box::new(range), Box::new(Node::new(element, list.values())?))
            }
            DataType::LargeList(element) => {
                let list = array.as_list::<i64>();
                let offsets = list.offsets().clone();
                let range = move |row: usize| (at(offsets[row]), at(offsets[row + 1]));
                Kind::List(Box::new(range), Box::new(Node::new(element, list.values())?))
            }
            _ => {
                let text = cell(pg, array, Format::Text, &iso_manner())?;
                match pg.oid {
                    16 => Kind::Bool(text),
                    20 | 21 | 23 | 700 | 701 | 1700 | 114 | 3802 => Kind::Raw(text),
                    _ => Kind::Quoted(text),
                }
            }
        };
        Ok(Node { nulls: array.logical_nulls(), kind })
    }

    fn write(&self, row: usize, out: &mut Vec<u8>) -> CellResult {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(b"null");
            return Ok(());
        }
        match &self.kind {
            Kind::Raw(text) => {
                let at = out.len();
                text(row, out)?;
                // NaN and the infinities are no JSON numbers.
                if out.get(at..).is_some_and(|text| text.ends_with(b"NaN") || text.ends_with(b"Infinity")) {
                    out.insert(at, b'"');
                    out.push(b'"');
                }
            }
            Kind::Quoted(text) => quoted(text, row, out)?,
            Kind::Bool(text) => {
                let at = out.len();
                text(row, out)?;
                let word: &[u8] = if out.last() == Some(&b't') { b"true" } else { b"false" };
                out.truncate(at);
                out.extend_from_slice(word);
            }
            Kind::List(range, node) => {
                let (from, to) = range(row);
                out.push(b'[');
                for index in from..to {
                    if index > from {
                        out.push(b',');
                    }
                    node.write(index, out)?;
                }
                out.push(b']');
            }
            Kind::Object(members) => {
                out.push(b'{');
                for (index, (name, node)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(name);
                    out.push(b':');
                    node.write(row, out)?;
                }
                out.push(b'}');
            }
            Kind::Map(offsets, keys, values) => {
                let (from, to) = (at(offsets[row]), at(offsets[row + 1]));
                out.push(b'{');
                for index in from..to {
                    if index > from {
                        out.push(b',');
                    }
                    quoted(keys, index, out)?;
                    out.push(b':');
                    values.write(index, out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }
}

fn quoted(text: &Cell, row: usize, out: &mut Vec<u8>) -> CellResult {
    let at = out.len();
    text(row, out)?;
    let plain = out.split_off(at);
    escape(&plain, out);
    Ok(())
}

/// A JSON string of UTF-8 bytes.
pub fn escape(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            0..0x20 => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}

/// Values inside JSON do not follow the session's styles.
fn iso_manner() -> Manner {
    let style = TextStyle {
        time_zone: chrono_tz::Tz::UTC,
        fixed_offset_seconds: None,
        date_style: DateStyle::Iso,
        date_order: DateOrder::Mdy,
        interval_style: IntervalStyle::Postgres,
        bytea_hex: true,
        extra_float_digits: 1,
    };
    Manner { style: std::sync::Arc::new(style), names: None }
}

fn at(offset: impl TryInto<usize>) -> usize {
    offset.try_into().unwrap_or_default()
}
