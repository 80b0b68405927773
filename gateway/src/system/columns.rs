//! Columns of a system table: name, PostgreSQL type and values, in one place each.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Int64Array, ListArray, RecordBatch, RecordBatchOptions, StringArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{Field, Schema};
use chrono::{DateTime, NaiveDate, Utc};
use lakegate_catalog::model::PgType;
use lakegate_engine_api::{RelationSource, arrow_field};

use crate::sqlstate::{SqlError, SqlState};

/// A table being put together column by column over the same rows.
pub struct Columns<'a, Row> {
    rows: &'a [Row],
    fields: Vec<Field>,
    arrays: Vec<ArrayRef>,
    only: Option<&'a BTreeSet<String>>,
}

impl<'a, Row> Columns<'a, Row> {
    pub fn over(rows: &'a [Row]) -> Self {
        Columns { rows, fields: Vec::new(), arrays: Vec::new(), only: None }
    }

    /// Those of these names; `None`: all.
    pub fn only(self, names: Option<&'a BTreeSet<String>>) -> Self {
        Columns { only: names, ..self }
    }

    fn is_left_out(&self, name: &str) -> bool {
        self.only.is_some_and(|names| !names.contains(name))
    }

    pub fn text(self, name: &str, value: impl Fn(&'a Row) -> Option<String>) -> Self {
        self.text_as(name, PgType::TEXT, value)
    }

    pub fn uuid(self, name: &str, value: impl Fn(&'a Row) -> Option<String>) -> Self {
        self.text_as(name, PgType::UUID, value)
    }

    pub fn json(self, name: &str, value: impl Fn(&'a Row) -> Option<String>) -> Self {
        self.text_as(name, PgType::JSONB, value)
    }

    pub fn count(self, name: &str, value: impl Fn(&'a Row) -> Option<u64>) -> Self {
        if self.is_left_out(name) {
            return self;
        }
        let array: Int64Array = self.rows.iter().map(|row| value(row).map(|count| i64::try_from(count).unwrap_or(i64::MAX))).collect();
        self.put(name, PgType::INT8, Arc::new(array))
    }

    pub fn flag(self, name: &str, value: impl Fn(&'a Row) -> Option<bool>) -> Self {
        if self.is_left_out(name) {
            return self;
        }
        let array: BooleanArray = self.rows.iter().map(value).collect();
        self.put(name, PgType::BOOL, Arc::new(array))
    }

    pub fn time(self, name: &str, value: impl Fn(&'a Row) -> Option<DateTime<Utc>>) -> Self {
        if self.is_left_out(name) {
            return self;
        }
        let array: TimestampMicrosecondArray = self.rows.iter().map(|row| value(row).map(|time| time.timestamp_micros())).collect();
        self.put(name, PgType::TIMESTAMPTZ, Arc::new(array.with_timezone("UTC")))
    }

    pub fn date(self, name: &str, value: impl Fn(&'a Row) -> Option<NaiveDate>) -> Self {
        if self.is_left_out(name) {
            return self;
        }
        let epoch = NaiveDate::default();
        let days = |date: NaiveDate| i32::try_from((date - epoch).num_days()).unwrap_or(i32::MAX);
        let array: Date32Array = self.rows.iter().map(|row| value(row).map(days)).collect();
        self.put(name, PgType::DATE, Arc::new(array))
    }

    pub fn texts(self, name: &str, value: impl Fn(&'a Row) -> Vec<String>) -> Self {
        if self.is_left_out(name) {
            return self;
        }
        let lists: Vec<Vec<String>> = self.rows.iter().map(value).collect();
        let lengths = lists.iter().map(Vec::len);
        let offsets = OffsetBuffer::from_lengths(lengths);
        let values: StringArray = lists.iter().flatten().map(Some).collect();
        let element = Arc::new(Field::new("element", values.data_type().clone(), true));
        let array = ListArray::new(element, offsets, Arc::new(values), None);
        self.put(name, PgType { oid: 1009, typmod: -1 }, Arc::new(array))
    }

    /// # Errors
    /// XX000 where columns do not agree.
    pub fn finish(self) -> Result<RelationSource, SqlError> {
        let batch = self.batch()?;
        Ok(RelationSource::Rows { schema: batch.schema(), batches: Arc::new([batch]) })
    }

    /// # Errors
    /// As [`Columns::finish`].
    pub fn batch(self) -> Result<RecordBatch, SqlError> {
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows.len()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(self.fields)), self.arrays, &options)
            .map_err(|error| SqlError::new(SqlState::InternalError, format!("internal error: {error}")))
    }

    fn text_as(self, name: &str, pg: PgType, value: impl Fn(&'a Row) -> Option<String>) -> Self {
        if self.is_left_out(name) {
            return self;
        }
        let array: StringArray = self.rows.iter().map(value).collect();
        self.put(name, pg, Arc::new(array))
    }

    fn put(mut self, name: &str, pg: PgType, array: ArrayRef) -> Self {
        let field = arrow_field(name, pg, true).unwrap_or_else(|| Field::new(name, array.data_type().clone(), true));
        self.fields.push(field);
        self.arrays.push(array);
        self
    }
}
