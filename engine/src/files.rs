//! Files that are no tables, in and out. A file that is being written is not seen before it is whole, and never if it fails.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use futures::{StreamExt, TryStreamExt};
use lakegate_engine_api::{ByteStream, EngineError, ExecutionContext, FileContent, FilePlace, Outcome, RowStream, StoredFile};
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use tokio::io::AsyncWriteExt;

use crate::error;
use crate::store::{Stores, listed};

/// # Errors
/// `Sql` where there is none; `Storage`.
pub async fn list_files(stores: &Stores, place: &FilePlace, endings: &[&str]) -> Result<Vec<StoredFile>, EngineError> {
    stores.require_within(&place.url, &place.within)?;
    let (location, files) = listed(stores, &place.url, endings).await?;
    let stored =
        |file: object_store::ObjectMeta| StoredFile { root: location.url.to_string(), path: file.location.to_string(), bytes: file.size };
    Ok(files.into_iter().map(stored).collect())
}

/// # Errors
/// `Storage`; `Sql` where the file is gone.
pub async fn read_file(stores: &Stores, file: &StoredFile) -> Result<ByteStream, EngineError> {
    let location = stores.open(&file.root)?;
    let path = Path::parse(&file.path).map_err(|_| error::internal("a listed path is one"))?;
    let result = location.store.get(&path).await.map_err(|failure| error::from_object_store(&failure, None))?;
    let bytes = result.into_stream();
    match compression(&file.path) {
        FileCompressionType::UNCOMPRESSED => Ok(bytes.map_err(|failure| error::from_object_store(&failure, None)).boxed()),
        compression => {
            let bytes = compression.convert_stream(bytes.map_err(DataFusionError::from).boxed());
            let bytes = bytes.map_err(|failure| error::from_datafusion(&failure, &[]))?;
            Ok(bytes.map_err(|failure| undone(&failure)).boxed())
        }
    }
}

/// By the ending of the name.
fn compression(path: &str) -> FileCompressionType {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("gz") => FileCompressionType::GZIP,
        Some("bz2") => FileCompressionType::BZIP2,
        Some("zst") => FileCompressionType::ZSTD,
        _ => FileCompressionType::UNCOMPRESSED,
    }
}

fn undone(failure: &DataFusionError) -> EngineError {
    match failure {
        DataFusionError::ObjectStore(failure) => error::from_object_store(failure, None),
        _ => error::corrupted("a compressed file is damaged"),
    }
}

/// Makes the file, or replaces it.
///
/// # Errors
/// The content's own; `Canceled`; `Storage`: no file is there, or the one that was.
pub async fn write_file(
    stores: &Stores,
    place: &FilePlace,
    content: FileContent,
    context: &ExecutionContext,
) -> Result<Outcome, EngineError> {
    stores.require_within(&place.url, &place.within)?;
    let (folder, name) = place.url.rsplit_once('/').ok_or_else(|| error::internal("a URL has a slash"))?;
    let location = stores.open(folder)?;
    let path = location.child(name)?;
    let mut file = NewFile { writer: BufWriter::new(Arc::clone(&location.store), path), bytes: 0 };
    let filled = match content {
        FileContent::Bytes(bytes) => file.fill(compressed(&place.url, bytes)?, context).await.map(|()| 0),
        FileContent::Parquet { schema, rows } => file.fill_parquet(&schema, rows, context).await,
    };
    match filled {
        Ok(rows) => {
            file.writer.shutdown().await.map_err(error::from_io)?;
            Ok(Outcome { rows, files_written: 1, bytes_written: file.bytes, ..Outcome::default() })
        }
        Err(failure) => {
            if let Err(error) = file.writer.abort().await {
                tracing::warn!(%error, "what was uploaded of a file could not be taken back");
            }
            Err(failure)
        }
    }
}

/// What goes wrong with the content keeps its own words.
fn compressed(url: &str, bytes: ByteStream) -> Result<ByteStream, EngineError> {
    let compression = compression(url);
    if compression == FileCompressionType::UNCOMPRESSED {
        return Ok(bytes);
    }
    let packed = compression.convert_to_compress_stream(bytes.map_err(error::external).boxed());
    let packed = packed.map_err(|failure| error::from_datafusion(&failure, &[]))?;
    Ok(packed.map_err(|failure| error::from_datafusion(&failure, &[])).boxed())
}

struct NewFile {
    writer: BufWriter,
    bytes: u64,
}

impl NewFile {
    async fn fill(&mut self, mut bytes: ByteStream, context: &ExecutionContext) -> Result<(), EngineError> {
        loop {
            let next = tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(EngineError::Canceled),
                next = bytes.next() => next,
            };
            match next {
                Some(bytes) => self.put(bytes?).await?,
                None => return Ok(()),
            }
        }
    }

    async fn put(&mut self, bytes: Bytes) -> Result<(), EngineError> {
        self.bytes += bytes.len() as u64;
        self.writer.put(bytes).await.map_err(|failure| error::from_object_store(&failure, None))
    }

    async fn fill_parquet(&mut self, schema: &SchemaRef, mut rows: RowStream, context: &ExecutionContext) -> Result<u64, EngineError> {
        let encoded = Encoded::default();
        let compression = Compression::ZSTD(ZstdLevel::default());
        let properties = WriterProperties::builder().set_compression(compression).build();
        let mut writer =
            ArrowWriter::try_new(encoded.clone(), Arc::clone(schema), Some(properties)).map_err(|failure| unwritable(&failure))?;
        let mut count = 0;
        loop {
            let next = tokio::select! {
                biased;
                () = context.cancel.cancelled() => return Err(EngineError::Canceled),
                next = rows.next() => next,
            };
            let Some(batch) = next else { break };
            let batch = batch?;
            count += batch.num_rows() as u64;
            writer.write(&batch).map_err(|failure| unwritable(&failure))?;
            self.put_encoded(&encoded).await?;
        }
        writer.close().map_err(|failure| unwritable(&failure))?;
        self.put_encoded(&encoded).await?;
        Ok(count)
    }

    async fn put_encoded(&mut self, encoded: &Encoded) -> Result<(), EngineError> {
        let bytes = encoded.take();
        if bytes.is_empty() { Ok(()) } else { self.put(bytes).await }
    }
}

fn unwritable(failure: &ParquetError) -> EngineError {
    match failure {
        ParquetError::NYI(what) | ParquetError::ArrowError(what) => {
            error::unsupported_hint(format!("writing a column of this type to Parquet ({what})"), "Cast the column to text.".to_owned())
        }
        other => error::internal(other.to_string()),
    }
}

/// What the Parquet writer has given out and nobody has taken yet.
#[derive(Clone, Default)]
struct Encoded(Arc<Mutex<Vec<u8>>>);

impl Encoded {
    fn take(&self) -> Bytes {
        Bytes::from(std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Write for Encoded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
