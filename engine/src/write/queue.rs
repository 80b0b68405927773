//! This process's writes to one table, in order. Appends that come while another commit is under way share the next one.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use deltalake_core::kernel::Add;
use lakegate_engine_api::EngineError;
use tokio::sync::oneshot;

use super::commit::CommitId;
use crate::delta::TableVersion;

/// Bytes of rows in memory that share one commit.
const GROUP_BYTES_MAX: usize = 64 << 20;

#[derive(Debug, Default)]
pub struct WriteQueue {
    /// Held by a statement that rewrites files, from its snapshot to its commit.
    pub rewrites: tokio::sync::Mutex<()>,
    /// Held from reading the newest version to the commit on top of it.
    pub commits: Arc<tokio::sync::Mutex<()>>,
    /// Transactions that have named the table as one that they change.
    pub open_transactions: AtomicUsize,
    waiting: Mutex<Vec<Append>>,
}

/// Rows that only have to become visible.
#[derive(Debug)]
pub struct Append {
    /// Against which the rows were checked.
    pub base: Arc<TableVersion>,
    pub payload: Payload,
    /// One a statement.
    pub ids: Vec<CommitId>,
    /// Nothing of the table was read to make them.
    pub blind: bool,
    pub answer: oneshot::Sender<Result<Appended, EngineError>>,
}

#[derive(Debug, Default)]
pub struct Payload {
    /// Few rows, to be written together with others'; as data files have them.
    pub rows: Vec<RecordBatch>,
    /// In data files already.
    pub files: Vec<Add>,
}

/// What became of an [`Append`].
#[derive(Debug, Clone, Copy)]
pub struct Appended {
    pub version: u64,
    /// 0 where the rows went into files shared with other statements and these were counted there.
    pub files: u64,
    pub bytes: u64,
}

impl WriteQueue {
    pub fn push(&self, append: Append) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(append);
    }

    /// What waits, as much as goes into one commit; empty where another took it along.
    pub fn take_group(&self) -> Vec<Append> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = 0;
        let mut count = 0;
        for append in waiting.iter() {
            bytes += append.payload.memory_bytes();
            if count > 0 && bytes > GROUP_BYTES_MAX {
                break;
            }
            count += 1;
        }
        waiting.drain(..count).collect()
    }
}

impl Payload {
    fn memory_bytes(&self) -> usize {
        self.rows.iter().map(RecordBatch::get_array_memory_size).sum()
    }
}
