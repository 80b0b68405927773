//! Batches of rows as Arrow IPC messages, as Flight has them.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow_array::{Array, ArrayRef, BinaryViewArray, RecordBatch, RecordBatchOptions, StringViewArray};
use arrow_buffer::Buffer;
use arrow_flight::FlightData;
use arrow_ipc::convert::fb_to_schema;
use arrow_ipc::reader::{StreamReader, read_dictionary, read_record_batch};
use arrow_ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, StreamWriter};
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::{ArrowError, DataType, FieldRef, Schema, SchemaRef};
use lakegate_engine_api::EngineError;

use crate::error;

/// Bytes of rows that a message should have; more only where a single row is larger.
const FRAME_BYTES: usize = 1 << 20;

/// Parts of a batch that are fit for a message each; at least one.
pub fn split(batch: &RecordBatch) -> Vec<RecordBatch> {
    let mut parts = Vec::new();
    halve(batch.clone(), &mut parts);
    parts
}

fn halve(batch: RecordBatch, parts: &mut Vec<RecordBatch>) {
    let rows = batch.num_rows();
    if rows <= 1 || bytes_of(&batch) <= FRAME_BYTES {
        parts.push(batch);
        return;
    }
    let half = rows / 2;
    halve(batch.slice(0, half), parts);
    halve(batch.slice(half, rows - half), parts);
}

fn bytes_of(batch: &RecordBatch) -> usize {
    let column = |array: &ArrayRef| match array.data_type() {
        // The bytes that a slice of views shows are told by the views alone.
        DataType::Utf8View => {
            array.as_any().downcast_ref::<StringViewArray>().map_or(0, |array| array.total_buffer_bytes_used()) + array.len() * 16
        }
        DataType::BinaryView => {
            array.as_any().downcast_ref::<BinaryViewArray>().map_or(0, |array| array.total_buffer_bytes_used()) + array.len() * 16
        }
        _ => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_buffer_memory_size()),
    };
    batch.columns().iter().map(column).sum()
}

/// Views of a slice point into buffers of the whole, which would all be sent.
fn compacted(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let column = |array: &ArrayRef| -> ArrayRef {
        let any = array.as_any();
        if let Some(views) = any.downcast_ref::<StringViewArray>() {
            return Arc::new(views.gc());
        }
        if let Some(views) = any.downcast_ref::<BinaryViewArray>() {
            return Arc::new(views.gc());
        }
        Arc::clone(array)
    };
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), batch.columns().iter().map(column).collect(), &options)
}

/// Writes batches one after the other; the schema goes before the first, and again where it changes.
#[derive(Default)]
pub struct RowsOut {
    sent: Option<Sent>,
}

struct Sent {
    schema: SchemaRef,
    dictionaries: DictionaryTracker,
}

impl RowsOut {
    /// Messages for one part that [`split`] gave.
    ///
    /// # Errors
    /// `Internal` for what Arrow IPC does not have.
    pub fn encode(&mut self, part: &RecordBatch) -> Result<Vec<FlightData>, EngineError> {
        self.write(part).map_err(unwritable)
    }

    fn write(&mut self, part: &RecordBatch) -> Result<Vec<FlightData>, ArrowError> {
        let (generator, options) = (IpcDataGenerator::default(), IpcWriteOptions::default());
        let mut messages = Vec::with_capacity(2);
        let sent = match &mut self.sent {
            Some(sent) if sent.schema == part.schema() => sent,
            sent => {
                let mut dictionaries = DictionaryTracker::new(false);
                let schema = part.schema();
                let described = generator.schema_to_bytes_with_dictionary_tracker(&schema, &mut dictionaries, &options);
                messages.push(described.into());
                sent.insert(Sent { schema, dictionaries })
            }
        };
        let part = compacted(part)?;
        let (dictionaries, rows) = generator.encode(&part, &mut sent.dictionaries, &options, &mut IpcWriteContext::default())?;
        messages.extend(dictionaries.into_iter().map(FlightData::from));
        messages.push(rows.into());
        Ok(messages)
    }
}

/// Reads what [`RowsOut`] wrote.
#[derive(Default)]
pub struct RowsIn {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl RowsIn {
    /// A batch, where the message completes one.
    ///
    /// # Errors
    /// `Internal` for what is no Arrow IPC.
    pub fn decode(&mut self, message: &FlightData) -> Result<Option<RecordBatch>, EngineError> {
        self.read(message).map_err(unreadable)
    }

    fn read(&mut self, data: &FlightData) -> Result<Option<RecordBatch>, ArrowError> {
        let missing = |what: &str| ArrowError::IpcError(format!("{what} is missing"));
        let message = root_as_message(&data.data_header).map_err(|error| ArrowError::IpcError(error.to_string()))?;
        let body = Buffer::from(data.data_body.clone());
        let known = || self.schema.clone().ok_or_else(|| missing("the schema"));
        match message.header_type() {
            MessageHeader::Schema => {
                let schema = message.header_as_schema().ok_or_else(|| missing("the schema"))?;
                self.schema = Some(Arc::new(fb_to_schema(schema)));
                self.dictionaries.clear();
                Ok(None)
            }
            MessageHeader::DictionaryBatch => {
                let schema = known()?;
                let dictionary = message.header_as_dictionary_batch().ok_or_else(|| missing("a dictionary"))?;
                read_dictionary(&body, dictionary, &schema, &mut self.dictionaries, &message.version())?;
                Ok(None)
            }
            MessageHeader::RecordBatch => {
                let rows = message.header_as_record_batch().ok_or_else(|| missing("a batch"))?;
                read_record_batch(&body, rows, known()?, &self.dictionaries, None, &message.version()).map(Some)
            }
            other => Err(ArrowError::IpcError(format!("a message of kind {}", other.0))),
        }
    }
}

/// A few batches as part of a control message.
///
/// # Errors
/// As [`RowsOut::encode`].
pub fn batches_to(schema: &Schema, batches: &[RecordBatch]) -> Result<Vec<u8>, EngineError> {
    let write = || {
        let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
        batches.iter().try_for_each(|batch| writer.write(batch))?;
        writer.into_inner()
    };
    write().map_err(unwritable)
}

/// # Errors
/// As [`RowsIn::decode`].
pub fn batches_from(bytes: &[u8]) -> Result<(SchemaRef, Vec<RecordBatch>), EngineError> {
    let reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(unreadable)?;
    let schema = reader.schema();
    Ok((schema, reader.collect::<Result<_, _>>().map_err(unreadable)?))
}

/// # Errors
/// As [`RowsOut::encode`].
pub fn schema_to(schema: &Schema) -> Result<Vec<u8>, EngineError> {
    batches_to(schema, &[])
}

/// # Errors
/// As [`RowsIn::decode`].
pub fn schema_from(bytes: &[u8]) -> Result<SchemaRef, EngineError> {
    Ok(batches_from(bytes)?.0)
}

/// # Errors
/// As [`RowsOut::encode`].
pub fn fields_to(fields: &[FieldRef]) -> Result<Vec<u8>, EngineError> {
    schema_to(&Schema::new(fields.to_vec()))
}

/// # Errors
/// As [`RowsIn::decode`].
pub fn fields_from(bytes: &[u8]) -> Result<Vec<FieldRef>, EngineError> {
    Ok(schema_from(bytes)?.fields().iter().cloned().collect())
}

fn unwritable(error: ArrowError) -> EngineError {
    error::internal(format!("rows could not be written: {error}"))
}

fn unreadable(error: ArrowError) -> EngineError {
    error::internal(format!("rows could not be read: {error}"))
}

#[cfg(test)]
mod tests {
    use arrow_array::types::Int32Type;
    use arrow_array::{DictionaryArray, Int32Array, Int64Array, ListArray, StringArray};
    use arrow_schema::Field;

    use super::*;

    fn travelled(batches: &[RecordBatch]) -> (Vec<RecordBatch>, usize) {
        let (mut rows_out, mut rows_in) = (RowsOut::default(), RowsIn::default());
        let (mut back, mut largest) = (Vec::new(), 0);
        for part in batches.iter().flat_map(split) {
            for message in rows_out.encode(&part).unwrap() {
                largest = largest.max(message.data_body.len());
                back.extend(rows_in.decode(&message).unwrap());
            }
        }
        (back, largest)
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let strings = StringArray::from(vec![Some("a"), None, Some("ü\u{0}")]);
        let views = StringViewArray::from(vec![Some("short"), None, Some("longer than twelve bytes are kept elsewhere")]);
        let dictionary: DictionaryArray<Int32Type> = vec![Some("x"), Some("y"), None].into_iter().collect();
        let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
        let fields = vec![
            Field::new("s", DataType::Utf8, true).with_metadata([("pg.type".to_owned(), "1043:24".to_owned())].into()),
            Field::new("v", DataType::Utf8View, true),
            Field::new("d", dictionary.data_type().clone(), true),
            Field::new("l", lists.data_type().clone(), true),
        ];
        let columns: Vec<ArrayRef> = vec![Arc::new(strings), Arc::new(views), Arc::new(dictionary), Arc::new(lists)];
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).unwrap();
        let other = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]).unwrap();
        let sent = [batch.clone(), batch.slice(1, 2), other.clone(), batch.clone()];
        assert_eq!(travelled(&sent).0, sent);
        let (schema, back) = batches_from(&batches_to(&batch.schema(), &[batch.clone(), batch.slice(2, 1)]).unwrap()).unwrap();
        assert_eq!((schema, back), (batch.schema(), vec![batch.clone(), batch.slice(2, 1)]));
    }

    #[test]
    fn rows_without_columns_are_counted() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
        assert_eq!(travelled(std::slice::from_ref(&batch)).0[0].num_rows(), 5);
        assert_eq!(batches_from(&batches_to(&batch.schema(), &[batch]).unwrap()).unwrap().1[0].num_rows(), 5);
    }

    #[test]
    fn large_batches_are_split_and_only_one_row_is_too_large() {
        let wide = "w".repeat(3 << 20);
        let texts: Vec<String> = (0..40_000).map(|at| format!("{at:0100}")).chain([wide]).collect();
        let rows = texts.len();
        for array in [Arc::new(StringArray::from(texts.clone())) as ArrayRef, Arc::new(StringViewArray::from_iter_values(&texts))] {
            let numbers = Arc::new(Int32Array::from_iter_values(0..i32::try_from(rows).unwrap())) as ArrayRef;
            let batch = RecordBatch::try_from_iter([("n", numbers), ("t", array)]).unwrap();
            let parts = split(&batch);
            assert!(parts.len() > 6);
            assert!(parts.iter().all(|part| part.num_rows() == 1 || bytes_of(part) <= FRAME_BYTES));
            let (back, largest) = travelled(std::slice::from_ref(&batch));
            assert_eq!(arrow::compute::concat_batches(&batch.schema(), &back).unwrap(), batch);
            assert!(largest < (3 << 20) + 4096, "{largest}");
        }
    }
}
