//! The one place that detaches tasks: each has a name, and its panic is logged rather than lost.

use std::future::Future;

use tracing::Instrument;

/// Runs a future to its end beside the caller.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "the one place; the task is watched below")]
    let task = tokio::spawn(future.instrument(tracing::info_span!("task", name)));
    #[expect(clippy::disallowed_methods, reason = "watches the task above and ends with it")]
    tokio::spawn(async move {
        if let Err(error) = task.await
            && error.is_panic()
        {
            tracing::error!(task = name, "a background task ended by a panic");
        }
    });
}
