//! tokio-postgres and sqlx against the server that PG* names.

mod sqlx_suite;
mod tokio_postgres_suite;

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;

const CHECK_TIME_MAX: Duration = Duration::from_secs(60);

pub async fn check(name: &str, body: impl Future<Output = Outcome> + Send + 'static) {
    let outcome = tokio::time::timeout(CHECK_TIME_MAX, tokio::spawn(body)).await;
    let reason = match outcome {
        Ok(Ok(Ok(()))) => return println!("ok {name}"),
        Ok(Ok(Err(error))) => chain(error.as_ref()),
        Ok(Err(panic)) => format!("panic: {panic}"),
        Err(_) => format!("no end after {CHECK_TIME_MAX:?}"),
    };
    println!("not ok {name}: {}", reason.split_whitespace().collect::<Vec<_>>().join(" "));
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text += &format!(" <- {cause}");
        next = cause.source();
    }
    text
}

#[track_caller]
pub fn equal<T: PartialEq + Debug>(actual: T, expected: T) -> Outcome {
    if actual == expected {
        return Ok(());
    }
    Err(format!("line {}: expected {expected:?}, got {actual:?}", std::panic::Location::caller().line()).into())
}

pub fn env(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio_postgres_suite::run().await;
    sqlx_suite::run().await;
    println!("# done");
}
