//! An S3 store that loses answers, and one that ignores `If-None-Match`: exactly one commit, or an honest 08007.

use std::time::Duration;

use lakegate_tests::client::Client;
use lakegate_tests::fault_proxy::{Fault, FaultProxy};
use lakegate_tests::server::{Options, Server, Start};
use lakegate_tests::tools::python;

use crate::support::{self, unique};

struct Faulty {
    server: Server,
    proxy: FaultProxy,
    bucket: String,
    _folder: tempfile::TempDir,
}

async fn faulty() -> Faulty {
    let store = support::s3();
    let bucket = unique("faults").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    let proxy = FaultProxy::start(store).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let server = tokio::task::block_in_place(|| Server::start(&options(&folder, &bucket, &proxy))).unwrap();
    Faulty { server, proxy, bucket, _folder: folder }
}

fn options(folder: &tempfile::TempDir, bucket: &str, proxy: &FaultProxy) -> Options {
    let mut options = Options::new(&folder.path().join("data")).argument("--warehouse-root").argument(format!("s3://{bucket}/warehouse"));
    options.environment = support::s3().environment(&proxy.endpoint());
    options
}

impl Faulty {
    /// Commits in the log of the bucket's only table.
    fn commits(&self) -> usize {
        let store = support::s3();
        let mut folders = vec!["warehouse".to_owned()];
        let mut commits = 0;
        while let Some(folder) = folders.pop() {
            for name in store.list(&self.bucket, &folder).unwrap() {
                if folder.ends_with("_delta_log") {
                    commits += usize::from(name.ends_with(".json") && name.len() == 25);
                } else if !name.contains(".parquet") {
                    folders.push(format!("{folder}/{name}"));
                }
            }
        }
        commits
    }
}

/// The faults are real: another implementation, which does not look for its own commit, commits twice when the reply is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_loses_replies_that_others_stumble_over() {
    let store = support::s3();
    let bucket = unique("proxy").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    let proxy = FaultProxy::start(store).await.unwrap();
    let environment = store.environment(&proxy.endpoint());
    let url = format!("s3://{bucket}/plain");
    let append = || tokio::task::block_in_place(|| python("append_row.py", &[&url], &environment));
    append().unwrap();
    proxy.arm(0, Fault::UnavailableBefore);
    append().unwrap();
    let commits = |store: &lakegate_tests::s3::Store| {
        store.list(&bucket, "plain/_delta_log").unwrap().iter().filter(|name| name.ends_with(".json")).count()
    };
    assert_eq!((proxy.struck(), commits(store)), (1, 2));
    proxy.arm(0, Fault::StoredThen500);
    append().unwrap();
    assert_eq!((proxy.struck(), commits(store)), (2, 4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_reply_is_lost_happens_once() {
    let faulty = faulty().await;
    let client = Client::admin(&faulty.server).await.unwrap();
    let faults = [Fault::UnavailableBefore, Fault::StoredThen500, Fault::StoredThenReset, Fault::StoredThenHang];
    let changes = [
        ("INSERT INTO t VALUES (100)", "SELECT count(*) FROM t WHERE x = 100", "0", "1"),
        ("UPDATE t SET x = x + 1 WHERE x <= 10", "SELECT sum(x) FROM t WHERE x <= 20", "55", "65"),
        (
            "BEGIN; INSERT INTO t VALUES (20); UPDATE t SET x = x + 1 WHERE x <= 10; DELETE FROM t WHERE x = 20; COMMIT",
            "SELECT sum(x) FROM t WHERE x <= 20",
            "55",
            "65",
        ),
        ("DELETE FROM t WHERE x = 3", "SELECT count(*) FROM t WHERE x = 3", "1", "0"),
    ];
    let mut failures = Vec::new();
    for fault in faults {
        for (change, check, before, after) in changes {
            client.batch_execute("DROP TABLE IF EXISTS t").await.unwrap();
            client.batch_execute("CREATE TABLE t (x bigint)").await.unwrap();
            client.batch_execute("INSERT INTO t SELECT g FROM generate_series(1, 10) g").await.unwrap();
            assert_eq!(client.value(check).await.unwrap(), before);
            let commits = faulty.commits();
            let struck = faulty.proxy.struck();
            faulty.proxy.arm(0, fault);
            let code = match tokio::time::timeout(Duration::from_secs(120), client.sqlstate(change)).await {
                Ok(code) => code,
                Err(_) => "no answer within two minutes".to_owned(),
            };
            assert_eq!(faulty.proxy.struck(), struck + 1, "{fault:?} {change}: the fault was not met");
            let came = client.value(check).await.unwrap();
            let made = faulty.commits() - commits;
            let right = match code.as_str() {
                "00000" => made == 1 && came == after,
                "08007" => (made == 1 && came == after) || (made == 0 && came == before),
                _ => false,
            };
            if !right {
                failures.push(format!("{fault:?}: {change}: {code}, {made} commits, {check} gave {came}"));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // Afterwards everything works, without a restart.
    client.batch_execute("INSERT INTO t VALUES (5)").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn create_table_as_survives_a_lost_reply() {
    let faulty = faulty().await;
    let client = Client::admin(&faulty.server).await.unwrap();
    for (number, fault) in [Fault::StoredThen500, Fault::StoredThenReset].into_iter().enumerate() {
        faulty.proxy.arm(0, fault);
        let code = client.sqlstate(&format!("CREATE TABLE made_{number} AS SELECT g AS x FROM generate_series(1, 10) g")).await;
        match code.as_str() {
            "00000" => assert_eq!(client.value(&format!("SELECT count(*) FROM made_{number}")).await.unwrap(), "10"),
            "08007" => {}
            other => panic!("{fault:?}: {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_ignores_if_none_match_is_refused_for_writing() {
    let store = support::s3();
    let bucket = unique("ignoring").replace('_', "-");
    store.make_bucket(&bucket).unwrap();
    let proxy = FaultProxy::start(store).await.unwrap();
    proxy.ignore_if_none_match();
    let folder = tempfile::tempdir().unwrap();
    let start = tokio::task::block_in_place(|| Server::try_start(&options(&folder, &bucket, &proxy))).unwrap();
    match start {
        Start::Exited { stderr, .. } => assert!(stderr.contains("If-None-Match"), "{stderr}"),
        Start::Ready(server) => {
            let client = Client::admin(&server).await.unwrap();
            assert_eq!(client.sqlstate("CREATE TABLE t (a int)").await, "0A000");
            assert_eq!(client.sqlstate("CREATE TABLE t AS SELECT 1 AS a").await, "0A000");
            assert_eq!(client.sqlstate("SELECT * FROM t").await, "42P01", "nothing was made");
            assert!(server.log().contains("If-None-Match"), "the log says why");
            assert_eq!(client.value("SELECT 1").await.unwrap(), "1", "reading goes on");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_writers_on_s3_lose_nothing() {
    let faulty = faulty().await;
    let admin = Client::admin(&faulty.server).await.unwrap();
    admin.batch_execute("CREATE TABLE t (writer bigint, n bigint)").await.unwrap();
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..6 {
        let client = Client::admin(&faulty.server).await.unwrap();
        writers.spawn(async move {
            let mut acknowledged = 0;
            for n in 0..5 {
                let code = client.sqlstate(&format!("INSERT INTO t VALUES ({writer}, {n})")).await;
                match code.as_str() {
                    "00000" => acknowledged += 1,
                    other => panic!("a blind append must not conflict: {other}"),
                }
            }
            acknowledged
        });
    }
    let mut acknowledged = 0;
    while let Some(count) = writers.join_next().await {
        acknowledged += count.unwrap();
    }
    assert_eq!(admin.value("SELECT count(*) FROM t").await.unwrap(), acknowledged.to_string());
    assert_eq!(admin.value("SELECT count(DISTINCT (writer, n)::text) FROM t").await.unwrap(), acknowledged.to_string());
}
