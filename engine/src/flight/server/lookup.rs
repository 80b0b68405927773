//! A session's catalog, and its system relations, at the gateway.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_array::RecordBatch;
use futures::FutureExt;
use lakegate_engine_api::catalog::Oid;
use lakegate_engine_api::{
    AdvisoryKey, AdvisoryRequest, AdvisoryTaken, CatalogLookup, ColumnOf, ColumnPrivilege, EngineError, IndexDefinition, KeyFilter,
    SessionSignal, Signalled, SystemColumns,
};
use serde::de::DeserializeOwned;

use super::calls::Calls;
use crate::flight::wire::{Ask, AskedColumn, Question, batches_from, decoded, encoded};

/// Answers kept for the next time that they are asked for.
const ANSWERS_MAX: usize = 4_096;

/// [`CatalogLookup`] of a statement that a gateway sent.
pub struct RemoteLookup {
    calls: Arc<Calls>,
    object: u64,
    catalog_version: u64,
    /// Questions, as they are written, that the catalog of the statement answers the same each time.
    known: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

impl RemoteLookup {
    pub fn new(calls: &Arc<Calls>, object: u64, catalog_version: u64) -> Arc<Self> {
        Arc::new(RemoteLookup { calls: Arc::clone(calls), object, catalog_version, known: Mutex::default() })
    }

    /// The answer to a question whose method has no error to give.
    fn told<T: DeserializeOwned>(&self, ask: Ask) -> T {
        self.ask(ask).unwrap_or_else(|error| unanswered(error))
    }

    /// The answer to a question whose method can fail.
    fn tried<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, EngineError> {
        self.ask::<Result<T, EngineError>>(ask)?
    }

    fn ask<T: DeserializeOwned>(&self, ask: Ask) -> Result<T, EngineError> {
        if !ask.is_of_the_catalog() {
            return self.calls.ask_now(self.object, Question::Lookup(ask));
        }
        let key = encoded(&ask)?;
        if let Some(answer) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return decoded(answer);
        }
        let answer = self.calls.ask_bytes_now(self.object, Question::Lookup(ask))?;
        let value = decoded(&answer)?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < ANSWERS_MAX {
            known.insert(key, answer);
        }
        Ok(value)
    }
}

/// The gateway has gone in the middle of a function that knows no failure. Any value would be a wrong answer, which a change of rows could
/// still make durable: what runs ends here, as after a panic, and is told the error.
fn unanswered<T>(error: EngineError) -> T {
    resume_unwind(Box::new(error))
}

impl fmt::Debug for RemoteLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteLookup").field("object", &self.object).finish_non_exhaustive()
    }
}

impl CatalogLookup for RemoteLookup {
    fn catalog_version(&self) -> u64 {
        self.catalog_version
    }

    fn role_name(&self, role: Oid) -> Option<String> {
        self.told(Ask::RoleName(role))
    }

    fn role_oid(&self, name: &str) -> Option<Oid> {
        self.told(Ask::RoleOid(name.to_owned()))
    }

    fn relation_name(&self, relation: Oid) -> Option<(String, String)> {
        self.told(Ask::RelationName(relation))
    }

    fn relation_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        self.told(Ask::RelationOid(schema.map(str::to_owned), name.to_owned()))
    }

    fn relation_is_visible(&self, relation: Oid) -> bool {
        self.told(Ask::RelationIsVisible(relation))
    }

    fn schema_name(&self, schema: Oid) -> Option<String> {
        self.told(Ask::SchemaName(schema))
    }

    fn schema_oid(&self, name: &str) -> Option<Oid> {
        self.told(Ask::SchemaOid(name.to_owned()))
    }

    fn database_name(&self, database: Oid) -> Option<String> {
        self.told(Ask::DatabaseName(database))
    }

    fn database_oid(&self, name: &str) -> Option<Oid> {
        self.told(Ask::DatabaseOid(name.to_owned()))
    }

    fn type_name(&self, oid: Oid) -> Option<(String, String)> {
        self.told(Ask::TypeName(oid))
    }

    fn type_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        self.told(Ask::TypeOid(schema.map(str::to_owned), name.to_owned()))
    }

    fn type_is_visible(&self, oid: Oid) -> bool {
        self.told(Ask::TypeIsVisible(oid))
    }

    fn function_name(&self, function: Oid) -> Option<(String, String)> {
        self.told(Ask::FunctionName(function))
    }

    fn functions_named(&self, name: &str) -> Vec<Oid> {
        self.told(Ask::FunctionsNamed(name.to_owned()))
    }

    fn function_argument_types(&self, function: Oid) -> Option<Vec<Oid>> {
        self.told(Ask::FunctionArgumentTypes(function))
    }

    fn function_arguments(&self, function: Oid) -> Option<String> {
        self.told(Ask::FunctionArguments(function))
    }

    fn function_result(&self, function: Oid) -> Option<String> {
        self.told(Ask::FunctionResult(function))
    }

    fn function_clauses(&self, function: Oid) -> Option<(String, String, String)> {
        self.told(Ask::FunctionClauses(function))
    }

    fn comment(&self, object: Oid, class: Oid, column: i32) -> Option<String> {
        self.told(Ask::Comment(object, class, column))
    }

    fn view_definition(&self, relation: Oid, pretty: bool) -> Option<String> {
        self.told(Ask::ViewDefinition(relation, pretty))
    }

    fn constraint_definition(&self, constraint: Oid, pretty: bool) -> Option<String> {
        self.told(Ask::ConstraintDefinition(constraint, pretty))
    }

    fn index_definition(&self, index: Oid) -> Option<IndexDefinition> {
        self.told(Ask::IndexDefinition(index))
    }

    fn settings(&self, values: &BTreeMap<String, String>) -> Option<RecordBatch> {
        let bytes: Option<Vec<u8>> = self.told(Ask::Settings(values.clone()));
        let (_, batches) = batches_from(&bytes?).unwrap_or_else(unanswered);
        batches.into_iter().next()
    }

    fn has_relation_privilege(&self, role: Option<Oid>, relation: Oid, privilege: &str) -> Option<bool> {
        self.told(Ask::HasRelationPrivilege(role, relation, privilege.to_owned()))
    }

    fn has_column_privilege(&self, role: Option<Oid>, relation: Oid, column: ColumnOf<'_>, privilege: &str) -> ColumnPrivilege {
        self.told(Ask::HasColumnPrivilege(role, relation, AskedColumn::of(column), privilege.to_owned()))
    }

    fn has_any_column_privilege(&self, role: Option<Oid>, relation: Oid, privilege: &str) -> Option<bool> {
        self.told(Ask::HasAnyColumnPrivilege(role, relation, privilege.to_owned()))
    }

    fn row_security_active(&self, relation: Oid) -> Option<bool> {
        self.told(Ask::RowSecurityActive(relation))
    }

    fn has_schema_privilege(&self, role: Option<Oid>, schema: Oid, privilege: &str) -> Option<bool> {
        self.told(Ask::HasSchemaPrivilege(role, schema, privilege.to_owned()))
    }

    fn has_database_privilege(&self, role: Option<Oid>, database: Oid, privilege: &str) -> Option<bool> {
        self.told(Ask::HasDatabasePrivilege(role, database, privilege.to_owned()))
    }

    fn has_role(&self, role: Option<Oid>, of: Oid, privilege: &str) -> Option<bool> {
        self.told(Ask::HasRole(role, of, privilege.to_owned()))
    }

    fn signal_session(&self, pid: i32, signal: SessionSignal) -> Signalled {
        self.told(Ask::SignalSession(pid, signal))
    }

    fn set_setting(&self, name: &str, value: Option<&str>, local: bool) -> Result<String, EngineError> {
        self.tried(Ask::SetSetting(name.to_owned(), value.map(str::to_owned), local))
    }

    fn notify(&self, channel: &str, payload: &str) -> Result<(), EngineError> {
        self.tried(Ask::Notify(channel.to_owned(), payload.to_owned()))
    }

    fn export_snapshot(&self) -> Result<String, EngineError> {
        self.tried(Ask::ExportSnapshot)
    }

    fn next_values(&self, sequence: Oid, count: usize) -> Result<Vec<i64>, EngineError> {
        self.tried(Ask::NextValues(sequence, count))
    }

    fn current_value(&self, sequence: Oid) -> Result<i64, EngineError> {
        self.tried(Ask::CurrentValue(sequence))
    }

    fn last_value(&self) -> Result<i64, EngineError> {
        self.tried(Ask::LastValue)
    }

    fn set_sequence(&self, sequence: Oid, value: i64, is_called: bool) -> Result<(), EngineError> {
        self.tried(Ask::SetSequence(sequence, value, is_called))
    }

    fn stored_value(&self, sequence: Oid) -> Result<Option<i64>, EngineError> {
        self.tried(Ask::StoredValue(sequence))
    }

    fn sequence_of_column(&self, table: Oid, column: &str) -> Result<Option<Oid>, EngineError> {
        self.tried(Ask::SequenceOfColumn(table, column.to_owned()))
    }

    fn decrypt_statement(&self, statement: &str) -> Result<Option<String>, EngineError> {
        self.tried(Ask::DecryptStatement(statement.to_owned()))
    }

    fn open_record(&self, relation: &str, column: &str, record: &str) -> Result<Option<String>, EngineError> {
        self.tried(Ask::OpenRecord(relation.to_owned(), column.to_owned(), record.to_owned()))
    }

    fn take_advisory_lock(&self, request: AdvisoryRequest) -> AdvisoryTaken {
        let ask = Ask::TakeAdvisoryLock(request);
        if !request.wait {
            // Who does not wait asks for an answer that is there.
            return futures::future::ready(self.tried(ask)).boxed();
        }
        let (calls, object) = (Arc::clone(&self.calls), self.object);
        async move { calls.ask::<Result<bool, EngineError>>(object, Question::Lookup(ask)).await? }.boxed()
    }

    fn release_advisory_lock(&self, key: AdvisoryKey, shared: bool) -> bool {
        self.told(Ask::ReleaseAdvisoryLock(key, shared))
    }

    fn release_advisory_locks(&self) {
        self.told(Ask::ReleaseAdvisoryLocks)
    }

    fn listening_channels(&self) -> Vec<String> {
        self.told(Ask::ListeningChannels)
    }

    fn notification_queue_usage(&self) -> f64 {
        self.told(Ask::NotificationQueueUsage)
    }
}

/// [`SystemColumns`] that the gateway makes.
#[derive(Debug)]
pub struct RemoteColumns {
    pub calls: Arc<Calls>,
    pub object: u64,
    pub of_the_moment: bool,
}

impl SystemColumns for RemoteColumns {
    fn read(&self, columns: &[usize], keys: &[KeyFilter]) -> Result<Vec<RecordBatch>, EngineError> {
        let question = Question::Columns { columns: columns.to_vec(), keys: keys.to_vec() };
        let bytes: Option<Vec<u8>> = self.calls.ask_now::<Result<_, EngineError>>(self.object, question)??;
        bytes.map_or(Ok(Vec::new()), |bytes| Ok(batches_from(&bytes)?.1))
    }

    fn are_of_the_moment(&self) -> bool {
        self.of_the_moment
    }
}
