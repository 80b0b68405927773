//! COPY t FROM STDIN. Rows go to the engine batch by batch while they come, and become visible in one commit at the end.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use lakegate_catalog::authorize::Access;
use lakegate_engine_api::{EngineError, ExecutionContext, Outcome, RelationSource, arrow_field};
use sqlparser::ast::{Ident, ObjectName};
use tokio::sync::{mpsc, oneshot};

use super::csv::{self, NullRule};
use super::fields::{Fields, Found};
use super::options::{Format, Options};
use super::text;
use crate::frontend::{CopySink, Response};
use crate::sql::bind::Bound;
use crate::sql::changes::Waiting;
use crate::sql::execute::Deadline;
use crate::sql::grammar::{fold, name_parts};
use crate::sql::journal::Journal;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::text_input::{ColumnBuilder, InputManner};

const ROWS_PER_BATCH: usize = 8_192;
/// Batches on their way to the engine.
const QUEUE_BATCHES: usize = 4;
/// Longest record.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// Opens the target and answers CopyInResponse.
pub async fn stdin(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    table: &ObjectName,
    columns: &[Ident],
    options: Options,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    if options.format == Format::Parquet {
        return Err(SqlError::unsupported("COPY FROM STDIN in parquet format").hint("Use COPY t FROM 'url'."));
    }
    let snapshot = session.catalog().refresh().await?;
    let name = session.scope(&snapshot).resolve(&snapshot, &name_parts(table)?)?;
    session.open_change("COPY FROM", &name)?;
    session.changes_made += 1;
    let facts = session.facts(&snapshot);
    let mut bound = Bound::default();
    let binder = session.binder(&snapshot, &facts);
    binder.bind_target(&mut bound, name.clone(), Access::INSERT)?;
    let target = bound.relation(&name).cloned().ok_or_else(|| SqlError::new(SqlState::InternalError, "COPY lost its target"))?;
    let RelationSource::Table { table: authorized, .. } = &target.source else {
        return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot copy to \"{}\"", name.name)));
    };
    let schema = copied_columns(authorized.relation(), columns)?;
    let journal = Journal::begin(session, &statement.command, &statement.text, &[], &bound).await?;
    let (sender, receiver) = mpsc::channel::<RecordBatch>(QUEUE_BATCHES);
    let (answer, outcome) = oneshot::channel();
    let rows = futures::stream::unfold(receiver, |mut receiver| async move { receiver.recv().await.map(|batch| (Ok(batch), receiver)) });
    // The stream's end alone would mean "commit": a sink that is dropped fires this token instead.
    let abandon = deadline.token().child_token();
    let context = ExecutionContext { statement_id: journal.statement_id(), cancel: abandon.clone() };
    let engine = Arc::clone(&session.shared.engine);
    let teller = Arc::clone(&facts);
    crate::tasks::spawn("copy from", async move {
        let _ = answer.send(engine.append(target, rows.boxed(), teller, context).await);
    });
    let rules = schema
        .fields()
        .iter()
        .map(|field| NullRule {
            force_not_null: options.force_not_null.contains(field.name()),
            force_null: options.force_null.contains(field.name()),
        })
        .collect();
    let columns = schema.fields().len();
    let sink = StdinSink {
        builders: builders(&schema, &session.input_manner(&facts))?,
        table: name.name,
        options,
        rules,
        schema,
        buffer: BytesMut::new(),
        fields: Fields::default(),
        line: 0,
        rows_in_batch: 0,
        ended: false,
        sender: Some(sender),
        outcome: Some(outcome),
        journal: Some(journal),
        waiting: session.is_staging().then(|| session.transaction.waiting().clone()),
        abandon: abandon.drop_guard(),
        deadline: deadline.clone(),
    };
    Ok(Response::CopyIn { columns, binary: false, sink: Box::new(sink) })
}

fn copied_columns(relation: &lakegate_catalog::model::Relation, columns: &[Ident]) -> Result<SchemaRef, SqlError> {
    let names: Vec<String> = if columns.is_empty() {
        relation.columns.iter().map(|column| column.name.clone()).collect()
    } else {
        columns.iter().map(fold).collect()
    };
    let mut fields: Vec<Field> = Vec::with_capacity(names.len());
    for name in names {
        let column = relation.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            SqlError::new(SqlState::UndefinedColumn, format!("column \"{name}\" of relation \"{}\" does not exist", relation.name))
        })?;
        if fields.iter().any(|field| *field.name() == name) {
            return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once")));
        }
        // NULL in a NOT NULL column is the engine's to refuse, for all doors alike.
        let field = arrow_field(&name, column.data_type, true)
            .ok_or_else(|| SqlError::unsupported(format!("COPY into column \"{name}\" of its type")))?;
        fields.push(field);
    }
    Ok(Arc::new(Schema::new(fields)))
}

fn builders(schema: &SchemaRef, manner: &InputManner) -> Result<Vec<ColumnBuilder>, SqlError> {
    schema.fields().iter().map(|field| ColumnBuilder::new(field, manner)).collect()
}

struct StdinSink {
    table: String,
    options: Options,
    rules: Vec<NullRule>,
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    buffer: BytesMut,
    fields: Fields,
    /// Of the record being read, from 1.
    line: u64,
    rows_in_batch: usize,
    /// The end marker was read: the rest is ignored.
    ended: bool,
    /// Before the sender, as fields are dropped in order: the engine is to hear of the end last.
    abandon: tokio_util::sync::DropGuard,
    sender: Option<mpsc::Sender<RecordBatch>>,
    outcome: Option<oneshot::Receiver<Result<Outcome, EngineError>>>,
    journal: Option<Journal>,
    /// Where the entry waits for the end of the transaction.
    waiting: Option<Waiting>,
    deadline: Deadline,
}

impl StdinSink {
    async fn take_records(&mut self, last: bool) -> Result<(), SqlError> {
        while !self.ended {
            let found = match self.options.format {
                Format::Csv => csv::read(&self.buffer, last, &self.options, &self.rules, &mut self.fields)
                    .map_err(|error| error.context(format!("COPY {}, line {}", self.table, self.line + 1)))?,
                _ => text::read(&self.buffer, last, &self.options, &mut self.fields),
            };
            match found {
                Found::Record(used) => {
                    let _ = self.buffer.split_to(used);
                    self.line += 1;
                    if self.line == 1 && self.options.header {
                        continue;
                    }
                    self.append_record()?;
                    if self.rows_in_batch == ROWS_PER_BATCH {
                        self.send_batch().await?;
                    }
                }
                Found::End => self.ended = true,
                Found::More if self.buffer.len() > RECORD_BYTES_MAX => {
                    return Err(SqlError::new(SqlState::ProgramLimitExceeded, format!("a record is longer than {RECORD_BYTES_MAX} bytes"))
                        .context(format!("COPY {}, line {}", self.table, self.line + 1)));
                }
                Found::More => return Ok(()),
            }
        }
        Ok(())
    }

    fn append_record(&mut self) -> Result<(), SqlError> {
        let (table, line) = (&self.table, self.line);
        let at_line = |error: SqlError| error.context(format!("COPY {table}, line {line}"));
        if self.fields.len() > self.builders.len() {
            return Err(at_line(SqlError::new(SqlState::BadCopyFileFormat, "extra data after last expected column")));
        }
        for (index, builder) in self.builders.iter_mut().enumerate() {
            let name = self.schema.field(index).name();
            if index >= self.fields.len() {
                let error = SqlError::new(SqlState::BadCopyFileFormat, format!("missing data for column \"{name}\""));
                return Err(at_line(error));
            }
            match self.fields.get(index).map_err(at_line)? {
                None => builder.append_null(),
                Some(text) => builder.append_text(text).map_err(|error| {
                    let shown: String = text.chars().take(100).collect();
                    error.context(format!("COPY {table}, line {line}, column {name}: \"{shown}\""))
                })?,
            }
        }
        self.rows_in_batch += 1;
        Ok(())
    }

    async fn send_batch(&mut self) -> Result<(), SqlError> {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        self.rows_in_batch = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| SqlError::new(SqlState::InternalError, format!("internal error: {error}")))?;
        let Some(sender) = &self.sender else { return Ok(()) };
        if sender.send(batch).await.is_err() {
            // The engine stopped taking rows: its answer says why.
            self.sender = None;
            return Err(match self.answer().await {
                Err(error) => error,
                Ok(_) => SqlError::new(SqlState::InternalError, "the engine ended COPY early"),
            });
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<Outcome, SqlError> {
        let Some(outcome) = self.outcome.take() else {
            return Err(SqlError::new(SqlState::InternalError, "COPY was answered twice"));
        };
        let answer = outcome.await.map_err(|_| SqlError::new(SqlState::InternalError, "the engine gave no answer to COPY"))?;
        self.deadline.explain(answer.map_err(SqlError::from))
    }

    async fn finish_rows(&mut self) -> Result<Outcome, SqlError> {
        self.take_records(true).await?;
        if self.rows_in_batch > 0 {
            self.send_batch().await?;
        }
        self.sender = None;
        self.answer().await
    }

    async fn failed(&mut self, error: &SqlError) {
        if let Some(journal) = self.journal.take() {
            journal.failed(error).await;
        }
    }
}

#[async_trait]
impl CopySink for StdinSink {
    async fn write(&mut self, data: Bytes) -> Result<(), SqlError> {
        if self.ended {
            return Ok(());
        }
        self.buffer.extend_from_slice(&data);
        let result = self.take_records(false).await;
        if let Err(error) = &result {
            self.failed(error).await;
        }
        result
    }

    async fn finish(mut self: Box<Self>) -> Result<String, SqlError> {
        match self.finish_rows().await {
            Ok(outcome) => {
                // Taken apart here: the guard must not fire for a commit that is done.
                let StdinSink { abandon, journal, waiting, .. } = *self;
                abandon.disarm();
                let tag = format!("COPY {}", outcome.rows);
                match (journal, waiting) {
                    (Some(journal), Some(waiting)) => waiting.push(journal, outcome),
                    (Some(journal), None) => journal.done(&outcome).await?,
                    (None, _) => {}
                }
                Ok(tag)
            }
            Err(error) => {
                self.failed(&error).await;
                Err(error)
            }
        }
    }

    async fn fail(mut self: Box<Self>, reason: &str) {
        let error = SqlError::new(SqlState::QueryCanceled, format!("COPY from stdin failed: {reason}"));
        self.failed(&error).await;
    }
}
