//! Arrow errors: wrong values, mostly. Arrow names a value's Arrow type; clients expect PostgreSQL's name of it.

use arrow_schema::ArrowError;
use lakegate_engine_api::{DataError, EngineError};

use super::{corrupted, data, internal};

#[must_use]
pub fn from_arrow(error: &ArrowError) -> EngineError {
    match error {
        ArrowError::ExternalError(source) => super::buried(source.as_ref()).unwrap_or_else(|| internal(error.to_string())),
        ArrowError::DivideByZero => data(DataError::DivisionByZero, "division by zero"),
        ArrowError::ArithmeticOverflow(text) => data(DataError::NumericOutOfRange, overflow(text)),
        ArrowError::CastError(text) => cast(text),
        ArrowError::ParseError(text) => parse(text),
        ArrowError::InvalidArgumentError(text) => invalid_argument(text),
        ArrowError::ComputeError(text) => compute(text),
        ArrowError::MemoryError(_) | ArrowError::OffsetOverflowError(_) => {
            EngineError::OutOfMemory { detail: "a value or a batch is too large".to_owned() }
        }
        ArrowError::NotYetImplemented(text) => super::unsupported(text.clone()),
        ArrowError::IoError(_, source) if super::storage::no_space(source) => EngineError::DiskFull,
        ArrowError::IoError(..) => EngineError::Storage { message: "a file could not be read or written".to_owned() },
        ArrowError::ParquetError(text) => parquet_text(text),
        ArrowError::IpcError(_) => corrupted("a temporary file is damaged"),
        ArrowError::JsonError(text) => data(DataError::InvalidJson, text.clone()),
        _ => internal(error.to_string()),
    }
}

/// Parquet's reader reports through Arrow where it decodes inside an Arrow kernel.
fn parquet_text(text: &str) -> EngineError {
    tracing::warn!(error = text, "parquet");
    corrupted("a data file is damaged")
}

fn overflow(text: &str) -> &'static str {
    // The texts end in the operands, e.g. `Overflow happened on: 2147483647 + 1`.
    let widest = text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u128>().ok()).max().unwrap_or_default();
    if text.contains("imal") {
        "numeric field overflow"
    } else if widest > u128::from(u32::MAX) {
        "bigint out of range"
    } else {
        "integer out of range"
    }
}

fn cast(text: &str) -> EngineError {
    // `Cannot cast string 'abc' to value of Int32 type`
    if let Some(rest) = text.strip_prefix("Cannot cast string '")
        && let Some((value, rest)) = rest.rsplit_once("' to value of ")
    {
        let arrow_type = rest.trim_end_matches(" type").trim();
        return unreadable(value, arrow_type);
    }
    // `Can't cast value 3000000000 to type Int32`
    if let Some(rest) = text.strip_prefix("Can't cast value ")
        && let Some((_, arrow_type)) = rest.rsplit_once(" to type ")
    {
        return data(DataError::NumericOutOfRange, format!("{} out of range", pg_name(arrow_type)));
    }
    if let Some(rest) = text.strip_prefix("Error parsing '")
        && let Some((value, _)) = rest.split_once('\'')
    {
        return data(DataError::InvalidDatetimeFormat, format!("invalid input syntax for type timestamp: \"{value}\""));
    }
    if let Some(rest) = text.strip_prefix("Cannot cast to Decimal") {
        // `Cannot cast to Decimal128(5, 2). Overflowing on …`, `Cannot cast string 'x' to …` is above.
        return if rest.contains("verflow") {
            data(DataError::NumericOutOfRange, "numeric field overflow")
        } else {
            data(DataError::InvalidTextRepresentation, "invalid input syntax for type numeric")
        };
    }
    if text.contains("verflow") || text.contains("out of range") || text.contains("too large") {
        return data(DataError::NumericOutOfRange, "value out of range");
    }
    data(DataError::InvalidTextRepresentation, text.to_owned())
}

fn unreadable(value: &str, arrow_type: &str) -> EngineError {
    let name = pg_name(arrow_type);
    let digits = value.trim().trim_start_matches(['-', '+']);
    if matches!(name, "smallint" | "integer" | "bigint") && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return data(DataError::NumericOutOfRange, format!("value \"{value}\" is out of range for type {name}"));
    }
    let kind = match name {
        "date" | "time without time zone" | "timestamp without time zone" | "interval" => DataError::InvalidDatetimeFormat,
        _ => DataError::InvalidTextRepresentation,
    };
    data(kind, format!("invalid input syntax for type {name}: \"{value}\""))
}

fn parse(text: &str) -> EngineError {
    // `Error parsing timestamp from 'x': …`, `Invalid timezone "x": …`, `Cannot parse string as…`
    if text.contains("imezone") {
        return data(DataError::InvalidParameterValue, "time zone not recognized");
    }
    let value = text.split('\'').nth(1).unwrap_or_default();
    let name = if text.contains("timestamp") {
        "timestamp"
    } else if text.contains("nterval") {
        "interval"
    } else if text.contains("imal") {
        return data(DataError::InvalidTextRepresentation, format!("invalid input syntax for type numeric: \"{value}\""));
    } else if text.contains("Date") || text.contains("date") {
        "date"
    } else {
        return data(DataError::InvalidTextRepresentation, text.to_owned());
    };
    if text.contains("out of range") {
        return data(DataError::DatetimeOverflow, format!("date/time field value out of range: \"{value}\""));
    }
    data(DataError::InvalidDatetimeFormat, format!("invalid input syntax for type {name}: \"{value}\""))
}

fn invalid_argument(text: &str) -> EngineError {
    // `123456 is too large to store in a Decimal128 of precision 5. Max is 99999`
    if text.contains("to store in a Decimal") {
        return data(DataError::NumericOutOfRange, "numeric field overflow");
    }
    if text.contains("Unsupported cast") || text.contains("Casting from") {
        return super::sql(lakegate_engine_api::SqlMistake::CannotCoerce, text.to_owned());
    }
    internal(text.to_owned())
}

fn compute(text: &str) -> EngineError {
    if text.to_ascii_lowercase().contains("divide by zero") {
        return data(DataError::DivisionByZero, "division by zero");
    }
    if text.contains("verflow") {
        return data(DataError::NumericOutOfRange, "value out of range");
    }
    if text.contains("Regular expression") || text.contains("regex") {
        return data(DataError::InvalidRegularExpression, "invalid regular expression");
    }
    data(DataError::Other, text.to_owned())
}

/// PostgreSQL's name for what Arrow prints as the type.
fn pg_name(arrow_type: &str) -> &'static str {
    let head = arrow_type.split(['(', ' ']).next().unwrap_or_default();
    match head {
        "Int8" | "Int16" | "UInt8" => "smallint",
        "Int32" | "UInt16" => "integer",
        "Int64" | "UInt32" => "bigint",
        "Float32" => "real",
        "Float64" => "double precision",
        "Boolean" => "boolean",
        "Date32" | "Date64" => "date",
        "Time32" | "Time64" => "time without time zone",
        "Timestamp" => "timestamp without time zone",
        "Interval" => "interval",
        "Binary" | "LargeBinary" | "BinaryView" => "bytea",
        _ => "numeric",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrow_texts_become_postgresql_messages() {
        let message = |error| from_arrow(&error).to_string();
        assert_eq!(message(ArrowError::DivideByZero), "division by zero");
        assert_eq!(
            message(ArrowError::CastError("Cannot cast string 'abc' to value of Int32 type".into())),
            "invalid input syntax for type integer: \"abc\""
        );
        assert_eq!(
            message(ArrowError::CastError("Cannot cast string '3000000000' to value of Int32 type".into())),
            "value \"3000000000\" is out of range for type integer"
        );
        assert_eq!(message(ArrowError::CastError("Can't cast value 3000000000 to type Int32".into())), "integer out of range");
        assert_eq!(message(ArrowError::ArithmeticOverflow("Overflow happened on: 2147483647 + 1".into())), "integer out of range");
    }
}
