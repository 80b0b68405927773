//! Results to the client: pulled as the socket drains, stopped the moment nobody wants them.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, FLUSH_BYTES, Gone};
use super::stop::{Stop, canceled, shut_down};
use crate::frontend::ClientRows;
use crate::server::live::LiveSession;
use crate::wire::outgoing::Format;
use crate::wire::rows::{BatchRows, Manner};

/// A result that has begun. Dropping it stops the statement.
pub struct Running {
    pub schema: SchemaRef,
    pub formats: Vec<Format>,
    pub rows: ClientRows,
    pub tag: &'static str,
    pub cancel: CancellationToken,
    pub manner: Manner,
    /// The batch that is being sent.
    pub batch: Option<BatchRows>,
}

/// How far an Execute came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// To the end; this many rows now.
    All(u64),
    /// To the row limit; there may be more.
    Suspended,
}

impl Running {
    /// Sends rows up to `rows_max`, or all of them.
    pub async fn send(&mut self, connection: &mut Connection, live: &LiveSession, rows_max: Option<u64>) -> Result<Sent, Stop> {
        let mut sent = 0u64;
        loop {
            while let Some(batch) = self.batch.as_mut().filter(|batch| batch.remaining() > 0) {
                let left = rows_max.map_or(usize::MAX, |max| usize::try_from(max - sent).unwrap_or(usize::MAX));
                if left == 0 {
                    return Ok(Sent::Suspended);
                }
                let written = batch.write(&mut connection.out, left, FLUSH_BYTES)?;
                sent += u64::try_from(written).unwrap_or(u64::MAX);
                if connection.out.len() >= FLUSH_BYTES {
                    flush(connection, live, &self.cancel).await?;
                }
            }
            self.batch = None;
            if rows_max == Some(sent) {
                return Ok(Sent::Suspended);
            }
            match self.next(connection, live).await? {
                Some(batch) => self.batch = Some(BatchRows::new(&self.schema, &batch, &self.formats, &self.manner)?),
                None => return Ok(Sent::All(sent)),
            }
        }
    }

    /// Leaves out rows up to `rows_max`, or all of them.
    pub async fn skip(&mut self, connection: &mut Connection, live: &LiveSession, rows_max: Option<u64>) -> Result<Sent, Stop> {
        let mut skipped = 0u64;
        loop {
            if let Some(batch) = self.batch.as_mut() {
                let left = rows_max.map_or(usize::MAX, |max| usize::try_from(max - skipped).unwrap_or(usize::MAX));
                skipped += u64::try_from(batch.skip(left)).unwrap_or(u64::MAX);
            }
            if rows_max == Some(skipped) {
                return Ok(Sent::Suspended);
            }
            match self.next(connection, live).await? {
                Some(batch) => self.batch = Some(BatchRows::new(&self.schema, &batch, &self.formats, &self.manner)?),
                None => return Ok(Sent::All(skipped)),
            }
        }
    }

    async fn next(&mut self, connection: &mut Connection, live: &LiveSession) -> Result<Option<RecordBatch>, Stop> {
        next_item(&mut self.rows, connection, live, &self.cancel).await
    }
}

/// The next item of a statement's stream; `None` at its end.
pub async fn next_item<T>(
    stream: &mut futures::stream::BoxStream<'static, Result<T, crate::sqlstate::SqlError>>,
    connection: &mut Connection,
    live: &LiveSession,
    cancel: &CancellationToken,
) -> Result<Option<T>, Stop> {
    // A stream that always has something ready must not keep the thread, nor hide a cancel.
    tokio::task::consume_budget().await;
    if cancel.is_cancelled() {
        return Err(canceled());
    }
    tokio::select! {
        biased;
        item = stream.next() => Ok(item.transpose()?),
        () = cancel.cancelled() => Err(canceled()),
        () = live.terminated() => Err(shut_down()),
        Gone = connection.gone() => {
            cancel.cancel();
            Err(Stop::Close)
        }
    }
}

/// Writes out, unless the statement is stopped while the client does not read.
pub async fn flush(connection: &mut Connection, live: &LiveSession, cancel: &CancellationToken) -> Result<(), Stop> {
    tokio::select! {
        biased;
        result = connection.flush() => result.map_err(|Gone| {
            cancel.cancel();
            Stop::Close
        }),
        () = cancel.cancelled() => Err(canceled()),
        () = live.terminated() => {
            cancel.cancel();
            Err(shut_down())
        }
    }
}
