//! A PostgreSQL 15 cluster: the reference for wire scripts and types, and a catalog store.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::process::{Plan, Process, free_port, wait_for_port};
use crate::{Error, Result};

/// Role and database that the tests use; superuser.
pub const USER: &str = "admin";
pub const PASSWORD: &str = crate::server::ADMIN_PASSWORD;

/// A cluster of its own, on a free port of the loopback interface; scram-sha-256, TLS on.
#[derive(Debug)]
pub struct Cluster {
    pub port: u16,
    process: Process,
    // After the process: removed once it has stopped.
    _folder: tempfile::TempDir,
}

impl Cluster {
    /// Makes a cluster with superuser `admin` and database `main`, and starts it.
    ///
    /// # Errors
    /// If PostgreSQL 15 is not installed or does not start.
    pub fn start() -> Result<Cluster> {
        let bin = bin_folder()?;
        let run_as = if is_root()? { Some((id_of("-u")?, id_of("-g")?)) } else { None };
        let folder = tempfile::Builder::new().prefix("lakegate-pg-").tempdir()?;
        if let Some((user, group)) = run_as {
            std::os::unix::fs::chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        make_cluster(&bin, folder.path(), &data, run_as)?;
        let port = free_port()?;
        let process = Process::start(&Plan {
            program: &bin.join("postgres"),
            arguments: &["-D", &data.display().to_string(), "-p", &port.to_string(), "-k", &folder.path().display().to_string()]
                .map(str::to_owned),
            environment: &[],
            folder: folder.path(),
            name: "postgres",
            stop_signal: "QUIT",
            remove_at_end: Some(folder.path()),
            run_as,
        })?;
        wait_for_port(port, Duration::from_secs(30))?;
        let cluster = Cluster { port, process, _folder: folder };
        cluster.execute("postgres", "CREATE DATABASE main")?;
        Ok(cluster)
    }

    /// Runs SQL with psql as the superuser.
    ///
    /// # Errors
    /// If psql fails.
    pub fn execute(&self, database: &str, sql: &str) -> Result<String> {
        let mut last = Error::from("psql was not tried");
        // Right after the start it may still say "starting up".
        for _ in 0..50 {
            match psql(&self.url(database), sql) {
                Ok(output) => return Ok(output),
                Err(error) if error.to_string().contains("starting up") => last = error,
                Err(error) => return Err(error),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(last)
    }

    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }
}

fn make_cluster(bin: &Path, folder: &Path, data: &Path, run_as: Option<(u32, u32)>) -> Result<()> {
    let script = r#"
set -e
printf '%s' "$PASSWORD" >"$FOLDER/password"
"$BIN/initdb" -D "$DATA" -U "$ROLE" -A scram-sha-256 --pwfile="$FOLDER/password" -E UTF8 --locale=C --lc-ctype=C.UTF-8 --no-sync
openssl req -new -x509 -days 30 -nodes -text -subj /CN=localhost -keyout "$DATA/server.key" -out "$DATA/server.crt"
chmod 600 "$DATA/server.key"
cat >>"$DATA/postgresql.conf" <<'CONF'
ssl = on
fsync = off
listen_addresses = '127.0.0.1'
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
CONF
"#;
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", script])
        .env("BIN", bin)
        .env("DATA", data)
        .env("FOLDER", folder)
        .env("ROLE", USER)
        .env("PASSWORD", PASSWORD)
        .current_dir("/");
    if let Some((user, group)) = run_as {
        use std::os::unix::process::CommandExt as _;
        command.uid(user).gid(group);
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("initdb failed: {}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)).into())
}

fn psql(url: &str, sql: &str) -> Result<String> {
    let output = Command::new("psql").args(["-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", "-d", url, "-c", sql]).output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned().into())
}

/// Where PostgreSQL 15's server programs are: `PG15_BIN`, else Debian's folder.
fn bin_folder() -> Result<PathBuf> {
    let folder = std::env::var_os("PG15_BIN").map_or_else(|| PathBuf::from("/usr/lib/postgresql/15/bin"), PathBuf::from);
    if folder.join("initdb").is_file() { Ok(folder) } else { Err("PostgreSQL 15 is not installed: set PG15_BIN".into()) }
}

fn is_root() -> Result<bool> {
    let output = Command::new("id").arg("-u").output()?;
    Ok(output.stdout.trim_ascii() == b"0")
}

fn id_of(which: &str) -> Result<u32> {
    let output = Command::new("id").args([which, "postgres"]).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}
