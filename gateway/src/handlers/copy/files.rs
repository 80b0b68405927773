//! COPY FROM and TO 'url' in the formats that STDIN and STDOUT have, too: the same readers and writers, with files in the client's place.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use arrow_schema::{DataType, Schema};
use futures::{StreamExt, TryStreamExt};
use lakegate_catalog::authorize::file_access;
use lakegate_catalog::model::Privilege;
use lakegate_engine_api::{EngineError, ExecutionContext, FileContent, FilePlace, StoredFile};
use sqlparser::ast::{Expr, ObjectName};
use uuid::Uuid;

use super::options::{Format, Options};
use super::sink::StdinSink;
use super::{from, to};
use crate::frontend::{CopySink, Response};
use crate::sql::execute::Deadline;
use crate::sql::grammar::CopySource;
use crate::sql::journal;
use crate::sql::prepare::PreparedStatement;
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};

/// COPY t FROM 'url'. All rows of all files are visible in one commit.
pub async fn read(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    (table, columns): (&ObjectName, &[String]),
    condition: Option<&Expr>,
    options: Options,
    url: &str,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let endings = endings(options.format);
    let listed = async {
        session.refuse_read_only("COPY FROM")?;
        let place = place(session, url, Privilege::ReadFiles).await?;
        Ok(session.engine().list_files(&place, endings).await?)
    };
    let files = match listed.await {
        Ok(files) => files,
        Err(error) => {
            journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    let (_, _, mut sink) = from::begin(session, statement, table, columns, condition, options, deadline).await?;
    sink.copy.of_files(files.len(), bytes_of(&files));
    let copied = copy_files(session, &files, &mut sink, deadline).await;
    if let Err(error) = copied {
        sink.failed(&error).await;
        return Err(error);
    }
    let done = Box::new(sink).finish().await?;
    done.notices.into_iter().for_each(|notice| session.notice(notice));
    Ok(Response::Command { tag: done.tag })
}

async fn copy_files(session: &GatewaySession, files: &[StoredFile], sink: &mut StdinSink, deadline: &Deadline) -> Result<(), SqlError> {
    for file in files {
        sink.begin_file((files.len() > 1).then(|| file.name()));
        let mut bytes = session.engine().read_file(file).await?;
        loop {
            let next = tokio::select! {
                biased;
                () = deadline.token().cancelled() => return deadline.explain(Err(EngineError::Canceled.into())),
                next = bytes.try_next() => next?,
            };
            match next {
                Some(bytes) => sink.write(bytes).await?,
                None => break,
            }
        }
        sink.end_file().await?;
        sink.copy.add_files(1, 0);
    }
    Ok(())
}

/// 0 where they are compressed: what is read of them is more.
fn bytes_of(files: &[StoredFile]) -> u64 {
    let is_compressed = |file: &StoredFile| [".gz", ".bz2", ".zst"].iter().any(|ending| file.path.ends_with(ending));
    if files.iter().any(is_compressed) { 0 } else { files.iter().map(|file| file.bytes).sum() }
}

/// Files of a folder that are meant.
fn endings(format: Format) -> &'static [&'static str] {
    match format {
        Format::Csv => &[".csv", ".csv.gz", ".csv.bz2", ".csv.zst"],
        Format::Json => &[".json", ".jsonl", ".ndjson", ".json.gz", ".jsonl.gz", ".ndjson.gz", ".json.zst", ".jsonl.zst", ".ndjson.zst"],
        Format::Parquet => &[".parquet"],
        Format::Text | Format::Binary => &[],
    }
}

pub async fn place(session: &GatewaySession, url: &str, privilege: Privilege) -> Result<FilePlace, SqlError> {
    let snapshot = session.catalog().refresh().await?;
    let access = file_access(&snapshot, &session.principal, url, privilege)?;
    let end = if url.ends_with('/') && !access.url().as_str().ends_with('/') { "/" } else { "" };
    Ok(FilePlace { url: format!("{}{end}", access.url()), within: access.location().url.clone() })
}

/// COPY … TO 'url': one file, which is there when all rows are in it. In a folder (`url` ends in a slash) it gets a name of its own.
pub async fn write(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    source: &CopySource,
    options: Options,
    url: &str,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let mut place = match place(session, url, Privilege::WriteFiles).await {
        Ok(place) => place,
        Err(error) => {
            journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    if place.url.ends_with('/') {
        place.url.push_str(&format!("part-{}.{}", Uuid::now_v7().simple(), ending(options.format)));
    }
    let is_parquet = options.format == Format::Parquet;
    let rows = to::rows(session, statement, source, options, deadline).await?;
    rows.copy.of_files(1, 0);
    let count = rows.count();
    let context = ExecutionContext { statement_id: Uuid::now_v7(), cancel: deadline.token().clone() };
    let failure = Failure::default();
    let content = if is_parquet {
        refuse_twins(rows.names())?;
        let (schema, batches) = rows.batches();
        refuse_intervals(&schema)?;
        FileContent::Parquet { schema, rows: failure.kept(batches) }
    } else {
        FileContent::Bytes(failure.kept(rows.lines(session).map_ok(|lines| lines.bytes.into())))
    };
    let written = session.engine().write_file(&place, content, context).await;
    let outcome = written.map_err(|error| failure.take().unwrap_or_else(|| error.into()));
    let outcome = deadline.explain(outcome)?;
    let rows = if is_parquet { outcome.rows } else { count.load(Ordering::Relaxed) };
    Ok(Response::Command { tag: format!("COPY {rows}") })
}

fn ending(format: Format) -> &'static str {
    match format {
        Format::Text => "txt",
        Format::Csv => "csv",
        Format::Json => "json",
        Format::Binary => "bin",
        Format::Parquet => "parquet",
    }
}

fn refuse_twins(names: &[String]) -> Result<(), SqlError> {
    match names.iter().enumerate().find(|(at, name)| names.iter().take(*at).any(|before| before == *name)) {
        Some((_, name)) => Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{name}\" specified more than once"))
            .hint("Columns of a Parquet file have names of their own: give an alias.")),
        None => Ok(()),
    }
}

fn refuse_intervals(schema: &Schema) -> Result<(), SqlError> {
    match schema.fields().iter().find(|field| matches!(field.data_type(), DataType::Interval(_))) {
        Some(field) => Err(SqlError::unsupported(format!("column \"{}\" of type interval in a Parquet file", field.name()))
            .hint("Cast the column to text.")),
        None => Ok(()),
    }
}

/// What went wrong with the rows, with all that the client is to know of it; the engine passes on less.
#[derive(Default, Clone)]
struct Failure(Arc<Mutex<Option<SqlError>>>);

impl Failure {
    fn kept<T: Send + 'static>(
        &self,
        items: impl futures::Stream<Item = Result<T, SqlError>> + Send + 'static,
    ) -> futures::stream::BoxStream<'static, Result<T, EngineError>> {
        let failure = self.clone();
        let keep = move |error: SqlError| {
            *failure.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            EngineError::Canceled
        };
        items.map_err(keep).boxed()
    }

    fn take(&self) -> Option<SqlError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
