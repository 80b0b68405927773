//! The one place of this module that starts tasks: each ends with what it serves, and its panic is logged.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

/// Runs a future to its end beside the caller.
pub fn spawn(name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
    #[expect(clippy::disallowed_methods, reason = "the one place; what it runs ends with its exchange or session")]
    drop(tokio::spawn(async move {
        if AssertUnwindSafe(future).catch_unwind().await.is_err() {
            tracing::error!(task = name, "a task of the connection between gateway and engine ended by a panic");
        }
    }));
}

/// Waits on a thread that is not one of the connection's, whatever runtime it belongs to.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    // Without a budget: nobody but this thread polls, so there is nobody to yield to.
    futures::executor::block_on(tokio::task::unconstrained(future))
}
