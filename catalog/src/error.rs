//! What can go wrong in the control plane, as data; the gateway maps it to SQLSTATE.

use std::borrow::Cow;
use std::fmt;

use crate::authorize::Denial;

/// Kinds of objects as PostgreSQL's messages name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    Role,
    Database,
    Schema,
    /// Where any relation would do: `relation "t" does not exist`.
    Relation,
    Table,
    View,
    Column,
    Constraint,
    ExternalLocation,
    Warehouse,
    MaterializedView,
    Sequence,
    Index,
    Token,
    Policy,
    MaskingPolicy,
    Detection,
    SavedQuery,
}

impl ObjectKind {
    /// The word in messages.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            ObjectKind::Role => "role",
            ObjectKind::Database => "database",
            ObjectKind::Schema => "schema",
            ObjectKind::Relation => "relation",
            ObjectKind::Table => "table",
            ObjectKind::View => "view",
            ObjectKind::Column => "column",
            ObjectKind::Constraint => "constraint",
            ObjectKind::ExternalLocation => "external location",
            ObjectKind::Warehouse => "warehouse",
            ObjectKind::MaterializedView => "materialized view",
            ObjectKind::Sequence => "sequence",
            ObjectKind::Index => "index",
            ObjectKind::Token => "token",
            ObjectKind::Policy => "policy",
            ObjectKind::MaskingPolicy => "masking policy",
            ObjectKind::Detection => "detection",
            ObjectKind::SavedQuery => "saved query",
        }
    }
}

impl fmt::Display for ObjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Messages follow PostgreSQL's wording where it has the error. The SQLSTATE that fits stands with each variant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// 42501.
    #[error("permission denied for {kind} {name}")]
    InsufficientPrivilege { kind: ObjectKind, name: String, denial: Option<Box<Denial>> },
    /// 42501.
    #[error("must be owner of {kind} {name}")]
    MustBeOwner { kind: ObjectKind, name: String },
    /// 42501; the whole message, e.g. `must be superuser to create superusers`.
    #[error("{message}")]
    Forbidden { message: String },
    /// 42501: a file or URL outside every external location that the role may use.
    #[error("permission denied for location \"{url}\"")]
    FileAccess { url: String },
    /// 42710 role, external location and constraint, 42P04 database, 42P06 schema, 42P07 relation, 42701 column.
    #[error("{}", duplicate(*kind, name))]
    Duplicate { kind: ObjectKind, name: String },
    /// 42704 role, external location and constraint, 3D000 database, 3F000 schema, 42P01 relation, 42703 column.
    #[error("{kind} \"{name}\" does not exist")]
    Undefined { kind: ObjectKind, name: String },
    /// 42703.
    #[error("column \"{column}\" of relation \"{relation}\" does not exist")]
    UndefinedColumn { relation: String, column: String },
    /// 42701.
    #[error("column \"{column}\" of relation \"{relation}\" already exists")]
    DuplicateColumn { relation: String, column: String },
    /// 42704.
    #[error("policy \"{policy}\" for table \"{relation}\" does not exist")]
    UndefinedPolicy { relation: String, policy: String },
    /// 42710.
    #[error("policy \"{policy}\" for table \"{relation}\" already exists")]
    DuplicatePolicy { relation: String, policy: String },
    /// 42704.
    #[error("constraint \"{constraint}\" of relation \"{relation}\" does not exist")]
    UndefinedConstraint { relation: String, constraint: String },
    /// 42710.
    #[error("constraint \"{constraint}\" for relation \"{relation}\" already exists")]
    DuplicateConstraint { relation: String, constraint: String },
    /// 0A000, as PostgreSQL has it for renaming oneself.
    #[error("{message}")]
    NotSupported { message: String },
    /// 2BP01; `dependents` are the lines of the detail.
    #[error("{message}")]
    DependentObjects { message: String, dependents: Vec<String>, hint: Option<&'static str> },
    /// 42809, e.g. `"v" is not a table`.
    #[error("\"{name}\" is not a {expected}")]
    WrongObjectType { name: String, expected: ObjectKind },
    /// 42939: names that the system keeps for itself.
    #[error("{}", reserved_name(*kind, name))]
    ReservedName { kind: ObjectKind, name: String },
    /// 42622 is avoided by the gateway, which truncates as PostgreSQL does; 42602 for what cannot be a name.
    #[error("invalid {kind} name \"{name}\"")]
    InvalidName { kind: ObjectKind, name: String },
    /// 42P16 as from CREATE OR REPLACE VIEW that would drop columns.
    #[error("{message}")]
    InvalidDefinition { message: String },
    /// 0LP01.
    #[error("{message}")]
    InvalidGrant { message: String },
    /// 22023.
    #[error("{message}")]
    InvalidParameter { message: String },
    /// 2200H.
    #[error("nextval: reached {limit} value of sequence \"{sequence}\" ({value})")]
    SequenceLimit { sequence: String, limit: &'static str, value: i64 },
    /// 22003.
    #[error("{message}")]
    OutOfRange { message: String },
    /// 55006.
    #[error("{message}")]
    ObjectInUse { message: String },
    /// 57P03: the catalog's database cannot be reached or does not answer.
    #[error("the catalog is not available")]
    Unavailable { detail: String },
    /// 58030: the statement log could not be written, so the statement must not run.
    #[error("could not write the statement log")]
    LogUnavailable { detail: String },
    /// 40001: another gateway changed the catalog in a way this change cannot follow.
    #[error("could not serialize access due to concurrent update of the catalog")]
    Conflict,
    /// Start-up: the file belongs to a newer program.
    #[error("the catalog has schema version {found}, this program knows versions up to {known}; use a newer lakegate")]
    SchemaTooNew { found: i64, known: i64 },
    /// Start-up: the key does not open this catalog.
    #[error("the key-encryption key is not the one this catalog was sealed with")]
    WrongKek,
    /// Of an entry of the log: its key was destroyed.
    #[error("the key of this entry was destroyed")]
    KeyDestroyed,
    /// Start-up: the key cannot be used.
    #[error("{message}")]
    KekFile { message: String },
    /// Start-up: a SQLite with the WAL-reset corruption fault.
    #[error("SQLite {found} is too old: {needed} or newer is needed")]
    SqliteTooOld { found: String, needed: &'static str },
    /// Start-up: another process holds the data directory.
    #[error("data directory \"{directory}\" is in use by another lakegate process{}", pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    DataDirInUse { directory: String, pid: Option<u32> },
    /// Start-up: a directory or a setting that cannot be used.
    #[error("{message}")]
    Configuration { message: String },
    /// XX001: stored bytes that do not read back.
    #[error("the catalog is damaged: {detail}")]
    Corrupted { detail: String },
    /// XX000.
    #[error("internal error of the catalog: {detail}")]
    Internal { detail: String },
}

impl CatalogError {
    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        CatalogError::Forbidden { message: message.into() }
    }

    pub(crate) fn corrupted(detail: impl fmt::Display) -> Self {
        CatalogError::Corrupted { detail: detail.to_string() }
    }

    pub(crate) fn internal(detail: impl fmt::Display) -> Self {
        CatalogError::Internal { detail: detail.to_string() }
    }

    pub(crate) fn parameter(message: impl Into<String>) -> Self {
        CatalogError::InvalidParameter { message: message.into() }
    }

    /// For the DETAIL field. Errors of the store itself have theirs for the log only.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match self {
            CatalogError::DependentObjects { dependents, .. } if !dependents.is_empty() => Some(dependents.join("\n")),
            CatalogError::InsufficientPrivilege { denial: Some(denial), .. } => {
                Some(format!("Role \"{}\" lacks the privilege {}.", denial.role, denial.privilege.word()))
            }
            CatalogError::ReservedName { kind: ObjectKind::Role, name } if name.contains('_') => {
                Some("Role names starting with \"pg_\" or \"lakegate_\" are reserved.".to_owned())
            }
            CatalogError::ReservedName { kind: ObjectKind::Schema, .. } => {
                Some("The prefix \"pg_\" is reserved for system schemas.".to_owned())
            }
            _ => None,
        }
    }

    /// For the HINT field.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'static, str>> {
        match self {
            CatalogError::DependentObjects { hint, .. } => hint.map(Cow::Borrowed),
            CatalogError::InsufficientPrivilege { denial: Some(denial), .. } => {
                Some(Cow::Owned(format!("The owner, or a role that may grant it, can run: {}", denial.grant)))
            }
            CatalogError::FileAccess { .. } => Some(Cow::Borrowed(
                "Paths and URLs are reached through an external location that was granted (CREATE EXTERNAL LOCATION, GRANT READ FILES).",
            )),
            _ => None,
        }
    }
}

fn duplicate(kind: ObjectKind, name: &str) -> String {
    match kind {
        ObjectKind::Column => format!("column \"{name}\" specified more than once"),
        _ => format!("{kind} \"{name}\" already exists"),
    }
}

fn reserved_name(kind: ObjectKind, name: &str) -> String {
    match kind {
        ObjectKind::Schema => format!("unacceptable schema name \"{name}\""),
        _ => format!("{kind} name \"{name}\" is reserved"),
    }
}

/// A driver's message can name hosts and files of the server: it is kept for the log, never shown.
impl From<sqlx::Error> for CatalogError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::Database(_) => CatalogError::Unavailable { detail: error.to_string() },
            sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => CatalogError::corrupted(&error),
            _ => CatalogError::internal(&error),
        }
    }
}
