//! Options of the command line, the environment and the TOML file. A flag wins over the environment, the environment
//! over the file.

mod engine;
mod file;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub use engine::{EngineArgs, EngineConfig};
pub use file::ConfigFileError;

use crate::auth::jwt::JwtOptions;
use crate::background::Maintenance;
use crate::old_logs::Flushing;

/// A SQL warehouse gateway: PostgreSQL clients in front, Delta Lake tables behind.
#[derive(Debug, Parser)]
#[command(name = "lakegate", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Verb,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run gateway, catalog and engine in one process.
    Serve(Box<ServeArgs>),
    /// Run an engine in a process of its own, which gateways send statements to.
    Engine(Box<EngineArgs>),
    /// Work on the catalog while no server runs on it.
    Admin(Box<AdminArgs>),
}

/// Options of `serve`; every one is also a TOML key of the same name in the file that --config names.
#[derive(Debug, Default, Args, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ServeArgs {
    /// TOML file with any of these options.
    #[arg(long, env = "LAKEGATE_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Directory of catalog, keys, certificates and, unless told otherwise, tables [default: ./lakegate-data]
    #[arg(long, env = "LAKEGATE_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address for PostgreSQL clients; port 0 picks a free one [default: 127.0.0.1:5439]
    #[arg(long, env = "LAKEGATE_LISTEN")]
    pub listen: Option<String>,
    /// Root of managed tables: a directory, or s3://bucket/prefix with the standard AWS_* variables [default: <data-dir>/warehouse]
    #[arg(long, env = "LAKEGATE_WAREHOUSE_ROOT")]
    pub warehouse_root: Option<String>,
    /// sqlite://path or postgres://… [default: sqlite://<data-dir>/catalog.db]
    #[arg(long, env = "LAKEGATE_CATALOG_URL")]
    pub catalog_url: Option<String>,
    /// File with the key-encryption key, 32 bytes; made at first start [default: <data-dir>/kek.key]
    #[arg(long, env = "LAKEGATE_KEK_FILE")]
    pub kek_file: Option<PathBuf>,
    /// The key-encryption key itself, base64 of 32 bytes; environment only, instead of the file.
    #[arg(skip)]
    #[serde(skip)]
    pub kek: Option<String>,
    /// PEM certificate chain; with --tls-key. Made at first start where absent [default: <data-dir>/server.crt]
    #[arg(long, env = "LAKEGATE_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// PEM private key; with --tls-cert [default: <data-dir>/server.key]
    #[arg(long, env = "LAKEGATE_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Address of /metrics, /healthz and /readyz; port 0 picks a free one, "off" for none [default: 127.0.0.1:9439]
    #[arg(long, env = "LAKEGATE_METRICS_LISTEN")]
    pub metrics_listen: Option<String>,
    /// Memory for statements, e.g. 8GiB or 60% [default: 60%]
    #[arg(long, env = "LAKEGATE_MEMORY_LIMIT")]
    pub memory_limit: Option<String>,
    /// Memory for columns kept decoded, of what statements leave, e.g. 4GiB or 25% of the memory limit; 0 for none [default: 50%]
    #[arg(long, env = "LAKEGATE_DECODED_CACHE")]
    pub decoded_cache: Option<String>,
    /// Seconds that running statements get after SIGTERM [default: 30]
    #[arg(long, env = "LAKEGATE_DRAIN_SECONDS")]
    pub drain_seconds: Option<u64>,
    /// Most client connections at once [default: 200]
    #[arg(long, env = "LAKEGATE_MAX_CONNECTIONS")]
    pub max_connections: Option<usize>,
    /// How clients prove their identity over TLS: scram or password (argon2id) [default: scram]
    #[arg(long, env = "LAKEGATE_AUTH_METHOD", value_parser = ["scram", "password"])]
    pub auth_method: Option<String>,
    /// TOML file with access rules like pg_hba.conf's; without it everybody may come, by --auth-method
    #[arg(long, env = "LAKEGATE_ACCESS_RULES")]
    pub access_rules: Option<PathBuf>,
    /// PEM certificates of who signs clients' certificates, for access rules with method cert
    #[arg(long, env = "LAKEGATE_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,
    /// Issuer of tokens that are accepted in a password's place (OpenID Connect); with --jwt-audience and --jwt-keys
    #[arg(long, env = "LAKEGATE_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,
    /// Audience that those tokens must name
    #[arg(long, env = "LAKEGATE_JWT_AUDIENCE")]
    pub jwt_audience: Option<String>,
    /// The issuer's keys: a JWK set, as a file or a URL
    #[arg(long, env = "LAKEGATE_JWT_KEYS")]
    pub jwt_keys: Option<String>,
    /// Claim that names the role or a list of roles; dots lead into objects [default: sub]
    #[arg(long, env = "LAKEGATE_JWT_ROLE_CLAIM")]
    pub jwt_role_claim: Option<String>,
    /// Seconds that the issuer's clock may be apart [default: 30]
    #[arg(long, env = "LAKEGATE_JWT_LEEWAY_SECONDS")]
    pub jwt_leeway_seconds: Option<u64>,
    /// Memory that hashing a password takes, in KiB (argon2id); stored hashes follow at the next login [default: 19456]
    #[arg(long, env = "LAKEGATE_PASSWORD_MEMORY_KIB", value_parser = clap::value_parser!(u32).range(1_024..=262_144))]
    pub password_memory_kib: Option<u32>,
    /// Passes over that memory [default: 2]
    #[arg(long, env = "LAKEGATE_PASSWORD_PASSES", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub password_passes: Option<u32>,
    /// Program whose standard output is the key-encryption key, base64 of 32 bytes; instead of the file
    #[arg(long, env = "LAKEGATE_KEK_COMMAND")]
    pub kek_command: Option<String>,
    /// Key of Vault's transit engine that wraps the key file, as mount/key, e.g. transit/lakegate; with VAULT_ADDR and VAULT_TOKEN, the file is <data-dir>/kek.vault
    #[arg(long, env = "LAKEGATE_KEK_VAULT_KEY", conflicts_with = "kek_command")]
    pub kek_vault_key: Option<String>,
    /// File with the token for Vault, read at each request, instead of VAULT_TOKEN
    #[arg(long, env = "LAKEGATE_KEK_VAULT_TOKEN_FILE")]
    pub kek_vault_token_file: Option<PathBuf>,
    /// Address that findings of detections are sent to, as JSON by POST
    #[arg(long, env = "LAKEGATE_FINDINGS_WEBHOOK")]
    pub findings_webhook: Option<String>,
    /// Folder of Sigma rules (*.yml, *.yaml) that become detections
    #[arg(long, env = "LAKEGATE_SIGMA_RULES")]
    pub sigma_rules: Option<PathBuf>,
    /// Let clients without TLS in from other hosts too (SCRAM only).
    #[arg(long, env = "LAKEGATE_ALLOW_PLAIN_REMOTE", num_args = 0..=1, default_missing_value = "true")]
    pub allow_plain_remote: Option<bool>,
    /// Put small files of tables together and clean their logs without being asked; false leaves it to OPTIMIZE [default: true]
    #[arg(long, env = "LAKEGATE_MAINTENANCE", num_args = 0..=1, default_missing_value = "true")]
    pub maintenance: Option<bool>,
    /// Seconds between looks at what there is to do [default: 60]
    #[arg(long, env = "LAKEGATE_MAINTENANCE_SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub maintenance_seconds: Option<u32>,
    /// Most megabytes of a table's data files that one look rewrites [default: 1024]
    #[arg(long, env = "LAKEGATE_MAINTENANCE_MB", value_parser = clap::value_parser!(u32).range(1..=1_048_576))]
    pub maintenance_mb: Option<u32>,
    /// Hours that records of the logs stay in the catalog; older ones are Delta tables in the warehouse [default: 24]
    #[arg(long, env = "LAKEGATE_LOG_RECENT_HOURS", value_parser = clap::value_parser!(u32).range(0..=87_600))]
    pub log_recent_hours: Option<u32>,
    /// Records of a log that stay in the catalog at most, whatever their age [default: 500000]
    #[arg(long, env = "LAKEGATE_LOG_RECENT_RECORDS")]
    pub log_recent_records: Option<u64>,
    /// Days after which old records of the logs are deleted; 0 keeps them [default: 0]
    #[arg(long, env = "LAKEGATE_LOG_RETENTION_DAYS", value_parser = clap::value_parser!(u32).range(0..=36_500))]
    pub log_retention_days: Option<u32>,
    /// Seconds between looks for old records of the logs; 0 leaves all of them in the catalog [default: 60]
    #[arg(long, env = "LAKEGATE_LOG_FLUSH_SECONDS", value_parser = clap::value_parser!(u32).range(0..=86_400))]
    pub log_flush_seconds: Option<u32>,
    /// Address at which engines join (mutual TLS); port 0 picks a free one; with --join-secret-file [default: none]
    #[arg(long, env = "LAKEGATE_CLUSTER_LISTEN")]
    pub cluster_listen: Option<String>,
    /// File with the cluster's secret, at least 32 bytes, the same for all gateways and engines; with it statements go to engines that have joined, here or at another gateway of the catalog
    #[arg(long, env = "LAKEGATE_JOIN_SECRET_FILE")]
    pub join_secret_file: Option<PathBuf>,
    /// Run statements of warehouses without engines in this process; false opens no table here [default: true]
    #[arg(long, env = "LAKEGATE_EMBEDDED_ENGINE", num_args = 0..=1, default_missing_value = "true")]
    pub embedded_engine: Option<bool>,
    /// Fill database demo on first start.
    #[arg(long, env = "LAKEGATE_DEMO", num_args = 0..=1, default_missing_value = "true")]
    pub demo: Option<bool>,
}

#[derive(Debug, Args)]
pub struct AdminArgs {
    #[command(subcommand)]
    pub work: AdminWork,
    #[command(flatten)]
    pub serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub enum AdminWork {
    /// Roles that log in.
    #[command(subcommand)]
    User(AdminUser),
    /// Keys of the sealed log.
    #[command(subcommand)]
    Keys(AdminKeys),
    /// The sealed log.
    #[command(subcommand)]
    Log(AdminLog),
    /// Certificates of erasure.
    #[command(subcommand)]
    Certificate(AdminCertificate),
    /// Write the catalog to a new file, also while servers run on it. The key-encryption key is not in it: keep that elsewhere.
    Backup { file: PathBuf },
    /// Fill an empty catalog from a backup; `admin log verify` then opens every entry.
    Restore { file: PathBuf },
    /// Copy the catalog into an empty one at another URL, e.g. from SQLite to postgres://…; then start servers with that --catalog-url.
    Migrate { to: String },
}

#[derive(Debug, Subcommand)]
pub enum AdminLog {
    /// Check that no record of the statement log and the audit log was altered, removed, moved or cut off, by its chain and the signed
    /// heads. With --backup offline, without a server or its key-encryption key; without it every sealed entry is opened, too.
    Verify {
        /// A file that `admin backup` wrote.
        #[arg(long, requires = "public_key")]
        backup: Option<PathBuf>,
        /// The public key as `admin log public-key` prints it, or a file that holds it; for the catalog itself: its own.
        #[arg(long)]
        public_key: Option<String>,
        /// A file with a head that was kept elsewhere, as `admin log head` prints it: the log must hold it.
        #[arg(long)]
        head: Option<PathBuf>,
    },
    /// Print the key that the heads of the log are signed with, base64.
    PublicKey,
    /// Sign how far the log has come, and print it: kept elsewhere, it shows later whether records were cut off.
    Head,
    /// Print the proof that an audit event or a statement is in the log, as JSON.
    Prove {
        /// event_id or statement_id.
        record: String,
    },
    /// Check a proof that `admin log prove` printed.
    CheckProof {
        file: PathBuf,
        #[arg(long)]
        public_key: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum AdminCertificate {
    /// Verify the signature of a certificate (column `file` of system.privacy.certificates) and print what it says. Needs no catalog.
    Verify {
        file: PathBuf,
        /// Base64 of the public key that must have signed it; without it nothing says whose key it was.
        #[arg(long)]
        key: Option<String>,
    },
    /// Print the public key that this catalog's certificates are signed with.
    Key,
}

#[derive(Debug, Subcommand)]
pub enum AdminUser {
    /// Add a role that may log in; its password is read from standard input.
    Add {
        name: String,
        /// Make it a superuser.
        #[arg(long)]
        superuser: bool,
    },
    /// Set a role's password, read from standard input.
    Passwd { name: String },
    /// List the roles.
    List,
}

#[derive(Debug, Subcommand)]
pub enum AdminKeys {
    /// Make a new key-encryption key, wrap the data keys with it and replace the key file.
    Rotate,
}

/// Everything decided.
#[derive(Debug, Clone)]
pub struct Config {
    pub data_dir: PathBuf,
    pub listen: String,
    /// `file:///…/` or `s3://…/`, always with a slash at its end.
    pub warehouse_root: String,
    pub catalog_url: String,
    pub kek_file: PathBuf,
    /// Base64; wins over the file.
    pub kek: Option<String>,
    pub tls: Option<(PathBuf, PathBuf)>,
    pub metrics_listen: Option<String>,
    pub memory_limit_bytes: u64,
    pub decoded_cache_bytes: u64,
    pub drain: Duration,
    pub max_connections: usize,
    pub auth_password: bool,
    pub access_rules: Option<PathBuf>,
    pub tls_client_ca: Option<PathBuf>,
    pub jwt: Option<JwtOptions>,
    pub password_memory_kib: u32,
    pub password_passes: u32,
    pub kek_command: Option<String>,
    /// What wraps the key in the file.
    pub kek_vault: Option<VaultKey>,
    pub findings_webhook: Option<String>,
    pub sigma_rules: Option<PathBuf>,
    pub allow_plain_remote: bool,
    pub demo: bool,
    /// `None`: statements run in this process.
    pub cluster: Option<ClusterConfig>,
    /// `None`: tables are left alone.
    pub maintenance: Option<Maintenance>,
    /// `None`: all records of the logs stay in the catalog.
    pub flushing: Option<Flushing>,
}

/// Engines in other processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Where they join; `None`: at other gateways.
    pub listen: Option<String>,
    pub join_secret_file: PathBuf,
    /// The engine of this process opens tables, where a warehouse has none.
    pub embedded: bool,
}

/// A key of Vault's transit engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultKey {
    /// `transit/lakegate`.
    pub key: String,
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error(transparent)]
    File(#[from] ConfigFileError),
    #[error("{option}: {problem}")]
    Option { option: &'static str, problem: String },
}

impl ServeArgs {
    /// Lays flags and environment over the file and fills the defaults in.
    ///
    /// # Errors
    /// The file cannot be read or has a key that is not an option; an option's value makes no sense.
    pub fn resolve(self) -> Result<Config, ConfigError> {
        let file = match &self.config {
            Some(path) => file::read(path, "serve")?,
            None => ServeArgs::default(),
        };
        let data_dir = absolute(self.data_dir.or(file.data_dir).unwrap_or_else(|| "lakegate-data".into()))?;
        let warehouse_root = match self.warehouse_root.or(file.warehouse_root) {
            Some(root) => root_url(&root)?,
            None => directory_url(&data_dir.join("warehouse"))?,
        };
        let kek = std::env::var("LAKEGATE_KEK").ok();
        let kek_command = self.kek_command.or(file.kek_command);
        let token_file = self.kek_vault_token_file.or(file.kek_vault_token_file);
        let kek_vault = self.kek_vault_key.or(file.kek_vault_key).map(|key| VaultKey { key, token_file });
        if kek_vault.is_some() && (kek.is_some() || kek_command.is_some()) {
            return Err(option("--kek-vault-key", "the key-encryption key is given by LAKEGATE_KEK or --kek-command already"));
        }
        let key_name = if kek_vault.is_some() { "kek.vault" } else { "kek.key" };
        let demo = self.demo.or(file.demo).unwrap_or(false);
        let embedded = self.embedded_engine.or(file.embedded_engine).unwrap_or(true);
        let cluster = cluster(self.cluster_listen.or(file.cluster_listen), self.join_secret_file.or(file.join_secret_file), embedded)?;
        if demo && !embedded {
            return Err(option("--demo", "the demo database is made by the engine of this process: leave --embedded-engine true"));
        }
        let memory_limit_bytes = memory_limit(self.memory_limit.or(file.memory_limit).as_deref().unwrap_or("60%"))?;
        Ok(Config {
            listen: self.listen.or(file.listen).unwrap_or_else(|| "127.0.0.1:5439".to_owned()),
            warehouse_root,
            catalog_url: self
                .catalog_url
                .or(file.catalog_url)
                .unwrap_or_else(|| format!("sqlite://{}", data_dir.join("catalog.db").display())),
            kek_file: self.kek_file.or(file.kek_file).unwrap_or_else(|| data_dir.join(key_name)),
            kek,
            tls: self.tls_cert.or(file.tls_cert).zip(self.tls_key.or(file.tls_key)),
            metrics_listen: Some(self.metrics_listen.or(file.metrics_listen).unwrap_or_else(|| "127.0.0.1:9439".to_owned()))
                .filter(|address| address != "off"),
            memory_limit_bytes,
            decoded_cache_bytes: decoded_cache(self.decoded_cache.or(file.decoded_cache).as_deref().unwrap_or("50%"), memory_limit_bytes)?,
            drain: Duration::from_secs(self.drain_seconds.or(file.drain_seconds).unwrap_or(30)),
            max_connections: self.max_connections.or(file.max_connections).unwrap_or(200),
            auth_password: auth_password(self.auth_method.or(file.auth_method).as_deref())?,
            access_rules: self.access_rules.or(file.access_rules),
            tls_client_ca: self.tls_client_ca.or(file.tls_client_ca),
            jwt: jwt_options(
                self.jwt_issuer.or(file.jwt_issuer),
                self.jwt_audience.or(file.jwt_audience),
                self.jwt_keys.or(file.jwt_keys),
                self.jwt_role_claim.or(file.jwt_role_claim),
                self.jwt_leeway_seconds.or(file.jwt_leeway_seconds),
            )?,
            password_memory_kib: in_range(
                "--password-memory-kib",
                self.password_memory_kib.or(file.password_memory_kib).unwrap_or(19_456),
                1_024..=262_144,
            )?,
            password_passes: in_range("--password-passes", self.password_passes.or(file.password_passes).unwrap_or(2), 1..=16)?,
            kek_command,
            kek_vault,
            findings_webhook: self.findings_webhook.or(file.findings_webhook),
            sigma_rules: self.sigma_rules.or(file.sigma_rules),
            allow_plain_remote: self.allow_plain_remote.or(file.allow_plain_remote).unwrap_or(false),
            demo,
            cluster,
            maintenance: maintenance(
                self.maintenance.or(file.maintenance),
                self.maintenance_seconds.or(file.maintenance_seconds),
                self.maintenance_mb.or(file.maintenance_mb),
            )?,
            flushing: flushing(
                self.log_flush_seconds.or(file.log_flush_seconds),
                self.log_recent_hours.or(file.log_recent_hours),
                self.log_recent_records.or(file.log_recent_records),
                self.log_retention_days.or(file.log_retention_days),
            )?,
            data_dir,
        })
    }
}

impl Config {
    /// As it is or wrapped; elsewhere it is the operator's to change.
    #[must_use]
    pub fn kek_is_in_a_file(&self) -> bool {
        self.kek.is_none() && self.kek_command.is_none()
    }

    /// The address as a host that a client on this machine can connect to.
    #[must_use]
    pub fn connect_host(address: SocketAddr) -> String {
        let ip = address.ip();
        match (ip.is_unspecified(), ip) {
            (true, _) => "127.0.0.1".to_owned(),
            (false, std::net::IpAddr::V6(ip)) => format!("[{ip}]"),
            (false, ip) => ip.to_string(),
        }
    }
}

fn option(option: &'static str, problem: impl Into<String>) -> ConfigError {
    ConfigError::Option { option, problem: problem.into() }
}

fn absolute(path: PathBuf) -> Result<PathBuf, ConfigError> {
    std::path::absolute(path).map_err(|error| option("--data-dir", error.to_string()))
}

fn cluster(listen: Option<String>, secret: Option<PathBuf>, embedded: bool) -> Result<Option<ClusterConfig>, ConfigError> {
    match secret {
        Some(join_secret_file) => Ok(Some(ClusterConfig { listen, join_secret_file, embedded })),
        None if listen.is_some() => {
            Err(option("--cluster-listen", "engines prove with a secret that they belong here: give --join-secret-file"))
        }
        None if !embedded => {
            Err(option("--embedded-engine", "without an engine of its own the gateway needs others: give --join-secret-file"))
        }
        None => Ok(None),
    }
}

fn maintenance(on: Option<bool>, seconds: Option<u32>, megabytes: Option<u32>) -> Result<Option<Maintenance>, ConfigError> {
    let seconds = in_range("--maintenance-seconds", seconds.unwrap_or(60), 1..=86_400)?;
    let megabytes = in_range("--maintenance-mb", megabytes.unwrap_or(1_024), 1..=1_048_576)?;
    let maintenance = Maintenance { every: Duration::from_secs(u64::from(seconds)), bytes_max: u64::from(megabytes) * 1_000_000 };
    Ok(on.unwrap_or(true).then_some(maintenance))
}

fn flushing(every: Option<u32>, hours: Option<u32>, records: Option<u64>, retention: Option<u32>) -> Result<Option<Flushing>, ConfigError> {
    let every = in_range("--log-flush-seconds", every.unwrap_or(60), 0..=86_400)?;
    let hours = in_range("--log-recent-hours", hours.unwrap_or(24), 0..=87_600)?;
    let retention = in_range("--log-retention-days", retention.unwrap_or(0), 0..=36_500)?;
    let flushing = Flushing {
        every: Duration::from_secs(u64::from(every)),
        recent: Duration::from_secs(u64::from(hours) * 3_600),
        recent_records: records.unwrap_or(500_000),
        retention_days: (retention > 0).then_some(retention),
    };
    Ok((every > 0).then_some(flushing))
}

/// All of issuer, audience and keys, or none.
fn jwt_options(
    issuer: Option<String>,
    audience: Option<String>,
    keys: Option<String>,
    role_claim: Option<String>,
    leeway_seconds: Option<u64>,
) -> Result<Option<JwtOptions>, ConfigError> {
    match (issuer, audience, keys) {
        (None, None, None) => Ok(None),
        (Some(issuer), Some(audience), Some(keys)) => Ok(Some(JwtOptions {
            issuer,
            audience,
            keys,
            role_claim: role_claim.unwrap_or_else(|| "sub".to_owned()),
            leeway: Duration::from_secs(leeway_seconds.unwrap_or(30)),
        })),
        _ => Err(option("--jwt-issuer", "--jwt-issuer, --jwt-audience and --jwt-keys go together")),
    }
}

/// The file's values are looked at here, too.
fn in_range(name: &'static str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<u32, ConfigError> {
    if range.contains(&value) {
        return Ok(value);
    }
    Err(option(name, format!("{value} is not within {} and {}", range.start(), range.end())))
}

fn auth_password(method: Option<&str>) -> Result<bool, ConfigError> {
    match method.unwrap_or("scram") {
        "scram" => Ok(false),
        "password" => Ok(true),
        other => Err(option("--auth-method", format!("\"{other}\" is neither scram nor password"))),
    }
}

fn root_url(root: &str) -> Result<String, ConfigError> {
    if let Some(rest) = root.strip_prefix("s3://") {
        let bucket = rest.split('/').next().unwrap_or_default();
        if bucket.is_empty() {
            return Err(option("--warehouse-root", "s3:// needs a bucket: s3://bucket/prefix"));
        }
        return Ok(format!("{}/", root.trim_end_matches('/')));
    }
    if let Some(path) = root.strip_prefix("file://") {
        return directory_url(Path::new(path));
    }
    if root.contains("://") {
        return Err(option("--warehouse-root", format!("\"{root}\" is neither a directory nor s3://bucket/prefix")));
    }
    directory_url(&absolute(PathBuf::from(root))?)
}

fn directory_url(path: &Path) -> Result<String, ConfigError> {
    url::Url::from_directory_path(path)
        .map(String::from)
        .map_err(|()| option("--warehouse-root", format!("\"{}\" is not an absolute path", path.display())))
}

/// `8GiB`, `512MB`, `1073741824`, or a share of the memory this process may use, `60%`.
fn memory_limit(text: &str) -> Result<u64, ConfigError> {
    let bytes = size("--memory-limit", text, available_memory_bytes())?;
    if bytes < 64 << 20 {
        return Err(option("--memory-limit", "at least 64MiB are needed"));
    }
    Ok(bytes)
}

/// The same, or a share of the memory limit; never more than that.
fn decoded_cache(text: &str, memory_limit_bytes: u64) -> Result<u64, ConfigError> {
    Ok(size("--decoded-cache", text, memory_limit_bytes)?.min(memory_limit_bytes))
}

/// A number of bytes, or a share of `whole`.
fn size(name: &'static str, text: &str, whole: u64) -> Result<u64, ConfigError> {
    let bad = || option(name, format!("\"{text}\" is not a size such as 8GiB, 512MB or 60%"));
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().map_err(|_| bad())?;
    Ok(match unit.trim().to_ascii_lowercase().as_str() {
        "%" if number <= 100 => whole / 100 * number,
        "" | "b" => number,
        "kb" => number.saturating_mul(1_000),
        "kib" | "k" => number.saturating_mul(1 << 10),
        "mb" => number.saturating_mul(1_000_000),
        "mib" | "m" => number.saturating_mul(1 << 20),
        "gb" => number.saturating_mul(1_000_000_000),
        "gib" | "g" => number.saturating_mul(1 << 30),
        _ => return Err(bad()),
    })
}

/// The smaller of the machine's memory and the control group's limit (v2, then v1).
fn available_memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|info| {
        let line = info.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1_024)
    });
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    machine.into_iter().chain(group).min().unwrap_or(4 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(memory_limit("1GiB").unwrap(), 1 << 30);
        assert_eq!(memory_limit("512MB").unwrap(), 512_000_000);
        assert!(memory_limit("60%").unwrap() > 64 << 20);
        for bad in ["", "x", "0%", "101%", "1PB", "1MiB"] {
            assert!(memory_limit(bad).is_err(), "{bad}");
        }
        assert_eq!(decoded_cache("50%", 1 << 30).unwrap(), (1 << 30) / 100 * 50);
        assert_eq!(decoded_cache("0", 1 << 30).unwrap(), 0);
        assert_eq!(decoded_cache("8GiB", 1 << 30).unwrap(), 1 << 30, "no more than there is");
        assert!(decoded_cache("much", 1 << 30).is_err());
    }

    #[test]
    fn roots() {
        assert_eq!(root_url("s3://b/p//").unwrap(), "s3://b/p/");
        assert_eq!(root_url("/var/lake").unwrap(), "file:///var/lake/");
        assert!(root_url("s3://").is_err());
        assert!(root_url("gs://b").is_err());
    }

    #[test]
    fn flags_win_over_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listen = \"127.0.0.1:1\"\ndrain-seconds = 5\n").unwrap();
        let args = ServeArgs { config: Some(file.path().into()), listen: Some("127.0.0.1:2".to_owned()), ..ServeArgs::default() };
        let config = args.resolve().unwrap();
        assert_eq!(config.listen, "127.0.0.1:2");
        assert_eq!(config.drain, Duration::from_secs(5));
    }

    #[test]
    fn an_unknown_key_names_the_nearest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "listn = \"127.0.0.1:1\"\n").unwrap();
        let error = file::read::<ServeArgs>(file.path(), "serve").unwrap_err().to_string();
        assert!(error.contains("\"listn\"") && error.contains("\"listen\""), "{error}");
    }
}
