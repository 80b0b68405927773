//! Names behind OIDs, for functions that run in the engine: [`CatalogLookup`] over a catalog snapshot, as one role sees it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, LazyLock};

use arrow_array::RecordBatch;
use lakegate_catalog::audit::AuditStatus;
use lakegate_catalog::authorize::{self, Principal};
use lakegate_catalog::ddl::SequenceState;
use lakegate_catalog::flushed::SealedPart;
use lakegate_catalog::model::{
    Column, Constraint, ConstraintKind, Database, INFORMATION_SCHEMA_OID, IndexColumn, ObjectRef, Oid, PG_CATALOG_OID,
    PG_SIGNAL_BACKEND_OID, Privilege, Relation, Sequence,
};
use lakegate_catalog::{CatalogError, Snapshot};
use lakegate_engine_api::{
    AdvisoryKey, AdvisoryRequest, AdvisoryTaken, CatalogLookup, ColumnOf, ColumnPrivilege, DataError, EngineError, IndexDefinition, Limit,
    SessionSignal, Signalled, SqlMistake,
};

use super::function_facts::{CLAUSES, FUNCTIONS};
use super::objects::{Class, Objects, SYSTEM_DATABASE_OID, type_facts, type_named};
use super::typed_text::check_text;
use super::{INFORMATION_SCHEMA, PG_CATALOG, recorded, relations, view_text, views};
use crate::handlers::set::may_become;
use crate::server::LiveSessions;
use crate::sql::bind::SYSTEM_DATABASE;
use crate::sql::effects::{Effect, Effects};
use crate::sql::notifications::Post;
use crate::sql::{exported_snapshots, settings};
use crate::sqlstate::{SqlError, SqlState};

const PG_TYPE: Oid = 1247;
const PG_CLASS: Oid = 1259;
const PG_DATABASE: Oid = 1262;
const PG_NAMESPACE: Oid = 2615;

/// What one session's functions may ask.
#[derive(Debug)]
pub struct SessionLookup {
    pub(super) snapshot: Arc<Snapshot>,
    principal: Principal,
    database: String,
    /// Existing schemas; `pg_catalog` comes first unless it is among them.
    search_path: Vec<String>,
    live: LiveSessions,
    effects: Arc<Effects>,
}

impl SessionLookup {
    #[must_use]
    pub fn new(
        snapshot: Arc<Snapshot>,
        principal: Principal,
        database: &str,
        search_path: Vec<String>,
        live: LiveSessions,
        effects: Arc<Effects>,
    ) -> Self {
        SessionLookup { snapshot, principal, database: database.to_owned(), search_path, live, effects }
    }

    pub(super) fn objects(&self) -> Objects<'_> {
        Objects {
            snapshot: &self.snapshot,
            role: self.principal.current_role,
            database: &self.database,
            temporary: crate::sql::temporary::own_schema(&self.search_path),
            only: None,
        }
    }

    fn schemas(&self) -> impl Iterator<Item = &str> {
        let implicit = (!self.search_path.iter().any(|schema| schema == PG_CATALOG)).then_some(PG_CATALOG);
        implicit.into_iter().chain(self.search_path.iter().map(String::as_str))
    }

    fn class_on_path(&self, name: &str) -> Option<Class<'_>> {
        self.schemas().find_map(|schema| self.objects().class_named(schema, name))
    }

    /// The session's own, and those that the role may see.
    fn visible_database(&self, oid: Oid) -> Option<&Database> {
        let database = self.snapshot.database(oid)?;
        let seen = authorize::may_see(&self.snapshot, self.principal.current_role, ObjectRef::Database(oid));
        (seen || database.name == self.database).then_some(&**database)
    }

    fn role(&self, role: Option<Oid>) -> Oid {
        role.unwrap_or(self.principal.current_role)
    }

    fn constraint(&self, oid: Oid) -> Option<(&Relation, &Constraint)> {
        let relation = self.objects().visible(self.snapshot.relation_of_constraint(oid)?)?;
        Some((relation, relation.constraints.iter().find(|constraint| constraint.oid == oid)?))
    }
}

impl SessionLookup {
    fn signal(&self, pid: i32, signal: SessionSignal) -> Signalled {
        let Some(target) = self.live.role_of(pid) else { return Signalled::NoSuchSession };
        let role = self.principal.current_role;
        let superior = self.snapshot.is_superuser(role);
        let may = self.snapshot.has_privileges_of(role, target) || self.snapshot.has_privileges_of(role, PG_SIGNAL_BACKEND_OID);
        if !superior && (self.snapshot.is_superuser(target) || !may) {
            return Signalled::Denied;
        }
        let found = match signal {
            SessionSignal::CancelStatement => self.live.cancel(pid),
            SessionSignal::Terminate => self.live.terminate(pid),
        };
        if found { Signalled::Sent } else { Signalled::NoSuchSession }
    }

    /// A sequence on which the role has one of some privileges; nobody needs any for an identity column's.
    fn sequence(&self, oid: Oid, privileges: &[Privilege]) -> Result<(&Relation, &Sequence), EngineError> {
        let undefined = || EngineError::Sql {
            mistake: SqlMistake::UndefinedTable,
            message: format!("could not open relation with OID {oid}"),
            hint: None,
        };
        let relation = self.snapshot.relation_by_oid(oid).ok_or_else(undefined)?;
        let Some(sequence) = &relation.sequence else {
            let message = format!("\"{}\" is not a sequence", relation.name);
            return Err(EngineError::Sql { mistake: SqlMistake::WrongObjectType, message, hint: None });
        };
        let (role, object) = (self.principal.current_role, ObjectRef::Relation(oid));
        let may = |privilege: &Privilege| authorize::has_privilege(&self.snapshot, role, object, *privilege);
        if !sequence.of_identity && !privileges.iter().any(may) {
            let message = format!("permission denied for sequence {}", relation.name);
            return Err(EngineError::Sql { mistake: SqlMistake::InsufficientPrivilege, message, hint: None });
        }
        Ok((relation, sequence))
    }
}

fn of_catalog(error: CatalogError) -> EngineError {
    let message = error.to_string();
    match error {
        CatalogError::SequenceLimit { .. } => EngineError::Data { error: DataError::SequenceLimit, message },
        CatalogError::OutOfRange { .. } => EngineError::Data { error: DataError::NumericOutOfRange, message },
        other => {
            tracing::warn!(error = %other, "a sequence");
            EngineError::Storage { message: "the sequence's state cannot be reached".to_owned() }
        }
    }
}

impl CatalogLookup for SessionLookup {
    fn catalog_version(&self) -> u64 {
        self.snapshot.version()
    }

    fn role_name(&self, role: Oid) -> Option<String> {
        self.snapshot.role(role).map(|role| role.name.clone())
    }

    fn role_oid(&self, name: &str) -> Option<Oid> {
        self.snapshot.role_by_name(name).map(|role| role.oid)
    }

    fn relation_name(&self, relation: Oid) -> Option<(String, String)> {
        let class = self.objects().class(relation)?;
        Some((self.schema_name(class.schema)?, class.name.to_owned()))
    }

    fn relation_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        let class = match schema {
            Some(schema) => self.objects().class_named(schema, name),
            None => self.class_on_path(name),
        };
        class.map(|class| class.oid)
    }

    fn relation_is_visible(&self, relation: Oid) -> bool {
        let Some(class) = self.objects().class(relation) else { return false };
        self.class_on_path(class.name).is_some_and(|found| found.oid == relation)
    }

    fn schema_name(&self, schema: Oid) -> Option<String> {
        match schema {
            PG_CATALOG_OID => Some(PG_CATALOG.to_owned()),
            INFORMATION_SCHEMA_OID => Some(INFORMATION_SCHEMA.to_owned()),
            _ => self.objects().namespace(schema).map(|schema| schema.name.to_owned()),
        }
    }

    fn schema_oid(&self, name: &str) -> Option<Oid> {
        match name {
            PG_CATALOG => Some(PG_CATALOG_OID),
            INFORMATION_SCHEMA => Some(INFORMATION_SCHEMA_OID),
            _ => self.objects().namespace_named(name).map(|schema| schema.oid),
        }
    }

    fn database_name(&self, database: Oid) -> Option<String> {
        if database == SYSTEM_DATABASE_OID {
            return Some(SYSTEM_DATABASE.to_owned());
        }
        self.visible_database(self.snapshot.database(database)?.oid).map(|database| database.name.clone())
    }

    fn database_oid(&self, name: &str) -> Option<Oid> {
        if name == SYSTEM_DATABASE {
            return Some(SYSTEM_DATABASE_OID);
        }
        self.visible_database(self.snapshot.database_by_name(name)?.oid).map(|database| database.oid)
    }

    fn type_name(&self, oid: Oid) -> Option<(String, String)> {
        if let Some(facts) = type_facts(oid) {
            return Some((self.schema_name(facts.schema)?, facts.name.clone()));
        }
        if let Some(class) = self.objects().class_of_row_type(oid) {
            return Some((self.schema_name(class.schema)?, class.name.to_owned()));
        }
        let class = self.objects().class_of_row_type(oid ^ relations::types::array_of_row_type(0))?;
        Some((self.schema_name(class.schema)?, relations::types::array_name(class.name)))
    }

    fn type_oid(&self, schema: Option<&str>, name: &str) -> Option<Oid> {
        let in_schema = |schema: &str| {
            let built_in = type_named(name).filter(|(_, facts)| self.schema_name(facts.schema).as_deref() == Some(schema));
            match built_in {
                Some((oid, _)) => Some(oid),
                None => {
                    let row_type = |name| self.objects().class_named(schema, name).map(|class| class.row_type).filter(|oid| *oid != 0);
                    row_type(name).or_else(|| row_type(name.strip_prefix('_')?).map(relations::types::array_of_row_type))
                }
            }
        };
        match schema {
            Some(schema) => in_schema(schema),
            None => self.schemas().find_map(in_schema),
        }
    }

    fn type_is_visible(&self, oid: Oid) -> bool {
        self.type_name(oid).is_some_and(|(_, name)| self.type_oid(None, &name) == Some(oid))
    }

    fn function_name(&self, function: Oid) -> Option<(String, String)> {
        FUNCTIONS.by_oid.get(&function).and_then(|function| Some((self.schema_name(function.schema)?, function.name.clone())))
    }

    fn functions_named(&self, name: &str) -> Vec<Oid> {
        FUNCTIONS.by_name.get(name).cloned().unwrap_or_default()
    }

    fn function_argument_types(&self, function: Oid) -> Option<Vec<Oid>> {
        FUNCTIONS.by_oid.get(&function).map(|function| function.argument_types.clone())
    }

    fn function_arguments(&self, function: Oid) -> Option<String> {
        FUNCTIONS.by_oid.get(&function).map(|function| function.arguments.clone())
    }

    fn function_result(&self, function: Oid) -> Option<String> {
        FUNCTIONS.by_oid.get(&function).and_then(|function| function.result.clone())
    }

    fn function_clauses(&self, function: Oid) -> Option<(String, String, String)> {
        CLAUSES.get(&function).cloned()
    }

    fn comment(&self, object: Oid, class: Oid, column: i32) -> Option<String> {
        if let Some(text) = COMMENTS.get(&(object, class, column)) {
            return Some(text.clone());
        }
        let objects = self.objects();
        match class {
            PG_CLASS => {
                let relation = objects.class(object)?.stored()?;
                match usize::try_from(column).ok()?.checked_sub(1) {
                    None => relation.comment.clone(),
                    Some(at) => relation.columns.get(at)?.comment.clone(),
                }
            }
            PG_NAMESPACE => objects.namespace(object)?.comment.map(str::to_owned),
            PG_DATABASE => {
                authorize::may_see(&self.snapshot, self.principal.current_role, ObjectRef::Database(object)).then_some(())?;
                self.snapshot.database(object)?.comment.clone()
            }
            PG_TYPE => None,
            _ => None,
        }
    }

    fn view_definition(&self, relation: Oid, pretty: bool) -> Option<String> {
        let definition = match recorded::relation_by_oid(relation) {
            Some(recorded) => views::text(recorded)?,
            None => {
                let view = self.objects().class(relation)?.stored()?;
                if let Some(renamed) = renamed_definition(self.snapshot.as_ref(), view) {
                    return Some(format!(" {};", renamed.trim()));
                }
                let visible = |relation: &Relation| self.class_on_path(&relation.name).is_some_and(|found| found.oid == relation.oid);
                let layout = view_text::Layout { snapshot: &self.snapshot, database: &self.database, pretty, visible: &visible };
                if let Some(text) = view_text::text(view, &layout) {
                    return Some(text);
                }
                view.definition.as_deref()?
            }
        };
        Some(format!(" {};", definition.trim().trim_end_matches(';').trim_end()))
    }

    fn constraint_definition(&self, constraint: Oid, pretty: bool) -> Option<String> {
        let list = |columns: &[String]| columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
        self.constraint(constraint).map(|(relation, constraint)| match &constraint.kind {
            ConstraintKind::Check(expression) => format!("CHECK ({})", check_text(expression, &relation.columns, pretty)),
            ConstraintKind::PrimaryKey(columns) => format!("PRIMARY KEY ({})", list(columns)),
            ConstraintKind::Unique(columns) => format!("UNIQUE ({})", list(columns)),
            ConstraintKind::ForeignKey(key) => self.foreign_key_text(key),
        })
    }

    fn index_definition(&self, index: Oid) -> Option<IndexDefinition> {
        if let Some(relation) = self.snapshot.relation_of_index(index).and_then(|relation| self.objects().visible(relation)) {
            let index = relation.indexes.iter().find(|own| own.oid == index)?;
            return Some(IndexDefinition {
                table: relation.oid,
                name: index.name.clone(),
                unique: index.unique,
                method: index.method.clone(),
                columns: index.columns.clone(),
            });
        }
        let (relation, key) = self.constraint(index).filter(|(_, key)| key.kind.is_index())?;
        let column = |name: &String| IndexColumn { name: name.clone(), descending: false, nulls_first: false, operator_class: None };
        let columns = key.kind.columns().iter().map(column).collect();
        Some(IndexDefinition { table: relation.oid, name: key.name.clone(), unique: true, method: "btree".to_owned(), columns })
    }

    fn next_values(&self, sequence: Oid, count: usize) -> Result<Vec<i64>, EngineError> {
        let (relation, parameters) = self.sequence(sequence, &[Privilege::Usage, Privilege::Update])?;
        self.effects.sequences.next(relation, parameters, count).map_err(of_catalog)
    }

    fn current_value(&self, sequence: Oid) -> Result<i64, EngineError> {
        let (relation, _) = self.sequence(sequence, &[Privilege::Usage, Privilege::Select])?;
        self.effects.sequences.current(sequence).ok_or_else(|| EngineError::Data {
            error: DataError::NotInPrerequisiteState,
            message: format!("currval of sequence \"{}\" is not yet defined in this session", relation.name),
        })
    }

    fn last_value(&self) -> Result<i64, EngineError> {
        let last = self.effects.sequences.last().filter(|(sequence, _)| self.snapshot.relation_by_oid(*sequence).is_some());
        last.map(|(_, value)| value).ok_or_else(|| EngineError::Data {
            error: DataError::NotInPrerequisiteState,
            message: "lastval is not yet defined in this session".to_owned(),
        })
    }

    fn set_sequence(&self, sequence: Oid, value: i64, is_called: bool) -> Result<(), EngineError> {
        let (relation, parameters) = self.sequence(sequence, &[Privilege::Update])?;
        self.effects.sequences.set(relation, parameters, SequenceState { last_value: value, is_called }).map_err(of_catalog)
    }

    fn stored_value(&self, sequence: Oid) -> Result<Option<i64>, EngineError> {
        let (relation, parameters) = self.sequence(sequence, &[Privilege::Usage, Privilege::Select])?;
        let state = self.effects.sequences.stored(relation.oid, parameters).map_err(of_catalog)?;
        Ok(state.is_called.then_some(state.last_value))
    }

    fn sequence_of_column(&self, table: Oid, column: &str) -> Result<Option<Oid>, EngineError> {
        let Some(relation) = self.snapshot.relation_by_oid(table) else { return Ok(None) };
        if relation.column(column).is_none() {
            let message = format!("column \"{column}\" of relation \"{}\" does not exist", relation.name);
            return Err(EngineError::Sql { mistake: SqlMistake::UndefinedColumn, message, hint: None });
        }
        let owns = |sequence: &&Arc<Relation>| {
            sequence.sequence.as_ref().and_then(|own| own.owned_by.as_ref()).is_some_and(|(_, owner)| owner == column)
        };
        Ok(self.snapshot.sequences_of(table).find(owns).map(|sequence| sequence.oid))
    }

    fn settings(&self, values: &BTreeMap<String, String>) -> Option<RecordBatch> {
        let relation = recorded::relation(PG_CATALOG, "pg_settings")?;
        relations::settings::batches(relation, values).ok()?.into_iter().next()
    }

    fn has_relation_privilege(&self, role: Option<Oid>, relation: Oid, privilege: &str) -> Option<bool> {
        let role = self.role(role);
        let class = self.objects().class(relation)?;
        if class.stored().is_none() {
            let reads = |word: &str| word.trim().eq_ignore_ascii_case("SELECT");
            return Some(self.snapshot.is_superuser(role) || privilege.split(',').any(reads));
        }
        Some(self.any_privilege(role, ObjectRef::Relation(relation), privilege))
    }

    fn has_column_privilege(&self, role: Option<Oid>, relation: Oid, column: ColumnOf<'_>, privilege: &str) -> ColumnPrivilege {
        let role = self.role(role);
        let Some(class) = self.objects().class(relation) else { return ColumnPrivilege::NoSuchRelation };
        let attributes = class.attributes();
        let found = attributes.iter().find(|attribute| match column {
            ColumnOf::Name(name) => *attribute.name == *name,
            ColumnOf::Number(number) => i64::from(attribute.number) == number,
        });
        let Some(attribute) = found else { return ColumnPrivilege::NoSuchColumn };
        let held = match class.stored() {
            None => self.has_relation_privilege(Some(role), relation, privilege) == Some(true),
            Some(stored) => privilege.split(',').any(|word| {
                let Some((privilege, with_option)) = privilege_word(word) else { return false };
                if with_option {
                    authorize::has_column_grant_option(&self.snapshot, role, stored, &attribute.name, privilege)
                } else {
                    authorize::has_column_privilege(&self.snapshot, role, stored, &attribute.name, privilege)
                }
            }),
        };
        if held { ColumnPrivilege::Held } else { ColumnPrivilege::NotHeld }
    }

    fn has_any_column_privilege(&self, role: Option<Oid>, relation: Oid, privilege: &str) -> Option<bool> {
        let role = self.role(role);
        let class = self.objects().class(relation)?;
        let Some(stored) = class.stored() else { return self.has_relation_privilege(Some(role), relation, privilege) };
        Some(privilege.split(',').any(|word| {
            let Some((privilege, with_option)) = privilege_word(word) else { return false };
            if with_option {
                let on_column = |column: &Column| authorize::has_column_grant_option(&self.snapshot, role, stored, &column.name, privilege);
                stored.columns.iter().any(on_column)
            } else {
                authorize::has_any_column_privilege(&self.snapshot, role, stored, privilege)
            }
        }))
    }

    fn row_security_active(&self, relation: Oid) -> Option<bool> {
        let class = self.objects().class(relation)?;
        let role = self.role(None);
        Some(class.stored().is_some_and(|stored| authorize::row_rules(&self.snapshot, role, stored).is_some()))
    }

    fn has_schema_privilege(&self, role: Option<Oid>, schema: Oid, privilege: &str) -> Option<bool> {
        let role = self.role(role);
        let namespace = self.objects().namespace(schema)?;
        if self.snapshot.schema_by_oid(namespace.oid).is_none() {
            let uses = |word: &str| word.trim().eq_ignore_ascii_case("USAGE");
            return Some(self.snapshot.is_superuser(role) || privilege.split(',').any(uses));
        }
        Some(self.any_privilege(role, ObjectRef::Schema(schema), privilege))
    }

    fn has_database_privilege(&self, role: Option<Oid>, database: Oid, privilege: &str) -> Option<bool> {
        let role = self.role(role);
        if database == SYSTEM_DATABASE_OID {
            return Some(privilege.split(',').any(|word| word.trim().eq_ignore_ascii_case("CONNECT")));
        }
        self.visible_database(database)?;
        Some(self.any_privilege(role, ObjectRef::Database(database), privilege))
    }

    fn has_role(&self, role: Option<Oid>, of: Oid, privilege: &str) -> Option<bool> {
        let role = self.role(role);
        self.snapshot.role(of)?;
        let holds = |word: &str| match word.trim().to_ascii_uppercase().as_str() {
            "USAGE" => self.snapshot.has_privileges_of(role, of),
            "MEMBER" | "SET" => self.snapshot.is_member_of(role, of),
            _ => self.snapshot.is_admin_of(role, of),
        };
        Some(privilege.split(',').any(holds))
    }

    /// As `pg_signal_backend` checks: a superuser's session obeys superusers only.
    fn decrypt_statement(&self, statement: &str) -> Result<Option<String>, EngineError> {
        let id = statement.parse().map_err(|_| EngineError::Data {
            error: DataError::InvalidTextRepresentation,
            message: format!("invalid input syntax for type uuid: \"{statement}\""),
        })?;
        self.effects.log.open(self.principal, id).map_err(|error| refused(SqlError::from(error)))
    }

    fn open_record(&self, relation: &str, column: &str, record: &str) -> Result<Option<String>, EngineError> {
        match SealedPart::of_column(relation, column) {
            Some(part) => self.effects.log.open_part(self.principal, record, part).map_err(|error| refused(SqlError::from(error))),
            None => Ok(None),
        }
    }

    fn signal_session(&self, pid: i32, signal: SessionSignal) -> Signalled {
        let action = match signal {
            SessionSignal::CancelStatement => "cancel",
            SessionSignal::Terminate => "terminate",
        };
        let signalled = self.signal(pid, signal);
        let status = match signalled {
            Signalled::NoSuchSession => return signalled,
            Signalled::Sent => AuditStatus::Success,
            Signalled::Denied => AuditStatus::Denied,
        };
        self.effects.log.tell(&self.principal, action, "session", pid.to_string(), status);
        signalled
    }

    fn set_setting(&self, name: &str, value: Option<&str>, local: bool) -> Result<String, EngineError> {
        let name = name.to_ascii_lowercase();
        let shown = self.checked_setting(&name, value).map_err(refused)?;
        let value = value.map(|_| shown.clone());
        self.effects.wish(Effect::Set { name, value, local }).map_err(refused)?;
        Ok(shown)
    }

    fn notify(&self, channel: &str, payload: &str) -> Result<(), EngineError> {
        Post::new(channel, payload).and_then(|post| self.effects.wish(Effect::Notify(post))).map_err(refused)
    }

    fn export_snapshot(&self) -> Result<String, EngineError> {
        let name = exported_snapshots::new_name(self.effects.pid);
        self.effects.wish(Effect::ExportSnapshot(name.clone())).map_err(refused)?;
        Ok(name)
    }

    fn take_advisory_lock(&self, request: AdvisoryRequest) -> AdvisoryTaken {
        let database = self.database_oid(&self.database).unwrap_or_default();
        let taken = self.effects.advisory.clone().take(self.effects.pid, database, request, self.effects.lock_timeout());
        Box::pin(async move { taken.await.map_err(refused) })
    }

    fn release_advisory_lock(&self, key: AdvisoryKey, shared: bool) -> bool {
        let released = self.effects.advisory.release(self.effects.pid, self.database_oid(&self.database).unwrap_or_default(), key, shared);
        if !released {
            self.effects.warn(format!("you don't own a lock of type {}", if shared { "ShareLock" } else { "ExclusiveLock" }));
        }
        released
    }

    fn release_advisory_locks(&self) {
        self.effects.advisory.release_session(self.effects.pid);
    }

    fn listening_channels(&self) -> Vec<String> {
        self.effects.notifications.channels(self.effects.pid)
    }

    fn notification_queue_usage(&self) -> f64 {
        self.effects.notifications.usage()
    }
}

/// An error of the session's as one of the engine's, on its way through a function.
fn refused(error: SqlError) -> EngineError {
    let message = error.message;
    let mistake = |mistake| EngineError::Sql { mistake, message: message.clone(), hint: error.fields.hint.clone() };
    match error.state {
        SqlState::UndefinedObject => mistake(SqlMistake::UndefinedObject),
        SqlState::InsufficientPrivilege => mistake(SqlMistake::InsufficientPrivilege),
        SqlState::CantChangeRuntimeParam => mistake(SqlMistake::CantChangeSetting),
        SqlState::DeadlockDetected => mistake(SqlMistake::Deadlock),
        SqlState::LockNotAvailable => mistake(SqlMistake::LockNotAvailable),
        SqlState::OutOfMemory => EngineError::OutOfMemory { detail: message },
        SqlState::FeatureNotSupported => {
            EngineError::Unsupported { feature: message.trim_end_matches(" is not supported").to_owned(), hint: error.fields.hint }
        }
        SqlState::ProgramLimitExceeded => EngineError::Limit { limit: Limit::ProgramLimit, message },
        _ => EngineError::Data { error: DataError::InvalidParameterValue, message },
    }
}

impl SessionLookup {
    /// The value as SHOW will print it; `name` in lower case.
    fn checked_setting(&self, name: &str, value: Option<&str>) -> Result<String, SqlError> {
        match (name, value) {
            ("role", None | Some("none")) => Ok("none".to_owned()),
            ("role", Some(role)) => may_become(&self.snapshot, self.principal.session_role, role).map(|_| role.to_owned()),
            ("session_authorization", value) => {
                let own = self.role_name(self.principal.session_role).unwrap_or_default();
                match value {
                    Some(other) if other != own => {
                        Err(SqlError::unsupported("SET SESSION AUTHORIZATION to another role").hint("Use SET ROLE."))
                    }
                    _ => Ok(own),
                }
            }
            (name, Some(value)) => settings::check(name, value),
            (name, None) => {
                if let Some(setting) = settings::find(name).filter(|setting| setting.context == settings::Context::Internal) {
                    return Err(settings::read_only(setting));
                }
                self.effects.resets.get(name).cloned().ok_or_else(|| settings::unknown(name))
            }
        }
    }

    /// One of the privileges of a list, each perhaps `WITH GRANT OPTION`.
    fn any_privilege(&self, role: Oid, object: ObjectRef, list: &str) -> bool {
        list.split(',').any(|word| {
            let Some((privilege, with_option)) = privilege_word(word) else { return false };
            if with_option {
                authorize::has_grant_option(&self.snapshot, role, object, privilege)
            } else {
                authorize::has_privilege(&self.snapshot, role, object, privilege)
            }
        })
    }
}

/// The privilege, and whether WITH GRANT OPTION is asked for.
fn privilege_word(word: &str) -> Option<(Privilege, bool)> {
    let word = word.trim().to_ascii_uppercase();
    let (word, with_option) = match word.strip_suffix("WITH GRANT OPTION") {
        Some(word) => (word.trim_end(), true),
        None => (word.as_str(), false),
    };
    Some((Privilege::parse(word)?, with_option))
}

/// By object, class and column.
static COMMENTS: LazyLock<HashMap<(Oid, Oid, i32), String>> = LazyLock::new(|| {
    recorded::lines("pg_description")
        .filter_map(|line| match line.as_slice() {
            [Some(object), Some(class), Some(column), Some(text)] => {
                Some(((object.parse().ok()?, class.parse().ok()?, column.parse().ok()?), text.clone()))
            }
            _ => None,
        })
        .collect()
});

/// Source: `quote_identifier` in ruleutils.c.
pub fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && !KEYWORDS.contains(name);
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Words that are no plain identifiers: all keywords but the unreserved ones.
static KEYWORDS: LazyLock<std::collections::HashSet<&'static str>> = LazyLock::new(|| {
    let lines = include_str!("recorded/keywords.tsv").lines();
    lines.filter_map(|line| line.split_once('\t')).filter(|(_, rest)| !rest.starts_with('U')).map(|(word, _)| word).collect()
});

/// The query of a view whose text names relations or columns that were renamed since, under the names of now.
pub fn renamed_definition(snapshot: &lakegate_catalog::Snapshot, relation: &lakegate_catalog::model::Relation) -> Option<String> {
    let reads = relation.view_reads()?;
    let renamed = |read: &lakegate_catalog::model::ViewRead| {
        let now = snapshot.relation_by_oid(read.oid);
        now.is_none_or(|now| read.name.last() != Some(&now.name)) || read.columns.iter().any(|(text, now)| text != now)
    };
    if !reads.iter().any(renamed) {
        return None;
    }
    let name = snapshot.name_of(relation)?;
    let (query, _) = crate::sql::bind::view_query(snapshot, &name, relation, &reads).ok()?;
    Some(query.to_string())
}
