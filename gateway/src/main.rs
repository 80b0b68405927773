//! The `lakegate` program. The only file of the gateway that names the engine.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use futures::future::BoxFuture;
use lakegate::cluster::{Transport, process};
use lakegate::config::{AdminArgs, AdminCertificate, AdminWork, Cli, Config, EngineArgs, ServeArgs, Verb};
use lakegate::serve::{self, Foundation};
use lakegate_catalog::DataDirLock;
use lakegate_engine::flight::identity::{Identity, Role};
use lakegate_engine::flight::{self, RemoteEngine};
use lakegate_engine::{EngineOptions, LocalEngine};
use lakegate_engine_api::{Engine, EngineError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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
        Verb::Engine(args) => runtime.block_on(engine(*args)),
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
    let transport = match &foundation.config.cluster {
        Some(cluster) => Some(Flight::new(&cluster.join_secret_file, Role::Gateway)? as Arc<dyn Transport>),
        None => None,
    };
    Ok(serve::serve(foundation, Arc::new(engine), transport).await?)
}

async fn engine(args: EngineArgs) -> Result<(), Failure> {
    let config = args.resolve()?;
    std::fs::create_dir_all(&config.data_dir)?;
    let _lock = DataDirLock::acquire(&config.data_dir)?;
    let options = options(config.memory_limit_bytes, config.decoded_cache_bytes, &config.data_dir);
    let engine = Arc::new(LocalEngine::new(options)?);
    let transport = Flight::new(&config.join_secret_file, Role::Engine)?;
    Ok(process::run(config, engine, transport).await?)
}

fn engine_options(config: &Config) -> EngineOptions {
    options(config.memory_limit_bytes, config.decoded_cache_bytes, &config.data_dir)
}

fn options(memory_limit_bytes: u64, decoded_cache_bytes: u64, data_dir: &Path) -> EngineOptions {
    let memory_limit_bytes = usize::try_from(memory_limit_bytes).unwrap_or(usize::MAX);
    let decoded_cache_bytes = usize::try_from(decoded_cache_bytes).unwrap_or(usize::MAX);
    EngineOptions { decoded_cache_bytes, ..EngineOptions::new(memory_limit_bytes, data_dir.join("spill")) }
}

/// The engine crate's Arrow Flight as the gateway sees it.
struct Flight {
    server: Arc<rustls::ServerConfig>,
    client: Arc<rustls::ClientConfig>,
}

impl Flight {
    /// For a process of the role; its peers have the other one.
    fn new(secret_file: &Path, role: Role) -> Result<Arc<Flight>, Failure> {
        let failed = |problem: String| format!("join secret \"{}\": {problem}", secret_file.display());
        let secret = zeroize::Zeroizing::new(std::fs::read(secret_file).map_err(|error| failed(error.to_string()))?);
        let identity = Identity::derive(&secret, role).map_err(|error| failed(error.to_string()))?;
        let peer = match role {
            Role::Gateway => Role::Engine,
            Role::Engine => Role::Gateway,
        };
        Ok(Arc::new(Flight { server: identity.server_config(peer)?, client: identity.client_config(peer)? }))
    }
}

impl Transport for Flight {
    fn protocol(&self) -> u32 {
        u32::from(flight::PROTOCOL)
    }

    fn connect(&self, address: &str, instance: Uuid) -> Arc<dyn Engine> {
        Arc::new(RemoteEngine::new(address.to_owned(), instance, Arc::clone(&self.client)))
    }

    fn serve(
        &self,
        engine: Arc<dyn Engine>,
        instance: Uuid,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> BoxFuture<'static, Result<(), EngineError>> {
        Box::pin(flight::serve(engine, instance, listener, Arc::clone(&self.server), stop))
    }

    fn server_config(&self) -> Arc<rustls::ServerConfig> {
        Arc::clone(&self.server)
    }

    fn client_config(&self) -> Arc<rustls::ClientConfig> {
        Arc::clone(&self.client)
    }
}
