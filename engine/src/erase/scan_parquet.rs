//! A Parquet file by its pages, decompressed, and by its values: some encodings cut texts up.

use std::sync::Arc;

use arrow::compute::cast;
use arrow_array::cast::AsArray;
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_schema::DataType;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};

use super::scan::{Search, plain};

/// Where, and how it is written there; at most one finding a column.
pub type Found = Vec<(String, &'static str)>;

/// # Errors
/// Why the file does not read: then it was searched as bytes alone.
pub fn look(bytes: &Bytes, search: &Search<'_>) -> Result<Found, String> {
    let mut found = pages(bytes, search)?;
    values(bytes, search, &mut found)?;
    found.sort();
    found.dedup();
    Ok(found)
}

fn pages(bytes: &Bytes, search: &Search<'_>) -> Result<Found, String> {
    let mut found = Found::new();
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
    Ok(found)
}

fn values(bytes: &Bytes, search: &Search<'_>, found: &mut Found) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes.clone()).map_err(|failure| failure.to_string())?;
    for batch in builder.build().map_err(|failure| failure.to_string())? {
        let batch = batch.map_err(|failure| failure.to_string())?;
        for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
            let key = search.keys.get(field.name());
            leaves(field.name(), column, search, found)?;
            let Some(key) = key else { continue };
            let Ok(texts) = cast(column, &DataType::Utf8) else { continue };
            if texts.as_string::<i32>().iter().flatten().any(|text| key.contains(&plain(text))) {
                found.push((format!("values of column {}", field.name()), "value of a subject's column"));
            }
        }
        found.sort();
        found.dedup();
    }
    Ok(())
}

/// Texts and bytes, however deep they lie.
fn leaves(name: &str, array: &ArrayRef, search: &Search<'_>, found: &mut Found) -> Result<(), String> {
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

fn texts(name: &str, texts: &StringArray, search: &Search<'_>, found: &mut Found) {
    // A checkpoint has the statistics of files as JSON.
    let has_statistics = name.ends_with("stats");
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
