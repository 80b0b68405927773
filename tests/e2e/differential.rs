//! Random queries over all types: the answers are PostgreSQL's.

use lakegate_tests::client::Client;
use lakegate_tests::postgres;
use lakegate_tests::server::ADMIN_PASSWORD;
use lakegate_tests::tools::python;

use crate::support::{self, unique};

/// Some hundred of them; `tests/differential/run.py` runs as many as one likes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_queries_answer_as_postgres_answers() {
    let (server, cluster) = (support::server(), support::postgres());
    let database = unique("differential");
    cluster.execute("main", &format!("CREATE DATABASE {database}")).unwrap();
    Client::admin(server).await.unwrap().batch_execute(&format!("CREATE DATABASE {database}")).await.unwrap();
    let uri = |port: u16, user: &str, password: &str, more: &str| {
        format!("host=127.0.0.1 port={port} user={user} password={password} dbname={database}{more}")
    };
    let lakegate = uri(server.port, "admin", ADMIN_PASSWORD, " sslmode=require");
    let postgres = uri(cluster.port, postgres::USER, postgres::PASSWORD, "");
    let count = std::env::var("LAKEGATE_DIFFERENTIAL_QUERIES").unwrap_or_else(|_| "600".to_owned());
    let told = python("differential/run.py", &["--lakegate", &lakegate, "--postgres", &postgres, "--count", &count], &[]).unwrap();
    assert!(told.contains("; 0 differences that nobody explains"), "{told}");
}
