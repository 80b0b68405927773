//! One writer a column and batch: the array is downcast, the format chosen and the time zone resolved once, not per value.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, downcast_dictionary_array, downcast_run_array};
use arrow_buffer::{ArrowNativeType, NullBuffer};
use arrow_schema::{DataType, Field, TimeUnit};
use lakegate_catalog::model::{Oid, PgType};
use lakegate_engine_api::CatalogLookup;

use super::{datetime, floats, integers, interval, json, nested, numeric, strings};
use crate::frontend::TextStyle;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::{Format, patch_length};
use crate::wire::pg_types::{is_oid, is_text, type_name};

/// Appends the value of a row, which is not null, without its length.
pub type Cell = Box<dyn Fn(usize, &mut Vec<u8>) -> CellResult + Send + Sync>;

/// Boxed so that the good case costs a word.
pub type CellResult = Result<(), Box<SqlError>>;

/// What values are written by, besides their array.
#[derive(Clone)]
pub struct Manner {
    pub style: Arc<TextStyle>,
    /// Names behind `regclass` and its kin; numbers are shown without.
    pub names: Option<Arc<dyn CatalogLookup>>,
}

/// A column of one batch.
pub struct Column {
    nulls: Option<NullBuffer>,
    cell: Cell,
}

impl Column {
    /// # Errors
    /// 0A000 where a type has no such output.
    pub fn new(field: &Field, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Column, SqlError> {
        let pg = lakegate_engine_api::pg_type(field);
        Ok(Column { nulls: array.logical_nulls().filter(|nulls| nulls.null_count() > 0), cell: cell(pg, array, format, manner)? })
    }

    #[must_use]
    pub fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// The value of a row that is not null.
    pub fn write(&self, row: usize, out: &mut Vec<u8>) -> CellResult {
        (self.cell)(row, out)
    }

    /// As a field of DataRow: length and bytes, or -1.
    pub fn write_sized(&self, row: usize, out: &mut Vec<u8>) -> CellResult {
        if self.is_null(row) {
            out.extend_from_slice(&(-1i32).to_be_bytes());
            return Ok(());
        }
        let at = out.len();
        out.extend_from_slice(&[0; 4]);
        self.write(row, out)?;
        patch_length(out, at, 0);
        Ok(())
    }
}

/// The writer for an array whose values are shown as `pg`.
pub fn cell(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    downcast_dictionary_array! {
        array => {
            let values = cell(pg, array.values(), format, manner)?;
            let keys = array.keys().values().clone();
            return Ok(Box::new(move |row, out| values(keys[row].as_usize(), out)));
        },
        DataType::RunEndEncoded(_, _) => return run_ends(pg, array, format, manner),
        DataType::Null => return Ok(Box::new(|_, _| Ok(()))),
        _ => {}
    }
    // NULLs alone need no format.
    if array.logical_null_count() == array.len() {
        return Ok(Box::new(|_, _| Ok(())));
    }
    match pg.oid {
        16 => boolean(pg, array, format),
        17 => strings::bytea(pg, array, format, manner),
        18 => strings::single_byte(pg, array, format),
        869 if format == Format::Binary => strings::inet_binary(pg, array),
        1033 if format == Format::Binary => Err(no_binary_output(pg)),
        1042 => strings::padded(pg, array, format, manner),
        2278 => Ok(Box::new(|_, _| Ok(()))),
        2950 => strings::uuid(pg, array, format),
        3802 if format == Format::Binary => strings::jsonb_binary(pg, array),
        114 | 3802 => json::document(pg, array),
        oid if is_text(oid) => text_like(pg, array, format, manner),
        20 | 21 | 23 => integers::integer(pg, array, format),
        22 | 30 => nested::vector(pg, array, format),
        oid if is_oid(oid) => integers::oid(pg, array, format, manner),
        700 | 701 => floats::float(pg, array, format, manner),
        1082 => datetime::date(pg, array, format, manner),
        1083 => datetime::time(pg, array, format),
        1114 => datetime::timestamp(pg, array, format, manner, false),
        1184 => datetime::timestamp(pg, array, format, manner, true),
        1186 => interval::interval(pg, array, format, manner),
        1700 => numeric::numeric(pg, array, format),
        2249 => nested::record(pg, array, format, manner),
        oid => match (PgType::element_of(oid), format) {
            (Some(element), _) => nested::array(PgType { oid: element, typmod: pg.typmod }, pg, array, format, manner),
            (None, Format::Text) => text_like(pg, array, format, manner),
            (None, Format::Binary) => Err(mismatch(pg, array.data_type(), format)),
        },
    }
}

/// 42883 as PostgreSQL words it, which has none for `aclitem` either.
fn no_binary_output(pg: PgType) -> SqlError {
    SqlError::new(SqlState::UndefinedFunction, format!("no binary output function available for type {}", type_name(pg.oid)))
}

/// 0A000: no writer for this pair.
pub(super) fn mismatch(pg: PgType, array: &DataType, format: Format) -> SqlError {
    let format = if format == Format::Text { "text" } else { "binary" };
    SqlError::unsupported(format_args!("{format} output of type {} from Arrow type {array}", type_name(pg.oid)))
}

/// 22003 as PostgreSQL words it.
pub(super) fn out_of_range(oid: Oid) -> Box<SqlError> {
    Box::new(SqlError::new(SqlState::NumericValueOutOfRange, format!("{} out of range", type_name(oid))))
}

/// Strings as they are; arrays of anything else in the text of what they are by themselves.
fn text_like(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    if let Some(cell) = strings::characters(array) {
        return Ok(cell);
    }
    let natural = lakegate_engine_api::pg_type(&Field::new("", array.data_type().clone(), true));
    if natural.oid == pg.oid || is_text(natural.oid) && natural.oid != 114 {
        return Err(mismatch(pg, array.data_type(), format));
    }
    cell(natural, array, Format::Text, manner)
}

fn boolean(pg: PgType, array: &ArrayRef, format: Format) -> Result<Cell, SqlError> {
    let Some(array) = array.as_boolean_opt() else { return Err(mismatch(pg, array.data_type(), format)) };
    let values = array.values().clone();
    Ok(match format {
        Format::Text => Box::new(move |row, out| {
            out.push(if values.value(row) { b't' } else { b'f' });
            Ok(())
        }),
        Format::Binary => Box::new(move |row, out| {
            out.push(u8::from(values.value(row)));
            Ok(())
        }),
    })
}

fn run_ends(pg: PgType, array: &ArrayRef, format: Format, manner: &Manner) -> Result<Cell, SqlError> {
    downcast_run_array! {
        array => {
            let values = cell(pg, array.values(), format, manner)?;
            let array = array.clone();
            Ok(Box::new(move |row, out| values(array.get_physical_index(row), out)))
        },
        other => Err(mismatch(pg, other, format)),
    }
}

/// Integers of any width as i64, by row; `None` for other arrays.
pub(super) fn as_i64(array: &ArrayRef) -> Option<Box<dyn Fn(usize) -> i64 + Send + Sync>> {
    macro_rules! widened {
        ($($type:ident => $array:ty),*) => {
            match array.data_type() {
                $(DataType::$type => {
                    let values = array.as_primitive_opt::<$array>()?.values().clone();
                    Some(Box::new(move |row| i64::from(values[row])))
                })*
                _ => None,
            }
        };
    }
    widened!(Int8 => Int8Type, Int16 => Int16Type, Int32 => Int32Type, Int64 => Int64Type, UInt8 => UInt8Type, UInt16 => UInt16Type, UInt32 => UInt32Type)
}

/// Values of a unit as microseconds; `None` past the range of 64 bits.
pub(super) fn to_micros(value: i64, unit: TimeUnit) -> Option<i64> {
    match unit {
        TimeUnit::Second => value.checked_mul(1_000_000),
        TimeUnit::Millisecond => value.checked_mul(1_000),
        TimeUnit::Microsecond => Some(value),
        TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
    }
}

/// Appends bytes that are in network order.
#[inline]
pub(super) fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}
