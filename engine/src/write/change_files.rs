//! Change data files: what a statement did row by row, for tables that record it. A commit that has some has them for all of its changes
//! (Delta protocol, "Change Data Files").

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use deltalake_core::kernel::AddCDCFile;
use lakegate_engine_api::EngineError;
use roaring::RoaringTreemap;

use super::files::{FileLayout, FileWriter, with_schema};
use super::target::Target;
use crate::delta::{CHANGE_FOLDER, CHANGE_TYPE, is_recorded};

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Insert,
    Delete,
    /// As it was before an UPDATE.
    Preimage,
    Postimage,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Kind::Insert => "insert",
            Kind::Delete => "delete",
            Kind::Preimage => "update_preimage",
            Kind::Postimage => "update_postimage",
        }
    }
}

/// Takes the changes of a statement.
pub struct Recorder {
    writer: FileWriter,
    schema: SchemaRef,
    /// Rows that an UPDATE has put others in the place of, by the number of their file.
    replaced: BTreeMap<usize, RoaringTreemap>,
}

impl Recorder {
    /// `None` where the table does not record.
    #[must_use]
    pub fn of(target: &Target, layout: &FileLayout) -> Option<Self> {
        is_recorded(target.version.snapshot.metadata()).then(|| {
            let schema = change_schema(layout.physical());
            Self { writer: layout.change_writer(&schema), schema, replaced: BTreeMap::new() }
        })
    }

    /// `rows` as data files have them.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn record(&mut self, rows: &RecordBatch, kinds: impl Iterator<Item = Kind>) -> Result<(), EngineError> {
        let kinds: StringArray = kinds.map(|kind| Some(kind.name())).collect();
        let mut arrays: Vec<ArrayRef> = rows.columns().to_vec();
        arrays.push(Arc::new(kinds));
        self.writer.write(&with_schema(&self.schema, arrays, rows.num_rows())?).await
    }

    pub fn note_replaced(&mut self, file: usize, row: u64) {
        self.replaced.entry(file).or_default().insert(row);
    }

    /// What became of a row that is gone.
    #[must_use]
    pub fn kind_of_gone(&self, file: usize, row: u64) -> Kind {
        match self.replaced.get(&file) {
            Some(rows) if rows.contains(row) => Kind::Preimage,
            _ => Kind::Delete,
        }
    }

    /// # Errors
    /// `Storage`.
    pub async fn finish(self) -> Result<Vec<AddCDCFile>, EngineError> {
        let written = self.writer.close().await?;
        let recorded = written.into_iter().map(|add| AddCDCFile {
            path: format!("{CHANGE_FOLDER}/{}", add.path),
            size: add.size,
            partition_values: add.partition_values,
            data_change: false,
            tags: None,
        });
        Ok(recorded.collect())
    }
}

fn change_schema(physical: &SchemaRef) -> SchemaRef {
    let mut fields = physical.fields().to_vec();
    fields.push(Arc::new(Field::new(CHANGE_TYPE, DataType::Utf8, false)));
    Arc::new(Schema::new(fields))
}
