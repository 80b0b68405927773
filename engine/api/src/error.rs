//! What can go wrong in the data plane, as data. The gateway maps each variant to one SQLSTATE.

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Messages name SQL objects and values that the statement itself holds, never a path of the server or another role's data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum EngineError {
    /// PostgreSQL or Delta has it, this engine does not.
    #[error("{feature} is not supported")]
    Unsupported { feature: String, hint: Option<String> },
    /// The statement is wrong in a way found while planning it.
    #[error("{message}")]
    Sql { mistake: SqlMistake, message: String, hint: Option<String> },
    /// A value cannot be what the statement asks.
    #[error("{message}")]
    Data { error: DataError, message: String },
    /// A row breaks a constraint of the table.
    #[error("{message}")]
    Constraint { violation: Violation, message: String, table: String, detail: Option<String> },
    /// A row-level security policy does not let a row be written.
    #[error("{message}")]
    Policy { message: String, detail: Option<String> },
    /// A value for a column that gives itself its values.
    #[error("{message}")]
    GeneratedAlways { message: String, detail: String, hint: Option<String> },
    /// A concurrent commit conflicts; nothing of this statement is visible.
    #[error("could not serialize access due to concurrent update")]
    Conflict { table: String },
    /// The store did not say whether the commit happened.
    #[error("the outcome of the commit to \"{table}\" is unknown")]
    CommitUnknown { table: String, commit_id: String },
    /// There is no Delta table at the location.
    #[error("there is no Delta table at the location")]
    NotADeltaTable,
    /// The object store failed; the message carries no credential and no server path.
    #[error("{message}")]
    Storage { message: String },
    /// A file that the table's log names is gone.
    #[error("a data file of table \"{table}\" is missing")]
    MissingFile { table: String },
    /// A checksum or a file's structure is wrong.
    #[error("{message}")]
    Corrupted { message: String },
    /// The statement's share of memory is used up and its operator cannot spill.
    #[error("out of memory")]
    OutOfMemory { detail: String },
    #[error("could not write: no space left on device")]
    DiskFull,
    /// There is no engine to do the work; nothing has happened.
    #[error("{message}")]
    NoEngine { message: String, hint: String },
    /// A limit of the engine (nesting, columns, size); the message has the number and unit.
    #[error("{message}")]
    Limit { limit: Limit, message: String },
    /// `ExecutionContext::cancel` fired.
    #[error("canceling statement")]
    Canceled,
    /// The engine did not take the work: nothing has happened, and another engine can be asked.
    #[error("{reason}")]
    Unavailable { reason: Unavailability },
    /// The engine, or the connection to it, went away while it worked.
    #[error("the connection to the engine was lost")]
    Lost { effect: Effect },
    /// A bug.
    #[error("internal error: {message}")]
    Internal { message: String },
}

/// Why an engine takes no work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Error)]
pub enum Unavailability {
    /// Nobody listens there, or nobody answers.
    #[error("the engine cannot be reached")]
    Unreachable,
    /// It has no certificate of this cluster, or we have none that it takes.
    #[error("the engine and the gateway are not of the same cluster")]
    Untrusted,
    /// It ends once it has finished what it runs.
    #[error("the engine is shutting down")]
    Draining,
    /// Another process has taken the place of the one that was meant.
    #[error("the engine was replaced by another")]
    Replaced,
    /// Its version speaks another protocol.
    #[error("the engine is of another version")]
    Protocol,
}

/// What work that was lost can have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Effect {
    /// Certainly nothing that anybody sees: it only read, or its changes were staged in a transaction, which is lost with it.
    None,
    /// Its changes may be there.
    Unknown,
}

/// PostgreSQL's class 42 and kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SqlMistake {
    Syntax,
    UndefinedTable,
    UndefinedColumn,
    UndefinedFunction,
    UndefinedParameter,
    UndefinedObject,
    UndefinedFile,
    DuplicateTable,
    UndefinedSchema,
    UndefinedDatabase,
    AmbiguousColumn,
    AmbiguousFunction,
    DuplicateAlias,
    DuplicateColumn,
    Grouping,
    Windowing,
    DatatypeMismatch,
    CannotCoerce,
    IndeterminateDatatype,
    InvalidColumnReference,
    InvalidTableDefinition,
    WrongObjectType,
    /// A scalar subquery returned more than one row.
    CardinalityViolation,
    InsufficientPrivilege,
    /// The setting is none that a client may change.
    CantChangeSetting,
    /// Sessions wait for each other.
    Deadlock,
    /// A lock was not to be had in time.
    LockNotAvailable,
}

/// PostgreSQL's class 22.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataError {
    DivisionByZero,
    NumericOutOfRange,
    InvalidTextRepresentation,
    InvalidDatetimeFormat,
    DatetimeOverflow,
    InvalidTimeZone,
    InvalidParameterValue,
    InvalidRegularExpression,
    InvalidEscape,
    InvalidJson,
    StringTooLong,
    CharacterNotInRepertoire,
    InvalidPowerArgument,
    InvalidLogarithmArgument,
    InvalidLimit,
    InvalidOffset,
    ArraySubscript,
    NullNotAllowed,
    /// A substring of negative length.
    Substring,
    InvalidNtileArgument,
    InvalidNthValueArgument,
    /// The share of a sample.
    InvalidTableSample,
    /// The offset of a window's frame.
    InvalidFrameOffset,
    InvalidWidthBucketArgument,
    UntranslatableCharacter,
    /// Something must have happened first in this session (`lastval` before `nextval`).
    NotInPrerequisiteState,
    /// A sequence has no values left.
    SequenceLimit,
    Other,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Violation {
    NotNull { column: String },
    Check { constraint: String },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Limit {
    StatementTooComplex,
    TooManyColumns,
    ProgramLimit,
    /// Engines ended while they ran the statement.
    Quarantined,
}
