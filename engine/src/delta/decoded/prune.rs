//! Row groups and batches that a condition rules out, by their least and greatest values.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt64Array};
use arrow_schema::{DataType, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column as ColumnName, ScalarValue};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use parquet::arrow::arrow_reader::ArrowReaderMetadata;
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;

use super::file::Columns;
use crate::cache::Column;

/// `true` for each container that may hold rows for which the condition is true; conditions that say nothing keep all.
#[must_use]
pub fn kept(predicate: &Arc<dyn PhysicalExpr>, schema: &SchemaRef, statistics: &dyn PruningStatistics, containers: usize) -> Vec<bool> {
    let built = PruningPredicateBuilder::new().with_file_schema(Arc::clone(schema)).try_build(Arc::clone(predicate));
    let kept = built.ok().filter(|predicate| !predicate.always_true()).and_then(|predicate| predicate.prune(statistics).ok());
    kept.filter(|kept| kept.len() == containers).unwrap_or_else(|| vec![true; containers])
}

/// A partition column's value in all containers.
fn partition(columns: &Columns, file: &PartitionedFile, name: &str) -> Option<ScalarValue> {
    let at = columns.table_schema.index_of(name).ok()?.checked_sub(columns.table_schema.fields().len() - file.partition_values.len())?;
    file.partition_values.get(at).cloned()
}

fn repeated(value: &ScalarValue, count: usize) -> Option<ArrayRef> {
    value.to_array_of_size(count).ok()
}

/// The statistics in a file's footer.
pub struct RowGroups<'a> {
    pub metadata: &'a ArrowReaderMetadata,
    pub groups: &'a [usize],
    pub columns: &'a Columns,
    pub file: &'a PartitionedFile,
    /// (place in the table's schema, place in the file).
    pub places: Vec<(usize, usize)>,
}

impl RowGroups<'_> {
    /// Of columns that the file holds as statements see them.
    fn of<T>(&self, name: &str, read: impl Fn(&StatisticsConverter<'_>) -> Option<T>) -> Option<T> {
        let at = self.columns.table_schema.index_of(name).ok()?;
        let (_, place) = self.places.iter().find(|(table, _)| *table == at)?;
        let field = self.metadata.schema().fields().get(*place)?;
        if field.data_type() != self.columns.table_schema.field(at).data_type() || is_unordered(field.data_type()) {
            return None;
        }
        let converter = StatisticsConverter::try_new(field.name(), self.metadata.schema(), self.metadata.parquet_schema()).ok()?;
        read(&converter)
    }

    fn groups(&self) -> impl Iterator<Item = &parquet::file::metadata::RowGroupMetaData> {
        self.groups.iter().map(|group| self.metadata.metadata().row_group(*group))
    }
}

/// Writers leave NaN out of the statistics; of binary values and texts some cut them off without saying so.
fn is_unordered(data_type: &DataType) -> bool {
    data_type.is_floating()
        || data_type.is_nested()
        || matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::Interval(_))
}

impl PruningStatistics for RowGroups<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        match partition(self.columns, self.file, &column.name) {
            Some(value) => repeated(&value, self.groups.len()),
            None => self.of(&column.name, |converter| converter.row_group_mins(self.groups()).ok()),
        }
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        match partition(self.columns, self.file, &column.name) {
            Some(value) => repeated(&value, self.groups.len()),
            None => self.of(&column.name, |converter| converter.row_group_maxes(self.groups()).ok()),
        }
    }

    fn num_containers(&self) -> usize {
        self.groups.len()
    }

    fn null_counts(&self, column: &ColumnName) -> Option<ArrayRef> {
        if partition(self.columns, self.file, &column.name).is_some() {
            return None;
        }
        self.of(&column.name, |converter| Some(Arc::new(converter.row_group_null_counts(self.groups()).ok()?) as ArrayRef))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let counts: UInt64Array = self.groups().map(|group| u64::try_from(group.num_rows()).ok()).collect();
        Some(Arc::new(counts))
    }

    fn contained(&self, _column: &ColumnName, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// Bounds of batches in memory.
pub struct Batches<'a> {
    pub columns: &'a Columns,
    pub file: &'a PartitionedFile,
    /// As [`RowGroups::places`]; one a stored column.
    pub places: Vec<(usize, usize)>,
    pub stored: &'a [Arc<Column>],
    /// Rows of each batch.
    pub rows: &'a [usize],
}

impl Batches<'_> {
    fn column(&self, name: &str) -> Option<&Column> {
        let at = self.columns.table_schema.index_of(name).ok()?;
        let which = self.places.iter().position(|(table, _)| *table == at)?;
        self.stored.get(which).map(Arc::as_ref)
    }
}

impl PruningStatistics for Batches<'_> {
    fn min_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        match partition(self.columns, self.file, &column.name) {
            Some(value) => repeated(&value, self.rows.len()),
            None => Some(Arc::clone(&self.column(&column.name)?.zones()?.min)),
        }
    }

    fn max_values(&self, column: &ColumnName) -> Option<ArrayRef> {
        match partition(self.columns, self.file, &column.name) {
            Some(value) => repeated(&value, self.rows.len()),
            None => Some(Arc::clone(&self.column(&column.name)?.zones()?.max)),
        }
    }

    fn num_containers(&self) -> usize {
        self.rows.len()
    }

    fn null_counts(&self, column: &ColumnName) -> Option<ArrayRef> {
        let zones = self.column(&column.name)?.zones()?;
        Some(Arc::new(zones.null_counts.clone()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(self.rows.iter().map(|rows| u64::try_from(*rows).ok()).collect::<UInt64Array>()))
    }

    fn contained(&self, _column: &ColumnName, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
