//! A parsed statement to one that can be described and executed.

use std::any::Any;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use lakegate_catalog::Snapshot;
use lakegate_catalog::model::{Oid, RelationName};
use lakegate_engine_api::{BoundRelation, BoundStatement, Prepared, SessionFacts, Work};
use sqlparser::ast::{self, Statement};
use uuid::Uuid;

use super::bind::Bound;
use super::facets::{Facets, Mentioned};
use super::grammar::{Command, TwoPhase};
use super::kept_plans::Circumstances;
use super::locking_reads;
use super::of_catalog::{Follows, follows, follows_tables, reads_parameters_as_times};
use super::session::GatewaySession;
use super::target::targets;
use super::with_changes::changes;
use crate::frontend::{ParsedStatement, PreparedSql, declared};
use crate::sqlstate::{SqlError, SqlState};

/// How often, and how long apart, the catalog is looked at while another gateway commits changes of several tables.
pub(super) const LOOKS_MAX: usize = 1_200;
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A statement of the client, ready for Bind and Execute.
pub struct PreparedStatement {
    pub command: Arc<Command>,
    pub text: Arc<str>,
    /// Of the message before it.
    pub characters_before: u32,
    pub declared: Vec<Oid>,
    parameters: Vec<FieldRef>,
    result: Option<SchemaRef>,
    /// For what an engine runs.
    plan: Mutex<Option<Held>>,
    /// Executions that made a plan, and those that found one: `pg_prepared_statements` counts them.
    planned: AtomicI64,
    reused: AtomicI64,
}

/// A statement's plan, and the session's settings when it got it: another session may have made it under an equal map of them.
#[derive(Clone)]
struct Held {
    plan: Arc<Plan>,
    settings: SettingsMap,
}

type SettingsMap = Arc<std::collections::BTreeMap<String, String>>;

/// An engine's plan, with what it was made from.
pub struct Plan {
    pub bound: Bound,
    pub facets: Facets,
    /// How long it took to make, for the log entry of the statement that it was made for.
    took: Mutex<Option<Duration>>,
    pub prepared: Arc<dyn Prepared>,
    catalog_version: u64,
    message: u64,
    changes: u64,
    /// Where the answer follows from the catalog, the role and the settings alone.
    of_catalog: Option<Follows>,
    /// Where it follows from the versions of stored tables beside these.
    of_tables: bool,
    /// The catalog that it was made from.
    made_from: Weak<Snapshot>,
    /// For whom and under which settings: rights, search path, time zone.
    role: Oid,
    settings: SettingsMap,
}

impl PreparedSql for PreparedStatement {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        self.result.as_ref()
    }

    fn allowed_in_failed_transaction(&self) -> bool {
        ends_block(&self.command)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The front end's own type back from the protocol's handle.
pub fn downcast(statement: &Arc<dyn PreparedSql>) -> Result<&PreparedStatement, SqlError> {
    statement.as_any().downcast_ref().ok_or_else(|| SqlError::new(SqlState::InternalError, "a statement of another session was executed"))
}

/// Plans what an engine runs; takes everything else as it is.
pub async fn prepare(session: &mut GatewaySession, statement: ParsedStatement, types: &[Oid]) -> Result<Arc<PreparedStatement>, SqlError> {
    let statement = match &statement.command {
        Some(command) if matches!(**command, Command::SavedQuery(_)) => saved_query(session, statement).await?,
        _ => statement,
    };
    if let (Some(parameter), Some(command)) = (statement.parameter, &statement.command)
        && !is_planned(command)
    {
        return Err(parameter.undefined());
    }
    let (command, text) = (statement.command.clone(), Arc::clone(&statement.text));
    let analysed = analyse(session, statement, types).await;
    if let (Err(error), Some(command)) = (&analysed, command)
        && (is_planned(&command) || error.state == SqlState::FeatureNotSupported)
        && error.state != SqlState::InFailedSqlTransaction
    {
        super::journal::refused(session, &command, &text, error).await?;
    }
    analysed
}

/// A call of a saved query as the query.
async fn saved_query(session: &mut GatewaySession, statement: ParsedStatement) -> Result<ParsedStatement, SqlError> {
    if session.transaction.status() == crate::frontend::TransactionStatus::Failed {
        return Err(super::transaction::aborted());
    }
    let (command, text) = (statement.command.clone(), Arc::clone(&statement.text));
    match (crate::saved_queries::resolve(session, statement).await, command) {
        (Err(error), Some(command)) => {
            super::journal::refused(session, &command, &text, &error).await?;
            Err(error)
        }
        (resolved, _) => resolved,
    }
}

/// As [`prepare`], without a word to the statement log.
///
/// # Errors
/// 25P02 in a failed block, and what planning finds.
pub async fn analyse(session: &mut GatewaySession, statement: ParsedStatement, types: &[Oid]) -> Result<Arc<PreparedStatement>, SqlError> {
    let Some(command) = statement.command else {
        return Err(SqlError::new(SqlState::InternalError, "an empty statement was prepared"));
    };
    let mut prepared = PreparedStatement {
        text: statement.text,
        characters_before: statement.characters_before,
        declared: types.to_vec(),
        parameters: Vec::new(),
        result: None,
        plan: Mutex::new(None),
        planned: AtomicI64::new(0),
        reused: AtomicI64::new(0),
        command,
    };
    if session.transaction.status() == crate::frontend::TransactionStatus::Failed && !ends_block(&prepared.command) {
        return Err(super::transaction::aborted());
    }
    if is_planned(&prepared.command) {
        let plan = plan(session, &prepared.command, Some(&prepared.text), types).await?;
        // Whether it is to be run, and when, is told later.
        plan.prepared.release();
        prepared.parameters = plan.prepared.parameters().to_vec();
        if !is_declare(&prepared.command) {
            prepared.result = plan.prepared.result_schema().cloned();
        }
        prepared.plan = Mutex::new(Some(Held { plan, settings: session.settings.current.all() }));
    } else {
        prepared.result = utility_schema(session, &prepared.command)?;
    }
    Ok(Arc::new(prepared))
}

impl PreparedStatement {
    /// The plan if it still holds: made in this message, or naming no stored table; under the catalog of now.
    pub async fn fresh_plan(&self, session: &mut GatewaySession) -> Result<Arc<Plan>, SqlError> {
        let snapshot = session.catalog().refresh().await?;
        let kept = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Held { plan, settings }) = kept
            && plan.is_of(session, &settings)
            && (self.holds(session, &plan, &snapshot) || plan.stands(session, &snapshot).await?)
        {
            self.reused.fetch_add(1, Ordering::Relaxed);
            let _agreed = session.transaction.pin(&snapshot, []);
            return Ok(plan);
        }
        self.planned.fetch_add(1, Ordering::Relaxed);
        let plan = plan(session, &self.command, Some(&self.text), &self.declared_or_inferred()).await?;
        if !self.has_columns_of(plan.prepared.result_schema()) && !is_declare(&self.command) {
            return Err(SqlError::changed_result());
        }
        let held = Held { plan: Arc::clone(&plan), settings: session.settings.current.all() };
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Some(held);
        Ok(plan)
    }

    /// Whether it was made in this message, or follows from the catalog; it is then held.
    fn holds(&self, session: &GatewaySession, plan: &Plan, snapshot: &Arc<Snapshot>) -> bool {
        let holds = plan.follows(snapshot) && plan.is_renewed(session, snapshot)
            || plan.catalog_version == snapshot.version()
                && plan.is_fresh(session)
                && (plan.message == session.message || !self.depends_on_time());
        holds && plan.prepared.hold()
    }

    fn has_columns_of(&self, schema: Option<&SchemaRef>) -> bool {
        match (schema, &self.result) {
            (Some(now), Some(described)) => lakegate_engine_api::same_columns(now, described),
            (now, described) => now.is_none() && described.is_none(),
        }
    }

    /// How often it was executed with the plan that was there, and with a plan made for the occasion.
    #[must_use]
    pub fn executions(&self) -> (i64, i64) {
        (self.reused.load(Ordering::Relaxed), self.planned.load(Ordering::Relaxed))
    }

    /// Functions of the session (`now()`, `current_setting()`) are answered from the facts that the plan was made with.
    fn depends_on_time(&self) -> bool {
        let mut found = false;
        if let Some(statement) = planned(&self.command) {
            let _ = ast::visit_expressions(statement, |expr| {
                found |= matches!(expr, ast::Expr::Function(_));
                std::ops::ControlFlow::<()>::Continue(())
            });
        }
        found
    }

    /// A second plan keeps the parameter types that the client was told.
    fn declared_or_inferred(&self) -> Vec<Oid> {
        self.parameters.iter().map(|field| lakegate_engine_api::pg_type(field).oid).collect()
    }
}

/// A plan of now; one that was made for the same `text` before, where nothing that its answer depends on has changed.
pub(crate) async fn plan(
    session: &mut GatewaySession,
    command: &Command,
    text: Option<&str>,
    types: &[Oid],
) -> Result<Arc<Plan>, SqlError> {
    let mut came_before = None;
    for _ in 0..LOOKS_MAX {
        let snapshot = session.catalog().refresh().await?;
        session.transaction.adopt();
        let facts = session.facts(&snapshot);
        let principal = session.principal;
        let circumstances =
            text.map(|text| Circumstances { text, types, snapshot: &snapshot, principal, facts: &facts, session: session.session_id });
        let kept = match circumstances {
            Some(asked) => kept_plan(session, &asked).await?,
            None => None,
        };
        let is_new = kept.is_none();
        let comes_again = *came_before.get_or_insert_with(|| text.is_some_and(|text| session.shared.kept_plans.came_before(text)));
        let plan = match kept {
            Some(plan) => plan,
            None => Arc::new(plan_over(session, command, types, &snapshot, &facts, comes_again).await?),
        };
        if plan.of_catalog.is_none() && !is_settled(session, &plan, &snapshot).await? {
            plan.prepared.release();
            tokio::time::sleep(LOOK).await;
        } else if is_of_one_picture(session, &plan, &snapshot) && session.transaction.pin(&snapshot, plan.prepared.table_versions()) {
            if let Some(made) = circumstances.filter(|_| is_new && (plan.of_catalog.is_some() || plan.of_tables && comes_again)) {
                session.shared.kept_plans.keep(&made, &plan);
            }
            return Ok(plan);
        }
    }
    Err(unfinished())
}

/// 40001.
pub(super) fn unfinished() -> SqlError {
    SqlError::new(SqlState::SerializationFailure, "could not serialize access: another gateway does not finish its commit")
}

/// A plan that was made before and still stands; it is held.
async fn kept_plan(session: &GatewaySession, asked: &Circumstances<'_>) -> Result<Option<Arc<Plan>>, SqlError> {
    let Some(plan) = session.shared.kept_plans.find(asked).filter(|plan| plan.is_renewed_by(asked.facts)) else { return Ok(None) };
    if !plan.of_tables {
        return Ok(plan.prepared.hold().then_some(plan));
    }
    if plan.stands(session, asked.snapshot).await? {
        return Ok(Some(plan));
    }
    if session.reads_newest() {
        session.shared.kept_plans.forget(asked.text, &plan);
    }
    Ok(None)
}

/// Whether no other process was committing changes of several tables, the plan's among them, while its versions were found out.
async fn is_settled(session: &GatewaySession, plan: &Plan, snapshot: &Snapshot) -> Result<bool, SqlError> {
    // The engine looks after the commits of its own process.
    if session.shared.catalog.is_sole_process() || !plan.bound.touches_tables() {
        return Ok(true);
    }
    if plan.bound.relations.iter().filter_map(BoundRelation::location).any(|location| snapshot.is_intended(location)) {
        return Ok(false);
    }
    Ok(session.catalog().refresh().await?.version() == snapshot.version())
}

/// Whether what the transaction has read goes with the versions of the plan: a commit of several tables may have come since it was bound.
fn is_of_one_picture(session: &GatewaySession, plan: &Plan, snapshot: &Arc<Snapshot>) -> bool {
    if session.transaction.pinned().is_empty() {
        return true;
    }
    let facts = session.facts(snapshot);
    let binder = session.binder(snapshot, &facts);
    plan.prepared.table_versions().iter().all(|(name, version)| match snapshot.relation_by_name(name) {
        Some(relation) if !binder.is_fixed(relation.oid) => binder.ceiling(relation).is_none_or(|ceiling| *version <= ceiling),
        _ => true,
    })
}

async fn plan_over(
    session: &GatewaySession,
    command: &Command,
    types: &[Oid],
    snapshot: &Arc<Snapshot>,
    facts: &Arc<SessionFacts>,
    comes_again: bool,
) -> Result<Plan, SqlError> {
    let Some(statement) = planned(command) else {
        return Err(SqlError::new(SqlState::InternalError, "a utility statement was planned"));
    };
    let began = std::time::Instant::now();
    let mentioned = Mentioned::by(statement);
    let mut statement = Box::new(statement.clone());
    if matches!(command, Command::Sql(_)) {
        // Elsewhere they are refused.
        locking_reads::locked_tables(&statement, &session.scope(snapshot), snapshot, &session.principal)?;
        locking_reads::strip(statement.as_mut());
    }
    let targets = targets(&statement, &session.scope(snapshot), snapshot)?;
    let bound = session.binder(snapshot, facts).bind(statement.as_mut(), &targets).await?;
    let of_catalog = match statement.as_ref() {
        Statement::Query(query) if matches!(command, Command::Sql(_)) => follows(query, &bound.relations),
        _ => None,
    };
    let (of_tables, reads_times) = match statement.as_ref() {
        Statement::Query(query) if of_catalog.is_none() && targets.is_empty() && matches!(command, Command::Sql(_)) => {
            (follows_tables(query, &bound.relations), reads_parameters_as_times(query))
        }
        _ => (false, false),
    };
    let caches = session.settings.current.get("lakegate.result_cache") == Some("on");
    let work = match targets.first() {
        Some(first) => Work::Change { statement, target: first.name.clone() },
        None => Work::Query(statement),
    };
    let prepared = session
        .engine()
        .prepare(BoundStatement {
            statement_id: Uuid::now_v7(),
            work,
            relations: bound.relations.clone(),
            session: Arc::clone(facts),
            parameter_types: types.iter().map(|oid| declared(*oid)).collect(),
            renewable: of_catalog == Some(Follows::Moment),
            keeps_rows_after: (of_tables && caches).then_some(u32::from(!comes_again)),
        })
        .await?;
    let facets = Facets::of(snapshot, mentioned, &bound, &targets, Some(prepared.as_ref()));
    let keeps_rows = of_catalog.is_some_and(|follows| follows < Follows::Moment) && prepared.parameters().is_empty() && caches;
    let of_tables = of_tables && !(reads_times && prepared.parameters().iter().any(|field| *field.data_type() == DataType::Utf8));
    let prepared = if keeps_rows { session.shared.kept_plans.with_rows(prepared) } else { prepared };
    Ok(Plan {
        bound,
        facets,
        took: Mutex::new(Some(began.elapsed())),
        of_tables,
        prepared,
        of_catalog,
        made_from: Arc::downgrade(snapshot),
        catalog_version: snapshot.version(),
        message: session.message,
        changes: session.changes_made,
        role: session.principal.current_role,
        settings: session.settings.current.all(),
    })
}

impl Plan {
    /// How long it took to make; zero when it is used again.
    pub fn take_planning(&self) -> Duration {
        self.took.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }

    /// Made under the role and the settings of now; `got`: the session's when it got it.
    fn is_of(&self, session: &GatewaySession, got: &SettingsMap) -> bool {
        let now = session.settings.current.all();
        self.role == session.principal.current_role && (Arc::ptr_eq(&self.settings, &now) || Arc::ptr_eq(got, &now))
    }

    /// Whether its answer follows from this catalog, its role and its settings.
    fn follows(&self, snapshot: &Arc<Snapshot>) -> bool {
        self.of_catalog.is_some() && self.is_made_from(snapshot)
    }

    fn is_made_from(&self, snapshot: &Arc<Snapshot>) -> bool {
        // A `Weak` holds its allocation: another snapshot cannot have the same address.
        std::ptr::eq(self.made_from.as_ptr(), Arc::as_ptr(snapshot))
    }

    /// Whether its tables are as they were under the same catalog, and the session reads what is newest; it is then held.
    async fn stands(&self, session: &GatewaySession, snapshot: &Arc<Snapshot>) -> Result<bool, SqlError> {
        Ok(self.of_tables
            && self.is_made_from(snapshot)
            && session.reads_newest()
            && is_settled(session, self, snapshot).await?
            && self.prepared.hold_current().await?)
    }

    pub fn follows_from(&self) -> Option<Follows> {
        self.of_catalog
    }

    /// Where it answers from the moment: from this one.
    fn is_renewed_by(&self, facts: &SessionFacts) -> bool {
        self.follows_from() != Some(Follows::Moment) || self.prepared.renew(facts)
    }

    fn is_renewed(&self, session: &GatewaySession, snapshot: &Arc<Snapshot>) -> bool {
        self.follows_from() != Some(Follows::Moment) || self.prepared.renew(&session.facts(snapshot))
    }

    /// The tables are as they were when it was made.
    fn is_fresh(&self, session: &GatewaySession) -> bool {
        let reads_same = self.changes == session.changes_made || self.bound.tables_read.is_empty();
        self.bound.relations.is_empty() || (self.message == session.message && reads_same)
    }
}

/// The tables that a statement changes.
///
/// # Errors
/// 0A000; 42P01 for a name that is none.
pub async fn changed_tables(session: &GatewaySession, command: &Command) -> Result<Vec<RelationName>, SqlError> {
    let Some(statement) = planned(command) else { return Ok(Vec::new()) };
    let snapshot = session.catalog().refresh().await?;
    let targets = targets(statement, &session.scope(&snapshot), &snapshot)?;
    Ok(targets.into_iter().map(|target| target.name).collect())
}

/// The tables whose rows a statement locks.
///
/// # Errors
/// As [`locking_reads::locked_tables`].
pub async fn locked_tables(session: &GatewaySession, command: &Command) -> Result<Vec<RelationName>, SqlError> {
    let Command::Sql(statement) = command else { return Ok(Vec::new()) };
    if !locking_reads::locks(statement) {
        return Ok(Vec::new());
    }
    let snapshot = session.catalog().refresh().await?;
    locking_reads::locked_tables(statement, &session.scope(&snapshot), &snapshot, &session.principal)
}

/// INSERT, UPDATE, DELETE, MERGE or TRUNCATE, or a query with such in WITH.
#[must_use]
pub fn is_change(command: &Command) -> bool {
    planned(command).is_some_and(|statement| !changes(statement).is_empty())
}

/// COMMIT, ROLLBACK and PREPARE TRANSACTION: what a failed transaction still takes.
pub fn ends_block(command: &Command) -> bool {
    match command {
        Command::Sql(statement) => matches!(**statement, Statement::Commit { .. } | Statement::Rollback { .. }),
        Command::TwoPhase(TwoPhase::Prepare) => true,
        _ => false,
    }
}

/// Whether an engine plans and runs the statement.
pub fn is_planned(command: &Command) -> bool {
    planned(command).is_some()
}

fn is_declare(command: &Command) -> bool {
    matches!(command, Command::DeclareCursor(_))
}

/// What an engine plans and runs of a command.
fn planned(command: &Command) -> Option<&Statement> {
    let statement = match command {
        Command::Sql(statement) => statement.as_ref(),
        Command::DeclareCursor(declare) => return Some(&declare.query),
        _ => return None,
    };
    let is_planned = match statement {
        Statement::Query(query) => !has_select_into(query),
        Statement::Explain { .. }
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Truncate(_)
        | Statement::Merge(_) => true,
        _ => false,
    };
    is_planned.then_some(statement)
}

/// `SELECT … INTO t`.
pub fn has_select_into(query: &ast::Query) -> bool {
    matches!(query.body.as_ref(), ast::SetExpr::Select(select) if select.into.is_some())
}

/// Columns of the utility statements that answer rows.
fn utility_schema(session: &GatewaySession, command: &Command) -> Result<Option<SchemaRef>, SqlError> {
    let statement = match command {
        Command::Sql(statement) => statement,
        // A cursor that is not there is told when the FETCH is executed.
        Command::Fetch(fetch) if !fetch.moves => {
            return Ok(session.cursors.find(&fetch.cursor).ok().map(|cursor| Arc::clone(&cursor.schema)));
        }
        Command::CreateToken(_) => return Ok(Some(crate::handlers::token::schema())),
        Command::Watch(watch) if matches!(**watch, super::grammar::Watch::Hunt { .. }) => {
            return Ok(Some(crate::handlers::detection::schema()));
        }
        Command::TableWork(work) => return Ok(crate::handlers::table_work::maintenance(work).schema()),
        Command::Privacy(_) => return Ok(Some(crate::handlers::privacy::schema())),
        _ => return Ok(None),
    };
    match statement.as_ref() {
        Statement::ShowVariable { variable } => crate::handlers::show::schema(variable).map(Some),
        Statement::Execute { name: Some(name), .. } => {
            let prepared = crate::handlers::prepare::find(session, name)?;
            Ok(prepared.result_schema().cloned())
        }
        _ => Ok(None),
    }
}

/// A schema of text columns.
pub fn text_schema<'a>(names: impl IntoIterator<Item = &'a str>) -> SchemaRef {
    Arc::new(Schema::new(names.into_iter().map(|name| Field::new(name, DataType::Utf8, true)).collect::<Vec<_>>()))
}

/// Tables a plan reads and writes, for the log.
pub fn names(set: &std::collections::BTreeSet<RelationName>) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}
