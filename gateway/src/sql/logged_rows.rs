//! A result stream that writes its own end into the statement log.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use futures::Stream;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use lakegate_engine_api::ExecutionMetrics;

use super::execute::Deadline;
use super::journal::Journal;
use crate::detect::guard::Watch;
use crate::frontend::ClientRows;
use crate::sqlstate::SqlError;

/// Counts the rows; ends the log entry when the stream ends, fails or is dropped; enforces the time limit between batches.
pub struct LoggedRows<E> {
    stream: Option<BoxStream<'static, Result<RecordBatch, E>>>,
    metrics: Arc<ExecutionMetrics>,
    journal: Option<Journal>,
    deadline: Deadline,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    rows: u64,
    /// When the last batch was given, and how long batches were in other hands so far.
    given: Option<Instant>,
    fetched: Duration,
    /// What may stop it while it runs.
    watch: Option<Watch>,
    /// A batch that waits for the guards' word.
    held: Option<(RecordBatch, BoxFuture<'static, Result<(), SqlError>>)>,
}

impl<E: Into<SqlError> + 'static> LoggedRows<E> {
    pub fn boxed(
        stream: BoxStream<'static, Result<RecordBatch, E>>,
        metrics: Arc<ExecutionMetrics>,
        journal: Journal,
        deadline: Deadline,
        watch: Option<Watch>,
    ) -> ClientRows {
        let timer = deadline.at().map(|at| Box::pin(tokio::time::sleep_until(at)));
        Box::pin(LoggedRows {
            stream: Some(stream),
            metrics,
            journal: Some(journal),
            deadline,
            timer,
            rows: 0,
            given: None,
            fetched: Duration::ZERO,
            watch,
            held: None,
        })
    }

    fn fail(&mut self, error: SqlError) -> Poll<Option<Result<RecordBatch, SqlError>>> {
        let error = self.deadline.explain::<()>(Err(error)).err();
        self.end(error.as_ref());
        Poll::Ready(error.map(Err))
    }
}

impl<E: Into<SqlError> + 'static> LoggedRows<E> {
    fn give(&mut self, batch: RecordBatch) -> Poll<Option<Result<RecordBatch, SqlError>>> {
        self.given = Some(Instant::now());
        Poll::Ready(Some(Ok(batch)))
    }

    fn poll_held(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, SqlError>>> {
        let Some((_, look)) = &mut self.held else { return Poll::Pending };
        match look.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(())) => match self.held.take() {
                Some((batch, _)) => self.give(batch),
                None => Poll::Ready(None),
            },
            Poll::Ready(Err(error)) => {
                // The batch in hand was not given.
                self.rows -= self.held.take().map_or(0, |(batch, _)| batch.num_rows() as u64);
                self.fail(error)
            }
        }
    }
}

impl<E> LoggedRows<E> {
    fn end(&mut self, error: Option<&SqlError>) {
        self.stream = None;
        self.watch = None;
        if let Some(journal) = self.journal.take() {
            journal.ended_behind(error.cloned(), self.rows, self.metrics.snapshot(), self.fetched);
        }
    }
}

impl<E: Into<SqlError> + 'static> Stream for LoggedRows<E> {
    type Item = Result<RecordBatch, SqlError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(given) = self.given.take() {
            self.fetched += given.elapsed();
        }
        if let Some(timer) = &mut self.timer
            && timer.as_mut().poll(context).is_ready()
        {
            self.timer = None;
            self.deadline.expire();
            return self.fail(SqlError::canceled());
        }
        if self.deadline.token().is_cancelled() {
            return self.fail(SqlError::canceled());
        }
        if self.held.is_some() {
            return self.poll_held(context);
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
        match stream.as_mut().poll_next(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Ok(batch))) => {
                self.rows += batch.num_rows() as u64;
                let rows = self.rows;
                match self.watch.as_mut().and_then(|watch| watch.look(rows)) {
                    None => self.give(batch),
                    Some(look) => {
                        self.held = Some((batch, look));
                        self.poll_held(context)
                    }
                }
            }
            Poll::Ready(Some(Err(error))) => self.fail(error.into()),
            Poll::Ready(None) => {
                self.end(None);
                Poll::Ready(None)
            }
        }
    }
}

impl<E> Drop for LoggedRows<E> {
    fn drop(&mut self) {
        // A client that closes a portal early has what it wanted; one that vanished or asked for it has canceled.
        let canceled = self.deadline.token().is_cancelled().then(SqlError::canceled);
        self.end(canceled.as_ref());
    }
}
