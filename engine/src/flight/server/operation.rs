//! One piece of work for a gateway.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::ArrayRef;
use arrow_flight::FlightData;
use futures::StreamExt;
use lakegate_engine_api::{ByteStream, EngineError, Execution, ExecutionContext, FileContent, Prepared, RowStream, Unavailability};
use tokio::time::{Instant, MissedTickBehavior};
use tonic::Streaming;

use super::Host;
use super::bind::Binder;
use super::decision::RemoteDecision;
use super::send::{Gone, Sender};
use super::session::Session;
use crate::flight::wire::{
    Answer, Made, Reply, Request, RowsIn, Source, Statement, Task, TransactionRef, batches_from, batches_to, fields_to, read_control,
    schema_from, schema_to,
};

/// Between two looks how far long work has come.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(500);

/// Runs it; ends, and stops it, where the gateway goes.
pub async fn run(host: &Host, session: &Arc<Session>, task: Task<'static>, incoming: Streaming<FlightData>, sender: Sender) {
    let running = session.enter(task.number);
    if host.draining.is_cancelled() && !is_begun(session, &task.request) {
        sender.failed(EngineError::Unavailable { reason: Unavailability::Draining }).await;
        return;
    }
    if running.cancel.is_cancelled() {
        sender.failed(EngineError::Canceled).await;
        return;
    }
    let context = ExecutionContext { statement_id: task.statement, cancel: running.cancel.clone() };
    let operation = Operation { host, session, context: context.clone(), sender: &sender };
    tokio::select! {
        biased;
        () = sender.closed() => {}
        () = session.closed.cancelled() => {}
        _ = operation.answer(task.request, incoming) => {}
        () = tell_progress(host, &context, &sender) => {}
    }
}

/// Whether the work belongs to something that had begun before: it is let come to its end.
fn is_begun(session: &Session, request: &Request<'_>) -> bool {
    let known = |told: &TransactionRef| session.has_transaction(told.number);
    let named = |source: &Source<'_>| matches!(source, Source::Table { transaction: Some(told), .. } if known(told));
    match request {
        Request::Execute { .. } | Request::HoldCurrent { .. } | Request::Commit(_) | Request::CommitTogether { .. } => true,
        Request::Prepare { statement, .. } => statement.relations.iter().any(|relation| named(&relation.source)),
        Request::AlterTable { target, .. } | Request::Append { target, .. } => named(&target.source),
        _ => false,
    }
}

async fn tell_progress(host: &Host, context: &ExecutionContext, sender: &Sender) {
    let mut ticks = tokio::time::interval_at(Instant::now() + PROGRESS_INTERVAL, PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told = None;
    loop {
        ticks.tick().await;
        let now = host.engine.progress(context.statement_id);
        if now != told && sender.message(&Answer::Progress(now)).await.is_err() {
            return;
        }
        told = now;
    }
}

struct Operation<'a> {
    host: &'a Host,
    session: &'a Arc<Session>,
    context: ExecutionContext,
    sender: &'a Sender,
}

impl Operation<'_> {
    async fn answer(&self, request: Request<'static>, incoming: Streaming<FlightData>) -> Result<(), Gone> {
        let mut binder = Binder::new(self.host, self.session);
        let replied = match request {
            Request::Prepare { number, statement } => return self.prepare(&mut binder, number, *statement).await,
            Request::Execute { prepared, parameters, transactions } => {
                return self.execute(&mut binder, prepared, parameters, &transactions).await;
            }
            Request::ReadFile(file) => {
                return match self.host.engine.read_file(&file).await {
                    Ok(bytes) => {
                        self.sender.reply(Reply::Bytes).await?;
                        self.sender.bytes(bytes).await
                    }
                    Err(error) => {
                        self.sender.failed(error).await;
                        Ok(())
                    }
                };
            }
            request => self.reply(&mut binder, request, incoming).await,
        };
        self.finish(&binder, replied).await
    }

    async fn finish(&self, binder: &Binder<'_>, replied: Result<Reply, EngineError>) -> Result<(), Gone> {
        self.tell_states(binder).await?;
        match replied {
            Ok(reply) => self.sender.reply(reply).await,
            Err(error) => {
                self.sender.failed(error).await;
                Ok(())
            }
        }
    }

    async fn tell_states(&self, binder: &Binder<'_>) -> Result<(), Gone> {
        match binder.states() {
            states if states.is_empty() => Ok(()),
            states => self.sender.message(&Answer::Transactions(states)).await,
        }
    }

    /// The work of which one answer is all that comes back.
    async fn reply(
        &self,
        binder: &mut Binder<'_>,
        request: Request<'static>,
        incoming: Streaming<FlightData>,
    ) -> Result<Reply, EngineError> {
        let (engine, context) = (&self.host.engine, self.context.clone());
        Ok(match request {
            Request::HoldCurrent { prepared } => Reply::Is(self.hold_current(prepared).await?),
            Request::CreateTable(table) => engine.create_table(table.into_owned(), context).await.map(|()| Reply::Nothing)?,
            Request::DescribeTable(place) => Reply::Described(engine.describe_table(&place).await?),
            Request::ListFiles { place, endings } => {
                let endings: Vec<&str> = endings.iter().map(String::as_str).collect();
                Reply::Files(engine.list_files(&place, &endings).await?)
            }
            Request::WriteFile { place, schema } => {
                let content = match schema {
                    Some(schema) => FileContent::Parquet { schema: schema_from(&schema)?, rows: rows(incoming) },
                    None => FileContent::Bytes(bytes(incoming)),
                };
                Reply::Done(engine.write_file(&place, content, context).await?)
            }
            Request::ConvertToDelta { place, partitions } => {
                Reply::Done(engine.convert_to_delta(&place, partitions.into_owned(), context).await?)
            }
            Request::AlterTable { target, alterations, session } => {
                let (target, session) = (binder.relation(target)?, binder.facts(session));
                Reply::Done(engine.alter_table(target, alterations.into_owned(), session, context).await?)
            }
            Request::Maintain { target, work, session } => {
                let (target, session) = (binder.relation(target)?, binder.facts(session));
                let done = engine.maintain(target, work.into_owned(), session, context).await?;
                let rows = done.rows.map(|batch| batches_to(&batch.schema(), std::slice::from_ref(&batch))).transpose()?;
                Reply::Maintained { rows, outcome: done.outcome, summary: done.summary }
            }
            Request::Append { target, session } => {
                let (target, session) = (binder.relation(target)?, binder.facts(session));
                Reply::Done(engine.append(target, rows(incoming), session, context).await?)
            }
            Request::Commit(told) => Reply::Done(self.commit(binder, &told).await?),
            Request::CommitTogether { transactions, decision } => {
                Reply::Outcomes(self.commit_together(binder, &transactions, decision).await?)
            }
            Request::UndoCommits(commits) => engine.undo_commits(commits.into_owned()).await.map(|()| Reply::Nothing)?,
            Request::CheckStore(root) => engine.check_store(&root).await.map(|()| Reply::Nothing)?,
            Request::DropTable(location) => engine.drop_table(&location).await.map(|()| Reply::Nothing)?,
            request => self.erasure(binder, request).await?,
        })
    }

    async fn erasure(&self, binder: &mut Binder<'_>, request: Request<'static>) -> Result<Reply, EngineError> {
        let (engine, context) = (&self.host.engine, self.context.clone());
        Ok(match request {
            Request::EraseRows { target, erasure, session } => {
                let (target, session) = (binder.relation(target)?, binder.facts(session));
                Reply::Erased(engine.erase_rows(target, erasure.into_owned(), session, context).await?)
            }
            Request::StoreTime(location) => {
                let (time, keeps_versions) = engine.store_time(&location).await?;
                Reply::StoreTime(time, keeps_versions)
            }
            Request::PurgeHistory { target, purge } => {
                Reply::Purged(engine.purge_history(binder.relation(target)?, purge.into_owned(), context).await?)
            }
            Request::PurgeVersions { location, purge } => {
                Reply::PurgedVersions(engine.purge_versions(&location, purge.into_owned(), context).await?)
            }
            Request::ScanBytes { location, scan } => Reply::Scanned(engine.scan_bytes(&location, scan.into_owned(), context).await?),
            Request::IsWorn(location) => Reply::Is(engine.is_worn(&location).await?),
            Request::NewestVersion(location) => Reply::Version(engine.newest_version(&location).await?),
            Request::Forget(location) => engine.forget(&location).await.map(|()| Reply::Nothing)?,
            _ => return Err(crate::error::internal("work that is done elsewhere")),
        })
    }

    async fn prepare(&self, binder: &mut Binder<'_>, number: u64, statement: Statement<'static>) -> Result<(), Gone> {
        let prepared = match binder.statement(statement) {
            Ok(statement) => self.host.engine.prepare(statement).await,
            Err(error) => Err(error),
        };
        let described = prepared.and_then(|prepared| Ok((described(prepared.as_ref())?, prepared)));
        match described {
            Ok((reply, prepared)) => {
                self.session.keep(number, prepared);
                // Whoever had it made may have gone in between.
                let kept = Kept { session: self.session, number: Some(number) };
                self.finish(binder, Ok(reply)).await?;
                if !self.context.cancel.is_cancelled() {
                    kept.stays();
                }
                Ok(())
            }
            Err(error) => self.finish(binder, Err(error)).await,
        }
    }

    async fn execute(
        &self,
        binder: &mut Binder<'_>,
        number: u64,
        parameters: Option<Vec<u8>>,
        transactions: &[TransactionRef],
    ) -> Result<(), Gone> {
        let begun = async {
            for told in transactions {
                binder.transaction(told)?;
            }
            let prepared = self.session.prepared(number)?;
            let parameters = parameters.map_or(Ok(Vec::new()), |bytes| parameters_from(&bytes))?;
            self.session.count_hold(number, false);
            prepared.execute(parameters, self.context.clone()).await
        };
        let begun = begun.await;
        self.tell_states(binder).await?;
        match begun {
            Ok(Execution::Done(outcome)) => self.sender.reply(Reply::Done(outcome)).await,
            Ok(Execution::Rows { schema, stream, metrics }) => match schema_to(&schema) {
                Ok(schema) => {
                    self.sender.reply(Reply::Rows { schema, cache_origin: metrics.cache_origin }).await?;
                    self.sender.rows(stream, || metrics.snapshot()).await
                }
                Err(error) => self.fail(error).await,
            },
            Ok(Execution::Returned { schema, stream, outcome }) => match schema_to(&schema) {
                Ok(schema) => {
                    let metrics = outcome.metrics;
                    self.sender.reply(Reply::Returned { schema, outcome }).await?;
                    self.sender.rows(stream, || metrics).await
                }
                Err(error) => self.fail(error).await,
            },
            Err(error) => self.fail(error).await,
        }
    }

    async fn fail(&self, error: EngineError) -> Result<(), Gone> {
        self.sender.failed(error).await;
        Ok(())
    }

    async fn hold_current(&self, number: u64) -> Result<bool, EngineError> {
        if self.host.draining.is_cancelled() {
            return Ok(false);
        }
        let holds = self.session.prepared(number)?.hold_current().await?;
        if holds {
            self.session.count_hold(number, true);
        }
        Ok(holds)
    }

    async fn commit(&self, binder: &mut Binder<'_>, told: &TransactionRef) -> Result<lakegate_engine_api::Outcome, EngineError> {
        let transaction = binder.transaction(told)?;
        let committed = transaction.commit(self.context.clone()).await;
        self.session.end_transaction(told.number);
        committed
    }

    async fn commit_together(
        &self,
        binder: &mut Binder<'_>,
        told: &[TransactionRef],
        decision: u64,
    ) -> Result<Vec<lakegate_engine_api::Outcome>, EngineError> {
        let transactions = told.iter().map(|told| binder.transaction(told)).collect::<Result<Vec<_>, _>>()?;
        let decision = RemoteDecision { calls: Arc::clone(&self.session.calls), object: decision };
        let committed = self.host.engine.commit_together(transactions, Arc::new(decision), self.context.clone()).await;
        told.iter().for_each(|told| self.session.end_transaction(told.number));
        committed
    }
}

/// A plan that is taken away again unless the gateway got to know of it.
struct Kept<'a> {
    session: &'a Session,
    number: Option<u64>,
}

impl Kept<'_> {
    fn stays(mut self) {
        self.number = None;
    }
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.session.forget(number);
        }
    }
}

fn described(prepared: &dyn Prepared) -> Result<Reply, EngineError> {
    Ok(Reply::Prepared {
        parameters: fields_to(prepared.parameters())?,
        result: prepared.result_schema().map(|schema| schema_to(schema)).transpose()?,
        versions: prepared.table_versions(),
        columns: prepared.columns_read(),
    })
}

fn parameters_from(bytes: &[u8]) -> Result<Vec<ArrayRef>, EngineError> {
    let (_, batches) = batches_from(bytes)?;
    Ok(batches.first().map(|batch| batch.columns().to_vec()).unwrap_or_default())
}

/// What is read in one exchange after its opening.
struct Upload<T> {
    incoming: Streaming<FlightData>,
    rows: RowsIn,
    read: fn(&mut RowsIn, FlightData) -> Result<Option<T>, EngineError>,
    ended: bool,
}

impl<T> Upload<T> {
    async fn next(&mut self) -> Option<Result<T, EngineError>> {
        while !self.ended {
            let read = match self.incoming.message().await {
                Ok(Some(message)) if message.app_metadata.is_empty() => (self.read)(&mut self.rows, message).transpose(),
                Ok(Some(message)) => {
                    self.ended = true;
                    match read_control(&message.app_metadata) {
                        Ok(Made::Whole) => None,
                        Ok(Made::Failed(error)) | Err(error) => Some(Err(error)),
                    }
                }
                // Cut off: whoever takes them must not take them for all.
                Ok(None) | Err(_) => {
                    self.ended = true;
                    Some(Err(EngineError::Canceled))
                }
            };
            if let Some(read) = read {
                self.ended |= read.is_err();
                return Some(read);
            }
        }
        None
    }
}

fn upload<T: Send + 'static>(
    incoming: Streaming<FlightData>,
    read: fn(&mut RowsIn, FlightData) -> Result<Option<T>, EngineError>,
) -> futures::stream::BoxStream<'static, Result<T, EngineError>> {
    let upload = Upload { incoming, rows: RowsIn::default(), read, ended: false };
    futures::stream::unfold(upload, |mut upload| async { upload.next().await.map(|item| (item, upload)) }).boxed()
}

fn rows(incoming: Streaming<FlightData>) -> RowStream {
    upload(incoming, |rows, message| rows.decode(&message))
}

fn bytes(incoming: Streaming<FlightData>) -> ByteStream {
    upload(incoming, |_, message| Ok(Some(message.data_body)))
}
