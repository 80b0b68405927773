//! `lakegate engine`: an engine in a process of its own.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use lakegate_catalog::engines::{EngineFacts, EngineLoad, Standing};
use lakegate_engine_api::{Engine, EngineError};
use tokio::net::{TcpListener, UdpSocket};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::join::{Gateways, JoinError};
use super::messages::Registration;
use super::{Fleet, Transport};
use crate::config::EngineConfig;
use crate::http::{self, Readiness};

/// Between two signs of life.
const BEAT_EVERY: Duration = Duration::from_secs(1);
/// Between two looks for a gateway, before the engine has joined.
const TRY_EVERY: Duration = Duration::from_millis(500);
/// So long gateways take at most to see that an engine drains.
const SEEN_AFTER: Duration = Duration::from_millis(1_500);
/// Between two looks whether all has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What is left when the time to drain is over gets so long to hear of it.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// Why an engine did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum EngineProcessError {
    #[error("could not listen on \"{address}\": {error}{}", if error.kind() == std::io::ErrorKind::AddrInUse { "; another server runs there: choose another port with --listen or --metrics-listen" } else { "" })]
    Listen { address: String, error: std::io::Error },
    #[error(transparent)]
    Join(#[from] JoinError),
    #[error("warehouse root \"{root}\": {error}")]
    Warehouse { root: String, error: EngineError },
    #[error("the service ended: {0}")]
    Service(EngineError),
    #[error("another process has joined as \"{0}\": this one is not an engine of the cluster any more")]
    Replaced(String),
    #[error("could not install the metrics recorder: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
    #[error("could not wait for signals: {0}")]
    Signals(std::io::Error),
    #[error("could not print the ready line: {0}")]
    Output(std::io::Error),
}

/// Serves until SIGTERM or SIGINT, then drains: gateways send nothing new, what has begun ends.
///
/// # Errors
/// What keeps it from joining; that another process has taken its name.
pub async fn run(config: EngineConfig, engine: Arc<dyn Engine>, transport: Arc<dyn Transport>) -> Result<(), EngineProcessError> {
    let stop = CancellationToken::new();
    let readiness = Readiness::default();
    let failed = |address: &str| {
        let address = address.to_owned();
        move |error| EngineProcessError::Listen { address, error }
    };
    let listener = TcpListener::bind(&config.listen).await.map_err(failed(&config.listen))?;
    let local = listener.local_addr().map_err(failed(&config.listen))?;
    let fleet = Fleet::alone(&config.name(local), engine);
    if let Some(address) = &config.metrics_listen {
        let metrics = http::install_metrics()?;
        let shown = Arc::clone(&fleet);
        let look = move || crate::system::caches::publish(&shown.own().engine.caches());
        http::serve(address, metrics, look, readiness.clone(), stop.clone()).await.map_err(failed(address))?;
    }
    let draining = crate::serve::stop_on_signal(stop.clone(), readiness.clone()).map_err(EngineProcessError::Signals)?;
    let gateways = Gateways::new(config.join.clone(), &transport.client_config())?;
    let instance = Uuid::new_v4();
    let serving = transport.serve(fleet.of(None), instance, listener, stop.clone());
    tokio::pin!(serving);
    let membership =
        Membership { config: &config, fleet: &fleet, gateways: &gateways, readiness: &readiness, protocol: transport.protocol() };
    let ended = tokio::select! {
        served = &mut serving => Err(served.err().map_or(EngineProcessError::Service(EngineError::Internal { message: "it stopped".to_owned() }), EngineProcessError::Service)),
        ended = membership.until_drained(instance, local, draining) => ended,
    };
    stop.cancel();
    if tokio::time::timeout(STOP_LIMIT, serving).await.is_err() {
        tracing::warn!("statements were cut off");
    }
    tracing::info!("stopped");
    ended
}

struct Membership<'a> {
    config: &'a EngineConfig,
    fleet: &'a Arc<Fleet>,
    gateways: &'a Gateways,
    readiness: &'a Readiness,
    protocol: u32,
}

impl Membership<'_> {
    async fn until_drained(&self, instance: Uuid, local: SocketAddr, draining: CancellationToken) -> Result<(), EngineProcessError> {
        let registration = Registration {
            name: self.fleet.own().name.clone(),
            instance,
            address: self.address(local).await,
            warehouse: self.config.warehouse.clone(),
            facts: EngineFacts {
                labels: self.config.labels.clone(),
                cores: std::thread::available_parallelism().map_or(1, |cores| u32::try_from(cores.get()).unwrap_or(1)),
                memory_limit_bytes: self.config.memory_limit_bytes,
                version: env!("CARGO_PKG_VERSION").to_owned(),
                protocol: self.protocol,
                started: Utc::now(),
            },
        };
        let joined = tokio::select! {
            joined = self.join(&registration) => joined,
            () = draining.cancelled() => return Ok(()),
        };
        joined?;
        announce(&registration).map_err(EngineProcessError::Output)?;
        self.readiness.set(true);
        loop {
            tokio::select! {
                () = draining.cancelled() => break,
                () = tokio::time::sleep(BEAT_EVERY) => self.beat(&registration, false).await?,
            }
        }
        self.drain(&registration).await
    }

    /// Waits for a gateway, looks at the warehouse's root, registers.
    async fn join(&self, registration: &Registration) -> Result<(), EngineProcessError> {
        let mut told = false;
        let cluster = loop {
            match self.gateways.cluster().await {
                Ok(cluster) => break cluster,
                Err(error @ JoinError::Unreachable(_)) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(%error, "waiting for a gateway");
                    }
                    tokio::time::sleep(TRY_EVERY).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let checked = self.fleet.own().engine.check_store(&cluster.warehouse_root).await;
        checked.map_err(|error| EngineProcessError::Warehouse { root: cluster.warehouse_root.clone(), error })?;
        loop {
            match self.gateways.register(registration).await {
                Err(JoinError::Unreachable(_)) => tokio::time::sleep(TRY_EVERY).await,
                registered => return Ok(registered.map(drop)?),
            }
        }
    }

    /// A gateway that cannot be reached does not end the engine: others may go on using it.
    async fn beat(&self, registration: &Registration, draining: bool) -> Result<(), EngineProcessError> {
        match self.gateways.beat(registration, self.load(draining)).await {
            Ok(Standing::Member) => Ok(()),
            Ok(Standing::Replaced) => Err(EngineProcessError::Replaced(registration.name.clone())),
            Ok(Standing::Unknown) if draining => Ok(()),
            Ok(Standing::Unknown) => match self.gateways.register(registration).await {
                Err(error @ JoinError::Refused { .. }) => Err(error.into()),
                Err(error) => {
                    tracing::warn!(%error, "could not join again");
                    Ok(())
                }
                Ok(_) => Ok(()),
            },
            Err(error) => {
                tracing::warn!(%error, "no gateway hears of this engine");
                Ok(())
            }
        }
    }

    /// Gateways learn of it first; then what runs and what is staged gets its time.
    async fn drain(&self, registration: &Registration) -> Result<(), EngineProcessError> {
        let until = tokio::time::Instant::now() + self.config.drain;
        self.beat(registration, true).await?;
        let seen = tokio::time::Instant::now() + SEEN_AFTER;
        let mut beaten = tokio::time::Instant::now();
        loop {
            let now = tokio::time::Instant::now();
            let idle = self.fleet.own().counts() == (0, 0);
            if (idle && now >= seen) || now >= until {
                break;
            }
            if now >= beaten + BEAT_EVERY {
                beaten = now;
                self.beat(registration, true).await?;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if let Err(error) = self.gateways.leave(registration).await {
            tracing::warn!(%error, "no gateway hears that this engine leaves");
        }
        Ok(())
    }

    fn load(&self, draining: bool) -> EngineLoad {
        let own = self.fleet.own();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let (running, transactions) = own.counts();
        let caches = own.engine.caches().into_iter().map(crate::system::caches::told);
        EngineLoad {
            running: count(running),
            queued: 0,
            transactions: count(transactions),
            memory_bytes: resident_bytes(),
            draining,
            caches: caches.collect(),
        }
    }

    /// Where gateways reach it: as configured, or where it listens; an address that is all of the machine's is that of the way to a gateway.
    async fn address(&self, local: SocketAddr) -> String {
        if let Some(address) = &self.config.advertise {
            return address.clone();
        }
        let mut address = local;
        if address.ip().is_unspecified()
            && let Some(ip) = way_to(self.gateways.first()).await
        {
            address.set_ip(ip);
        }
        address.to_string()
    }
}

/// The address of this machine that a connection to the gateway would have. Nothing is sent.
async fn way_to(gateway: &str) -> Option<IpAddr> {
    let peer = tokio::net::lookup_host(gateway).await.ok()?.next()?;
    let any: SocketAddr = if peer.is_ipv6() { "[::]:0".parse().ok()? } else { "0.0.0.0:0".parse().ok()? };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(peer).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// From `/proc/self/statm`: pages, the second number those in memory. 0 where it is not told.
fn resident_bytes() -> u64 {
    const PAGE_BYTES: u64 = 4_096;
    let told = std::fs::read_to_string("/proc/self/statm").ok();
    told.and_then(|told| told.split_whitespace().nth(1)?.parse::<u64>().ok()).map_or(0, |pages| pages * PAGE_BYTES)
}

/// The one line that programs wait for.
fn announce(registration: &Registration) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout();
    writeln!(out, "ready: grpc+tls://{}/{}", registration.address, registration.warehouse)?;
    out.flush()
}
