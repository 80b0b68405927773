//! Rows of COPY FROM whose values cannot be read: left out, counted and told, where ON_ERROR says so. As PostgreSQL 18 has it.

use arrow_array::RecordBatch;

use super::options::OnError;
use crate::sqlstate::{Severity, SqlError, SqlState};

/// Notices about single rows; the count is told of all.
const TOLD_MAX: usize = 1_000;

#[derive(Debug)]
pub struct BadRows {
    on_error: OnError,
    skipped: u64,
    /// Of the batch that is being read.
    in_batch: Vec<usize>,
    told: Vec<SqlError>,
}

impl BadRows {
    #[must_use]
    pub fn new(on_error: OnError) -> Self {
        BadRows { on_error, skipped: 0, in_batch: Vec::new(), told: Vec::new() }
    }

    #[must_use]
    pub fn ignores(&self) -> bool {
        matches!(self.on_error, OnError::Ignore { .. })
    }

    /// Whether a row may be left out for an error of one of its values.
    #[must_use]
    pub fn is_overlooked(&self, error: &SqlError) -> bool {
        self.ignores() && error.state.code().starts_with("22")
    }

    /// Row number `row` of the batch is left out.
    ///
    /// # Errors
    /// 22P02 past REJECT_LIMIT.
    pub fn skip(&mut self, row: usize, line: u64, column: &str, shown: &str) -> Result<(), SqlError> {
        let OnError::Ignore { limit, verbose } = self.on_error else { return Ok(()) };
        self.skipped += 1;
        self.in_batch.push(row);
        if let Some(limit) = limit.filter(|limit| self.skipped > *limit) {
            let message = format!("skipped more than REJECT_LIMIT ({limit}) rows due to data type incompatibility");
            return Err(SqlError::new(SqlState::InvalidTextRepresentation, message));
        }
        if verbose && self.told.len() < TOLD_MAX {
            let text = format!("skipping row due to data type incompatibility at line {line} for column \"{column}\": \"{shown}\"");
            self.told.push(notice(text));
        }
        Ok(())
    }

    /// The rows of a batch that stay, in pieces.
    #[must_use]
    pub fn kept(&mut self, batch: RecordBatch) -> Vec<RecordBatch> {
        if self.in_batch.is_empty() {
            return vec![batch];
        }
        let mut pieces = Vec::new();
        let mut start = 0;
        for bad in self.in_batch.drain(..).chain([batch.num_rows()]) {
            if bad > start {
                pieces.push(batch.slice(start, bad - start));
            }
            start = bad + 1;
        }
        pieces
    }

    /// What the client is told at the end.
    #[must_use]
    pub fn notices(&mut self) -> Vec<SqlError> {
        let mut notices = std::mem::take(&mut self.told);
        if self.skipped > 0 {
            let rows = if self.skipped == 1 { "row was" } else { "rows were" };
            notices.push(notice(format!("{} {rows} skipped due to data type incompatibility", self.skipped)));
        }
        notices
    }
}

fn notice(text: String) -> SqlError {
    SqlError::notice(Severity::Notice, SqlState::SuccessfulCompletion, text)
}
