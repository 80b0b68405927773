//! COPY … TO STDOUT, text and csv: the row encoder's text, escaped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::{BufMut, BytesMut};
use futures::StreamExt;
use futures::stream::BoxStream;
use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{
    CopySource, Expr, GroupByExpr, Ident, ObjectName, Query, Select, SelectFlavor, SelectItem, SetExpr, Statement, TableFactor,
    TableWithJoins,
};

use super::options::Format::{Parquet, Text};
use super::options::Options;
use crate::frontend::{ClientRows, CopyLines, ParsedStatement, Response};
use crate::sql::execute::{self, Deadline};
use crate::sql::grammar::Command;
use crate::sql::prepare::PreparedStatement;
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
    if options.format == Parquet {
        return Err(SqlError::unsupported("COPY TO STDOUT in parquet format"));
    }
    let query = match source {
        CopySource::Query(query) => query.clone(),
        CopySource::Table { table_name, columns } => Box::new(select_of(table_name, columns)),
    };
    let parsed = ParsedStatement {
        command: Some(Arc::new(Command::Sql(Box::new(Statement::Query(query))))),
        text: Arc::clone(&statement.text),
        parameter: None,
    };
    let prepared = crate::sql::prepare::prepare(session, parsed, &[]).await?;
    let response = Box::pin(execute::execute(session, &prepared, Vec::new(), deadline.token().clone())).await?;
    let Response::Rows { schema, rows, .. } = response else {
        return Err(SqlError::new(SqlState::InternalError, "COPY TO ran what answers no rows"));
    };
    let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let facts = session.facts(&session.catalog().snapshot());
    let manner = Manner { style: session.settings.current.text_style(), names: Some(Arc::clone(&facts.lookup)) };
    let count = Arc::new(AtomicU64::new(0));
    let encoder = CopyEncoder { schema, manner, forced: forced_quotes(&options, &names), options, rows: Arc::clone(&count) };
    Ok(Response::CopyOut { columns: names.len(), binary: false, data: encoder.stream(rows, &names), rows: count })
}

/// One flag a column: always quoted.
fn forced_quotes(options: &Options, names: &[String]) -> Vec<bool> {
    let all = options.force_quote.iter().any(|name| name == "*");
    names.iter().map(|name| all || options.force_quote.contains(name)).collect()
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
        let header = self.options.header.then(|| Ok(self.header(names)));
        let lines = rows.map(move |batch| self.encode(&batch?));
        futures::stream::iter(header).chain(lines).boxed()
    }

    fn header(&self, names: &[String]) -> CopyLines {
        let mut line = BytesMut::new();
        for (index, name) in names.iter().enumerate() {
            self.put_field(&mut line, index, Some(name.as_bytes()));
        }
        line.put_u8(b'\n');
        CopyLines { ends: vec![line.len()], bytes: line.freeze() }
    }

    /// The lines of a batch: its DataRow messages, with the fields escaped and put behind one another.
    fn encode(&self, batch: &RecordBatch) -> Result<CopyLines, SqlError> {
        let formats = vec![Format::Text; batch.num_columns()];
        let mut rows = BatchRows::new(&self.schema, batch, &formats, &self.manner)?;
        let mut messages = Vec::new();
        let mut lines = BytesMut::new();
        let mut ends = Vec::with_capacity(batch.num_rows());
        while rows.remaining() > 0 {
            messages.clear();
            let written = rows.write(&mut messages, usize::MAX, MESSAGE_BYTES)?;
            self.rows.fetch_add(written as u64, Ordering::Relaxed);
            self.put_lines(&messages, &mut lines, &mut ends);
        }
        Ok(CopyLines { bytes: lines.freeze(), ends })
    }

    fn put_lines(&self, messages: &[u8], lines: &mut BytesMut, ends: &mut Vec<usize>) {
        let mut rest = messages;
        // Type byte, length, field count; then a length and the bytes of each field, -1 for NULL.
        while let Some((head, fields)) = rest.split_at_checked(7) {
            let count = u16::from_be_bytes([head[5], head[6]]);
            rest = fields;
            for index in 0..usize::from(count) {
                let Some((length, after)) = rest.split_first_chunk::<4>() else { return };
                let value = usize::try_from(i32::from_be_bytes(*length)).ok().and_then(|length| after.split_at_checked(length));
                self.put_field(lines, index, value.map(|(value, _)| value));
                rest = value.map_or(after, |(_, next)| next);
            }
            lines.put_u8(b'\n');
            ends.push(lines.len());
        }
    }

    fn put_field(&self, line: &mut BytesMut, index: usize, value: Option<&[u8]>) {
        if index > 0 {
            line.put_u8(self.options.delimiter);
        }
        match (value, self.options.format) {
            (None, _) => line.put_slice(self.options.null.as_bytes()),
            (Some(value), Text) => self.put_text(line, value),
            (Some(value), _) => self.put_csv(line, value, self.forced.get(index).copied().unwrap_or(false)),
        }
    }

    fn put_text(&self, line: &mut BytesMut, value: &[u8]) {
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

    fn put_csv(&self, line: &mut BytesMut, value: &[u8], forced: bool) {
        let Options { delimiter, quote, escape, null, .. } = &self.options;
        let special = |byte: &u8| *byte == *delimiter || *byte == *quote || matches!(byte, b'\n' | b'\r');
        if !forced && value != null.as_bytes() && value != b"\\." && !value.iter().any(special) {
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

/// `SELECT columns FROM table` as a tree.
fn select_of(table: &ObjectName, columns: &[Ident]) -> Query {
    let projection = if columns.is_empty() {
        vec![SelectItem::Wildcard(sqlparser::ast::WildcardAdditionalOptions::default())]
    } else {
        columns.iter().map(|column| SelectItem::UnnamedExpr(Expr::Identifier(column.clone()))).collect()
    };
    let factor = TableFactor::Table {
        name: table.clone(),
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    };
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
