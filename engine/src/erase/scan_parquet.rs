//! A Parquet file by its pages, decompressed, and by its values: some encodings cut texts up.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::compute::cast;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Encoding, Type};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::scan::{Search, plain};

/// A checkpoint has the statistics of files as JSON in a column of this name.
const STATISTICS: &str = "stats";
/// Encodings that leave each text in one piece.
const WHOLE: [Encoding; 5] =
    [Encoding::PLAIN, Encoding::PLAIN_DICTIONARY, Encoding::RLE_DICTIONARY, Encoding::RLE, Encoding::DELTA_LENGTH_BYTE_ARRAY];

/// Where, and how it is written there; at most one finding a column.
pub type Found = Vec<(String, &'static str)>;

/// # Errors
/// Why the file does not read: then it was searched as bytes alone.
pub fn look(bytes: &Bytes, search: &Search) -> Result<Found, String> {
    let mut found = Found::new();
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|failure| failure.to_string())?;
    if search.needles.counts().1 > 0 {
        pages(bytes, search, &mut found)?;
    }
    values(builder, search, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn pages(bytes: &Bytes, search: &Search, found: &mut Found) -> Result<(), String> {
    let reader = SerializedFileReader::new(bytes.clone()).map_err(|failure| failure.to_string())?;
    for (number, group) in reader.metadata().row_groups().iter().enumerate() {
        let rows = reader.get_row_group(number).map_err(|failure| failure.to_string())?;
        for (at, column) in group.columns().iter().enumerate() {
            let pages = rows.get_column_page_reader(at).map_err(|failure| failure.to_string())?;
            for page in pages {
                let page = page.map_err(|failure| failure.to_string())?;
                if let Some(encoding) = search.needles.find(page.buffer()) {
                    found.push((format!("pages of column {}", column.column_path()), encoding));
                    break;
                }
            }
        }
    }
    Ok(())
}

/// The columns whose values have to be looked at one by one: those of keys, statistics in checkpoints, and texts that do not lie in the
/// pages as they are. Of all others the pages say it all.
fn by_value(metadata: &ParquetMetaData, search: &Search) -> Vec<usize> {
    let is_cut = |at: usize| {
        let cuts = |column: &ColumnChunkMetaData| column.encodings().any(|encoding| !WHOLE.contains(&encoding));
        metadata.row_groups().iter().filter_map(|group| group.columns().get(at)).any(cuts)
    };
    let has_bytes = |kind: Type| matches!(kind, Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY);
    let columns = metadata.file_metadata().schema_descr().columns().iter().enumerate();
    let wanted = columns.filter(|(at, column)| {
        let names = column.path().parts();
        let is_key = names.first().is_some_and(|name| search.keys.contains_key(name));
        let is_statistics = names.last().is_some_and(|name| name == STATISTICS);
        is_key || is_statistics || (has_bytes(column.physical_type()) && is_cut(*at))
    });
    wanted.map(|(at, _)| at).collect()
}

fn values(builder: ParquetRecordBatchReaderBuilder<Bytes>, search: &Search, found: &mut Found) -> Result<(), String> {
    let wanted = by_value(builder.metadata(), search);
    if wanted.is_empty() {
        return Ok(());
    }
    let mask = ProjectionMask::leaves(builder.parquet_schema(), wanted);
    let numbers: HashMap<&str, HashSet<i64>> = search.keys.iter().map(|(name, values)| (name.as_str(), whole(values))).collect();
    for batch in builder.with_projection(mask).build().map_err(|failure| failure.to_string())? {
        let batch = batch.map_err(|failure| failure.to_string())?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            leaves(field.name(), column, search, found)?;
            let (Some(key), Some(numbers)) = (search.keys.get(field.name()), numbers.get(field.name().as_str())) else { continue };
            if holds(column, key, numbers) {
                found.push((format!("values of column {}", field.name()), "value of a subject's column"));
            }
        }
        found.sort();
        found.dedup();
    }
    Ok(())
}

/// Those that are whole numbers, as a column of such has them.
fn whole(values: &HashSet<String>) -> HashSet<i64> {
    values.iter().filter_map(|value| value.parse::<i64>().ok().filter(|number| number.to_string() == *value)).collect()
}

fn holds(column: &ArrayRef, key: &HashSet<String>, numbers: &HashSet<i64>) -> bool {
    match column.data_type() {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let Ok(column) = cast(column, &DataType::Int64) else { return false };
            column.as_primitive::<Int64Type>().iter().flatten().any(|number| numbers.contains(&number))
        }
        _ => {
            let Ok(texts) = cast(column, &DataType::Utf8) else { return false };
            texts.as_string::<i32>().iter().flatten().any(|text| key.contains(plain(text)))
        }
    }
}

/// Texts and bytes, however deep they lie.
fn leaves(name: &str, array: &ArrayRef, search: &Search, found: &mut Found) -> Result<(), String> {
    let cast_to = |data_type: DataType| cast(array, &data_type).map_err(|failure| failure.to_string());
    match array.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            texts(name, cast_to(DataType::Utf8)?.as_string::<i32>(), search, found);
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let bytes = cast_to(DataType::Binary)?;
            let hit = bytes.as_binary::<i32>().iter().flatten().find_map(|value| search.needles.find(value));
            found.extend(hit.map(|encoding| (format!("values of column {name}"), encoding)));
        }
        DataType::Dictionary(_, values) => {
            let plain: ArrayRef = cast_to(values.as_ref().clone())?;
            leaves(name, &plain, search, found)?;
        }
        DataType::Struct(fields) => {
            for (field, child) in fields.iter().zip(array.as_struct().columns()) {
                leaves(&format!("{name}.{}", field.name()), child, search, found)?;
            }
        }
        DataType::List(_) => leaves(&format!("{name}.element"), array.as_list::<i32>().values(), search, found)?,
        DataType::LargeList(_) => leaves(&format!("{name}.element"), array.as_list::<i64>().values(), search, found)?,
        DataType::Map(..) => {
            let entries: ArrayRef = Arc::new(array.as_map().entries().clone());
            leaves(name, &entries, search, found)?;
        }
        _ => {}
    }
    Ok(())
}

fn texts(name: &str, texts: &StringArray, search: &Search, found: &mut Found) {
    let has_statistics = name.ends_with(STATISTICS);
    for text in texts.iter().flatten() {
        if let Some(encoding) = search.needles.find(text.as_bytes()) {
            found.push((format!("values of column {name}"), encoding));
            return;
        }
        if has_statistics && search.statistics(text) {
            found.push((format!("statistics in column {name}"), "value of a subject's column"));
            return;
        }
    }
}
