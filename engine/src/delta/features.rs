//! Which tables this reader reads; the protocol's names are what users see.

use deltalake_core::kernel::Protocol;
use lakegate_engine_api::EngineError;

use crate::error;

/// Reader features that the scan honours, or that ask nothing of a reader of one snapshot.
const READ: &[&str] = &["columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint", "vacuumProtocolCheck"];

/// # Errors
/// `Unsupported` names the first feature that is not read.
pub fn check_readable(protocol: &Protocol) -> Result<(), EngineError> {
    let version = protocol.min_reader_version();
    if !(1..=3).contains(&version) {
        return Err(error::unsupported(format!("the Delta reader version {version}")));
    }
    for feature in protocol.reader_features().unwrap_or_default() {
        let name = feature.to_string();
        if !is_read(&name) {
            return Err(error::unsupported(format!("reading the Delta table feature \"{name}\"")));
        }
    }
    Ok(())
}

/// Whether the scan honours a reader feature.
#[must_use]
pub fn is_read(feature: &str) -> bool {
    READ.contains(&feature)
}
