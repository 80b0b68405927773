//! Saved queries: whose rights count, who sees them, where their texts are.

use lakegate_tests::client::Client;
use lakegate_tests::server::{Options, Server};

use crate::support;

const CANARY: &str = "canary-in-a-saved-query";

async fn people(server: &Server, admin: &Client, names: &[&str]) -> Vec<Client> {
    let mut clients = Vec::new();
    for name in names {
        admin.rows(&format!("CREATE ROLE {name} LOGIN PASSWORD '{name}-password'")).await.unwrap();
        clients.push(Client::login(server, name, &format!("{name}-password"), "main").await.unwrap());
    }
    clients
}

#[tokio::test]
async fn a_saved_query_runs_with_the_rights_of_its_caller() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(directory.path())).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    let clients = people(&server, &admin, &["reader", "stranger"]).await;
    let [reader, stranger] = clients.as_slice() else { panic!("two roles") };
    admin.rows("CREATE TABLE t AS SELECT i AS a, i * 2 AS b FROM generate_series(1, 10) AS g (i)").await.unwrap();
    admin.rows("GRANT SELECT (a) ON t TO reader").await.unwrap();
    admin.rows(&format!("CALL lakegate.save_query('q', 'SELECT a, b FROM t WHERE a < $1 -- {CANARY}')")).await.unwrap();
    admin.rows("CALL lakegate.save_query('q', $$SELECT a FROM t WHERE a < $1 AND 'x' <> $2 ORDER BY a$$)").await.unwrap();
    assert_eq!(reader.sqlstate("CALL lakegate.run_query('q', 3, 'y')").await, "42704");
    admin.rows("CALL lakegate.share_query('q', 'reader')").await.unwrap();
    let two = vec![vec!["1".to_owned()], vec!["2".to_owned()]];
    assert_eq!(reader.rows("CALL lakegate.run_query('q', 3, 'y')").await.unwrap(), two);
    assert_eq!(admin.rows("CALL lakegate.run_query('q', 2, version => 1)").await.unwrap(), [["1", "2"]]);
    for (sql, state) in [
        ("CALL lakegate.run_query('q', 2, version => 1)", "42501"),
        ("CALL lakegate.run_query('q', 2)", "42601"),
        ("CALL lakegate.run_query('q', 2, 'y', version => 9)", "22023"),
        ("CALL lakegate.run_query('q', (SELECT 1), 'y')", "0A000"),
        ("CALL lakegate.save_query('q', 'SELECT 1')", "42501"),
        ("CALL lakegate.share_query('q', 'stranger')", "42501"),
        ("CALL lakegate.save_query('d', 'DELETE FROM t')", "0A000"),
        ("CALL lakegate.save_query('d', 'SELEC 1')", "42601"),
        ("CALL lakegate.save_query('d')", "42883"),
    ] {
        assert_eq!(reader.sqlstate(sql).await, state, "{sql}");
    }
    let seen = "SELECT name, version::text, owner, shared_with::text FROM lakegate.saved_queries";
    assert_eq!(reader.rows(seen).await.unwrap(), [["q", "2", "admin", "{reader}"]]);
    assert!(stranger.rows(seen).await.unwrap().is_empty());
    assert_eq!(reader.value("SELECT count(*)::text FROM lakegate.saved_query_versions").await.unwrap(), "2");
    // What was run stands in the history as the query that it was, read tables included.
    let logged = "SELECT tables_read::text FROM system.query.history WHERE executed_by = 'reader' AND statement_text LIKE '%run_query(''q'', 3%' \
                  AND execution_status = 'FINISHED' AND statement_type = 'SELECT'";
    assert_eq!(admin.value(logged).await.unwrap(), "{main.public.t}");
    admin.rows("CALL lakegate.unshare_query('q', 'reader')").await.unwrap();
    assert_eq!(reader.sqlstate("CALL lakegate.run_query('q', 3, 'y')").await, "42704");
    admin.rows("CALL lakegate.drop_query('q')").await.unwrap();
    assert_eq!(admin.sqlstate("CALL lakegate.run_query('q', 3, 'y')").await, "42704");
}

#[tokio::test]
async fn arguments_may_be_parameters_of_the_call() {
    let client = Client::admin(support::server()).await.unwrap();
    let name = support::unique("q");
    client.rows(&format!("CALL lakegate.save_query('{name}', 'SELECT $1::int + $2::int AS sum')")).await.unwrap();
    let statement = client.prepare(&format!("CALL lakegate.run_query('{name}', $1, 40)")).await.unwrap();
    let rows = client.query(&statement, &[&2_i32]).await.unwrap();
    assert_eq!(rows[0].get::<_, i32>(0), 42);
    client.rows(&format!("CALL lakegate.drop_query('{name}')")).await.unwrap();
}

/// Their place is the data plane: the catalog's files hold no text of them in clear, the Delta table does.
#[tokio::test]
async fn texts_are_in_the_data_plane_alone() {
    let directory = tempfile::tempdir().unwrap();
    let server = Server::start(&Options::new(directory.path())).unwrap();
    let admin = Client::admin(&server).await.unwrap();
    admin.rows(&format!("CALL lakegate.save_query('q', 'SELECT ''{CANARY}''')")).await.unwrap();
    assert_eq!(admin.value("CALL lakegate.run_query('q')").await.unwrap(), CANARY);
    let found = |files: Vec<std::path::PathBuf>| {
        files.into_iter().any(|file| std::fs::read(file).unwrap().windows(CANARY.len()).any(|bytes| bytes == CANARY.as_bytes()))
    };
    let in_folder = |folder: &std::path::Path| {
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        files.collect::<Vec<_>>()
    };
    assert!(!found(in_folder(directory.path())), "in the catalog");
    assert!(found(in_folder(&directory.path().join("warehouse/_lakegate/saved_queries"))), "in the warehouse");
}
