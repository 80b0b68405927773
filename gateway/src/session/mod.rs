//! One client's session after login: messages in, the front end called, messages out.
//!
//! [`startup`] is what comes before, [`connection`] the byte stream, [`simple`], [`extended`] and [`copy`] the three sub-protocols,
//! [`statements`] what the extended one keeps. Mirrors `PostgresMain`.

pub mod connection;
mod copy;
mod driver;
mod extended;
mod rows;
mod simple;
pub mod startup;
mod statements;
mod stop;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub use self::statements::SessionLimits;

use self::connection::{Connection, Received};
use self::statements::Statements;
use self::stop::{Stop, shut_down};
use crate::frontend::{SessionEvent, SqlSession};
use crate::server::live::LiveSession;
use crate::sqlstate::{SqlError, SqlState};
use crate::wire::frame::{FrameError, Phase};
use crate::wire::incoming::{Incoming, decode};
use crate::wire::outgoing;
use crate::wire::rows::Manner;
use crate::wire::text_input::InputManner;

/// How long the last words may take to reach the client.
const GOOD_BYE: Duration = Duration::from_secs(5);

/// A session that is ready for queries.
pub struct Session {
    connection: Connection,
    sql: Box<dyn SqlSession>,
    live: LiveSession,
    /// Fires when the server ends: a session that waits for its client ends at once.
    draining: CancellationToken,
    statements: Statements,
    limits: SessionLimits,
    /// After an error in the extended protocol.
    skips_to_sync: bool,
    /// An error was sent since the last ReadyForQuery.
    failed: bool,
    /// Told to the client just before ReadyForQuery.
    deferred: Vec<SessionEvent>,
    /// Since when the client has had the word: from ReadyForQuery to its next message.
    waiting_since: Option<Instant>,
    /// Rings when there is something to tell a client that waits.
    wake: Arc<Notify>,
}

/// Whether the session goes on after a message.
enum Flow {
    Next,
    Close,
}

impl Session {
    #[must_use]
    pub fn new(
        connection: Connection,
        sql: Box<dyn SqlSession>,
        live: LiveSession,
        draining: CancellationToken,
        limits: SessionLimits,
    ) -> Self {
        Session {
            wake: sql.wake().unwrap_or_default(),
            waiting_since: None,
            connection,
            sql,
            live,
            draining,
            statements: Statements::new(limits),
            limits,
            skips_to_sync: false,
            failed: false,
            deferred: Vec::new(),
        }
    }

    /// Serves the client until one of both has enough. What `open` reported goes out before the first ReadyForQuery.
    pub async fn run(mut self) {
        if self.greet().await.is_ok() {
            while let Flow::Next = self.turn().await {}
        }
        self.statements.cancel_portals();
        self.sql.close().await;
        // The client may have stopped reading: the last words are not waited for without end.
        let _ = tokio::time::timeout(GOOD_BYE, self.connection.shutdown()).await;
    }

    async fn greet(&mut self) -> Result<(), connection::Gone> {
        self.take_events();
        for event in std::mem::take(&mut self.deferred) {
            self.tell(event);
        }
        outgoing::backend_key_data(&mut self.connection.out, self.live.pid(), self.live.cancel_key());
        self.ready();
        self.connection.flush().await
    }

    /// One message.
    async fn turn(&mut self) -> Flow {
        let (limit, too_idle) = match (self.waiting_since, self.sql.idle_limit()) {
            (Some(since), Some((limit, error))) => (Some(since + limit), Some(error)),
            _ => (None, None),
        };
        let received = tokio::select! {
            biased;
            received = self.connection.message(Phase::Ready(self.limits.messages)) => received,
            () = self.live.terminated() => return self.end(shut_down()),
            () = self.draining.cancelled() => return self.end(shut_down()),
            () = self.wake.notified(), if self.waiting_since.is_some() => return self.tell_waiting().await,
            () = until(limit) => return self.end(too_idle.map_or_else(shut_down, Stop::from)),
        };
        let frame = match received {
            Received::Message(frame) => frame,
            Received::TooLong { tag, message_bytes } => return self.too_long(tag, message_bytes).await,
            Received::Malformed(error) => return self.end(frame_error(error).into()),
            Received::Closed => return Flow::Close,
        };
        if self.live.is_terminated() {
            return self.end(shut_down());
        }
        if self.skips_to_sync && !matches!(frame.tag, b'S' | b'X') {
            return Flow::Next;
        }
        // What is left of a COPY that has failed.
        if matches!(frame.tag, b'd' | b'c' | b'f') {
            return Flow::Next;
        }
        self.waiting_since = None;
        match decode(frame.tag, &frame.body) {
            Ok(message) => self.dispatch(message).await,
            Err(error) => self.report(frame.tag, error.into()).await,
        }
    }

    async fn dispatch(&mut self, message: Incoming<'_>) -> Flow {
        let (tag, result) = match message {
            Incoming::Query { text } => return self.simple_query(text).await,
            Incoming::Parse(parse) => (b'P', self.parse(parse).await),
            Incoming::Bind(bind) => (b'B', self.bind(bind)),
            Incoming::Describe { target, name } => (b'D', self.describe(target, name)),
            Incoming::Execute { portal, max_rows } => (b'E', self.execute(portal, max_rows).await),
            Incoming::Close { target, name } => (b'C', self.close(target, name)),
            Incoming::Sync => return self.sync().await,
            Incoming::Flush => (b'H', self.connection.flush().await.map_err(|_| Stop::Close)),
            Incoming::FunctionCall => (b'F', Err(SqlError::unsupported("the function call protocol").into())),
            Incoming::Terminate => return Flow::Close,
            Incoming::CopyData(_) | Incoming::CopyDone | Incoming::CopyFail { .. } => return Flow::Next,
        };
        match result {
            Ok(()) => Flow::Next,
            Err(stop) => self.report(tag, stop).await,
        }
    }

    /// Tells an error of the message `tag`, and recovers as PostgreSQL does: simple messages end with ReadyForQuery, extended ones
    /// with the next Sync.
    async fn report(&mut self, tag: u8, stop: Stop) -> Flow {
        self.live.not_running();
        let error = match stop {
            Stop::Error(error) => error,
            Stop::Close => return Flow::Close,
        };
        // First of all, so that what the statement asked for besides its rows is dropped with it.
        self.sql.note_error();
        self.take_events();
        if error.is_fatal() {
            return self.end(Stop::Error(error));
        }
        outgoing::error_response(&mut self.connection.out, &error);
        self.failed = true;
        // A portal's transaction has failed or is gone: none of them can go on.
        self.statements.close_portals();
        match tag {
            b'Q' | b'F' | b'S' => self.finish_message().await,
            _ => {
                self.skips_to_sync = true;
                self.flow_after_flush().await
            }
        }
    }

    /// The last message, and the end.
    fn end(&mut self, stop: Stop) -> Flow {
        if let Stop::Error(error) = stop {
            outgoing::error_response(&mut self.connection.out, &error);
        }
        Flow::Close
    }

    async fn sync(&mut self) -> Flow {
        self.skips_to_sync = false;
        self.finish_message().await
    }

    /// Ends an implicit transaction, and tells the client that it may go on.
    async fn finish_message(&mut self) -> Flow {
        let failed = std::mem::take(&mut self.failed);
        let cancel = CancellationToken::new();
        match stop::watched(&mut self.connection, &self.live, &cancel, self.sql.end_of_message(failed)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let is_fatal = error.is_fatal();
                outgoing::error_response(&mut self.connection.out, &error);
                if is_fatal {
                    return Flow::Close;
                }
                self.sql.note_error();
            }
            Err(stop) => return self.end(stop),
        }
        if self.sql.transaction_status() == crate::frontend::TransactionStatus::Idle {
            self.statements.close_portals();
        }
        self.take_events();
        for event in std::mem::take(&mut self.deferred) {
            self.tell(event);
        }
        self.ready();
        self.flow_after_flush().await
    }

    fn ready(&mut self) {
        let status = self.sql.transaction_status();
        outgoing::ready_for_query(&mut self.connection.out, status);
        self.live.idle(status, self.sql.holds_snapshot());
        self.waiting_since = Some(Instant::now());
    }

    /// Notifications reach a client that waits outside a transaction at once.
    async fn tell_waiting(&mut self) -> Flow {
        self.take_events();
        for event in std::mem::take(&mut self.deferred) {
            self.tell(event);
        }
        self.flow_after_flush().await
    }

    async fn flow_after_flush(&mut self) -> Flow {
        tokio::select! {
            biased;
            result = self.connection.flush() => if result.is_ok() { Flow::Next } else { Flow::Close },
            () = self.live.terminated() => self.end(shut_down()),
        }
    }

    /// Notices go out at once, the rest before ReadyForQuery.
    fn take_events(&mut self) {
        for event in self.sql.take_events() {
            match event {
                SessionEvent::Notice(_) => self.tell(event),
                SessionEvent::Deallocated { name: Some(name) } => self.statements.forget(&name),
                SessionEvent::Deallocated { name: None } => self.statements.forget_all(),
                other => self.deferred.push(other),
            }
        }
    }

    fn tell(&mut self, event: SessionEvent) {
        let out = &mut self.connection.out;
        match event {
            SessionEvent::Notice(notice) => outgoing::notice_response(out, &notice),
            SessionEvent::ParameterStatus { name, value } => {
                if name == "application_name" {
                    self.live.set_application_name(&value);
                }
                outgoing::parameter_status(out, name, &value);
            }
            SessionEvent::Notification { pid, channel, payload } => outgoing::notification(out, pid, &channel, &payload),
            SessionEvent::Deallocated { .. } => {}
        }
    }

    async fn too_long(&mut self, tag: u8, message_bytes: usize) -> Flow {
        if self.skips_to_sync || tag == b'd' {
            return Flow::Next;
        }
        self.report(tag, too_long(message_bytes).into()).await
    }

    fn manner(&self) -> Manner {
        Manner { style: self.sql.text_style(), names: self.sql.name_lookup() }
    }

    fn input_manner(&self) -> InputManner {
        InputManner { style: self.sql.text_style(), names: self.sql.name_lookup(), now: chrono::Utc::now() }
    }

    /// Makes a statement the one that a cancel stops.
    fn running(&self, text: Option<&Arc<str>>) -> CancellationToken {
        let cancel = CancellationToken::new();
        self.live.running(text, &cancel);
        cancel
    }
}

async fn until(limit: Option<Instant>) {
    match limit {
        Some(limit) => tokio::time::sleep_until(limit).await,
        None => std::future::pending().await,
    }
}

fn too_long(message_bytes: usize) -> SqlError {
    SqlError::new(SqlState::ProgramLimitExceeded, format!("a message of {message_bytes} bytes is too long"))
}

fn frame_error(error: FrameError) -> SqlError {
    let message = match error {
        FrameError::UnknownType(tag) | FrameError::UnexpectedType(tag) => format!("invalid frontend message type {tag}"),
        FrameError::Length => "invalid message length".to_owned(),
    };
    SqlError::fatal(SqlState::ProtocolViolation, message)
}

#[cfg(test)]
pub(crate) mod tests;
