//! The rows of COPY FROM STDIN as they come: read, picked, handed to the engine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;
use arrow_schema::{Field, SchemaRef};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use lakegate_engine_api::{EngineError, Outcome};
use tokio::sync::{mpsc, oneshot};

use super::bad_rows::BadRows;
use super::binary::{self, wrong};
use super::csv::{self, NullRule};
use super::fields::{Fields, Found};
use super::filter::Filter;
use super::json::Json;
use super::lines::LineEnd;
use super::options::{Format, Header, Options};
use super::text;
use crate::frontend::{CopyDone, CopySink};
use crate::server::CopyEntry;
use crate::sql::changes::Waiting;
use crate::sql::execute::Deadline;
use crate::sql::journal::Journal;
use crate::sql::row_errors::RowErrors;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::text_input::{ColumnBuilder, Consumed, InputManner};

const ROWS_PER_BATCH: usize = 8_192;
/// Longest record.
const RECORD_BYTES_MAX: usize = 64 << 20;
/// Of a line or value that an error shows. `MAX_COPY_DATA_DISPLAY`.
const SHOWN_CHARS_MAX: usize = 100;

/// Bytes to columns.
pub struct Reader {
    table: String,
    options: Options,
    rules: Vec<NullRule>,
    schema: SchemaRef,
    builders: Vec<ColumnBuilder>,
    buffer: BytesMut,
    fields: Fields,
    line_end: Option<LineEnd>,
    /// Lines read, the current record's included: a value may hold some. Rows in the binary format.
    line: u64,
    /// The next record is the header.
    header: Header,
    rows_in_batch: usize,
    /// The end marker was read: the rest is ignored.
    ended: bool,
    /// Of the binary format, once its header was read.
    started: bool,
    json: Option<Json>,
    bad: BadRows,
    manner: InputManner,
    /// The table and, where there are several, the file: for messages.
    place: String,
}

/// How far the input went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There may be more rows; a batch may be full.
    Row,
    /// More input is needed, or none is wanted.
    Stop,
}

impl Reader {
    /// # Errors
    /// 0A000 for a column whose values cannot be read.
    pub fn new(table: String, options: Options, schema: SchemaRef, manner: &InputManner) -> Result<Self, SqlError> {
        let rule =
            |name: &str| NullRule { force_not_null: options.force_not_null.contain(name), force_null: options.force_null.contain(name) };
        let json = (options.format == Format::Json).then(|| Json::new(&table, &schema));
        let bad = BadRows::new(options.on_error);
        Ok(Reader {
            rules: schema.fields().iter().map(|field| rule(field.name())).collect(),
            builders: schema.fields().iter().map(|field| ColumnBuilder::new(field, manner)).collect::<Result<_, _>>()?,
            header: options.header,
            options,
            schema,
            buffer: BytesMut::new(),
            fields: Fields::default(),
            line_end: None,
            line: 0,
            rows_in_batch: 0,
            ended: false,
            started: false,
            json,
            bad,
            manner: manner.clone(),
            place: table.clone(),
            table,
        })
    }

    #[must_use]
    pub fn columns(&self) -> usize {
        self.builders.len()
    }

    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.options.format == Format::Binary
    }

    /// `last`: nothing follows.
    fn step(&mut self, last: bool) -> Result<Step, SqlError> {
        let step = if self.is_binary() { self.binary_row(last)? } else { self.record(last)? };
        if step == Step::Stop && !self.ended && self.buffer.len() > RECORD_BYTES_MAX {
            let error = SqlError::new(SqlState::ProgramLimitExceeded, format!("a record is longer than {RECORD_BYTES_MAX} bytes"));
            return Err(error.context(format!("COPY {}, line {}", self.place, self.line + 1)));
        }
        Ok(step)
    }

    /// A line of text or csv.
    fn record(&mut self, last: bool) -> Result<Step, SqlError> {
        if self.ended {
            self.buffer.clear();
            return Ok(Step::Stop);
        }
        let inner_end = if self.line_end == Some(LineEnd::Newline) { b'\n' } else { b'\r' };
        let found = match self.options.format {
            Format::Csv => csv::read(&self.buffer, last, &self.options, &self.rules, &mut self.line_end, &mut self.fields),
            Format::Json => self.json.as_mut().map_or(Ok(Found::End), |json| json.read(&self.buffer, last, &mut self.fields)),
            _ => text::read(&self.buffer, last, &self.options, &mut self.line_end, &mut self.fields),
        };
        let found = found.map_err(|error| {
            let place = format!("COPY {}, line {}", self.place, self.line + 1);
            // A record that is whole but for its quotes is told; where lines do not end alike there is none.
            match self.options.format == Format::Csv && last {
                true => error.context(format!("{place}: \"{}\"", limited(&String::from_utf8_lossy(&self.buffer)))),
                false => error.context(place),
            }
        })?;
        let (used, line, is_last) = match found {
            Found::Record { used, line, is_last } => (used, line, is_last),
            Found::End => {
                self.ended = true;
                return Ok(Step::Stop);
            }
            Found::More => return Ok(Step::Stop),
        };
        let record = self.buffer.split_to(if is_last { line } else { used });
        self.ended = is_last;
        let line = record.get(..line).unwrap_or_default();
        let inside = match self.options.format {
            // As PostgreSQL, which does not know a line's end before it has seen one.
            Format::Csv => line.iter().filter(|byte| **byte == inner_end).count(),
            _ => 0,
        };
        self.line += 1 + u64::try_from(inside).unwrap_or(0);
        match std::mem::replace(&mut self.header, Header::None) {
            Header::None => self.append_record(line)?,
            Header::Line => {}
            Header::Match => self.check_header(line)?,
        }
        Ok(Step::Row)
    }

    fn append_record(&mut self, line: &[u8]) -> Result<(), SqlError> {
        let at_line = |error: SqlError| at_line(error, &self.place, self.line, line);
        if self.fields.len() > self.builders.len() {
            return Err(at_line(wrong("extra data after last expected column")));
        }
        for (index, builder) in self.builders.iter_mut().enumerate() {
            let name = self.schema.field(index).name();
            if index >= self.fields.len() {
                return Err(at_line(wrong(format!("missing data for column \"{name}\""))));
            }
            match self.fields.get(index).map_err(at_line)? {
                None => builder.append_null(),
                Some(text) => {
                    let Err(error) = appended(builder, self.schema.field(index), text, &self.manner, &self.bad) else { continue };
                    if self.bad.is_overlooked(&error) && builder.len() == self.rows_in_batch {
                        self.bad.skip(self.rows_in_batch, self.line, name, &limited(text))?;
                        self.builders.iter_mut().skip(index).for_each(ColumnBuilder::append_null);
                        break;
                    }
                    return Err(error.context(format!("COPY {}, line {}, column {name}: \"{}\"", self.place, self.line, limited(text))));
                }
            }
        }
        self.rows_in_batch += 1;
        Ok(())
    }

    fn check_header(&self, line: &[u8]) -> Result<(), SqlError> {
        let at_line = |error: SqlError| at_line(error, &self.place, self.line, line);
        let (got, expected) = (self.fields.len(), self.builders.len());
        if got != expected {
            return Err(at_line(wrong(format!("wrong number of fields in header line: got {got}, expected {expected}"))));
        }
        for (index, field) in self.schema.fields().iter().enumerate() {
            let (number, name) = (index + 1, field.name());
            let found = match self.fields.get(index).map_err(at_line)? {
                Some(found) if found == name => continue,
                Some(found) => format!("got \"{found}\""),
                None => format!("got null value (\"{}\")", self.options.null),
            };
            return Err(at_line(wrong(format!("column name mismatch in header line field {number}: {found}, expected \"{name}\""))));
        }
        Ok(())
    }

    fn binary_row(&mut self, last: bool) -> Result<Step, SqlError> {
        if !self.started {
            match binary::header(&self.buffer, last)? {
                binary::Found::Here((), used) => drop(self.buffer.split_to(used)),
                binary::Found::More => return Ok(Step::Stop),
            }
            self.started = true;
        }
        let in_row = |error: SqlError| error.context(format!("COPY {}, line {}", self.place, self.line + 1));
        if self.ended {
            return if self.buffer.is_empty() { Ok(Step::Stop) } else { Err(in_row(wrong("received copy data after EOF marker"))) };
        }
        let binary::Found::Here(count, mut at) = binary::field_count(&self.buffer) else { return Ok(Step::Stop) };
        if count == -1 {
            let _ = self.buffer.split_to(at);
            self.ended = true;
            return Ok(Step::Row);
        }
        if usize::try_from(count) != Ok(self.builders.len()) {
            return Err(in_row(wrong(format!("row field count is {count}, expected {}", self.builders.len()))));
        }
        // First whether the row is whole: what a builder has taken it keeps.
        let mut values = Vec::with_capacity(self.builders.len());
        let mut cut = None;
        while values.len() < self.builders.len() {
            match binary::field(self.buffer.get(at..).unwrap_or_default(), last) {
                Ok(binary::Found::Here(value, used)) => {
                    values.push(value);
                    at += used;
                }
                Ok(binary::Found::More) => return Ok(Step::Stop),
                // What is wrong with the values before it is told first.
                Err(error) => {
                    cut = Some(error);
                    break;
                }
            }
        }
        self.line += 1;
        let in_column = |error: SqlError, index: usize| {
            error.context(format!("COPY {}, line {}, column {}", self.place, self.line, self.schema.field(index).name()))
        };
        let read = values.len();
        for (index, (value, builder)) in values.into_iter().zip(&mut self.builders).enumerate() {
            let Some(value) = value else {
                builder.append_null();
                continue;
            };
            if builder.append_binary(value).map_err(|error| in_column(error, index))? == Consumed::NotAll {
                let error = SqlError::new(SqlState::InvalidBinaryRepresentation, "incorrect binary data format");
                return Err(in_column(error, index));
            }
        }
        if let Some(error) = cut {
            return Err(in_column(error, read));
        }
        let _ = self.buffer.split_to(at);
        self.rows_in_batch += 1;
        Ok(Step::Row)
    }

    /// Another file begins; `name` where there are several.
    fn restart(&mut self, name: Option<&str>) {
        self.buffer.clear();
        self.line_end = None;
        self.line = 0;
        self.header = self.options.header;
        self.ended = false;
        self.started = false;
        if let Some(json) = &mut self.json {
            json.restart();
        }
        self.place = name.map_or_else(|| self.table.clone(), |name| format!("{}, file {name}", self.table));
    }

    fn batch(&mut self) -> Result<Vec<RecordBatch>, SqlError> {
        let columns = self.builders.iter_mut().map(ColumnBuilder::finish).collect();
        self.rows_in_batch = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(|error| SqlError::new(SqlState::InternalError, format!("internal error: {error}")))?;
        Ok(self.bad.kept(batch))
    }
}

/// A value that may be overlooked is tried first where a builder could keep part of it.
fn appended(builder: &mut ColumnBuilder, field: &Field, text: &str, manner: &InputManner, bad: &BadRows) -> Result<(), SqlError> {
    if bad.ignores() && matches!(field.data_type(), arrow_schema::DataType::List(_)) {
        ColumnBuilder::new(field, manner)?.append_text(text)?;
    }
    builder.append_text(text)
}

fn at_line(error: SqlError, table: &str, line: u64, text: &[u8]) -> SqlError {
    match std::str::from_utf8(text) {
        Ok(text) => error.context(format!("COPY {table}, line {line}: \"{}\"", limited(text))),
        Err(_) => error.context(format!("COPY {table}, line {line}")),
    }
}

/// `limit_printout_length`.
fn limited(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS_MAX) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

pub struct StdinSink {
    pub reader: Reader,
    pub filter: Option<Filter>,
    /// Before the sender, as fields are dropped in order: the engine is to hear of the end last.
    pub abandon: tokio_util::sync::DropGuard,
    pub sender: Option<mpsc::Sender<RecordBatch>>,
    pub outcome: Option<oneshot::Receiver<Result<Outcome, EngineError>>>,
    pub journal: Option<Journal>,
    /// Where the entry waits for the end of the transaction.
    pub waiting: Option<Waiting>,
    pub deadline: Deadline,
    /// Completes what the engine says of the table's rows.
    pub told: RowErrors,
    /// For those who look on.
    pub copy: CopyEntry,
}

impl StdinSink {
    async fn take(&mut self, last: bool) -> Result<(), SqlError> {
        while self.reader.step(last)? == Step::Row {
            if self.reader.rows_in_batch == ROWS_PER_BATCH {
                self.send_batch().await?;
            }
        }
        Ok(())
    }

    async fn send_batch(&mut self) -> Result<(), SqlError> {
        for batch in self.reader.batch()? {
            let read = batch.num_rows();
            let batches = match &self.filter {
                Some(filter) => self.deadline.explain(filter.apply(batch).await)?,
                None => vec![batch],
            };
            let kept: usize = batches.iter().map(RecordBatch::num_rows).sum();
            self.send(batches).await?;
            self.copy.rows_done.fetch_add(kept as u64, Ordering::Relaxed);
            self.copy.rows_left_out.fetch_add(read.saturating_sub(kept) as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn send(&mut self, batches: Vec<RecordBatch>) -> Result<(), SqlError> {
        for batch in batches {
            let Some(sender) = &self.sender else { return Ok(()) };
            if sender.send(batch).await.is_err() {
                // The engine stopped taking rows: its answer says why.
                self.sender = None;
                return Err(match self.answer().await {
                    Err(error) => error,
                    Ok(_) => SqlError::new(SqlState::InternalError, "the engine ended COPY early"),
                });
            }
        }
        Ok(())
    }

    async fn answer(&mut self) -> Result<Outcome, SqlError> {
        let Some(outcome) = self.outcome.take() else {
            return Err(SqlError::new(SqlState::InternalError, "COPY was answered twice"));
        };
        let answer = outcome.await.map_err(|_| SqlError::new(SqlState::InternalError, "the engine gave no answer to COPY"))?;
        self.deadline.explain(answer.map_err(|error| self.told.complete(error.into())))
    }

    async fn finish_rows(&mut self) -> Result<Outcome, SqlError> {
        self.take(true).await?;
        if self.reader.rows_in_batch > 0 {
            self.send_batch().await?;
        }
        self.sender = None;
        self.answer().await
    }

    /// Rows come from files, not from a client: the next begins.
    pub fn begin_file(&mut self, name: Option<&str>) {
        self.reader.restart(name);
    }

    /// # Errors
    /// What is wrong with the file's last row.
    pub async fn end_file(&mut self) -> Result<(), SqlError> {
        self.take(true).await
    }

    pub async fn failed(&mut self, error: &SqlError) {
        if let Some(journal) = self.journal.take() {
            journal.failed(error).await;
        }
    }
}

#[async_trait]
impl CopySink for StdinSink {
    async fn write(&mut self, data: Bytes) -> Result<(), SqlError> {
        self.reader.buffer.extend_from_slice(&data);
        self.copy.add_files(0, data.len() as u64);
        let result = self.take(false).await;
        if let Err(error) = &result {
            self.failed(error).await;
        }
        result
    }

    async fn finish(mut self: Box<Self>) -> Result<CopyDone, SqlError> {
        match self.finish_rows().await {
            Ok(outcome) => {
                // Taken apart here: the guard must not fire for a commit that is done.
                let notices = self.reader.bad.notices();
                let StdinSink { abandon, journal, waiting, .. } = *self;
                abandon.disarm();
                let tag = format!("COPY {}", outcome.rows);
                match (journal, waiting) {
                    (Some(journal), Some(waiting)) => waiting.push(journal, outcome),
                    (Some(journal), None) => journal.done(&outcome).await?,
                    (None, _) => {}
                }
                Ok(CopyDone { tag, notices })
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
