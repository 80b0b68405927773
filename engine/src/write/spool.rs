//! Rows that wait until a statement is done: a few in memory, the rest on disk.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result;
use datafusion::datasource::{MemTable, TableProvider};
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, SpillFile, TaskContext};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, SpillMetrics};
use datafusion::physical_plan::spill::SpillManager;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::StreamExt;

/// Bytes that are kept in memory.
const MEMORY_BYTES_MAX: usize = 16 << 20;

/// Appends a batch to a file, or, without one, ends it.
type FileWriter = Box<dyn FnMut(Option<&RecordBatch>) -> Result<Option<Arc<dyn SpillFile>>> + Send>;

/// Takes rows in.
pub struct Spool {
    manager: Arc<SpillManager>,
    batches: Vec<RecordBatch>,
    bytes: usize,
    file: Option<FileWriter>,
}

/// Gives them back, in order, any number of times.
#[derive(Clone)]
pub struct Spooled {
    manager: Arc<SpillManager>,
    batches: Vec<RecordBatch>,
    file: Option<Arc<dyn SpillFile>>,
}

impl Spool {
    #[must_use]
    pub fn new(runtime: Arc<RuntimeEnv>, schema: SchemaRef) -> Self {
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        Self { manager: Arc::new(SpillManager::new(runtime, metrics, schema)), batches: Vec::new(), bytes: 0, file: None }
    }

    /// # Errors
    /// The disk is full or out of the limit for spilling.
    pub fn push(&mut self, batch: RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.file.is_none() {
            self.bytes += batch.get_array_memory_size();
            self.batches.push(batch);
            if self.bytes > MEMORY_BYTES_MAX {
                let mut file = self.manager.create_in_progress_file("rows of a change")?;
                self.file = Some(Box::new(move |batch| match batch {
                    Some(batch) => file.append_batch(batch).map(|_| None),
                    None => file.finish(),
                }));
            }
            return Ok(());
        }
        if let Some(file) = &mut self.file {
            file(Some(&batch))?;
        }
        Ok(())
    }

    /// # Errors
    /// As [`Spool::push`].
    pub fn finish(self) -> Result<Spooled> {
        let file = match self.file {
            Some(mut file) => file(None)?,
            None => None,
        };
        Ok(Spooled { manager: self.manager, batches: self.batches, file })
    }
}

impl Spooled {
    /// # Errors
    /// The file cannot be opened.
    pub fn stream(&self) -> Result<SendableRecordBatchStream> {
        let kept = futures::stream::iter(self.batches.clone().into_iter().map(Ok));
        let schema = Arc::clone(self.manager.schema());
        Ok(match &self.file {
            None => Box::pin(RecordBatchStreamAdapter::new(schema, kept)),
            Some(file) => {
                let rest = self.manager.read_spill_as_stream(Arc::clone(file), None)?;
                Box::pin(RecordBatchStreamAdapter::new(schema, kept.chain(rest)))
            }
        })
    }

    /// The rows as a table.
    ///
    /// # Errors
    /// None that a statement can cause.
    pub fn table(self) -> Result<Arc<dyn TableProvider>> {
        let schema = Arc::clone(self.manager.schema());
        Ok(match self.file {
            None => Arc::new(MemTable::try_new(schema, vec![self.batches])?),
            Some(_) => Arc::new(StreamingTable::try_new(schema, vec![Arc::new(self)])?),
        })
    }
}

impl fmt::Debug for Spooled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spooled").field("batches", &self.batches.len()).field("has_file", &self.file.is_some()).finish_non_exhaustive()
    }
}

impl PartitionStream for Spooled {
    fn schema(&self) -> &SchemaRef {
        self.manager.schema()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.stream() {
            Ok(stream) => stream,
            Err(error) => {
                let failed = futures::stream::once(std::future::ready(Err(error)));
                Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.manager.schema()), failed))
            }
        }
    }
}
