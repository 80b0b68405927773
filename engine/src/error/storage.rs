//! Object store errors. Their texts hold paths, endpoints and request ids: none of it is passed on.

use lakegate_engine_api::EngineError;
use object_store::Error;

/// `table` is the name to report where a file of it is missing.
#[must_use]
pub fn from_object_store(error: &Error, table: Option<&str>) -> EngineError {
    if let Some(found) = super::buried(error) {
        return found;
    }
    tracing::debug!(%error, "object store");
    let message = match error {
        Error::NotFound { .. } => match table {
            Some(table) => return EngineError::MissingFile { table: table.to_owned() },
            None => "an object is missing in the object store",
        },
        Error::PermissionDenied { .. } => "the object store denied access",
        Error::Unauthenticated { .. } => "the object store refused the credentials",
        Error::AlreadyExists { .. } | Error::Precondition { .. } => "the object store refused to overwrite an object",
        Error::NotSupported { .. } | Error::NotImplemented { .. } => "the object store lacks an operation",
        Error::InvalidPath { .. } => "an object has an invalid name",
        _ if no_space(error) => return EngineError::DiskFull,
        _ => "the object store did not answer as expected",
    };
    EngineError::Storage { message: message.to_owned() }
}

/// Of what was handed to an object store as to a file.
#[must_use]
pub fn from_io(failure: std::io::Error) -> EngineError {
    match failure.downcast::<Error>() {
        Ok(failure) => from_object_store(&failure, None),
        Err(failure) if no_space(&failure) => EngineError::DiskFull,
        Err(_) => EngineError::Storage { message: "the object store did not answer as expected".to_owned() },
    }
}

/// ENOSPC or EDQUOT somewhere among the sources.
#[must_use]
pub fn no_space(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
        {
            return true;
        }
        next = error.source();
    }
    false
}
