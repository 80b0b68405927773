//! Servers that many tests share; each test works in a schema of its own.

use std::sync::OnceLock;

use lakegate_tests::client::Client;
use lakegate_tests::postgres::Cluster;
use lakegate_tests::s3::Store;
use lakegate_tests::server::{Options, Server};
use rand::Rng as _;

/// A server with everything as it comes: SQLite, warehouse on local disk.
pub fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let folder = tempfile::Builder::new().prefix("lakegate-shared-").tempdir().unwrap().keep();
        let mut options = Options::new(&folder.join("data"));
        options.remove_at_end = Some(folder);
        Server::start(&options).unwrap()
    })
}

/// A PostgreSQL 15 cluster, for reference and for catalogs.
pub fn postgres() -> &'static Cluster {
    static CLUSTER: OnceLock<Cluster> = OnceLock::new();
    CLUSTER.get_or_init(|| Cluster::start().unwrap())
}

/// An S3 server.
pub fn s3() -> &'static Store {
    static STORE: OnceLock<Store> = OnceLock::new();
    STORE.get_or_init(|| Store::start().unwrap())
}

/// A name that no other test uses.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}_{:08x}", rand::rng().random::<u32>())
}

/// A connection as `admin` whose default schema is a new one; its name comes along.
pub async fn in_new_schema(server: &Server) -> (Client, String) {
    let client = Client::admin(server).await.unwrap();
    let schema = unique("s");
    client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    client.batch_execute(&format!("SET search_path = {schema}")).await.unwrap();
    (client, schema)
}
