//! TPC-H and TPC-DS: the answers are DuckDB's.

use std::path::PathBuf;
use std::process::Command;

use lakegate_tests::client::Client;
use lakegate_tests::server::ADMIN_PASSWORD;
use lakegate_tests::tools::repository;

use crate::support::{self, unique};

/// `LAKEGATE_TPC_SCALE` asks for more rows. Of TPC-DS's queries a few give no rows where there is little data.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_queries_answer_as_duckdb_answers() {
    let server = support::server();
    let database = unique("tpc");
    Client::admin(server).await.unwrap().batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let scale = std::env::var("LAKEGATE_TPC_SCALE").unwrap_or_else(|_| "0.1".to_owned());
    let uri = format!("host=127.0.0.1 port={} user=admin password={ADMIN_PASSWORD} dbname={database} sslmode=require", server.port);
    let output = Command::new(python())
        .arg(repository().join("tests/tpc/run.py"))
        .args(["--lakegate", &uri, "--tpch", &scale, "--tpcds", &scale])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("tpch: 22 queries, 22 with rows, 0 differ"), "{told}");
    let rest = told.rsplit("tpcds: 99 queries, ").next().unwrap();
    let with_rows: u32 = rest.split(' ').next().unwrap().parse().unwrap();
    assert!(with_rows >= 75 && rest.contains("with rows, 0 differ"), "{told}");
}

/// Has tests/tpc/requirements.txt; `test.sh` makes it.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("LAKEGATE_TPC_PYTHON") {
        return python.into();
    }
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"), PathBuf::from);
    cache.join("lakegate/tpc/bin/python")
}
