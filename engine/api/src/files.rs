//! Files that are no tables: what COPY reads and writes.

use arrow_schema::SchemaRef;
use bytes::Bytes;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::{EngineError, RowStream};

/// Bytes as they come.
pub type ByteStream = BoxStream<'static, Result<Bytes, EngineError>>;

/// Where files lie, and where they must still lie after links were followed: a folder that somebody was granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePlace {
    /// `file:///…` or `s3://…`: a file, a folder, or a pattern (`*`, `**`).
    pub url: String,
    /// Root URL.
    pub within: String,
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// URL of its folder, or of one above.
    pub root: String,
    /// The object's path in its store.
    pub path: String,
    pub bytes: u64,
}

impl StoredFile {
    /// Without its folders.
    #[must_use]
    pub fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }
}

/// What a new file holds.
pub enum FileContent {
    Bytes(ByteStream),
    Parquet { schema: SchemaRef, rows: RowStream },
}
