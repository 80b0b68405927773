//! Logs to standard error: JSON lines, or plain text on a terminal. `LAKEGATE_LOG` filters as `RUST_LOG` does elsewhere.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// Installs the process's log subscriber; the first call counts.
pub fn install() {
    let filter = EnvFilter::try_from_env("LAKEGATE_LOG").unwrap_or_else(|_| {
        EnvFilter::new(
            "info,buoyant_kernel=warn,buoyant_kernel_engine=warn,delta_kernel=warn,deltalake_core=warn,datafusion=warn,sqlx=warn",
        )
    });
    let builder = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter);
    let installed = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().flatten_event(true).try_init() };
    // A second subscriber in one process (tests) changes nothing.
    drop(installed);
}
