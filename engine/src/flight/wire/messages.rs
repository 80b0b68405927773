//! The messages. Any change of them, or of a type that they carry, is another [`crate::flight::PROTOCOL`].

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use lakegate_engine_api::catalog::RelationName;
use lakegate_engine_api::{
    Alteration, ByteScan, CacheFigures, ColumnDefinition, EngineError, Erased, Erasure, FilePlace, KeyFilter, Maintenance, MetricsSnapshot,
    NewTable, Outcome, Progress, Purge, Purged, PurgedVersions, Scanned, StoredFile, TableCommit, TableDescription, Unavailability,
    VersionPurge, plain,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Ask, Facts, Relation, Statement};

/// The first message of an exchange.
#[derive(Serialize, Deserialize)]
pub enum Opening<'a> {
    /// The exchange is a session: it lasts as long as gateway and engine have to do with each other, and carries [`ToEngine`] and
    /// [`ToGateway`]. What the gateway has the engine keep goes with it.
    Session(Hello),
    /// The exchange is one piece of work of a session; rows may follow, and [`Answer`]s come back.
    Work(Box<Task<'a>>),
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub newest: u16,
    pub oldest: u16,
    /// The engine that is meant.
    #[serde(with = "plain::id")]
    pub instance: Uuid,
}

#[derive(Serialize, Deserialize)]
pub struct Task<'a> {
    #[serde(with = "plain::id")]
    pub session: Uuid,
    /// The gateway's number for it, by which it can be canceled.
    pub number: u64,
    #[serde(with = "plain::id")]
    pub statement: Uuid,
    pub request: Request<'a>,
}

/// The methods of the contract with their arguments. Numbers stand for what the gateway had made before.
#[derive(Serialize, Deserialize)]
pub enum Request<'a> {
    Prepare {
        number: u64,
        statement: Box<Statement<'a>>,
    },
    Execute {
        prepared: u64,
        parameters: Option<Vec<u8>>,
        transactions: Vec<TransactionRef>,
    },
    HoldCurrent {
        prepared: u64,
    },
    CreateTable(Cow<'a, NewTable>),
    DescribeTable(Cow<'a, FilePlace>),
    ListFiles {
        place: Cow<'a, FilePlace>,
        endings: Vec<String>,
    },
    /// Bytes come back.
    ReadFile(Cow<'a, StoredFile>),
    /// Bytes follow, or rows where there is a schema.
    WriteFile {
        place: Cow<'a, FilePlace>,
        schema: Option<Vec<u8>>,
    },
    ConvertToDelta {
        place: Cow<'a, FilePlace>,
        partitions: Cow<'a, [ColumnDefinition]>,
    },
    AlterTable {
        target: Relation<'a>,
        alterations: Cow<'a, [Alteration]>,
        session: Facts<'a>,
    },
    Maintain {
        target: Relation<'a>,
        work: Cow<'a, Maintenance>,
        session: Facts<'a>,
    },
    EraseRows {
        target: Relation<'a>,
        erasure: Cow<'a, Erasure>,
        session: Facts<'a>,
    },
    StoreTime(Cow<'a, str>),
    PurgeHistory {
        target: Relation<'a>,
        purge: Cow<'a, Purge>,
    },
    PurgeVersions {
        location: Cow<'a, str>,
        purge: Cow<'a, VersionPurge>,
    },
    ScanBytes {
        location: Cow<'a, str>,
        scan: Cow<'a, ByteScan>,
    },
    IsWorn(Cow<'a, str>),
    NewestVersion(Cow<'a, str>),
    Forget(Cow<'a, str>),
    DropTable(Cow<'a, str>),
    /// Rows follow.
    Append {
        target: Relation<'a>,
        session: Facts<'a>,
    },
    Commit(TransactionRef),
    CommitTogether {
        transactions: Vec<TransactionRef>,
        decision: u64,
    },
    UndoCommits(Cow<'a, [TableCommit]>),
    CheckStore(Cow<'a, str>),
}

/// A transaction, and what was done to it at the gateway since: numbered, and said again until the engine has said that it knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionRef {
    pub number: u64,
    pub steps: Vec<(u64, StagedStep)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StagedStep {
    LockRows,
    /// Numbered from 1.
    Mark(u64),
    /// 0: the transaction's beginning.
    RollBackTo(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TransactionState {
    pub number: u64,
    /// The newest step that was done.
    pub done: u64,
    pub has_changes: bool,
    pub has_writes: bool,
}

/// After the opening of an exchange with rows or bytes; these may come in any number before it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Made {
    /// All came.
    Whole,
    /// No more comes: what made them failed.
    Failed(EngineError),
}

/// What comes back on an exchange with work.
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// Of the transactions that the work named; before the reply.
    Transactions(Vec<TransactionState>),
    Progress(Option<Progress>),
    Reply(Box<Reply>),
    /// After rows or bytes.
    End(MetricsSnapshot),
    /// In place of a reply, or after rows.
    Failed(EngineError),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    Nothing,
    Prepared {
        parameters: Vec<u8>,
        result: Option<Vec<u8>>,
        versions: Vec<(RelationName, u64)>,
        columns: Vec<(RelationName, Vec<String>)>,
    },
    /// Rows follow.
    Rows {
        schema: Vec<u8>,
        #[serde(with = "plain::id_if_any")]
        cache_origin: Option<Uuid>,
    },
    Done(Outcome),
    /// Rows follow.
    Returned {
        schema: Vec<u8>,
        outcome: Outcome,
    },
    Is(bool),
    /// Of a table.
    Version(u64),
    Described(TableDescription),
    Files(Vec<StoredFile>),
    /// Bytes follow.
    Bytes,
    Maintained {
        rows: Option<Vec<u8>>,
        outcome: Outcome,
        summary: Option<String>,
    },
    Erased(Erased),
    StoreTime(#[serde(with = "plain::time")] DateTime<Utc>, bool),
    Purged(Purged),
    PurgedVersions(PurgedVersions),
    Scanned(Scanned),
    Outcomes(Vec<Outcome>),
}

/// On a session's exchange.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToEngine {
    /// The statement's work is to stop; the answer still comes.
    Cancel(u64),
    /// What the numbers stand for is of no use any more.
    Release(Vec<u64>),
    /// So many holds of a plan are given up.
    LetGo { prepared: u64, holds: usize },
    /// `None`: who was asked is no longer there.
    Answered { call: u64, answer: Option<Vec<u8>> },
}

/// On a session's exchange.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToGateway {
    Welcome {
        #[serde(with = "plain::id")]
        session: Uuid,
    },
    Refused(Unavailability),
    /// `object`: the number that came with a statement.
    Call {
        call: u64,
        object: u64,
        question: Question,
    },
    /// Nobody waits for the answer any more.
    Forget {
        call: u64,
    },
    /// No new work is taken.
    Draining,
    Caches(Vec<CacheFigures>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Question {
    Lookup(Ask),
    /// [`lakegate_engine_api::SystemColumns::read`]; an Arrow IPC stream comes back.
    Columns {
        columns: Vec<usize>,
        keys: Vec<KeyFilter>,
    },
    /// [`lakegate_engine_api::CommitDecision`].
    Intend(Vec<TableCommit>),
    Decide,
    Outcome,
    Abandon,
}
