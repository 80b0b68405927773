//! Clusters of real processes: gateways without an engine of their own, engines that join them over mutual TLS.

mod faults;
mod membership;
mod statements;
mod two_gateways;

use std::path::Path;
use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::process::free_port;
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::eventually;

const SECRET: &str = "correct horse battery staple, and then some more";

/// A gateway that opens no table itself, and where engines can join.
pub struct Gateway {
    pub server: Server,
    pub joins_at: String,
}

/// The secret's file.
pub fn secret(folder: &Path) -> String {
    let file = folder.join("join.secret");
    std::fs::write(&file, SECRET).unwrap();
    file.display().to_string()
}

/// With everything that makes a server one of the cluster's gateways.
pub fn gateway_options(options: Options, folder: &Path, joins_at: &str) -> Options {
    options
        .argument("--cluster-listen")
        .argument(joins_at)
        .argument("--join-secret-file")
        .argument(secret(folder))
        .argument("--embedded-engine")
        .argument("false")
}

pub fn gateway(folder: &Path) -> Gateway {
    let joins_at = format!("127.0.0.1:{}", free_port().unwrap());
    let server = Server::start(&gateway_options(Options::new(&folder.join("gateway")), folder, &joins_at)).unwrap();
    Gateway { server, joins_at }
}

pub fn engine_options(folder: &Path, joins_at: &str, name: &str) -> Options {
    let mut options = Options::new(&folder.join(format!("engine-{name}")))
        .argument("--join")
        .argument(joins_at)
        .argument("--join-secret-file")
        .argument(secret(folder))
        .argument("--name")
        .argument(name)
        .argument("--memory-limit")
        .argument("512MiB");
    options.command = vec!["engine".to_owned()];
    options
}

pub fn engine(folder: &Path, joins_at: &str, name: &str) -> Server {
    Server::start(&engine_options(folder, joins_at, name)).unwrap()
}

/// A gateway and two engines, and a session.
pub async fn cluster(folder: &Path) -> (Gateway, [Server; 2], Client) {
    let gateway = gateway(folder);
    let engines = ["e1", "e2"].map(|name| engine(folder, &gateway.joins_at, name));
    let admin = Client::admin(&gateway.server).await.unwrap();
    states(&admin, "e1 running, e2 running").await;
    (gateway, engines, admin)
}

/// Waits until the gateway knows the engines in these states.
pub async fn states(client: &Client, expected: &str) {
    let listed = "SELECT coalesce(string_agg(name || ' ' || state, ', ' ORDER BY name), '') FROM system.compute.engines WHERE instance_id IS NOT NULL";
    let mut last = String::new();
    let reached = eventually("the engines are known", Duration::from_secs(30), async || {
        last = client.value(listed).await?;
        Ok(last == expected)
    });
    assert!(reached.await.is_ok(), "{last} instead of {expected}");
}

/// The engine that ran the newest statement whose text has the words.
pub async fn engine_of(client: &Client, words: &str) -> String {
    let sql = format!(
        "SELECT engine FROM system.query.history WHERE statement_text LIKE '%{words}%' AND statement_text NOT LIKE '%query.history%' \
         AND execution_status <> 'RUNNING' ORDER BY start_time DESC LIMIT 1"
    );
    let mut found = String::new();
    eventually("the statement is in the log", Duration::from_secs(20), async || {
        found = client.rows(&sql).await?.concat().concat();
        Ok(!found.is_empty())
    })
    .await
    .unwrap();
    found
}
