//! Records of the catalog as rows of the tables, and back: what comes back has to be what was hashed, byte for byte.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::{
    Array, ArrayRef, Date32Array, Int64Array, LargeListArray, ListArray, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow_schema::{Field, Schema};
use chrono::NaiveDate;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use lakegate_catalog::CatalogError;
use lakegate_catalog::flushed::{FlushRow, Log, LogValue};
use lakegate_catalog::log_proof::verify::{FlushedRows, RowsOfLog};
use lakegate_catalog::model::PgType;
use lakegate_engine_api::{Engine, SessionFacts, arrow_field};

use super::tables::{DAY, TEXTS, table, values_query};
use crate::own_tables::internal;
use crate::sqlstate::SqlError;

/// Rows for the log's table.
///
/// # Errors
/// XX000 where a value does not fit its column.
pub fn batch(log: Log, rows: &[FlushRow]) -> Result<RecordBatch, SqlError> {
    let names = log.columns();
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (name, data_type) in table(log).columns {
        let array = match names.iter().position(|column| column == name) {
            Some(at) => column(rows, at, *data_type)?,
            None => days(rows),
        };
        fields.push(arrow_field(name, *data_type, true).unwrap_or_else(|| Field::new(*name, array.data_type().clone(), true)));
        arrays.push(array);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).map_err(internal)
}

fn days(rows: &[FlushRow]) -> ArrayRef {
    let day = |row: &FlushRow| i32::try_from((row.time.date_naive() - NaiveDate::default()).num_days()).ok();
    Arc::new(rows.iter().map(day).collect::<Date32Array>())
}

fn column(rows: &[FlushRow], at: usize, data_type: PgType) -> Result<ArrayRef, SqlError> {
    let value = |row: &FlushRow| row.values.get(at).cloned();
    if data_type.oid == TEXTS.oid {
        let mut lists = ListBuilder::new(StringBuilder::new()).with_field(Field::new("element", arrow_schema::DataType::Utf8, true));
        for row in rows {
            match text(value(row)) {
                None => lists.append_null(),
                Some(json) => {
                    let texts: Vec<String> = serde_json::from_str(&json).map_err(internal)?;
                    texts.iter().for_each(|text| lists.values().append_value(text));
                    lists.append(true);
                }
            }
        }
        return Ok(Arc::new(lists.finish()));
    }
    let numbers = || rows.iter().map(|row| number(value(row)));
    Ok(if data_type.oid == PgType::TIMESTAMPTZ.oid {
        Arc::new(numbers().collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
    } else if data_type.oid == PgType::INT8.oid {
        Arc::new(numbers().collect::<Int64Array>())
    } else {
        Arc::new(rows.iter().map(|row| text(value(row))).collect::<StringArray>())
    })
}

/// Digests as hexadecimal digits.
fn text(value: Option<LogValue>) -> Option<String> {
    match value? {
        LogValue::Text(text) => text,
        LogValue::Bytes(bytes) => bytes.map(|bytes| lakegate_catalog::log_proof::hex(&bytes)),
        LogValue::Integer(_) => None,
    }
}

fn number(value: Option<LogValue>) -> Option<i64> {
    match value? {
        LogValue::Integer(number) => number,
        LogValue::Text(_) | LogValue::Bytes(_) => None,
    }
}

/// The values of each row of a batch whose columns are those of [`values_query`].
///
/// # Errors
/// XX001 where a column is of another type than it was written with.
pub fn values(log: Log, batch: &RecordBatch) -> Result<Vec<Vec<LogValue>>, SqlError> {
    let mut rows: Vec<Vec<LogValue>> = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for (name, array) in log.columns().iter().zip(batch.columns()) {
        for (row, value) in rows.iter_mut().zip(column_values(name, array)?) {
            row.push(value);
        }
    }
    Ok(rows)
}

fn column_values(name: &str, array: &ArrayRef) -> Result<Vec<LogValue>, SqlError> {
    let any = array.as_any();
    if let Some(numbers) = any.downcast_ref::<Int64Array>() {
        return Ok(numbers.iter().map(LogValue::Integer).collect());
    }
    if let Some(times) = any.downcast_ref::<TimestampMicrosecondArray>() {
        return Ok(times.iter().map(LogValue::Integer).collect());
    }
    if let Some(texts) = texts(array) {
        let value = |text: Option<String>| match name.ends_with("_digest") {
            true => LogValue::Bytes(text.map(|digits| bytes(&digits))),
            false => LogValue::Text(text),
        };
        return Ok(texts.into_iter().map(value).collect());
    }
    let lists: Option<Vec<Option<ArrayRef>>> = match (any.downcast_ref::<ListArray>(), any.downcast_ref::<LargeListArray>()) {
        (Some(lists), _) => Some(lists.iter().collect()),
        (_, Some(lists)) => Some(lists.iter().collect()),
        _ => None,
    };
    let lists = lists.ok_or_else(|| internal(format!("column {name} of the old logs is of another type")))?;
    let json = |list: Option<ArrayRef>| -> Result<LogValue, SqlError> {
        let texts = list.map(|list| texts(&list).ok_or_else(|| internal("a list of the old logs is of another type"))).transpose()?;
        Ok(LogValue::Text(texts.map(|texts| serde_json::to_string(&texts).map_err(internal)).transpose()?))
    };
    lists.into_iter().map(json).collect()
}

fn texts(array: &ArrayRef) -> Option<Vec<Option<String>>> {
    let owned = |text: Option<&str>| text.map(str::to_owned);
    if let Some(texts) = array.as_any().downcast_ref::<StringArray>() {
        return Some(texts.iter().map(owned).collect());
    }
    array.as_any().downcast_ref::<StringViewArray>().map(|texts| texts.iter().map(owned).collect())
}

/// What are no digits are other bytes than any digest.
fn bytes(digits: &str) -> Vec<u8> {
    let byte = |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
    digits.as_bytes().chunks(2).map(byte).collect::<Option<Vec<u8>>>().unwrap_or_default()
}

/// The tables as a check of the logs reads them.
pub struct Stored {
    pub engine: Arc<dyn Engine>,
    pub warehouse_root: String,
    pub facts: Arc<SessionFacts>,
}

impl Stored {
    /// The values of one record.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`].
    pub async fn row(&self, log: Log, version: u64, id: &str) -> Result<Option<Vec<LogValue>>, CatalogError> {
        let failed = |error: SqlError| CatalogError::Unavailable { detail: error.message };
        let id = id.parse::<uuid::Uuid>().map(|id| id.to_string()).unwrap_or_default();
        let name = if log == Log::Statements { "statement_id" } else { "event_id" };
        let query = values_query(log, &format!("WHERE {name}::text = {}", crate::privacy::string(&id)));
        let rows = table(log).query(self.engine.as_ref(), &self.warehouse_root, Some(version), &query, Arc::clone(&self.facts));
        let mut rows = rows.await.map_err(failed)?;
        while let Some(batch) = rows.try_next().await.map_err(|error| failed(error.into()))? {
            if let Some(row) = values(log, &batch).map_err(failed)?.pop() {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }
}

impl FlushedRows for Stored {
    fn rows(&self, log: Log, version: u64) -> BoxFuture<'_, Result<RowsOfLog, CatalogError>> {
        async move {
            let failed = |error: SqlError| CatalogError::Unavailable { detail: error.message };
            let query = values_query(log, "");
            let rows = table(log).query(self.engine.as_ref(), &self.warehouse_root, Some(version), &query, Arc::clone(&self.facts));
            let rows = rows.await.map_err(failed)?.map_err(move |error| failed(error.into()));
            let rows = rows.and_then(move |batch| async move { values(log, &batch).map_err(failed) });
            let rows = rows.map_ok(|rows| futures::stream::iter(rows.into_iter().map(Ok::<_, CatalogError>))).try_flatten();
            Ok(rows.boxed())
        }
        .boxed()
    }
}

/// The day of a partition, in SQL.
#[must_use]
pub fn before_day(day: NaiveDate) -> String {
    format!("\"{DAY}\" < DATE '{}'", day.format("%Y-%m-%d"))
}
