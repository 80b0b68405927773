//! Sigma rules.

use std::path::Path;
use std::time::Duration;

use lakegate_catalog::detections::Detection;
use sqlparser::ast::Query;

use crate::sqlstate::SqlError;

/// What a rule says of itself.
#[derive(Debug, Clone, Default)]
pub struct Said {
    pub title: Option<String>,
    pub severity: Option<&'static str>,
    pub window: Option<Duration>,
}

/// # Errors
/// 0A000.
pub fn compile(_yaml: &str) -> Result<(Query, Said), SqlError> {
    Err(SqlError::unsupported("Sigma rules"))
}

/// The rules in a folder.
#[must_use]
pub fn read_folder(_folder: &Path) -> Vec<Detection> {
    Vec::new()
}
