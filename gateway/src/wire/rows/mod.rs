//! Rows from Arrow batches into the write buffer of a connection, column writers first, no value in between.

mod cell;
pub mod datetime;
pub mod floats;
mod integers;
pub mod interval;
pub mod json;
mod nested;
pub mod numeric;
pub mod strings;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

pub use cell::{Column, Manner};

use super::outgoing::{Format, patch_length};
use crate::sqlstate::{SqlError, SqlState};

/// The formats of a result's columns from the codes of Bind: none for all text, one for all, or one each.
///
/// # Errors
/// 08P01 when the count fits neither, 22023 for a code that is neither 0 nor 1.
pub fn result_formats(codes: &[i16], columns: usize) -> Result<Vec<Format>, SqlError> {
    if codes.len() > 1 && codes.len() != columns {
        let message = format!("bind message has {} result formats but query has {columns} columns", codes.len());
        return Err(SqlError::new(SqlState::ProtocolViolation, message));
    }
    let of = |column: usize| codes.get(if codes.len() == 1 { 0 } else { column }).copied().unwrap_or(0);
    (0..columns).map(|column| format(of(column))).collect()
}

/// # Errors
/// 22023.
pub fn format(code: i16) -> Result<Format, SqlError> {
    match code {
        0 => Ok(Format::Text),
        1 => Ok(Format::Binary),
        other => Err(SqlError::new(SqlState::InvalidParameterValue, format!("unsupported format code: {other}"))),
    }
}

/// A batch on its way out; remembers the row it is at.
pub struct BatchRows {
    columns: Vec<Column>,
    next: usize,
    rows: usize,
}

impl BatchRows {
    /// `schema` is the statement's, whose field metadata says the PostgreSQL types; the batch need only agree in columns.
    ///
    /// # Errors
    /// 0A000 for a type that cannot be shown.
    pub fn new(schema: &SchemaRef, batch: &RecordBatch, formats: &[Format], manner: &Manner) -> Result<BatchRows, SqlError> {
        if schema.fields().len() != batch.num_columns() {
            return Err(SqlError::new(SqlState::InternalError, "a batch does not have the columns of its result"));
        }
        let mut columns = Vec::with_capacity(batch.num_columns());
        for (index, (field, array)) in schema.fields().iter().zip(batch.columns()).enumerate() {
            columns.push(Column::new(field, array, formats.get(index).copied().unwrap_or(Format::Text), manner)?);
        }
        Ok(BatchRows { columns, next: 0, rows: batch.num_rows() })
    }

    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rows - self.next
    }

    /// Leaves out rows; returns how many there were to leave out.
    pub fn skip(&mut self, rows_max: usize) -> usize {
        let skipped = self.remaining().min(rows_max);
        self.next += skipped;
        skipped
    }

    /// Appends DataRow messages until the batch ends, `rows_max` are written, or `out` has `bytes_max` bytes. Returns their number.
    ///
    /// # Errors
    /// A value that cannot be shown: 22003, 22008 …; what was written of its row is taken back.
    pub fn write(&mut self, out: &mut Vec<u8>, rows_max: usize, bytes_max: usize) -> Result<usize, SqlError> {
        let columns = u16::try_from(self.columns.len()).unwrap_or(u16::MAX).to_be_bytes();
        let end = self.rows.min(self.next.saturating_add(rows_max));
        let begin = self.next;
        while self.next < end && out.len() < bytes_max {
            let at = out.len();
            out.extend_from_slice(&[b'D', 0, 0, 0, 0, columns[0], columns[1]]);
            for column in &self.columns {
                if let Err(error) = column.write_sized(self.next, out) {
                    out.truncate(at);
                    return Err(*error);
                }
            }
            patch_length(out, at + 1, 4);
            self.next += 1;
        }
        Ok(self.next - begin)
    }
}
