//! One piece of work at an engine, as its gateway sees it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::RecordBatch;
use arrow_flight::FlightData;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, stream};
use lakegate_engine_api::{ByteStream, Effect, EngineError, ExecutionContext, ExecutionMetrics, MetricsSnapshot, RowStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Streaming;
use uuid::Uuid;

use super::body::Body;
use super::link::{Link, unexpected};
use super::transaction::Mirror;
use crate::flight::wire::{
    Answer, Made, Opening, Reply, Request, RowsIn, RowsOut, Task, ToEngine, control, deep_control, read_control, split,
};

/// What is sent after the opening of an exchange.
pub type Upload = BoxStream<'static, FlightData>;

/// What is wanted of an engine, beside the request.
pub struct Work {
    pub statement: Uuid,
    pub cancel: CancellationToken,
    /// What is lost with it.
    pub effect: Effect,
    /// How deep the statements in it nest.
    pub levels: usize,
    pub transactions: Vec<Arc<Mirror>>,
}

impl Work {
    pub fn of(context: &ExecutionContext, effect: Effect) -> Self {
        Work { statement: context.statement_id, cancel: context.cancel.clone(), effect, levels: 0, transactions: Vec::new() }
    }

    /// That nobody cancels otherwise than by not waiting for it.
    pub fn unnamed(effect: Effect) -> Self {
        Work { statement: Uuid::nil(), cancel: CancellationToken::new(), effect, levels: 0, transactions: Vec::new() }
    }

    /// The answer, where one is all that comes back.
    ///
    /// # Errors
    /// The engine's; `Unavailable`, `Lost`.
    pub fn reply(
        self,
        link: &Arc<Link>,
        request: Request<'_>,
        upload: Option<Upload>,
    ) -> impl Future<Output = Result<Reply, EngineError>> + Send + use<> {
        let begun = self.begin(link, request, upload);
        async {
            let mut exchange = begun.await?;
            let reply = exchange.reply().await?;
            exchange.finish();
            Ok(reply)
        }
    }

    /// The request is written before the future is first polled, and need not live as long.
    ///
    /// # Errors
    /// As [`Work::reply`].
    pub fn begin(
        self,
        link: &Arc<Link>,
        request: Request<'_>,
        upload: Option<Upload>,
    ) -> impl Future<Output = Result<Exchange, EngineError>> + Send + use<> {
        let (link, number) = (Arc::clone(link), link.number());
        let task = Task { session: link.session, number, statement: self.statement, request };
        let opening = deep_control(&Opening::Work(Box::new(task)), self.levels);
        async move {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Canceled);
            }
            if link.is_lost() {
                return Err(EngineError::Lost { effect: Effect::None });
            }
            self.open(link, number, opening?, upload.unwrap_or_else(|| stream::empty().boxed())).await
        }
    }

    async fn open(self, link: Arc<Link>, number: u64, opening: FlightData, upload: Upload) -> Result<Exchange, EngineError> {
        // Its end is the end of what is sent, too: the engine then sees that nobody is there any more.
        let open = CancellationToken::new();
        let ended = open.clone().cancelled_owned().boxed();
        let body = Body(stream::once(std::future::ready(opening)).chain(upload).take_until(ended).boxed());
        let mut pending = Pending { link: Arc::clone(&link), number: Some(number) };
        let answer = link.flight.clone().do_exchange(body).await;
        pending.number = None;
        let incoming = answer.map_err(|status| lost(&link, &status, self.effect))?.into_inner();
        Ok(Exchange { link, number, work: self, incoming, is_over: false, _open: open.drop_guard() })
    }
}

/// A request that nobody waits for any more before its exchange has begun.
struct Pending {
    link: Arc<Link>,
    number: Option<u64>,
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.link.shared.outbox.push(ToEngine::Cancel(number));
        }
    }
}

fn lost(link: &Link, status: &tonic::Status, effect: Effect) -> EngineError {
    tracing::warn!(%status, lost = link.is_lost(), "work at an engine was lost");
    EngineError::Lost { effect }
}

pub struct Exchange {
    link: Arc<Link>,
    number: u64,
    work: Work,
    incoming: Streaming<FlightData>,
    is_over: bool,
    _open: DropGuard,
}

/// What an engine says in an exchange.
enum Said {
    Data(FlightData),
    Reply(Reply),
    End(MetricsSnapshot),
}

impl Exchange {
    /// Nothing more comes.
    pub fn finish(mut self) {
        self.is_over = true;
    }

    /// The reply. Where the work is canceled the engine is told, and its word is waited for: what changes something has happened by then, or
    /// will not.
    ///
    /// # Errors
    /// The engine's; `Lost`.
    pub async fn reply(&mut self) -> Result<Reply, EngineError> {
        let cancel = self.work.cancel.clone();
        let mut is_canceled = false;
        loop {
            let said = tokio::select! {
                biased;
                () = cancel.cancelled(), if !is_canceled => {
                    is_canceled = true;
                    self.link.shared.outbox.push(ToEngine::Cancel(self.number));
                    if self.work.effect == Effect::None && self.work.transactions.is_empty() {
                        self.over();
                        return Err(EngineError::Canceled);
                    }
                    continue;
                }
                said = self.next() => said?,
            };
            return match said {
                Said::Reply(reply) => Ok(reply),
                Said::Data(_) | Said::End(_) => Err(unexpected(&"rows before their description")),
            };
        }
    }

    /// Cancel safe.
    async fn next(&mut self) -> Result<Said, EngineError> {
        loop {
            let message = match self.incoming.message().await {
                Ok(Some(message)) => message,
                Ok(None) => {
                    self.over();
                    return Err(EngineError::Lost { effect: self.work.effect });
                }
                Err(status) => {
                    self.over();
                    return Err(lost(&self.link, &status, self.work.effect));
                }
            };
            if message.app_metadata.is_empty() {
                return Ok(Said::Data(message));
            }
            match read_control(&message.app_metadata)? {
                Answer::Reply(reply) => return Ok(Said::Reply(*reply)),
                Answer::End(metrics) => {
                    self.over();
                    return Ok(Said::End(metrics));
                }
                Answer::Failed(error) => {
                    self.over();
                    return Err(error);
                }
                Answer::Progress(progress) => self.link.shared.note_progress(self.work.statement, progress),
                Answer::Transactions(states) => {
                    for state in states {
                        self.work.transactions.iter().for_each(|transaction| transaction.learn(&state));
                    }
                }
            }
        }
    }

    fn over(&mut self) {
        self.is_over = true;
    }

    /// The rows that follow. `kept`: stays at hand while they do.
    pub fn rows(self, metrics: Option<Arc<ExecutionMetrics>>, kept: impl Send + 'static) -> RowStream {
        let mut rows = RowsIn::default();
        let read = move |message: &FlightData| rows.decode(message);
        let at_end = move |end: MetricsSnapshot| {
            if let Some(metrics) = &metrics {
                fill(metrics, &end);
            }
        };
        self.items::<RecordBatch>(read, at_end, kept)
    }

    /// The bytes that follow.
    pub fn bytes(self) -> ByteStream {
        self.items::<Bytes>(|message| Ok(Some(message.data_body.clone())), |_| {}, ())
    }

    fn items<T: Send + 'static>(
        self,
        read: impl FnMut(&FlightData) -> Result<Option<T>, EngineError> + Send + 'static,
        at_end: impl FnOnce(MetricsSnapshot) + Send + 'static,
        kept: impl Send + 'static,
    ) -> BoxStream<'static, Result<T, EngineError>> {
        let state = (self, read, Some(at_end), kept, false);
        stream::unfold(state, |(mut exchange, mut read, mut at_end, kept, ended)| async move {
            if ended {
                return None;
            }
            let cancel = exchange.work.cancel.clone();
            let item = loop {
                let said = tokio::select! {
                    biased;
                    () = cancel.cancelled() => Err(EngineError::Canceled),
                    said = exchange.next() => said,
                };
                match said {
                    Ok(Said::Data(message)) => {
                        if let Some(item) = read(&message).transpose() {
                            break item;
                        }
                    }
                    Ok(Said::End(metrics)) => {
                        if let Some(at_end) = at_end.take() {
                            at_end(metrics);
                        }
                        return None;
                    }
                    Ok(Said::Reply(_)) => break Err(unexpected(&"a second reply")),
                    Err(error) => break Err(error),
                }
            };
            let ended = item.is_err();
            Some((item, (exchange, read, at_end, kept, ended)))
        })
        .boxed()
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.is_over {
            self.link.shared.outbox.push(ToEngine::Cancel(self.number));
        }
        if !self.work.statement.is_nil() {
            self.link.shared.note_progress(self.work.statement, None);
        }
    }
}

fn fill(metrics: &ExecutionMetrics, end: &MetricsSnapshot) {
    metrics.read_files.store(end.read_files, Ordering::Relaxed);
    metrics.pruned_files.store(end.pruned_files, Ordering::Relaxed);
    metrics.read_bytes.store(end.read_bytes, Ordering::Relaxed);
    metrics.cached_bytes.store(end.cached_bytes, Ordering::Relaxed);
    metrics.read_rows.store(end.read_rows, Ordering::Relaxed);
    metrics.spilled_bytes.store(end.spilled_bytes, Ordering::Relaxed);
}

/// Rows for an exchange; they are pulled as the connection takes them.
pub fn upload_rows(rows: RowStream) -> Upload {
    let parts = rows.flat_map(|batch| match batch {
        Ok(batch) => stream::iter(split(&batch)).map(Ok).boxed(),
        Err(error) => stream::once(std::future::ready(Err(error))).boxed(),
    });
    let mut out = RowsOut::default();
    upload(parts, move |part| out.encode(&part))
}

/// Bytes for an exchange, alike.
pub fn upload_bytes(bytes: ByteStream) -> Upload {
    upload(bytes, |chunk| Ok(vec![FlightData { data_body: chunk, ..FlightData::default() }]))
}

fn upload<T: Send + 'static>(
    items: impl futures::Stream<Item = Result<T, EngineError>> + Send + 'static,
    mut encode: impl FnMut(T) -> Result<Vec<FlightData>, EngineError> + Send + 'static,
) -> Upload {
    let messages = items.map(move |item| item.and_then(&mut encode)).chain(stream::once(std::future::ready(Ok(Vec::new()))));
    // The last one, without messages, or the first error, is the end.
    messages
        .scan(false, |ended, made| {
            let messages = match (*ended, made) {
                (true, _) => return std::future::ready(None),
                (false, Ok(messages)) if messages.is_empty() => {
                    *ended = true;
                    end(&Made::Whole)
                }
                (false, Ok(messages)) => messages,
                (false, Err(error)) => {
                    *ended = true;
                    end(&Made::Failed(error))
                }
            };
            std::future::ready(Some(stream::iter(messages)))
        })
        .flatten()
        .boxed()
}

/// Where it cannot be written nothing comes, and what came is not taken for all.
fn end(made: &Made) -> Vec<FlightData> {
    control(made).into_iter().collect()
}
