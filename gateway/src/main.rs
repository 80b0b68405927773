//! The `lakegate` program. The only file of the gateway that names the engine.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use lakegate::config::{AdminArgs, AdminCertificate, AdminWork, Cli, Config, ServeArgs, Verb};
use lakegate::serve::{self, Foundation};
use lakegate_engine::{EngineOptions, LocalEngine};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Statements are parsed and bound on these threads, by code that recurses; pages are only committed where it does.
const STACK_BYTES: usize = 64 << 20;

/// What a program's caller is told; each part has worded its own error.
type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    lakegate::telemetry::install();
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to do where even standard error is gone.
            let _ = writeln!(std::io::stderr(), "lakegate: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("gateway").thread_stack_size(STACK_BYTES).build()?;
    match cli.command {
        Verb::Serve(args) => runtime.block_on(serve(*args)),
        Verb::Admin(args) => runtime.block_on(async {
            let AdminArgs { work, serve } = *args;
            if let AdminWork::Certificate(AdminCertificate::Verify { file, key }) = &work {
                return Ok(lakegate::admin::verify_certificate(file, key.as_deref())?);
            }
            let config = serve.resolve()?;
            if matches!(work, AdminWork::Backup { .. } | AdminWork::Restore { .. } | AdminWork::Migrate { .. }) {
                return Ok(lakegate::admin::copy(&work, &config).await?);
            }
            if let AdminWork::Log(work) = &work
                && lakegate::admin_log::is_offline(work)
            {
                return Ok(lakegate::admin_log::offline(work).await?);
            }
            let foundation = Foundation::lay(config).await?;
            let engine = Arc::new(LocalEngine::new(engine_options(&foundation.config))?);
            Ok(lakegate::admin::run(work, &foundation, engine).await?)
        }),
    }
}

async fn serve(args: ServeArgs) -> Result<(), Failure> {
    let foundation = Foundation::lay(args.resolve()?).await?;
    let engine = LocalEngine::new(engine_options(&foundation.config))?;
    Ok(serve::serve(foundation, Arc::new(engine)).await?)
}

fn engine_options(config: &Config) -> EngineOptions {
    let memory_limit_bytes = usize::try_from(config.memory_limit_bytes).unwrap_or(usize::MAX);
    let decoded_cache_bytes = usize::try_from(config.decoded_cache_bytes).unwrap_or(usize::MAX);
    EngineOptions { decoded_cache_bytes, ..EngineOptions::new(memory_limit_bytes, config.data_dir.join("spill")) }
}
