//! How far a long piece of work has come: counted by those who do it, read by those who look on.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Phase {
    #[default]
    Initializing,
    /// Rows are read, and written into new data files.
    WritingRows,
    /// Data files become others.
    RewritingFiles,
    /// Files that nobody needs are looked for.
    ListingFiles,
    DeletingFiles,
    Committing,
    /// Checkpoint, expired log entries.
    CleaningLog,
}

impl Phase {
    const ALL: [Phase; 7] = [
        Phase::Initializing,
        Phase::WritingRows,
        Phase::RewritingFiles,
        Phase::ListingFiles,
        Phase::DeletingFiles,
        Phase::Committing,
        Phase::CleaningLog,
    ];

    /// As the views word it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Phase::Initializing => "initializing",
            Phase::WritingRows => "writing rows",
            Phase::RewritingFiles => "rewriting files",
            Phase::ListingFiles => "listing files",
            Phase::DeletingFiles => "deleting files",
            Phase::Committing => "committing",
            Phase::CleaningLog => "cleaning log",
        }
    }
}

/// Counters of one piece of work. A total of zero is not known.
#[derive(Debug, Default)]
pub struct ProgressCounters {
    phase: AtomicU8,
    pub files_done: AtomicU64,
    pub files_total: AtomicU64,
    pub bytes_done: AtomicU64,
    pub bytes_total: AtomicU64,
    pub rows_done: AtomicU64,
    /// Read, and not wanted.
    pub rows_left_out: AtomicU64,
}

impl ProgressCounters {
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    /// The whole of it, once it is known.
    pub fn expect(&self, files: u64, bytes: u64) {
        self.files_total.store(files, Ordering::Relaxed);
        self.bytes_total.store(bytes, Ordering::Relaxed);
    }

    pub fn add_files(&self, files: u64, bytes: u64) {
        self.files_done.fetch_add(files, Ordering::Relaxed);
        self.bytes_done.fetch_add(bytes, Ordering::Relaxed);
    }

    #[must_use]
    pub fn read(&self) -> Progress {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            phase: Phase::ALL.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or_default(),
            files_done: read(&self.files_done),
            files_total: read(&self.files_total),
            bytes_done: read(&self.bytes_done),
            bytes_total: read(&self.bytes_total),
            rows_done: read(&self.rows_done),
            rows_left_out: read(&self.rows_left_out),
        }
    }
}

/// The counters at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub phase: Phase,
    pub files_done: u64,
    pub files_total: u64,
    pub bytes_done: u64,
    pub bytes_total: u64,
    pub rows_done: u64,
    pub rows_left_out: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_is_read_as_it_was_entered() {
        let counters = ProgressCounters::default();
        for phase in Phase::ALL {
            counters.enter(phase);
            assert_eq!(counters.read().phase, phase);
        }
        counters.expect(7, 70);
        counters.add_files(2, 20);
        assert_eq!(
            counters.read(),
            Progress { phase: Phase::CleaningLog, files_done: 2, files_total: 7, bytes_done: 20, bytes_total: 70, ..Progress::default() }
        );
    }
}
