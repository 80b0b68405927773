//! The one place where SQLSTATE codes are written: [`SqlState`], and the error value that goes to clients, [`SqlError`],
//! worded as PostgreSQL's error style guide says.

use lakegate_catalog::{CatalogError, ObjectKind};
use lakegate_engine_api::{DataError, Effect, EngineError, Limit, SqlMistake, Violation};

/// Declares the codes once: variant, code.
macro_rules! sqlstates {
    ($($(#[$doc:meta])* $variant:ident = $code:literal,)*) => {
        /// A five-character error code; names follow PostgreSQL's `errcodes.txt`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum SqlState { $($(#[$doc])* $variant,)* }
        impl SqlState {
            /// The code as it goes over the wire.
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(SqlState::$variant => $code,)* }
            }
        }
    };
}

sqlstates! {
    SuccessfulCompletion = "00000",
    Warning = "01000",
    PrivilegeNotRevoked = "01006",
    PrivilegeNotGranted = "01007",
    ConnectionFailure = "08006",
    TransactionResolutionUnknown = "08007",
    ProtocolViolation = "08P01",
    FeatureNotSupported = "0A000",
    InvalidGrantor = "0L000",
    InvalidGrantOperation = "0LP01",
    CardinalityViolation = "21000",
    DataException = "22000",
    StringDataRightTruncation = "22001",
    NumericValueOutOfRange = "22003",
    NullValueNotAllowed = "22004",
    SequenceGeneratorLimitExceeded = "2200H",
    InvalidTablesampleArgument = "2202H",
    InvalidDatetimeFormat = "22007",
    DatetimeFieldOverflow = "22008",
    InvalidTimeZoneDisplacementValue = "22009",
    SubstringError = "22011",
    DivisionByZero = "22012",
    InvalidPrecedingOrFollowingSize = "22013",
    InvalidArgumentForNtileFunction = "22014",
    IntervalFieldOverflow = "22015",
    InvalidArgumentForNthValueFunction = "22016",
    InvalidArgumentForLogarithm = "2201E",
    InvalidArgumentForPowerFunction = "2201F",
    InvalidArgumentForWidthBucketFunction = "2201G",
    InvalidRowCountInLimitClause = "2201W",
    InvalidRowCountInResultOffsetClause = "2201X",
    InvalidRegularExpression = "2201B",
    CharacterNotInRepertoire = "22021",
    InvalidParameterValue = "22023",
    ArraySubscriptError = "2202E",
    InvalidEscapeSequence = "22025",
    InvalidJsonText = "22032",
    InvalidTextRepresentation = "22P02",
    InvalidBinaryRepresentation = "22P03",
    BadCopyFileFormat = "22P04",
    UntranslatableCharacter = "22P05",
    NotNullViolation = "23502",
    ForeignKeyViolation = "23503",
    UniqueViolation = "23505",
    CheckViolation = "23514",
    InvalidCursorState = "24000",
    ActiveSqlTransaction = "25001",
    ReadOnlySqlTransaction = "25006",
    NoActiveSqlTransaction = "25P01",
    InFailedSqlTransaction = "25P02",
    IdleInTransactionSessionTimeout = "25P03",
    InvalidSqlStatementName = "26000",
    InvalidAuthorizationSpecification = "28000",
    InvalidPassword = "28P01",
    DependentObjectsStillExist = "2BP01",
    InvalidTransactionTermination = "2D000",
    InvalidCursorName = "34000",
    InvalidSavepointSpecification = "3B001",
    InvalidCatalogName = "3D000",
    InvalidSchemaName = "3F000",
    TransactionRollback = "40000",
    SerializationFailure = "40001",
    DeadlockDetected = "40P01",
    SyntaxError = "42601",
    InsufficientPrivilege = "42501",
    CannotCoerce = "42846",
    GroupingError = "42803",
    WindowingError = "42P20",
    DatatypeMismatch = "42804",
    WrongObjectType = "42809",
    InvalidForeignKey = "42830",
    GeneratedAlways = "428C9",
    IndeterminateDatatype = "42P18",
    NameTooLong = "42622",
    UndefinedColumn = "42703",
    UndefinedFunction = "42883",
    UndefinedTable = "42P01",
    UndefinedParameter = "42P02",
    UndefinedObject = "42704",
    DuplicateColumn = "42701",
    DuplicateCursor = "42P03",
    DuplicateDatabase = "42P04",
    DuplicatePreparedStatement = "42P05",
    DuplicateSchema = "42P06",
    DuplicateTable = "42P07",
    DuplicateAlias = "42712",
    DuplicateObject = "42710",
    AmbiguousColumn = "42702",
    AmbiguousFunction = "42725",
    InvalidName = "42602",
    ReservedName = "42939",
    InvalidColumnReference = "42P10",
    InvalidSchemaDefinition = "42P15",
    InvalidTableDefinition = "42P16",
    InvalidObjectDefinition = "42P17",
    InvalidRecursion = "42P19",
    InsufficientResources = "53000",
    DiskFull = "53100",
    OutOfMemory = "53200",
    TooManyConnections = "53300",
    ConfigurationLimitExceeded = "53400",
    ProgramLimitExceeded = "54000",
    StatementTooComplex = "54001",
    TooManyColumns = "54011",
    TooManyArguments = "54023",
    ObjectNotInPrerequisiteState = "55000",
    ObjectInUse = "55006",
    CantChangeRuntimeParam = "55P02",
    LockNotAvailable = "55P03",
    OperatorIntervention = "57000",
    QueryCanceled = "57014",
    AdminShutdown = "57P01",
    CrashShutdown = "57P02",
    CannotConnectNow = "57P03",
    DatabaseDropped = "57P04",
    IdleSessionTimeout = "57P05",
    IoError = "58030",
    UndefinedFile = "58P01",
    ConfigFileError = "F0000",
    InternalError = "XX000",
    DataCorrupted = "XX001",
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Debug,
    Log,
    Info,
    Notice,
    Warning,
    Error,
    Fatal,
    Panic,
}

impl Severity {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Severity::Debug => "DEBUG",
            Severity::Log => "LOG",
            Severity::Info => "INFO",
            Severity::Notice => "NOTICE",
            Severity::Warning => "WARNING",
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
            Severity::Panic => "PANIC",
        }
    }
}

/// ErrorResponse and NoticeResponse as a value. Fields as in PostgreSQL's protocol documentation, "Error and Notice Message Fields".
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct SqlError {
    pub severity: Severity,
    pub state: SqlState,
    pub message: String,
    pub fields: Box<ErrorFields>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ErrorFields {
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// In characters from 1, into the statement text.
    pub position: Option<u32>,
    /// Call context, e.g. `COPY t, line 3, column a`.
    pub context: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    pub column: Option<String>,
    pub data_type: Option<String>,
    pub constraint: Option<String>,
    /// PostgreSQL's C function, where drivers go by it.
    pub routine: Option<&'static str>,
}

impl SqlError {
    /// A plan that no longer fits what the client was told. Drivers know it by the routine and prepare the statement again.
    #[must_use]
    pub fn changed_result() -> Self {
        let mut error = SqlError::new(SqlState::FeatureNotSupported, "cached plan must not change result type");
        error.fields.routine = Some("RevalidateCachedQuery");
        error
    }

    #[must_use]
    pub fn new(state: SqlState, message: impl Into<String>) -> Self {
        SqlError { severity: Severity::Error, state, message: message.into(), fields: Box::default() }
    }

    #[must_use]
    pub fn fatal(state: SqlState, message: impl Into<String>) -> Self {
        SqlError { severity: Severity::Fatal, ..SqlError::new(state, message) }
    }

    /// 57014.
    #[must_use]
    pub fn canceled() -> Self {
        SqlError::new(SqlState::QueryCanceled, "canceling statement due to user request")
    }

    /// 0A000.
    #[must_use]
    pub fn unsupported(what: impl std::fmt::Display) -> Self {
        SqlError::new(SqlState::FeatureNotSupported, format!("{what} is not supported"))
    }

    #[must_use]
    pub fn notice(severity: Severity, state: SqlState, message: impl Into<String>) -> Self {
        SqlError { severity, ..SqlError::new(state, message) }
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.fields.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.fields.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn position(mut self, position: u32) -> Self {
        self.fields.position = Some(position);
        self
    }

    #[must_use]
    pub fn context(mut self, context: impl Into<String>) -> Self {
        self.fields.context = Some(context.into());
        self
    }

    #[must_use]
    pub fn table(mut self, table: impl Into<String>) -> Self {
        self.fields.table = Some(table.into());
        self
    }

    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity, Severity::Fatal | Severity::Panic)
    }
}

impl From<EngineError> for SqlError {
    fn from(error: EngineError) -> Self {
        let message = error.to_string();
        match error {
            EngineError::Unsupported { hint, .. } => hinted(SqlState::FeatureNotSupported, message, hint),
            EngineError::Sql { mistake, hint, .. } => hinted(mistake.into(), message, hint),
            EngineError::Data { error, .. } => SqlError::new(error.into(), message),
            EngineError::Constraint { violation, table, detail, .. } => {
                let mut error = constraint(violation, message, table);
                error.fields.detail = detail;
                error
            }
            EngineError::Policy { detail, .. } => {
                let mut error = SqlError::new(SqlState::InsufficientPrivilege, message);
                error.fields.detail = detail;
                error
            }
            EngineError::GeneratedAlways { detail, hint, .. } => hinted(SqlState::GeneratedAlways, message, hint).detail(detail),
            EngineError::Conflict { table } => {
                SqlError::new(SqlState::SerializationFailure, message).table(table).hint("The transaction might succeed if retried.")
            }
            EngineError::CommitUnknown { table, commit_id } => SqlError::new(SqlState::TransactionResolutionUnknown, message)
                .detail(format!("The object store did not confirm commit {commit_id}."))
                .hint("Look at the table before trying again: the change may be there.")
                .table(table),
            EngineError::NotADeltaTable => SqlError::new(SqlState::UndefinedTable, message),
            EngineError::Storage { .. } => SqlError::new(SqlState::IoError, message),
            EngineError::MissingFile { table } => SqlError::new(SqlState::UndefinedFile, message)
                .table(table)
                .hint("It may have been deleted by a VACUUM: versions older than its retention cannot be read."),
            EngineError::Corrupted { .. } => SqlError::new(SqlState::DataCorrupted, message),
            EngineError::OutOfMemory { detail } => SqlError::new(SqlState::OutOfMemory, message)
                .detail(detail)
                .hint("Raise --memory-limit, or make the statement handle fewer rows at once."),
            EngineError::NoEngine { hint, .. } => SqlError::new(SqlState::CannotConnectNow, message).hint(hint),
            EngineError::DiskFull => SqlError::new(SqlState::DiskFull, message),
            EngineError::Limit { limit, .. } => SqlError::new(limit.into(), message),
            EngineError::Unavailable { .. } => SqlError::new(SqlState::CannotConnectNow, message).hint("Nothing has happened; try again."),
            EngineError::Lost { effect: Effect::None } => {
                SqlError::new(SqlState::AdminShutdown, message).hint("Nothing was changed; try again.")
            }
            EngineError::Lost { effect: Effect::Unknown } => SqlError::new(SqlState::TransactionResolutionUnknown, message)
                .detail("What the statement changes may be there, or not.")
                .hint("Look before you try again."),
            EngineError::Canceled => SqlError::canceled(),
            EngineError::Internal { .. } => SqlError::new(SqlState::InternalError, message),
        }
    }
}

impl From<CatalogError> for SqlError {
    fn from(error: CatalogError) -> Self {
        let state = catalog_state(&error);
        let mut result = SqlError::new(state, error.to_string());
        result.fields.detail = error.detail();
        result.fields.hint = error.hint().map(std::borrow::Cow::into_owned);
        result
    }
}

fn catalog_state(error: &CatalogError) -> SqlState {
    match error {
        CatalogError::InsufficientPrivilege { .. }
        | CatalogError::MustBeOwner { .. }
        | CatalogError::Forbidden { .. }
        | CatalogError::FileAccess { .. } => SqlState::InsufficientPrivilege,
        CatalogError::Duplicate { kind, .. } => match kind {
            ObjectKind::Database => SqlState::DuplicateDatabase,
            ObjectKind::Schema => SqlState::DuplicateSchema,
            ObjectKind::Relation
            | ObjectKind::Table
            | ObjectKind::View
            | ObjectKind::MaterializedView
            | ObjectKind::Sequence
            | ObjectKind::Index => SqlState::DuplicateTable,
            ObjectKind::Column => SqlState::DuplicateColumn,
            ObjectKind::Role
            | ObjectKind::Constraint
            | ObjectKind::ExternalLocation
            | ObjectKind::Warehouse
            | ObjectKind::Policy
            | ObjectKind::MaskingPolicy
            | ObjectKind::Detection
            | ObjectKind::SavedQuery
            | ObjectKind::Token => SqlState::DuplicateObject,
        },
        CatalogError::Undefined { kind, .. } => match kind {
            ObjectKind::Database => SqlState::InvalidCatalogName,
            ObjectKind::Schema => SqlState::InvalidSchemaName,
            ObjectKind::Relation | ObjectKind::Table | ObjectKind::View | ObjectKind::MaterializedView | ObjectKind::Sequence => {
                SqlState::UndefinedTable
            }
            ObjectKind::Index => SqlState::UndefinedObject,
            ObjectKind::Column => SqlState::UndefinedColumn,
            ObjectKind::Role
            | ObjectKind::Constraint
            | ObjectKind::ExternalLocation
            | ObjectKind::Warehouse
            | ObjectKind::Policy
            | ObjectKind::MaskingPolicy
            | ObjectKind::Detection
            | ObjectKind::SavedQuery
            | ObjectKind::Token => SqlState::UndefinedObject,
        },
        CatalogError::UndefinedColumn { .. } => SqlState::UndefinedColumn,
        CatalogError::UndefinedConstraint { .. } => SqlState::UndefinedObject,
        CatalogError::UndefinedPolicy { .. } => SqlState::UndefinedObject,
        CatalogError::DuplicateConstraint { .. } | CatalogError::DuplicatePolicy { .. } => SqlState::DuplicateObject,
        CatalogError::NotSupported { .. } => SqlState::FeatureNotSupported,
        CatalogError::DuplicateColumn { .. } => SqlState::DuplicateColumn,
        CatalogError::DependentObjects { .. } => SqlState::DependentObjectsStillExist,
        CatalogError::WrongObjectType { .. } => SqlState::WrongObjectType,
        CatalogError::ReservedName { .. } => SqlState::ReservedName,
        CatalogError::InvalidName { .. } => SqlState::InvalidName,
        CatalogError::InvalidDefinition { .. } => SqlState::InvalidTableDefinition,
        CatalogError::InvalidGrant { .. } => SqlState::InvalidGrantOperation,
        CatalogError::InvalidParameter { .. } => SqlState::InvalidParameterValue,
        CatalogError::SequenceLimit { .. } => SqlState::SequenceGeneratorLimitExceeded,
        CatalogError::OutOfRange { .. } => SqlState::NumericValueOutOfRange,
        CatalogError::ObjectInUse { .. } => SqlState::ObjectInUse,
        CatalogError::Unavailable { .. } => SqlState::CannotConnectNow,
        CatalogError::LogUnavailable { .. } => SqlState::IoError,
        CatalogError::Conflict => SqlState::SerializationFailure,
        CatalogError::Corrupted { .. } | CatalogError::KeyDestroyed => SqlState::DataCorrupted,
        CatalogError::SchemaTooNew { .. }
        | CatalogError::WrongKek
        | CatalogError::KekFile { .. }
        | CatalogError::SqliteTooOld { .. }
        | CatalogError::DataDirInUse { .. }
        | CatalogError::Configuration { .. } => SqlState::ConfigFileError,
        CatalogError::Internal { .. } => SqlState::InternalError,
    }
}

fn hinted(state: SqlState, message: String, hint: Option<String>) -> SqlError {
    let mut error = SqlError::new(state, message);
    error.fields.hint = hint;
    error
}

fn constraint(violation: Violation, message: String, table: String) -> SqlError {
    match violation {
        Violation::NotNull { column } => {
            let mut error = SqlError::new(SqlState::NotNullViolation, message).table(table);
            error.fields.column = Some(column);
            error
        }
        Violation::Check { constraint } => {
            let mut error = SqlError::new(SqlState::CheckViolation, message).table(table);
            error.fields.constraint = Some(constraint);
            error
        }
    }
}

impl From<SqlMistake> for SqlState {
    fn from(mistake: SqlMistake) -> Self {
        match mistake {
            SqlMistake::Syntax => SqlState::SyntaxError,
            SqlMistake::UndefinedTable => SqlState::UndefinedTable,
            SqlMistake::UndefinedColumn => SqlState::UndefinedColumn,
            SqlMistake::UndefinedFunction => SqlState::UndefinedFunction,
            SqlMistake::UndefinedParameter => SqlState::UndefinedParameter,
            SqlMistake::UndefinedObject => SqlState::UndefinedObject,
            SqlMistake::DuplicateTable => SqlState::DuplicateTable,
            SqlMistake::UndefinedFile => SqlState::UndefinedFile,
            SqlMistake::UndefinedSchema => SqlState::InvalidSchemaName,
            SqlMistake::UndefinedDatabase => SqlState::InvalidCatalogName,
            SqlMistake::AmbiguousColumn => SqlState::AmbiguousColumn,
            SqlMistake::AmbiguousFunction => SqlState::AmbiguousFunction,
            SqlMistake::DuplicateAlias => SqlState::DuplicateAlias,
            SqlMistake::DuplicateColumn => SqlState::DuplicateColumn,
            SqlMistake::Grouping => SqlState::GroupingError,
            SqlMistake::Windowing => SqlState::WindowingError,
            SqlMistake::DatatypeMismatch => SqlState::DatatypeMismatch,
            SqlMistake::CannotCoerce => SqlState::CannotCoerce,
            SqlMistake::IndeterminateDatatype => SqlState::IndeterminateDatatype,
            SqlMistake::InvalidColumnReference => SqlState::InvalidColumnReference,
            SqlMistake::InvalidTableDefinition => SqlState::InvalidTableDefinition,
            SqlMistake::WrongObjectType => SqlState::WrongObjectType,
            SqlMistake::CardinalityViolation => SqlState::CardinalityViolation,
            SqlMistake::InsufficientPrivilege => SqlState::InsufficientPrivilege,
            SqlMistake::CantChangeSetting => SqlState::CantChangeRuntimeParam,
            SqlMistake::Deadlock => SqlState::DeadlockDetected,
            SqlMistake::LockNotAvailable => SqlState::LockNotAvailable,
        }
    }
}

impl From<DataError> for SqlState {
    fn from(error: DataError) -> Self {
        match error {
            DataError::DivisionByZero => SqlState::DivisionByZero,
            DataError::NumericOutOfRange => SqlState::NumericValueOutOfRange,
            DataError::InvalidTextRepresentation => SqlState::InvalidTextRepresentation,
            DataError::InvalidDatetimeFormat => SqlState::InvalidDatetimeFormat,
            DataError::DatetimeOverflow => SqlState::DatetimeFieldOverflow,
            DataError::InvalidTimeZone => SqlState::InvalidTimeZoneDisplacementValue,
            DataError::InvalidParameterValue => SqlState::InvalidParameterValue,
            DataError::InvalidRegularExpression => SqlState::InvalidRegularExpression,
            DataError::InvalidEscape => SqlState::InvalidEscapeSequence,
            DataError::InvalidJson => SqlState::InvalidTextRepresentation,
            DataError::StringTooLong => SqlState::StringDataRightTruncation,
            DataError::CharacterNotInRepertoire => SqlState::CharacterNotInRepertoire,
            DataError::InvalidPowerArgument => SqlState::InvalidArgumentForPowerFunction,
            DataError::InvalidLogarithmArgument => SqlState::InvalidArgumentForLogarithm,
            DataError::InvalidLimit => SqlState::InvalidRowCountInLimitClause,
            DataError::InvalidOffset => SqlState::InvalidRowCountInResultOffsetClause,
            DataError::ArraySubscript => SqlState::ArraySubscriptError,
            DataError::NullNotAllowed => SqlState::NullValueNotAllowed,
            DataError::Substring => SqlState::SubstringError,
            DataError::InvalidTableSample => SqlState::InvalidTablesampleArgument,
            DataError::InvalidFrameOffset => SqlState::InvalidPrecedingOrFollowingSize,
            DataError::InvalidNtileArgument => SqlState::InvalidArgumentForNtileFunction,
            DataError::InvalidNthValueArgument => SqlState::InvalidArgumentForNthValueFunction,
            DataError::InvalidWidthBucketArgument => SqlState::InvalidArgumentForWidthBucketFunction,
            DataError::UntranslatableCharacter => SqlState::UntranslatableCharacter,
            DataError::SequenceLimit => SqlState::SequenceGeneratorLimitExceeded,
            DataError::NotInPrerequisiteState => SqlState::ObjectNotInPrerequisiteState,
            DataError::Other => SqlState::DataException,
        }
    }
}

impl From<Limit> for SqlState {
    fn from(limit: Limit) -> Self {
        match limit {
            Limit::StatementTooComplex => SqlState::StatementTooComplex,
            Limit::TooManyColumns => SqlState::TooManyColumns,
            Limit::ProgramLimit => SqlState::ProgramLimitExceeded,
            Limit::Quarantined => SqlState::ConfigurationLimitExceeded,
        }
    }
}
