//! Options of `lakegate engine`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{ConfigError, absolute, decoded_cache, file, memory_limit, option};

/// Options of `engine`; every one is also a TOML key of the same name in the file that --config names.
#[derive(Debug, Default, Args, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EngineArgs {
    /// TOML file with any of these options.
    #[arg(long, env = "LAKEGATE_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Gateways to join at, HOST:PORT of their --cluster-listen, with commas between; the first that answers is taken
    #[arg(long, env = "LAKEGATE_JOIN")]
    pub join: Option<String>,
    /// File with the cluster's secret, at least 32 bytes, the same for all gateways and engines
    #[arg(long, env = "LAKEGATE_JOIN_SECRET_FILE")]
    pub join_secret_file: Option<PathBuf>,
    /// Address for gateways; port 0 picks a free one [default: 127.0.0.1:5440]
    #[arg(long, env = "LAKEGATE_LISTEN")]
    pub listen: Option<String>,
    /// HOST:PORT at which gateways reach it, where that is not the address it listens on
    #[arg(long, env = "LAKEGATE_ADVERTISE")]
    pub advertise: Option<String>,
    /// Name in system.compute.engines; a process that joins with a name replaces an earlier one [default: HOSTNAME:PORT]
    #[arg(long, env = "LAKEGATE_ENGINE_NAME")]
    pub name: Option<String>,
    /// Warehouse whose statements it runs [default: default]
    #[arg(long, env = "LAKEGATE_WAREHOUSE")]
    pub warehouse: Option<String>,
    /// KEY=VALUE, with commas between: shown in system.compute.engines
    #[arg(long, env = "LAKEGATE_LABELS")]
    pub labels: Option<String>,
    /// Directory for spill files; one process a directory [default: ./lakegate-engine]
    #[arg(long, env = "LAKEGATE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address of /metrics, /healthz and /readyz; port 0 picks a free one, "off" for none [default: off]
    #[arg(long, env = "LAKEGATE_METRICS_LISTEN")]
    pub metrics_listen: Option<String>,
    /// Memory for statements, e.g. 8GiB or 60% [default: 60%]
    #[arg(long, env = "LAKEGATE_MEMORY_LIMIT")]
    pub memory_limit: Option<String>,
    /// Memory for columns kept decoded, of what statements leave, e.g. 4GiB or 25% of the memory limit; 0 for none [default: 50%]
    #[arg(long, env = "LAKEGATE_DECODED_CACHE")]
    pub decoded_cache: Option<String>,
    /// Seconds that running statements and open transactions get after SIGTERM [default: 30]
    #[arg(long, env = "LAKEGATE_DRAIN_SECONDS")]
    pub drain_seconds: Option<u64>,
}

/// Everything decided.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// `host:port`, one at least.
    pub join: Vec<String>,
    pub join_secret_file: PathBuf,
    pub listen: String,
    pub advertise: Option<String>,
    /// As given.
    name: Option<String>,
    pub warehouse: String,
    pub labels: BTreeMap<String, String>,
    pub data_dir: PathBuf,
    pub metrics_listen: Option<String>,
    pub memory_limit_bytes: u64,
    pub decoded_cache_bytes: u64,
    pub drain: Duration,
}

impl EngineArgs {
    /// Lays flags and environment over the file and fills the defaults in.
    ///
    /// # Errors
    /// As [`super::ServeArgs::resolve`].
    pub fn resolve(self) -> Result<EngineConfig, ConfigError> {
        let file: EngineArgs = match &self.config {
            Some(path) => file::read(path, "engine")?,
            None => EngineArgs::default(),
        };
        let join = self.join.or(file.join).ok_or_else(|| option("--join", "an engine needs the address of a gateway, HOST:PORT"))?;
        let join_secret_file = self.join_secret_file.or(file.join_secret_file);
        let memory_limit_bytes = memory_limit(self.memory_limit.or(file.memory_limit).as_deref().unwrap_or("60%"))?;
        Ok(EngineConfig {
            join: addresses(&join)?,
            join_secret_file: join_secret_file
                .ok_or_else(|| option("--join-secret-file", "an engine needs the file with the cluster's secret"))?,
            listen: self.listen.or(file.listen).unwrap_or_else(|| "127.0.0.1:5440".to_owned()),
            advertise: self.advertise.or(file.advertise).map(|address| host_port("--advertise", &address)).transpose()?,
            name: self.name.or(file.name).filter(|name| !name.is_empty()),
            warehouse: self.warehouse.or(file.warehouse).unwrap_or_else(|| "default".to_owned()),
            labels: labels(self.labels.or(file.labels).as_deref().unwrap_or_default())?,
            data_dir: absolute(self.data_dir.or(file.data_dir).unwrap_or_else(|| "lakegate-engine".into()))?,
            metrics_listen: self.metrics_listen.or(file.metrics_listen).filter(|address| address != "off"),
            memory_limit_bytes,
            decoded_cache_bytes: decoded_cache(self.decoded_cache.or(file.decoded_cache).as_deref().unwrap_or("50%"), memory_limit_bytes)?,
            drain: Duration::from_secs(self.drain_seconds.or(file.drain_seconds).unwrap_or(30)),
        })
    }
}

impl EngineConfig {
    /// As given, or of the machine and the port.
    #[must_use]
    pub fn name(&self, local: SocketAddr) -> String {
        let hostname = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_else(|_| "engine".to_owned());
        self.name.clone().unwrap_or_else(|| format!("{}:{}", hostname().trim(), local.port()))
    }
}

fn addresses(text: &str) -> Result<Vec<String>, ConfigError> {
    text.split(',').map(|address| host_port("--join", address.trim())).collect()
}

fn host_port(name: &'static str, text: &str) -> Result<String, ConfigError> {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(text.to_owned()),
        _ => Err(option(name, format!("\"{text}\" is not HOST:PORT"))),
    }
}

fn labels(text: &str) -> Result<BTreeMap<String, String>, ConfigError> {
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| match pair.split_once('=') {
            Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
            _ => Err(option("--labels", format!("\"{pair}\" is not KEY=VALUE"))),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> EngineArgs {
        EngineArgs { join: Some("a:1, b:2".to_owned()), join_secret_file: Some("/secret".into()), ..EngineArgs::default() }
    }

    #[test]
    fn what_an_engine_needs() {
        let config = EngineArgs { labels: Some("zone=a, disk = ssd".to_owned()), ..args() }.resolve().unwrap();
        assert_eq!(config.join, ["a:1", "b:2"]);
        assert_eq!(
            config.labels.into_iter().collect::<Vec<_>>(),
            [("disk", "ssd"), ("zone", "a")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        assert_eq!(config.warehouse, "default");
        assert!(EngineArgs { join: None, ..args() }.resolve().is_err());
        assert!(EngineArgs { join_secret_file: None, ..args() }.resolve().is_err());
        for bad in ["", "host", "host:", ":1", "host:0", "host:99999"] {
            assert!(EngineArgs { join: Some(bad.to_owned()), ..args() }.resolve().is_err(), "{bad}");
        }
        assert!(EngineArgs { labels: Some("zone".to_owned()), ..args() }.resolve().is_err());
    }

    #[test]
    fn its_file_has_its_own_keys() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "join = \"h:1\"\njoin-secret-file = \"/s\"\nwarehouse = \"bi\"\n").unwrap();
        let config = EngineArgs { config: Some(file.path().into()), ..EngineArgs::default() }.resolve().unwrap();
        assert_eq!((config.join, config.warehouse.as_str()), (vec!["h:1".to_owned()], "bi"));
        std::fs::write(file.path(), "warehose = \"bi\"\n").unwrap();
        let error = EngineArgs { config: Some(file.path().into()), ..EngineArgs::default() }.resolve().unwrap_err().to_string();
        assert!(error.contains("\"warehouse\""), "{error}");
    }
}
