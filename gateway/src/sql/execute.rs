//! A prepared statement to its answer: log, run, stream, log the end.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use futures::StreamExt;
use lakegate_catalog::model::RelationName;
use lakegate_engine_api::{Execution, ExecutionContext, Outcome};
use sqlparser::ast::Statement;
use tokio_util::sync::CancellationToken;

use super::grammar::Command;
use super::journal::Journal;
use super::logged_rows::LoggedRows;
use super::prepare::{Plan, PreparedStatement};
use super::row_errors::RowErrors;
use super::session::GatewaySession;
use super::statement_type::statement_type;
use super::with_changes::main_statement;
use crate::detect::guard::Watch;
use crate::frontend::{Response, TransactionStatus};
use crate::handlers;
use crate::sqlstate::{SqlError, SqlState};

/// Runs a statement under the session's statement_timeout.
pub async fn execute(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    parameters: Vec<ArrayRef>,
    cancel: CancellationToken,
) -> Result<Response, SqlError> {
    if session.transaction.status() == TransactionStatus::Failed && !super::prepare::ends_block(&statement.command) {
        return Err(super::transaction::aborted());
    }
    let timeout = session.time_limit();
    let deadline = Deadline::new(timeout, cancel);
    let running = run_to_commit(session, statement, parameters, &deadline);
    match timeout {
        None => deadline.explain(running.await),
        Some(limit) => {
            tokio::pin!(running);
            tokio::select! {
                biased;
                result = &mut running => deadline.explain(result),
                () = tokio::time::sleep(limit) => {
                    deadline.expire();
                    // The work notices the token; a commit in flight is completed or known not to have happened.
                    deadline.explain(running.await)
                }
            }
        }
    }
}

/// A token that fires at cancel requests and at the statement's time limit, and knows which it was.
#[derive(Debug, Clone)]
pub struct Deadline {
    token: CancellationToken,
    at: Option<tokio::time::Instant>,
    expired: Arc<std::sync::atomic::AtomicBool>,
}

impl Deadline {
    fn new(limit: Option<Duration>, parent: CancellationToken) -> Self {
        Deadline { token: parent.child_token(), at: limit.map(|limit| tokio::time::Instant::now() + limit), expired: Arc::default() }
    }

    /// Without a time limit.
    #[must_use]
    pub fn unlimited(token: CancellationToken) -> Self {
        Deadline { token, at: None, expired: Arc::default() }
    }

    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    #[must_use]
    pub fn at(&self) -> Option<tokio::time::Instant> {
        self.at
    }

    /// The limit passed.
    pub fn expire(&self) {
        self.expired.store(true, std::sync::atomic::Ordering::SeqCst);
        self.token.cancel();
    }

    /// Names the time limit where that was the reason.
    pub fn explain<T>(&self, result: Result<T, SqlError>) -> Result<T, SqlError> {
        result.map_err(|error| {
            if error.state == SqlState::QueryCanceled && self.expired.load(std::sync::atomic::Ordering::SeqCst) {
                SqlError::new(SqlState::QueryCanceled, "canceling statement due to statement timeout")
            } else {
                error
            }
        })
    }
}

/// The last change of an implicit transaction commits it, so that its completion is told only afterwards.
async fn run_to_commit(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    parameters: Vec<ArrayRef>,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let response = run(session, statement, parameters, deadline).await?;
    // The rows of RETURNING are there already: sending them changes nothing.
    let is_done = matches!(response, Response::Command { .. }) || super::prepare::is_change(&statement.command);
    if !session.more_follows && is_done {
        session.commit_implicit(deadline.token()).await?;
        session.settle_temporary().await?;
    }
    Ok(response)
}

async fn run(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    parameters: Vec<ArrayRef>,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let sql = match &*statement.command {
        Command::Sql(sql) => sql,
        Command::DeclareCursor(declare) => return handlers::cursor::declare(session, statement, declare, parameters, deadline).await,
        Command::Fetch(fetch) => return handlers::cursor::fetch(session, statement, fetch, deadline).await,
        _ => return handlers::run(session, statement, deadline).await,
    };
    match sql.as_ref() {
        Statement::Query(query) if super::prepare::has_select_into(query) => handlers::run(session, statement, deadline).await,
        Statement::Query(_)
        | Statement::Explain { .. }
        | Statement::Insert(_)
        | Statement::Update(_)
        | Statement::Delete(_)
        | Statement::Truncate(_)
        | Statement::Merge(_) => run_plan(session, statement, parameters, deadline).await,
        _ => handlers::run(session, statement, deadline).await,
    }
}

async fn run_plan(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    parameters: Vec<ArrayRef>,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let plan = match open(session, statement).await {
        Ok(plan) => plan,
        Err(error) => {
            super::journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    let (journal, watch) = admit(session, statement, &plan, &parameters, deadline).await?;
    let result = start(&plan, parameters, &journal, deadline).await;
    if !plan.bound.tables_written.is_empty() {
        session.changes_made += 1;
    }
    match deadline.explain(result) {
        Ok(Execution::Rows { schema, stream, metrics }) => {
            let tag = if matches!(&*statement.command, Command::Sql(sql) if matches!(**sql, Statement::Explain { .. })) {
                "EXPLAIN"
            } else {
                "SELECT"
            };
            Ok(Response::Rows { schema, rows: LoggedRows::boxed(stream, metrics, journal, deadline.clone(), watch), tag })
        }
        Ok(Execution::Returned { schema, stream, outcome }) => {
            let tag = match &*statement.command {
                Command::Sql(sql) if matches!(main_statement(sql), Statement::Insert(_)) => "INSERT 0",
                command => statement_type(command),
            };
            session.change_done(journal, outcome).await?;
            let rows = Box::pin(stream.map(|batch| batch.map_err(SqlError::from)));
            Ok(Response::Rows { schema, rows, tag })
        }
        Ok(Execution::Done(outcome)) => {
            let tag = change_tag(&statement.command, &outcome);
            if statement_type(&statement.command) == "TRUNCATE" {
                note_emptied(session, &plan);
            }
            session.change_done(journal, outcome).await?;
            Ok(Response::Command { tag })
        }
        Err(error) => {
            journal.failed(&error).await;
            Err(plan.bound.tables_written.iter().fold(error, |error, table| RowErrors::of(session, table).complete(error)))
        }
    }
}

/// Logged, with a place in its warehouse, and with nothing that speaks against it.
///
/// # Errors
/// 58030, 42704, 42501, 53400, 57014. The plan is let go of then: it may be kept for the next time, and must not keep its tables' versions.
pub(crate) async fn admit(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    plan: &Plan,
    parameters: &[ArrayRef],
    deadline: &Deadline,
) -> Result<(Journal, Option<Watch>), SqlError> {
    let admitted = admit_held(session, statement, plan, parameters, deadline).await;
    if admitted.is_err() {
        plan.prepared.release();
    }
    admitted
}

async fn admit_held(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    plan: &Plan,
    parameters: &[ArrayRef],
    deadline: &Deadline,
) -> Result<(Journal, Option<Watch>), SqlError> {
    let durable = plan.bound.touches_tables();
    let mut journal = Journal::begin(session, &statement.command, &statement.text, parameters, &plan.facets, durable).await?;
    journal.note_compiled(plan.take_planning());
    if durable {
        journal = session.admitted(journal, deadline).await?;
    }
    crate::system::audit::subjects_read(session, &plan.bound, journal.statement_id()).await?;
    match crate::detect::guard::before(session, &plan.bound, journal.statement_id()).await {
        Ok(watch) => Ok((journal, watch)),
        Err(error) => {
            journal.failed(&error).await;
            Err(error)
        }
    }
}

/// The statement's plan; where it changes a table in a transaction, one that stages the change there.
async fn open(session: &mut GatewaySession, statement: &PreparedStatement) -> Result<Arc<Plan>, SqlError> {
    let locked = super::prepare::locked_tables(session, &statement.command).await?;
    if super::prepare::is_change(&statement.command) {
        let word = match statement_type(&statement.command) {
            "TRUNCATE" => "TRUNCATE TABLE",
            word => word,
        };
        session.refuse_read_only(word)?;
        let targets = super::prepare::changed_tables(session, &statement.command).await?;
        // One that is a message of its own and changes one table needs no transaction.
        let follows = session.more_follows;
        let locks_others = locked.iter().any(|table| targets.iter().all(|target| target != table));
        session.more_follows |= targets.len() > 1 || locks_others;
        let opened = open_changes(session, word, &targets);
        session.more_follows = follows;
        opened?;
    }
    for table in &locked {
        session.open_change("SELECT FOR UPDATE", table)?;
    }
    let plan = statement.fresh_plan(session).await?;
    lock_rows(session, &locked)?;
    Ok(plan)
}

/// In a transaction, what the plan reads of these tables must stay as it is.
fn lock_rows(session: &GatewaySession, locked: &[RelationName]) -> Result<(), SqlError> {
    let Some(changes) = session.transaction.changes() else { return Ok(()) };
    let snapshot = session.catalog().snapshot();
    let tables = locked.iter().filter_map(|name| snapshot.relation_by_name(name)).filter_map(|relation| changes.table(relation.oid));
    for table in tables {
        table.lock_rows()?;
    }
    Ok(())
}

/// TRUNCATE: COPY FREEZE asks for it.
fn note_emptied(session: &mut GatewaySession, plan: &Plan) {
    let snapshot = session.catalog().snapshot();
    for relation in plan.bound.tables_written.iter().filter_map(|name| snapshot.relation_by_name(name)) {
        session.transaction.note_emptied(relation.oid);
    }
}

fn open_changes(session: &mut GatewaySession, word: &str, targets: &[RelationName]) -> Result<(), SqlError> {
    if session.transaction.is_open() || session.more_follows || session.is_staging() {
        for target in targets {
            session.open_change(word, target)?;
        }
    }
    Ok(())
}

async fn start(plan: &Plan, parameters: Vec<ArrayRef>, journal: &Journal, deadline: &Deadline) -> Result<Execution, SqlError> {
    let context = ExecutionContext { statement_id: journal.statement_id(), cancel: deadline.token().clone() };
    Ok(plan.prepared.execute(parameters, context).await?)
}

fn change_tag(command: &Command, outcome: &Outcome) -> String {
    let Command::Sql(sql) = command else { return String::new() };
    match main_statement(sql) {
        Statement::Insert(_) => format!("INSERT 0 {}", outcome.rows),
        Statement::Update(_) => format!("UPDATE {}", outcome.rows),
        Statement::Delete(_) => format!("DELETE {}", outcome.rows),
        Statement::Merge(_) => format!("MERGE {}", outcome.rows),
        Statement::Truncate(_) => "TRUNCATE TABLE".to_owned(),
        _ => format!("SELECT {}", outcome.rows),
    }
}
