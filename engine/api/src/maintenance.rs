//! Work on a table as a whole: its files and its history rather than its rows.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlparser::ast;

use crate::Outcome;

/// Which state of a table is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Moment {
    Version(u64),
    /// The newest version that was committed by then; text as a `timestamptz` is written, in the session's time zone.
    Timestamp(String),
}

impl std::fmt::Display for Moment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Moment::Version(version) => write!(f, "version {version}"),
            Moment::Timestamp(text) => write!(f, "timestamp {text}"),
        }
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Maintenance {
    /// DESCRIBE HISTORY: the commits, newest first.
    History { limit: Option<usize> },
    /// DESCRIBE DETAIL: one row.
    Detail,
    /// DESCRIBE COMPATIBILITY: one row a feature of the table's protocol.
    Compatibility,
    /// RESTORE: a commit that makes the table what it was.
    Restore(Moment),
    /// OPTIMIZE: small files become large ones, deleted rows leave their files; `order`: columns by whose values rows are laid out
    /// (Z-order where there are several).
    Optimize { condition: Option<Box<ast::Expr>>, order: Vec<String>, whole: bool },
    /// What a table needs from time to time: files are put together where there are many small ones, the log is cleaned. Gives way to
    /// others who change the table. Data files of at most `budget_bytes` are rewritten.
    Tidy { budget_bytes: u64 },
    /// VACUUM: files that no version of the last `retention` needs are deleted, nor any that somebody may still read: those that left
    /// the table after `open_since`, when the oldest reader began.
    Vacuum {
        retention: Option<Duration>,
        #[serde(with = "crate::plain::time_if_any")]
        open_since: Option<DateTime<Utc>>,
        dry_run: bool,
    },
}

/// What became of it.
#[derive(Debug, Clone, Default)]
pub struct Maintained {
    /// Of [`Maintenance::schema`].
    pub rows: Option<RecordBatch>,
    pub outcome: Outcome,
    /// Counts for the client's NOTICE.
    pub summary: Option<String>,
}

/// Names as Databricks has them.
static HISTORY: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("version", DataType::Int64, false),
        Field::new("timestamp", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("userId", DataType::Utf8, true),
        Field::new("userName", DataType::Utf8, true),
        Field::new("operation", DataType::Utf8, true),
        Field::new("operationParameters", DataType::Utf8, true),
        Field::new("readVersion", DataType::Int64, true),
        Field::new("isolationLevel", DataType::Utf8, true),
        Field::new("isBlindAppend", DataType::Boolean, true),
        Field::new("operationMetrics", DataType::Utf8, true),
        Field::new("userMetadata", DataType::Utf8, true),
        Field::new("engineInfo", DataType::Utf8, true),
    ]))
});

static DETAIL: LazyLock<SchemaRef> = LazyLock::new(|| {
    let texts = || DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)));
    let timestamp = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("format", DataType::Utf8, false),
        Field::new("id", DataType::Utf8, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("description", DataType::Utf8, true),
        Field::new("location", DataType::Utf8, false),
        Field::new("createdAt", timestamp(), true),
        Field::new("lastModified", timestamp(), true),
        Field::new("partitionColumns", texts(), false),
        Field::new("version", DataType::Int64, false),
        Field::new("numFiles", DataType::Int64, true),
        Field::new("sizeInBytes", DataType::Int64, true),
        Field::new("numRows", DataType::Int64, true),
        Field::new("numDeletedRows", DataType::Int64, true),
        Field::new("properties", DataType::Utf8, false),
        Field::new("minReaderVersion", DataType::Int32, false),
        Field::new("minWriterVersion", DataType::Int32, false),
        Field::new("tableFeatures", texts(), false),
    ]))
});

static COMPATIBILITY: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("feature", DataType::Utf8, false),
        Field::new("needed_by", DataType::Utf8, false),
        Field::new("readable", DataType::Boolean, false),
        Field::new("writable", DataType::Boolean, false),
        Field::new("remedy", DataType::Utf8, true),
    ]))
});

static RESTORED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let names = [
        "table_size_after_restore",
        "num_of_files_after_restore",
        "num_removed_files",
        "num_restored_files",
        "removed_files_size",
        "restored_files_size",
    ];
    Arc::new(Schema::new(names.map(|name| Field::new(name, DataType::Int64, false)).to_vec()))
});

static OPTIMIZED: LazyLock<SchemaRef> = LazyLock::new(|| {
    let numbers = ["numFilesAdded", "numFilesRemoved", "sizeInBytesAdded", "sizeInBytesRemoved", "numRows", "numDeletedRowsPurged"];
    let numbers = numbers.map(|name| Field::new(name, DataType::Int64, false));
    Arc::new(Schema::new([vec![Field::new("path", DataType::Utf8, false)], numbers.to_vec()].concat()))
});

static DRY_RUN: LazyLock<SchemaRef> = LazyLock::new(|| Arc::new(Schema::new(vec![Field::new("path", DataType::Utf8, false)])));

impl Maintenance {
    /// Columns of the rows that it gives; `None`: it gives none.
    #[must_use]
    pub fn schema(&self) -> Option<SchemaRef> {
        match self {
            Maintenance::History { .. } => Some(Arc::clone(&HISTORY)),
            Maintenance::Detail => Some(Arc::clone(&DETAIL)),
            Maintenance::Compatibility => Some(Arc::clone(&COMPATIBILITY)),
            Maintenance::Restore(_) => Some(Arc::clone(&RESTORED)),
            Maintenance::Optimize { .. } | Maintenance::Tidy { .. } => Some(Arc::clone(&OPTIMIZED)),
            Maintenance::Vacuum { dry_run: true, .. } => Some(Arc::clone(&DRY_RUN)),
            Maintenance::Vacuum { .. } => None,
        }
    }
}
