//! The one place that detaches tasks: each has a name, and its panic is logged rather than lost.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tracing::Instrument;

/// Runs a future to its end beside the caller.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    let watched = async move {
        if AssertUnwindSafe(future).catch_unwind().await.is_err() {
            tracing::error!(task = name, "a background task ended by a panic");
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    drop(tokio::spawn(watched.instrument(tracing::info_span!("task", name))));
}
