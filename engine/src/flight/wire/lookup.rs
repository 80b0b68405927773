//! What functions in an engine ask of a session's gateway: each question of [`CatalogLookup`] with its arguments. An answer is what the
//! method of the same name gives.

use std::collections::BTreeMap;

use lakegate_engine_api::catalog::Oid;
use lakegate_engine_api::{AdvisoryKey, AdvisoryRequest, CatalogLookup, ColumnOf, EngineError, SessionSignal};
use serde::{Deserialize, Serialize};

use super::{batches_to, encoded};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Ask {
    RoleName(Oid),
    RoleOid(String),
    RelationName(Oid),
    RelationOid(Option<String>, String),
    RelationIsVisible(Oid),
    SchemaName(Oid),
    SchemaOid(String),
    DatabaseName(Oid),
    DatabaseOid(String),
    TypeName(Oid),
    TypeOid(Option<String>, String),
    TypeIsVisible(Oid),
    FunctionName(Oid),
    FunctionsNamed(String),
    FunctionArgumentTypes(Oid),
    FunctionArguments(Oid),
    FunctionResult(Oid),
    FunctionClauses(Oid),
    Comment(Oid, Oid, i32),
    ViewDefinition(Oid, bool),
    ConstraintDefinition(Oid, bool),
    IndexDefinition(Oid),
    HasRelationPrivilege(Option<Oid>, Oid, String),
    HasColumnPrivilege(Option<Oid>, Oid, AskedColumn, String),
    HasAnyColumnPrivilege(Option<Oid>, Oid, String),
    RowSecurityActive(Oid),
    HasSchemaPrivilege(Option<Oid>, Oid, String),
    HasDatabasePrivilege(Option<Oid>, Oid, String),
    HasRole(Option<Oid>, Oid, String),
    SequenceOfColumn(Oid, String),
    // From here on an answer is of its moment, or the question does something.
    Settings(BTreeMap<String, String>),
    SignalSession(i32, SessionSignal),
    SetSetting(String, Option<String>, bool),
    Notify(String, String),
    ExportSnapshot,
    NextValues(Oid, usize),
    CurrentValue(Oid),
    LastValue,
    SetSequence(Oid, i64, bool),
    StoredValue(Oid),
    DecryptStatement(String),
    OpenRecord(String, String, String),
    TakeAdvisoryLock(AdvisoryRequest),
    ReleaseAdvisoryLock(AdvisoryKey, bool),
    ReleaseAdvisoryLocks,
    ListeningChannels,
    NotificationQueueUsage,
}

/// [`ColumnOf`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum AskedColumn {
    Name(String),
    Number(i64),
}

impl AskedColumn {
    #[must_use]
    pub fn of(column: ColumnOf<'_>) -> Self {
        match column {
            ColumnOf::Name(name) => AskedColumn::Name(name.to_owned()),
            ColumnOf::Number(number) => AskedColumn::Number(number),
        }
    }

    fn as_asked(&self) -> ColumnOf<'_> {
        match self {
            AskedColumn::Name(name) => ColumnOf::Name(name),
            AskedColumn::Number(number) => ColumnOf::Number(*number),
        }
    }
}

impl Ask {
    /// Whether the answer follows from the catalog that the statement was bound under: it is the same however often it is asked for.
    #[must_use]
    pub fn is_of_the_catalog(&self) -> bool {
        use Ask::{
            CurrentValue, DecryptStatement, ExportSnapshot, LastValue, ListeningChannels, NextValues, NotificationQueueUsage, Notify,
            OpenRecord, ReleaseAdvisoryLock, ReleaseAdvisoryLocks, SetSequence, SetSetting, Settings, SignalSession, StoredValue,
            TakeAdvisoryLock,
        };
        !matches!(
            self,
            Settings(..)
                | SignalSession(..)
                | SetSetting(..)
                | Notify(..)
                | ExportSnapshot
                | NextValues(..)
                | CurrentValue(..)
                | LastValue
                | SetSequence(..)
                | StoredValue(..)
                | DecryptStatement(..)
                | OpenRecord(..)
                | TakeAdvisoryLock(..)
                | ReleaseAdvisoryLock(..)
                | ReleaseAdvisoryLocks
                | ListeningChannels
                | NotificationQueueUsage
        )
    }

    /// The answer; it may wait for the catalog's database. Locks that are waited for are [`CatalogLookup::take_advisory_lock`]'s own.
    ///
    /// # Errors
    /// `Internal` where the answer cannot be written.
    pub fn answer(&self, lookup: &dyn CatalogLookup) -> Result<Vec<u8>, EngineError> {
        match self {
            Ask::RoleName(oid) => encoded(&lookup.role_name(*oid)),
            Ask::RoleOid(name) => encoded(&lookup.role_oid(name)),
            Ask::RelationName(oid) => encoded(&lookup.relation_name(*oid)),
            Ask::RelationOid(schema, name) => encoded(&lookup.relation_oid(schema.as_deref(), name)),
            Ask::RelationIsVisible(oid) => encoded(&lookup.relation_is_visible(*oid)),
            Ask::SchemaName(oid) => encoded(&lookup.schema_name(*oid)),
            Ask::SchemaOid(name) => encoded(&lookup.schema_oid(name)),
            Ask::DatabaseName(oid) => encoded(&lookup.database_name(*oid)),
            Ask::DatabaseOid(name) => encoded(&lookup.database_oid(name)),
            Ask::TypeName(oid) => encoded(&lookup.type_name(*oid)),
            Ask::TypeOid(schema, name) => encoded(&lookup.type_oid(schema.as_deref(), name)),
            Ask::TypeIsVisible(oid) => encoded(&lookup.type_is_visible(*oid)),
            Ask::FunctionName(oid) => encoded(&lookup.function_name(*oid)),
            Ask::FunctionsNamed(name) => encoded(&lookup.functions_named(name)),
            Ask::FunctionArgumentTypes(oid) => encoded(&lookup.function_argument_types(*oid)),
            Ask::FunctionArguments(oid) => encoded(&lookup.function_arguments(*oid)),
            Ask::FunctionResult(oid) => encoded(&lookup.function_result(*oid)),
            Ask::FunctionClauses(oid) => encoded(&lookup.function_clauses(*oid)),
            Ask::Comment(object, class, column) => encoded(&lookup.comment(*object, *class, *column)),
            Ask::ViewDefinition(oid, pretty) => encoded(&lookup.view_definition(*oid, *pretty)),
            Ask::ConstraintDefinition(oid, pretty) => encoded(&lookup.constraint_definition(*oid, *pretty)),
            Ask::IndexDefinition(oid) => encoded(&lookup.index_definition(*oid)),
            Ask::HasRelationPrivilege(role, relation, word) => encoded(&lookup.has_relation_privilege(*role, *relation, word)),
            Ask::HasColumnPrivilege(role, relation, column, word) => {
                encoded(&lookup.has_column_privilege(*role, *relation, column.as_asked(), word))
            }
            Ask::HasAnyColumnPrivilege(role, relation, word) => encoded(&lookup.has_any_column_privilege(*role, *relation, word)),
            Ask::RowSecurityActive(oid) => encoded(&lookup.row_security_active(*oid)),
            Ask::HasSchemaPrivilege(role, schema, word) => encoded(&lookup.has_schema_privilege(*role, *schema, word)),
            Ask::HasDatabasePrivilege(role, database, word) => encoded(&lookup.has_database_privilege(*role, *database, word)),
            Ask::HasRole(role, of, word) => encoded(&lookup.has_role(*role, *of, word)),
            Ask::SequenceOfColumn(table, column) => encoded(&lookup.sequence_of_column(*table, column)),
            _ => self.answer_now(lookup),
        }
    }

    fn answer_now(&self, lookup: &dyn CatalogLookup) -> Result<Vec<u8>, EngineError> {
        match self {
            Ask::Settings(values) => {
                let rows = lookup.settings(values).map(|batch| batches_to(&batch.schema(), std::slice::from_ref(&batch)));
                encoded(&rows.transpose()?)
            }
            Ask::SignalSession(pid, signal) => encoded(&lookup.signal_session(*pid, *signal)),
            Ask::SetSetting(name, value, local) => encoded(&lookup.set_setting(name, value.as_deref(), *local)),
            Ask::Notify(channel, payload) => encoded(&lookup.notify(channel, payload)),
            Ask::ExportSnapshot => encoded(&lookup.export_snapshot()),
            Ask::NextValues(sequence, count) => encoded(&lookup.next_values(*sequence, *count)),
            Ask::CurrentValue(sequence) => encoded(&lookup.current_value(*sequence)),
            Ask::LastValue => encoded(&lookup.last_value()),
            Ask::SetSequence(sequence, value, called) => encoded(&lookup.set_sequence(*sequence, *value, *called)),
            Ask::StoredValue(sequence) => encoded(&lookup.stored_value(*sequence)),
            Ask::DecryptStatement(statement) => encoded(&lookup.decrypt_statement(statement)),
            Ask::OpenRecord(relation, column, record) => encoded(&lookup.open_record(relation, column, record)),
            Ask::ReleaseAdvisoryLock(key, shared) => encoded(&lookup.release_advisory_lock(*key, *shared)),
            Ask::ReleaseAdvisoryLocks => {
                lookup.release_advisory_locks();
                encoded(&())
            }
            Ask::ListeningChannels => encoded(&lookup.listening_channels()),
            Ask::NotificationQueueUsage => encoded(&lookup.notification_queue_usage()),
            _ => Err(crate::error::internal("a question that is answered elsewhere")),
        }
    }
}
