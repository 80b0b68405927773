//! Every error of the crates below, turned into [`EngineError`] by its type; text is looked at only where a crate has
//! no type for the case, and all such places are in this folder.

mod arrow;
mod datafusion;
mod delta;
mod storage;
mod suggest;

pub use self::arrow::from_arrow;
pub use self::datafusion::{from_datafusion, too_complex};
pub use self::delta::from_delta;
pub use self::storage::{from_io, from_object_store, no_space as is_no_space};

use lakegate_engine_api::{DataError, EngineError, SqlMistake};

/// Carries an [`EngineError`] through the crates below, which pass foreign errors on untouched.
#[must_use]
pub fn external(error: EngineError) -> ::datafusion::error::DataFusionError {
    ::datafusion::error::DataFusionError::External(Box::new(error))
}

#[must_use]
pub fn sql(mistake: SqlMistake, message: impl Into<String>) -> EngineError {
    EngineError::Sql { mistake, message: message.into(), hint: None }
}

#[must_use]
pub fn data(error: DataError, message: impl Into<String>) -> EngineError {
    EngineError::Data { error, message: message.into() }
}

#[must_use]
pub fn unsupported(feature: impl Into<String>) -> EngineError {
    EngineError::Unsupported { feature: feature.into(), hint: None }
}

#[must_use]
pub fn unsupported_hint(feature: impl Into<String>, hint: impl Into<String>) -> EngineError {
    EngineError::Unsupported { feature: feature.into(), hint: Some(hint.into()) }
}

#[must_use]
pub fn internal(message: impl Into<String>) -> EngineError {
    EngineError::Internal { message: message.into() }
}

#[must_use]
pub fn corrupted(message: impl Into<String>) -> EngineError {
    EngineError::Corrupted { message: message.into() }
}

/// An [`EngineError`] somewhere among an error's sources.
fn buried(error: &(dyn std::error::Error + 'static)) -> Option<EngineError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<EngineError>() {
            return Some(found.clone());
        }
        next = error.source();
    }
    None
}
