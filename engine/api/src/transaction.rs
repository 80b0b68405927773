//! Changes of one table that become visible together, or never.

use std::any::Any;
use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::{EngineError, ExecutionContext, Outcome};

/// Changes of one table, staged by the statements whose relations are bound with it. Nobody else sees them before
/// [`EngineTransaction::commit`]; dropped before that, they are rolled back. Statements under one transaction run one after the other.
#[async_trait]
pub trait EngineTransaction: Debug + Send + Sync {
    /// For the engine to get its own type back.
    fn as_any(&self) -> &dyn Any;

    /// Whether a statement has staged something that was not rolled back.
    fn has_changes(&self) -> bool;

    /// Whether a statement has staged something to be written, rather than locked rows alone.
    fn has_writes(&self) -> bool {
        self.has_changes()
    }

    /// The rows that were read must stay as they are: the commit fails with `Conflict` where another one has meanwhile changed or
    /// deleted rows of the table. Rows that others add do not matter.
    ///
    /// # Errors
    /// `Unsupported` by this engine; `Internal` where the transaction is over.
    fn lock_rows(&self) -> Result<(), EngineError> {
        Err(EngineError::Unsupported { feature: "FOR UPDATE by this engine".to_owned(), hint: None })
    }

    /// What is staged up to here, for [`EngineTransaction::roll_back_to`]; 0 stands for its beginning.
    fn mark(&self) -> usize;

    /// Drops what was staged since the mark was taken.
    fn roll_back_to(&self, mark: usize);

    /// Drops everything; the transaction is over.
    fn roll_back(&self);

    /// Makes everything visible in one Delta commit; a file that was added and removed again is not in it. Whatever the answer, the
    /// transaction is over.
    ///
    /// # Errors
    /// `Conflict` where another commit undoes what the changes rest on, `Canceled` and `Storage`: nothing is visible.
    /// `CommitUnknown`: the store did not say.
    async fn commit(&self, context: ExecutionContext) -> Result<Outcome, EngineError>;
}

/// One table's part in a commit of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCommit {
    /// Root URL.
    pub location: String,
    /// The version that it is, or is to be.
    pub version: u64,
    /// Stands in the commit.
    pub commit_id: String,
}

/// What was decided of a commit of several tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Decision {
    /// All of it counts.
    Stands,
    /// None of it does: what is there has to be undone.
    Refused,
    /// Nobody says.
    Unknown,
    /// Nobody will: who was to decide has gone. What is there is left, with its record, to who takes the record over.
    Gone,
}

/// The control plane's record of a commit of several tables, and its word on it.
#[async_trait]
pub trait CommitDecision: Send + Sync {
    /// Records which versions are meant, durably, before the first of them is written; again where one turned out to be somebody else's.
    /// False: it must not go on.
    async fn intend(&self, commits: &[TableCommit]) -> bool;

    /// The moment of the commit: everything is written.
    async fn decide(&self) -> Decision;

    /// What was decided, after the answer to [`CommitDecision::decide`] was lost; where nothing was, nothing will be.
    async fn outcome(&self) -> Decision;

    /// All is undone: the record can go.
    async fn abandon(&self);
}
