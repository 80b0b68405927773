//! Gateways on one PostgreSQL catalog share the engines, wherever those have joined.

use lakegate_tests::client::Client;
use lakegate_tests::process::free_port;
use lakegate_tests::server::Server;

use super::{engine, engine_of, gateway_options, states};
use crate::{gateways, support};

#[tokio::test]
async fn engines_of_one_serve_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let options = gateways::options_over(support::postgres(), folder.path());
    let at: Vec<String> = (0..2).map(|_| format!("127.0.0.1:{}", free_port().unwrap())).collect();
    let [first, second] = options;
    let one = Server::start(&gateway_options(first, folder.path(), &at[0])).unwrap();
    let two = Server::start(&gateway_options(second, folder.path(), &at[1])).unwrap();
    let _engines = [engine(folder.path(), &at[0], "e1"), engine(folder.path(), &format!("{},{}", at[1], at[0]), "e2")];
    let (here, there) = (Client::admin(&one).await.unwrap(), Client::admin(&two).await.unwrap());
    for client in [&here, &there] {
        states(client, "e1 running, e2 running").await;
    }
    here.batch_execute("CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO t VALUES (1); INSERT INTO u VALUES (1)").await.unwrap();
    assert_eq!(there.value("SELECT count(*) AS seen_there FROM t").await.unwrap(), "1");
    assert_eq!(here.value("SELECT count(*) AS seen_here FROM t").await.unwrap(), "1");
    assert_eq!(engine_of(&here, "seen_there").await, engine_of(&here, "seen_here").await, "a table's files are warm in one place");

    // A commit of two tables through one is seen whole through the other.
    for round in 0..20 {
        here.batch_execute("BEGIN; INSERT INTO t VALUES (2); INSERT INTO u VALUES (2); COMMIT").await.unwrap();
        let both = there.rows("SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM u)").await.unwrap();
        assert_eq!(both, [[(round + 2).to_string(), (round + 2).to_string()]]);
    }

    // A gateway goes: the engine that had joined there tells the other one.
    drop(two);
    here.batch_execute("INSERT INTO t VALUES (3)").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    states(&here, "e1 running, e2 running").await;
}
