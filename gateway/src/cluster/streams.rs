//! Rows that come from an engine which may be lost on the way.

use std::sync::Arc;

use arrow_array::RecordBatch;
use futures::StreamExt;
use lakegate_engine_api::{Effect, EngineError, RowStream};

use super::member::{Member, Running};

/// Told how the rows ended: with none lost, or the engine.
pub type Ended = Box<dyn FnOnce(bool) + Send>;

struct Watched {
    stream: RowStream,
    member: Arc<Member>,
    /// Counts as long as rows may come.
    _running: Running,
    ended: Option<Ended>,
}

/// The rows, until the engine is given up; they are dropped with it.
#[must_use]
pub fn watched(stream: RowStream, member: Arc<Member>, running: Running, ended: Ended) -> RowStream {
    let state = Watched { stream, member, _running: running, ended: Some(ended) };
    futures::stream::unfold(Some(state), |state| async move {
        let mut watched = state?;
        let next = tokio::select! {
            biased;
            next = watched.stream.next() => next,
            () = watched.member.given_up() => Some(Err(EngineError::Lost { effect: Effect::None })),
        };
        match next {
            Some(Ok(batch)) => Some((Ok(batch), Some(watched))),
            Some(Err(error)) => {
                if matches!(error, EngineError::Lost { .. }) {
                    watched.member.doubt();
                    watched.end(true);
                }
                Some((Err(error), None))
            }
            None => {
                watched.end(false);
                None
            }
        }
    })
    .boxed()
}

impl Watched {
    fn end(&mut self, lost: bool) {
        if let Some(ended) = self.ended.take() {
            ended(lost);
        }
    }
}

/// The stream with its first batch there, or known to have none.
///
/// # Errors
/// The stream's, where it fails before its first batch.
pub async fn begun(mut stream: RowStream) -> Result<RowStream, EngineError> {
    match stream.next().await {
        None => Ok(futures::stream::empty().boxed()),
        Some(Err(error)) => Err(error),
        Some(Ok(first)) => {
            let first: Result<RecordBatch, EngineError> = Ok(first);
            Ok(futures::stream::iter([first]).chain(stream).boxed())
        }
    }
}
