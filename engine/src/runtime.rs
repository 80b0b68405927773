//! The engine's own threads: planning, scans and writes run here, never on the threads that serve sockets.

use std::any::Any;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use arrow_array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use futures::{FutureExt, StreamExt};
use lakegate_engine_api::{EngineError, RowStream};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Planning recurses as deep as the statement nests; the pages are only committed where it does.
const STACK_BYTES: usize = 64 << 20;

/// Batches that wait between a plan and the client's socket.
const BATCHES_IN_FLIGHT: usize = 2;

/// Lanes that are made at most, where each has two threads; with more threads each, fewer.
const LANES_MAX: usize = 64;
const THREADS_MAX: usize = 512;
/// However many threads a lane has.
const LANES_MIN: usize = 8;

/// Threads for statements, in lanes that are shut down, without waiting, when dropped.
///
/// A lane is a runtime. Each piece of work gets an idle one, so that the operating system shares the processors out among
/// statements: an operator may compute for seconds without giving its thread back, and all workers of one runtime would soon do
/// nothing else. Only where all lanes are taken do statements share one.
#[derive(Debug)]
pub struct EngineRuntime {
    threads: usize,
    lanes: Mutex<Vec<Runtime>>,
    /// For connections to object stores and what nobody waits for; does no long work.
    background: Option<Runtime>,
    handle: Handle,
}

impl EngineRuntime {
    /// `threads` for each statement.
    ///
    /// # Errors
    /// Threads could not be started.
    pub fn new(threads: usize) -> std::io::Result<Self> {
        let threads = threads.max(2);
        let background = runtime("engine-io", 2)?;
        Ok(Self { threads, lanes: Mutex::default(), handle: background.handle().clone(), background: Some(background) })
    }

    /// Starts `work` in an idle lane.
    fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        // The first idle one: its threads' caches are warm. What an abandoned statement still computes counts as its task.
        let idle = lanes.iter().find(|lane| lane.metrics().num_alive_tasks() == 0);
        if let Some(lane) = idle {
            return lane.spawn(work);
        }
        if lanes.len() < (THREADS_MAX / self.threads).clamp(LANES_MIN, LANES_MAX) {
            match runtime("engine", self.threads) {
                Ok(lane) => lanes.push(lane),
                Err(error) => tracing::warn!(%error, "no more threads for statements"),
            }
            if let Some(lane) = lanes.last().filter(|lane| lane.metrics().num_alive_tasks() == 0) {
                return lane.spawn(work);
            }
        }
        let least = lanes.iter().min_by_key(|lane| lane.metrics().num_alive_tasks());
        least.map_or(&self.handle, Runtime::handle).spawn(work)
    }

    /// Runs `work` here; dropping the returned future, or `cancel`, stops it at its next await.
    ///
    /// # Errors
    /// `work`'s own; `Canceled`; `Internal` where it panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        cancel: CancellationToken,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let task = AbortOnDrop(self.spawn(async move {
            tokio::select! {
                biased;
                () = cancel.cancelled() => Err(EngineError::Canceled),
                outcome = AssertUnwindSafe(work).catch_unwind() => outcome.unwrap_or_else(|payload| Err(panicked(payload.as_ref()))),
            }
        }));
        task.join().await
    }

    /// Runs `work`, which looks after cancellation itself, here; dropping the returned future stops it at its next await.
    ///
    /// # Errors
    /// `work`'s own; `Internal` where it panicked.
    pub async fn run_cooperative<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.run(CancellationToken::new(), work).await
    }

    /// Runs `work` here to its end, whatever becomes of the returned future: for what must not stop half-way.
    ///
    /// # Errors
    /// `work`'s own; `Internal` where it panicked.
    pub async fn run_to_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        let task = self
            .spawn(async move { AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|payload| Err(panicked(payload.as_ref()))) });
        joined(task.await)
    }

    /// Begins `work` here and pulls its stream, a few batches ahead of the reader: one hand-over between threads for a statement whose
    /// rows are there at once. Dropping the reader drops `unwanted`, and the stream at its next await.
    ///
    /// # Errors
    /// Those of `work.begin`; what fails later fails the stream. `Canceled`; `Internal` where it panicked.
    pub async fn stream<B, P, E, S, M>(
        &self,
        work: Work<B, E, S, M>,
        cancel: CancellationToken,
        unwanted: DropGuard,
    ) -> Result<RowStream, EngineError>
    where
        B: Future<Output = Result<(SendableRecordBatchStream, P), EngineError>> + Send + 'static,
        P: Send + 'static,
        E: FnOnce(Option<P>) + Send + 'static,
        S: Fn(RecordBatch) -> Result<RecordBatch, DataFusionError> + Send + 'static,
        M: Fn(DataFusionError) -> EngineError + Send + 'static,
    {
        let (begun, first) = oneshot::channel();
        let (sender, receiver) = mpsc::channel(BATCHES_IN_FLIGHT);
        let task = AbortOnDrop(self.spawn(serve(work, cancel, begun, sender)));
        let First { batches, has_more } = match first.await {
            Ok(first) => first?,
            Err(_) => return Err(EngineError::Internal { message: "a task of the engine was dropped".to_owned() }),
        };
        let first = futures::stream::iter(batches);
        if !has_more {
            return Ok(first.boxed());
        }
        let rest = futures::stream::unfold((receiver, task, unwanted), |(mut receiver, task, unwanted)| async move {
            let next = receiver.recv().await?;
            Some((next, (receiver, task, unwanted)))
        });
        Ok(first.chain(rest).boxed())
    }

    /// Pulls `stream` here, a few batches ahead of the reader, as [`EngineRuntime::stream`] does.
    ///
    /// # Errors
    /// `Canceled`, `Internal`.
    pub async fn hand_over(
        &self,
        stream: SendableRecordBatchStream,
        cancel: CancellationToken,
        map_error: impl Fn(DataFusionError) -> EngineError + Send + 'static,
    ) -> Result<RowStream, EngineError> {
        let begin = std::future::ready(Ok((stream, ())));
        let work = Work { begin, at_end: |_: Option<()>| {}, shown: Ok, map_error, at_once: BATCHES_IN_FLIGHT };
        self.stream(work, cancel, CancellationToken::new().drop_guard()).await
    }

    /// For what nobody waits for.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for EngineRuntime {
    fn drop(&mut self) {
        let lanes = self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner);
        for runtime in lanes.drain(..).chain(self.background.take()) {
            runtime.shutdown_background();
        }
    }
}

/// What [`EngineRuntime::stream`] does.
pub struct Work<B, E, S, M> {
    /// Gives the stream, and what `at_end` is to hear of.
    pub begin: B,
    /// Called when the stream has ended, however it did; with what `begin` gave where all rows were there at once.
    pub at_end: E,
    /// Makes of each batch what the reader sees.
    pub shown: S,
    pub map_error: M,
    /// Batches made before the reader hears of them, as long as that takes no waiting.
    pub at_once: usize,
}

/// What is there when the work has begun.
struct First {
    batches: Vec<Result<RecordBatch, EngineError>>,
    has_more: bool,
}

type Pulled = Option<Result<RecordBatch, EngineError>>;

async fn serve<B, P, E, S, M>(
    work: Work<B, E, S, M>,
    cancel: CancellationToken,
    begun: oneshot::Sender<Result<First, EngineError>>,
    sender: mpsc::Sender<Result<RecordBatch, EngineError>>,
) where
    B: Future<Output = Result<(SendableRecordBatchStream, P), EngineError>> + Send,
    E: FnOnce(Option<P>) + Send,
    S: Fn(RecordBatch) -> Result<RecordBatch, DataFusionError> + Send,
    M: Fn(DataFusionError) -> EngineError + Send,
{
    let Work { begin, at_end, shown, map_error, at_once } = work;
    let mut at_end = AtEnd(Some(at_end), PhantomData);
    let started = tokio::select! {
        biased;
        () = cancel.cancelled() => Err(EngineError::Canceled),
        started = AssertUnwindSafe(begin).catch_unwind() => started.unwrap_or_else(|payload| Err(panicked(payload.as_ref()))),
    };
    let (stream, made) = match started {
        Ok(started) => started,
        Err(error) => {
            drop(at_end);
            let _ = begun.send(Err(error));
            return;
        }
    };
    let mut stream = Pull { stream, shown, map_error };
    let mut batches = Vec::new();
    let mut is_whole = true;
    let has_more = loop {
        if batches.len() == at_once {
            break true;
        }
        match futures::poll!(std::pin::pin!(stream.next())) {
            Poll::Pending => break true,
            Poll::Ready(Some(batch)) => {
                is_whole = batch.is_ok();
                batches.push(batch);
                if !is_whole {
                    break false;
                }
            }
            Poll::Ready(None) => break false,
        }
    };
    if !has_more {
        // Memory goes before the client hears of the end.
        drop(stream);
        at_end.call(is_whole.then_some(made));
        let _ = begun.send(Ok(First { batches, has_more }));
        return;
    }
    if begun.send(Ok(First { batches, has_more })).is_ok() {
        pump(stream, at_end, &cancel, &sender).await;
    }
}

/// Batches as the reader sees them, panics as errors; empty ones are left out.
struct Pull<S, M> {
    stream: SendableRecordBatchStream,
    shown: S,
    map_error: M,
}

impl<S, M> Pull<S, M>
where
    S: Fn(RecordBatch) -> Result<RecordBatch, DataFusionError>,
    M: Fn(DataFusionError) -> EngineError,
{
    /// Cancel safe.
    async fn next(&mut self) -> Pulled {
        loop {
            return match AssertUnwindSafe(self.stream.next()).catch_unwind().await {
                Ok(Some(Ok(batch))) if batch.num_rows() == 0 => continue,
                Ok(Some(batch)) => Some(batch.and_then(&self.shown).map_err(&self.map_error)),
                Ok(None) => None,
                Err(payload) => Some(Err(panicked(payload.as_ref()))),
            };
        }
    }
}

async fn pump<S, M, P, E: FnOnce(Option<P>)>(
    mut stream: Pull<S, M>,
    at_end: AtEnd<E, P>,
    cancel: &CancellationToken,
    sender: &mpsc::Sender<Result<RecordBatch, EngineError>>,
) where
    S: Fn(RecordBatch) -> Result<RecordBatch, DataFusionError>,
    M: Fn(DataFusionError) -> EngineError,
{
    loop {
        let next = tokio::select! {
            biased;
            () = cancel.cancelled() => Some(Err(EngineError::Canceled)),
            () = sender.closed() => None,
            next = stream.next() => next,
        };
        let Some(next) = next else { break };
        if next.is_err() {
            // Memory goes before the client hears of the failure.
            drop(stream);
            drop(at_end);
            let _ = sender.send(next).await;
            return;
        }
        let delivered = tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            delivered = sender.send(next) => Some(delivered.is_ok()),
        };
        match delivered {
            Some(true) => {}
            Some(false) => break,
            None => {
                drop(stream);
                drop(at_end);
                let _ = sender.send(Err(EngineError::Canceled)).await;
                return;
            }
        }
    }
    drop(stream);
    drop(at_end);
}

fn runtime(name: &str, threads: usize) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(threads).thread_name(name).thread_stack_size(STACK_BYTES).enable_all().build()
}

struct AtEnd<E: FnOnce(Option<P>), P>(Option<E>, PhantomData<fn(P)>);

impl<E: FnOnce(Option<P>), P> AtEnd<E, P> {
    fn call(&mut self, made: Option<P>) {
        if let Some(at_end) = self.0.take() {
            at_end(made);
        }
    }
}

impl<E: FnOnce(Option<P>), P> Drop for AtEnd<E, P> {
    fn drop(&mut self) {
        self.call(None);
    }
}

/// A task that nobody waits for any more does not run on.
struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> AbortOnDrop<Result<T, EngineError>> {
    async fn join(mut self) -> Result<T, EngineError> {
        joined((&mut self.0).await)
    }
}

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn joined<T>(outcome: Result<Result<T, EngineError>, tokio::task::JoinError>) -> Result<T, EngineError> {
    match outcome {
        Ok(outcome) => outcome,
        Err(error) if error.is_cancelled() => Err(EngineError::Canceled),
        Err(error) => Err(EngineError::Internal { message: error.to_string() }),
    }
}

/// The payload of a panic may quote data: it goes to the log of the process only as far as it is a plain message.
fn panicked(payload: &(dyn Any + Send)) -> EngineError {
    // Not a panic: what found no other way to fail.
    if let Some(error) = payload.downcast_ref::<EngineError>() {
        return error.clone();
    }
    let message = payload.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| payload.downcast_ref::<String>().cloned());
    tracing::error!(panic = message.as_deref().unwrap_or("unknown"), "a task of the engine panicked");
    EngineError::Internal { message: "a task of the engine panicked".to_owned() }
}
