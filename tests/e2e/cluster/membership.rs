//! Engines that join, are refused, are replaced, and leave.

use std::time::{Duration, Instant};

use lakegate_tests::client::Client;
use lakegate_tests::server::{Server, Start};
use lakegate_tests::tools::eventually;

use super::{cluster, engine, engine_of, engine_options, gateway, states};

#[tokio::test]
async fn without_an_engine_a_statement_waits_and_is_told_why() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path());
    let admin = Client::admin(&gateway.server).await.unwrap();
    assert_eq!(admin.value("SELECT count(*) FROM pg_class WHERE relname = 'pg_class'").await.unwrap(), "1");
    let began = Instant::now();
    let error = admin.simple_query("CREATE TABLE t (a int)").await.unwrap_err();
    let error = error.as_db_error().unwrap();
    assert_eq!(error.code().code(), "57P03", "{error:?}");
    assert!(error.hint().is_some_and(|hint| hint.contains("lakegate engine")), "{error:?}");
    assert!(began.elapsed() > Duration::from_secs(3), "it waits for an engine to come");
    let _engine = engine(folder.path(), &gateway.joins_at, "e1");
    admin.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(admin.value("SELECT a FROM t").await.unwrap(), "1");
}

#[tokio::test]
async fn who_does_not_know_the_secret_does_not_join() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path());
    let admin = Client::admin(&gateway.server).await.unwrap();
    let mut options = engine_options(folder.path(), &gateway.joins_at, "stranger");
    let wrong = folder.path().join("wrong.secret");
    std::fs::write(&wrong, "another secret, which is also long enough to be one").unwrap();
    let place = options.arguments.iter().position(|argument| argument == "--join-secret-file").unwrap();
    options.arguments[place + 1] = wrong.display().to_string();
    options.ready_limit = Duration::from_secs(4);
    assert!(Server::try_start(&options).is_err(), "it is never ready");
    assert_eq!(admin.value("SELECT count(*) FROM system.compute.engines WHERE instance_id IS NOT NULL").await.unwrap(), "0");
    assert!(gateway.server.log().contains("was refused"), "{}", gateway.server.log());

    std::fs::write(&wrong, "short").unwrap();
    let Start::Exited { code, stderr, .. } = Server::try_start(&options).unwrap() else { panic!("a short secret was taken") };
    assert!(code != 0 && stderr.contains("join secret"), "{stderr}");
}

/// Of two processes with one name the newer is the engine; the older ends.
#[tokio::test]
async fn a_newer_process_takes_the_name() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path());
    let mut first = engine(folder.path(), &gateway.joins_at, "e1");
    let admin = Client::admin(&gateway.server).await.unwrap();
    admin.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
    let mut options = engine_options(folder.path(), &gateway.joins_at, "e1");
    options.data_dir = folder.path().join("second");
    let second = Server::start(&options).unwrap();
    let at_second = format!("SELECT count(*) FROM system.compute.engines WHERE name = 'e1' AND address LIKE '%:{}'", second.port);
    eventually("the newer one is known", Duration::from_secs(10), async || Ok(admin.value(&at_second).await? == "1")).await.unwrap();
    admin.batch_execute("INSERT INTO t VALUES (2)").await.unwrap();
    assert_eq!(admin.value("SELECT sum(a) FROM t").await.unwrap(), "3");
    let code = first.process.wait(Duration::from_secs(10)).unwrap();
    assert!(code.is_some_and(|code| code != 0) && first.log().contains("another process has joined"), "{code:?} {}", first.log());
}

/// SIGTERM while clients read, write and have transactions open: nothing of it fails. They go on on threads of their own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_drains_fails_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (gateway, [mut e1, mut e2], admin) = cluster(folder.path()).await;
    for number in 0..4 {
        admin.batch_execute(&format!("CREATE TABLE t{number} (a int)")).await.unwrap();
    }
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut clients = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (client, stop) = (Client::admin(&gateway.server).await.unwrap(), stop.clone());
        clients.spawn(async move {
            let mut inserted = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                client.batch_execute(&format!("INSERT INTO t{number} VALUES (1)")).await.unwrap();
                inserted += 1;
                assert_eq!(client.value(&format!("SELECT count(*) FROM t{number}")).await.unwrap(), inserted.to_string());
                client.batch_execute("BEGIN").await.unwrap();
                client.batch_execute(&format!("INSERT INTO t{number} VALUES (2)")).await.unwrap();
                client.value(&format!("SELECT sum(a) FROM t{number}")).await.unwrap();
                client.batch_execute("COMMIT").await.unwrap();
                inserted += 1;
            }
            inserted
        });
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    e1.process.signal("TERM").unwrap();
    assert_eq!(e1.process.wait(Duration::from_secs(30)).unwrap(), Some(0), "{}", e1.log());
    let _e1 = engine(folder.path(), &gateway.joins_at, "e1");
    tokio::time::sleep(Duration::from_secs(2)).await;
    e2.process.signal("TERM").unwrap();
    assert_eq!(e2.process.wait(Duration::from_secs(30)).unwrap(), Some(0), "{}", e2.log());
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.store(true, std::sync::atomic::Ordering::SeqCst);
    let inserted: Vec<u32> = clients.join_all().await;
    assert!(inserted.iter().all(|count| *count > 4), "{inserted:?}");
    states(&admin, "e1 running").await;
}

#[tokio::test]
async fn a_warehouse_has_engines_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = gateway(folder.path());
    let admin = Client::admin(&gateway.server).await.unwrap();
    let options = engine_options(folder.path(), &gateway.joins_at, "reports").argument("--warehouse").argument("bi");
    let Start::Exited { stderr, .. } = Server::try_start(&options).unwrap() else { panic!("there is no such warehouse") };
    assert!(stderr.contains("warehouse \"bi\" does not exist"), "{stderr}");
    admin.batch_execute("CREATE WAREHOUSE bi").await.unwrap();
    let options = options.argument("--labels").argument("zone=a");
    let _reports = Server::start(&options).unwrap();
    let _other = engine(folder.path(), &gateway.joins_at, "other");
    states(&admin, "other running, reports running").await;
    admin.batch_execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1)").await.unwrap();
    assert_eq!(admin.value("SELECT a + 1 FROM t").await.unwrap(), "2");
    assert_eq!(engine_of(&admin, "a + 1").await, "other");
    admin.batch_execute("SET lakegate.warehouse = 'bi'").await.unwrap();
    assert_eq!(admin.value("SELECT a + 2 FROM t").await.unwrap(), "3");
    assert_eq!(engine_of(&admin, "a + 2").await, "reports");
    let shown = "SELECT warehouse || ' ' || (labels ->> 'zone') FROM system.compute.engines WHERE name = 'reports'";
    assert_eq!(admin.value(shown).await.unwrap(), "bi a");
    let caches = "SELECT count(*) FROM system.compute.caches WHERE engine = 'reports'";
    eventually("its caches are told", Duration::from_secs(10), async || Ok(admin.value(caches).await? != "0")).await.unwrap();
}
