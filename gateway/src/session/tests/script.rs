//! A front end that knows a few words instead of SQL, and a client that speaks in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arrow_array::{ArrayRef, Int32Array, RecordBatch};
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio_util::sync::CancellationToken;

use crate::frontend::*;
use crate::server::live::LiveSessions;
use crate::session::connection::Connection;
use crate::session::{Session, SessionLimits};
use crate::sqlstate::{SqlError, SqlState};

/// What a test looks at from outside.
#[derive(Default)]
pub struct Witness {
    /// Streams and sinks that are alive.
    pub alive: AtomicUsize,
    pub batches: AtomicU64,
    pub copied: std::sync::Mutex<Vec<u8>>,
    pub closed: AtomicBool,
}

pub struct Scripted {
    pub status: TransactionStatus,
    pub events: Vec<SessionEvent>,
    pub witness: Arc<Witness>,
}

struct Words {
    text: Arc<str>,
    parameters: Vec<FieldRef>,
    schema: Option<SchemaRef>,
}

impl PreparedSql for Words {
    fn parameters(&self) -> &[FieldRef] {
        &self.parameters
    }

    fn result_schema(&self) -> Option<&SchemaRef> {
        self.schema.as_ref()
    }

    fn allowed_in_failed_transaction(&self) -> bool {
        &*self.text == "rollback"
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Counts itself among the living.
struct Alive(Arc<Witness>);

impl Alive {
    fn new(witness: &Arc<Witness>) -> Alive {
        witness.alive.fetch_add(1, Ordering::SeqCst);
        Alive(Arc::clone(witness))
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Sink(Alive);

#[async_trait]
impl CopySink for Sink {
    async fn write(&mut self, data: Bytes) -> Result<(), SqlError> {
        if data.starts_with(b"bad") {
            return Err(SqlError::new(SqlState::BadCopyFileFormat, "bad line"));
        }
        self.0.0.copied.lock().unwrap().extend_from_slice(&data);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<CopyDone, SqlError> {
        Ok(CopyDone { tag: "COPY 2".to_owned(), notices: Vec::new() })
    }

    async fn fail(self: Box<Self>, _reason: &str) {
        self.0.0.copied.lock().unwrap().clear();
    }
}

pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("g", DataType::Int32, true)]))
}

fn batch(from: i32, rows: i32) -> RecordBatch {
    let values: ArrayRef = Arc::new(Int32Array::from_iter_values(from..from + rows));
    RecordBatch::try_new(schema(), vec![values]).unwrap()
}

#[async_trait]
impl SqlSession for Scripted {
    fn parse(&mut self, text: &str) -> Result<Vec<ParsedStatement>, SqlError> {
        if text.contains("syntax") {
            return Err(SqlError::new(SqlState::SyntaxError, "syntax error"));
        }
        let statement =
            |part: &str| ParsedStatement { command: command(part), text: part.trim().into(), parameter: None, characters_before: 0 };
        Ok(text.split(';').map(statement).collect())
    }

    async fn prepare(&mut self, statement: ParsedStatement, declared: &[u32]) -> Result<Arc<dyn PreparedSql>, SqlError> {
        let text = statement.text;
        if &*text == "slow plan" {
            std::future::pending::<()>().await;
        }
        let parameter = |oid: &u32| match oid {
            25 => Arc::new(Field::new("p", DataType::Utf8, true)),
            _ => Arc::new(Field::new("p", DataType::Int32, true)),
        };
        let mut parameters: Vec<FieldRef> = declared.iter().map(parameter).collect();
        if text.contains("$1") && parameters.is_empty() {
            parameters.push(Arc::new(Field::new("p", DataType::Int32, true)));
        }
        let has_rows = ["rows", "endless", "late", "echo"].iter().any(|word| text.starts_with(word));
        Ok(Arc::new(Words { text, parameters, schema: has_rows.then(schema) }))
    }

    async fn execute(
        &mut self,
        statement: &Arc<dyn PreparedSql>,
        parameters: Vec<ArrayRef>,
        cancel: CancellationToken,
    ) -> Result<Response, SqlError> {
        let words = statement.as_any().downcast_ref::<Words>().unwrap();
        let mut parts = words.text.split(' ');
        let (word, number) = (parts.next().unwrap_or_default(), parts.next().and_then(|part| part.parse().ok()).unwrap_or(0));
        if self.status == TransactionStatus::Failed && word != "rollback" {
            return Err(SqlError::new(SqlState::InFailedSqlTransaction, "current transaction is aborted"));
        }
        let witness = Arc::clone(&self.witness);
        let rows = |stream: futures::stream::BoxStream<'static, Result<RecordBatch, SqlError>>| {
            let alive = Alive::new(&self.witness);
            Response::Rows { schema: schema(), rows: stream.inspect(move |_| _ = &alive).boxed(), tag: "SELECT" }
        };
        let command = |tag: &str| Ok(Response::Command { tag: tag.to_owned() });
        match word {
            // Batches of at most three rows.
            "rows" => {
                let batches: Vec<_> = (0..number).step_by(3).map(|from| Ok(batch(from, 3.min(number - from)))).collect();
                Ok(rows(futures::stream::iter(batches).boxed()))
            }
            "echo" => {
                let batch = RecordBatch::try_new(schema(), parameters).unwrap();
                Ok(rows(futures::stream::iter([Ok(batch)]).boxed()))
            }
            "endless" => {
                let counted = move |from| {
                    witness.batches.fetch_add(1, Ordering::SeqCst);
                    Ok(batch(from, 8192))
                };
                Ok(rows(futures::stream::iter(0..i32::MAX / 8192).map(move |n| counted(n * 8192)).boxed()))
            }
            "late" => {
                let batches = vec![Ok(batch(0, 2)), Err(SqlError::new(SqlState::DivisionByZero, "division by zero"))];
                Ok(rows(futures::stream::iter(batches).boxed()))
            }
            "wait" => {
                let _alive = Alive::new(&self.witness);
                cancel.cancelled().await;
                Err(SqlError::new(SqlState::QueryCanceled, "canceling statement due to user request"))
            }
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(u64::try_from(number).unwrap())).await;
                command("SLEEP")
            }
            "panic" => panic!("asked to"),
            "error" => Err(SqlError::new(SqlState::DivisionByZero, "division by zero")),
            "notice" => {
                let notice = SqlError::notice(crate::sqlstate::Severity::Notice, SqlState::SuccessfulCompletion, "look");
                self.events.push(SessionEvent::Notice(notice));
                self.events.push(SessionEvent::ParameterStatus { name: "TimeZone", value: "UTC".to_owned() });
                command("DO")
            }
            "deallocate" => {
                self.events.push(SessionEvent::Deallocated { name: None });
                command("DEALLOCATE ALL")
            }
            "begin" => {
                self.status = TransactionStatus::InTransaction;
                command("BEGIN")
            }
            "commit" | "rollback" => {
                self.status = TransactionStatus::Idle;
                command("COMMIT")
            }
            "copyin" => Ok(Response::CopyIn { columns: 1, binary: false, sink: Box::new(Sink(Alive::new(&self.witness))) }),
            "copyout" => Ok(Response::CopyOut {
                columns: 1,
                binary: false,
                data: futures::stream::iter([Ok(CopyLines { bytes: b"1\n2\n".to_vec(), ends: vec![2, 4] })]).boxed(),
                rows: Arc::new(AtomicU64::new(2)),
            }),
            _ => command("OK"),
        }
    }

    async fn end_of_message(&mut self, _failed: bool) -> Result<(), SqlError> {
        Ok(())
    }

    fn note_error(&mut self) {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
        }
    }

    fn transaction_status(&self) -> TransactionStatus {
        self.status
    }

    fn text_style(&self) -> Arc<TextStyle> {
        Arc::new(crate::wire::text_input::tests::style())
    }

    fn take_events(&mut self) -> Vec<SessionEvent> {
        std::mem::take(&mut self.events)
    }

    async fn close(&mut self) {
        self.witness.closed.store(true, Ordering::SeqCst);
    }
}

/// `None` for white space.
fn command(part: &str) -> Option<Arc<crate::sql::grammar::Command>> {
    if part.trim().is_empty() { None } else { Some(any_command()) }
}

fn any_command() -> Arc<crate::sql::grammar::Command> {
    let statement = sqlparser::parser::Parser::parse_sql(&sqlparser::dialect::PostgreSqlDialect {}, "SELECT 1").unwrap().remove(0);
    Arc::new(crate::sql::grammar::Command::Sql(Box::new(statement)))
}

/// A session over a pipe, and its client.
pub struct Pair {
    pub client: DuplexStream,
    pub live: LiveSessions,
    pub pid: i32,
    pub draining: CancellationToken,
    pub witness: Arc<Witness>,
    pub task: tokio::task::JoinSet<()>,
}

pub fn start(limits: SessionLimits, pipe_bytes: usize) -> Pair {
    let (client, server) = tokio::io::duplex(pipe_bytes);
    let live = LiveSessions::default();
    let entry = live.enter(crate::server::live::tests::newcomer()).unwrap();
    let witness = Arc::new(Witness::default());
    let sql = Box::new(Scripted { status: TransactionStatus::Idle, events: Vec::new(), witness: Arc::clone(&witness) });
    let draining = CancellationToken::new();
    let (pid, connection) = (entry.pid(), Connection::new(Box::new(server), BytesMut::new()));
    let session = Session::new(connection, sql, entry, draining.clone(), limits);
    let mut task = tokio::task::JoinSet::new();
    task.spawn(session.run());
    Pair { client, live, pid, draining, witness, task }
}

impl Pair {
    /// A session with the greeting read.
    pub async fn ready() -> Pair {
        let mut pair = start(SessionLimits::default(), 1 << 20);
        assert_eq!(pair.until_ready().await, "KZI");
        pair
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// One message: type and body. `None` at the end.
    pub async fn message(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let mut header = [0; 5];
            self.client.read_exact(&mut header).await.ok()?;
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            let mut body = vec![0; length - 4];
            self.client.read_exact(&mut body).await.ok()?;
            Some((header[0], body))
        };
        tokio::time::timeout(Duration::from_secs(10), read).await.expect("the session answers")
    }

    /// Messages up to ReadyForQuery or the end, a letter each; errors with their SQLSTATE, ReadyForQuery with its status.
    pub async fn until_ready(&mut self) -> String {
        let mut seen = String::new();
        while let Some((tag, body)) = self.message().await {
            seen.push_str(&describe(tag, &body));
            if tag == b'Z' {
                return seen;
            }
        }
        seen.push('.');
        seen
    }

    pub async fn ask(&mut self, bytes: &[u8]) -> String {
        self.send(bytes).await;
        self.until_ready().await
    }
}

/// `E[22012]`, `ZI`, `C(SELECT 1)`, `D(1)`.
pub fn describe(tag: u8, body: &[u8]) -> String {
    let letter = char::from(tag);
    match tag {
        b'E' | b'N' => {
            let fields: Vec<&[u8]> = body.split(|byte| *byte == 0).collect();
            let field = |code: u8| {
                fields.iter().find(|field| field.first() == Some(&code)).map(|field| String::from_utf8_lossy(&field[1..]).into_owned())
            };
            let severity = if field(b'S').as_deref() == Some("FATAL") { "!" } else { "" };
            format!("{letter}{severity}[{}]", field(b'C').unwrap_or_default())
        }
        b'Z' => format!("Z{}", char::from(body[0])),
        b'C' => format!("C({})", String::from_utf8_lossy(&body[..body.len() - 1])),
        b'D' if body.len() > 6 => format!("D({})", String::from_utf8_lossy(&body[6..])),
        _ => letter.to_string(),
    }
}

pub fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], &length[..], body].concat()
}

pub fn query(text: &str) -> Vec<u8> {
    message(b'Q', &[text.as_bytes(), b"\0"].concat())
}

pub fn parse(name: &str, text: &str, types: &[u32]) -> Vec<u8> {
    let mut body = [name.as_bytes(), b"\0", text.as_bytes(), b"\0"].concat();
    body.extend_from_slice(&u16::try_from(types.len()).unwrap().to_be_bytes());
    for oid in types {
        body.extend_from_slice(&oid.to_be_bytes());
    }
    message(b'P', &body)
}

pub fn bind(portal: &str, statement: &str, values: &[Option<&[u8]>]) -> Vec<u8> {
    let mut body = [portal.as_bytes(), b"\0", statement.as_bytes(), b"\0\0\0"].concat();
    body.extend_from_slice(&u16::try_from(values.len()).unwrap().to_be_bytes());
    for value in values {
        match value {
            None => body.extend_from_slice(&(-1i32).to_be_bytes()),
            Some(value) => {
                body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
                body.extend_from_slice(value);
            }
        }
    }
    body.extend_from_slice(&[0, 0]);
    message(b'B', &body)
}

pub fn execute(portal: &str, rows: i32) -> Vec<u8> {
    message(b'E', &[portal.as_bytes(), b"\0", &rows.to_be_bytes()].concat())
}

pub fn describe_message(target: u8, name: &str) -> Vec<u8> {
    message(b'D', &[&[target], name.as_bytes(), b"\0"].concat())
}

pub fn close(target: u8, name: &str) -> Vec<u8> {
    message(b'C', &[&[target], name.as_bytes(), b"\0"].concat())
}

pub const SYNC: &[u8] = b"S\0\0\0\x04";
