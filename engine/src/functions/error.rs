//! Errors of functions and planning as values inside `DataFusionError`, to be taken out again where they leave the engine.

use std::fmt::Display;

use datafusion::error::DataFusionError;
use lakegate_engine_api::{DataError, EngineError, SqlMistake};

/// A value cannot be what the statement asks; PostgreSQL's wording.
pub fn data(error: DataError, message: impl Display) -> DataFusionError {
    external(EngineError::Data { error, message: message.to_string() })
}

/// The statement is wrong.
pub fn mistake(mistake: SqlMistake, message: impl Display) -> DataFusionError {
    external(EngineError::Sql { mistake, message: message.to_string(), hint: None })
}

/// The statement is wrong, and what might help.
pub fn mistake_hint(mistake: SqlMistake, message: impl Display, hint: &str) -> DataFusionError {
    external(EngineError::Sql { mistake, message: message.to_string(), hint: Some(hint.to_owned()) })
}

/// 0A000.
pub fn unsupported(feature: impl Display) -> DataFusionError {
    external(EngineError::Unsupported { feature: feature.to_string(), hint: None })
}

/// 22P02, `invalid input syntax for type integer: "x"`.
pub fn invalid_input(type_name: &str, text: &str) -> DataFusionError {
    data(DataError::InvalidTextRepresentation, format_args!("invalid input syntax for type {type_name}: \"{text}\""))
}

pub fn out_of_range(type_name: &str) -> DataFusionError {
    data(DataError::NumericOutOfRange, format_args!("{type_name} out of range"))
}

pub fn external(error: EngineError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
