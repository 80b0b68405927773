//! DECLARE, FETCH, MOVE, CLOSE. Mirrors portalcmds.c and `DoPortalRunFetch` in pquery.c.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use futures::StreamExt;
use lakegate_engine_api::{Execution, ExecutionContext, ExecutionMetrics};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use super::transaction::require_block;
use crate::frontend::{ClientRows, Response};
use crate::sql::cursors::{Cursor, Scan};
use crate::sql::execute::{self, Deadline};
use crate::sql::grammar::{CloseCursor, Count, DeclareCursor, Direction, Fetch};
use crate::sql::journal::{self, Journal};
use crate::sql::logged_rows::LoggedRows;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// Starts the query; its log entry ends when the cursor does.
pub async fn declare(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    declare: &DeclareCursor,
    parameters: Vec<ArrayRef>,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let checked = match crate::sql::prepare::is_change(&statement.command) {
        true => Err(SqlError::unsupported("a data-modifying statement in DECLARE CURSOR")),
        false if declare.hold || session.in_transaction() => Ok(()),
        false => require_block(session, "DECLARE CURSOR"),
    };
    let plan = match checked.and_then(|()| session.cursors.check(&declare.name)) {
        Ok(()) => statement.fresh_plan(session).await,
        Err(error) => Err(error),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => {
            journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    let (journal, watch) = execute::admit(session, statement, &plan, &parameters, deadline).await?;
    // It outlives the statement, so a cancel of this one must not reach it later.
    let token = CancellationToken::new();
    let context = ExecutionContext { statement_id: journal.statement_id(), cancel: token.clone() };
    let started = tokio::select! {
        biased;
        started = plan.prepared.execute(parameters, context) => started.map_err(SqlError::from),
        () = deadline.token().cancelled() => Err(SqlError::canceled()),
    };
    let (schema, stream, metrics) = match deadline.explain(started) {
        Ok(Execution::Rows { schema, stream, metrics }) => (schema, stream, metrics),
        Ok(Execution::Done(_) | Execution::Returned { .. }) => {
            return Err(SqlError::new(SqlState::InternalError, "a cursor's query answered no rows"));
        }
        Err(error) => {
            journal.failed(&error).await;
            return Err(error);
        }
    };
    let rows = LoggedRows::boxed(stream, metrics, journal, Deadline::unlimited(token.clone()), watch);
    let scan = session.cursors.scan(rows, token, declare.scroll);
    let level = session.in_transaction().then(|| session.transaction.level());
    let mut cursor = Cursor::new(Arc::clone(&statement.text), schema, declare.hold, scan, level);
    cursor.binary = declare.binary;
    session.cursors.open(&declare.name, cursor);
    Ok(Response::Command { tag: "DECLARE CURSOR".to_owned() })
}

/// FETCH and MOVE, each with a log entry of its own.
pub async fn fetch(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    fetch: &Fetch,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let journal = Journal::begin_utility(session, &statement.command, &statement.text).await?;
    match start(session, fetch, deadline).await {
        Ok(Started::Rows(cursor_schema, reading)) => {
            let metrics = Arc::new(ExecutionMetrics::default());
            let rows = LoggedRows::boxed(reading.stream(), metrics, journal, deadline.clone(), None);
            Ok(Response::Rows { schema: cursor_schema, rows, tag: "FETCH" })
        }
        Ok(Started::Moved(rows)) => {
            journal.done(&lakegate_engine_api::Outcome::default()).await?;
            Ok(Response::Command { tag: format!("MOVE {rows}") })
        }
        Err(error) => {
            let error = deadline.explain::<()>(Err(error)).err().unwrap_or_else(SqlError::canceled);
            journal.failed(&error).await;
            Err(error)
        }
    }
}

pub fn close(session: &mut GatewaySession, close: &CloseCursor) -> Result<Response, SqlError> {
    let tag = match &close.name {
        Some(name) => {
            session.cursors.close(name)?;
            "CLOSE CURSOR"
        }
        None => {
            session.cursors.close_all();
            "CLOSE CURSOR ALL"
        }
    };
    Ok(Response::Command { tag: tag.to_owned() })
}

enum Started {
    Rows(arrow_schema::SchemaRef, Reading),
    Moved(u64),
}

async fn start(session: &GatewaySession, fetch: &Fetch, deadline: &Deadline) -> Result<Started, SqlError> {
    let cursor = session.cursors.find(&fetch.cursor)?;
    let schema = Arc::clone(&cursor.schema);
    let scan = Arc::clone(&cursor.scan)
        .try_lock_owned()
        .map_err(|_| SqlError::new(SqlState::ObjectInUse, format!("cursor \"{}\" is being read by another portal", fetch.cursor)))?;
    scan.check()?;
    let mut reading = Reading { scan, what: Read::Nothing, cancel: deadline.token().clone(), finished: false };
    let cancel = deadline.token().clone();
    let work = async move {
        reading.what = approach(&mut reading.scan, fetch.direction).await?;
        if fetch.moves {
            let mut rows = 0;
            while let Some(batch) = reading.next().await? {
                rows += batch.num_rows() as u64;
            }
            reading.finish();
            return Ok(Started::Moved(rows));
        }
        Ok(Started::Rows(schema, reading))
    };
    tokio::select! {
        biased;
        started = work => started,
        () = cancel.cancelled() => Err(SqlError::canceled()),
    }
}

/// What is left to do once the cursor stands where the rows begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Read {
    Nothing,
    /// `None`: all.
    Forward(Option<u64>),
    Backward(Option<u64>),
    /// The row it stands on.
    Again,
}

/// Goes to where the rows begin.
async fn approach(scan: &mut Scan, direction: Direction) -> Result<Read, SqlError> {
    let rows = |count: Count| match count {
        Count::All => None,
        Count::Rows(count) => Some(count.unsigned_abs()),
    };
    Ok(match direction {
        Direction::Forward(Count::Rows(0)) | Direction::Backward(Count::Rows(0)) | Direction::Relative(0) => Read::Again,
        Direction::Forward(count @ Count::Rows(..0)) => Read::Backward(rows(count)),
        Direction::Backward(count @ Count::Rows(..0)) => Read::Forward(rows(count)),
        Direction::Forward(count) => Read::Forward(rows(count)),
        Direction::Backward(count) => Read::Backward(rows(count)),
        Direction::Relative(count @ 1..) => {
            skip(scan, count.unsigned_abs() - 1).await?;
            Read::Forward(Some(1))
        }
        Direction::Relative(count) => {
            for _ in 1..count.unsigned_abs() {
                if scan.backward()?.is_none() {
                    break;
                }
            }
            Read::Backward(Some(1))
        }
        Direction::Absolute(0) => {
            scan.rewind(0)?;
            Read::Nothing
        }
        Direction::Absolute(count @ 1..) => absolute(scan, count.unsigned_abs()).await?,
        Direction::Absolute(count) => {
            scan.require_scroll()?;
            skip(scan, u64::MAX).await?;
            let last = scan.place() - 1;
            match (last + 1).checked_sub(count.unsigned_abs()) {
                Some(row @ 1..) => absolute(scan, row).await?,
                _ => {
                    scan.rewind(0)?;
                    Read::Nothing
                }
            }
        }
    })
}

async fn absolute(scan: &mut Scan, row: u64) -> Result<Read, SqlError> {
    if row == scan.place() && scan.is_on_row() {
        return Ok(Read::Again);
    }
    if row <= scan.place() {
        scan.rewind(row - 1)?;
    } else {
        skip(scan, row - scan.place() - 1).await?;
    }
    Ok(Read::Forward(Some(1)))
}

async fn skip(scan: &mut Scan, mut rows: u64) -> Result<(), SqlError> {
    while rows > 0 {
        match scan.forward(rows).await? {
            Some(batch) => rows -= batch.num_rows() as u64,
            None => break,
        }
    }
    Ok(())
}

/// The rows of one FETCH, pulled as the client takes them.
struct Reading {
    scan: OwnedMutexGuard<Scan>,
    what: Read,
    cancel: CancellationToken,
    finished: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        match &mut self.what {
            Read::Nothing => Ok(None),
            Read::Again => {
                self.what = Read::Nothing;
                self.scan.again()
            }
            Read::Forward(left) => {
                let batch = self.scan.forward(left.unwrap_or(u64::MAX)).await?;
                if let (Some(left), Some(batch)) = (left, &batch) {
                    *left -= batch.num_rows() as u64;
                }
                Ok(batch)
            }
            Read::Backward(Some(0)) => Ok(None),
            Read::Backward(left) => {
                let row = self.scan.backward()?;
                match (left, &row) {
                    (_, None) => self.what = Read::Nothing,
                    (Some(left), Some(_)) => *left -= 1,
                    (None, Some(_)) => {}
                }
                Ok(row)
            }
        }
    }

    fn finish(mut self) {
        self.finished = true;
    }

    fn stream(self) -> ClientRows {
        futures::stream::try_unfold(self, |mut reading| async move {
            let batch = reading.next().await?;
            reading.finished = batch.is_none();
            Ok(batch.map(|batch| (batch, reading)))
        })
        .boxed()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // How many rows reached the client is not known.
        if !self.finished && self.cancel.is_cancelled() {
            self.scan.fail();
        }
    }
}
