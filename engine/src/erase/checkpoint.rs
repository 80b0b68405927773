//! A checkpoint of the version that stays. Without tombstones: they have the paths and partition values of files that go.

use std::sync::Arc;

use arrow::compute::{filter_record_batch, is_null};
use arrow_array::Array;
use bytes::Bytes;
use deltalake_core::DeltaTable;
use deltalake_core::checkpoints::create_checkpoint;
use lakegate_engine_api::EngineError;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::delta::Table;
use crate::error;

/// Its name in the log's folder.
#[must_use]
pub fn name(version: u64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

/// # Errors
/// `Storage`, `Corrupted`.
pub async fn without_tombstones(table: &Arc<Table>, version: u64) -> Result<(), EngineError> {
    let store = table.log_store.object_store(None);
    let path = Path::from("_delta_log").join(name(version));
    let failed = |failure| error::from_object_store(&failure, None);
    match store.head(&path).await {
        Ok(_) => {}
        Err(object_store::Error::NotFound { .. }) => {
            let mut delta = DeltaTable::new(Arc::clone(&table.log_store));
            delta.load_version(version).await.map_err(|failure| error::from_delta(&failure, ""))?;
            create_checkpoint(&delta, None).await.map_err(|failure| error::from_delta(&failure, ""))?;
        }
        Err(failure) => return Err(failed(failure)),
    }
    let bytes = store.get(&path).await.map_err(failed)?.bytes().await.map_err(failed)?;
    let (made, actions) = tokio::task::spawn_blocking(move || filtered(bytes)).await.map_err(|_| error::internal("cut off"))??;
    store.put(&path, made.into()).await.map_err(failed)?;
    let hint = serde_json::json!({ "version": version, "size": actions });
    let hint_path = Path::from("_delta_log").join("_last_checkpoint");
    store.put(&hint_path, hint.to_string().into_bytes().into()).await.map_err(failed)?;
    Ok(())
}

/// Its bytes, and the number of its actions.
fn filtered(bytes: Bytes) -> Result<(Vec<u8>, usize), EngineError> {
    let failed = |failure: parquet::errors::ParquetError| error::corrupted(format!("a checkpoint does not read: {failure}"));
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(failed)?;
    let schema = Arc::clone(builder.schema());
    let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::try_new(1).unwrap_or_default())).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(failed)?;
    let mut actions = 0;
    for batch in builder.build().map_err(failed)? {
        let batch = batch.map_err(|failure| error::from_arrow(&failure))?;
        let kept = match batch.column_by_name("remove") {
            Some(removes) if removes.null_count() < removes.len() => {
                let keep = is_null(removes).map_err(|failure| error::from_arrow(&failure))?;
                filter_record_batch(&batch, &keep).map_err(|failure| error::from_arrow(&failure))?
            }
            _ => batch,
        };
        actions += kept.num_rows();
        writer.write(&kept).map_err(failed)?;
    }
    Ok((writer.into_inner().map_err(failed)?, actions))
}
