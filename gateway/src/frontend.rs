//! The seam between the protocol session ([`crate::wire`], [`crate::session`]) and the SQL front end ([`crate::sql`]).
//!
//! The protocol session knows messages, statements, portals and formats; it never looks into SQL. The front end knows
//! SQL, the catalog and the engine; it never sees a message byte.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{FieldRef, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use lakegate_catalog::model::{Oid, PgType};
use tokio_util::sync::CancellationToken;

use crate::sqlstate::{SqlError, SqlState};

/// Rows on their way to a client; dropping the stream stops the statement and records it as canceled.
pub type ClientRows = BoxStream<'static, Result<RecordBatch, SqlError>>;

/// One statement of a message, parsed once.
#[derive(Debug, Clone)]
pub struct ParsedStatement {
    /// `None` for an empty statement (only white space and comments).
    pub command: Option<Arc<crate::sql::grammar::Command>>,
    /// Its own part of the message, as the client wrote it.
    pub text: Arc<str>,
    /// The first `$n` in it: only messages that bind values may have one.
    pub parameter: Option<Placeholder>,
    /// Of the message before `text`, for the positions of errors.
    pub characters_before: u32,
}

/// A `$n` of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placeholder {
    pub number: u32,
    /// In characters from 1, into the message.
    pub position: u32,
}

impl Placeholder {
    /// 42P02, where nothing binds a value.
    #[must_use]
    pub fn undefined(self) -> SqlError {
        SqlError::new(SqlState::UndefinedParameter, format!("there is no parameter ${}", self.number)).position(self.position)
    }
}

/// A statement ready to be described and executed.
pub trait PreparedSql: Send + Sync {
    /// One field a parameter; parameters decode into arrays of length 1 of its Arrow type.
    fn parameters(&self) -> &[FieldRef];
    /// `None` where no rows come back.
    fn result_schema(&self) -> Option<&SchemaRef>;
    /// Whether it may be bound in a failed transaction: ROLLBACK and its kin. `true` leaves the decision to `execute`.
    fn allowed_in_failed_transaction(&self) -> bool {
        true
    }
    /// For the front end to get its own type back.
    fn as_any(&self) -> &dyn std::any::Any;
}

/// What a statement answers.
pub enum Response {
    /// The row count is appended to the tag word by the session (`SELECT 5`, `FETCH 5`).
    Rows {
        schema: SchemaRef,
        rows: ClientRows,
        tag: &'static str,
    },
    /// The whole command tag, e.g. `INSERT 0 5`, `CREATE TABLE`.
    Command {
        tag: String,
    },
    Empty,
    CopyIn {
        columns: usize,
        binary: bool,
        sink: Box<dyn CopySink>,
    },
    /// The last item is followed by CopyDone and `COPY n`, n from `rows`.
    CopyOut {
        columns: usize,
        binary: bool,
        data: BoxStream<'static, Result<CopyLines, SqlError>>,
        rows: Arc<std::sync::atomic::AtomicU64>,
    },
}

/// How far to move a portal of the protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalMove {
    pub portal: String,
    /// `None`: to its end.
    pub rows_max: Option<u64>,
}

/// Lines, or rows of the binary format, on their way out: each is the payload of one CopyData, as PostgreSQL sends them.
#[derive(Debug, Default)]
pub struct CopyLines {
    pub bytes: Vec<u8>,
    /// Where in `bytes` each ends.
    pub ends: Vec<usize>,
}

impl CopyLines {
    #[must_use]
    pub fn one(bytes: Vec<u8>) -> Self {
        CopyLines { ends: vec![bytes.len()], bytes }
    }

    /// Lengthens the first line at its beginning.
    pub fn put_before(&mut self, mut bytes: Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        for end in &mut self.ends {
            *end += bytes.len();
        }
        bytes.append(&mut self.bytes);
        self.bytes = bytes;
    }
}

/// What COPY FROM did.
#[derive(Debug)]
pub struct CopyDone {
    /// Command tag.
    pub tag: String,
    pub notices: Vec<SqlError>,
}

/// Takes the payloads of CopyData messages; dropping it without `finish` leaves no row.
#[async_trait]
pub trait CopySink: Send {
    async fn write(&mut self, data: Bytes) -> Result<(), SqlError>;
    /// CopyDone: commits.
    async fn finish(self: Box<Self>) -> Result<CopyDone, SqlError>;
    /// CopyFail, with the client's reason, or the connection ended.
    async fn fail(self: Box<Self>, reason: &str);
}

/// As ReadyForQuery tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionStatus {
    Idle,
    InTransaction,
    Failed,
}

/// Things to tell the client between messages.
#[derive(Debug, Clone)]
pub enum SessionEvent {
    /// NoticeResponse; the severity stands in the error value (NOTICE, WARNING …).
    Notice(SqlError),
    ParameterStatus {
        name: &'static str,
        value: String,
    },
    Notification {
        pid: i32,
        channel: String,
        payload: String,
    },
    /// SQL's DEALLOCATE or DISCARD ended a prepared statement of the protocol's as well; `None`: all of them.
    Deallocated {
        name: Option<String>,
    },
}

/// How values are written as text; from the session's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct TextStyle {
    pub time_zone: chrono_tz::Tz,
    /// Set where TimeZone is a fixed offset rather than a named zone, in seconds east of UTC.
    pub fixed_offset_seconds: Option<i32>,
    pub date_style: DateStyle,
    pub date_order: DateOrder,
    pub interval_style: IntervalStyle,
    /// `bytea_output`: hex or escape.
    pub bytea_hex: bool,
    pub extra_float_digits: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateStyle {
    Iso,
    Sql,
    Postgres,
    German,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    Mdy,
    Dmy,
    Ymd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntervalStyle {
    Postgres,
    PostgresVerbose,
    SqlStandard,
    Iso8601,
}

/// The SQL side of one client's session.
#[async_trait]
pub trait SqlSession: Send {
    /// Splits and parses a message. Extended query refuses more than one itself.
    fn parse(&mut self, text: &str) -> Result<Vec<ParsedStatement>, SqlError>;

    /// Plans; `declared` are the parameter type OIDs of Parse, 0 where the client leaves the choice open.
    async fn prepare(&mut self, statement: ParsedStatement, declared: &[Oid]) -> Result<Arc<dyn PreparedSql>, SqlError>;

    /// Runs. The front end re-checks privileges, logs, executes. `cancel` fires on CancelRequest, disconnect and drain.
    async fn execute(
        &mut self,
        statement: &Arc<dyn PreparedSql>,
        parameters: Vec<ArrayRef>,
        cancel: CancellationToken,
    ) -> Result<Response, SqlError>;

    /// Called before `execute`: whether statements of the same message or pipeline may follow, with which it is one transaction.
    fn expect_more(&mut self, _more: bool) {}

    /// End of a simple Query message, or Sync: ends an implicit transaction. `failed`: an error was sent since the last one.
    async fn end_of_message(&mut self, failed: bool) -> Result<(), SqlError>;

    /// An error fails an open transaction, those outside `execute` (protocol, binding) too.
    fn note_error(&mut self);

    /// The protocol side refused a statement of the client's before it could be executed.
    fn note_refusal(&mut self, _text: &str, _error: &SqlError) {}

    fn transaction_status(&self) -> TransactionStatus;

    /// Whether something outside a transaction reads tables as they were: a cursor WITH HOLD.
    fn holds_snapshot(&self) -> bool {
        false
    }

    /// Settings may have changed: ask before each result.
    fn text_style(&self) -> Arc<TextStyle>;

    /// Names behind OIDs, for values of `regclass` and its kin; without it they are shown and read as numbers.
    fn name_lookup(&self) -> Option<Arc<dyn lakegate_engine_api::CatalogLookup>> {
        None
    }

    /// Parse made a named statement: SQL's EXECUTE, DEALLOCATE and `pg_prepared_statements` know it by the same name.
    ///
    /// # Errors
    /// 42P05 where PREPARE has taken the name.
    fn keep_statement(&mut self, _name: &str, _text: &Arc<str>, _statement: &Arc<dyn PreparedSql>) -> Result<(), SqlError> {
        Ok(())
    }

    /// Close ended a statement.
    fn forget_statement(&mut self, _name: &str) {}

    /// A statement of SQL's PREPARE, which Bind and Describe may name.
    fn find_statement(&self, _name: &str) -> Option<(Arc<str>, Arc<dyn PreparedSql>)> {
        None
    }

    /// Set where the statement is a MOVE forward of no cursor of DECLARE: PostgreSQL's portals, those of Bind among them, have one
    /// namespace.
    fn portal_move(&self, _statement: &Arc<dyn PreparedSql>) -> Option<PortalMove> {
        None
    }

    /// Logs a MOVE that the protocol side is about to do.
    ///
    /// # Errors
    /// 58030: it must not be done; 25P02.
    async fn log_portal_move(&mut self, _statement: &Arc<dyn PreparedSql>) -> Result<(), SqlError> {
        Ok(())
    }

    /// Whether the statement's rows go out in binary format without being asked to: a FETCH from a BINARY cursor.
    fn answers_binary(&self, _statement: &Arc<dyn PreparedSql>) -> bool {
        false
    }

    /// Columns of a cursor of DECLARE, which Describe may name as a portal.
    fn cursor_schema(&self, _name: &str) -> Option<SchemaRef> {
        None
    }

    /// Close named a portal that may be a cursor of DECLARE.
    fn close_cursor(&mut self, _name: &str) {}

    /// How long the session may wait for its client's next message as things stand, and the error that ends it then.
    fn idle_limit(&self) -> Option<(Duration, SqlError)> {
        None
    }

    /// Rings when [`SqlSession::take_events`] has something for a client that waits.
    fn wake(&self) -> Option<Arc<tokio::sync::Notify>> {
        None
    }

    /// Notices, ParameterStatus changes and notifications since the last call.
    fn take_events(&mut self) -> Vec<SessionEvent>;

    /// Client gone or terminated.
    async fn close(&mut self);
}

/// Makes SQL sessions for authenticated clients.
#[async_trait]
pub trait SqlSessions: Send + Sync + 'static {
    /// # Errors
    /// 3D000 no such database, 42501 no CONNECT privilege, 22023 a start-up option is wrong.
    async fn open(&self, start: SessionStart) -> Result<Box<dyn SqlSession>, SqlError>;
}

/// What the protocol side knows of a client that has proven its identity.
#[derive(Debug, Clone)]
pub struct SessionStart {
    /// Proof of identity.
    pub authenticated: lakegate_catalog::auth::Authenticated,
    pub database: String,
    /// Start-up parameters other than user and database, `options` already split into its `-c name=value`.
    pub settings: Vec<(String, String)>,
    pub backend_pid: i32,
    pub client_address: Option<std::net::SocketAddr>,
    pub server_address: Option<std::net::SocketAddr>,
    pub tls: bool,
    /// `TLSv1.3`.
    pub tls_version: Option<&'static str>,
    /// `scram-sha-256`, `scram-sha-256-plus`, `password`.
    pub auth_method: &'static str,
    /// What the client speaks through, as far as it is known.
    pub driver: Option<&'static str>,
}

impl SessionStart {
    /// Of the server itself, for work of its own.
    #[must_use]
    pub fn internal(identity: lakegate_catalog::auth::Authenticated, database: &str, application: &str) -> SessionStart {
        SessionStart {
            authenticated: identity,
            database: database.to_owned(),
            settings: vec![("application_name".to_owned(), application.to_owned())],
            backend_pid: 0,
            client_address: None,
            server_address: None,
            tls: false,
            tls_version: None,
            auth_method: "internal",
            driver: None,
        }
    }
}

/// Declared type of a parameter or column as the protocol shows it.
#[must_use]
pub fn declared(oid: Oid) -> Option<PgType> {
    (oid != 0 && oid != PgType::UNKNOWN.oid).then(|| PgType::plain(oid))
}
