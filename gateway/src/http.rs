//! `/metrics` for Prometheus, `/healthz` (the process answers) and `/readyz` (it takes connections).

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Whether `/readyz` answers 200.
#[derive(Debug, Clone, Default)]
pub struct Readiness(Arc<AtomicBool>);

impl Readiness {
    pub fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::SeqCst);
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Installs the process's metrics recorder.
///
/// # Errors
/// One is installed already.
pub fn install_metrics() -> Result<PrometheusHandle, metrics_exporter_prometheus::BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    metrics::describe_counter!("lakegate_statements_total", "Statements ended, by type and status");
    metrics::describe_histogram!("lakegate_statement_seconds", metrics::Unit::Seconds, "Run time of statements, by type");
    metrics::describe_gauge!("lakegate_cache_bytes", metrics::Unit::Bytes, "What the engine's caches hold");
    metrics::describe_counter!("lakegate_cache_hits_total", "What was asked of the engine's caches and was there");
    metrics::describe_counter!("lakegate_cache_misses_total", "What was asked of the engine's caches and was not there");
    metrics::describe_counter!("lakegate_cache_evictions_total", "What the engine's caches gave up for something else");
    Ok(handle)
}

/// Listens and serves until the token fires. The address tells the port that was picked. `look` tells the metrics what is looked up when
/// they are asked for.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: &str,
    handle: PrometheusHandle,
    look: impl Fn() + Clone + Send + Sync + 'static,
    readiness: Readiness,
    stop: CancellationToken,
) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let local = listener.local_addr()?;
    let rendered = move || {
        look();
        std::future::ready(handle.render())
    };
    let routes =
        Router::new().route("/metrics", get(rendered)).route("/healthz", get(|| async { "ok\n" })).route(
            "/readyz",
            get(move || async move {
                if readiness.get() { (StatusCode::OK, "ready\n") } else { (StatusCode::SERVICE_UNAVAILABLE, "not ready\n") }
            }),
        );
    crate::tasks::spawn("http", async move {
        let served = axum::serve(listener, routes).with_graceful_shutdown(async move { stop.cancelled().await }).await;
        if let Err(error) = served {
            tracing::error!(%error, "the metrics listener ended");
        }
    });
    Ok(local)
}
