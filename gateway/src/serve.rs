//! `lakegate serve`: the parts of one process put together, in the order in which they may fail.

use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

use chrono::Utc;
use lakegate_catalog::auth::PasswordCost;
use lakegate_catalog::{Bootstrap, Catalog, CatalogError, CatalogOptions, DataDirLock, Kek, KekFile};
use lakegate_engine_api::{Engine, EngineError};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

use crate::auth::jwt::JwtVerifier;
use crate::auth::rules::{Rules, RulesError};
use crate::cluster::directory::Directory;
use crate::cluster::messages::ClusterFacts;
use crate::cluster::{Fleet, Transport};
use crate::config::{ClusterConfig, Config};
use crate::detect::runner::WatchOptions;
use crate::http::{self, Readiness};
use crate::server::{self, ServerOptions};
use crate::sql::advisory::AdvisoryLocks;
use crate::sql::kept_plans::KeptPlans;
use crate::sql::notification_relay;
use crate::sql::session::{Sessions, Shared};
use crate::sqlstate::SqlError;
use crate::system::SystemRelations;
use crate::tls;
use crate::vault::VaultTransit;

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    #[error("could not make data directory \"{path}\": {error}")]
    DataDir { path: String, error: std::io::Error },
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("warehouse root \"{root}\": {error}{}", hint_of(error))]
    Warehouse { root: String, error: EngineError },
    #[error("could not listen on \"{address}\": {error}{}", if error.kind() == std::io::ErrorKind::AddrInUse { "; another server runs there: choose another port with --listen or --metrics-listen" } else { "" })]
    Listen { address: String, error: std::io::Error },
    #[error(transparent)]
    Rules(#[from] RulesError),
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    #[error("could not install the metrics recorder: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("could not undo an unfinished commit: {0}")]
    Recovery(SqlError),
    #[error("could not fill the demo database: {0}")]
    Demo(SqlError),
    #[error("could not write the audit log: {0}")]
    Audit(SqlError),
    #[error("could not wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("could not print the ready line: {0}")]
    Output(std::io::Error),
}

fn hint_of(error: &EngineError) -> String {
    match error {
        EngineError::Unsupported { hint: Some(hint), .. } => format!(" ({hint})"),
        _ => String::new(),
    }
}

/// Everything that must be there before an engine is: the directory, its lock, the catalog.
pub struct Foundation {
    pub config: Config,
    pub catalog: Catalog,
    /// Held as long as the process works on the directory.
    _lock: DataDirLock,
    generated_password: Option<Zeroizing<String>>,
}

impl Foundation {
    /// Opens or makes the data directory and the catalog.
    ///
    /// # Errors
    /// The directory is in use or cannot be made; the key does not fit; the catalog cannot be reached or is too new.
    pub async fn lay(config: Config) -> Result<Self, ServeError> {
        // Nobody else's: it holds keys, and tables in clear.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.data_dir)
            .map_err(|error| ServeError::DataDir { path: config.data_dir.display().to_string(), error })?;
        let lock = DataDirLock::acquire(&config.data_dir)?;
        let mut options = catalog_options(&config).await?;
        options.password_cost = PasswordCost { memory_kib: config.password_memory_kib, passes: config.password_passes };
        options.protected_roots = vec![config.warehouse_root.clone()];
        // The lock of the data directory is the embedded catalog's too.
        let file = config.catalog_url.strip_prefix("sqlite://").map(std::path::Path::new);
        // Engines of other processes read what is committed.
        options.sole_process = file.is_some_and(|file| file.starts_with(&config.data_dir)) && config.cluster.is_none();
        let catalog = open_catalog(options).await?;
        let admin_password = std::env::var("LAKEGATE_ADMIN_PASSWORD").ok().filter(|password| !password.is_empty()).map(Zeroizing::new);
        let outcome = catalog.bootstrap(Bootstrap { admin_password }).await?;
        Ok(Foundation { config, catalog, _lock: lock, generated_password: outcome.generated_password })
    }
}

/// The file that the key-encryption key is kept in where it is not given otherwise.
fn kek_file(config: &Config) -> Result<KekFile, CatalogError> {
    let path = config.kek_file.clone();
    Ok(match &config.kek_vault {
        None => KekFile::plain(path),
        Some(vault) => KekFile::wrapped(path, Arc::new(VaultTransit::from_environment(&vault.key, vault.token_file.clone())?)),
    })
}

/// For a catalog of this configuration, with the key-encryption key from where it is kept.
///
/// # Errors
/// It cannot be had, or is none.
pub async fn catalog_options(config: &Config) -> Result<CatalogOptions, CatalogError> {
    let (kek, kek_file) = match (&config.kek, &config.kek_command) {
        (Some(kek), _) => (Kek::from_base64(kek)?, None),
        (None, Some(command)) => (Kek::from_command(command)?, None),
        (None, None) => {
            let file = kek_file(config)?;
            (file.load_or_create().await?, Some(file))
        }
    };
    Ok(CatalogOptions { kek_file, ..CatalogOptions::new(config.catalog_url.clone(), kek) })
}

/// A rotation that was cut off after the keys were wrapped anew has left the key that opens them beside the old one.
async fn open_catalog(mut options: CatalogOptions) -> Result<Catalog, CatalogError> {
    let opened = Catalog::open(options.clone()).await;
    match (&opened, options.kek_file.clone()) {
        (Err(CatalogError::WrongKek), Some(file)) if file.next().exists() => {
            options.kek = file.next().load_or_create().await?;
            let catalog = Catalog::open(options).await?;
            file.take_next()?;
            tracing::info!("a rotation of the key-encryption key was finished");
            Ok(catalog)
        }
        _ => opened,
    }
}

/// Serves until SIGTERM or SIGINT, then drains. `transport`: the way to engines of other processes, where there is a cluster.
///
/// # Errors
/// What keeps it from starting.
pub async fn serve(foundation: Foundation, engine: Arc<dyn Engine>, transport: Option<Arc<dyn Transport>>) -> Result<(), ServeError> {
    let Foundation { config, catalog, generated_password, .. } = &foundation;
    let stop = CancellationToken::new();
    let readiness = Readiness::default();
    let metrics = http::install_metrics()?;
    let fleet = match (&config.cluster, transport) {
        (Some(cluster), Some(transport)) => Some(fleet(&foundation, cluster, &engine, transport, &stop).await?),
        _ => None,
    };
    // Without an engine of its own nothing of this waits for one to join.
    let opens_tables = fleet.as_ref().is_none_or(|fleet| fleet.own_opens());
    let engine = fleet.as_ref().map_or(engine, |fleet| fleet.of(None));
    engine
        .check_store(&config.warehouse_root)
        .await
        .map_err(|error| ServeError::Warehouse { root: config.warehouse_root.clone(), error })?;
    if opens_tables {
        crate::sql::together::recover(catalog, engine.as_ref(), true).await.map_err(ServeError::Recovery)?;
    }
    crate::sql::together::keep_recovering(catalog.clone(), Arc::clone(&engine), stop.clone());
    let tls = tls::Tls::load(&config.data_dir, config.tls.clone(), config.tls_client_ca.clone())?;
    let listener = TcpListener::bind(&config.listen).await.map_err(|error| ServeError::Listen { address: config.listen.clone(), error })?;
    let address = listener.local_addr().map_err(|error| ServeError::Listen { address: config.listen.clone(), error })?;
    if let Some(metrics_listen) = &config.metrics_listen {
        let caches = Arc::clone(&engine);
        let look = move || crate::system::caches::publish(&caches.caches());
        let local = http::serve(metrics_listen, metrics, look, readiness.clone(), stop.clone())
            .await
            .map_err(|error| ServeError::Listen { address: metrics_listen.clone(), error })?;
        tracing::info!(address = %local, "metrics, healthz and readyz");
    }
    if lakegate_catalog::statement_log::IS_UNLOGGED {
        tracing::error!("this build writes no statement log: it is for measurements, not for use");
    }
    let live = server::LiveSessions::default();
    live.work().attach(Arc::clone(&engine));
    if let Some(fleet) = &fleet {
        live.work().attach_fleet(Arc::clone(fleet));
    }
    let shared = Arc::new(Shared {
        catalog: catalog.clone(),
        engine,
        fleet,
        warehouse_root: config.warehouse_root.clone(),
        system: SystemRelations::new(catalog.clone(), live.clone()),
        notifications: Arc::default(),
        advisory: AdvisoryLocks::default(),
        kept_plans: KeptPlans::default(),
        together: Arc::default(),
        snapshots: Default::default(),
        guards: Default::default(),
        server_start: Utc::now(),
    });
    keep_telling_readers(Arc::clone(&shared), live.clone(), stop.clone());
    crate::system::audit::server_start(catalog, &address.to_string(), config).await.map_err(ServeError::Audit)?;
    let watch = WatchOptions { webhook: config.findings_webhook.clone(), sigma_rules: config.sigma_rules.clone() };
    crate::detect::runner::start(&shared, watch, &stop);
    if let Err(error) = crate::sql::temporary::drop_leftovers(&shared).await {
        tracing::warn!(error = %error.message, "temporary tables of an earlier process could not be dropped");
    }
    notification_relay::start(catalog, &shared.notifications, &stop).await?;
    if config.demo {
        let identity = catalog.bootstrap_identity()?;
        crate::demo::fill(&shared, identity).await.map_err(ServeError::Demo)?;
    }
    let options = ServerOptions {
        tls: Some(tls),
        max_connections: config.max_connections,
        auth_method: if config.auth_password { server::AuthMethod::Password } else { server::AuthMethod::Scram },
        rules: config.access_rules.as_deref().map(Rules::read).transpose()?.map(Arc::new),
        jwt: config.jwt.clone().map(JwtVerifier::new),
        allow_plain_remote: config.allow_plain_remote,
        drain: config.drain,
        ..ServerOptions::default()
    };
    crate::privacy::keep_resuming(Arc::clone(&shared), stop.clone());
    if let Some(maintenance) = config.maintenance {
        crate::background::keep_tidy(Arc::clone(&shared), maintenance, stop.clone());
    }
    if let Some(flushing) = config.flushing {
        crate::old_logs::keep_flushing(Arc::clone(&shared), flushing, stop.clone());
    }
    announce(address, generated_password.as_ref().map(|password| password.as_str())).map_err(ServeError::Output)?;
    readiness.set(true);
    let draining = stop_on_signal(stop.clone(), readiness).map_err(ServeError::Signals)?;
    server::serve(listener, options, Arc::new(Sessions(Arc::clone(&shared))), catalog.clone(), live, draining).await;
    notification_relay::finish(&shared.notifications).await;
    stop.cancel();
    catalog.close().await;
    tracing::info!("stopped");
    Ok(())
}

/// The engines of this process and of others; where it is told to, others can join here.
async fn fleet(
    foundation: &Foundation,
    cluster: &ClusterConfig,
    engine: &Arc<dyn Engine>,
    transport: Arc<dyn Transport>,
    stop: &CancellationToken,
) -> Result<Arc<Fleet>, ServeError> {
    let catalog = &foundation.catalog;
    if let Some(address) = &cluster.listen {
        let facts = ClusterFacts {
            warehouse_root: foundation.config.warehouse_root.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: transport.protocol(),
        };
        let local = crate::cluster::listener::serve(address, &transport.server_config(), catalog.clone(), facts, stop.clone())
            .await
            .map_err(|error| ServeError::Listen { address: address.clone(), error })?;
        tracing::info!(address = %local, "engines can join");
    }
    let directory = Directory::new(catalog.clone(), transport);
    directory.look().await?;
    directory.keep_looking(stop.clone());
    Ok(Fleet::new(Arc::clone(engine), cluster.embedded, catalog.clone(), directory))
}

/// Other processes on the catalog learn what this one may still read: VACUUM keeps it. What they have erased is dropped from memory here.
fn keep_telling_readers(shared: Arc<Shared>, live: server::LiveSessions, stop: CancellationToken) {
    if shared.catalog.is_sole_process() {
        return;
    }
    crate::tasks::spawn("readers", async move {
        let catalog = &shared.catalog;
        loop {
            if let Err(error) = crate::privacy::forget_what_others_erased(&shared).await {
                tracing::warn!(error = %error.message, "what another process has erased could not be dropped from memory");
            }
            if let Err(error) = catalog.tell_oldest_reader(live.oldest_reader(0)).await {
                tracing::warn!(%error, "other processes could not be told what is being read");
            }
            match catalog.end_lost_statements().await {
                Ok(0) => {}
                Ok(lost) => tracing::warn!(statements = lost, "statements of a process that is gone are marked as lost"),
                Err(error) => tracing::warn!(%error, "statements of processes that are gone could not be looked for"),
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(lakegate_catalog::readers::TELL_EVERY) => {}
            }
        }
        if let Err(error) = catalog.forget_reader().await {
            tracing::debug!(%error, "readers of this process");
        }
    });
}

/// The one line that programs wait for; a generated password goes to standard error, once.
fn announce(address: std::net::SocketAddr, generated_password: Option<&str>) -> std::io::Result<()> {
    use std::io::Write;
    if let Some(password) = generated_password {
        writeln!(std::io::stderr(), "password of role admin (shown this once): {password}")?;
    }
    let host = Config::connect_host(address);
    let mut out = std::io::stdout();
    writeln!(out, "ready: postgres://admin@{host}:{}/main", address.port())?;
    out.flush()
}

/// A token that fires at the first SIGTERM or SIGINT; a second one ends the process at once.
///
/// # Errors
/// The system's.
pub fn stop_on_signal(stop: CancellationToken, readiness: Readiness) -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let draining = CancellationToken::new();
    let token = draining.clone();
    crate::tasks::spawn("signals", async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stop.cancelled() => return,
        }
        tracing::info!("draining: no new connections");
        readiness.set(false);
        token.cancel();
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = stop.cancelled() => return,
        }
        tracing::warn!("second signal: stopping at once");
        std::process::exit(1);
    });
    Ok(draining)
}
