//! Names behind OIDs, as one role in one session sees them: what `regclass`, `format_type`, `pg_get_userbyid` and
//! `has_table_privilege` need. Holds no grant that can be enumerated.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;

use arrow_array::RecordBatch;
use lakegate_catalog::model::{IndexColumn, Oid};
use serde::{Deserialize, Serialize};

use crate::EngineError;

/// What one session may ask of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionSignal {
    /// `pg_cancel_backend`: its statement ends with 57014.
    CancelStatement,
    /// `pg_terminate_backend`: it ends with 57P01.
    Terminate,
}

/// What became of a [`SessionSignal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Signalled {
    Sent,
    NoSuchSession,
    /// The session's role is none that the asking role has the privileges of.
    Denied,
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexDefinition {
    pub table: Oid,
    pub name: String,
    pub unique: bool,
    pub method: String,
    pub columns: Vec<IndexColumn>,
}

/// What an advisory lock is called: one number of eight bytes or two of four, which are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AdvisoryKey {
    Whole(i64),
    Halves(i32, i32),
}

/// `pg_advisory_lock` and its kin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdvisoryRequest {
    pub key: AdvisoryKey,
    pub shared: bool,
    /// It ends with the transaction, not with the session.
    pub transaction: bool,
    pub wait: bool,
}

/// Whether the lock was taken, once that is known.
pub type AdvisoryTaken = Pin<Box<dyn Future<Output = Result<bool, EngineError>> + Send>>;

/// A column as `has_column_privilege` is asked for it.
#[derive(Debug, Clone, Copy)]
pub enum ColumnOf<'a> {
    Name(&'a str),
    Number(i64),
}

/// What `has_column_privilege` answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ColumnPrivilege {
    Held,
    NotHeld,
    /// NULL.
    NoSuchRelation,
    /// NULL for a number, an error for a name.
    NoSuchColumn,
}

/// Scoped to the session's database, search path and role.
pub trait CatalogLookup: Debug + Send + Sync {
    /// Another one after each change of the catalog; `xmin` of its rows.
    fn catalog_version(&self) -> u64 {
        0
    }
    /// Name of a role; `pg_get_userbyid`, `regrole`.
    fn role_name(&self, role: Oid) -> Option<String>;
    fn role_oid(&self, name: &str) -> Option<Oid>;
    /// (schema, name) of a table, view, index or system relation of the session's database.
    fn relation_name(&self, relation: Oid) -> Option<(String, String)>;
    /// By optional schema and name, through the search path where no schema is given; `to_regclass`.
    fn relation_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid>;
    /// Found by its unqualified name on the search path; `pg_table_is_visible`.
    fn relation_is_visible(&self, relation: Oid) -> bool;
    fn schema_name(&self, schema: Oid) -> Option<String>;
    fn schema_oid(&self, name: &str) -> Option<Oid>;
    fn database_name(&self, database: Oid) -> Option<String>;
    fn database_oid(&self, name: &str) -> Option<Oid>;
    /// Name of a type other than the built-in ones (row types of relations).
    fn type_name(&self, oid: Oid) -> Option<(String, String)>;
    /// OID of a type by optional schema and name, other than the built-in ones.
    fn type_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid>;
    /// Found by its unqualified name on the search path; `pg_type_is_visible`.
    fn type_is_visible(&self, oid: Oid) -> bool;
    /// Schema and name of a function; `regproc`.
    fn function_name(&self, function: Oid) -> Option<(String, String)>;
    /// All functions of a name on the search path.
    fn functions_named(&self, name: &str) -> Vec<Oid>;
    /// OIDs of the argument types of a function.
    fn function_argument_types(&self, function: Oid) -> Option<Vec<Oid>>;
    /// As `pg_get_function_arguments` prints them.
    fn function_arguments(&self, function: Oid) -> Option<String>;
    /// As `pg_get_function_result` prints it.
    fn function_result(&self, function: Oid) -> Option<String>;
    /// Language, attributes and source of a function, as `pg_get_functiondef` prints them.
    fn function_clauses(&self, _function: Oid) -> Option<(String, String, String)> {
        None
    }
    /// Comment on a relation (`column` 0) or one of its columns; `class` is the catalog's OID (`pg_class` 1259 …).
    fn comment(&self, object: Oid, class: Oid, column: i32) -> Option<String>;
    /// The query of a view, as `pg_get_viewdef` prints it.
    fn view_definition(&self, relation: Oid, pretty: bool) -> Option<String>;
    /// As `pg_get_constraintdef` prints it.
    fn constraint_definition(&self, constraint: Oid, pretty: bool) -> Option<String>;
    /// What `pg_get_indexdef` prints, of an index or of a key that is shown as one.
    fn index_definition(&self, _index: Oid) -> Option<IndexDefinition> {
        None
    }
    /// The rows of `pg_settings`, given the session's values by lower-case name.
    fn settings(&self, _values: &BTreeMap<String, String>) -> Option<RecordBatch> {
        None
    }
    /// `privilege` in PostgreSQL's words (`SELECT`, `USAGE` …), `role` `None` for the session's. `None`: no such object.
    fn has_relation_privilege(&self, role: Option<Oid>, relation: Oid, privilege: &str) -> Option<bool>;
    /// On the relation or the column, which is named or numbered; `None`: no such object.
    fn has_column_privilege(&self, role: Option<Oid>, relation: Oid, column: ColumnOf<'_>, privilege: &str) -> ColumnPrivilege;
    /// On the relation, or on any of its columns.
    fn has_any_column_privilege(&self, role: Option<Oid>, relation: Oid, privilege: &str) -> Option<bool>;
    /// Whether row-level security of the relation applies to the current role; `None` where there is none of that OID.
    fn row_security_active(&self, relation: Oid) -> Option<bool>;
    fn has_schema_privilege(&self, role: Option<Oid>, schema: Oid, privilege: &str) -> Option<bool>;
    fn has_database_privilege(&self, role: Option<Oid>, database: Oid, privilege: &str) -> Option<bool>;
    /// `pg_has_role`: the role is a member of the other (or may SET ROLE to it).
    fn has_role(&self, role: Option<Oid>, of: Oid, privilege: &str) -> Option<bool>;
    /// Reaches a session of the same gateway by the number that its client knows it by (`pg_backend_pid`).
    fn signal_session(&self, pid: i32, signal: SessionSignal) -> Signalled;
    /// `set_config`: changes a setting of the session, for its transaction alone where `local`; `None` goes back to the session's
    /// start. Gives the value as SHOW will print it. It holds once the statement has ended well.
    ///
    /// # Errors
    /// No such setting, a value that it does not take, or a setting that nobody may change.
    fn set_setting(&self, _name: &str, _value: Option<&str>, _local: bool) -> Result<String, EngineError> {
        Err(EngineError::Unsupported { feature: "set_config".to_owned(), hint: None })
    }
    /// `pg_notify`: sends a message when the transaction commits.
    ///
    /// # Errors
    /// A channel or message that is empty or too long, or a full queue.
    fn notify(&self, _channel: &str, _payload: &str) -> Result<(), EngineError> {
        Err(EngineError::Unsupported { feature: "pg_notify".to_owned(), hint: None })
    }
    /// `pg_export_snapshot`: the name under which other transactions can import what this one reads, once the statement has ended well.
    ///
    /// # Errors
    /// Too many calls in one statement.
    fn export_snapshot(&self) -> Result<String, EngineError> {
        Err(EngineError::Unsupported { feature: "pg_export_snapshot".to_owned(), hint: None })
    }
    /// `nextval`: hands out values of a sequence, in order.
    ///
    /// # Errors
    /// No such sequence, no privilege, or no values left.
    fn next_values(&self, _sequence: Oid, _count: usize) -> Result<Vec<i64>, EngineError> {
        Err(EngineError::Unsupported { feature: "nextval".to_owned(), hint: None })
    }
    /// `currval`.
    ///
    /// # Errors
    /// As [`CatalogLookup::next_values`]; the session has had none.
    fn current_value(&self, _sequence: Oid) -> Result<i64, EngineError> {
        Err(EngineError::Unsupported { feature: "currval".to_owned(), hint: None })
    }
    /// `lastval`.
    ///
    /// # Errors
    /// The session has had none.
    fn last_value(&self) -> Result<i64, EngineError> {
        Err(EngineError::Unsupported { feature: "lastval".to_owned(), hint: None })
    }
    /// `setval`.
    ///
    /// # Errors
    /// As [`CatalogLookup::next_values`]; a value out of bounds.
    fn set_sequence(&self, _sequence: Oid, _value: i64, _is_called: bool) -> Result<(), EngineError> {
        Err(EngineError::Unsupported { feature: "setval".to_owned(), hint: None })
    }
    /// `pg_sequence_last_value`: `None` before the first `nextval`.
    ///
    /// # Errors
    /// As [`CatalogLookup::next_values`].
    fn stored_value(&self, _sequence: Oid) -> Result<Option<i64>, EngineError> {
        Ok(None)
    }
    /// `pg_get_serial_sequence`.
    ///
    /// # Errors
    /// No such column.
    fn sequence_of_column(&self, _table: Oid, _column: &str) -> Result<Option<Oid>, EngineError> {
        Ok(None)
    }
    /// `lakegate.decrypt_statement`: `None` where there is no such statement, or its key was destroyed.
    ///
    /// # Errors
    /// No right to it; no number; the log cannot be told.
    fn decrypt_statement(&self, _statement: &str) -> Result<Option<String>, EngineError> {
        Err(EngineError::Unsupported { feature: "lakegate.decrypt_statement".to_owned(), hint: None })
    }
    /// `lakegate.open_record`: a sealed column of a record whose facets are in the data plane, by the system relation's name (`history`,
    /// `audit`), the column's and the record's. `None` where the role may not read it, or its key was destroyed.
    ///
    /// # Errors
    /// The log cannot be read or told.
    fn open_record(&self, _relation: &str, _column: &str, _record: &str) -> Result<Option<String>, EngineError> {
        Err(EngineError::Unsupported { feature: "lakegate.open_record".to_owned(), hint: None })
    }
    /// Takes an advisory lock for the session or its transaction. What waits leaves the queue where it is dropped.
    fn take_advisory_lock(&self, _request: AdvisoryRequest) -> AdvisoryTaken {
        Box::pin(async { Err(EngineError::Unsupported { feature: "an advisory lock here".to_owned(), hint: None }) })
    }
    /// `pg_advisory_unlock`: whether the session held it.
    fn release_advisory_lock(&self, _key: AdvisoryKey, _shared: bool) -> bool {
        false
    }
    /// `pg_advisory_unlock_all`.
    fn release_advisory_locks(&self) {}
    /// `pg_listening_channels`.
    fn listening_channels(&self) -> Vec<String> {
        Vec::new()
    }
    /// `pg_notification_queue_usage`, from 0 to 1.
    fn notification_queue_usage(&self) -> f64 {
        0.0
    }
}
