//! Arrays, records and the two vector types. Mirrors `array_out`, `array_send`, `record_out` and `record_send`.
//!
//! A list of lists is one PostgreSQL array of several dimensions.

use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef};
use arrow_schema::{DataType, FieldRef};
use lakegate_catalog::model::{Oid, PgType};

use super::cell::{Cell, CellResult, Column, Manner, as_i64, mismatch, put};
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::Format;
use crate::wire::text_input::array::DIMENSIONS_MAX;

pub fn array(element: PgType, whole: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    let Some(list) = List::of(array) else {
        return match format {
            Format::Text => super::strings::characters(array).ok_or_else(|| mismatch(whole, array.data_type(), format)),
            Format::Binary => Err(mismatch(whole, array.data_type(), format)),
        };
    };
    let levels = Levels::new(list, element, format, manner)?;
    Ok(match format {
        Format::Text => Box::new(move |row, out| levels.text(row, out)),
        Format::Binary => Box::new(move |row, out| levels.binary(element.oid, row, out)),
    })
}

/// `int2vector`, `oidvector`: elements parted by blanks; in binary an array that counts from 0.
pub fn vector(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    let Some(list) = List::of(array) else {
        return super::strings::characters(array).filter(|_| format == Format::Text).ok_or_else(|| mismatch(pg, array.data_type(), format));
    };
    let Some(value) = as_i64(&list.values) else { return Err(mismatch(pg, array.data_type(), format)) };
    let range = list.range;
    Ok(match format {
        Format::Text => Box::new(move |row, out| {
            let (from, to) = range(row);
            for index in from..to {
                if index > from {
                    out.push(b' ');
                }
                out.extend_from_slice(itoa::Buffer::new().format(value(index)).as_bytes());
            }
            Ok(())
        }),
        Format::Binary => Box::new(move |row, out| {
            let (from, to) = range(row);
            let element: Oid = if pg.oid == 22 { 21 } else { 26 };
            // A vector always has its one dimension, even when it is empty.
            array_header(out, false, element, &[to - from], 0);
            for index in from..to {
                if element == 21 {
                    put(out, 2i32.to_be_bytes());
                    put(out, i16::try_from(value(index)).unwrap_or_default().to_be_bytes());
                } else {
                    put(out, 4i32.to_be_bytes());
                    put(out, u32::try_from(value(index)).unwrap_or_default().to_be_bytes());
                }
            }
            Ok(())
        }),
    })
}

pub fn record(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    let Some(structs) = array.as_struct_opt() else {
        return super::strings::characters(array).filter(|_| format == Format::Text).ok_or_else(|| mismatch(pg, array.data_type(), format));
    };
    let mut columns = Vec::with_capacity(structs.num_columns());
    for (field, column) in structs.fields().iter().zip(structs.columns()) {
        columns.push((lakegate_engine_api::pg_type(field).oid, Column::new(field, column, format, manner)?));
    }
    Ok(match format {
        Format::Text => Box::new(move |row, out| {
            out.push(b'(');
            for (index, (_, column)) in columns.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                if !column.is_null(row) {
                    let at = out.len();
                    column.write(row, out)?;
                    quote(out, at, |byte| matches!(byte, b'(' | b')' | b','), Escape::Double, b"");
                }
            }
            out.push(b')');
            Ok(())
        }),
        Format::Binary => Box::new(move |row, out| {
            put(out, u32::try_from(columns.len()).unwrap_or(u32::MAX).to_be_bytes());
            for (oid, column) in &columns {
                put(out, oid.to_be_bytes());
                column.write_sized(row, out)?;
            }
            Ok(())
        }),
    })
}

/// Any of Arrow's list layouts: the elements of a row as a range of one array.
struct List {
    field: FieldRef,
    values: ArrayRef,
    range: Box<dyn Fn(usize) -> (usize, usize) + Send + Sync>,
}

impl List {
    fn of(array: &ArrayRef) -> Option<List> {
        macro_rules! offsets {
            ($list:expr, $field:expr) => {{
                let (offsets, values) = ($list.offsets().clone(), $list.values().clone());
                let range = move |row: usize| (usize_of(offsets[row]), usize_of(offsets[row + 1]));
                Some(List { field: $field.clone(), values, range: Box::new(range) })
            }};
        }
        macro_rules! views {
            ($list:expr, $field:expr) => {{
                let (offsets, sizes, values) = ($list.offsets().clone(), $list.sizes().clone(), $list.values().clone());
                let range = move |row: usize| (usize_of(offsets[row]), usize_of(offsets[row]) + usize_of(sizes[row]));
                Some(List { field: $field.clone(), values, range: Box::new(range) })
            }};
        }
        match array.data_type() {
            DataType::List(field) => offsets!(array.as_list::<i32>(), field),
            DataType::LargeList(field) => offsets!(array.as_list::<i64>(), field),
            DataType::ListView(field) => views!(array.as_list_view::<i32>(), field),
            DataType::LargeListView(field) => views!(array.as_list_view::<i64>(), field),
            DataType::FixedSizeList(field, size) => {
                let (list, size) = (array.as_fixed_size_list(), usize::try_from(*size).ok()?);
                Some(List {
                    field: field.clone(),
                    values: list.values().clone(),
                    range: Box::new(move |row| (row * size, (row + 1) * size)),
                })
            }
            _ => None,
        }
    }
}

fn usize_of(offset: impl TryInto<usize>) -> usize {
    offset.try_into().unwrap_or_default()
}

/// Lists within lists, and the elements at the bottom.
struct Levels {
    range: Box<dyn Fn(usize) -> (usize, usize) + Send + Sync>,
    below: Below,
}

enum Below {
    /// With the NULLs of the inner lists.
    Lists(Option<arrow_buffer::NullBuffer>, Box<Levels>),
    Elements(Column),
}

impl Levels {
    fn new(list: List, element: PgType, format: Format, manner: &Manner) -> Result<Levels, SqlError> {
        // An element that is shown as an array itself is a further dimension; one shown as json or a vector is not.
        let inner = lakegate_engine_api::pg_type(&list.field);
        let below = match List::of(&list.values).filter(|_| inner.oid != element.oid && !matches!(element.oid, 22 | 30)) {
            Some(nested) => Below::Lists(list.values.logical_nulls(), Box::new(Levels::new(nested, element, format, manner)?)),
            None => Below::Elements(Column::new(&list.field, &list.values, format, manner)?),
        };
        Ok(Levels { range: list.range, below })
    }

    fn text(&self, row: usize, out: &mut Vec<u8>) -> CellResult {
        let (from, to) = (self.range)(row);
        out.push(b'{');
        for index in from..to {
            if index > from {
                out.push(b',');
            }
            match &self.below {
                Below::Lists(nulls, _) if nulls.as_ref().is_some_and(|nulls| nulls.is_null(index)) => out.extend_from_slice(b"NULL"),
                Below::Lists(_, inner) => inner.text(index, out)?,
                Below::Elements(column) if column.is_null(index) => out.extend_from_slice(b"NULL"),
                Below::Elements(column) => {
                    let at = out.len();
                    column.write(index, out)?;
                    quote(out, at, |byte| matches!(byte, b'{' | b'}' | b','), Escape::Backslash, b"null");
                }
            }
        }
        out.push(b'}');
        Ok(())
    }

    fn binary(&self, element: Oid, row: usize, out: &mut Vec<u8>) -> CellResult {
        let mut lengths = Vec::new();
        self.lengths(row, 0, &mut lengths)?;
        if lengths.contains(&0) {
            lengths.clear();
        }
        let at = out.len();
        array_header(out, false, element, &lengths, 1);
        let mut has_null = false;
        if !lengths.is_empty() {
            self.elements(row, &mut has_null, out)?;
        }
        if let (true, Some(flag)) = (has_null, out.get_mut(at + 7)) {
            *flag = 1;
        }
        Ok(())
    }

    /// The length of every dimension; lists beside one another must agree.
    fn lengths(&self, row: usize, depth: usize, lengths: &mut Vec<usize>) -> CellResult {
        let (from, to) = (self.range)(row);
        match lengths.get(depth) {
            Some(length) if *length != to - from => return Err(ragged()),
            Some(_) => {}
            None if depth == DIMENSIONS_MAX => {
                let message = format!("number of array dimensions ({}) exceeds the maximum allowed ({DIMENSIONS_MAX})", depth + 1);
                return Err(Box::new(SqlError::new(SqlState::ProgramLimitExceeded, message)));
            }
            None => lengths.push(to - from),
        }
        if let Below::Lists(nulls, inner) = &self.below {
            for index in from..to {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(index)) {
                    return Err(ragged());
                }
                inner.lengths(index, depth + 1, lengths)?;
            }
        }
        Ok(())
    }

    fn elements(&self, row: usize, has_null: &mut bool, out: &mut Vec<u8>) -> CellResult {
        let (from, to) = (self.range)(row);
        for index in from..to {
            match &self.below {
                Below::Lists(_, inner) => inner.elements(index, has_null, out)?,
                Below::Elements(column) => {
                    *has_null |= column.is_null(index);
                    column.write_sized(index, out)?;
                }
            }
        }
        Ok(())
    }
}

fn ragged() -> Box<SqlError> {
    let message = "multidimensional arrays must have array expressions with matching dimensions";
    Box::new(SqlError::new(SqlState::ArraySubscriptError, message))
}

fn array_header(out: &mut Vec<u8>, has_null: bool, element: Oid, lengths: &[usize], lower_bound: i32) {
    put(out, u32::try_from(lengths.len()).unwrap_or(0).to_be_bytes());
    put(out, u32::from(has_null).to_be_bytes());
    put(out, element.to_be_bytes());
    for length in lengths {
        put(out, i32::try_from(*length).unwrap_or(i32::MAX).to_be_bytes());
        put(out, lower_bound.to_be_bytes());
    }
}

#[derive(Clone, Copy)]
enum Escape {
    Backslash,
    /// Quotes and backslashes are written twice.
    Double,
}

/// Quotes what was written from `at` on where the container's syntax needs it: empty, blank, a quote, a backslash, one of
/// `special`, or the word that stands for NULL.
fn quote(out: &mut Vec<u8>, at: usize, special: impl Fn(u8) -> bool, escape: Escape, null_word: &[u8]) {
    let written = out.get(at..).unwrap_or_default();
    let needs = |byte: &u8| special(*byte) || matches!(byte, b'"' | b'\\' | b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c);
    let is_null_word = !null_word.is_empty() && written.eq_ignore_ascii_case(null_word);
    if !written.is_empty() && !is_null_word && !written.iter().any(needs) {
        return;
    }
    let plain = out.split_off(at);
    out.push(b'"');
    for byte in plain {
        match (byte, escape) {
            (b'"' | b'\\', Escape::Backslash) => out.extend_from_slice(&[b'\\', byte]),
            (b'"' | b'\\', Escape::Double) => out.extend_from_slice(&[byte, byte]),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}
