//! Bound values into the arrays that a prepared statement takes.

use arrow_array::ArrayRef;
use arrow_schema::FieldRef;

use super::body::utf8;
use super::outgoing::Format;
use super::rows::format;
use super::text_input::{ColumnBuilder, Consumed, InputManner};
use crate::sqlstate::{SqlError, SqlState};

/// One array of length 1 a value. `formats` as in Bind: none for all text, one for all, or one each; `statement` is for the message.
///
/// # Errors
/// As PostgreSQL's `exec_bind_message`: 08P01 when counts do not agree, 22023 for a format code other than 0 and 1, 22P03 when a
/// binary value is longer than its type, 22021 for text that is not UTF-8, and those of the types' input functions.
pub fn bind_values(
    fields: &[FieldRef],
    formats: &[i16],
    values: &[Option<&[u8]>],
    statement: &str,
    manner: &InputManner,
) -> Result<Vec<ArrayRef>, SqlError> {
    if formats.len() > 1 && formats.len() != values.len() {
        let message = format!("bind message has {} parameter formats but {} parameters", formats.len(), values.len());
        return Err(SqlError::new(SqlState::ProtocolViolation, message));
    }
    if values.len() != fields.len() {
        let message =
            format!("bind message supplies {} parameters, but prepared statement \"{statement}\" requires {}", values.len(), fields.len());
        return Err(SqlError::new(SqlState::ProtocolViolation, message));
    }
    let mut arrays = Vec::with_capacity(values.len());
    for (index, (field, value)) in fields.iter().zip(values).enumerate() {
        let code = formats.get(if formats.len() == 1 { 0 } else { index }).copied().unwrap_or(0);
        arrays.push(bind_value(field, format(code)?, *value, index + 1, manner)?);
    }
    Ok(arrays)
}

fn bind_value(field: &FieldRef, format: Format, value: Option<&[u8]>, number: usize, manner: &InputManner) -> Result<ArrayRef, SqlError> {
    let mut builder = ColumnBuilder::new(field, manner)?;
    match (value, format) {
        (None, _) => builder.append_null(),
        (Some(bytes), Format::Text) => builder.append_text(utf8(bytes)?).map_err(|error| named(error, number))?,
        (Some(bytes), Format::Binary) => match builder.append_binary(bytes).map_err(|error| named(error, number))? {
            Consumed::All => {}
            Consumed::NotAll => {
                let message = format!("incorrect binary data format in bind parameter {number}");
                return Err(SqlError::new(SqlState::InvalidBinaryRepresentation, message));
            }
        },
    }
    Ok(builder.finish())
}

fn named(mut error: SqlError, number: usize) -> SqlError {
    if error.state == SqlState::IndeterminateDatatype {
        error.message = format!("could not determine data type of parameter ${number}");
    }
    error
}

#[cfg(test)]
mod tests;
