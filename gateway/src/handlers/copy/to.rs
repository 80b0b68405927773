//! COPY … TO STDOUT: the row encoder's values, escaped in text and csv.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::BufMut;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use lakegate_catalog::model::Oid;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    Expr, GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, Statement, TableFactor, TableWithJoins,
};

use super::binary::{SIGNATURE, TRAILER};
use super::options::Format::{Binary, Json, Text};
use super::options::{Header, Options};
use super::{check_forced, copied_by_default, refuse_generated};
use crate::frontend::{ClientRows, CopyLines, ParsedStatement, Response};
use crate::server::{Copy, CopyEntry};
use crate::sql::execute::{self, Deadline};
use crate::sql::grammar::{Command, CopySource, name_parts, table_factor};
use crate::sql::journal;
use crate::sql::parse::parse_query;
use crate::sql::prepare::{PreparedStatement, has_select_into};
use crate::sql::session::GatewaySession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::outgoing::Format;
use crate::wire::rows::{BatchRows, Manner};

/// DataRow bytes that are turned into lines at once.
const MESSAGE_BYTES: usize = 256 << 10;

/// Runs the query under its own log entry and turns its rows into CopyData.
pub async fn stdout(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    source: &CopySource,
    options: Options,
    deadline: &Deadline,
) -> Result<Response, SqlError> {
    let rows = rows(session, statement, source, options, deadline).await?;
    let (columns, binary, count) = (rows.names.len(), rows.options.format == Binary, rows.count());
    Ok(Response::CopyOut { columns, binary, data: rows.lines(session), rows: count })
}

/// Rows on their way out.
pub struct CopyRows {
    schema: SchemaRef,
    rows: ClientRows,
    names: Vec<String>,
    options: Options,
    count: Arc<AtomicU64>,
    /// For those who look on.
    pub copy: CopyEntry,
}

impl CopyRows {
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Of the lines' rows, once they have gone.
    #[must_use]
    pub fn count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.count)
    }

    #[must_use]
    pub fn batches(self) -> (SchemaRef, ClientRows) {
        let CopyRows { schema, rows, copy, .. } = self;
        let counted = rows.inspect_ok(move |batch| {
            copy.rows_done.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        });
        (schema, counted.boxed())
    }

    #[must_use]
    pub fn lines(self, session: &GatewaySession) -> BoxStream<'static, Result<CopyLines, SqlError>> {
        let CopyRows { schema, rows, names, options, count, copy } = self;
        let facts = session.facts(&session.catalog().snapshot());
        let manner = Manner { style: session.settings.current.text_style(), names: Some(Arc::clone(&facts.lookup)) };
        let forced = names.iter().map(|name| options.force_quote.contain(name)).collect();
        let seen = Arc::clone(&count);
        let lines = CopyEncoder { schema, manner, forced, options, rows: count }.stream(rows, &names);
        let counted = lines.inspect_ok(move |lines| {
            copy.add_files(0, lines.bytes.len() as u64);
            copy.rows_done.store(seen.load(Ordering::Relaxed), Ordering::Relaxed);
        });
        counted.boxed()
    }
}

/// Starts the query.
///
/// # Errors
/// The statement's own, which the log knows then.
pub async fn rows(
    session: &mut GatewaySession,
    statement: &PreparedStatement,
    source: &CopySource,
    options: Options,
    deadline: &Deadline,
) -> Result<CopyRows, SqlError> {
    let query = match query_of(session, source, &options).await.and_then(|query| shaped(query, &options)) {
        Ok(query) => query,
        Err(error) => {
            journal::refused(session, &statement.command, &statement.text, &error).await?;
            return Err(error);
        }
    };
    let parsed = ParsedStatement {
        command: Some(Arc::new(Command::Sql(Box::new(query)))),
        text: Arc::clone(&statement.text),
        parameter: None,
        characters_before: 0,
    };
    let prepared = crate::sql::prepare::prepare(session, parsed, &[]).await?;
    session.logged_as = Some("COPY");
    let response = Box::pin(execute::execute(session, &prepared, Vec::new(), deadline.token().clone())).await;
    session.logged_as = None;
    let response = response?;
    let Response::Rows { schema, rows, .. } = response else {
        return Err(SqlError::new(SqlState::InternalError, "COPY TO ran what answers no rows"));
    };
    if schema.fields().is_empty() {
        return Err(SqlError::new(SqlState::FeatureNotSupported, "COPY query must have a RETURNING clause"));
    }
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    if !matches!(source, CopySource::Table { .. }) {
        check_forced(&options, None, &names)?;
    }
    let copied = Copy::new(session, copied_relation(session, source), false);
    let copy = session.shared.system.live().work().enter_copy(copied);
    Ok(CopyRows { schema, rows, names, options, count: Arc::default(), copy })
}

/// 0 for a query.
fn copied_relation(session: &GatewaySession, source: &CopySource) -> Oid {
    let CopySource::Table { name, .. } = source else { return 0 };
    let snapshot = session.catalog().snapshot();
    let found = name_parts(name).and_then(|parts| session.scope(&snapshot).resolve(&snapshot, &parts));
    found.ok().and_then(|name| snapshot.relation_by_name(&name)).map_or(0, |relation| relation.oid)
}

/// In JSON a row is one value.
fn shaped(query: Statement, options: &Options) -> Result<Statement, SqlError> {
    if options.format != Json {
        return Ok(query);
    }
    let Statement::Query(rows) = query else {
        return Err(SqlError::unsupported("COPY in JSON format of INSERT, UPDATE and DELETE"));
    };
    let mut shaped = parse_query("SELECT row_to_json(q) AS row FROM (SELECT 1) AS q")?;
    if let SetExpr::Select(select) = shaped.body.as_mut()
        && let Some(TableFactor::Derived { subquery, .. }) = select.from.first_mut().map(|from| &mut from.relation)
    {
        *subquery = rows;
    }
    Ok(Statement::Query(Box::new(shaped)))
}

/// What gives the rows.
async fn query_of(session: &GatewaySession, source: &CopySource, options: &Options) -> Result<Statement, SqlError> {
    let (name, columns) = match source {
        CopySource::Statement(statement) => return queried(statement),
        CopySource::Table { name, columns } => (name, columns),
    };
    let snapshot = session.catalog().refresh().await?;
    let resolved = session.scope(&snapshot).resolve(&snapshot, &name_parts(name)?)?;
    // System relations are read as any other; what they lack the planner tells.
    if let Some(relation) = snapshot.relation_by_name(&resolved) {
        if relation.is_view() {
            return Err(SqlError::new(SqlState::WrongObjectType, format!("cannot copy from view \"{}\"", resolved.name))
                .hint("Try the COPY (SELECT ...) TO variant."));
        }
        let all: Vec<String> = relation.columns.iter().map(|column| column.name.clone()).collect();
        for (index, column) in columns.iter().enumerate() {
            if !all.contains(column) {
                let message = format!("column \"{column}\" of relation \"{}\" does not exist", resolved.name);
                return Err(SqlError::new(SqlState::UndefinedColumn, message));
            }
            refuse_generated(relation, column)?;
            if columns.iter().take(index).any(|before| before == column) {
                return Err(SqlError::new(SqlState::DuplicateColumn, format!("column \"{column}\" specified more than once")));
            }
        }
        let copied = if columns.is_empty() { &all } else { columns };
        check_forced(options, Some((&resolved.name, &all)), copied)?;
        let default = copied_by_default(relation);
        if columns.is_empty() && default.len() < all.len() {
            return Ok(Statement::Query(Box::new(select_of(name, &default))));
        }
    }
    Ok(Statement::Query(Box::new(select_of(name, columns))))
}

fn queried(statement: &Statement) -> Result<Statement, SqlError> {
    let refused = |message: &str| Err(SqlError::new(SqlState::FeatureNotSupported, message));
    let returns = match statement {
        Statement::Query(query) if has_select_into(query) => return refused("COPY (SELECT INTO) is not supported"),
        Statement::Query(_) => true,
        Statement::Insert(insert) => insert.returning.is_some(),
        Statement::Update(update) => update.returning.is_some(),
        Statement::Delete(delete) => delete.returning.is_some(),
        _ => return Err(SqlError::new(SqlState::SyntaxError, "COPY takes SELECT, VALUES, INSERT, UPDATE or DELETE")),
    };
    if returns { Ok(statement.clone()) } else { refused("COPY query must have a RETURNING clause") }
}

struct CopyEncoder {
    schema: SchemaRef,
    manner: Manner,
    options: Options,
    forced: Vec<bool>,
    rows: Arc<AtomicU64>,
}

impl CopyEncoder {
    fn stream(self, rows: ClientRows, names: &[String]) -> BoxStream<'static, Result<CopyLines, SqlError>> {
        let is_binary = self.options.format == Binary;
        let names = (!is_binary && self.options.header == Header::Line).then(|| self.header(names));
        // As PostgreSQL sends it, the binary header is no message of its own: readers of single rows look for it before the first.
        let mut signature = if is_binary { binary_header() } else { Vec::new() };
        let batches = rows.map(Some).chain(futures::stream::iter([None]));
        let lines = batches.map(move |batch| {
            let mut lines = match batch {
                Some(batch) => self.encode(&batch?)?,
                None if is_binary => CopyLines::one(TRAILER.to_vec()),
                None => CopyLines::default(),
            };
            if !lines.ends.is_empty() {
                lines.put_before(std::mem::take(&mut signature));
            }
            Ok(lines)
        });
        futures::stream::iter(names.map(Ok)).chain(lines).boxed()
    }

    fn header(&self, names: &[String]) -> CopyLines {
        let mut line = Vec::new();
        for (index, name) in names.iter().enumerate() {
            if index > 0 {
                line.put_u8(self.options.delimiter);
            }
            match self.options.format {
                Text => self.put_text(&mut line, name.as_bytes()),
                _ => self.put_csv(&mut line, name.as_bytes(), false),
            }
        }
        line.put_u8(b'\n');
        CopyLines::one(line)
    }

    /// The lines of a batch: its DataRow messages, with the fields escaped and put behind one another. In the binary format a row
    /// is what follows a DataRow's length.
    fn encode(&self, batch: &RecordBatch) -> Result<CopyLines, SqlError> {
        let format = if self.options.format == Binary { Format::Binary } else { Format::Text };
        let mut rows = BatchRows::new(&self.schema, batch, &vec![format; batch.num_columns()], &self.manner)?;
        let mut messages = Vec::new();
        let mut lines = CopyLines::default();
        while rows.remaining() > 0 {
            messages.clear();
            let written = rows.write(&mut messages, usize::MAX, MESSAGE_BYTES)?;
            self.rows.fetch_add(written as u64, Ordering::Relaxed);
            self.put_lines(&messages, &mut lines);
        }
        Ok(lines)
    }

    fn put_lines(&self, messages: &[u8], lines: &mut CopyLines) {
        let mut rest = messages;
        // Type byte, length, field count; then a length and the bytes of each field, -1 for NULL.
        while let Some((head, fields)) = rest.split_at_checked(7) {
            let count = u16::from_be_bytes([head[5], head[6]]);
            let row = rest.get(5..).unwrap_or_default();
            rest = fields;
            for index in 0..usize::from(count) {
                let Some((length, after)) = rest.split_first_chunk::<4>() else { return };
                let value = usize::try_from(i32::from_be_bytes(*length)).ok().and_then(|length| after.split_at_checked(length));
                if self.options.format != Binary {
                    self.put_field(&mut lines.bytes, index, value.map(|(value, _)| value));
                }
                rest = value.map_or(after, |(_, next)| next);
            }
            match self.options.format {
                Binary => lines.bytes.extend_from_slice(row.get(..row.len() - rest.len()).unwrap_or_default()),
                _ => lines.bytes.put_u8(b'\n'),
            }
            lines.ends.push(lines.bytes.len());
        }
    }

    fn put_field(&self, line: &mut Vec<u8>, index: usize, value: Option<&[u8]>) {
        if index > 0 {
            line.put_u8(self.options.delimiter);
        }
        match (value, self.options.format) {
            (None, _) => line.put_slice(self.options.null.as_bytes()),
            (Some(value), Json) => line.put_slice(value),
            (Some(value), Text) => self.put_text(line, value),
            (Some(value), _) => self.put_csv(line, value, self.forced.get(index).copied().unwrap_or(false)),
        }
    }

    fn put_text(&self, line: &mut Vec<u8>, value: &[u8]) {
        for byte in value {
            match byte {
                b'\\' => line.put_slice(b"\\\\"),
                0x08 => line.put_slice(b"\\b"),
                0x0c => line.put_slice(b"\\f"),
                b'\n' => line.put_slice(b"\\n"),
                b'\r' => line.put_slice(b"\\r"),
                b'\t' => line.put_slice(b"\\t"),
                0x0b => line.put_slice(b"\\v"),
                byte if *byte == self.options.delimiter => line.put_slice(&[b'\\', *byte]),
                byte => line.put_u8(*byte),
            }
        }
    }

    fn put_csv(&self, line: &mut Vec<u8>, value: &[u8], forced: bool) {
        let Options { delimiter, quote, escape, null, .. } = &self.options;
        let special = |byte: &u8| *byte == *delimiter || *byte == *quote || matches!(byte, b'\n' | b'\r');
        // In a line of its own it would be the end-of-data marker.
        let is_marker = value == b"\\." && self.forced.len() == 1;
        if !forced && value != null.as_bytes() && !is_marker && !value.iter().any(special) {
            line.put_slice(value);
            return;
        }
        line.put_u8(*quote);
        for byte in value {
            if byte == quote || byte == escape {
                line.put_u8(*escape);
            }
            line.put_u8(*byte);
        }
        line.put_u8(*quote);
    }
}

fn binary_header() -> Vec<u8> {
    // No flags, no extension.
    [&SIGNATURE[..], &[0; 8]].concat()
}

/// `SELECT columns FROM table` as a tree; all columns where none is named.
#[must_use]
pub fn select_of(table: &ObjectName, columns: &[String]) -> Query {
    let projection = if columns.is_empty() {
        vec![SelectItem::Wildcard(sqlparser::ast::WildcardAdditionalOptions::default())]
    } else {
        columns.iter().map(|column| SelectItem::UnnamedExpr(Expr::Identifier(Ident::with_quote('"', column)))).collect()
    };
    let factor = table_factor(table.clone());
    let select = Select {
        select_token: AttachedToken::empty(),
        optimizer_hints: Vec::new(),
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: vec![TableWithJoins { relation: factor, joins: Vec::new() }],
        lateral_views: Vec::new(),
        prewhere: None,
        selection: None,
        connect_by: Vec::new(),
        group_by: GroupByExpr::Expressions(Vec::new(), Vec::new()),
        cluster_by: Vec::new(),
        distribute_by: Vec::new(),
        sort_by: Vec::new(),
        having: None,
        named_window: Vec::new(),
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: SelectFlavor::Standard,
    };
    Query {
        with: None,
        body: Box::new(SetExpr::Select(Box::new(select))),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}
