//! Random transactions over several tables through two gateways that share a catalog, while gateways are killed: the history that clients
//! saw is checked, and python `deltalake` reads in the end what SQL reads.

mod checker;
mod writers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use lakegate_tests::client::{Client, sqlstate_of};
use lakegate_tests::server::{Options, Server};
use lakegate_tests::tools::python;
use rand::Rng as _;

use self::checker::{Id, Op, Outcome, Row, Seen, Transaction, check};
use crate::definitions::folders_of;
use crate::gateways;
use crate::support;

const TABLES: usize = 3;
const ROWS: i64 = 4;
const WORKERS: usize = 6;

/// Errors after which nothing of a transaction is visible.
const ABORTS: &[&str] = &["40001", "25P02", "42P01", "57014", "53200"];

/// What all take part in.
struct Game {
    began: Instant,
    stop: AtomicBool,
    next: AtomicU64,
    history: Mutex<Vec<Transaction>>,
    servers: RwLock<[Option<Server>; 2]>,
}

/// `LAKEGATE_HISTORY_SECONDS` plays longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn histories_through_two_gateways_that_are_killed() {
    let seconds = std::env::var("LAKEGATE_HISTORY_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let folder = tempfile::tempdir().unwrap();
    let options: [Options; 2] = gateways::options_over(support::postgres(), folder.path())
        // Files are put together beside it all.
        .map(|options| options.environment("LAKEGATE_MAINTENANCE_SECONDS", "1"));
    let servers = options.clone().map(|options| Some(Server::start(&options).unwrap()));
    let client = Client::admin(servers[0].as_ref().unwrap()).await.unwrap();
    for table in 0..TABLES {
        let rows: Vec<String> = (1..=ROWS).map(|id| format!("({id}, 0, 0)")).collect();
        let sql =
            format!("CREATE TABLE history_{table} (id bigint, n bigint, w bigint); INSERT INTO history_{table} VALUES {}", rows.join(", "));
        client.batch_execute(&sql).await.unwrap();
    }
    drop(client);
    let game = Arc::new(Game {
        began: Instant::now(),
        stop: AtomicBool::new(false),
        next: AtomicU64::new(1),
        history: Mutex::default(),
        servers: RwLock::new(servers),
    });
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(play(Arc::clone(&game)));
    }
    let kills = kill_and_restart(&game.servers, &options, Duration::from_secs(seconds)).await;
    game.stop.store(true, Ordering::SeqCst);
    while workers.join_next().await.transpose().unwrap().is_some() {}
    let last = last_rows(&game, folder.path()).await;
    let history = std::mem::take(&mut *game.history.lock().unwrap());
    let verdict = check(&history, &last);
    println!(
        "{} committed, {} unknown, {} in all, {} reads, {} write skews, {kills} kills",
        verdict.committed,
        verdict.unknown,
        history.len(),
        verdict.reads,
        verdict.write_skews
    );
    assert!(verdict.violations.is_empty(), "{} violations:\n{}", verdict.violations.len(), verdict.violations.join("\n"));
    assert!(verdict.committed >= 30 && verdict.reads >= 60 && kills >= 2, "too little happened: {verdict:?}");
}

impl Game {
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap()
    }
}

/// A connection to one of the gateways that are there.
async fn connect(servers: &RwLock<[Option<Server>; 2]>) -> Option<Client> {
    let (port, password) = {
        let servers = servers.read().unwrap();
        let there: Vec<&Server> = servers.iter().flatten().collect();
        let server = there.get(rand::rng().random_range(0..there.len().max(1)))?;
        (server.port, server.admin_password.clone())
    };
    let mut config = tokio_postgres::Config::new();
    config.host("127.0.0.1").port(port).user("admin").password(password).dbname("main");
    config.ssl_mode(tokio_postgres::config::SslMode::Require).connect_timeout(Duration::from_secs(5));
    Client::connect(&config).await.ok()
}

/// Every few seconds one of the gateways is killed, and started again a moment later.
async fn kill_and_restart(servers: &RwLock<[Option<Server>; 2]>, options: &[Options; 2], time: Duration) -> usize {
    let (end, mut kills) = (Instant::now() + time, 0);
    while Instant::now() < end {
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(2_000..5_000))).await;
        let victim = kills % 2;
        let server = servers.write().unwrap()[victim].take();
        tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(100..1_000))).await;
        let options = options[victim].clone();
        let server = tokio::task::spawn_blocking(move || Server::start(&options).unwrap()).await.unwrap();
        servers.write().unwrap()[victim] = Some(server);
        kills += 1;
    }
    kills
}

/// One client: transaction after transaction, on one connection until it is lost.
async fn play(game: Arc<Game>) {
    let mut client = None;
    while !game.stop.load(Ordering::SeqCst) {
        let Some(open) = client.take() else {
            client = connect(&game.servers).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let mut transaction = Transaction {
            id: game.next.fetch_add(1, Ordering::SeqCst),
            began: game.now(),
            ended: 0,
            ops: Vec::new(),
            outcome: Outcome::Aborted,
        };
        let kind = rand::rng().random_range(0..10);
        transaction.outcome = match kind {
            0..=1 => single_write(&open, &mut transaction).await,
            2..=3 => single_read(&open, &mut transaction).await,
            _ => block(&open, &mut transaction, kind == 4).await,
        };
        transaction.ended = game.now();
        let failed = transaction.outcome != Outcome::Committed;
        game.history.lock().unwrap().push(transaction);
        if !failed || (!open.is_closed() && open.batch_execute("ROLLBACK").await.is_ok()) {
            client = Some(open);
        }
    }
}

fn any_row() -> Row {
    let mut rng = rand::rng();
    (rng.random_range(0..TABLES), rng.random_range(1..=ROWS))
}

/// A statement by itself: it counts on from whatever is there.
async fn single_write(client: &Client, transaction: &mut Transaction) -> Outcome {
    let row = any_row();
    let sql = format!("UPDATE history_{} SET n = n + 1, w = {} WHERE id = {} RETURNING n", row.0, transaction.id, row.1);
    match client.rows(&sql).await {
        Ok(rows) => {
            transaction.ops.push(Op::Write(row, rows[0][0].parse().unwrap()));
            Outcome::Committed
        }
        Err(error) if is_abort(&error) => Outcome::Aborted,
        Err(_) => {
            transaction.ops.push(Op::Attempt(row));
            Outcome::Unknown
        }
    }
}

async fn single_read(client: &Client, transaction: &mut Transaction) -> Outcome {
    let table = rand::rng().random_range(0..TABLES);
    match read_all(client, transaction, table).await {
        Ok(()) => Outcome::Committed,
        Err(_) => Outcome::Aborted,
    }
}

/// BEGIN … COMMIT of some reads and writes; what is written follows from what was read.
async fn block(client: &Client, transaction: &mut Transaction, only_reads: bool) -> Outcome {
    if body(client, transaction, only_reads).await.is_err() {
        return Outcome::Aborted;
    }
    let writes = transaction.ops.iter().any(|op| matches!(op, Op::Write(..)));
    match client.batch_execute("COMMIT").await {
        Ok(()) => Outcome::Committed,
        Err(error) if is_abort(&error) || !writes => Outcome::Aborted,
        Err(_) => Outcome::Unknown,
    }
}

async fn body(client: &Client, transaction: &mut Transaction, only_reads: bool) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("BEGIN").await?;
    let steps = if only_reads { 2 * TABLES } else { rand::rng().random_range(1..=4) };
    for step in 0..steps {
        if only_reads || rand::rng().random_range(0..3) == 0 {
            let table = if only_reads { step % TABLES } else { any_row().0 };
            read_all(client, transaction, table).await?;
        } else {
            let row = any_row();
            let (version, _) = read(client, transaction, row).await?;
            let sql = format!("UPDATE history_{} SET n = {}, w = {} WHERE id = {}", row.0, version + 1, transaction.id, row.1);
            client.batch_execute(&sql).await?;
            transaction.ops.push(Op::Write(row, version + 1));
        }
        if rand::rng().random_range(0..4) == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

async fn read(client: &Client, transaction: &mut Transaction, row: Row) -> Result<Seen, tokio_postgres::Error> {
    let rows = client.rows(&format!("SELECT n, w FROM history_{} WHERE id = {}", row.0, row.1)).await?;
    let seen = seen(&rows[0]);
    transaction.ops.push(Op::Read(row, seen));
    Ok(seen)
}

async fn read_all(client: &Client, transaction: &mut Transaction, table: usize) -> Result<(), tokio_postgres::Error> {
    for row in client.rows(&format!("SELECT n, w, id FROM history_{table} ORDER BY id")).await? {
        transaction.ops.push(Op::Read((table, row[2].parse().unwrap()), seen(&row)));
    }
    Ok(())
}

fn seen(row: &[String]) -> Seen {
    (row[0].parse().unwrap(), row[1].parse::<Id>().unwrap())
}

fn is_abort(error: &tokio_postgres::Error) -> bool {
    ABORTS.contains(&sqlstate_of(error).as_str())
}

/// The rows as each gateway and python `deltalake` read them.
async fn last_rows(game: &Game, folder: &std::path::Path) -> BTreeMap<Row, Seen> {
    let servers = std::mem::take(&mut *game.servers.write().unwrap());
    let mut pictures = Vec::new();
    for server in &servers {
        let client = Client::admin(server.as_ref().unwrap()).await.unwrap();
        let mut rows = BTreeMap::new();
        for table in 0..TABLES {
            for row in client.rows(&format!("SELECT n, w, id FROM history_{table}")).await.unwrap() {
                assert!(rows.insert((table, row[2].parse().unwrap()), seen(&row)).is_none(), "a row is there twice: {table} {row:?}");
            }
        }
        pictures.push(rows);
    }
    let mut by_python = BTreeMap::new();
    for table in 0..TABLES {
        let found = folders_of(&folder.join("warehouse"), &format!("history_{table}"));
        assert_eq!(found.len(), 1, "{found:?}");
        for line in python("py/read_table.py", &[&found[0].display().to_string(), "id"], &[]).unwrap().lines() {
            let parts: Vec<i64> = line.split('|').map(|part| part.parse().unwrap()).collect();
            by_python.insert((table, parts[0]), (parts[1], Id::try_from(parts[2]).unwrap()));
        }
    }
    assert_eq!(pictures[0], pictures[1], "the gateways do not agree");
    assert_eq!(pictures[0], by_python, "python deltalake does not agree");
    assert_eq!(by_python.len(), TABLES * usize::try_from(ROWS).unwrap());
    by_python
}
