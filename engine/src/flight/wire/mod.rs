//! How the contract is written on a connection: control messages with postcard, rows as Arrow IPC, both in Flight's `FlightData`.
//!
//! A message with `app_metadata` is a control message; one without is rows (`data_header`, `data_body`), or bytes of a file (`data_body` alone).

mod depth;
mod facts;
mod lookup;
mod messages;
mod relations;
mod rows;
mod statement;
#[cfg(test)]
mod tests;

pub use self::depth::levels_of;
pub use self::facts::Facts;
pub use self::lookup::{Ask, AskedColumn};
pub use self::messages::{
    Answer, Hello, Made, Opening, Question, Reply, Request, StagedStep, Task, ToEngine, ToGateway, TransactionRef, TransactionState,
};
pub use self::relations::{Relation, Source, Table};
pub use self::rows::{RowsIn, RowsOut, batches_from, batches_to, fields_from, fields_to, schema_from, schema_to, split};
pub use self::statement::Statement;

use arrow_flight::FlightData;
use bytes::Bytes;
use lakegate_engine_api::EngineError;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error;

/// Bytes of a message: one row, or one statement, can be so large and no larger. PostgreSQL's own limit for a value.
pub const MESSAGE_BYTES_MAX: usize = 1 << 30;

/// Stack that reading or writing one level of a statement can take; the code is derived, and its frames are large.
const LEVEL_STACK_BYTES: usize = 192 << 10;
const BASE_STACK_BYTES: usize = 1 << 20;

/// A control message without statements in it.
pub fn control(message: &impl Serialize) -> Result<FlightData, EngineError> {
    deep_control(message, 0)
}

/// A control message whose parts nest as deep as [`levels_of`] says.
pub fn deep_control(message: &impl Serialize, levels: usize) -> Result<FlightData, EngineError> {
    let encoded = with_stack(levels, || {
        let head = postcard::to_stdvec(&u64::try_from(levels).unwrap_or(u64::MAX))?;
        postcard::to_extend(message, head)
    });
    let encoded = encoded.map_err(|error| error::internal(format!("a message could not be written: {error}")))?;
    if encoded.len() > MESSAGE_BYTES_MAX {
        return Err(too_large(encoded.len()));
    }
    Ok(FlightData { app_metadata: Bytes::from(encoded), ..FlightData::default() })
}

/// The message in `app_metadata`.
pub fn read_control<T: DeserializeOwned>(metadata: &[u8]) -> Result<T, EngineError> {
    let unreadable = |error: postcard::Error| error::internal(format!("a message could not be read: {error}"));
    let (levels, rest) = postcard::take_from_bytes::<u64>(metadata).map_err(unreadable)?;
    let levels = usize::try_from(levels).unwrap_or(usize::MAX).min(depth::LEVELS_MAX);
    with_stack(levels, || postcard::from_bytes(rest)).map_err(unreadable)
}

/// A value that is part of a message, on its own.
pub fn encoded(value: &impl Serialize) -> Result<Vec<u8>, EngineError> {
    postcard::to_stdvec(value).map_err(|error| error::internal(format!("a value could not be written: {error}")))
}

/// What [`encoded`] wrote.
pub fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EngineError> {
    postcard::from_bytes(bytes).map_err(|error| error::internal(format!("a value could not be read: {error}")))
}

fn with_stack<T>(levels: usize, work: impl FnOnce() -> T) -> T {
    let bytes = BASE_STACK_BYTES + levels.saturating_mul(LEVEL_STACK_BYTES);
    stacker::maybe_grow(bytes, bytes, work)
}

fn too_large(bytes: usize) -> EngineError {
    EngineError::Limit {
        limit: lakegate_engine_api::Limit::ProgramLimit,
        message: format!("{bytes} bytes are too much for one message between gateway and engine; {MESSAGE_BYTES_MAX} are the most"),
    }
}
