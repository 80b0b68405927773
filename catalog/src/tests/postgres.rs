//! A throw-away PostgreSQL for the tests: started by the first test that asks, stopped with the last one that holds it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sqlx::Connection as _;
use sqlx::Executor as _;

pub(crate) struct Cluster {
    directory: PathBuf,
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Cluster {
    /// `None`, with a reason printed, where PostgreSQL is not installed.
    pub(crate) fn shared() -> Option<Arc<Cluster>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cluster) = shared.upgrade() {
            return Some(cluster);
        }
        let programs = std::env::var_os("LAKEGATE_TEST_PG_BIN").map_or_else(|| PathBuf::from("/usr/lib/postgresql/15/bin"), PathBuf::from);
        if !programs.join("initdb").exists() {
            println!("skipped: no PostgreSQL in {}", programs.display());
            return None;
        }
        let cluster = Arc::new(Cluster::start(programs));
        *shared = Arc::downgrade(&cluster);
        Some(cluster)
    }

    fn start(programs: PathBuf) -> Cluster {
        let directory = std::env::temp_dir().join(format!("lakegate-pg-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir(&directory).unwrap();
        if is_root() {
            run(Command::new("chown").arg("postgres").arg(&directory));
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let data = directory.join("data");
        run(as_postgres(&programs.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N", "-D"])
            .arg(&data));
        let settings = format!("-p {port} -k {} -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=300", directory.display());
        run(as_postgres(&programs.join("pg_ctl"))
            .args(["-w", "-o", &settings, "-D"])
            .arg(&data)
            .arg("-l")
            .arg(directory.join("log"))
            .arg("start"));
        Cluster { directory, programs, port, databases: AtomicU32::new(0) }
    }

    /// An empty one; gives its URL.
    pub(crate) async fn new_database(&self) -> String {
        let name = format!("catalog{}", self.databases.fetch_add(1, Ordering::Relaxed));
        sqlx::any::install_default_drivers();
        let mut admin = sqlx::AnyConnection::connect(&format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)).await.unwrap();
        admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))).await.unwrap();
        admin.close().await.unwrap();
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.directory.join("data");
        run(as_postgres(&self.programs.join("pg_ctl")).args(["-m", "immediate", "-w", "-D"]).arg(&data).arg("stop"));
        std::fs::remove_dir_all(&self.directory).unwrap();
    }
}

/// PostgreSQL does not run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["-u", "postgres", "--"]).arg(program);
    command
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout.trim_ascii() == b"0"
}

fn run(command: &mut Command) {
    let status = command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
